import type { BitCoder } from './coder.ts';
import { headPriors } from './priors.ts';

/** Room of one kind of head number: 32 steps of its length and its sign. */
const NUMBER_SLOTS = 33;
/** The kinds of numbers in the head of a column; each learns for itself. */
export const HEAD = {
  span: 0,
  rows: 1 * NUMBER_SLOTS,
  period: 2 * NUMBER_SLOTS,
  skips: 3 * NUMBER_SLOTS,
  firstTime: 4 * NUMBER_SLOTS,
  skipDelta: 5 * NUMBER_SLOTS,
  skipDeltaAfter: 6 * NUMBER_SLOTS,
  timeReference: 7 * NUMBER_SLOTS,
  constant: 8 * NUMBER_SLOTS,
  first: 9 * NUMBER_SLOTS,
  firstReferred: 10 * NUMBER_SLOTS,
  reference: 11 * NUMBER_SLOTS,
  words: 12 * NUMBER_SLOTS,
  wordGap: 13 * NUMBER_SLOTS,
  width: 14 * NUMBER_SLOTS,
  /** Single bits and small trees from here on. */
  trees: 15 * NUMBER_SLOTS,
} as const;
/** Slots of single bits and trees; a tree of n bits takes 2^n slots, the first of them unused. */
export const TREE = {
  noRows: HEAD.trees,
  oneRow: HEAD.trees + 1,
  gaps: HEAD.trees + 2,
  large: HEAD.trees + 3,
  floatForm: HEAD.trees + 4,
  columnForm: HEAD.trees + 8,
  present: HEAD.trees + 12,
  /** Apart for columns with and without a reference. */
  predictor: HEAD.trees + 20,
  level: HEAD.trees + 28,
  period: HEAD.trees + 44,
  ramp: HEAD.trees + 60,
} as const;
/** One counter for each slot above. */
export const HEAD_SLOTS = HEAD.trees + 61;

export function startHead(coder: BitCoder): void {
  coder.singles.set(headPriors());
}

/** A number of 0 … 2^31 − 2: k = ⌊log2(n + 1)⌋ in unary, then the k bits below the leading one of n + 1, plain. */
export function codeNumber(coder: BitCoder, n: number, kind: number): number {
  const wanted = 31 - Math.clz32(n + 1);
  let k = 0;
  while (k < 30 && coder.single(k < wanted ? 1 : 0, kind + k) === 1) k++;
  return ((1 << k) | coder.plain(n + 1, k)) - 1;
}

/** A number with a sign: zero or not by the first step of the length, the sign after it. */
export function codeSigned(coder: BitCoder, n: number, kind: number): number {
  const size = codeNumber(coder, n < 0 ? -n : n, kind);
  if (size === 0) return 0;
  return coder.single(n < 0 ? 1 : 0, kind + 32) === 1 ? -size : size;
}

/** A choice of `bits` bits as a tree of counters. */
export function codeTree(coder: BitCoder, choice: number, bits: number, slot: number): number {
  let node = 1;
  for (let i = bits - 1; i >= 0; i--) node = (node << 1) | coder.single((choice >>> i) & 1, slot + node);
  return node - (1 << bits);
}
