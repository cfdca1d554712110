import { type Operation, type ResultColumn, type RowSink, type SignalInfo, TollgateError } from '#contracts';
import type { OperationInput } from '../contract.ts';

/**
 * Values on a grid: each is rounded to the nearest multiple of a whole number of raw units that is at least `step` in the
 * unit of the signal. It works on what an operation lets out, so that a mean is no finer than a sample; counts stay, and
 * sums are refused, because a sum over a count is a mean.
 */
export function rounded(operation: Operation, inputs: readonly OperationInput[]): Operation {
  const steps = operation.columns.map(({ input, result }) => {
    const { info, operation: spec } = inputs[input]!;
    if (spec.step === undefined || result === 'count' || result === 'cell' || result === 'pseudonym') return 0;
    if (result === 'sum' || info.type === 'wide' || info.values !== undefined) {
      throw new TollgateError('TG_OPERATION_INPUT', `precision takes no ${result} of this signal`);
    }
    return rawStep(info, spec.step);
  });
  return steps.some((step) => step > 0) ? new Rounded(operation, Float64Array.from(steps)) : operation;
}

/** A quotient this near to a whole number is that number: 0.6 / 0.2 is not. */
const NEAR = 1e-9;

/** Raw units of a step: whole for integers, and never finer than asked. */
export function rawStep({ type, f, factor }: SignalInfo, step: number): number {
  const exact = step / Math.abs(f * factor);
  if (type !== 'int') return exact;
  const nearest = Math.round(exact);
  return Math.max(1, Math.abs(exact - nearest) <= NEAR * exact ? nearest : Math.ceil(exact));
}

class Rounded implements Operation, RowSink {
  readonly name: string;
  readonly columns: readonly ResultColumn[];
  readonly #inner: Operation;
  readonly #steps: Float64Array;
  readonly #cells: Float64Array;
  #out: RowSink = this;

  constructor(inner: Operation, steps: Float64Array) {
    this.name = inner.name;
    this.columns = inner.columns;
    this.#inner = inner;
    this.#steps = steps;
    this.#cells = new Float64Array(steps.length);
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    this.#out = out;
    this.#inner.push(timeNs, cells, admitted, this);
  }

  advance(timeNs: number, out: RowSink): void {
    this.#out = out;
    this.#inner.advance(timeNs, this);
  }

  finish(out: RowSink): void {
    this.#out = out;
    this.#inner.finish(this);
  }

  row(timeNs: number, cells: Float64Array, present: Uint8Array): void {
    for (let i = 0; i < this.#cells.length; i++) {
      const step = this.#steps[i]!;
      // Adding 0 makes 0 of −0.
      this.#cells[i] = step === 0 ? cells[i]! : Math.round(cells[i]! / step) * step + 0;
    }
    this.#out.row(timeNs, this.#cells, present);
  }
}
