import type { Operation, ResultColumn, RowSink, SignalInfo } from '#contracts';
import { physical } from '#decoders';

/**
 * The operation with what the mapping asks of its inputs: a sample that follows sooner than `minInterval` on the one
 * before, or differs from it by no more than `deadband`, is left out as if the gate had not admitted it. Aggregates see
 * what is left. Context is not throttled: the gate sees every value.
 *
 * @param signals one an input; a `wide` signal stands twice, for its high and its low word
 * @returns `operation` itself where no signal asks for anything
 */
export function throttled(operation: Operation, signals: readonly SignalInfo[]): Operation {
  const asks = ({ minIntervalNs = 0, deadband }: SignalInfo) => minIntervalNs > 0 || deadband !== undefined;
  return signals.some(asks) ? new Throttle(operation, signals) : operation;
}

class Throttle implements Operation {
  readonly name: string;
  readonly columns: readonly ResultColumn[];
  readonly #inner: Operation;
  readonly #signals: readonly SignalInfo[];
  readonly #intervals: Float64Array;
  /** −1 where every value counts. */
  readonly #deadbands: Float64Array;
  /** Time and value of the sample that passed last; NaN before the first. */
  readonly #times: Float64Array;
  readonly #values: Float64Array;
  readonly #passes: Uint8Array;

  constructor(inner: Operation, signals: readonly SignalInfo[]) {
    this.name = inner.name;
    this.columns = inner.columns;
    this.#inner = inner;
    this.#signals = signals;
    this.#intervals = Float64Array.from(signals, ({ minIntervalNs }) => minIntervalNs ?? 0);
    this.#deadbands = Float64Array.from(signals, ({ deadband }) => deadband ?? -1);
    this.#times = new Float64Array(signals.length).fill(Number.NaN);
    this.#values = new Float64Array(signals.length).fill(Number.NaN);
    this.#passes = new Uint8Array(signals.length);
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    const signals = this.#signals;
    let passed = 0;
    for (let input = 0; input < signals.length; input++) {
      const pass = admitted[input] === 1 && this.#admits(input, timeNs, cells);
      this.#passes[input] = pass ? 1 : 0;
      if (pass) passed++;
      // The low word goes with its high word.
      if (signals[input]!.type === 'wide') {
        input++;
        this.#passes[input] = pass ? 1 : 0;
      }
    }
    if (passed > 0) this.#inner.push(timeNs, cells, this.#passes, out);
  }

  advance(timeNs: number, out: RowSink): void {
    this.#inner.advance(timeNs, out);
  }

  finish(out: RowSink): void {
    this.#inner.finish(out);
  }

  #admits(input: number, timeNs: number, cells: Float64Array): boolean {
    const signal = this.#signals[input]!;
    const value = physical(signal, cells[input]!, signal.type === 'wide' ? cells[input + 1]! : 0);
    const last = this.#times[input]!;
    // Comparisons with NaN are false: the first sample passes.
    if (timeNs - last < this.#intervals[input]!) return false;
    if (Math.abs(value - this.#values[input]!) <= this.#deadbands[input]!) return false;
    this.#times[input] = timeNs;
    this.#values[input] = value;
    return true;
  }
}
