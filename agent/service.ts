import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, type FrameSource, TollgateError } from '#contracts';
import type { MqttTls } from '#firmware-bridge/mqtt';
import type { TimeBounds } from '#firmware-bridge/mqtt/judge';
import { nodeCrypto, parseVerifierKey } from '#ledger';
import type { Plan } from '#policies';
import { ackLeaf } from '#wire';
import { ackVerifier } from './acks.ts';
import { type Config, isLive, loadConfig, type UplinkConfig } from './config/load.ts';
import { ANSWER_SUFFIX, Control } from './control/index.ts';
import { type Documents, documentFiles, loadDocuments, planned } from './documents.ts';
import { type Issuers, loadUnitKeys, type UnitKeys } from './keys.ts';
import { type Log, logError } from './log.ts';
import type { ProtocolState } from './store/contract.ts';
import { coseSigner, type OpeningStore, Unit, type UnitStoreOptions } from './unit.ts';
import { oldCopy, readSuspension, writeSuspension } from './uplink/suspension.ts';
import { trafficFile } from './uplink/traffic.ts';
import { createUplink, type Uplink } from './uplink.ts';

/** Makes the source of a channel; the command line brings the ones that its package has. */
export type SourceFactory = (config: Config['sources'][number], channel: number) => Promise<FrameSource>;

export interface ServiceOptions {
  readonly config: Config;
  readonly source: SourceFactory;
  readonly log: Log;
  readonly version: string;
  readonly observe?: (state: ProtocolState) => void;
  readonly publishMs?: number;
  /** UTC of the host, ms since 1970, null where it is not known; the host's clock without it. */
  readonly utcMs?: () => number | null;
  /** What is known of UTC, for dates of certificates; the host's clock counts without it. */
  readonly timeBounds?: () => TimeBounds;
  /** The unit's own clock, where its sources are live. */
  readonly clock?: Clock;
  /**
   * Sources play from the moment at which the unit can decode, until this aborts; `play` follows them. What they bring waits
   * before the gate until the store is open and the uplink's files are read. A unit with an owner waits for its credentials: it plays when `play` is called.
   */
  readonly playing?: AbortSignal;
  /** Test hook: how long answers of broker and receiver may wait for the disk, ms. */
  readonly gatherMs?: number;
  /** Test hook: SIGKILL at a state of the store's own thread. */
  readonly faultAt?: { readonly state: ProtocolState; readonly occurrence: number };
}

/** After the last frame of a log, the outbox gets this long to be acknowledged, ms. */
export const SETTLE_MS = 30_000;
/** SIGTERM: what is committed in this time is sent at once, the rest at the next start, ms. */
export const STOP_MS = 300;
/** Bytes a network, kept over restarts. */
const TRAFFIC_FILE = 'traffic.json';
/** Documents that the owner and others sent, and answers that wait. */
const CONSENT_FOLDER = 'consent';
/** Stands where the unit was found to be rolled back; whoever has examined it removes it with the state folder. */
const SUSPENSION_FILE = 'suspended.json';
/** Tenant of a unit without an uplink: its records wait for one. */
const NO_TENANT = 'none';

/** A unit with its sources and its uplink: what `tollgate run` runs. */
export class Service {
  readonly unit: Unit;
  readonly uplink: Uplink | null;
  readonly sources: readonly FrameSource[];
  /** Takes consents; null where the unit was enrolled without an owner. */
  readonly control: Control | null;
  readonly #log: Log;
  readonly #options: ServiceOptions;
  readonly #keys: UnitKeys;
  #documents: Documents;
  #played: Promise<void> | null;

  private constructor({ unit, uplink, sources, control, options, keys, documents, played }: Running) {
    this.unit = unit;
    this.uplink = uplink;
    this.sources = sources;
    this.control = control;
    this.#log = options.log;
    this.#options = options;
    this.#keys = keys;
    this.#documents = documents;
    this.#played = played;
  }

