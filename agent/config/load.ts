import { globSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { TollgateError } from '#contracts';
import type { Encoding } from '#dbc';
import type { TransportOptions } from '#decoders';
import type { PlanInput } from '#policies';
import schema from './schema.json' with { type: 'json' };
import { type JsonSchema, readYaml } from './validate.ts';

/** One source as configured; its place in the list is its channel number. */
export interface SourceConfig extends TransportOptions {
  readonly name: string;
  readonly type: 'can' | 'gnss' | 'candump' | 'simulator';
  readonly path?: string;
  /** Of a live source; only frames of this one of a log. */
  readonly interface?: string;
  /** Of a live source. */
  readonly fd?: boolean;
  readonly driver?: 'native' | 'socketcan';
  readonly idBudget?: number;
  readonly realtime: boolean;
  readonly dbc: string;
  readonly mapping?: string;
  /** Of the database; detected without it. */
  readonly encoding?: Encoding;
  readonly decoding: 'fast' | 'strict';
}

export interface UplinkConfig {
  readonly url: string;
  readonly protocol: 5 | 4;
  readonly tenant: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly window: number;
  /** Bytes a second; absent: no cap. */
  readonly bandwidth?: number;
  /** Name under which bytes are counted. */
  readonly network: string;
  /** s. */
  readonly keepalive: number;
  readonly sessionExpiryS: number;
  readonly willDelayS: number;
  /** 0: never. */
  readonly messageExpiryS: number;
}

/** The section `uplink` as the schema has it. */
interface RawUplink extends Omit<UplinkConfig, 'bandwidth' | 'sessionExpiryS' | 'willDelayS' | 'messageExpiryS'> {
  readonly bandwidth?: string;
  readonly sessionExpiry: string;
  readonly willDelay: string;
  readonly messageExpiry: string;
}

/** `tollgate.yaml` with defaults filled in, paths absolute and globs expanded. */
export interface Config {
  readonly file: string;
  readonly unit: { readonly role: 'vehicle' | 'roadside'; readonly state: string; readonly keys: string };
  readonly sources: readonly SourceConfig[];
  readonly context: Readonly<Record<string, string>>;
  /** Classes of signals by target. */
  readonly sensitivity: NonNullable<PlanInput['sensitivity']>;
  readonly documents: {
    readonly campaigns: readonly string[];
    readonly agreements: readonly string[];
    readonly lawPacks: readonly string[];
  };
  readonly store: StoreConfig;
  readonly uplink: UplinkConfig | null;
  /** null: no receiver of satellites is asked. */
  readonly gnss: GnssConfig | null;
}

/** Where gpsd answers, and how old a fix may be. */
export interface GnssConfig {
  readonly host: string;
  readonly port: number;
  readonly maxAgeMs: number;
}

/** Limits of the store; what is left out has the store's own default. */
export interface StoreConfig {
  readonly maxBytes: number;
  readonly groupCommitMs: number;
  readonly keepLeavesMs?: number;
  readonly maxRecipientBytes?: number;
}

/** The file as the schema has it. */
interface Raw extends Omit<Config, 'file' | 'store' | 'uplink' | 'gnss'> {
  readonly gnss?: { readonly gpsd: string; readonly maxAge: string };
  readonly store: {
    readonly maxBytes: string;
    readonly groupCommit: string;
    readonly retention?: string;
    readonly recipientBytes?: string;
  };
  readonly uplink?: RawUplink;
}

const BYTES: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/**
 * Reads and checks the configuration.
 *
 * @throws {TollgateError} TG_CONFIG_FILE, TG_CONFIG_SYNTAX, TG_CONFIG_UNKNOWN_KEY, TG_CONFIG_VALUE
 */
export async function loadConfig(file: string): Promise<Config> {
  return parseConfig(textOf(file), file);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TollgateError('TG_CONFIG_FILE', `cannot read the configuration: ${(cause as Error).message}`, {
      place: { file },
      cause,
    });
  }
}

/** The configuration in `text`, its paths relative to the folder of `file`. */
export function parseConfig(text: string, file: string): Config {
  // The schema is the type: `readYaml` returns nothing that it does not describe.
  const raw = readYaml(text, file, schema as JsonSchema) as Raw;
  const base = dirname(resolve(file));
  const path = (relative: string) => resolve(base, relative);
  const files = (patterns: readonly string[]) => patterns.flatMap((pattern) => expand(path(pattern), file));
  const optional = <K extends string>(key: K, value: string | undefined) =>
    (value === undefined ? {} : { [key]: path(value) }) as Partial<Record<K, string>>;
  refuseMixedSources(raw.sources, file);
  return {
    file,
    unit: { role: raw.unit.role ?? 'vehicle', state: path(raw.unit.state), keys: path(raw.unit.keys) },
    sources: raw.sources.map((source, i) =>
      checkedSource(
        { ...source, dbc: path(source.dbc), ...optional('path', source.path), ...optional('mapping', source.mapping) },
        file,
        i,
      ),
    ),
    context: raw.context,
    sensitivity: checkedClasses(raw.sensitivity, file),
    documents: {
      campaigns: files(raw.documents.campaigns),
      agreements: files(raw.documents.agreements),
      lawPacks: files(raw.documents.lawPacks),
    },
    store: storeConfig(raw.store),
    gnss: gnssConfig(raw),
    uplink:
      raw.uplink === undefined
        ? null
        : {
            ...uplinkConfig(raw.uplink),
            ...optional('ca', raw.uplink.ca),
            ...optional('cert', raw.uplink.cert),
            ...optional('key', raw.uplink.key),
          },
  };
}

