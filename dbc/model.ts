import type { ErrorCode } from '#contracts';

/** The DBC language as data: what the parser makes and the writer, lint, diff and decoder emitter read. */

/** A finding of the lenient loader or of lint. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  /** From the error table, `TG_DBC_…`. */
  readonly code: ErrorCode;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** What was found and what was expected. */
  readonly message: string;
  readonly fix: string;
}

export type AttributeValue = number | string;

/** `VAL_` and `VAL_TABLE_` rows; keys may lie beyond 2^53, hence decimal strings beside the number form. */
export interface Label {
  readonly value: bigint;
  readonly text: string;
}

/** `SG_MUL_VAL_` range, both ends inclusive. */
export interface MultiplexRange {
  readonly low: number;
  readonly high: number;
}

export interface Signal {
  readonly name: string;
  /** As written: Intel: least significant bit; Motorola: most significant bit, in DBC bit numbering. */
  readonly start: number;
  /** Bits, 1–64. */
  readonly length: number;
  readonly byteOrder: 'intel' | 'motorola';
  readonly signed: boolean;
  readonly valueType: 'integer' | 'float32' | 'float64';
  readonly factor: number;
  readonly offset: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: string;
  readonly receivers: readonly string[];
  /** `M` or `m3M`: other signals depend on this one's value. */
  readonly isMultiplexer: boolean;
  /** Name of the multiplexer in the same message; null where the signal is always there. */
  readonly multiplexer: string | null;
  /** Values of the multiplexer for which the signal is there; empty where `multiplexer` is null. */
  readonly multiplexRanges: readonly MultiplexRange[];
  readonly labels: readonly Label[];
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** Where it stands in the file, from 1. */
  readonly line: number;
}

export interface SignalGroup {
  readonly name: string;
  readonly repetitions: number;
  readonly signals: readonly string[];
}

export interface Message {
  readonly name: string;
  /** 11 or 29 bit, no flag bit. */
  readonly id: number;
  readonly extended: boolean;
  /** `VFrameFormat` says CAN FD, or the length is above 8. */
  readonly fd: boolean;
  /** Bytes. */
  readonly length: number;
  /** `Vector__XXX` (nobody) reads as the empty list. */
  readonly senders: readonly string[];
  readonly signals: readonly Signal[];
  readonly groups: readonly SignalGroup[];
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** `VFrameFormat` or `ProtocolType` says J1939: match by PGN. */
  readonly j1939: boolean;
  readonly line: number;
}

export interface Node {
  readonly name: string;
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

export interface Database {
  /** As given by the caller, for findings and errors. */
  readonly file: string;
  readonly version: string;
  readonly nodes: readonly Node[];
  readonly messages: readonly Message[];
  readonly valueTables: ReadonlyMap<string, readonly Label[]>;
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}
