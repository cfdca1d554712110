import type { Operation } from '#contracts';
import type { OperationInput, OperationSpec } from './contract.ts';
import { aggregate } from './operations/aggregate.ts';
import { cloak } from './operations/cloak.ts';
import { decimate } from './operations/decimate.ts';
import { raw } from './operations/raw.ts';

export type { OperationDriver, OperationInput, OperationSpec } from './contract.ts';
export { type Grid, grid } from './grid.ts';

/**
 * The operation of the signals of one message that share its parameters.
 *
 * @param inputs one a cell, in the order of the cells that `push` gets
 * @throws {TollgateError} TG_OPERATION_INPUT where the inputs do not fit, which the plan rules out
 */
export function createOperation(spec: OperationSpec, inputs: readonly OperationInput[]): Operation {
  switch (spec.kind) {
    case 'raw':
      return raw.create(spec, inputs);
    case 'decimate':
      return decimate.create(spec, inputs);
    case 'aggregate':
      return aggregate.create(spec, inputs);
    case 'cloak':
      return cloak.create(spec, inputs);
  }
}
