import { nearest, type Place, type SignalInfo, TollgateError } from '#contracts';
import type { MappingEntry } from './mapping.ts';
import type { Database, Message, Signal } from './model.ts';
import { matchUnits } from './units.ts';

/** A database on a channel, with the names that a mapping gives. */
export interface CatalogueChannel {
  readonly name: string;
  readonly database: Database;
  readonly mapping: readonly MappingEntry[];
}

export interface SignalCatalogue {
  readonly signals: readonly SignalInfo[];
  /** By VSS path, `dbc:<Message>.<Signal>` and `dbc:<channel>/<Message>.<Signal>`; all names of a signal lead to one object. */
  readonly byName: ReadonlyMap<string, SignalInfo>;
  /** Short names that several channels have: only the long form says which is meant. */
  readonly ambiguous: ReadonlySet<string>;
}

const EFF_FLAG = 0x8000_0000;
/** Integers of more bits need two cells: a double holds 53. */
const ONE_CELL_BITS = 53;
const NS_PER_MS = 1e6;

/**
 * The signals of all channels under their names.
 *
 * @throws {TollgateError} TG_MAPPING_SIGNAL where a mapping names what is not there, or one path or signal twice; with the
 *   place of the entry TG_MAPPING_TRANSFORM and TG_MAPPING_UNIT where it asks for what the signal does not allow
 */
export function signalCatalogue(channels: readonly CatalogueChannel[]): SignalCatalogue {
  const shared = sharedNames(channels);
  const byName = new Map<string, SignalInfo>();
  const signals: SignalInfo[] = [];
  for (const [channel, { name, database, mapping }] of channels.entries()) {
    const mapped = entriesBySignal(name, mapping);
    const messages = new Set<string>();
    for (const message of database.messages) {
      // A second message of one name could not be told apart: the first counts, as the finding says.
      if (messages.has(message.name)) continue;
      messages.add(message.name);
      for (const signal of message.signals) {
        const short = `dbc:${message.name}.${signal.name}`;
        const long = `dbc:${name}/${message.name}.${signal.name}`;
        const entry = mapped.get(short);
        mapped.delete(short);
        const info = signalInfo(channel, message, signal, shared.has(short) ? long : short, entry);
        if (entry !== undefined && byName.has(entry.path))
          throw mappingError(`${entry.path} is given to two signals`, entry.place);
        signals.push(info);
        for (const alias of [info.name, info.dbcName, long]) byName.set(alias, info);
      }
    }
    const [missing] = mapped;
    if (missing !== undefined) throw missingSignal(database, missing[0], missing[1]);
  }
  return { signals, byName, ambiguous: shared };
}

/** Signals of one database under their DBC names, for use without a mapping. */
export function signalInfos(database: Database, channel = 0): SignalInfo[] {
  return database.messages.flatMap((message) =>
    message.signals.map((signal) =>
      signalInfo(channel, message, signal, `dbc:${message.name}.${signal.name}`, undefined),
    ),
  );
}

/** Entries by short name. Of two paths for one signal, rules about the one that lost would reach nothing. */
function entriesBySignal(channel: string, mapping: readonly MappingEntry[]): Map<string, MappingEntry> {
  const long = `dbc:${channel}/`;
  const entries = new Map<string, MappingEntry>();
  for (const entry of mapping) {
    const short = entry.signal.startsWith(long) ? `dbc:${entry.signal.slice(long.length)}` : entry.signal;
    const before = entries.get(short);
    if (before !== undefined) {
      throw mappingError(`${short} is given two paths: ${before.path} and ${entry.path}`, entry.place);
    }
    entries.set(short, entry);
  }
  return entries;
}

function mappingError(message: string, place?: Place, remedy?: string): TollgateError {
  return new TollgateError('TG_MAPPING_SIGNAL', message, { ...(place === undefined ? {} : { place }), remedy });
}

function missingSignal({ file, messages }: Database, short: string, { place }: MappingEntry): TollgateError {
  const names = messages.flatMap(({ name, signals }) => signals.map((signal) => `dbc:${name}.${signal.name}`));
  const near = nearest(short, names);
  const remedy = near === undefined ? undefined : `Did you mean "${near}"? Nothing of the mapping was applied.`;
  return mappingError(`${file} has no signal ${short.slice('dbc:'.length)}`, place, remedy);
}

