import type { Field } from '../field.ts';
import type { MessagePlan, PlanCell } from '../plan.ts';

/**
 * What the SIMD form needs to know of a message, as data: the same few instructions decode every message, so the code
 * stays in the first-level cache however large the database is, and no jump depends on what a frame is.
 *
 * A double of the value 2^(52 − s) has a last bit that weighs 2^−s. So a field that lies at bit s of its 48 bits is put
 * below the exponent of that number as it is, and one subtraction leaves its raw integer: no shift, no conversion, and
 * exact, because both numbers and their difference are multiples of 2^−s below 2^53 of them. The sign bit of a signed
 * field is turned over beforehand, which adds 2^(bits − 1), and subtracted with the rest.
 *
 * | offset | size    | field                                                                            |
 * |-------:|--------:|----------------------------------------------------------------------------------|
 * |      0 |      16 | bits to turn over in the payload, then the bytes 0xF0 and 0x43 for exponents     |
 * |     16 | 48 · n  | pairs of neighbouring cells: bytes to take, mask, what to subtract, 16 bytes each |
 */
export interface Shape {
  /** Fields of the cells, in their order. */
  readonly fields: readonly Field[];
  /** Last byte of the payload that each cell's signal needs. */
  readonly lasts: readonly number[];
  /** Sign bits in the payload, 8 bytes. */
  readonly turned: Uint8Array;
}

export const SHAPE_PAIRS = 16;
export const PAIR_BYTES = 48;

const VECTOR_BYTES = 16;
const LANE_BYTES = 8;
const CLASSIC_BYTES = 8;
/** Bits of a lane below the two bytes of the exponent. */
const FIELD_BITS = 48;
const MANTISSA_BITS = 52;
/** Exponent of 2^52 with its bias, as the two highest bytes of a double (IEEE 754 binary64). */
const EXPONENT = 0x4330;
/** Bytes of which the masks cut every exponent that occurs: 0xF0 & n, 0x43 & 0x43 or 0x42. */
const EXPONENT_SOURCE = [0xf0, 0x43] as const;
/** An index that swizzle answers with 0. */
const NOTHING = 0x80;
/** One presence word. */
const MOST_CELLS = 64;

/** @returns null where the message has multiplexers, floats or fields that do not fit, and needs code of its own */
export function shapeOf({ layout, root, need, length }: MessagePlan): Shape | null {
  if (root.selectors.length > 0 || layout.cells > MOST_CELLS || Math.max(need, length) > CLASSIC_BYTES) return null;
  const fields = new Array<Field>(layout.cells);
  const lasts = new Array<number>(layout.cells);
  for (const cell of root.cells) {
    const parts = partsOf(cell);
    if (parts === null) return null;
    for (const [i, part] of parts.entries()) {
      fields[cell.layout.cell + i] = part;
      lasts[cell.layout.cell + i] = cell.field.last;
    }
  }
  const turned = turnedBits(fields);
  return turned === null ? null : { fields, lasts, turned };
}

/** The fields of a cell, or of the two of a wide signal: its high word and its low one. */
function partsOf({ field }: PlanCell): Field[] | null {
  const { last, shift, bits, kind, signed } = field;
  if (last >= CLASSIC_BYTES) return null;
  if (kind === 'int') return shift + bits <= FIELD_BITS ? [field] : null;
  return kind === 'wide' ? [partOf(field, 4, bits - 32, signed), partOf(field, 0, 32, false)] : null;
}

/** `bits` bits of a field from `skip` bytes above its lowest bit. */
function partOf(field: Field, skip: number, bits: number, signed: boolean): Field {
  const { first, last, shift, bigEndian } = field;
  const span = Math.ceil((shift + bits) / 8);
  const place = bigEndian
    ? { first: last - skip - span + 1, last: last - skip }
    : { first: first + skip, last: first + skip + span - 1 };
  return { ...field, ...place, bits, signed, kind: 'int' };
}

