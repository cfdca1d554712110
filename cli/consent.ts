import { createHash, createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '#agent/config/load';
import { ANSWER_SUFFIX, type Answer, openAnswer, remedyOf } from '#agent/control/index';
import { loadUnitKeys } from '#agent/keys';
import { TollgateError } from '#contracts';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { nodeCrypto, parseVerifierKey } from '#ledger';
import { readConsentDocument } from '#policies/consent/index';
import { type Algorithm, didKeyId, didKeyOf, signJws } from '#policies/credentials/index';
import { documentTopic, statusTopic } from '#wire';
import type { Io } from './command.ts';
import { table } from './text.ts';

/** The owner's side of consents: signing them, and handing them over as a file or through the unit's broker. */

export interface Owner {
  readonly did: string;
  sign(credential: object): Uint8Array;
}

/** Options that every command which makes a consent takes. */
export const CONSENT_OPTIONS = {
  key: { type: 'string', default: 'keys/owner/owner.jwk' },
  unit: { type: 'string' },
  out: { type: 'string' },
  send: { type: 'boolean', default: false },
  config: { type: 'string', default: 'tollgate.yaml' },
  wait: { type: 'string', default: '30' },
  json: { type: 'boolean', default: false },
} as const;

/** Their help. */
export const CONSENT_HELP = `  --key FILE      the owner's private key, JWK (default: keys/owner/owner.jwk)
  --unit NAME     for this one unit: name of its ledger key, tollgate/ and 16 hex digits; else for all of the owner's
  --out FILE      write the credential (vc+jwt) there; without --out and --send it goes to stdout
  --send          publish it to the unit over the broker that --config names, and wait for the unit's signed answer
  --config FILE   configuration of the unit (default: tollgate.yaml)
  --wait S        how long to wait for the answer, s (default: 30)
  --json          the answer as one JSON object`;

export interface Values {
  readonly unit?: string | undefined;
  readonly out?: string | undefined;
  readonly send: boolean;
  readonly config: string;
  readonly wait: string;
  readonly json: boolean;
}

/** @throws {TollgateError} TG_CLI_FILE, TG_TRUST_KEY */
export async function readOwner(file: string): Promise<Owner> {
  const text = (await read(file)).toString('utf8');
  try {
    const jwk = JSON.parse(text) as JsonWebKey;
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    const did = didKeyOf(createPublicKey(key).export({ format: 'jwk' }));
    const algorithm: Algorithm = jwk.kty === 'OKP' ? 'EdDSA' : 'ES256';
    const sign = (credential: object) => new TextEncoder().encode(signJws(credential, didKeyId(did), algorithm, key));
    return { did, sign };
  } catch {
    // What the parser says may quote the key.
    throw new TollgateError('TG_TRUST_KEY', 'this is no private key of an owner (Ed25519 or P-256, JWK)', {
      place: { file },
    });
  }
}

export async function read(file: string): Promise<Buffer> {
  return await readFile(file).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file }, cause });
  });
}

/** A version that is above every one before it: the second at which it was made. */
export const versionOfNow = (): number => Math.floor(Date.now() / 1000);

export function wholeNumber(text: string, option: string): number {
  if (!/^[1-9]\d{0,15}$/.test(text)) throw usage(`${option} takes a whole number from 1, not "${text}"`);
  return Number(text);
}

export function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message, { remedy: 'tollgate consent --help lists the commands.' });
}

/**
 * Hands a consent over as the options say. It is read first as the unit would: what the unit refuses by its form is
 * refused here.
 *
 * @returns exit code: 0 done (with --send: accepted), 1 the unit refused it or did not answer
 */
