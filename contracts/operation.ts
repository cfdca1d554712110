import type { SignalInfo } from './signals.ts';

/** Takes the rows that an operation lets out: one time and one cell a column. Implementations copy; callers reuse. */
export interface RowSink {
  /**
   * @param timeNs boottime of the sample or of the start of its window, ns
   * @param cells one number a column; a cell whose `present` is 0 has no meaning
   * @param present 1 or 0 a column
   */
  row(timeNs: number, cells: Float64Array, present: Uint8Array): void;
}

/** What an operation makes of a signal; `raw` is the sample itself, `noised` a mean with noise. */
export type ResultKind = 'raw' | 'min' | 'max' | 'mean' | 'count' | 'last' | 'sum' | 'cell' | 'noised' | 'pseudonym';

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

/** The parameters of one operation, after every demand has been applied (the strictest of campaign, agreement, law). */
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

/** One output column of an operation. */
export interface ResultColumn {
  /** Index of the input cell that it comes from. */
  readonly input: number;
  readonly result: ResultKind;
}

/**
 * The raw integers of a range of physical values.
 *
 * @returns null where there are fewer than two, or where a value that was moved by noise could leave the whole numbers
 */
export function rawRange(
  { f, o, factor, offset }: SignalInfo,
  [from, to]: readonly [least: number, most: number],
): { readonly least: number; readonly most: number } | null {
  const raw = (value: number) => ((value - offset) / factor - o) / f;
  const least = Math.floor(Math.min(raw(from), raw(to)));
  const most = Math.ceil(Math.max(raw(from), raw(to)));
  const fits = most - least <= WIDEST_RANGE && Math.abs(least) <= WIDEST_RANGE && Math.abs(most) <= WIDEST_RANGE;
  return most > least && fits ? { least, most } : null;
}

/** Wider than any vehicle's signal, and far enough below 2^53. */
const WIDEST_RANGE = 2 ** 40;

/** Fills the array with random bytes of the trust anchor or the operating system; never a seeded generator on a unit. */
export type RandomFill = (into: Uint8Array) => void;

/** What is known of the trip at the moment of a row. */
export interface TripWatch {
  /** Trips that ended so far: whoever holds samples of a trip compares it with what it was. */
  readonly ended: number;
  /** Whether the ignition is known to be on; unknown is no. */
  isOn(timeNs: number): boolean;
  /** Speed of the vehicle, m/s; NaN where unknown. */
  speed(timeNs: number): number;
}

/**
 * A transform between the gate and the record: raw, decimate, aggregate, cloak, pseudonymise, noise.
 * It works on the cells of one message (see `RowLayout` in `#decoders`), never on objects, and allocates nothing per row.
 * An agreement's demand (a minimum window, a grid) is one of its parameters, so no path leads around it.
 */
export interface Operation {
  readonly name: string;
  readonly columns: readonly ResultColumn[];
  /**
   * One row of the message.
   *
   * @param cells raw integers (or float values), one an input
   * @param admitted 1 where the gate admits the cell of this row and the cell is present, else 0
   */
  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void;
  /** Time has passed without a row: closes windows that ended at or before `timeNs`. */
  advance(timeNs: number, out: RowSink): void;
  /** The stream ends: sends what is open, the last window being partial. */
  finish(out: RowSink): void;
}
