import { TollgateError } from '#contracts';
import type { ColumnType, TableColumn } from '../schema.ts';
import { malformed } from './coder.ts';
import type { ColumnCodec } from './column.ts';
import { bytesCost, codeFloats } from './floats.ts';
import { codeTree, TREE } from './head.ts';
import { INTEGER_LIMIT, type IntegerColumn } from './integers.ts';
import { codeOrdered, type OrderedPlan, planOrdered } from './ordered.ts';

/** Low 26 bits of a large number: what lies above fits 27 bits and a sign for 53 bits. */
const LIMB = 2 ** 26;
/** How a column of floats stands in a record. */
const FORM_WHOLE = 0;
const FORM_RATIO = 1;
const FORM_BYTES = 2;
const FORM_ORDERED = 3;
/** Counts up to here are looked for behind a mean: a 1 ms message in a window of 1 s. */
const MAX_DENOMINATOR = 1024;

/** What one column of a table is, and how much of it there is. */
export interface Extent {
  readonly type: ColumnType;
  readonly signed: boolean;
  readonly rows: number;
  /** Rows that are present, at least 1. */
  readonly count: number;
  readonly present: Uint8Array | null;
  /** For errors. */
  readonly place: string;
}

export function writeCells(codec: ColumnCodec, extent: Extent, { values, low }: TableColumn): void {
  if (extent.type === 'int') writeInt(codec, extent, values);
  else if (extent.type === 'wide') {
    if (low === undefined) refuse(`${extent.place} is wide and has no low words`);
    writeWide(codec, extent, values, low);
  } else writeFloat(codec, extent, values);
}

/** Fills `values` (and `low`) where a row is present; they come zeroed. */
export function readCells(codec: ColumnCodec, extent: Extent, { values, low }: TableColumn): void {
  if (extent.type === 'int') readInt(codec, extent, values);
  else if (extent.type === 'wide') readWide(codec, extent, values, low!);
  else readFloat(codec, extent, values);
}

function writeInt(codec: ColumnCodec, { rows, count, present, place }: Extent, cells: Float64Array): void {
  let large = 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = cells[i]!;
    if (!Number.isSafeInteger(value)) refuse(`${place} holds something else than a whole number of 53 bits`);
    if (value >= INTEGER_LIMIT || value < -INTEGER_LIMIT) large = 1;
  }
  codec.coder.single(large, TREE.large);
  const column = codec.next(rows);
  if (large === 0) {
    for (let i = 0; i < rows; i++) column.values[i] = cells[i]!;
    codec.code(column, rows, count, present);
    return;
  }
  const high = codec.next(rows);
  for (let i = 0; i < rows; i++) {
    const top = Math.floor(cells[i]! / LIMB);
    high.values[i] = top;
    column.values[i] = cells[i]! - top * LIMB;
  }
  codec.code(high, rows, count, present);
  codec.code(column, rows, count, present);
}

function readInt(codec: ColumnCodec, { rows, count, present }: Extent, cells: Float64Array): void {
  const large = codec.coder.single(0, TREE.large);
  const column = codec.next(rows);
  const high = large === 1 ? codec.next(rows) : null;
  if (high !== null) codec.code(high, rows, count, present);
  codec.code(column, rows, count, present);
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const below = column.values[i]!;
    if (high === null) {
      cells[i] = below;
      continue;
    }
    const value = high.values[i]! * LIMB + below;
    if (below < 0 || below >= LIMB || !Number.isSafeInteger(value)) malformed('a value lies outside its range');
    cells[i] = value;
  }
}

/** 64 bits as limbs of 12 (signed or not), 26 and 26 bits, highest first. */
function writeWide(
  codec: ColumnCodec,
  { rows, count, present, place, signed }: Extent,
  high: Float64Array,
  low: Float64Array,
): void {
  const top = codec.next(rows);
  const middle = codec.next(rows);
  const bottom = codec.next(rows);
  const least = signed ? -(2 ** 31) : 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const h = high[i]!;
    const l = low[i]!;
    if (!Number.isInteger(h) || h < least || h >= least + 2 ** 32 || !Number.isInteger(l) || l < 0 || l >= 2 ** 32) {
      refuse(`${place} holds something else than words of 32 bits`);
    }
    const t = Math.floor(h / 2 ** 20);
    const m = Math.floor(l / LIMB);
    top.values[i] = t;
    middle.values[i] = (h - t * 2 ** 20) * 64 + m;
    bottom.values[i] = l - m * LIMB;
  }
  codec.code(top, rows, count, present);
  codec.code(middle, rows, count, present);
  codec.code(bottom, rows, count, present);
}

