import { type BitCoder, malformed } from './coder.ts';
import { codeNumber, codeSigned, HEAD, TREE } from './head.ts';
import { INTEGER_LIMIT } from './integers.ts';

/** A column that is constant (step 0), or that counts up by `step` and starts again from 0 at `modulus`. */
export interface Ramp {
  step: number;
  modulus: number;
}

/** A modulus that is a power of two is told by its exponent; 0 says that the modulus itself follows. */
const MOST_WIDTH = 27;

/**
 * Sets `ramp` where the present values count: alive counters of messages do, with a frame lost they do not.
 * Absent rows hold the value before.
 */
export function findRamp(ramp: Ramp, values: Int32Array, rows: number, present: Uint8Array | null): boolean {
  let step = 0;
  let modulus = 0;
  let most = 0;
  let before = -1;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = values[i]!;
    if (value < 0) return false;
    if (value > most) most = value;
    if (before >= 0 && value > before && step === 0) step = value - before;
    before = value;
  }
  if (step === 0) return false;
  before = -1;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    const value = values[i]!;
    if (before >= 0 && value !== before + step) {
      const wraps = before + step - value;
      if (wraps <= most || wraps <= step || (modulus !== 0 && wraps !== modulus)) return false;
      modulus = wraps;
    }
    before = value;
  }
  if (modulus === 0) modulus = 2 ** (32 - Math.clz32(most));
  if (modulus > INTEGER_LIMIT || modulus <= most) return false;
  ramp.step = step;
  ramp.modulus = modulus;
  return true;
}

const digits = (n: number): number => 32 - Math.clz32(n);
const exponentOf = (modulus: number): number => ((modulus & (modulus - 1)) === 0 ? digits(modulus) - 1 : 0);

/** About what a ramp costs beyond its first value, bits. */
export function rampCost({ step, modulus }: Ramp): number {
  const exponent = exponentOf(modulus);
  return 4 + 2 * digits(step) + (exponent === 0 ? 2 * digits(modulus) : 2 * digits(exponent));
}

/** Writes or reads a constant or counting column. */
export function codeRamp(
  coder: BitCoder,
  ramp: Ramp,
  values: Int32Array,
  rows: number,
  count: number,
  present: Uint8Array | null,
): void {
  let first = 0;
  if (present !== null) while (present[first] === 0) first++;
  let value = codeSigned(coder, values[first]!, HEAD.constant);
  if (value > INTEGER_LIMIT || value < -INTEGER_LIMIT) malformed('a value lies outside its range');
  if (count < 2 || coder.single(ramp.step === 0 ? 0 : 1, TREE.ramp) === 0) {
    values.fill(value, 0, rows);
    return;
  }
  const step = codeNumber(coder, ramp.step - 1, HEAD.wordGap) + 1;
  const width = codeNumber(coder, exponentOf(ramp.modulus), HEAD.width);
  if (width > MOST_WIDTH) malformed('a counter is too wide');
  const modulus = width === 0 ? codeNumber(coder, ramp.modulus, HEAD.wordGap) : 2 ** width;
  if (value < 0 || value >= modulus || step >= modulus || modulus > INTEGER_LIMIT)
    malformed('a counter that cannot be');
  values.fill(0, 0, first);
  for (let i = first; i < rows; i++) {
    if (i > first && (present === null || present[i] === 1)) {
      value += step;
      if (value >= modulus) value -= modulus;
    }
    values[i] = value;
  }
}
