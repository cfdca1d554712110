import { type BitCoder, malformed } from './coder.ts';
import { codeNumber, codeSigned, codeTree, HEAD, TREE } from './head.ts';
import { codeResidual, five, startModel, three } from './residuals.ts';

/** Predictors of a whole number from what came before it. */
export const PREDICTOR = { last: 0, line: 1, half: 2, average: 3 } as const;

/** A column of whole numbers, |value| ≤ 2^27, as coded and as later columns refer to it. */
export interface IntegerColumn {
  group: number;
  values: Int32Array;
  residuals: Int32Array;
}

/** Columns back that may be subtracted from this one. */
export const REFERENCES = 12;

export interface IntegerPlan {
  reference: number;
  predictor: number;
  level: number;
}

/** Row numbers of another group for each row of this one; null where they are the same. */
export type RowMap = Int32Array | null;

/** Level of a column by the mean length of its residuals in bits: it picks the start probabilities. */
function levelOf(cost: number, rows: number): number {
  const mean = (cost * 16) / rows;
  if (mean < 2) return 0;
  if (mean < 6) return 1;
  if (mean < 12) return 2;
  if (mean < 18) return 3;
  if (mean < 26) return 4;
  if (mean < 38) return 5;
  if (mean < 60) return 6;
  return 7;
}

const costs = new Float64Array(4);

/** Sums the length in bits of the residuals of the four predictors over values − other. */
function measure(
  values: Int32Array,
  rows: number,
  present: Uint8Array | null,
  other: Int32Array | null,
  map: RowMap,
): void {
  let s1 = 0;
  let s2 = 0;
  let average = 0;
  let last = 0;
  let line = 0;
  let half = 0;
  let smooth = 0;
  let seen = 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const s = other === null ? values[i]! : values[i]! - other[map === null ? i : map[i]!]!;
    if (seen++ === 0) {
      s1 = s;
      s2 = s;
      average = s * 4;
      continue;
    }
    const d = s - s1;
    const d1 = s1 - s2;
    last += 32 - Math.clz32(d < 0 ? -d : d);
    const l = d - d1;
    line += 32 - Math.clz32(l < 0 ? -l : l);
    const h = d - (d1 >> 1);
    half += 32 - Math.clz32(h < 0 ? -h : h);
    const a = s - ((average + 2) >> 2);
    smooth += 32 - Math.clz32(a < 0 ? -a : a);
    average += s - (average >> 2);
    s2 = s1;
    s1 = s;
  }
  costs[0] = last;
  costs[1] = line;
  costs[2] = half;
  costs[3] = smooth;
}

/** A reference must win this many bits of residual length to be worth naming. */
const REFERENCE_COST = 5;
const PREDICTOR_COST = [0, 2, 2, 2];

/**
 * Sets the cheapest plan among four predictors and the columns before this one.
 * @returns the length of its residuals, bits
 */
export function chooseInteger(
  plan: IntegerPlan,
  values: Int32Array,
  rows: number,
  present: Uint8Array | null,
  count: number,
  earlier: readonly IntegerColumn[],
  mapTo: (group: number) => RowMap,
): number {
  plan.reference = 0;
  plan.predictor = 0;
  let best = Number.POSITIVE_INFINITY;
  let cost = 0;
  for (let back = 0; back <= REFERENCES && back <= earlier.length; back++) {
    const other = back === 0 ? null : earlier[earlier.length - back]!;
    measure(values, rows, present, other === null ? null : other.values, other === null ? null : mapTo(other.group));
    for (let p = 0; p < 4; p++) {
      const total = costs[p]! + PREDICTOR_COST[p]! + (back === 0 ? 0 : REFERENCE_COST);
      if (total < best) {
        best = total;
        cost = costs[p]!;
        plan.predictor = p;
        plan.reference = back;
      }
    }
  }
  plan.level = levelOf(cost, count);
  return cost;
}

const lengths = new Int32Array(33);

