import { createCipheriv } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CborValue, decodeCbor } from '#wire/cbor';
import { encStructure, HEADER_ALG, parseEncrypt0 } from '#wire/cose';
import { type HpkeRecipient, hpkeRecipient, hpkeSuite } from '#wire/hpke';
import { base64url, cameTo, fromHex, hex, type Report } from './report.ts';

const MODES = ['base', 'PSK', 'Auth', 'AuthPSK'];

/** RFC 9180 Appendix A.1: base mode through the project's suite and recipient, the other modes are not of this version. */
export async function rfc9180Cases(folder: string, report: Report): Promise<void> {
  const file = join(folder, 'hpke/rfc9180-vectors-a1.md');
  if (!existsSync(file)) return;
  for (const section of readFileSync(file, 'utf8')
    .split(/^### (?=\w+ Setup)/m)
    .slice(1)) {
    const [setup = '', encryptions = '', exports = ''] = section.split(/^#### .*$/m);
    const fields = fieldsOf(setup);
    const messages = encryptions
      .split(/^(?=sequence number)/m)
      .map(fieldsOf)
      .filter((one) => 'ct' in one);
    const exported = exports
      .split(/^(?=exporter_context)/m)
      .map(fieldsOf)
      .filter((one) => 'exported_value' in one);
    const mode = Number(fields.mode);
    if (mode !== 0 || fields.kem_id !== '32' || fields.kdf_id !== '1' || fields.aead_id !== '1') {
      const feature =
        mode === 0 ? `HPKE suite ${fields.kem_id}/${fields.kdf_id}/${fields.aead_id}` : `HPKE mode ${MODES[mode]}`;
      report.unsupported('hpke', feature, messages.length + exported.length);
      continue;
    }
    await baseMode(fields, messages, exported, report);
  }
}

type Fields = Readonly<Record<string, string>>;

/** `name: value`, the value on one or several lines. */
function fieldsOf(text: string): Fields {
  const found = text.replaceAll('~~~', '').matchAll(/^([A-Za-z_ ]+):((?:[ \n]*[0-9a-f]+)*[ \n]*)$/gm);
  return Object.fromEntries([...found].map((match) => [match[1]!, match[2]!.replaceAll(/\s/g, '')]));
}

async function baseMode(
  fields: Fields,
  messages: readonly Fields[],
  exported: readonly Fields[],
  report: Report,
): Promise<void> {
  const [info, ikm, pkRm, skRm, enc] = [fields.info, fields.ikmE, fields.pkRm, fields.skRm, fields.enc].map((text) =>
    fromHex(text ?? ''),
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const suite = hpkeSuite('aes-128-gcm');
  const recipientPublicKey = await suite.kem.deserializePublicKey(new Uint8Array(pkRm).buffer);
  const sender = await suite.createSenderContext({
    recipientPublicKey,
    info: new Uint8Array(info).buffer,
    ekm: new Uint8Array(ikm).buffer,
  });
  report.compare('hpke', 'RFC 9180 A.1 enc', hex(new Uint8Array(sender.enc)), fields.enc!);
  const key = { kty: 'OKP', crv: 'X25519', x: base64url(pkRm), d: base64url(skRm) };
  const recipient = await hpkeRecipient(key, enc, info, 'aes-128-gcm');
  let next = 0;
  for (const one of messages) {
    const seq = Number(one['sequence number']);
    // A context only counts upwards: the messages between those of the RFC are made here, with the RFC's own key.
    for (; next < seq; next++) {
      await sender.seal(new ArrayBuffer(0));
      await recipient.open(filler(fields, next), new Uint8Array());
    }
    const place = `RFC 9180 A.1 message ${seq}`;
    const sealed = await sender.seal(buffer(one.pt!), buffer(one.aad!));
    const opened = await cameTo(async () => hex(await recipient.open(fromHex(one.ct!), fromHex(one.aad!))));
    report.compare('hpke', place, `${opened} ${hex(new Uint8Array(sealed))}`, `${one.pt} ${one.ct}`);
    next++;
  }
  for (const one of exported) {
    const came = await exportBoth(sender, recipient, fromHex(one.exporter_context!), Number(one.L));
    report.compare('hpke', `RFC 9180 A.1 export ${one.exporter_context}`, came, `${one.exported_value} both`);
  }
}

const buffer = (text: string): ArrayBuffer => new Uint8Array(fromHex(text)).buffer;

async function exportBoth(
  sender: { export(context: ArrayBuffer, length: number): Promise<ArrayBuffer> },
  recipient: HpkeRecipient,
  context: Uint8Array,
  length: number,
): Promise<string> {
  const sent = hex(new Uint8Array(await sender.export(new Uint8Array(context).buffer, length)));
  const received = hex(await recipient.export(context, length));
  return `${received} ${sent === received ? 'both' : `but ${sent}`}`;
}

function filler(fields: Fields, seq: number): Uint8Array {
  const nonce = Buffer.from(fields.base_nonce!, 'hex');
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ seq) >>> 0, 8);
  const cipher = createCipheriv('aes-128-gcm', fromHex(fields.key!), nonce);
  return Buffer.concat([cipher.final(), cipher.getAuthTag()]);
}

/** What the file calls external, and what is sealed: draft-ietf-cose-hpke, test vectors. */
const EXTERNAL_AAD = new TextEncoder().encode('external-aad');
const EXTERNAL_INFO = new TextEncoder().encode('external-info');
const PAYLOAD = 'hpke test payload';
/** HPKE-3, integrated encryption: DHKEM(X25519), HKDF-SHA256, AES-128-GCM. */
const ALG_HPKE_3 = 41;
const HEADER_EK = -4;
const KEY_X = -2;
const KEY_D = -4;

/** COSE-HPKE: what is COSE_Encrypt0 with X25519 in base mode is put together from the parts that sessions use. */
export async function coseHpkeCases(folder: string, report: Report): Promise<void> {
  const file = join(folder, 'hpke/cose-hpke-0-3.txt');
  if (!existsSync(file)) return;
  let key: ReadonlyMap<CborValue, CborValue> = new Map();
  let label = '';
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, coseKey] = /COSE_Key:+ *([0-9a-f]+)/.exec(line) ?? [];
    const [, ciphertext] = /^Ciphertext: *([0-9a-f]+)/.exec(line) ?? [];
    if (coseKey !== undefined) key = decodeCbor(fromHex(coseKey)) as ReadonlyMap<CborValue, CborValue>;
    else if (ciphertext !== undefined) await coseHpkeCase(label, key, fromHex(ciphertext), report);
    else if (line.trim() !== '') label = line.trim();
  }
}