/** Sign bits of the signed fields in the payload; null where one of them is also a bit of another field. */
function turnedBits(fields: readonly Field[]): Uint8Array | null {
  const signs = new Uint8Array(CLASSIC_BYTES);
  const values = new Uint8Array(CLASSIC_BYTES);
  for (const { first, last, shift, bits, signed, bigEndian } of fields) {
    for (let bit = 0; bit < bits; bit++) {
      const place = shift + bit;
      const byte = bigEndian ? last - (place >> 3) : first + (place >> 3);
      (signed && bit === bits - 1 ? signs : values)[byte]! |= 1 << (place & 7);
    }
  }
  return signs.some((byte, i) => (byte & values[i]!) !== 0) ? null : signs;
}

/** Blocks of `block` pairs behind the front one. */
export function backBlocks(cells: number, block: number): number {
  return Math.max(0, Math.ceil(cells / (2 * block)) - 1);
}

/**
 * First cells of the pairs of the `simd` form: a block from the first cell on, in which pairs beyond the last cell take
 * nothing, then a block that ends with the last cell, one that ends where that one starts, and so on until all are taken.
 */
export function blockPairs(cells: number, block: number): number[] {
  const starts = [0];
  for (let i = 1; i <= backBlocks(cells, block); i++) starts.push(cells - 2 * block * i);
  return starts.flatMap((start) => Array.from({ length: block }, (_, i) => start + 2 * i));
}

/** First cells of the pairs of the `grouped` form: the last two cells, which may be one of the pair before, then all before. */
export function exactPairs(cells: number): number[] {
  return [cells - 2, ...Array.from({ length: Math.ceil(cells / 2) - 1 }, (_, i) => 2 * i)];
}

export function shapeBytes(pairs: readonly number[]): number {
  return SHAPE_PAIRS + pairs.length * PAIR_BYTES;
}

/** Writes a shape, null for one that takes nothing, at the start of `bytes`. */
export function writeShape(shape: Shape | null, pairs: readonly number[], bytes: Uint8Array): void {
  bytes.set(EXPONENT_SOURCE, CLASSIC_BYTES);
  if (shape !== null) bytes.set(shape.turned);
  for (const [i, cell] of pairs.entries()) {
    const at = SHAPE_PAIRS + i * PAIR_BYTES;
    writePair(bytes.subarray(at, at + PAIR_BYTES), [shape?.fields[cell], shape?.fields[cell + 1]]);
  }
}

function writePair(bytes: Uint8Array, pair: readonly (Field | undefined)[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PAIR_BYTES);
  bytes.fill(NOTHING, 0, VECTOR_BYTES);
  for (const [lane, field] of pair.entries()) {
    if (field === undefined) continue;
    const { first, last, shift, bits, signed, bigEndian } = field;
    const from = lane * LANE_BYTES;
    for (let i = 0; i <= last - first; i++) view.setUint8(from + i, bigEndian ? last - i : first + i);
    view.setUint8(from + LANE_BYTES - 2, CLASSIC_BYTES);
    view.setUint8(from + LANE_BYTES - 1, CLASSIC_BYTES + 1);
    // The mask in two parts, so that no BigInt is made for each cell: high word with the exponent, low word.
    const mask = 2 ** (bits + shift) - 2 ** shift;
    view.setUint32(VECTOR_BYTES + from, mask % 2 ** 32, true);
    view.setUint32(VECTOR_BYTES + from + 4, (EXPONENT - shift * 16) * 2 ** 16 + Math.floor(mask / 2 ** 32), true);
    view.setFloat64(2 * VECTOR_BYTES + from, 2 ** (MANTISSA_BITS - shift) + (signed ? 2 ** (bits - 1) : 0), true);
  }
}

/** Most pairs that one block holds; more would push constants out of the first-level cache. */
const MOST_BLOCK = 12;
/** What it costs to come back to a frame for another block, in pairs (measured). */
const RETURN_COST = 8;

/** Pairs of a block so that frames spread evenly over the messages cost least. */
export function bestBlock(shapes: readonly (Shape | null)[]): number {
  const costs = Array.from({ length: MOST_BLOCK }, (_, i) => {
    const block = i + 1;
    return shapes.reduce(
      (sum, shape) => sum + block + backBlocks(shape?.fields.length ?? 0, block) * (RETURN_COST + block),
      0,
    );
  });
  return 1 + costs.indexOf(Math.min(...costs));
}
