import type { Operation, RandomFill, ResultKind, SignalInfo, TripWatch } from '#contracts';

/** What is held back of the ends of a trip. */
export interface TrimSpec {
  /** Nothing of so much time after the ignition went on and before it goes off, ms; 0: no matter. */
  readonly timeMs: number;
  /** Nothing so near to where the trip begins and ends, m; 0: no matter. */
  readonly metres: number;
  /** Where the input is an axis of a position whose other axis stands beside it: distances are between positions. */
  readonly axis: 'latitude' | 'longitude' | null;
}

/** What may be done beside an operation of any kind. */
export interface Shaping {
  /** Values are rounded to a grid of at least this step, in the unit of the signal. */
  readonly step?: number;
  readonly trim?: TrimSpec;
  /** What differs from the sample that passed last by no more than this is left out, in the unit of the signal. */
  readonly deadband?: number;
}

/** The parameters of an operation as the plan gives them (`OperationPlan` of `#policies` has the same shape). */
export type OperationSpec = Shaping &
  (
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
      }
    | {
        readonly kind: 'pseudonymise';
        /** Pseudonyms of one value are equal within `[k · R, (k + 1) · R)` of UTC. */
        readonly rotateMs: number;
        readonly periodMs: number;
      }
    | {
        readonly kind: 'noise';
        readonly windowMs: number;
        /** Privacy loss of one value that leaves, millionths: a whole number, so that all arithmetic is exact. */
        readonly epsilonMicro: number;
        /** What samples are clamped to, in the unit of the signal. */
        readonly range: readonly [least: number, most: number];
        readonly minSamples?: number;
      }
  );

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
