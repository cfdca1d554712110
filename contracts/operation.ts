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
