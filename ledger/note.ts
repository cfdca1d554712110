import { TollgateError } from '#contracts';
import { concat, equalBytes, fromBase64, toBase64, toHex, utf8 } from './bytes.ts';
import type { Sha256 } from './merkle.ts';

/** Signed notes and their keys, C2SP signed-note. */

/** What the verifier needs of the platform. Checks may be asynchronous (WebCrypto); a malformed key is a plain `false`. */
export interface VerifierCrypto {
  readonly sha256: Sha256;
  /** RFC 8032. Public key 32 bytes, signature 64. */
  ed25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;
  /** ECDSA P-256 with SHA-256. Public key SubjectPublicKeyInfo, signature ECDSA-Sig-Value, both DER. */
  ecdsaP256(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;
}

/** Signature type identifiers of C2SP signed-note; 4 is the timestamped cosignature of a witness (tlog-cosignature). */
export const TYPE_ED25519 = 1;
export const TYPE_ECDSA = 2;
export const TYPE_COSIGNATURE = 4;
export type SignatureType = typeof TYPE_ED25519 | typeof TYPE_ECDSA | typeof TYPE_COSIGNATURE;

export interface VerifierKey {
  /** Not empty, without spaces and `+`. */
  readonly name: string;
  /** u32; with the name it finds the key, it proves nothing. */
  readonly keyId: number;
  readonly type: SignatureType;
  /** Ed25519: 32 bytes. ECDSA: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

export interface NoteSignature {
  readonly name: string;
  /** null where the line is too short to hold one; such a line matches no key. */
  readonly keyId: number | null;
  readonly signature: Uint8Array;
}

export interface Note {
  /** What is signed; ends with a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Longest note that is looked at, characters. 16 post-quantum signatures are 0.1 MB. */
export const MAX_NOTE_CHARS = 1_000_000;
/** C2SP asks for at least 16. */
export const MAX_SIGNATURES = 100;

const SIGNATURE_LINE = /^— ([^\p{White_Space}+]+) ([A-Za-z0-9+/]+={0,2})$/u;
const KEY_NAME = /^[^\p{White_Space}+]+$/u;
const KEY_ID_BYTES = 4;
const ED25519_KEY_BYTES = 32;
const ED25519_SIGNATURE_BYTES = 64;

/**
 * Splits a note and checks its form; no signature is verified.
 *
 * @throws {TollgateError} TG_LEDGER_NOTE
 */
export function parseNote(note: string): Note {
  if (note.length > MAX_NOTE_CHARS)
    throw noteError(`the note has ${note.length} characters, at most ${MAX_NOTE_CHARS}`);
  if (!note.isWellFormed()) throw noteError('the note is not valid Unicode');
  const control = [...note].findIndex((character) => character < ' ' && character !== '\n');
  if (control >= 0) throw noteError('the note has a control character', note.slice(0, control).split('\n').length);
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw noteError('the note has no empty line between text and signatures');
  if (!note.endsWith('\n')) throw noteError('the note does not end with a newline');
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES)
    throw noteError(`the note has ${lines.length} signatures, at most ${MAX_SIGNATURES}`);
  const first = text.split('\n').length + 1;
  const signatures = lines.map((line, i) => parseSignatureLine(line, first + i));
  return { text, signatures };
}

function parseSignatureLine(line: string, number: number): NoteSignature {
  const match = SIGNATURE_LINE.exec(line);
  const bytes = match === null ? null : fromBase64(match[2]!);
  if (match === null || bytes === null) {
    throw noteError('a signature line reads "— name base64", this one does not', number);
  }
  if (bytes.length < KEY_ID_BYTES) return { name: match[1]!, keyId: null, signature: bytes };
  return { name: match[1]!, keyId: new DataView(bytes.buffer).getUint32(0), signature: bytes.subarray(KEY_ID_BYTES) };
}

function noteError(message: string, line?: number): TollgateError {
  return new TollgateError('TG_LEDGER_NOTE', message, { place: { line } });
}

/** Text and signature lines as one note. */
export function formatNote(note: Note): string {
  return `${note.text}\n${note.signatures.map(formatSignatureLine).join('')}`;
}

export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = new Uint8Array(KEY_ID_BYTES);
  new DataView(id.buffer).setUint32(0, keyId ?? 0);
  return `— ${name} ${toBase64(keyId === null ? signature : concat(id, signature))}\n`;
}

