import type { BitCoder } from './coder.ts';
import { priors, priorWeights } from './priors.ts';

/**
 * How a residual r (value − prediction, a whole number of at most 31 bits) becomes bits:
 *
 * | node    | bit                                                                            |
 * |--------:|--------------------------------------------------------------------------------|
 * | 0       | r ≠ 0; where 0 nothing follows                                                 |
 * | 1       | r < 0                                                                          |
 * | 2 + j   | with m = |r| and k = ⌊log2 m⌋: for j = 0, 1 … k: 1 while j < k (j counted to 19) |
 * | 22 + …  | first bit of m below its leading one, node 21 + k (k = 1 … 9; above 9 as 9)     |
 * | 31 + …  | second bit, node 29 + k (k = 2 … 10; above 10 as 10)                            |
 *
 * All further bits of m stand plain. Each node is coded under four contexts of at most CONTEXTS values.
 */
export const NODES = 40;
/** Values that one context may take. */
export const CONTEXTS = 18;
const SET = NODES * CONTEXTS;
/** Counters of one model: four sets of contexts. */
export const MODEL_COUNTERS = 4 * SET;
const UNARY_NODES = 20;
/** |r| stays below 2^31: k is at most 30. */
const MAX_K = 30;

/** Start of a column: counters and weights of the class, which were trained beforehand. */
export function startModel(coder: BitCoder, priorClass: number): void {
  coder.priorClass = priorClass;
  coder.columns++;
  coder.counters.set(priors().subarray(priorClass * MODEL_COUNTERS, (priorClass + 1) * MODEL_COUNTERS));
  coder.weights.set(priorWeights().subarray(priorClass * NODES * 4, (priorClass + 1) * NODES * 4));
}

/** Writes or reads a residual under the contexts c0 … c3 (each 0 … CONTEXTS − 1). */
export function codeResidual(coder: BitCoder, r: number, c0: number, c1: number, c2: number, c3: number): number {
  const s0 = c0 * NODES;
  const s1 = SET + c1 * NODES;
  const s2 = 2 * SET + c2 * NODES;
  const s3 = 3 * SET + c3 * NODES;
  if (coder.bit(r === 0 ? 0 : 1, 0, s0, s1, s2, s3) === 0) return 0;
  const negative = coder.bit(r < 0 ? 1 : 0, 1, s0 + 1, s1 + 1, s2 + 1, s3 + 1);
  const m = r < 0 ? -r : r;
  const wanted = 31 - Math.clz32(m);
  let k = 0;
  while (k < MAX_K) {
    const node = 2 + (k < UNARY_NODES ? k : UNARY_NODES - 1);
    if (coder.bit(k < wanted ? 1 : 0, node, s0 + node, s1 + node, s2 + node, s3 + node) === 0) break;
    k++;
  }
  let out = 1;
  if (k >= 1) {
    const node = 21 + Math.min(k, 9);
    out = 2 | coder.bit((m >>> (k - 1)) & 1, node, s0 + node, s1 + node, s2 + node, s3 + node);
  }
  if (k >= 2) {
    const node = 29 + Math.min(k, 10);
    out = (out << 1) | coder.bit((m >>> (k - 2)) & 1, node, s0 + node, s1 + node, s2 + node, s3 + node);
  }
  if (k >= 3) out = (out << (k - 2)) | coder.plain(m, k - 2);
  return negative === 1 ? -out : out;
}

/** A residual in five classes for a context: −2 or less, −1, 0, 1, 2 or more. */
export const five = (r: number): number => (r <= -2 ? 0 : r >= 2 ? 4 : r + 2);
/** Its sign. */
export const three = (r: number): number => (r < 0 ? 0 : r > 0 ? 2 : 1);
