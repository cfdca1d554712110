import { createHash } from 'node:crypto';
import type { ResultKind } from '#contracts';
import { readDuration } from './constraints.ts';
import { DocumentReader, type Node, type ObjectNode } from './document.ts';
import { parseDateTime } from './time.ts';
import { parseYaml } from './yaml.ts';

export const CAMPAIGN_OPERATIONS = ['raw', 'decimate', 'aggregate', 'cloak', 'pseudonymise', 'noise'] as const;
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
  /** `aggregate`, `noise`: length of the window, ms; else 0. */
  readonly windowMs: number;
  /** `aggregate`: what of each window is sent, in the order of the document; else empty. */
  readonly results: readonly ResultKind[];
  /** `cloak`: least side of the grid cell, metres; else 0. */
  readonly cellMetres: number;
  /** Its own sampling period, ms, in place of the campaign's. */
  readonly everyMs?: number;
  /** Changes no larger than this are left out, in the unit of the signal. */
  readonly deadband?: number;
  /** Values are rounded to a grid of this step, in the unit of the signal. */
  readonly step?: number;
  /** What is held back of both ends of a trip, ms and metres. */
  readonly trim?: { readonly timeMs: number; readonly metres: number };
  /** `pseudonymise`: how long a value keeps its pseudonym, ms. */
  readonly rotateMs?: number;
  /** `noise`: privacy loss of one value, millionths, and the range that samples are clamped to, in the signal's unit. */
  readonly epsilonMicro?: number;
  readonly range?: readonly [least: number, most: number];
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
  /** 10: times are told to 100 µs; absent: to 1 ms. */
  readonly ticksPerMs?: 10;
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
  raw: ['signal', 'operation', 'every', 'deadband', 'precision', 'trim'],
  decimate: ['signal', 'operation', 'every', 'deadband', 'precision', 'trim'],
  aggregate: ['signal', 'operation', 'window', 'results', 'precision', 'trim'],
  cloak: ['signal', 'operation', 'cell', 'every', 'trim'],
  pseudonymise: ['signal', 'operation', 'rotate', 'every', 'trim'],
  noise: ['signal', 'operation', 'window', 'epsilon', 'range', 'precision', 'trim'],
};
const ALL_SIGNAL_KEYS = [...new Set(Object.values(SIGNAL_KEYS).flat())];
const NAME = /^[a-z0-9-]{1,64}$/;
const DID = /^did:[a-z0-9]+:\S+$/;
const SIGNAL = /^(dbc:([^\s/]+\/)?[A-Za-z_]\w*\.[A-Za-z_]\w*|[A-Za-z]\w*(\.\w+)+)$/;
const DEFAULT_PRIORITY = 3;
const DEFAULT_RECORD_MS = 1000;
const MAX_SIGNALS = 4096;
/** Less privacy loss than this is no whole number of millionths; more than the other is no privacy at all. */
const LEAST_EPSILON = 1e-6;
const MOST_EPSILON = 100;
const MICRO = 1_000_000;
/** Longer ends of a trip are most trips whole. */
const MAX_TRIM_METRES = 100_000;
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
  const everyMs = trigger === undefined ? 0 : readEvery(reader, trigger, 'trigger', ['every']);
  const record = reader.get(object, 'record');
  const recordMs =
    record === undefined ? DEFAULT_RECORD_MS : readEvery(reader, record, 'record', ['every', 'resolution']);
  const fine = record !== undefined && readsFine(reader, record);
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
    ...(fine ? { ticksPerMs: 10 } : {}),
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

function readEvery(reader: DocumentReader, node: Node, key: 'trigger' | 'record', keys: readonly string[]): number {
  const object = reader.record(node, `"${key}"`, [...keys]);
  return readPeriod(reader, reader.need(object, 'every', `"${key}"`), `${key}.every`);
}

/** `every: 0` is the one duration that needs no unit. */
function readPeriod(reader: DocumentReader, node: Node, what: string): number {
  return node.kind === 'scalar' && node.value === 0 ? 0 : readDuration(reader, node, what);
}