  /** What is in force. */
  get plan(): Plan {
    return this.unit.plan;
  }

  /**
   * Loads everything and starts the uplink. No frame is read yet, where the options do not say so.
   *
   * @throws {TollgateError} the first problem of configuration, keys or documents: a unit starts whole or not at all
   */
  static async open(options: ServiceOptions): Promise<Service> {
    const { config, observe, publishMs, faultAt } = options;
    const keys = await loadUnitKeys(config.unit.keys);
    const storeOptions = {
      keys,
      state: config.unit.state,
      ...config.store,
      ...(observe === undefined ? {} : { observe }),
      ...(publishMs === undefined ? {} : { publishMs }),
      ...(options.gatherMs === undefined ? {} : { gatherMs: options.gatherMs }),
      ...(faultAt === undefined ? {} : { faultAt }),
    };
    // Its thread checks the file while this one reads the documents.
    const opening = Unit.openStore(storeOptions);
    opening.catch(() => undefined);
    const sources: FrameSource[] = [];
    const whole = Promise.withResolvers<void>();
    const held = heldBy(opening, whole.promise);
    held.catch(() => undefined);
    try {
      // It has got its request before the reading, which lets nothing else run.
      await new Promise(setImmediate);
      return await Service.#open(options, keys, held, storeOptions, sources, whole.resolve);
    } catch (error) {
      // What waits before the gate never passes it.
      whole.reject(error);
      for (const source of sources) await source.close().catch(() => undefined);
      await opening.then(({ store }) => store.close()).catch(() => undefined);
      throw error;
    }
  }

