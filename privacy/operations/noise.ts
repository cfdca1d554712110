import { type Operation, type ResultColumn, type RowSink, rawRange, TollgateError } from '#contracts';
import type { OperationDriver, OperationInput } from '../contract.ts';
import { discreteLaplace, UniformSource } from '../sampler.ts';
import { nanoseconds, windowStart } from '../slots.ts';

/**
 * The mean of each window `[k · W, (k + 1) · W)`, with discrete Laplace noise of scale (most − least) / ε raw units: any two
 * values of the range lead to the same output with probabilities that differ by a factor of at most e^ε (local differential
 * privacy). Samples are clamped to the range first and the mean is rounded to a raw unit, in whole numbers. That a window
 * has a value at all is not hidden. A window that had not ended when the stream did says nothing.
 */
export const noise: OperationDriver<'noise'> = {
  kind: 'noise',
  create: ({ windowMs, epsilonMicro, minSamples, range }, inputs, { random }) => {
    const bounds = inputs.map(({ info }) => rawRange(info, range));
    if (inputs.some(({ info }) => info.type !== 'int') || bounds.some((bound) => bound === null)) {
      throw new TollgateError('TG_OPERATION_INPUT', 'noise takes integers and a range of at least one raw unit');
    }
    const steps = bounds as readonly Bounds[];
    return new Noise(nanoseconds(windowMs), epsilonMicro, minSamples ?? 1, inputs, steps, new UniformSource(random));
  },
};

type Bounds = NonNullable<ReturnType<typeof rawRange>>;

/** Noise beyond this is cut: what was noised may be changed at will. */
const FARTHEST = 2 ** 52;
const MICRO = 1_000_000n;
const SPLIT = 2 ** 26;

class Noise implements Operation {
  readonly name = 'noise';
  readonly columns: readonly ResultColumn[];
  readonly #windowNs: number;
  readonly #epsilonMicro: bigint;
  readonly #minSamples: number;
  readonly #least: Float64Array;
  readonly #most: Float64Array;
  readonly #source: UniformSource;
  readonly #counts: Float64Array;
  /** Sums of what samples are above `least`, in two exact parts as in `aggregate`. */
  readonly #high: Float64Array;
  readonly #low: Float64Array;
  readonly #cells: Float64Array;
  readonly #present: Uint8Array;
  #startNs = Number.NaN;
  #endNs = Number.NEGATIVE_INFINITY;

  constructor(
    windowNs: number,
    epsilonMicro: number,
    minSamples: number,
    inputs: readonly OperationInput[],
    bounds: readonly Bounds[],
    source: UniformSource,
  ) {
    this.columns = inputs.map((_, input) => ({ input, result: 'noised' }));
    this.#windowNs = windowNs;
    this.#epsilonMicro = BigInt(epsilonMicro);
    this.#minSamples = minSamples;
    this.#least = Float64Array.from(bounds, ({ least }) => least);
    this.#most = Float64Array.from(bounds, ({ most }) => most);
    this.#source = source;
    this.#counts = new Float64Array(inputs.length);
    this.#high = new Float64Array(inputs.length);
    this.#low = new Float64Array(inputs.length);
    this.#cells = new Float64Array(inputs.length);
    this.#present = new Uint8Array(inputs.length);
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    if (timeNs >= this.#endNs) this.#turn(timeNs, out);
    if (timeNs < this.#startNs) return;
    for (let i = 0; i < this.#counts.length; i++) {
      if (admitted[i] !== 1) continue;
      const least = this.#least[i]!;
      const above = Math.min(Math.max(cells[i]!, least), this.#most[i]!) - least;
      const upper = Math.floor(above / SPLIT);
      this.#high[i]! += upper;
      this.#low[i]! += above - upper * SPLIT;
      this.#counts[i]!++;
    }
  }

  advance(timeNs: number, out: RowSink): void {
    if (timeNs >= this.#endNs) this.#turn(timeNs, out);
  }

  finish(): void {
    this.#clear();
  }

  #turn(timeNs: number, out: RowSink): void {
    let any = false;
    for (let i = 0; i < this.#counts.length; i++) {
      const speaks = this.#counts[i]! > 0 && this.#counts[i]! >= this.#minSamples;
      this.#present[i] = speaks ? 1 : 0;
      this.#cells[i] = speaks ? this.#value(i) : 0;
      any ||= speaks;
    }
    if (any) out.row(this.#startNs, this.#cells, this.#present);
    this.#clear();
    this.#startNs = windowStart(timeNs, this.#windowNs);
    this.#endNs = this.#startNs + this.#windowNs;
  }

  /** Big integers once a window: the mean, rounded half up, and its noise. */
  #value(i: number): number {
    const count = BigInt(this.#counts[i]!);
    const sum = BigInt(this.#high[i]!) * BigInt(SPLIT) + BigInt(this.#low[i]!);
    const mean = (2n * sum + count) / (2n * count);
    const width = BigInt(this.#most[i]! - this.#least[i]!);
    const drawn = discreteLaplace(width * MICRO, this.#epsilonMicro, this.#source);
    const value = BigInt(this.#least[i]!) + mean + drawn;
    return Math.min(Math.max(Number(value), -FARTHEST), FARTHEST);
  }

  #clear(): void {
    this.#counts.fill(0);
    this.#high.fill(0);
    this.#low.fill(0);
  }
}
