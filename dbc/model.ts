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
  /** The short name of the file where an attribute (`SystemSignalLongSymbol`) gives the name; absent where they are one. */
  readonly symbol?: string;
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
  /** The short name of the file where `SystemMessageLongSymbol` gives the name. */
  readonly symbol?: string;
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
  /** The short name of the file where `SystemNodeLongSymbol` gives the name. */
  readonly symbol?: string;
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** What an attribute may be given to; `''` is the network. */
export type AttributeObject =
  | ''
  | 'BU_'
  | 'BO_'
  | 'SG_'
  | 'EV_'
  | 'BU_BO_REL_'
  | 'BU_SG_REL_'
  | 'BU_EV_REL_'
  | 'SGTYPE_';

/** `BA_DEF_` with its `BA_DEF_DEF_`, and the `_REL_` forms. */
export interface AttributeDefinition {
  readonly name: string;
  readonly object: AttributeObject;
  readonly type: 'INT' | 'HEX' | 'FLOAT' | 'STRING' | 'ENUM';
  /** null where the file gives none. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** Of an ENUM, in order: an attribute may hold the index. */
  readonly values: readonly string[];
  /** The value of what has none of its own; null where the file gives none. */
  readonly standard: AttributeValue | null;
}

/** `EV_` and `ENVVAR_DATA_`: a value of a simulation, not of a bus. */
export interface EnvironmentVariable {
  readonly name: string;
  readonly type: 'integer' | 'float' | 'string';
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: string;
  readonly initial: number;
  readonly id: number;
  /** `DUMMY_NODE_VECTOR0` … 3: unrestricted, read, write, read and write. */
  readonly access: string;
  readonly nodes: readonly string[];
  /** `ENVVAR_DATA_`: bytes of a data variable, null for others. */
  readonly dataBytes: number | null;
  readonly labels: readonly Label[];
  readonly comment: string;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** `BA_REL_`: a value for a pair, such as the time-out of a signal in one node. */
export interface RelationAttribute {
  readonly name: string;
  readonly relation: 'BU_BO_REL_' | 'BU_SG_REL_' | 'BU_EV_REL_';
  readonly node: string;
  /** Id word of the message with bit 31 for 29 bits; null for a variable. */
  readonly id: number | null;
  /** The signal, or the variable; null for a message. */
  readonly of: string | null;
  readonly value: AttributeValue;
}

/** `SGTYPE_`: a template of signals. */
export interface SignalType {
  readonly name: string;
  readonly length: number;
  readonly byteOrder: Signal['byteOrder'];
  readonly signed: boolean;
  readonly valueType: Signal['valueType'];
  readonly factor: number;
  readonly offset: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: string;
  readonly standard: number;
  /** Name of its `VAL_TABLE_`, or empty. */
  readonly table: string;
}

/** What a file holds that does not change what a frame means: kept, so that writing loses nothing. */
export interface DatabaseExtras {
  /** Keywords of `NS_`. */
  readonly newSymbols: readonly string[];
  /** What follows `BS_:`. */
  readonly bitTiming: string;
  readonly definitions: readonly AttributeDefinition[];
  readonly relations: readonly RelationAttribute[];
  readonly variables: readonly EnvironmentVariable[];
  readonly signalTypes: readonly SignalType[];
  /** `SIG_TYPE_REF_`: id word, signal, name of its type. */
  readonly typeReferences: readonly { readonly id: number; readonly signal: string; readonly type: string }[];
  /** `VECTOR__INDEPENDENT_SIG_MSG`: signals that no message carries. */
  readonly independent: Message | null;
  /** Statements without a public description (`CAT_`, `FILTER`, …), as written. */
  readonly verbatim: readonly string[];
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
  /** Absent where a database was not read from a file. */
  readonly extras?: DatabaseExtras;
}