/** Bits that the residuals of a plan take when nothing is known of their order: entropy of their lengths, then their digits. */
export function orderlessCost(
  { reference, predictor }: IntegerPlan,
  values: Int32Array,
  rows: number,
  present: Uint8Array | null,
  earlier: readonly IntegerColumn[],
  mapTo: (group: number) => RowMap,
): number {
  const referred = reference === 0 ? null : earlier[earlier.length - reference]!;
  const map = referred === null ? null : mapTo(referred.group);
  lengths.fill(0);
  let s1 = 0;
  let s2 = 0;
  let average = 0;
  let seen = 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const s = referred === null ? values[i]! : values[i]! - referred.values[map === null ? i : map[i]!]!;
    if (seen++ === 0) {
      s1 = s;
      average = s * 4;
    } else {
      const r = s - guessOf(predictor, s1, s2, average);
      lengths[32 - Math.clz32(r < 0 ? -r : r)]!++;
      average += s - (average >> 2);
    }
    s2 = seen === 1 ? s : s1;
    s1 = s;
  }
  let bits = 0;
  for (let length = 0; length <= 32; length++) {
    const n = lengths[length]!;
    if (n > 0) bits += n * (length + roughLog2(seen) - roughLog2(n));
  }
  return bits;
}

/** log2 by straight lines between the powers of two: every machine comes to the same. */
function roughLog2(n: number): number {
  const whole = 31 - Math.clz32(n);
  return whole + n / 2 ** whole - 1;
}

function guessOf(predictor: number, s1: number, s2: number, average: number): number {
  if (predictor === PREDICTOR.line) return 2 * s1 - s2;
  if (predictor === PREDICTOR.half) return s1 + ((s1 - s2) >> 1);
  if (predictor === PREDICTOR.average) return (average + 2) >> 2;
  return s1;
}

/** Writes or reads a column that is not constant. `beside` is the column before it in the same group. */
export function codeInteger(
  coder: BitCoder,
  plan: IntegerPlan,
  column: IntegerColumn,
  rows: number,
  present: Uint8Array | null,
  earlier: readonly IntegerColumn[],
  mapTo: (group: number) => RowMap,
  beside: Int32Array,
  beside2: Int32Array,
): void {
  plan.reference = codeNumber(coder, plan.reference, HEAD.reference);
  plan.predictor = codeTree(coder, plan.predictor, 2, TREE.predictor + (plan.reference === 0 ? 0 : 4));
  plan.level = codeTree(coder, plan.level, 3, TREE.level + (plan.reference === 0 ? 0 : 8));
  const { predictor } = plan;
  if (plan.reference > earlier.length) malformed('a column refers to one that does not exist');
  const referred = plan.reference === 0 ? null : earlier[earlier.length - plan.reference]!;
  const other = referred === null ? null : referred.values;
  const map = referred === null ? null : mapTo(referred.group);
  const { values, residuals } = column;
  startModel(coder, plan.level);
  let s1 = 0;
  let s2 = 0;
  let average = 0;
  let r1 = 0;
  let r2 = 0;
  let energy = START_ENERGY[plan.level]!;
  let run = 0;
  let lastRun = 0;
  let seen = 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) {
      values[i] = i === 0 ? 0 : values[i - 1]!;
      residuals[i] = 0;
      continue;
    }
    const base = other === null ? 0 : other[map === null ? i : map[i]!]!;
    if (seen++ === 0) {
      const s = codeSigned(coder, values[i]! - base, other === null ? HEAD.first : HEAD.firstReferred);
      values[i] = inRange(base + s);
      residuals[i] = 0;
      s1 = s;
      s2 = s;
      average = s * 4;
      continue;
    }
    const guess = guessOf(predictor, s1, s2, average);
    const e = 32 - Math.clz32(energy);
    const r = codeResidual(
      coder,
      values[i]! - base - guess,
      Math.min(e, 17),
      five(r1) * 3 + three(r2),
      five(beside[i]!) * 3 + three(beside2[i]!),
      Math.min(run, 5) * 3 + (run < lastRun ? 0 : run === lastRun ? 1 : 2),
    );
    const s = guess + r;
    values[i] = inRange(base + s);
    residuals[i] = r;
    if (r === 0) {
      run++;
    } else {
      lastRun = run;
      run = 0;
    }
    const size = r < 0 ? -r : r;
    energy += (Math.min(size, 4095) * 16 - energy) >> 2;
    average += s - (average >> 2);
    r2 = r1;
    r1 = r;
    s2 = s1;
    s1 = s;
  }
}

/** What the running size of residuals (1/16) starts from, by level. */
const START_ENERGY = [0, 2, 6, 10, 16, 40, 120, 600];

/** Whole numbers of a column stay within ± 2^27, so that no sum of three leaves 31 bits. */
export const INTEGER_LIMIT = 1 << 27;

function inRange(value: number): number {
  if (value > INTEGER_LIMIT || value < -INTEGER_LIMIT) malformed('a value lies outside its range');
  return value;
}
