import type { Schema, Table } from '../schema.ts';
import { refuse } from './cells.ts';
import { malformed } from './coder.ts';
import { decodeOuter, encodeOuter, HASH_BYTES } from './outer.ts';
import { RecordCodec } from './record.ts';

export { MAX_CELLS, MAX_RECORD_BYTES, MAX_ROWS } from './record.ts';

/** A record opened: what `encodeRecord` was given, and the number of values in it. */
export interface DecodedRecord {
  readonly schemaHash8: Uint8Array;
  /** Boottime of the record's start, ms. */
  readonly t0Ms: number;
  readonly tables: Table[];
  /** Values present, times not counted. */
  readonly samples: number;
}

/** Writes the records of one stream; keeps its working memory from record to record, and nothing else. */
export interface RecordEncoder {
  encode(schemaHash8: Uint8Array, t0Ms: number, tables: readonly Table[]): Uint8Array;
}

export function createRecordEncoder(schema: Schema): RecordEncoder {
  const codec = new RecordCodec(schema);
  return {
    encode(schemaHash8, t0Ms, tables) {
      if (schemaHash8.length !== HASH_BYTES) {
        refuse(`the hash of the schema has ${schemaHash8.length} bytes, not ${HASH_BYTES}`);
      }
      if (!Number.isSafeInteger(t0Ms) || t0Ms < 0) refuse('the start of the record is not a whole ms from 0');
      const { bytes } = codec.write(t0Ms, tables);
      const partial = tables.flatMap((table, group) => (table.partial === true && table.rows > 0 ? [group] : []));
      return encodeOuter({ schemaHash8, t0Ms, columns: bytes, partial });
    },
  };
}

/** Reads the records of one stream; as `RecordEncoder`, each record stands alone. */
export interface RecordDecoder {
  decode(bytes: Uint8Array): DecodedRecord;
}

export function createRecordDecoder(schema: Schema): RecordDecoder {
  const codec = new RecordCodec(schema);
  return {
    decode(bytes) {
      const { schemaHash8, t0Ms, columns, partial } = decodeOuter(bytes);
      const record = codec.read(t0Ms, columns);
      for (const group of partial) {
        const table = record.tables[group];
        if (table === undefined || table.rows === 0)
          return malformed(`group ${group} has no window that could be partial`);
        record.tables[group] = { ...table, partial: true };
      }
      return { schemaHash8, t0Ms, tables: record.tables, samples: record.samples };
    },
  };
}

/**
 * One record: tables under their schema → deterministic CBOR of `record.cddl`. Lossless: whole numbers, the bits of
 * floats (any NaN becomes the usual one), which cells are present, times to the schema's tick. A pure function of its arguments.
 *
 * @param schemaHash8 first 8 bytes of the hash of the schema
 * @param t0Ms        boottime of the record's start, whole ms, ≥ 0
 * @throws TG_WIRE_RECORD_VALUE     a table does not fit the schema (whole ticks, 53 bits, float32)
 * @throws TG_WIRE_RECORD_TOO_LARGE more rows, cells or bytes than a record holds: cut it into shorter ones
 */
export function encodeRecord(
  schema: Schema,
  schemaHash8: Uint8Array,
  t0Ms: number,
  tables: readonly Table[],
): Uint8Array {
  return createRecordEncoder(schema).encode(schemaHash8, t0Ms, tables);
}

/**
 * The tables of a record. Absent cells are 0 and marked in `present`, which is null where a column has no gap.
 * Memory is bounded by MAX_CELLS, time by MAX_RECORD_BYTES and MAX_CELLS, whatever the bytes are.
 *
 * @throws TG_WIRE_RECORD_MALFORMED bytes that `encodeRecord` does not make under this schema
 * @throws TG_WIRE_RECORD_TOO_LARGE
 */
export function decodeRecord(schema: Schema, bytes: Uint8Array): DecodedRecord {
  return createRecordDecoder(schema).decode(bytes);
}