/** Short names that more than one channel has: there only the long form tells which is meant. */
function sharedNames(channels: readonly CatalogueChannel[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const { database } of channels) {
    const names = new Set(
      database.messages.flatMap(({ name, signals }) => signals.map((signal) => `dbc:${name}.${signal.name}`)),
    );
    for (const name of names) (seen.has(name) ? shared : seen).add(name);
  }
  return shared;
}

function signalInfo(
  channel: number,
  message: Message,
  signal: Signal,
  dbcName: string,
  entry: MappingEntry | undefined,
): SignalInfo {
  const type = signal.valueType !== 'integer' ? signal.valueType : signal.length > ONE_CELL_BITS ? 'wide' : 'int';
  return {
    name: entry?.path ?? dbcName,
    dbcName,
    channel,
    message: message.name,
    signal: signal.name,
    id: message.extended ? message.id + EFF_FLAG : message.id,
    unit: entry?.unit ?? signal.unit,
    f: signal.factor,
    o: signal.offset,
    factor: 1,
    offset: 0,
    type,
    signed: signal.signed,
    bits: signal.length,
    ...(entry === undefined ? {} : mappedParts(entry, signal, type)),
  };
}

/** What an entry changes of a signal. */
function mappedParts(entry: MappingEntry, signal: Signal, type: SignalInfo['type']): Partial<SignalInfo> {
  const { minIntervalMs, deadband } = entry;
  return {
    ...(entry.values === undefined ? scaleOf(entry, signal) : valuesOf(entry, entry.values, signal, type)),
    ...(minIntervalMs === undefined ? {} : { minIntervalNs: minIntervalMs * NS_PER_MS }),
    ...(deadband === undefined ? {} : { deadband }),
  };
}

/** A unit without factor, offset or transform converts; where the units are not known it only renames. */
function scaleOf({ factor, offset, unit, isScaled, place }: MappingEntry, signal: Signal): Partial<SignalInfo> {
  if (isScaled === true || unit === null || factor !== 1 || offset !== 0) return { factor, offset };
  const match = matchUnits(signal.unit, unit);
  if (match.kind === 'convertible') return { factor: match.factor, offset: match.offset };
  if (match.kind !== 'different') return { factor, offset };
  throw new TollgateError(
    'TG_MAPPING_UNIT',
    `${signal.name} has the unit "${signal.unit}", no factor leads to "${unit}"`,
    {
      ...(place === undefined ? {} : { place }),
    },
  );
}

/** Raw values in place of labels and physical values; the mapped value is the physical one. */
function valuesOf(
  { place }: MappingEntry,
  pairs: NonNullable<MappingEntry['values']>,
  signal: Signal,
  type: SignalInfo['type'],
): Partial<SignalInfo> {
  const refuse = (text: string, remedy?: string) =>
    new TollgateError('TG_MAPPING_TRANSFORM', `${signal.name} ${text}`, {
      ...(place === undefined ? {} : { place }),
      remedy,
    });
  if (type !== 'int')
    throw refuse(`has more than ${ONE_CELL_BITS} bits or is a float: its values cannot be mapped one by one`);
  const values = new Map<number, number>();
  for (const { from, to } of pairs) {
    const label = signal.labels.find(({ text }) => text === from);
    const raw = label === undefined ? (Number(from) - signal.offset) / signal.factor : Number(label.value);
    if (typeof from === 'string' && label === undefined) {
      const near = nearest(
        from,
        signal.labels.map(({ text }) => text),
      );
      throw refuse(`has no label "${from}"`, near === undefined ? undefined : `Did you mean "${near}"?`);
    }
    if (!Number.isSafeInteger(raw)) throw refuse(`cannot have the value ${from}`);
    if (values.has(raw)) throw refuse(`is given two values for "${from}"`);
    values.set(raw, to);
  }
  return { f: 1, o: 0, factor: 1, offset: 0, values, signed: signal.signed || pairs.some(({ to }) => to < 0) };
}
