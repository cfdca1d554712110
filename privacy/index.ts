import type { Operation, OperationSpec } from '#contracts';
import type { OperationInput, OperationResources } from './contract.ts';
import { aggregate } from './operations/aggregate.ts';
import { cloak } from './operations/cloak.ts';
import { decimate } from './operations/decimate.ts';
import { noise } from './operations/noise.ts';
import { rounded } from './operations/precision.ts';
import { pseudonymise } from './operations/pseudonymise.ts';
import { raw } from './operations/raw.ts';
import { trimmed } from './operations/trim.ts';

export type { OperationSpec, TrimSpec } from '#contracts';
export type { OperationDriver, OperationInput, OperationResources } from './contract.ts';
export { type Grid, grid } from './grid.ts';
export { recipientKey } from './operations/pseudonymise.ts';
export { bernoulliExp, discreteLaplace, UniformSource } from './sampler.ts';

/**
 * The operation of the signals of one message that share its parameters: the ends of trips held back before it, values
 * rounded after it.
 *
 * @param inputs one a cell, in the order of the cells that `push` gets
 * @throws {TollgateError} TG_OPERATION_INPUT where the inputs do not fit, which the plan rules out
 */
export function createOperation(
  spec: OperationSpec,
  inputs: readonly OperationInput[],
  resources: OperationResources,
): Operation {
  return trimmed(rounded(bare(spec, inputs, resources), inputs), inputs, resources.trip);
}

function bare(spec: OperationSpec, inputs: readonly OperationInput[], resources: OperationResources): Operation {
  switch (spec.kind) {
    case 'raw':
      return raw.create(spec, inputs, resources);
    case 'decimate':
      return decimate.create(spec, inputs, resources);
    case 'aggregate':
      return aggregate.create(spec, inputs, resources);
    case 'cloak':
      return cloak.create(spec, inputs, resources);
    case 'pseudonymise':
      return pseudonymise.create(spec, inputs, resources);
    case 'noise':
      return noise.create(spec, inputs, resources);
  }
}
