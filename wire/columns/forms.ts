import { type BitCoder, counter, malformed, WEIGHT_ONE } from './coder.ts';
import { codeNumber, codeSigned, HEAD } from './head.ts';
import { INTEGER_LIMIT, type IntegerColumn } from './integers.ts';

/** Most values of a dictionary. */
export const DICTIONARY_SIZE = 16;
/** Where each of the four contexts of a dictionary's index starts: none, the last, the last and its run, the last two. */
const ORDER_0 = 0;
const ORDER_1 = 16;
const ORDER_RUN = ORDER_1 + 16 * 16;
const ORDER_2 = ORDER_RUN + 8 * 256;
export const DICTIONARY_COUNTERS = ORDER_2 + 16 * 256;
const EVEN = counter(1 << 21, 0);

/** Words of the column in work, ascending. */
const words = new Int32Array(DICTIONARY_SIZE);

/**
 * Collects the values of a column, ascending.
 * @returns how many there are, 0 where they are more than a dictionary takes
 */
function collect(values: Int32Array, rows: number, present: Uint8Array | null): number {
  let count = 0;
  let known = Number.NaN;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = values[i]!;
    if (value === known) continue;
    known = value;
    let at = 0;
    while (at < count && words[at]! < value) at++;
    if (at < count && words[at] === value) continue;
    if (count === DICTIONARY_SIZE) return 0;
    for (let k = count; k > at; k--) words[k] = words[k - 1]!;
    words[at] = value;
    count++;
  }
  return count;
}

/** About what a dictionary would cost, in bits: its words, and three bits for every change; Infinity where it cannot be. */
export function dictionaryCost(values: Int32Array, rows: number, present: Uint8Array | null): number {
  const size = collect(values, rows, present);
  if (size === 0) return Number.POSITIVE_INFINITY;
  let bits = 6;
  for (let i = 0; i < size; i++) {
    const gap = i === 0 ? Math.abs(words[0]!) : words[i]! - words[i - 1]!;
    bits += 2 * (32 - Math.clz32(gap));
  }
  let changes = 0;
  for (let i = 1; i < rows; i++) if (values[i] !== values[i - 1]) changes++;
  // Words that come in no order cost their digits, however often they change.
  return bits + Math.min(3 * changes + 0.1 * rows, rows * (32 - Math.clz32(size - 1)));
}

/** Writes or reads a column of at most sixteen different values: the values, then an index a row. */
export function codeDictionary(coder: BitCoder, column: IntegerColumn, rows: number, present: Uint8Array | null): void {
  const { values } = column;
  const size = codeNumber(coder, coder.decoding ? 0 : collect(values, rows, present) - 2, HEAD.words) + 2;
  if (size > DICTIONARY_SIZE) malformed('a dictionary has more than sixteen values');
  for (let k = 0; k < size; k++) {
    const word =
      k === 0
        ? codeSigned(coder, words[0]!, HEAD.first)
        : words[k - 1]! + 1 + codeNumber(coder, words[k]! - words[k - 1]! - 1, HEAD.wordGap);
    if (word > INTEGER_LIMIT || word < -INTEGER_LIMIT) malformed('a value lies outside its range');
    words[k] = word;
  }
  const depth = 32 - Math.clz32(size - 1);
  coder.priorClass = -1;
  coder.counters.fill(EVEN, 0, DICTIONARY_COUNTERS);
  coder.weights.fill(Math.round(0.4 * WEIGHT_ONE), 0, DICTIONARY_SIZE * 4);
  let i1 = 0;
  let i2 = 0;
  let run = 0;
  for (let i = 0; i < rows; i++) {
    column.residuals[i] = 0;
    if (present !== null && present[i] === 0) {
      values[i] = i === 0 ? 0 : values[i - 1]!;
      continue;
    }
    let index = 0;
    if (!coder.decoding) while (words[index] !== values[i]) index++;
    let node = 1;
    const s1 = ORDER_1 + i1 * 16;
    const s2 = ORDER_RUN + (i1 * 8 + run) * 16;
    const s3 = ORDER_2 + (i1 * 16 + i2) * 16;
    for (let k = depth - 1; k >= 0; k--) {
      node = (node << 1) | coder.bit((index >>> k) & 1, node, ORDER_0 + node, s1 + node, s2 + node, s3 + node);
    }
    index = node - (1 << depth);
    if (index >= size) malformed('an index lies outside its dictionary');
    values[i] = words[index]!;
    run = index === i1 ? (run < 7 ? run + 1 : 7) : 0;
    i2 = i1;
    i1 = index;
  }
}

/** Lowest value and width in bits of what lies above it. */
export function rangeOf(
  values: Int32Array,
  rows: number,
  present: Uint8Array | null,
): { least: number; width: number } {
  let least = INTEGER_LIMIT;
  let most = -INTEGER_LIMIT;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = values[i]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return { least, width: 32 - Math.clz32(most - least) };
}

/** Writes or reads a column as `width` plain bits a row above its lowest value: for what nothing predicts. */
export function codePacked(coder: BitCoder, column: IntegerColumn, rows: number, present: Uint8Array | null): void {
  const { values } = column;
  const range = coder.decoding ? { least: 0, width: 0 } : rangeOf(values, rows, present);
  const least = codeSigned(coder, range.least, HEAD.first);
  const width = codeNumber(coder, range.width, HEAD.width);
  if (width > 28) malformed('a value lies outside its range');
  for (let i = 0; i < rows; i++) {
    column.residuals[i] = 0;
    if (present !== null && present[i] === 0) {
      values[i] = i === 0 ? 0 : values[i - 1]!;
      continue;
    }
    const value = least + coder.plain(values[i]! - least, width);
    if (value > INTEGER_LIMIT || value < -INTEGER_LIMIT) malformed('a value lies outside its range');
    values[i] = value;
  }
}