/** A target without a scheme would be read as a name of either kind. */
function checkedClasses(classes: Config['sensitivity'], file: string): Config['sensitivity'] {
  const wrong = Object.keys(classes).find((target) => !/^(vss|dbc):./.test(target));
  if (wrong === undefined) return classes;
  throw new TollgateError('TG_CONFIG_VALUE', `"${wrong}" is no target: it begins with vss: or dbc:`, {
    place: { file, pointer: `/sensitivity/${wrong.replaceAll('~', '~0').replaceAll('/', '~1')}` },
  });
}

/** Logs of one recording are merged by their UTC times; a simulation has a time of its own, and so it stands alone. */
function refuseMixedSources(sources: readonly SourceConfig[], file: string): void {
  const live = sources.filter(isLive).length;
  if (live > 0 && live < sources.length) {
    const at = sources.findIndex((source) => isLive(source) !== isLive(sources[0]!));
    throw new TollgateError('TG_CONFIG_VALUE', 'live interfaces and logs have no common time', {
      place: { file, pointer: `/sources/${at}` },
      remedy: 'Name live interfaces alone, or logs alone.',
    });
  }
  const simulation = sources.findIndex(({ type }) => type === 'simulator');
  if (sources.length < 2 || simulation < 0) return;
  throw new TollgateError('TG_CONFIG_VALUE', 'a simulation has a time of its own: it is the only source', {
    place: { file, pointer: `/sources/${Math.max(1, simulation)}` },
    remedy: 'Name several logs, or one simulation.',
  });
}

/** Whether frames come from now on, in the unit's own time. */
export function isLive({ type }: Pick<SourceConfig, 'type'>): boolean {
  return type === 'can' || type === 'gnss';
}

function checkedSource(source: SourceConfig, file: string, index: number): SourceConfig {
  if (source.type === 'candump' && source.path === undefined) {
    throw new TollgateError('TG_CONFIG_VALUE', 'a candump source needs a "path"', {
      place: { file, pointer: `/sources/${index}` },
    });
  }
  return source;
}

/** Names without `*` must exist when they are read; a pattern may match nothing. */
function expand(pattern: string, file: string): string[] {
  if (!pattern.includes('*')) return [pattern];
  if (pattern.includes('**')) {
    throw new TollgateError('TG_CONFIG_VALUE', 'a pattern matches within one folder: "**" is not taken', {
      place: { file, pointer: '/documents' },
    });
  }
  const folder = dirname(pattern);
  if (folder.includes('*') || /[?[\]{}]/.test(pattern)) return globSync(pattern).sort();
  // One folder and stars: Node's own matcher costs every start 6 ms.
  const name = new RegExp(`^${basename(pattern).split('*').map(escaped).join('.*')}$`);
  try {
    return readdirSync(folder)
      .filter((file) => !file.startsWith('.') && name.test(file))
      .map((file) => join(folder, file))
      .sort();
  } catch {
    return [];
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.+^$()|\\]/g, '\\$&');
}

/** A source of type gnss without the section asks gpsd where it is by default. */
function gnssConfig({ gnss, sources }: Raw): GnssConfig | null {
  if (gnss === undefined && !sources.some(({ type }) => type === 'gnss')) return null;
  const { gpsd = '127.0.0.1:2947', maxAge = '5s' } = gnss ?? {};
  const colon = gpsd.lastIndexOf(':');
  return { host: gpsd.slice(0, colon), port: Number(gpsd.slice(colon + 1)), maxAgeMs: seconds(maxAge) * 1_000 };
}

function storeConfig({ maxBytes, groupCommit, retention, recipientBytes }: Raw['store']): StoreConfig {
  return {
    maxBytes: byteCount(maxBytes),
    groupCommitMs: milliseconds(groupCommit),
    ...(retention === undefined ? {} : { keepLeavesMs: seconds(retention) * 1_000 }),
    ...(recipientBytes === undefined ? {} : { maxRecipientBytes: byteCount(recipientBytes) }),
  };
}

function uplinkConfig(raw: RawUplink): UplinkConfig {
  const { bandwidth, sessionExpiry, willDelay, messageExpiry, ...rest } = raw;
  return {
    ...rest,
    ...(bandwidth === undefined ? {} : { bandwidth: byteCount(bandwidth.replace('/s', '')) }),
    sessionExpiryS: seconds(sessionExpiry),
    willDelayS: seconds(willDelay),
    messageExpiryS: seconds(messageExpiry),
  };
}

const SECONDS: Record<string, number> = { s: 1, min: 60, h: 3_600, d: 86_400 };

function seconds(text: string): number {
  const [, value, unit] = /^(\d+)(s|min|h|d)$/.exec(text)!;
  return Number(value) * SECONDS[unit!]!;
}

function byteCount(text: string): number {
  const [, value, unit] = /^(\d+)(KiB|MiB|GiB)$/.exec(text)!;
  return Number(value) * BYTES[unit!]!;
}

function milliseconds(text: string): number {
  const [, value, unit] = /^(\d+)(ms|s)$/.exec(text)!;
  return Number(value) * (unit === 's' ? 1000 : 1);
}
