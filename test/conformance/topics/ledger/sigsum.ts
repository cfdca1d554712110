import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import {
  cosignatureTime,
  formatNote,
  nodeCrypto,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  sha256Tree,
  TYPE_COSIGNATURE,
  TYPE_ED25519,
  type VerifierKey,
  verifierKey,
  verifyCheckpoint,
  verifyInclusion,
  verifyNote,
} from '#ledger';
import { jwkFromSeed } from '#trust';
import type { Tally } from './tally.ts';

/** Sigsum's checkpoint, cosignature and proof cases. Its proof text is another format than ours: read here, not printed. */

interface CheckpointFile {
  readonly format: {
    readonly origin: string;
    readonly size: number;
    readonly rootHash: string;
    readonly keyId: string;
    readonly signature: string;
    readonly ascii: string;
  };
  readonly valid: { readonly ascii: string };
  readonly extraSignatureLines: Readonly<Record<string, string>> & {
    readonly cases: readonly { readonly order: readonly string[]; readonly reject: boolean }[];
  };
  readonly cosignatureLines: { readonly ascii: string };
  readonly goSumDb: { readonly ascii: string; readonly verifierKey: string; readonly origin: string };
}

export async function sigsumCases(folder: string, tally: Tally): Promise<void> {
  const file: CheckpointFile = JSON.parse(readFileSync(join(folder, 'sigsum/checkpoint.json'), 'utf8'));
  formatCase(file.format, tally);
  await validCases(file, tally);
  await cosignatureCases(file, tally);
  const { ascii, verifierKey: key, origin } = file.goSumDb;
  const checkpoint = parseCheckpoint(ascii);
  // Its key has another name than the origin: a note of a known key, not our rule for whose checkpoint it is.
  const { ok } = await verifyNote(checkpoint.note, [parseVerifierKey(key, nodeCrypto)], nodeCrypto);
  tally.compare('sigsum', 'go.sum database', `${ok} ${checkpoint.origin}`, `true ${origin}`);
  if (existsSync(join(folder, 'sigsum/proof.json'))) await proofCases(folder, tally);
}

function formatCase(format: CheckpointFile['format'], tally: Tally): void {
  const { origin, size, root, note } = parseCheckpoint(format.ascii);
  const { keyId, signature } = note.signatures[0]!;
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  tally.compare(
    'sigsum',
    'checkpoint format',
    `${origin} ${size} ${hex(root)} ${keyId!.toString(16).padStart(8, '0')} ${hex(signature)}`,
    `${format.origin} ${format.size} ${format.rootHash} ${format.keyId} ${format.signature}`,
  );
  tally.compare('sigsum', 'checkpoint print', formatNote(note), format.ascii);
}

/** The Ed25519 key of the signed cases: its seed is the byte 17 and 31 zeros, as the file says. */
function testKey(): Uint8Array {
  const seed = new Uint8Array(32);
  seed[0] = 17;
  return new Uint8Array(Buffer.from(jwkFromSeed('Ed25519', seed).x!, 'base64url'));
}

async function accepted(text: string, key: VerifierKey): Promise<boolean> {
  try {
    return await verifyCheckpoint(parseCheckpoint(text), [key], nodeCrypto);
  } catch (error) {
    if (error instanceof TollgateError) return false;
    throw error;
  }
}

async function validCases({ valid, extraSignatureLines }: CheckpointFile, tally: Tally): Promise<void> {
  const { ascii } = valid;
  const checkpoint = parseCheckpoint(ascii);
  const key = verifierKey(checkpoint.origin, TYPE_ED25519, testKey(), nodeCrypto);
  tally.compare('sigsum', 'valid checkpoint', await accepted(ascii, key), true);
  for (const [what, text] of Object.entries(damaged(ascii))) {
    tally.compare('sigsum', what, await accepted(text, key), false);
  }
  const [body, validLine] = ascii.split('\n\n') as [string, string];
  for (const { order, reject } of extraSignatureLines.cases) {
    const lines = order.map((name) => (name === 'valid' ? validLine.trimEnd() : String(extraSignatureLines[name])));
    const text = `${body}\n\n${lines.join('\n')}\n`;
    tally.compare('sigsum', `signature lines ${order.join(', ')}`, await accepted(text, key), !reject);
  }
}

/** The five changes of `rejectWhen`. */
function damaged(ascii: string): Record<string, string> {
  const checkpoint = parseCheckpoint(ascii);
  const [signature] = checkpoint.note.signatures;
  const flip = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const lines = checkpoint.note.text.split('\n');
  const withText = (text: string) => formatNote({ ...checkpoint.note, text });
  const withSignature = (change: Partial<typeof signature>) =>
    formatNote({ ...checkpoint.note, signatures: [{ ...signature!, ...change }] });
  const root = Buffer.from(flip(checkpoint.root, 3)).toString('base64');
  return {
    'a character added to the origin': withText(lines.with(0, `${lines[0]}x`).join('\n')),
    'a bit of the key id flipped': withSignature({ keyId: (signature!.keyId! ^ 0x100) >>> 0 }),
    'size + 1': withText(lines.with(1, String(checkpoint.size + 1)).join('\n')),
    'a bit of the root hash flipped': withText(lines.with(2, root).join('\n')),
    'a bit of the signature flipped': withSignature({ signature: flip(signature!.signature, 4) }),
  };
}

