import { counter, SQUASH, WEIGHT_ONE } from './coder.ts';
import { HEAD_TABLE, MODEL_TABLE, WEIGHT_TABLE } from './trained.ts';

/** Counts that a start probability may stand for; the low three bits of its byte. */
export const PRIOR_COUNTS = [0, 2, 5, 10, 20, 40, 80, 127];
/** Log odds of the high five bits: (n − 16) / 2. */
export const PRIOR_STEP = 128;
/** A run of slots that training never met: this byte and its length − 1. */
export const PRIOR_RUN = 128;
/** Weights are told in 1/32. */
export const WEIGHT_STEP = WEIGHT_ONE / 32;

/** Start values of counters from a table of `trained.ts`: even odds where training saw nothing. */
function counters(table: string, size: number): Int32Array {
  const out = new Int32Array(size).fill(counter(1 << 21, 0));
  const packed = bytesOf(table);
  let at = 0;
  for (let i = 0; i < packed.length; i++) {
    const byte = packed[i]!;
    if (byte === PRIOR_RUN) {
      at += packed[++i]! + 1;
      continue;
    }
    const odds = ((byte >> 3) - 16) * PRIOR_STEP;
    out[at++] = counter(SQUASH[Math.max(odds, -2047) + 2048]! << 7, PRIOR_COUNTS[byte & 7]!);
  }
  return out;
}

const bytesOf = (table: string): Uint8Array => Uint8Array.from(atob(table), (character) => character.charCodeAt(0));

/** Eight levels of values, two kinds of times. */
export const PRIOR_CLASSES = 10;

// Unpacked for the first record, not for the start of whoever may make one.
export const priors = once(() => counters(MODEL_TABLE, PRIOR_CLASSES * 4 * 18 * 40));
export const headPriors = once(() => counters(HEAD_TABLE, 15 * 33 + 61));
export const priorWeights = once(() =>
  Int32Array.from(bytesOf(WEIGHT_TABLE), (byte) => ((byte << 24) >> 24) * WEIGHT_STEP),
);

function once(make: () => Int32Array): () => Int32Array {
  let made: Int32Array | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
