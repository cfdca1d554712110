/** Takes the rows that an operation lets out: one time and one cell a column. Implementations copy; callers reuse. */
export interface RowSink {
  /**
   * @param timeNs boottime of the sample or of the start of its window, ns
   * @param cells one number a column; a cell whose `present` is 0 has no meaning
   * @param present 1 or 0 a column
   */
  row(timeNs: number, cells: Float64Array, present: Uint8Array): void;
}

/** What an operation makes of a signal; `raw` is the sample itself. */
export type ResultKind = 'raw' | 'min' | 'max' | 'mean' | 'count' | 'last' | 'sum' | 'cell';

/** One output column of an operation. */
export interface ResultColumn {
  /** Index of the input cell that it comes from. */
  readonly input: number;
  readonly result: ResultKind;
}

/**
 * A transform between the gate and the record: raw, decimate, aggregate, cloak.
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
