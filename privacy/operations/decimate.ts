import type { Operation, ResultColumn, RowSink } from '#contracts';
import type { OperationDriver } from '../contract.ts';
import { nanoseconds, windowStart } from '../slots.ts';

/** The first admitted sample of each period `[k · P, (k + 1) · P)` of boottime; never two of one period. */
export const decimate: OperationDriver<'decimate'> = {
  kind: 'decimate',
  create: ({ periodMs }, inputs) => new Decimate(nanoseconds(periodMs), inputs.length),
};

class Decimate implements Operation {
  readonly name = 'decimate';
  readonly columns: readonly ResultColumn[];
  readonly #periodNs: number;
  /** Start of the period after the last one that sent, ns, by input. */
  readonly #nextNs: Float64Array;
  readonly #present: Uint8Array;

  constructor(periodNs: number, inputs: number) {
    this.columns = Array.from({ length: inputs }, (_, input) => ({ input, result: 'raw' }));
    this.#periodNs = periodNs;
    this.#nextNs = new Float64Array(inputs).fill(Number.NEGATIVE_INFINITY);
    this.#present = new Uint8Array(inputs);
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    let due = false;
    for (let i = 0; i < this.#present.length; i++) {
      const send = admitted[i] === 1 && timeNs >= this.#nextNs[i]!;
      this.#present[i] = send ? 1 : 0;
      if (!send) continue;
      due = true;
      this.#nextNs[i] = windowStart(timeNs, this.#periodNs) + this.#periodNs;
    }
    if (due) out.row(timeNs, cells, this.#present);
  }

  advance(): void {}

  finish(): void {}
}
