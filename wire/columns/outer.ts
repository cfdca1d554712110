import { TollgateError } from '#contracts';
import { type CborValue, decodeCbor, encodeCbor } from '../cbor.ts';
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
  /** Groups of windows whose last window had not ended when the record was cut; rising, mostly empty. */
  readonly partial: readonly number[];
}

/** Version of the record's form. */
const VERSION = 1;
export const HASH_BYTES = 8;
/** Room for everything around the columns: 33 bytes at most. */
const FRAME_BYTES = 64;

export function encodeOuter({ schemaHash8, t0Ms, columns, samples, partial }: OuterRecord): Uint8Array {
  const items = [VERSION, schemaHash8, t0Ms, columns, samples];
  return encodeCbor(partial.length === 0 ? items : [...items, [...partial]]);
}

export function decodeOuter(bytes: Uint8Array): OuterRecord {
  if (bytes.length > MAX_RECORD_BYTES + FRAME_BYTES) malformed(`a record has ${bytes.length} bytes`);
  const record = parse(bytes);
  if (!Array.isArray(record) || record.length < 5 || record.length > 6)
    return malformed('a record is an array of five or six');
  const [version, schemaHash8, t0Ms, columns, samples, partial = []]: readonly CborValue[] = record;
  if (version !== VERSION) malformed(`a record of another version than ${VERSION}`);
  if (!(schemaHash8 instanceof Uint8Array) || schemaHash8.length !== HASH_BYTES) {
    return malformed('the hash of the schema has eight bytes');
  }
  if (!isUnsigned(t0Ms)) return malformed('the start of the record is no unsigned number of 53 bits');
  if (!(columns instanceof Uint8Array)) return malformed('the columns are a byte string');
  if (!isUnsigned(samples)) return malformed('the number of samples is no unsigned number');
  if (!isRising(partial) || (record.length === 6 && partial.length === 0))
    return malformed('the partial groups are a rising list');
  return { schemaHash8, t0Ms, columns, samples, partial };
}

function isRising(value: CborValue): value is readonly number[] {
  return Array.isArray(value) && value.every((group, i) => isUnsigned(group) && (i === 0 || group > value[i - 1]));
}

const isUnsigned = (value: CborValue): value is number => typeof value === 'number' && value >= 0;

function parse(bytes: Uint8Array): CborValue {
  try {
    return decodeCbor(bytes);
  } catch (error) {
    if (error instanceof TollgateError) return malformed(`the record is not CBOR: ${error.message}`);
    throw error;
  }
}
