import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
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
import {
  type Agreement,
  type Campaign,
  compilePlan,
  loadAgreement,
  loadCampaign,
  type Plan,
  type PlanInput,
  type SignalCatalogue,
  targetReaches,
} from '#policies';
import { accept, emptyState, type InForce, inForce, readConsentDocument } from '#policies/consent/index';
import { looksLikeCredential } from '#policies/credentials/index';
import type { Config } from './config/load.ts';
import type { Issuers } from './keys.ts';

/** One source's database and names, as the decoder and the catalogue take them. */
export interface Channel {
  readonly name: string;
  readonly database: Database;
  readonly mapping: readonly MappingEntry[];
  readonly findings: readonly Finding[];
  /** What the channel carries beside frames. */
  readonly transports?: TransportOptions;
  /** Of a frame no byte is read but those of signals with a decode right. */
  readonly strict?: boolean;
}

/** A database with its names, as a configuration gives it. */
export interface ChannelFiles extends TransportOptions {
  readonly name: string;
  readonly dbc: string;
  readonly mapping?: string;
  readonly encoding?: Encoding;
  readonly decoding?: 'fast' | 'strict';
}

/** The files that say what may leave. */
export interface DocumentFiles {
  readonly channels: readonly ChannelFiles[];
  readonly campaigns: readonly string[];
  readonly agreements: readonly string[];
  readonly lawPacks: readonly string[];
  readonly context: Readonly<Record<string, string>>;
  readonly sensitivity?: Classes;
}

/** Classes of signals by target, `sensitivity:` of the configuration. */
type Classes = NonNullable<PlanInput['sensitivity']>;

/** Everything loaded, and the plan that follows from it. */
export interface Documents {
  readonly channels: readonly Channel[];
  readonly signals: readonly SignalInfo[];
  readonly byName: ReadonlyMap<string, SignalInfo>;
  readonly campaigns: readonly Campaign[];
  /** What the plan was made of. */
  readonly agreements: readonly Agreement[];
  /** Of these, what is bare JSON-LD whose bytes the unit was told to trust. */
  readonly bare: readonly Agreement[];
  readonly lawPacks: readonly Agreement[];
  /** `context:` of the configuration. */
  readonly context: Readonly<Record<string, string>>;
  readonly sensitivity?: Classes;
  /** Agreements that came as credentials, `vc+jwt`; what they give is in force when the unit has judged them. */
  readonly credentials: readonly { readonly file: string; readonly bytes: Uint8Array }[];
  readonly plan: Plan;
}

/** Loads what it can; a document that is refused is left out whole and named in `problems`. */
export async function loadDocuments(
  files: DocumentFiles,
  trusted: ReadonlySet<string> | null,
  nowUtcMs: number | null,
  issuers: Issuers | null = null,
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
  const read = await every(files.agreements, async (file) => ({ file, bytes: await bytesOf(file) }));
  const credentials = read.filter(({ bytes }) => looksLikeCredential(bytes));
  const bare = await every(
    read.filter(({ bytes }) => !looksLikeCredential(bytes)),
    async ({ file, bytes }) => trustedAgreement(file, bytes, trusted),
  );
  const lawPacks = await every(files.lawPacks, async (file) => trustedAgreement(file, await bytesOf(file), trusted));
  // A missing channel would shift the numbers of the others: no plan without all of them.
  if (channels.length < files.channels.length) return { documents: null, problems };
  const documents = await attempt(async () => {
    const catalogue = signalCatalogue(channels);
    refuseAmbiguous(campaigns, catalogue.ambiguous);
    const given = await consentOf(credentials, issuers, catalogue, nowUtcMs, attempt);
    const { context, sensitivity = {} } = files;
    refuseUnreached(sensitivity, catalogue);
    const parts = { channels, ...catalogue, campaigns, bare, lawPacks, context, sensitivity, credentials };
    return planned(parts, [...bare, ...given.agreements], given.recipients, nowUtcMs);
  });
  return { documents, problems };
}

/** What documents are besides what is in force of them. */
export type DocumentParts = Omit<Documents, 'agreements' | 'plan'>;

/**
 * The plan of these documents with the agreements that are in force.
 *
 * @throws {TollgateError} what `compilePlan` throws
 */
export function planned(
  parts: DocumentParts,
  agreements: readonly Agreement[],
  recipients: InForce['recipients'],
  nowUtcMs: number | null,
): Documents {
  const { campaigns, lawPacks, context, sensitivity } = parts;
  const input = { campaigns, agreements, lawPacks, signals: parts, context, sensitivity, recipients, nowUtcMs };
  const plan = compilePlan(input);
  return { ...parts, agreements, plan };
}

/** What the credentials of the configuration give by themselves: for `check`; a unit judges them with all it knows. */
async function consentOf(
  credentials: Documents['credentials'],
  issuers: Issuers | null,
  catalogue: SignalCatalogue,
  nowUtcMs: number | null,
  attempt: (work: () => Promise<true>) => Promise<true | null>,
): Promise<InForce> {
  let state = emptyState(issuers?.owner ?? null);
  const judge = { unit: null, standing: new Set(issuers?.standing), catalogue, nowMs: nowUtcMs };
  for (const { file, bytes } of credentials) {
    await attempt(async () => {
      ({ state } = accept(state, readConsentDocument(bytes, file, issuers?.pinned ?? new Map()), judge));
      return true;
    });
  }
  return inForce(state, nowUtcMs);
}

/** A class that was meant for a signal and misses it would leave it less guarded than its owner believes. */
function refuseUnreached(classes: Classes, { signals, byName }: SignalCatalogue): void {
  for (const target of Object.keys(classes)) {
    if (signals.some((signal) => targetReaches(target, signal, byName, true))) continue;
    throw new TollgateError('TG_CONFIG_SENSITIVITY', `"${target}" reaches no signal of the databases`, {
      place: { pointer: `/sensitivity/${target.replaceAll('~', '~0').replaceAll('/', '~1')}` },
    });
  }
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

async function loadChannel({ name, dbc, mapping, encoding, isotp, j1939, decoding }: ChannelFiles): Promise<Channel> {
  const options = { file: dbc, ...(encoding === undefined ? {} : { encoding }) };
  const { database, findings } = loadDatabase(await bytesOf(dbc), options);
  const entries =
    mapping === undefined ? [] : loadMapping((await bytesOf(mapping)).toString('utf8'), { file: mapping });
  const transports = { ...(isotp === undefined ? {} : { isotp }), ...(j1939 === undefined ? {} : { j1939 }) };
  return { name, database, mapping: entries, findings, transports, strict: decoding === 'strict' };
}

/** An agreement as bare JSON-LD: the unit trusts the bytes whose SHA-256 was listed where it was enrolled. */
function trustedAgreement(file: string, bytes: Uint8Array, trusted: ReadonlySet<string> | null): Agreement {
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
  // Small files that the start waits for: a turn over the thread pool for each costs more than the reading.
  try {
    return readFileSync(file);
  } catch (cause) {
    const place: Place = { file };
    throw new TollgateError('TG_DOCUMENT_FILE', `cannot be read: ${(cause as Error).message}`, { place, cause });
  }
}

/** The files that a configuration names. */
export function documentFiles(config: Config): DocumentFiles {
  return {
    channels: config.sources,
    ...config.documents,
    context: config.context,
    sensitivity: config.sensitivity,
  };
}
