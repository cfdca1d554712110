import { createHash } from 'node:crypto';
import type { ResultKind } from '#contracts';
import { readDuration } from './constraints.ts';
import { DocumentReader, type Node, type ObjectNode } from './document.ts';
import { parseDateTime } from './time.ts';
import { parseYaml } from './yaml.ts';

export const CAMPAIGN_OPERATIONS = ['raw', 'decimate', 'aggregate', 'cloak'] as const;
export const AGGREGATE_RESULTS = [
  'min',
  'max',
  'mean',
  'count',
  'last',
  'sum',
] as const satisfies readonly ResultKind[];

/** One signal that a recipient asks for, with the operation it proposes. */
export interface CampaignSignal {
  /** As written: VSS path or `dbc:` name. */
  readonly signal: string;
  readonly operation: (typeof CAMPAIGN_OPERATIONS)[number];
  /** `aggregate`: length of the window, ms; else 0. */
  readonly windowMs: number;
  /** `aggregate`: what of each window is sent, in the order of the document; else empty. */
  readonly results: readonly ResultKind[];
  /** `cloak`: least side of the grid cell, metres; else 0. */
  readonly cellMetres: number;
  readonly pointer: string;
}

/** What a recipient asks for. */
export interface Campaign {
  readonly file: string;
  readonly campaign: string;
  readonly version: number;
  /** DID. */
  readonly recipient: string;
  readonly purpose: string;
  /** 0 low … 7 high. */
  readonly priority: number;
  /** ms since 1970 UTC; null: no end. */
  readonly expiresMs: number | null;
  /** Sampling period of raw, decimate and cloak, ms; 0: every sample. */
  readonly everyMs: number;
  readonly signals: readonly CampaignSignal[];
  /** Signals that get the decode right `context`. */
  readonly context: readonly string[];
  /** Time that one record spans, ms. */
  readonly recordMs: number;
  /** SHA-256 of the document's bytes. */
  readonly hash: Uint8Array;
}

const KEYS = [
  'campaign',
  'version',
  'recipient',
  'purpose',
  'priority',
  'expires',
  'trigger',
  'signals',
  'context',
  'record',
];
const SIGNAL_KEYS: Readonly<Record<CampaignSignal['operation'], readonly string[]>> = {
  raw: ['signal', 'operation'],
  decimate: ['signal', 'operation'],
  aggregate: ['signal', 'operation', 'window', 'results'],
  cloak: ['signal', 'operation', 'cell'],
};
const ALL_SIGNAL_KEYS = ['signal', 'operation', 'window', 'results', 'cell'];
const NAME = /^[a-z0-9-]{1,64}$/;
const DID = /^did:[a-z0-9]+:\S+$/;
const SIGNAL = /^(dbc:([^\s/]+\/)?[A-Za-z_]\w*\.[A-Za-z_]\w*|[A-Za-z]\w*(\.\w+)+)$/;
const DEFAULT_PRIORITY = 3;
const DEFAULT_RECORD_MS = 1000;
const MAX_SIGNALS = 4096;
/** Coarser cells than this do not fit on the earth in any useful number. */
const MAX_CELL_METRES = 1_000_000;

/**
 * Reads a campaign.
 *
 * @throws {TollgateError} `TG_CAMPAIGN_…` with file, line, column, JSON pointer and the nearest valid key
 */
export function loadCampaign(text: string, { file }: { readonly file: string }): Campaign {
  const root = parseYaml(text, file, 'TG_CAMPAIGN_SYNTAX');
  const reader = new DocumentReader(file, text, { unknownKey: 'TG_CAMPAIGN_UNKNOWN_KEY', value: 'TG_CAMPAIGN_VALUE' });
  const object = reader.record(root, 'a campaign', KEYS);
  const trigger = reader.get(object, 'trigger');
  const everyMs = trigger === undefined ? 0 : readEvery(reader, trigger, 'trigger');
  const record = reader.get(object, 'record');
  const recordMs = record === undefined ? DEFAULT_RECORD_MS : readEvery(reader, record, 'record');
  if (recordMs === 0) throw reader.wrong(record!, 'record.every must be longer than 0');
  const context = reader.get(object, 'context');
  return {
    file,
    campaign: matching(
      reader,
      reader.need(object, 'campaign', 'a campaign'),
      'campaign',
      NAME,
      '1 to 64 of a-z, 0-9 and -',
    ),
    version: reader.integer(reader.need(object, 'version', 'a campaign'), 'version', 1, Number.MAX_SAFE_INTEGER),
    recipient: matching(reader, reader.need(object, 'recipient', 'a campaign'), 'recipient', DID, 'a DID'),
    purpose: matching(
      reader,
      reader.need(object, 'purpose', 'a campaign'),
      'purpose',
      /^\S{1,256}$/,
      'a word without spaces',
    ),
    priority: optional(reader, object, 'priority', (node) => reader.integer(node, 'priority', 0, 7), DEFAULT_PRIORITY),
    expiresMs: optional<number | null>(reader, object, 'expires', (node) => readExpiry(reader, node), null),
    everyMs,
    signals: readSignals(reader, reader.need(object, 'signals', 'a campaign'), everyMs),
    context: context === undefined ? [] : reader.array(context, 'context').map((node) => signalName(reader, node)),
    recordMs,
    hash: new Uint8Array(createHash('sha256').update(text, 'utf8').digest()),
  };
}

