import type { Operation, ResultColumn, RowSink } from '#contracts';
import type { OperationDriver } from '../contract.ts';

/** Each sample as it is. */
export const raw: OperationDriver<'raw'> = {
  kind: 'raw',
  create: (_spec, inputs) => new Raw(inputs.length),
};

class Raw implements Operation {
  readonly name = 'raw';
  readonly columns: readonly ResultColumn[];

  constructor(inputs: number) {
    this.columns = Array.from({ length: inputs }, (_, input) => ({ input, result: 'raw' }));
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    for (let i = 0; i < this.columns.length; i++) {
      if (admitted[i] === 1) {
        out.row(timeNs, cells, admitted);
        return;
      }
    }
  }

  advance(): void {}

  finish(): void {}
}
