import { type SignalInfo, TollgateError } from '#contracts';
import type { MappingEntry } from './mapping.ts';
import type { Database, Message, Signal } from './model.ts';

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

/**
 * The signals of all channels under their names.
 *
 * @throws {TollgateError} TG_MAPPING_SIGNAL where a mapping names what is not there, or one path or signal twice
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
        if (entry !== undefined && byName.has(entry.path)) throw mappingError(`${entry.path} is given to two signals`);
        signals.push(info);
        for (const alias of [info.name, info.dbcName, long]) byName.set(alias, info);
      }
    }
    const [missing] = mapped.keys();
    if (missing !== undefined) throw mappingError(`${database.file} has no signal ${missing.slice('dbc:'.length)}`);
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
    if (before !== undefined) throw mappingError(`${short} is given two paths: ${before.path} and ${entry.path}`);
    entries.set(short, entry);
  }
  return entries;
}

function mappingError(message: string): TollgateError {
  return new TollgateError('TG_MAPPING_SIGNAL', message);
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
    factor: entry?.factor ?? 1,
    offset: entry?.offset ?? 0,
    type: signal.valueType !== 'integer' ? signal.valueType : signal.length > ONE_CELL_BITS ? 'wide' : 'int',
    signed: signal.signed,
    bits: signal.length,
  };
}