function optional<T>(
  reader: DocumentReader,
  object: ObjectNode,
  key: string,
  read: (node: Node) => T,
  otherwise: T,
): T {
  const node = reader.get(object, key);
  return node === undefined ? otherwise : read(node);
}

function matching(reader: DocumentReader, node: Node, what: string, pattern: RegExp, wanted: string): string {
  const text = reader.text(node, what);
  if (!pattern.test(text)) throw reader.wrong(node, `${what} must be ${wanted}, is "${text}"`);
  return text;
}

function readEvery(reader: DocumentReader, node: Node, key: 'trigger' | 'record'): number {
  const object = reader.record(node, `"${key}"`, ['every']);
  const every = reader.need(object, 'every', `"${key}"`);
  // `every: 0` is the one duration that needs no unit.
  if (every.kind === 'scalar' && every.value === 0) return 0;
  return readDuration(reader, every, `${key}.every`);
}

function readExpiry(reader: DocumentReader, node: Node): number {
  const text = reader.text(node, 'expires');
  const ms = parseDateTime(text);
  if (ms === null)
    throw reader.wrong(node, `expires must be a date and time with a zone, like 2027-01-01T00:00:00Z, is "${text}"`);
  return ms;
}

function signalName(reader: DocumentReader, node: Node): string {
  const name = reader.text(node, 'a signal');
  if (name.startsWith('vss:'))
    throw reader.wrong(node, `a campaign names a VSS path bare: ${name.slice('vss:'.length)}`);
  if (!SIGNAL.test(name)) throw reader.wrong(node, `"${name}" is neither a VSS path nor dbc:<Message>.<Signal>`);
  return name;
}

function readSignals(reader: DocumentReader, node: Node, everyMs: number): CampaignSignal[] {
  const items = reader.array(node, 'signals');
  if (items.length === 0 || items.length > MAX_SIGNALS)
    throw reader.wrong(node, `signals must be 1 to ${MAX_SIGNALS} entries`);
  const seen = new Set<string>();
  return items.map((item) => {
    const signal = readSignal(reader, item, everyMs);
    if (seen.has(signal.signal))
      throw reader.wrong(item, `"${signal.signal}" is asked for twice: write a second campaign`);
    seen.add(signal.signal);
    return signal;
  });
}

function readSignal(reader: DocumentReader, node: Node, everyMs: number): CampaignSignal {
  const object = reader.record(node, 'a signal of a campaign', ALL_SIGNAL_KEYS);
  const operationNode = reader.need(object, 'operation', 'a signal of a campaign');
  const word = reader.text(operationNode, 'operation');
  const operation = CAMPAIGN_OPERATIONS.find((known) => known === word);
  if (operation === undefined) {
    throw reader.unknown('TG_CAMPAIGN_VALUE', operationNode, word, 'an operation', CAMPAIGN_OPERATIONS);
  }
  const signal = signalName(reader, reader.need(object, 'signal', 'a signal of a campaign'));
  reader.record(object, `an entry with operation "${operation}"`, SIGNAL_KEYS[operation]);
  if (operation === 'decimate' && everyMs === 0)
    throw reader.wrong(operationNode, 'decimate needs a period: write trigger: { every: 1s }');
  const plain = { signal, operation, windowMs: 0, results: [], cellMetres: 0, pointer: object.pointer };
  if (operation === 'aggregate') {
    const windowNode = reader.need(object, 'window', 'an aggregate');
    const windowMs = readDuration(reader, windowNode, 'window');
    if (windowMs === 0) throw reader.wrong(windowNode, 'window must be longer than 0');
    return { ...plain, windowMs, results: readResults(reader, reader.need(object, 'results', 'an aggregate')) };
  }
  if (operation === 'cloak') {
    const cellNode = reader.need(object, 'cell', 'a cloak');
    const cellMetres = reader.number(cellNode, 'cell');
    if (cellMetres < 1 || cellMetres > MAX_CELL_METRES)
      throw reader.wrong(cellNode, `cell must be 1 to ${MAX_CELL_METRES} metres, is ${cellMetres}`);
    return { ...plain, cellMetres };
  }
  return plain;
}

function readResults(reader: DocumentReader, node: Node): ResultKind[] {
  const results = reader.array(node, 'results').map((item) => {
    const word = reader.text(item, 'a result');
    const result = AGGREGATE_RESULTS.find((known) => known === word);
    if (result === undefined) throw reader.unknown('TG_CAMPAIGN_VALUE', item, word, 'a result', AGGREGATE_RESULTS);
    return result;
  });
  if (results.length === 0) throw reader.wrong(node, 'results must name at least one result');
  if (new Set(results).size < results.length) throw reader.wrong(node, 'results must name each result once');
  return results;
}
