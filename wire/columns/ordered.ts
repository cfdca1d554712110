import { type BitCoder, malformed } from './coder.ts';
import type { ColumnCodec } from './column.ts';
import { codeNumber, HEAD } from './head.ts';
import { INTEGER_LIMIT, type IntegerColumn } from './integers.ts';

/**
 * Floats as whole numbers in their order: neighbours differ by 1, so what moves smoothly has small differences, whatever
 * its mantissa looks like. o(v) = the bits of v, all flipped where the sign is set, else the sign flipped.
 */

const bits = new DataView(new ArrayBuffer(8));
const WORD = 2 ** 32;
const SIGN = 0x8000_0000;
/** The part that goes into a column stays below 2^27. */
const COLUMN_BITS = 27;
/** Differences are exact doubles. */
const MOST_BITS = 53;
const MOST_SHIFT = MOST_BITS - COLUMN_BITS;

/** The words of o(v); the low one alone for float32. */
let high = 0;
let low = 0;

function order(value: number, single: boolean): void {
  if (single) {
    bits.setFloat32(0, value);
    high = 0;
    low = bits.getUint32(0);
    low = (low >= SIGN ? ~low : low ^ SIGN) >>> 0;
    return;
  }
  bits.setFloat64(0, value);
  high = bits.getUint32(0);
  low = bits.getUint32(4);
  if (high >= SIGN) {
    high = ~high >>> 0;
    low = ~low >>> 0;
  } else high = (high ^ SIGN) >>> 0;
}

function floatOf(single: boolean): number {
  if (single) {
    bits.setUint32(0, low >= SIGN ? low ^ SIGN : ~low);
    return bits.getFloat32(0);
  }
  const negative = high < SIGN;
  bits.setUint32(0, negative ? ~high : high ^ SIGN);
  bits.setUint32(4, negative ? ~low : low);
  return bits.getFloat64(0);
}

/** Where the column in work begins, and how many low bits of a difference stand plain. */
export interface OrderedPlan {
  high: number;
  low: number;
  shift: number;
}

const digits = (n: number): number => (n < WORD ? 32 - Math.clz32(n) : 64 - Math.clz32(Math.floor(n / WORD)));

/** Sets `plan` and fills `column` with the upper parts; false where the values lie too far apart, or one is no number. */
export function planOrdered(
  plan: OrderedPlan,
  column: IntegerColumn,
  rows: number,
  present: Uint8Array | null,
  cells: Float64Array,
  single: boolean,
): boolean {
  let mostHigh = -1;
  let mostLow = 0;
  plan.high = WORD;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    if (Number.isNaN(cells[i])) return false;
    order(cells[i]!, single);
    if (high < plan.high || (high === plan.high && low < plan.low)) {
      plan.high = high;
      plan.low = low;
    }
    if (high > mostHigh || (high === mostHigh && low > mostLow)) {
      mostHigh = high;
      mostLow = low;
    }
  }
  const range = (mostHigh - plan.high) * WORD + (mostLow - plan.low);
  if (range >= 2 ** MOST_BITS) return false;
  plan.shift = Math.max(0, digits(range) - COLUMN_BITS);
  const unit = 2 ** plan.shift;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    order(cells[i]!, single);
    column.values[i] = Math.floor(((high - plan.high) * WORD + (low - plan.low)) / unit);
  }
  return true;
}

/** Writes or reads floats by their order; a writer's `plan` and `column` come from `planOrdered`. */
export function codeOrdered(
  codec: ColumnCodec,
  plan: OrderedPlan,
  column: IntegerColumn,
  rows: number,
  count: number,
  present: Uint8Array | null,
  cells: Float64Array,
  single: boolean,
): void {
  const { coder } = codec;
  plan.high = single ? 0 : word(coder, plan.high);
  plan.low = word(coder, plan.low);
  plan.shift = codeNumber(coder, plan.shift, HEAD.width);
  if (plan.shift > MOST_SHIFT) malformed('floats lie too far apart');
  codec.code(column, rows, count, present);
  const unit = 2 ** plan.shift;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    if (!coder.decoding) {
      order(cells[i]!, single);
      const above = (high - plan.high) * WORD + (low - plan.low);
      coder.plain(above - Math.floor(above / unit) * unit, plan.shift);
      continue;
    }
    const part = column.values[i]!;
    if (part < 0 || part >= INTEGER_LIMIT) malformed('a value lies outside its range');
    const above = part * unit + coder.plain(0, plan.shift);
    const sum = plan.low + (above % WORD);
    high = plan.high + Math.floor(above / WORD) + (sum >= WORD ? 1 : 0);
    low = sum % WORD;
    if (high >= (single ? 1 : WORD)) malformed('a value lies outside its range');
    cells[i] = floatOf(single);
    if (Number.isNaN(cells[i])) malformed('a value is no number');
  }
}

function word(coder: BitCoder, value: number): number {
  const upper = coder.plain(value >>> 16, 16);
  return upper * 65_536 + coder.plain(value & 0xffff, 16);
}
