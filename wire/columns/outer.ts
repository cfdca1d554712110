import { TollgateError } from '#contracts';
import { type CborValue, decodeCbor, decodeCborFirst, encodeCbor } from '../cbor.ts';
import { NO_TIMING, type Timing } from '../schema.ts';
import { malformed } from './coder.ts';
import { MAX_RECORD_BYTES } from './record.ts';

/** The outer form of a record, `record.cddl`. */
export interface OuterRecord {
  /** 8 bytes. */
  readonly schemaHash8: Uint8Array;
  readonly t0Ms: number;
  /** The range coder's bytes. */
  readonly columns: Uint8Array;
  /** Groups of windows whose last window had not ended when the record was cut; rising, mostly empty. */
  readonly partial: readonly number[];
}

/** Version of the record's form. */
const VERSION = 1;
export const HASH_BYTES = 8;
/** Room for all around the columns: 25 bytes, and three a partial group of at most 4,096. */
const FRAME_BYTES = 12 * 1024 + 64;

export function encodeOuter({ schemaHash8, t0Ms, columns, partial }: OuterRecord): Uint8Array {
  const items = [VERSION, schemaHash8, t0Ms, columns];
  return encodeCbor(partial.length === 0 ? items : [...items, [...partial]]);
}

export function decodeOuter(bytes: Uint8Array): OuterRecord {
  if (bytes.length > MAX_RECORD_BYTES + FRAME_BYTES) malformed(`a record has ${bytes.length} bytes`);
  const record = parse(() => decodeCbor(bytes));
  if (!Array.isArray(record) || record.length < 4 || record.length > 5)
    return malformed('a record is an array of four or five');
  const [version, schemaHash8, t0Ms, columns, partial = []]: readonly CborValue[] = record;
  if (version !== VERSION) malformed(`a record of another version than ${VERSION}`);
  if (!(schemaHash8 instanceof Uint8Array) || schemaHash8.length !== HASH_BYTES) {
    return malformed('the hash of the schema has eight bytes');
  }
  if (!isUnsigned(t0Ms)) return malformed('the start of the record is no unsigned number of 53 bits');
  if (!(columns instanceof Uint8Array)) return malformed('the columns are a byte string');
  if (!isRising(partial) || (record.length === 5 && partial.length === 0))
    return malformed('the partial groups are a rising list');
  return { schemaHash8, t0Ms, columns, partial };
}

/**
 * A record as it is sealed, without what its session says already: version and hash of the schema are gone, the start
 * is told from where the session expects it, and the columns take the rest of the bytes. `record.cddl`, `packed_head`.
 *
 * @param schemaHash of the session, 32 bytes
 * @throws {TollgateError} TG_WIRE_RECORD_MALFORMED for a record of another schema
 */
export function packRecord(record: Uint8Array, seq: number, schemaHash: Uint8Array, timing?: Timing): Uint8Array {
  const { schemaHash8, t0Ms, columns, partial } = decodeOuter(record);
  if (Buffer.compare(schemaHash8, schemaHash.subarray(0, HASH_BYTES)) !== 0)
    malformed('the record names another schema than its session');
  const late = t0Ms - expectedStart(seq, timing);
  const head = encodeCbor(partial.length === 0 ? late : [late, ...partial]);
  const packed = new Uint8Array(head.length + columns.length);
  packed.set(head);
  packed.set(columns, head.length);
  return packed;
}

/**
 * The record that `packRecord` packed, to the byte: what is hashed and disclosed.
 *
 * @throws {TollgateError} TG_WIRE_RECORD_MALFORMED
 */
export function unpackRecord(packed: Uint8Array, seq: number, schemaHash: Uint8Array, timing?: Timing): Uint8Array {
  if (packed.length > MAX_RECORD_BYTES + FRAME_BYTES) malformed(`a record has ${packed.length} bytes`);
  const { value, length } = parse(() => decodeCborFirst(packed));
  const [late, ...partial]: readonly CborValue[] = Array.isArray(value) ? value : [value];
  if (Array.isArray(value) && partial.length === 0) malformed('the partial groups are a rising list');
  if (typeof late !== 'number' || !isRising(partial)) return malformed('the head of a packed record has another form');
  const t0Ms = expectedStart(seq, timing) + late;
  if (!Number.isSafeInteger(t0Ms) || t0Ms < 0) malformed('the start of the record is no unsigned number of 53 bits');
  return encodeOuter({
    schemaHash8: schemaHash.subarray(0, HASH_BYTES),
    t0Ms,
    columns: packed.subarray(length),
    partial,
  });
}

/** Where the session expects record `seq` to start, ms of boottime. */
function expectedStart(seq: number, { baseMs, stepMs }: Timing = NO_TIMING): number {
  const start = baseMs + seq * stepMs;
  return Number.isSafeInteger(start) ? start : malformed('the session expects no record of this number');
}

function isRising(value: CborValue): value is readonly number[] {
  return Array.isArray(value) && value.every((group, i) => isUnsigned(group) && (i === 0 || group > value[i - 1]));
}

const isUnsigned = (value: CborValue): value is number => typeof value === 'number' && value >= 0;

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TollgateError) return malformed(`the record is not CBOR: ${error.message}`);
    throw error;
  }
}