export async function handOver(bytes: Uint8Array, values: Values, io: Io): Promise<number> {
  readConsentDocument(bytes, values.out ?? 'consent', new Map());
  const hash = createHash('sha256').update(bytes).digest();
  if (values.out !== undefined)
    await writeFile(values.out, `${Buffer.from(bytes).toString('latin1')}\n`, { mode: 0o644 });
  if (!values.send) {
    const about = { credential: values.out ?? Buffer.from(bytes).toString('latin1'), sha256: hash.toString('hex') };
    if (values.json) io.out(`${JSON.stringify(about)}\n`);
    else io.out(values.out === undefined ? `${about.credential}\n` : `wrote ${values.out}\n`);
    return 0;
  }
  const answer = await sent(bytes, hash, values);
  if (answer === null) {
    const code = 'no-answer';
    if (values.json) io.out(`${JSON.stringify({ verdict: code, sha256: hash.toString('hex') })}\n`);
    else
      io.err(
        `The unit has not answered within ${values.wait} s; the broker keeps the document for it where it knows the unit.\n`,
      );
    return 1;
  }
  io.out(values.json ? `${answerJson(answer)}\n` : answerText(answer));
  return answer.verdict === 'refused' ? 1 : 0;
}

async function sent(bytes: Uint8Array, hash: Buffer, { config: file, wait }: Values): Promise<Answer | null> {
  const config = await loadConfig(file);
  if (config.uplink === null)
    throw usage(`${file} names no broker: write the consent with --out and hand the file over`);
  const { url, protocol, tenant, ca } = config.uplink;
  const pseudonym = (await read(join(config.unit.state, 'pseudonym'))).toString('utf8');
  const { verifierKey } = await loadUnitKeys(config.unit.keys);
  const key = ledgerJwk(verifierKey);
  const answers: Answer[] = [];
  const link = await connectMqtt({
    url,
    protocol,
    clientId: `owner-${hash.toString('hex').slice(0, 16)}`,
    keepalive: 30,
    ...(ca === undefined ? {} : { tls: { ca: (await read(ca)).toString('utf8') } }),
    onMessage: (_, payload) => {
      try {
        const answer = openAnswer(payload, key);
        if (Buffer.compare(answer.document, hash) === 0) answers.push(answer);
      } catch (error) {
        // Anybody may publish there; only what the unit signed is an answer.
        if (!(error instanceof TollgateError)) throw error;
      }
    },
    onClose: () => undefined,
  });
  try {
    await link.subscribe([`${statusTopic(tenant, pseudonym)}/${ANSWER_SUFFIX}`]);
    await link.publish(documentTopic(tenant, pseudonym), bytes, { retain: false });
    const until = performance.now() + wholeNumber(wait, '--wait') * 1000;
    while (answers.length === 0 && performance.now() < until) await sleep(20);
    return answers[0] ?? null;
  } finally {
    await link.end();
  }
}

/** SubjectPublicKeyInfo of a P-256 key, or the 32 bytes of an Ed25519 key, as a JWK. */
function ledgerJwk(verifierKey: string): JsonWebKey {
  const { publicKey } = parseVerifierKey(verifierKey, nodeCrypto);
  if (publicKey.length === 32) return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') };
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' });
}

function answerJson(answer: Answer): string {
  const remedy = answer.code === null ? null : remedyOf(answer.code);
  return JSON.stringify({ ...answer, document: Buffer.from(answer.document).toString('hex'), remedy });
}

function answerText({ verdict, code, pointer, ledgerSize, dropped, suspended }: Answer): string {
  if (verdict === 'refused') {
    return `refused  ${code}\n   at ${pointer ?? 'the document as a whole'}\n   ${(code === null ? null : remedyOf(code)) ?? ''}\n`;
  }
  const rows: string[][] = [['ledger', `${ledgerSize} leaves, the consent among them`]];
  if (dropped !== null) rows.push(['destroyed unsent', `${dropped} records and their key`]);
  if (suspended !== null) rows.push(['not in force', suspended]);
  return `${verdict === 'known' ? 'accepted before' : 'accepted'}\n${table(rows)}`;
}
