import type { Operation, OperationSpec, RandomFill, SignalInfo, TripWatch } from '#contracts';

/** One input cell; a `wide` signal is two, its high and its low word. */
export interface OperationInput {
  readonly info: SignalInfo;
  /** Equal to the shared one but for the axis of a cloak or a trim. */
  readonly operation: OperationSpec;
}

/** What an operation is given beside its samples: a room that is pure draws no random number and holds no key. */
export interface OperationResources {
  readonly random: RandomFill;
  /** Of the recipient: `recipientKey` of the unit's secret. */
  readonly pseudonymKey: Uint8Array;
  /** UTC in ms = boottime in ms + this; null where UTC is unknown. */
  readonly utcOffsetMs: () => number | null;
  readonly trip: TripWatch;
}

/** Makes one kind of operation; one file each in `operations/`. */
export interface OperationDriver<K extends OperationSpec['kind'] = OperationSpec['kind']> {
  readonly kind: K;
  create(
    spec: Extract<OperationSpec, { kind: K }>,
    inputs: readonly OperationInput[],
    resources: OperationResources,
  ): Operation;
}
