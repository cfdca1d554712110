import { TollgateError } from '#contracts';
import { concat } from './bytes.ts';
import { HASH_BYTES, type Sha256 } from './merkle.ts';

/**
 * The fields of a leaf that a verifier needs, read without a CBOR library: the verifier stands alone. `wire/` encodes
 * leaves; the form is that of `wire/leaf.cddl`:
 * `[1, kind, boot_id: bstr8, boottime_ms: uint, utc_ms: int / null, body_hash: bstr32, extra]`.
 */
export interface LeafView {
  readonly kind: number;
  readonly bootId: Uint8Array;
  readonly boottimeMs: number;
  readonly utcMs: number | null;
  readonly bodyHash: Uint8Array;
  /** Of kind `record` (1): `[stream: bstr8, seq, agreement_tag: bstr8, chain: bstr32]`. */
  readonly record: RecordLink | null;
}

export interface RecordLink {
  readonly stream: Uint8Array;
  readonly seq: number;
  readonly agreementTag: Uint8Array;
  readonly chain: Uint8Array;
}

/** Leaf kind of a record that left. */
export const KIND_RECORD = 1;
/** Names of the leaf kinds, by number. */
export const LEAF_KINDS = [
  'boot',
  'record',
  'decision',
  'consent',
  'key',
  'document',
  'gap',
  'time jump',
  'ack',
  'express',
  'meter',
] as const;

const VERSION = 1;
const LEAF_ITEMS = 7;
const LINK_ITEMS = 4;
const ID_BYTES = 8;
const NULL = 0xf6;

/** CBOR major types, RFC 8949 §3.1. */
const UINT = 0;
const NINT = 1;
const BYTES = 2;
const ARRAY = 4;

/**
 * @throws {TollgateError} TG_LEDGER_LEAF when the bytes are no leaf, or their CBOR is not the deterministic one
 */
export function readLeaf(leaf: Uint8Array): LeafView {
  const reader = new Reader(leaf);
  reader.exactly(ARRAY, LEAF_ITEMS, 'a leaf is an array of 7');
  reader.exactly(UINT, VERSION, 'the version of a leaf is 1');
  const kind = reader.count(UINT, 'kind');
  const bootId = reader.bytes(ID_BYTES, 'boot id');
  const boottimeMs = reader.count(UINT, 'boottime');
  const utcMs = reader.integerOrNull('UTC');
  const bodyHash = reader.bytes(HASH_BYTES, 'body hash');
  if (kind !== KIND_RECORD) {
    if (reader.atEnd) throw wrong(reader.at, 'the last item is missing');
    return { kind, bootId, boottimeMs, utcMs, bodyHash, record: null };
  }
  reader.exactly(ARRAY, LINK_ITEMS, 'the last item of a record leaf is an array of 4');
  const stream = reader.bytes(ID_BYTES, 'stream');
  const seq = reader.count(UINT, 'sequence number');
  const agreementTag = reader.bytes(ID_BYTES, 'agreement tag');
  const chain = reader.bytes(HASH_BYTES, 'chain');
  if (!reader.atEnd) throw wrong(reader.at, 'bytes follow the leaf');
  return { kind, bootId, boottimeMs, utcMs, bodyHash, record: { stream, seq, agreementTag, chain } };
}

/** Hash of a record that reveals nothing without the salt: SHA-256(salt16 ‖ record CBOR). */
export function bodyHash(salt: Uint8Array, record: Uint8Array, sha256: Sha256): Uint8Array {
  return sha256(concat(salt, record));
}

/** Chain value before seq 0: SHA-256(stream). */
export function chainStart(stream: Uint8Array, sha256: Sha256): Uint8Array {
  return sha256(stream);
}

/** Chain value of a record: SHA-256(chain of seq − 1 ‖ body hash). */
export function chainNext(previous: Uint8Array, body: Uint8Array, sha256: Sha256): Uint8Array {
  return sha256(concat(previous, body));
}

/** Deterministic CBOR (RFC 8949 §4.2) as far as leaves use it. */
class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  /** Head of an item: its major type and argument, in the shortest form. */
  #head(what: string): { major: number; value: number } {
    const start = this.at;
    const first = this.#byte(what);
    const low = first & 0x1f;
    if (low < 24) return { major: first >> 5, value: low };
    if (low > 27) throw wrong(start, `${what}: not a definite length`);
    let value = 0;
    for (let i = 0; i < 2 ** (low - 24); i++) value = value * 256 + this.#byte(what);
    const least = low === 24 ? 24 : 256 ** (2 ** (low - 25));
    if (value < least || !Number.isSafeInteger(value))
      throw wrong(start, `${what}: not the shortest form, or too large`);
    return { major: first >> 5, value };
  }

  #byte(what: string): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw wrong(this.#bytes.length, `${what}: the leaf ends here`);
    return byte;
  }

  count(major: number, what: string): number {
    const start = this.at;
    const head = this.#head(what);
    if (head.major !== major) throw wrong(start, `${what}: major type ${head.major}, not ${major}`);
    return head.value;
  }

  exactly(major: number, value: number, what: string): void {
    const start = this.at;
    if (this.count(major, what) !== value) throw wrong(start, what);
  }

  bytes(length: number, what: string): Uint8Array {
    const start = this.at;
    if (this.count(BYTES, what) !== length) throw wrong(start, `${what}: not ${length} bytes`);
    if (this.at + length > this.#bytes.length) throw wrong(this.#bytes.length, `${what}: the leaf ends here`);
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  integerOrNull(what: string): number | null {
    if (this.#bytes[this.at] === NULL) {
      this.at++;
      return null;
    }
    const start = this.at;
    const { major, value } = this.#head(what);
    if (major !== UINT && major !== NINT) throw wrong(start, `${what}: neither an integer nor null`);
    return major === UINT ? value : -1 - value;
  }
}

function wrong(at: number, message: string): TollgateError {
  return new TollgateError('TG_LEDGER_LEAF', `byte ${at}: ${message}`);
}
