/**
 * The schema of a stream: what its columns mean. Goes once a session, sealed; its hash is in the session and, short,
 * in each record. A column's physical value is `(raw · f + o) · factor + offset`.
 */
export type ColumnType = 'int' | 'wide' | 'float32' | 'float64';

export interface SchemaColumn {
  /** VSS path, else `dbc:<Message>.<Signal>`. */
  readonly signal: string;
  readonly result: 'raw' | 'min' | 'max' | 'mean' | 'count' | 'last' | 'sum' | 'cell' | 'noised' | 'pseudonym';
  readonly unit: string;
  readonly f: number;
  readonly o: number;
  readonly factor: number;
  readonly offset: number;
  /** `int`: integers of at most 53 bits; `wide`: 64-bit integers, two cells in a table; `mean` is `float64`. */
  readonly type: ColumnType;
  readonly signed: boolean;
}

/** Columns that share one time column: the signals of one message under one operation. */
export interface SchemaGroup {
  /** 0: samples at their own times; else the length of the window whose start is the time, ms. */
  readonly windowMs: number;
  readonly columns: readonly SchemaColumn[];
}

export interface Schema {
  readonly agreement: { readonly uid: string /** SHA-256 of its bytes. */; readonly hash: Uint8Array };
  readonly bootId: Uint8Array;
  /** UTC in ms = boottime in ms + this; null where unknown. */
  readonly utcOffsetMs: number | null;
  readonly utcErrorMs: number | null;
  readonly utcSource: string;
  readonly groups: readonly SchemaGroup[];
  /** `NO_TIMING` where it is absent. */
  readonly timing?: Timing;
}

/** How finely a stream tells time, and where its records are expected: what every record would say again. */
export interface Timing {
  /** 1: times to 1 ms; 10: to 100 µs. */
  readonly ticksPerMs: 1 | 10;
  /** Record `seq` is expected to start at `baseMs + seq · stepMs` of boottime; it tells how far from there it does. */
  readonly baseMs: number;
  readonly stepMs: number;
}

export const NO_TIMING: Timing = { ticksPerMs: 1, baseMs: 0, stepMs: 0 };

/** One group of a record in memory. */
export interface Table {
  readonly rows: number;
  /** Boottime, ms, whole or (at ten ticks a ms) in tenths, not decreasing; `rows` entries are used. */
  readonly timesMs: Float64Array;
  readonly columns: readonly TableColumn[];
  /** The last row is a window that had not ended: the source ended, the unit stopped, time jumped. */
  readonly partial?: boolean;
}

export interface TableColumn {
  /** `int`: raw integers; floats: values; the high word of a `wide` column. */
  readonly values: Float64Array;
  /** The low words (unsigned) of a `wide` column, else absent. */
  readonly low?: Float64Array;
  /** 1 or 0 a row; null where every row has a value. */
  readonly present: Uint8Array | null;
}
