import { malformed } from './coder.ts';
import { MAX_RECORD_BYTES } from './record.ts';

/** The outer form of a record, `record.cddl`. */
export interface OuterRecord {
  /** 8 bytes. */
  readonly schemaHash8: Uint8Array;
  readonly t0Ms: number;
  /** The range coder's bytes. */
  readonly columns: Uint8Array;
  readonly samples: number;
}

/** Version of the record's form. */
const VERSION = 1;
const HASH_BYTES = 8;
const UNSIGNED = 0;
const BYTES = 2;
const ARRAY = 4;
/** The longest head of everything around the columns. */
const FRAME_BYTES = 64;

const scratch = new Uint8Array(FRAME_BYTES);

/** Deterministic CBOR (RFC 8949 §4.2.1), written here because this is the one hot encoding of the room. */
export function encodeOuter({ schemaHash8, t0Ms, columns, samples }: OuterRecord): Uint8Array {
  let at = head(scratch, 0, ARRAY, 5);
  at = head(scratch, at, UNSIGNED, VERSION);
  at = head(scratch, at, BYTES, HASH_BYTES);
  scratch.set(schemaHash8, at);
  at = head(scratch, at + HASH_BYTES, UNSIGNED, t0Ms);
  at = head(scratch, at, BYTES, columns.length);
  const end = head(scratch, at, UNSIGNED, samples);
  const out = new Uint8Array(end + columns.length);
  out.set(scratch.subarray(0, at));
  out.set(columns, at);
  out.set(scratch.subarray(at, end), at + columns.length);
  return out;
}

export function decodeOuter(bytes: Uint8Array): OuterRecord {
  if (bytes.length > MAX_RECORD_BYTES + FRAME_BYTES) malformed(`a record has ${bytes.length} bytes`);
  const reader = new HeadReader(bytes);
  if (reader.head(ARRAY) !== 5) malformed('a record is an array of five');
  const version = reader.head(UNSIGNED);
  if (version !== VERSION) malformed(`version ${version} of the record is unknown; this reads ${VERSION}`);
  if (reader.head(BYTES) !== HASH_BYTES) malformed('the hash of the schema has eight bytes');
  const schemaHash8 = reader.take(HASH_BYTES);
  const t0Ms = reader.head(UNSIGNED);
  const columns = reader.take(reader.head(BYTES));
  const samples = reader.head(UNSIGNED);
  if (reader.at !== bytes.length) malformed('bytes follow the record');
  return { schemaHash8, t0Ms, columns, samples };
}

function head(out: Uint8Array, at: number, major: number, value: number): number {
  const type = major << 5;
  if (value < 24) {
    out[at] = type | value;
    return at + 1;
  }
  const size = value < 2 ** 8 ? 1 : value < 2 ** 16 ? 2 : value < 2 ** 32 ? 4 : 8;
  out[at] = type | (23 + (size === 1 ? 1 : size === 2 ? 2 : size === 4 ? 3 : 4));
  let rest = value;
  for (let i = size; i >= 1; i--) {
    out[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + 1 + size;
}

class HeadReader {
  at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The argument of a head of `major`, in its shortest form. */
  head(major: number): number {
    const first = this.take(1)[0]!;
    if (first >> 5 !== major) malformed('an item of the record has the wrong type');
    const info = first & 31;
    if (info < 24) return info;
    if (info > 27) malformed('an item of the record has no definite length');
    const size = 1 << (info - 24);
    let value = 0;
    for (const byte of this.take(size)) value = value * 256 + byte;
    if (value < (size === 1 ? 24 : 2 ** (size * 4))) malformed('a number of the record is not in its shortest form');
    if (value > Number.MAX_SAFE_INTEGER) malformed('a number of the record has more than 53 bits');
    return value;
  }

  take(count: number): Uint8Array {
    if (count > this.bytes.length - this.at) malformed('the record ends too early');
    const from = this.at;
    this.at += count;
    return this.bytes.slice(from, this.at);
  }
}