/** C2SP key id: of name, type and key; for ECDSA of the SubjectPublicKeyInfo alone. */
export function keyIdOf(name: string, type: SignatureType, publicKey: Uint8Array, sha256: Sha256): number {
  const input = type === TYPE_ECDSA ? publicKey : concat(utf8(`${name}\n`), new Uint8Array([type]), publicKey);
  const digest = sha256(input);
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

/** Key name and checkpoint origin of a unit: `tollgate/` + hex of the first 8 bytes of SHA-256(public key). */
export function unitKeyName(publicKey: Uint8Array, sha256: Sha256): string {
  return `tollgate/${toHex(sha256(publicKey).subarray(0, 8))}`;
}

/** @param publicKey 32 bytes (Ed25519) or a DER SubjectPublicKeyInfo (P-256) */
export function verifierKey(
  name: string,
  type: SignatureType,
  publicKey: Uint8Array,
  crypto: Pick<VerifierCrypto, 'sha256'>,
): VerifierKey {
  return { name, type, publicKey, keyId: keyIdOf(name, type, publicKey, crypto.sha256) };
}

/** `name+hex(key id)+base64(type ‖ public key)`. */
export function formatVerifierKey({ name, keyId, type, publicKey }: VerifierKey): string {
  return `${name}+${keyId.toString(16).padStart(8, '0')}+${toBase64(concat(new Uint8Array([type]), publicKey))}`;
}

/**
 * @param text `name+hex(key id)+base64(type ‖ public key)`
 * @throws {TollgateError} TG_LEDGER_VERIFIER_KEY when a part is malformed, the id is not that of the key, or the type
 *   is none of Ed25519 (1), ECDSA P-256 (2), cosignature (4)
 */
export function parseVerifierKey(text: string, crypto: Pick<VerifierCrypto, 'sha256'>): VerifierKey {
  const wrong = (what: string) => new TollgateError('TG_LEDGER_VERIFIER_KEY', `"${text.slice(0, 100)}": ${what}`);
  // The base64 part may hold plus signs, name and id hold none.
  const [name, id, ...rest] = text.split('+');
  const material = fromBase64(rest.join('+'));
  if (name === undefined || id === undefined || rest.length === 0) throw wrong('a key reads name+id+base64');
  if (!KEY_NAME.test(name)) throw wrong('the name is empty or holds a space');
  if (!/^[0-9a-f]{8}$/.test(id)) throw wrong('the id is not 8 hexadecimal digits');
  if (material === null || material.length < 2) throw wrong('the key is not base64');
  const type = material[0]!;
  const publicKey = material.subarray(1);
  if (type !== TYPE_ED25519 && type !== TYPE_ECDSA && type !== TYPE_COSIGNATURE) {
    throw wrong(`signature type ${type} is not supported (1 Ed25519, 2 ECDSA P-256, 4 Ed25519 cosignature are)`);
  }
  if (type !== TYPE_ECDSA && publicKey.length !== ED25519_KEY_BYTES) throw wrong('an Ed25519 key has 32 bytes');
  const key = verifierKey(name, type, publicKey, crypto);
  if (key.keyId !== Number.parseInt(id, 16)) throw wrong('the id is not the id of this key');
  return key;
}

/** A key that signs notes: what verifiers know of it, and the anchor's signature function. */
export interface NoteSigner {
  readonly key: VerifierKey;
  /** Ed25519: 64 bytes. ECDSA: IEEE P1363 (r ‖ s, 64 bytes), as `TrustAnchor.sign` returns it. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * Signs `text` (which ends with a newline).
 *
 * @throws {TollgateError} TG_LEDGER_NOTE when the text could not be read back as a note
 */
export async function signNote(text: string, signer: NoteSigner): Promise<string> {
  if (!text.endsWith('\n')) throw noteError('the text of a note ends with a newline');
  const raw = await signer.sign(utf8(text));
  const signature = signer.key.type === TYPE_ECDSA ? derSignature(raw) : raw;
  const { name, keyId } = signer.key;
  const note = formatNote({ text, signatures: [{ name, keyId, signature }] });
  parseNote(note);
  return note;
}

/** IEEE P1363 (r ‖ s) → DER ECDSA-Sig-Value (RFC 3279 §2.2.3), which notes carry. */
export function derSignature(p1363: Uint8Array): Uint8Array {
  const middle = p1363.length / 2;
  const integers = [p1363.subarray(0, middle), p1363.subarray(middle)].map((bytes) => {
    let start = 0;
    while (start < bytes.length - 1 && bytes[start] === 0) start++;
    const sign = bytes[start]! >= 0x80 ? [0] : [];
    const magnitude = bytes.subarray(start);
    return concat(new Uint8Array([0x02, sign.length + magnitude.length, ...sign]), magnitude);
  });
  const body = concat(...integers);
  return concat(new Uint8Array([0x30, body.length]), body);
}

/** What the signatures of a note are worth to someone who knows `keys`. */
export interface NoteVerdict {
  /** At least one known key signed, and no signature of a known key is wrong. */
  readonly ok: boolean;
  /** Keys whose signature verified. */
  readonly verified: readonly VerifierKey[];
  /** Keys whose signature is there and does not verify. */
  readonly wrong: readonly VerifierKey[];
}

/** Checks a note against the keys that the caller trusts; signatures of other keys are ignored (C2SP signed-note). */
export async function verifyNote(
  note: Note,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
): Promise<NoteVerdict> {
  const verified: VerifierKey[] = [];
  const wrong: VerifierKey[] = [];
  for (const { name, keyId, signature } of note.signatures) {
    const key = keys.find((known) => known.name === name && known.keyId === keyId);
    if (key === undefined) continue;
    const list = (await verifySignature(note.text, signature, key, crypto)) ? verified : wrong;
    if (!list.includes(key)) list.push(key);
  }
  return { ok: verified.length > 0 && wrong.length === 0, verified, wrong };
}

async function verifySignature(
  text: string,
  signature: Uint8Array,
  key: VerifierKey,
  crypto: VerifierCrypto,
): Promise<boolean> {
  switch (key.type) {
    case TYPE_ED25519:
      return signature.length === ED25519_SIGNATURE_BYTES && crypto.ed25519(key.publicKey, utf8(text), signature);
    case TYPE_ECDSA:
      return crypto.ecdsaP256(key.publicKey, utf8(text), signature);
    case TYPE_COSIGNATURE:
      return verifyCosignature(text, signature, key, crypto);
  }
}

const TIMESTAMP_BYTES = 8;

/** Timestamp of a cosignature, POSIX seconds; null where the bytes are no Ed25519 cosignature. */
export function cosignatureTime(signature: Uint8Array): bigint | null {
  if (signature.length !== TIMESTAMP_BYTES + ED25519_SIGNATURE_BYTES) return null;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  return time < 2n ** 63n ? time : null;
}

/** C2SP tlog-cosignature, Ed25519: signs `cosignature/v1`, the time, and the checkpoint's text. */
async function verifyCosignature(
  text: string,
  signature: Uint8Array,
  key: VerifierKey,
  crypto: VerifierCrypto,
): Promise<boolean> {
  const time = cosignatureTime(signature);
  if (time === null) return false;
  const message = utf8(`cosignature/v1\ntime ${time}\n${text}`);
  return crypto.ed25519(key.publicKey, message, signature.subarray(TIMESTAMP_BYTES));
}

/** The same key, not only the same name. */
export function sameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.keyId === b.keyId && a.type === b.type && equalBytes(a.publicKey, b.publicKey);
}
