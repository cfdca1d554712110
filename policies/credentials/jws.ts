import { type KeyObject, sign, verify } from 'node:crypto';
import { TollgateError } from '#contracts';
import { DocumentReader, MAX_DOCUMENT } from '../document.ts';
import { parseJson } from '../json.ts';
import type { Algorithm, IssuerKey } from './did.ts';

/**
 * Compact JWS (RFC 7515 §3.1) as `vc+jwt` uses it (W3C VC-JOSE-COSE §3.1), checked by node:crypto, synchronously: a
 * withdrawal must not wait for a turn of the event loop. Two algorithms, three header parameters, nothing else.
 */
export interface ParsedJws {
  readonly algorithm: string;
  readonly kid: string;
  readonly payload: Uint8Array;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

export const TYPE = 'vc+jwt';
/** A header parameter beyond these could change what is signed, or name a key of the sender's choice (RFC 8725 §3.10). */
const HEADER_KEYS = ['alg', 'kid', 'typ', 'cty'] as const;
const CONTENT_TYPE = 'vc';
const SIGNATURE_BYTES = 64;
const ALGORITHMS: readonly string[] = ['EdDSA', 'ES256'] satisfies Algorithm[];
/** Base64url of `MAX_DOCUMENT`, a header and a signature. */
const MOST_BYTES = Math.ceil((MAX_DOCUMENT * 4) / 3) + 4096;
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** @throws {TollgateError} TG_CREDENTIAL_FORM, TG_CREDENTIAL_ALGORITHM */
export function parseJws(bytes: Uint8Array, file: string): ParsedJws {
  const place = { file };
  const refuse = (message: string) => new TollgateError('TG_CREDENTIAL_FORM', message, { place });
  if (bytes.length > MOST_BYTES) throw refuse(`it has ${bytes.length} bytes, at most ${MOST_BYTES} are taken`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('latin1')
    .replace(/[\0- ]+$/, '');
  if (!FORM.test(text)) throw refuse('a credential is three parts of base64url with points between them');
  const [head, body, tail] = text.split('.') as [string, string, string];
  const parts = [head, body, tail].map((part) => decodeStrictly(part));
  if (parts.some((part) => part === null)) throw refuse('a part is not base64url in its one spelling');
  const [header, payload, signature] = parts as [Buffer, Buffer, Buffer];
  const { algorithm, kid } = readHeader(header, file);
  if (signature.length !== SIGNATURE_BYTES)
    throw refuse(`the signature has ${signature.length} bytes, not ${SIGNATURE_BYTES}`);
  return { algorithm, kid, payload, signed: Buffer.from(`${head}.${body}`, 'latin1'), signature };
}

function readHeader(header: Uint8Array, file: string): { algorithm: string; kid: string } {
  const code = 'TG_CREDENTIAL_FORM';
  const { text, root } = parseJson(header, file, code);
  const reader = new DocumentReader(file, text, { unknownKey: code, value: code });
  const object = reader.record(root, 'the header of a credential', HEADER_KEYS);
  const word = (key: string) => reader.text(reader.need(object, key, 'the header of a credential'), key);
  const algorithm = word('alg');
  if (!ALGORITHMS.includes(algorithm)) {
    const message = `credentials are signed with ${ALGORITHMS.join(' or ')}, not "${algorithm}"`;
    throw reader.fault('TG_CREDENTIAL_ALGORITHM', object.entries.get('alg')!.value, message);
  }
  if (word('typ') !== TYPE) throw reader.wrong(object.entries.get('typ')!.value, `typ must be "${TYPE}"`);
  const content = reader.get(object, 'cty');
  if (content !== undefined && reader.text(content, 'cty') !== CONTENT_TYPE)
    throw reader.wrong(content, `cty must be "${CONTENT_TYPE}"`);
  return { algorithm, kid: word('kid') };
}

/** One value has one spelling: unused bits of the last character must be 0. */
function decodeStrictly(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}

/** Whether the key signed it; the algorithm is the key's, and the header must say the same (RFC 8725 §3.1). */
export function isSignedBy({ algorithm, signed, signature }: ParsedJws, { algorithm: own, key }: IssuerKey): boolean {
  if (algorithm !== own) return false;
  return own === 'EdDSA'
    ? verify(null, signed, key, signature)
    : verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** Signs a credential. @param payload the credential as JSON */
export function signJws(payload: object, kid: string, algorithm: Algorithm, key: KeyObject): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: algorithm, kid, typ: TYPE, cty: CONTENT_TYPE })}.${part(payload)}`;
  const bytes = Buffer.from(signed);
  const signature =
    algorithm === 'EdDSA' ? sign(null, bytes, key) : sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}
