import { CborFloat, type CborValue, encodeCbor } from './cbor.ts';
import { sha256 } from './hash.ts';
import { type ColumnType, NO_TIMING, type Schema, type SchemaColumn, type SchemaGroup, type Timing } from './schema.ts';
import { Shape } from './shape.ts';

const VERSION = 1;
const HASH_BYTES = 32;
const ID_BYTES = 8;
/** A stream with more columns is more than one record could hold. */
const MAX_COLUMNS = 4096;
const TYPES: readonly ColumnType[] = ['int', 'wide', 'float32', 'float64'];
const RESULTS: readonly SchemaColumn['result'][] = [
  ...(['raw', 'min', 'max', 'mean', 'count', 'last', 'sum', 'cell'] as const),
  ...(['noised', 'pseudonym'] as const),
];
const shape = new Shape('schema');

/** Deterministic CBOR of `schema.cddl`. */
export function encodeSchema(schema: Schema): Uint8Array {
  const { agreement, bootId, utcOffsetMs, utcErrorMs, utcSource, groups, timing = NO_TIMING } = schema;
  return encodeCbor([
    VERSION,
    [agreement.uid, agreement.hash],
    [bootId, utcOffsetMs, utcErrorMs, utcSource],
    groups.map(({ windowMs, columns }) => [windowMs, columns.map(encodeColumn)]),
    isDefault(timing) ? null : [timing.ticksPerMs, timing.baseMs, timing.stepMs],
  ]);
}

/** The usual timing has one form, that of an absent one. */
const isDefault = ({ ticksPerMs, baseMs, stepMs }: Timing) => ticksPerMs === 1 && baseMs === 0 && stepMs === 0;

function encodeColumn({ signal, result, unit, f, o, factor, offset, type, signed }: SchemaColumn): CborValue {
  const floats = [f, o, factor, offset].map((value) => new CborFloat(value));
  return [signal, RESULTS.indexOf(result), unit, ...floats, TYPES.indexOf(type), signed];
}

export function schemaHash(encoded: Uint8Array): Uint8Array {
  return sha256(encoded);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeSchema(bytes: Uint8Array): Schema {
  const [version, agreement, clock, groups, timing] = shape.decode(bytes, 5);
  shape.version(version, VERSION);
  const [uid, hash] = shape.array(agreement, 'agreement', 2);
  const [bootId, utcOffsetMs, utcErrorMs, utcSource] = shape.array(clock, 'clock', 4);
  const decoded = shape.array(groups, 'groups').map(decodeGroup);
  if (decoded.reduce((sum, { columns }) => sum + columns.length, 0) > MAX_COLUMNS)
    shape.refuse('the columns', `at most ${MAX_COLUMNS}`);
  return {
    agreement: { uid: shape.text(uid, 'agreement uid'), hash: shape.bytes(hash, 'agreement hash', HASH_BYTES) },
    bootId: shape.bytes(bootId, 'boot id', ID_BYTES),
    utcOffsetMs: shape.intOrNull(utcOffsetMs, 'UTC offset'),
    utcErrorMs: shape.intOrNull(utcErrorMs, 'UTC error'),
    utcSource: shape.text(utcSource, 'UTC source'),
    groups: decoded,
    ...(timing === null ? {} : { timing: decodeTiming(timing) }),
  };
}

function decodeTiming(value: CborValue): Timing {
  const [ticks, baseMs, stepMs] = shape.array(value, 'timing', 3);
  if (ticks !== 1 && ticks !== 10) return shape.refuse('the ticks of a ms', '1 or 10');
  const timing: Timing = { ticksPerMs: ticks, baseMs: shape.uint(baseMs, 'base'), stepMs: shape.uint(stepMs, 'step') };
  if (isDefault(timing)) shape.refuse('the timing', 'null where it is the usual one');
  return timing;
}

function decodeGroup(value: CborValue): SchemaGroup {
  const [windowMs, columns] = shape.array(value, 'a group', 2);
  return { windowMs: shape.uint(windowMs, 'window'), columns: shape.array(columns, 'columns').map(decodeColumn) };
}

function decodeColumn(value: CborValue): SchemaColumn {
  const [signal, result, unit, f, o, factor, offset, type, signed] = shape.array(value, 'a column', 9);
  return {
    signal: shape.text(signal, 'signal'),
    result: RESULTS[shape.uint(result, 'result')] ?? shape.refuse('the result', 'one of this version'),
    unit: shape.text(unit, 'unit'),
    f: shape.float(f, 'f'),
    o: shape.float(o, 'o'),
    factor: shape.float(factor, 'factor'),
    offset: shape.float(offset, 'offset'),
    type: TYPES[shape.uint(type, 'type')] ?? shape.refuse('the type', 'one of this version'),
    signed: shape.bool(signed, 'signed'),
  };
}