/** "3 of the 4 lines parse; one verifies with the key above, and no longer when its timestamp is changed". */
async function cosignatureCases({ format, cosignatureLines }: CheckpointFile, tally: Tally): Promise<void> {
  const text = `${format.origin}\n${format.size}\n${Buffer.from(format.rootHash, 'hex').toString('base64')}\n`;
  const { signatures } = parseNote(`${text}\n${cosignatureLines.ascii}`);
  const parsed = signatures.filter(({ signature }) => cosignatureTime(signature) !== null);
  tally.compare('sigsum', 'cosignature lines that parse', parsed.length, 3);
  const witness = verifierKey('example.org/witness', TYPE_COSIGNATURE, testKey(), nodeCrypto);
  const check = async (list: typeof signatures, body: string) => {
    const verdicts = list.map((one) => verifyNote({ text: body, signatures: [one] }, [witness], nodeCrypto));
    return (await Promise.all(verdicts)).filter(({ ok }) => ok).length;
  };
  const verified = await check(parsed, text);
  const later = parsed.map((one) => ({
    ...one,
    signature: one.signature.map((byte, i) => (i === 7 ? byte ^ 1 : byte)),
  }));
  tally.compare('sigsum', 'cosignatures that verify', `${verified} ${await check(later, text)}`, '1 0');
}

/** Sigsum's name of a log: the hash of its key. */
function sigsumOrigin(publicKey: Uint8Array): string {
  return `sigsum.org/v1/tree/${createHash('sha256').update(publicKey).digest('hex')}`;
}

interface VerifyCase {
  readonly ascii: string;
  readonly msg: string;
  readonly logKey: string;
  readonly submitKey: string;
  readonly witnessKey?: string;
}

async function proofCases(folder: string, tally: Tally): Promise<void> {
  const file: { roundtrip: unknown[]; v1: unknown[]; verifyNoCosignatures?: VerifyCase; verify?: VerifyCase } =
    JSON.parse(readFileSync(join(folder, 'sigsum/proof.json'), 'utf8'));
  for (const one of [file.verifyNoCosignatures, file.verify]) {
    if (one === undefined) continue;
    tally.compare('sigsum', 'proof', await proofHolds(one, one.msg), true);
    const other = one.msg.replace(/^../, '21');
    tally.compare('sigsum', 'proof of another message', await proofHolds(one, other), false);
  }
  tally.unsupported('printing Sigsum proof text', file.roundtrip.length + file.v1.length);
}

/** Tree head signature, cosignature and inclusion of a Sigsum proof (doc_sigsum-proof.md), with our primitives. */
async function proofHolds({ ascii, logKey, submitKey, witnessKey }: VerifyCase, message: string): Promise<boolean> {
  const field = (name: string) => [...ascii.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((match) => match[1]!);
  const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
  const log = sshKey(logKey);
  const submitter = sshKey(submitKey);
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  const [leafKeyHash, leafSignature] = field('leaf')[0]!.split(' ').map(hex) as [Uint8Array, Uint8Array];
  if (!sha256(submitter).equals(leafKeyHash) || !sha256(log).equals(hex(field('log')[0]!))) return false;
  const checksum = sha256(hex(message));
  const signedLeaf = Buffer.concat([Buffer.from('sigsum.org/v1/tree-leaf\0'), checksum]);
  if (!(await nodeCrypto.ed25519(submitter, signedLeaf, leafSignature))) return false;
  const size = Number(field('size')[0]);
  const root = hex(field('root_hash')[0]!);
  const text = `${sigsumOrigin(log)}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
  const key = verifierKey(sigsumOrigin(log), TYPE_ED25519, log, nodeCrypto);
  const head = { name: key.name, keyId: key.keyId, signature: hex(field('signature')[0]!) };
  const keys = [key];
  const signatures = [head];
  for (const line of field('cosignature')) {
    const witness = verifierKey('witness', TYPE_COSIGNATURE, sshKey(witnessKey!), nodeCrypto);
    const [, time, signature] = line.split(' ') as [string, string, string];
    const timed = Buffer.alloc(8);
    timed.writeBigUInt64BE(BigInt(time));
    keys.push(witness);
    signatures.push({ name: 'witness', keyId: witness.keyId, signature: Buffer.concat([timed, hex(signature)]) });
  }
  const { ok, verified } = await verifyNote({ text, signatures }, keys, nodeCrypto);
  const leafHash = sha256Tree.leaf(Buffer.concat([checksum, leafSignature, leafKeyHash]));
  const path = field('node_hash').map(hex);
  const index = Number(field('leaf_index')[0] ?? 0);
  return ok && verified.length === keys.length && verifyInclusion(sha256Tree, index, size, leafHash, path, root);
}

/** The raw Ed25519 key of an OpenSSH public key: the last 32 bytes. */
function sshKey(line: string): Uint8Array {
  return new Uint8Array(Buffer.from(line.split(' ')[1]!, 'base64').subarray(-32));
}
