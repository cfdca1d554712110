import { gunzipSync } from 'node:zlib';
import type { Credential, StatusEntry } from './credential.ts';

/** A list of bits, verified (W3C Bitstring Status List v1.0). */
export interface StatusList {
  /** IRI of the list: id of its credential. */
  readonly list: string;
  readonly issuer: string;
  readonly purpose: StatusEntry['purpose'];
  /** When it was made, ms since 1970 UTC; it gets old from here on, not from its arrival. */
  readonly madeMs: number;
  readonly validUntilMs: number | null;
  readonly bits: Uint8Array;
}

/** Bitstring Status List §2.2: at least 16 KiB, so that an index does not tell who it is. */
const LEAST_BYTES = 16 * 1024;
const MOST_BYTES = 1024 * 1024;

/**
 * Reads the list that a status credential carries.
 *
 * @throws {TollgateError} TG_CREDENTIAL_VALUE, TG_CREDENTIAL_UNKNOWN_KEY, TG_CREDENTIAL_STATUS
 */
export function readStatusList({ id, issuer, subject, reader, validFromMs, validUntilMs }: Credential): StatusList {
  const what = 'a status list';
  const object = reader.record(subject, what, ['id', 'type', 'statusPurpose', 'encodedList', 'ttl']);
  const need = (key: string) => reader.need(object, key, what);
  if (id === null) throw reader.wrong(object, 'the credential of a status list needs an id: entries name it');
  const type = need('type');
  if (reader.text(type, 'type') !== 'BitstringStatusList') throw reader.wrong(type, 'type must be BitstringStatusList');
  const purposeNode = need('statusPurpose');
  const purpose = reader.text(purposeNode, 'statusPurpose');
  if (purpose !== 'revocation' && purpose !== 'suspension')
    throw reader.wrong(purposeNode, `"${purpose}" is neither revocation nor suspension`);
  const ttl = reader.get(object, 'ttl');
  const ttlMs = ttl === undefined ? null : reader.integer(ttl, 'ttl', 0, Number.MAX_SAFE_INTEGER);
  const encoded = need('encodedList');
  const text = reader.text(encoded, 'encodedList');
  const bits = text.startsWith('u') ? unpack(text.slice(1)) : null;
  if (bits === null) {
    const message = `the list must be gzip in base64url after "u", of ${LEAST_BYTES} to ${MOST_BYTES} bytes`;
    throw reader.fault('TG_CREDENTIAL_STATUS', encoded, message);
  }
  const ends = [validUntilMs, ttlMs === null ? null : validFromMs + ttlMs].filter((one) => one !== null);
  const until = ends.length === 0 ? null : Math.min(...ends);
  return { list: id, issuer, purpose, madeMs: validFromMs, validUntilMs: until, bits };
}

function unpack(text: string): Uint8Array | null {
  try {
    const packed = Buffer.from(text, 'base64url');
    if (packed.toString('base64url') !== text) return null;
    // The bound holds while it unpacks: a small text must not become a large memory.
    const bits = gunzipSync(packed, { maxOutputLength: MOST_BYTES });
    return bits.length < LEAST_BYTES ? null : bits;
  } catch {
    return null;
  }
}

/** Bit of an index, most significant first (§2.2); null where the list is shorter. */
export function statusBit({ bits }: StatusList, index: number): boolean | null {
  const byte = bits[index >>> 3];
  return byte === undefined ? null : ((byte >>> (7 - (index & 7))) & 1) === 1;
}
