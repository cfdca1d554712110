import type { Token } from '../lexer.ts';
import type {
  AttributeDefinition,
  AttributeValue,
  EnvironmentVariable,
  Finding,
  Label,
  MultiplexRange,
  RelationAttribute,
  SignalType,
} from '../model.ts';

/** The statements of a DBC file as written, before names are resolved. */

export interface RawSignal {
  readonly name: string;
  /** `''`, `M`, `m3`, `m3M`. */
  readonly multiplex: string;
  readonly start: number;
  readonly length: number;
  readonly intel: boolean;
  readonly signed: boolean;
  readonly factor: number;
  readonly offset: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: string;
  readonly receivers: readonly string[];
  readonly token: Token;
}

export interface RawMessage {
  /** As written, bit 31 included. */
  readonly id: number;
  readonly name: string;
  readonly length: number;
  readonly sender: string;
  readonly signals: RawSignal[];
  readonly token: Token;
}

/** What a comment or an attribute belongs to. */
export type Owner =
  | { readonly kind: 'network' }
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'message'; readonly id: number }
  | { readonly kind: 'signal'; readonly id: number; readonly signal: string }
  | { readonly kind: 'variable'; readonly variable: string };

/** A statement about one signal. */
export interface OfSignal {
  readonly id: number;
  readonly signal: string;
  readonly token: Token;
}

/** Filled by the sections, read once by the resolver. */
export interface Statements {
  version: string;
  bitTiming: string;
  readonly newSymbols: string[];
  readonly nodes: string[];
  readonly messages: RawMessage[];
  readonly valueTables: Map<string, readonly Label[]>;
  readonly comments: { owner: Owner; text: string; token: Token }[];
  readonly definitions: (Omit<AttributeDefinition, 'standard'> & { readonly token: Token })[];
  readonly defaults: Map<string, { value: AttributeValue; token: Token }>;
  readonly attributes: { name: string; owner: Owner; value: AttributeValue; token: Token }[];
  readonly relations: (RelationAttribute & { readonly token: Token })[];
  readonly labels: (OfSignal & { labels: readonly Label[] })[];
  readonly variableLabels: Map<string, readonly Label[]>;
  readonly valueTypes: (OfSignal & { type: number })[];
  readonly groups: { id: number; name: string; repetitions: number; signals: string[]; token: Token }[];
  readonly multiplexers: (OfSignal & { multiplexer: string; ranges: MultiplexRange[] })[];
  readonly senders: { id: number; nodes: string[]; token: Token }[];
  readonly variables: Omit<EnvironmentVariable, 'dataBytes' | 'labels' | 'comment' | 'attributes'>[];
  readonly variableBytes: Map<string, number>;
  readonly signalTypes: Omit<SignalType, 'valueType'>[];
  readonly signalTypeValues: Map<string, number>;
  readonly typeReferences: (OfSignal & { type: string })[];
  /** Statements that no tool documents, as written. */
  readonly verbatim: string[];
  readonly findings: Finding[];
  /** Statements that were understood. */
  understood: number;
}

export function noStatements(): Statements {
  return {
    version: '',
    bitTiming: '',
    newSymbols: [],
    nodes: [],
    messages: [],
    valueTables: new Map(),
    comments: [],
    definitions: [],
    defaults: new Map(),
    attributes: [],
    relations: [],
    labels: [],
    variableLabels: new Map(),
    valueTypes: [],
    groups: [],
    multiplexers: [],
    senders: [],
    variables: [],
    variableBytes: new Map(),
    signalTypes: [],
    signalTypeValues: new Map(),
    typeReferences: [],
    verbatim: [],
    findings: [],
    understood: 0,
  };
}