/** Whether times are told to 100 µs. */
function readsFine(reader: DocumentReader, record: Node): boolean {
  const node = reader.get(reader.object(record, '"record"'), 'resolution');
  if (node === undefined) return false;
  const word = reader.text(node, 'record.resolution');
  const known = ['1ms', '100us'];
  if (!known.includes(word)) throw reader.unknown('TG_CAMPAIGN_VALUE', node, word, 'a resolution of time', known);
  return word === '100us';
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
  const plain: CampaignSignal = {
    signal,
    operation,
    windowMs: 0,
    results: [],
    cellMetres: 0,
    ...readShaping(reader, object),
    pointer: object.pointer,
  };
  if (operation === 'decimate' && (plain.everyMs ?? everyMs) === 0)
    throw reader.wrong(operationNode, 'decimate needs a period: write trigger: { every: 1s }');
  switch (operation) {
    case 'aggregate': {
      const windowMs = readWindow(reader, object, 'an aggregate');
      return { ...plain, windowMs, results: readResults(reader, reader.need(object, 'results', 'an aggregate')) };
    }
    case 'cloak': {
      const cellNode = reader.need(object, 'cell', 'a cloak');
      return { ...plain, cellMetres: within(reader, cellNode, 'cell', 1, MAX_CELL_METRES, ' metres') };
    }
    case 'pseudonymise': {
      const node = reader.need(object, 'rotate', 'a pseudonymise');
      const rotateMs = readDuration(reader, node, 'rotate');
      if (rotateMs === 0) throw reader.wrong(node, 'rotate must be longer than 0');
      return { ...plain, rotateMs };
    }
    case 'noise': {
      const windowMs = readWindow(reader, object, 'a noise');
      const epsilon = within(
        reader,
        reader.need(object, 'epsilon', 'a noise'),
        'epsilon',
        LEAST_EPSILON,
        MOST_EPSILON,
        '',
      );
      const epsilonMicro = Math.floor(epsilon * MICRO);
      return { ...plain, windowMs, epsilonMicro, range: readRange(reader, reader.need(object, 'range', 'a noise')) };
    }
    default:
      return plain;
  }
}

function readWindow(reader: DocumentReader, object: ObjectNode, what: string): number {
  const node = reader.need(object, 'window', what);
  const windowMs = readDuration(reader, node, 'window');
  if (windowMs === 0) throw reader.wrong(node, 'window must be longer than 0');
  return windowMs;
}

function within(reader: DocumentReader, node: Node, what: string, least: number, most: number, unit: string): number {
  const value = reader.number(node, what);
  if (!(value >= least && value <= most))
    throw reader.wrong(node, `${what} must be ${least} to ${most}${unit}, is ${value}`);
  return value;
}

/** What an entry of any operation may say; which keys it may have was asked before. */
function readShaping(reader: DocumentReader, object: ObjectNode): Partial<CampaignSignal> {
  const own = <T>(key: string, read: (node: Node) => T): T | undefined => {
    const node = reader.get(object, key);
    return node === undefined ? undefined : read(node);
  };
  const everyMs = own('every', (node) => readPeriod(reader, node, 'every'));
  const deadband = own('deadband', (node) => within(reader, node, 'deadband', 0, Number.MAX_VALUE, ''));
  const step = own('precision', (node) => within(reader, node, 'precision', Number.MIN_VALUE, Number.MAX_VALUE, ''));
  const trim = own('trim', (node) => readTrim(reader, node));
  return {
    ...(everyMs === undefined ? {} : { everyMs }),
    ...(deadband === undefined ? {} : { deadband }),
    ...(step === undefined ? {} : { step }),
    ...(trim === undefined ? {} : { trim }),
  };
}

function readTrim(reader: DocumentReader, node: Node): { timeMs: number; metres: number } {
  const object = reader.record(node, '"trim"', ['time', 'distance']);
  const time = reader.get(object, 'time');
  const distance = reader.get(object, 'distance');
  if (time === undefined && distance === undefined) throw reader.wrong(node, 'trim needs a time or a distance');
  return {
    timeMs: time === undefined ? 0 : readDuration(reader, time, 'trim.time'),
    metres: distance === undefined ? 0 : within(reader, distance, 'trim.distance', 0, MAX_TRIM_METRES, ' metres'),
  };
}

function readRange(reader: DocumentReader, node: Node): readonly [number, number] {
  const items = reader.array(node, 'range');
  if (items.length !== 2) throw reader.wrong(node, 'range must be [least, most]');
  const [least, most] = items.map((item) => reader.number(item, 'range')) as [number, number];
  if (!(least < most)) throw reader.wrong(node, `range must rise, is [${least}, ${most}]`);
  return [least, most];
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
