import { type Operation, type ResultColumn, type ResultKind, type RowSink, TollgateError } from '#contracts';
import type { OperationDriver, OperationInput } from '../contract.ts';
import { nanoseconds, windowStart } from '../slots.ts';

/**
 * Statistics of each window `[k · W, (k + 1) · W)` of boottime, in raw units, at the time of its start. A window without
 * a sample has no row. Sums of integers are exact: they run as two parts of 26 bits and more.
 *
 * `min` and `max` are those of the physical value: where its factor is negative they come from the other end of the raw
 * values.
 */
export const aggregate: OperationDriver<'aggregate'> = {
  kind: 'aggregate',
  create: ({ windowMs, results, minSamples }, inputs) => {
    if (inputs.some(({ info }) => info.type === 'wide')) {
      throw new TollgateError('TG_OPERATION_INPUT', 'aggregate takes no signal of more than 53 bits');
    }
    return new Aggregate(nanoseconds(windowMs), results, minSamples ?? 1, inputs);
  },
};

/** Integers are split at this power of two: both parts of a sum then stay exact for 2^26 samples of 53 bits. */
const SPLIT = 2 ** 26;

class Aggregate implements Operation {
  readonly name = 'aggregate';
  readonly columns: readonly ResultColumn[];
  readonly #windowNs: number;
  readonly #minSamples: number;
  readonly #results: readonly ResultKind[];
  readonly #inputs: number;
  readonly #float: Uint8Array;
  readonly #inverted: Uint8Array;
  readonly #counts: Float64Array;
  readonly #least: Float64Array;
  readonly #most: Float64Array;
  readonly #last: Float64Array;
  /** Integers: sum of the parts above and below `SPLIT`. Floats: sum and its compensation (Neumaier 1974). */
  readonly #high: Float64Array;
  readonly #low: Float64Array;
  readonly #cells: Float64Array;
  readonly #present: Uint8Array;
  /** Start of the open window, ns; NaN before the first row. */
  #startNs = Number.NaN;
  #endNs = Number.NEGATIVE_INFINITY;
  #open = false;
  #late = 0;

  constructor(windowNs: number, results: readonly ResultKind[], minSamples: number, inputs: readonly OperationInput[]) {
    this.columns = inputs.flatMap((_, input) => results.map((result) => ({ input, result })));
    this.#windowNs = windowNs;
    this.#results = results;
    this.#minSamples = minSamples;
    this.#inputs = inputs.length;
    this.#float = Uint8Array.from(inputs, ({ info }) => (info.type === 'int' ? 0 : 1));
    this.#inverted = Uint8Array.from(inputs, ({ info }) => (info.f * info.factor < 0 ? 1 : 0));
    this.#counts = new Float64Array(inputs.length);
    this.#least = new Float64Array(inputs.length);
    this.#most = new Float64Array(inputs.length);
    this.#last = new Float64Array(inputs.length);
    this.#high = new Float64Array(inputs.length);
    this.#low = new Float64Array(inputs.length);
    this.#cells = new Float64Array(this.columns.length);
    this.#present = new Uint8Array(this.columns.length);
  }

  /** Samples that came after their window had gone; they are in no window. */
  get late(): number {
    return this.#late;
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    if (timeNs >= this.#endNs) this.#turn(timeNs, out);
    // Its window is gone: added to another it would be a wrong value there.
    const late = timeNs < this.#startNs;
    for (let i = 0; i < this.#inputs; i++) {
      if (admitted[i] !== 1) continue;
      if (late) this.#late++;
      else this.#add(i, cells[i]!);
    }
  }

  advance(timeNs: number, out: RowSink): void {
    if (timeNs >= this.#endNs) this.#turn(timeNs, out);
  }

  finish(out: RowSink): void {
    this.#emit(out);
  }

  /** Sends the open window and opens the one of `timeNs`. */
  #turn(timeNs: number, out: RowSink): void {
    this.#emit(out);
    this.#startNs = windowStart(timeNs, this.#windowNs);
    this.#endNs = this.#startNs + this.#windowNs;
  }

  #add(i: number, value: number): void {
    // A float signal may carry NaN, which no statistic can take in.
    if (Number.isNaN(value)) return;
    const first = this.#counts[i] === 0;
    this.#open = true;
    this.#counts[i]!++;
    this.#last[i] = value;
    if (first || value < this.#least[i]!) this.#least[i] = value;
    if (first || value > this.#most[i]!) this.#most[i] = value;
    const high = this.#high[i]!;
    if (this.#float[i] === 1) {
      const sum = high + value;
      this.#low[i]! += Math.abs(high) >= Math.abs(value) ? high - sum + value : value - sum + high;
      this.#high[i] = sum;
      return;
    }
    const upper = Math.floor(value / SPLIT);
    this.#high[i] = high + upper;
    this.#low[i]! += value - upper * SPLIT;
  }

  #emit(out: RowSink): void {
    if (!this.#open) return;
    const results = this.#results.length;
    let any = false;
    for (let i = 0; i < this.#inputs; i++) {
      const speaks = this.#counts[i]! >= this.#minSamples;
      for (let r = 0; r < results; r++) {
        const column = i * results + r;
        const value = speaks ? this.#value(i, this.#results[r]!) : 0;
        // A sum that a double cannot hold exactly is withheld: never a rounded one.
        const exact = this.#results[r] !== 'sum' || this.#float[i] === 1 || Number.isSafeInteger(value);
        const there = speaks && exact;
        this.#cells[column] = there ? value : 0;
        this.#present[column] = there ? 1 : 0;
        if (there) any = true;
      }
    }
    if (any) out.row(this.#startNs, this.#cells, this.#present);
    this.#open = false;
    this.#counts.fill(0);
    this.#high.fill(0);
    this.#low.fill(0);
  }

  #value(i: number, result: ResultKind): number {
    switch (result) {
      case 'count':
        return this.#counts[i]!;
      case 'last':
        return this.#last[i]!;
      case 'min':
        return this.#inverted[i] === 1 ? this.#most[i]! : this.#least[i]!;
      case 'max':
        return this.#inverted[i] === 1 ? this.#least[i]! : this.#most[i]!;
      case 'mean':
        return this.#sum(i) / this.#counts[i]!;
      default:
        return this.#sum(i);
    }
  }

  /** Integers: both parts are exact, so their sum is the exact sum, rounded once where it has more than 53 bits. */
  #sum(i: number): number {
    return this.#high[i]! * (this.#float[i] === 1 ? 1 : SPLIT) + this.#low[i]!;
  }
}
