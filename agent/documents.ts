import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Place, type SignalInfo, TollgateError } from '#contracts';
import {
  type Database,
  type Encoding,
  type Finding,
  loadDatabase,
  loadMapping,
  type MappingEntry,
  signalCatalogue,
} from '#dbc';
import type { TransportOptions } from '#decoders';
import { type Agreement, type Campaign, compilePlan, loadAgreement, loadCampaign, type Plan } from '#policies';
import type { Config } from './config/load.ts';

/** One source's database and names, as the decoder and the catalogue take them. */
export interface Channel {
  readonly name: string;
  readonly database: Database;
  readonly mapping: readonly MappingEntry[];
  readonly findings: readonly Finding[];
  /** What the channel carries beside frames. */
  readonly transports?: TransportOptions;
}

/** A database with its names, as a configuration gives it. */
export interface ChannelFiles extends TransportOptions {
  readonly name: string;
  readonly dbc: string;
  readonly mapping?: string;
  readonly encoding?: Encoding;
}

/** The files that say what may leave. */
export interface DocumentFiles {
  readonly channels: readonly ChannelFiles[];
  readonly campaigns: readonly string[];
  readonly agreements: readonly string[];
  readonly lawPacks: readonly string[];
  readonly context: Readonly<Record<string, string>>;
}

/** Everything loaded, and the plan that follows from it. */
export interface Documents {
  readonly channels: readonly Channel[];
  readonly signals: readonly SignalInfo[];
  readonly byName: ReadonlyMap<string, SignalInfo>;
  readonly campaigns: readonly Campaign[];
  readonly agreements: readonly Agreement[];
  readonly plan: Plan;
}

/** Loads what it can; a document that is refused is left out whole and named in `problems`. */
export async function loadDocuments(
  files: DocumentFiles,
  trusted: ReadonlySet<string> | null,
  nowUtcMs: number | null,
): Promise<{ documents: Documents | null; problems: readonly TollgateError[] }> {
  const problems: TollgateError[] = [];
  const attempt = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TollgateError)) throw error;
      problems.push(error);
      return null;
    }
  };
  const every = async <I, T>(list: readonly I[], load: (item: I) => Promise<T>): Promise<T[]> => {
    const loaded = await Promise.all(list.map((item) => attempt(() => load(item))));
    return loaded.filter((one) => one !== null) as T[];
  };
  const channels = await every(files.channels, loadChannel);
  const campaigns = await every(files.campaigns, async (file) =>
    loadCampaign((await bytesOf(file)).toString('utf8'), { file }),
  );
  const agreements = await every(files.agreements, (file) => trustedAgreement(file, trusted));
  const lawPacks = await every(files.lawPacks, (file) => trustedAgreement(file, trusted));
  // A missing channel would shift the numbers of the others: no plan without all of them.
  if (channels.length < files.channels.length) return { documents: null, problems };
  const documents = await attempt(async () => {
    const catalogue = signalCatalogue(channels);
    refuseAmbiguous(campaigns, catalogue.ambiguous);
    const plan = compilePlan({
      campaigns,
      agreements,
      lawPacks,
      signals: catalogue,
      context: files.context,
      nowUtcMs,
    });
    return { channels, ...catalogue, campaigns, agreements, plan };
  });
  return { documents, problems };
}

/** A name that two channels share would let out the wrong one. */
function refuseAmbiguous(campaigns: readonly Campaign[], ambiguous: ReadonlySet<string>): void {
  for (const { file, signals, context } of campaigns) {
    for (const name of [...signals.map(({ signal }) => signal), ...context]) {
      if (!ambiguous.has(name)) continue;
      throw new TollgateError('TG_DBC_AMBIGUOUS', `${name} is a signal of several channels`, { place: { file } });
    }
  }
}

async function loadChannel({ name, dbc, mapping, encoding, isotp, j1939 }: ChannelFiles): Promise<Channel> {
  const options = { file: dbc, ...(encoding === undefined ? {} : { encoding }) };
  const { database, findings } = loadDatabase(await bytesOf(dbc), options);
  const entries =
    mapping === undefined ? [] : loadMapping((await bytesOf(mapping)).toString('utf8'), { file: mapping });
  const transports = { ...(isotp === undefined ? {} : { isotp }), ...(j1939 === undefined ? {} : { j1939 }) };
  return { name, database, mapping: entries, findings, transports };
}

/** Until agreements come as credentials, a unit trusts the bytes whose SHA-256 its owner listed. */
async function trustedAgreement(file: string, trusted: ReadonlySet<string> | null): Promise<Agreement> {
  const bytes = await bytesOf(file);
  const agreement = loadAgreement(bytes, { file });
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (trusted !== null && !trusted.has(hash)) {
    throw new TollgateError('TG_AGREEMENT_UNTRUSTED', `the bytes of this agreement (SHA-256 ${hash}) are not trusted`, {
      place: { file },
    });
  }
  return agreement;
}

async function bytesOf(file: string): Promise<Buffer> {
  return await readFile(file).catch((cause: Error) => {
    const place: Place = { file };
    throw new TollgateError('TG_DOCUMENT_FILE', `cannot be read: ${cause.message}`, { place, cause });
  });
}

/** The files that a configuration names. */
export function documentFiles(config: Config): DocumentFiles {
  return { channels: config.sources, ...config.documents, context: config.context };
}