function readWide(
  codec: ColumnCodec,
  { rows, count, present, signed }: Extent,
  high: Float64Array,
  low: Float64Array,
): void {
  const top = codec.next(rows);
  const middle = codec.next(rows);
  const bottom = codec.next(rows);
  codec.code(top, rows, count, present);
  codec.code(middle, rows, count, present);
  codec.code(bottom, rows, count, present);
  const least = signed ? -2048 : 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const t = top.values[i]!;
    const m = middle.values[i]!;
    const b = bottom.values[i]!;
    if (t < least || t >= least + 4096 || m < 0 || m >= LIMB || b < 0 || b >= LIMB) {
      malformed('a value lies outside its range');
    }
    high[i] = t * 2 ** 20 + Math.floor(m / 64);
    low[i] = (m % 64) * LIMB + b;
  }
}

function writeFloat(codec: ColumnCodec, extent: Extent, cells: Float64Array): void {
  const { rows, count, present, type, place } = extent;
  const single = type === 'float32';
  let whole = true;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = cells[i]!;
    if (single && !Number.isNaN(value) && Math.fround(value) !== value) refuse(`${place} holds no float32`);
    if (!isRatio(value, 1)) whole = false;
  }
  if (whole) {
    codeTree(codec.coder, FORM_WHOLE, 2, TREE.floatForm);
    const column = codec.next(rows);
    for (let i = 0; i < rows; i++) column.values[i] = cells[i]!;
    codec.code(column, rows, count, present);
    return;
  }
  if (!single && writeRatio(codec, extent, cells)) return;
  const column = codec.next(rows);
  const near = planOrdered(ordered, column, rows, present, cells, single);
  if (near && orderedCost(codec, extent, column) < bytesCost(rows, present, cells, single)) {
    codeTree(codec.coder, FORM_ORDERED, 2, TREE.floatForm);
    codeOrdered(codec, ordered, column, rows, count, present, cells, single);
    return;
  }
  codec.drop(1);
  codeTree(codec.coder, FORM_BYTES, 2, TREE.floatForm);
  codeFloats(codec.coder, rows, present, cells, single);
}

/** Reused from column to column. */
const ordered: OrderedPlan = { high: 0, low: 0, shift: 0 };

/** About what the floats cost by their order, bits. */
function orderedCost(codec: ColumnCodec, { rows, count, present, type }: Extent, column: IntegerColumn): number {
  const head = type === 'float32' ? 40 : 72;
  return head + ordered.shift * count + (count > 1 ? codec.estimate(column, rows, count, present) : 0);
}

/** Means are sums over small counts: writes q and p where every value is p / q with a small q. */
function writeRatio(codec: ColumnCodec, { rows, count, present }: Extent, cells: Float64Array): boolean {
  const above = codec.next(rows);
  const below = codec.next(rows);
  let q = 1;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = cells[i]!;
    if (!isRatio(value, q)) {
      q = denominator(value);
      if (q === 0) {
        codec.drop(2);
        return false;
      }
    }
    above.values[i] = Math.round(value * q);
    below.values[i] = q;
  }
  codeTree(codec.coder, FORM_RATIO, 2, TREE.floatForm);
  codec.code(below, rows, count, present);
  codec.code(above, rows, count, present);
  return true;
}

function denominator(value: number): number {
  for (let q = 1; q <= MAX_DENOMINATOR; q++) if (isRatio(value, q)) return q;
  return 0;
}

function isRatio(value: number, q: number): boolean {
  // + 0: a −0 has no place among whole numbers.
  const p = Math.round(value * q) + 0;
  return p > -INTEGER_LIMIT && p < INTEGER_LIMIT && Object.is(p / q, value);
}

function readFloat(codec: ColumnCodec, extent: Extent, cells: Float64Array): void {
  const { rows, count, present, type } = extent;
  const single = type === 'float32';
  const form = codeTree(codec.coder, 0, 2, TREE.floatForm);
  if (form === FORM_BYTES) {
    codeFloats(codec.coder, rows, present, cells, single);
    return;
  }
  if (form === FORM_RATIO && single) malformed('a column of float32 has an unknown form');
  const above = codec.next(rows);
  if (form === FORM_ORDERED) {
    codeOrdered(codec, ordered, above, rows, count, present, cells, single);
    return;
  }
  const below = form === FORM_RATIO ? codec.next(rows) : null;
  if (below !== null) codec.code(below, rows, count, present);
  codec.code(above, rows, count, present);
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const q = below === null ? 1 : below.values[i]!;
    if (q < 1 || q > MAX_DENOMINATOR) malformed('a value lies outside its range');
    const value = above.values[i]! / q;
    if (single && Math.fround(value) !== value) malformed('a value is no float32');
    cells[i] = value;
  }
}

/** A table that its schema does not fit. */
export function refuse(what: string): never {
  throw new TollgateError('TG_WIRE_RECORD_VALUE', what);
}