  static async #open(
    options: ServiceOptions,
    keys: UnitKeys,
    opening: Promise<OpeningStore>,
    storeOptions: UnitStoreOptions,
    sources: FrameSource[],
    isWhole: () => void,
  ): Promise<Service> {
    const { config, source, log, observe, utcMs = Date.now, playing } = options;
    const { documents, problems } = await loadDocuments(documentFiles(config), keys.trusted, utcMs(), keys.issuers);
    if (documents === null || problems.length > 0) throw problems[0];
    sources.push(...(await Promise.all(config.sources.map(source))));
    const unitOptions = {
      ...storeOptions,
      documents: keys.issuers === null ? documents : planned(documents, [], new Map(), null),
      awaitsDocuments: keys.issuers !== null,
      tenant: config.uplink?.tenant ?? NO_TENANT,
      version: options.version,
      live: config.sources.some((source) => source.realtime || isLive(source)),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    };
    const unit = await Unit.begin(unitOptions, opening);
    void unit.firstFrame.then(() => log.info('first-frame', { ms: Math.round(performance.now()) }));
    // With an owner the plan is empty until the credentials are judged: a log would run through under it.
    const played = playing === undefined || keys.issuers !== null ? null : playAll(unit, sources, playing);
    // Where a source fails meanwhile, whoever follows it with `play` learns of it.
    played?.catch(() => undefined);
    let control: Control | null = null;
    if (keys.issuers !== null) {
      isWhole();
      await unit.ready;
      const { issuers } = keys;
      control = await openControl({ unit, documents, keys, issuers, state: config.unit.state, utcMs, log });
    }
    const uplink =
      config.uplink === null
        ? null
        : await openUplink(config.uplink, {
            unit,
            keys,
            log,
            observe,
            control,
            state: config.unit.state,
            time: options.timeBounds,
          });
    isWhole();
    await unit.ready;
    if (uplink !== null)
      control?.connect({ hold: (work) => uplink.hold(work), tell: (answer) => uplink.tell(ANSWER_SUFFIX, answer) });
    uplink?.start();
    return new Service({ unit, uplink, sources, control, options, keys, documents, played });
  }

  /**
   * Reads campaigns, agreements and law packs of the configuration again and swaps them in. A set in which one document is
   * refused changes nothing. Databases, sources and keys stay: they need a restart.
   *
   * @throws {TollgateError} the first problem; what was in force stays
   */
  async reload(): Promise<void> {
    const { utcMs = Date.now } = this.#options;
    // Read again: a pattern may name new files.
    const config = await loadConfig(this.#options.config.file);
    const nowMs = utcMs();
    const { trusted, issuers } = this.#keys;
    const { documents, problems } = await loadDocuments(documentFiles(config), trusted, nowMs, issuers);
    if (documents === null || problems.length > 0) throw problems[0];
    const { channels, signals, byName } = this.#documents;
    const parts = { ...documents, channels, signals, byName };
    this.#documents = planned(parts, documents.bare, new Map(), nowMs);
    if (this.control === null) await this.unit.swap(this.#documents);
    else await this.control.reload(this.#documents);
    this.#log.info('documents-reloaded', { count: documents.campaigns.length });
  }

  /** Plays every source to its end, or until `signal` aborts. */
  async play(signal: AbortSignal): Promise<void> {
    this.#played ??= playAll(this.unit, this.sources, signal);
    await Promise.race([this.#played, this.unit.failed]);
  }

  /**
   * The sources have ended: everything that is open goes, and the receivers get time to acknowledge it.
   *
   * @returns false where something was not acknowledged; it waits in the outbox for the next start
   */
  async settle(signal: AbortSignal): Promise<boolean> {
    await this.#closeSources();
    await this.unit.finish();
    return this.uplink === null || signal.aborted || (await this.uplink.settle(SETTLE_MS));
  }

  /** SIGTERM: commits what is open, sends what fits into `STOP_MS`, and stops. Nothing committed is lost. */
  async stop(): Promise<void> {
    const startMs = performance.now();
    const finish = async () => {
      await this.#closeSources();
      await this.unit.finish();
      // Without a connection there is nobody to wait for: what is committed goes at the next start.
      if (this.uplink?.status().connected === true) {
        await this.uplink.flush(Math.max(0, STOP_MS - (performance.now() - startMs)));
      }
    };
    const finished = finish();
    try {
      await Promise.race([finished, this.#withoutRoom(finished)]);
    } finally {
      await this.end();
    }
  }

  /** Says goodbye and closes the store. */
  async end(): Promise<void> {
    await this.uplink?.close();
    await this.control?.close();
    await this.unit.close();
  }

  /** Rejects where the store takes nothing: it holds the sources back, and stopping does not wait for a disk. */
  async #withoutRoom(finished: Promise<void>): Promise<void> {
    let open = true;
    const closed = () => {
      open = false;
    };
    finished.then(closed, closed);
    for (;;) {
      await sleep(STOP_MS, undefined, { ref: false });
      const { fault } = open ? await this.unit.store.stats() : { fault: null };
      if (!open) return;
      if (fault !== null) throw new TollgateError(fault, 'the store had no room for what was open at the end');
    }
  }

  async #closeSources(): Promise<void> {
    for (const source of this.sources) {
      await source.close();
      const malformed = source.malformed();
      if (malformed > 0) this.#log.warn('malformed-input', { source: source.name, count: malformed });
    }
  }
}

/** A store that counts as open when the rest of the service stands as well: a unit starts whole or not at all. */
async function heldBy(opening: Promise<OpeningStore>, whole: Promise<void>): Promise<OpeningStore> {
  whole.catch(() => undefined);
  const store = await opening;
  const opened = Promise.all([store.opened, whole]).then(() => undefined);
  opened.catch(() => undefined);
  return { ...store, opened };
}

async function playAll(unit: Unit, sources: readonly FrameSource[], signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const played = Promise.all(sources.map((source, channel) => unit.play(source, channel)));
  await Promise.race([played, aborted]);
}

interface Running {
  readonly played: Promise<void> | null;
  readonly unit: Unit;
  readonly uplink: Uplink | null;
  readonly sources: readonly FrameSource[];
  readonly control: Control | null;
  readonly options: ServiceOptions;
  readonly keys: UnitKeys;
  readonly documents: Documents;
}

interface ConsentParts {
  readonly unit: Unit;
  readonly documents: Documents;
  readonly keys: UnitKeys;
  readonly issuers: Issuers;
  readonly state: string;
  readonly utcMs: () => number | null;
  readonly log: Log;
}

async function openControl({ unit, keys, state, ...rest }: ConsentParts): Promise<Control> {
  const key = parseVerifierKey(keys.verifierKey, nodeCrypto);
  const { anchor } = keys;
  const signer = { ...coseSigner(key), sign: (message: Uint8Array) => anchor.sign(message) };
  return await Control.open({ ...rest, unit, anchor, name: key.name, signer, folder: join(state, CONSENT_FOLDER) });
}

interface UplinkParts {
  readonly control: Control | null;
  readonly unit: Unit;
  readonly keys: UnitKeys;
  readonly log: Log;
  readonly observe: ((state: ProtocolState) => void) | undefined;
  readonly state: string;
  readonly time: (() => TimeBounds) | undefined;
}

async function openUplink(
  config: UplinkConfig,
  { unit, keys, log, observe, control, state, time }: UplinkParts,
): Promise<Uplink> {
  const { url, protocol, keepalive, sessionExpiryS, willDelayS, messageExpiryS } = config;
  // Read for each connection: files that were replaced count from the next one on. Missing ones end the start.
  const tls = (pseudonym: string) => readTls(config, pseudonym, time);
  await tls(unit.pseudonym);
  const suspensionFile = join(state, SUSPENSION_FILE);
  const suspended = (await readSuspension(suspensionFile)) ?? (control?.rolledBack === true ? oldCopy() : null);
  if (suspended !== null) log.warn('uplink-suspended', { code: suspended.code, size: suspended.size });
  return createUplink({
    store: unit.store,
    link: { url, protocol, tls, keepalive, sessionExpiryS, willDelayS, messageExpiryS },
    tenant: config.tenant,
    pseudonym: unit.pseudonym,
    window: config.window,
    bandwidth: config.bandwidth,
    network: config.network,
    traffic: trafficFile(join(state, TRAFFIC_FILE)),
    suspended,
    verifyAck: ackVerifier(unit.store, keys.recipients),
    ...(control === null
      ? {}
      : {
          onDocument: async (bytes: Uint8Array) => {
            await control.receive(bytes);
          },
          mustTake: (bytes: Uint8Array) => control.mustTake(bytes),
        }),
    onSuspended: async (suspension, { stream, uptoSeq, state: answer, signed }) => {
      await writeSuspension(suspensionFile, suspension);
      unit.leaf((now) => ackLeaf(now, stream, uptoSeq, answer === 'opened' ? 1 : 2, signed));
      await unit.store.commit();
    },
    observe: {
      reached: (reached) => observe?.(reached),
      connection: (up) => {
        log.info('uplink', { up });
        if (up) void control?.flush();
      },
      error: (error) => logError(log, 'uplink-error', error),
    },
  });
}

async function readTls(
  config: UplinkConfig,
  pseudonym: string,
  time: (() => TimeBounds) | undefined,
): Promise<MqttTls | undefined> {
  const pem = async (file: string | undefined) =>
    file === undefined ? undefined : await readPem(file.replaceAll('{pseudonym}', pseudonym));
  const [ca, cert, key] = await Promise.all([pem(config.ca), pem(config.cert), pem(config.key)]);
  if (ca === undefined) return undefined;
  return {
    ca,
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(time === undefined ? {} : { time }),
  };
}

async function readPem(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: Error) => {
    throw new TollgateError('TG_CONFIG_FILE', `cannot be read: ${cause.message}`, { place: { file }, cause });
  });
}
