import type { Operation, ResultKind, SignalInfo } from '#contracts';

/** The parameters of an operation as the plan gives them (`OperationPlan` of `#policies` has the same shape). */
export type OperationSpec =
  | { readonly kind: 'raw' }
  | { readonly kind: 'decimate'; readonly periodMs: number }
  | {
      readonly kind: 'aggregate';
      readonly windowMs: number;
      readonly results: readonly ResultKind[];
      /** A window with fewer samples of an input says nothing of it; absent: 1. */
      readonly minSamples?: number;
    }
  | {
      readonly kind: 'cloak';
      readonly cellMetres: number;
      readonly axis: 'latitude' | 'longitude';
      readonly periodMs: number;
    };

/** One input cell; a `wide` signal is two, its high and its low word. */
export interface OperationInput {
  readonly info: SignalInfo;
  /** Equal to the shared one but for the axis of a cloak. */
  readonly operation: OperationSpec;
}

/** Makes one kind of operation; one file each in `operations/`. */
export interface OperationDriver<K extends OperationSpec['kind'] = OperationSpec['kind']> {
  readonly kind: K;
  create(spec: Extract<OperationSpec, { kind: K }>, inputs: readonly OperationInput[]): Operation;
}