async function coseHpkeCase(
  label: string,
  key: ReadonlyMap<CborValue, CborValue>,
  bytes: Uint8Array,
  report: Report,
): Promise<void> {
  if (label.includes('PSK')) return report.unsupported('cose-hpke', 'HPKE mode PSK');
  if (label.includes('-KE')) return report.unsupported('cose-hpke', 'COSE_Encrypt with HPKE key encryption');
  if (!label.startsWith('HPKE-3')) return report.unsupported('cose-hpke', 'DHKEM(P-256)');
  const came = await cameTo(async () => {
    const { protectedBytes, protectedHeaders, headers, payload } = parseEncrypt0(bytes);
    const algorithm = protectedHeaders.get(HEADER_ALG);
    if (algorithm !== ALG_HPKE_3) return `algorithm ${String(algorithm)}`;
    const info = label.includes('external info') ? EXTERNAL_INFO : new Uint8Array();
    const externalAad = label.includes('external aad') ? EXTERNAL_AAD : new Uint8Array();
    const [x, d] = [key.get(KEY_X), key.get(KEY_D)] as [Uint8Array, Uint8Array];
    const jwk = { kty: 'OKP', crv: 'X25519', x: base64url(x), d: base64url(d) };
    const recipient = await hpkeRecipient(jwk, headers.get(HEADER_EK) as Uint8Array, info, 'aes-128-gcm');
    return Buffer.from(await recipient.open(payload!, encStructure(protectedBytes, externalAad))).toString();
  });
  report.compare('cose-hpke', label, came, PAYLOAD);
}
