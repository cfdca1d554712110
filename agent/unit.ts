import { createHash, type JsonWebKey, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, type FrameBatch, type FrameFilter, type FrameSource, TollgateError } from '#contracts';
import { nodeCrypto, parseVerifierKey, TYPE_ECDSA, type VerifierKey } from '#ledger';
import type { Plan } from '#policies';
import { ALG_EDDSA, ALG_ES256, bootLeaf, decisionLeaf, documentLeaf, type LeafTime, timeJumpLeaf } from '#wire';
import { FrameClock, utcMs } from './clock.ts';
import { NO_TRANSPORTS, type PathCounts, type TransportCounts, transportCounts } from './counts.ts';
import type { Documents } from './documents.ts';
import { Keeper } from './keeper.ts';
import type { UnitKeys } from './keys.ts';
import { filterOf } from './lanes.ts';
import { MeterBook, MeterSealer } from './meter/index.ts';
import { type Path, pathOf } from './path.ts';
import { Pipeline, type PipelineParts } from './pipeline.ts';
import { pseudonymIn } from './pseudonym.ts';
import { pseudonymSecret as secretOfPseudonyms } from './resources.ts';
import { type SpoolKeys, spoolKeys } from './spool-keys.ts';
import { openingStore } from './store/client.ts';
import type { DurableStats, DurableStore, ProtocolState } from './store/index.ts';
import type { StreamContext } from './stream.ts';

/** How often records and windows are closed although no frame came, and the keeper looks, ms. */
const TICK_MS = 200;
/** Samples that the gate kept back are one leaf a rule and minute, ms of boottime. */
const DENIAL_LEAF_MS = 60_000;
/** A live source hands over batches, so its newest frames are late by one: windows end by themselves this much later, ms. */
const IDLE_LAG_MS = 500;
/** What is under way gets this long before the store is closed, ms. */
const CLOSE_MS = 1_000;
const BOOT_ID_BYTES = 8;
const SALT_BYTES = 16;
const NS_PER_MS = 1_000_000n;
export const STORE_FILE = 'tollgate.sqlite';

export interface UnitOptions {
  readonly documents: Documents;
  readonly keys: UnitKeys;
  /** The documents come with the first `swap`: until then nothing is told of them. */
  readonly awaitsDocuments?: boolean;
  /** Folder of the store. */
  readonly state: string;
  readonly tenant: string;
  /** Software version, for the boot leaf. */
  readonly version: string;
  /** Sources run in real time: boottime goes on between their frames. */
  readonly live: boolean;
  /** The unit's own clock, where its sources are live. */
  readonly clock?: Clock;
  readonly maxBytes: number;
  readonly groupCommitMs: number;
  /** Leaves that are older may be pruned, ms; the store's default without it. */
  readonly keepLeavesMs?: number;
  /** Cap of one recipient's records in the spool; none without it. */
  readonly maxRecipientBytes?: number;
  /** How often checkpoints and proofs are published, ms; 60 s without it. */
  readonly publishMs?: number;
  /** Test hook: how long answers of broker and receiver may wait for the disk, ms. */
  readonly gatherMs?: number;
  readonly observe?: (state: ProtocolState) => void;
  /** Test hook: SIGKILL at a state of the store's own thread. */
  readonly faultAt?: { readonly state: ProtocolState; readonly occurrence: number };
}

/** What status, screens and summaries read. */
export interface UnitStatus {
  readonly path: PathCounts;
  readonly transports: TransportCounts;
  readonly store: DurableStats;
  /** Samples that the gate kept back since the start, by rule. */
  readonly denied: ReadonlyMap<string, number>;
}

/** The store of a unit, which may still be opening, and what the anchor keeps beside it. */
export interface OpeningStore {
  readonly bootId: Uint8Array;
  readonly store: DurableStore;
  /** Rejects with what the store throws. */
  readonly opened: Promise<void>;
  readonly spool: SpoolKeys;
  readonly pseudonymSecret: Uint8Array;
}

/** What a store is opened with: documents have no part in it. */
export type UnitStoreOptions = Omit<UnitOptions, 'documents' | 'awaitsDocuments' | 'live' | 'tenant' | 'version'>;

/**
 * One unit without sockets: documents in, frames in, an outbox out. Many run in one process; `Service` gives one of them
 * sources and an uplink.
 */
export class Unit {
  readonly store: DurableStore;
  readonly spool: SpoolKeys;
  readonly pseudonym: string;
  readonly bootId: Uint8Array;
  /** Rejects when a tick failed: the unit cannot go on. Never resolves. */
  readonly failed: Promise<never>;
  /** Resolves when the store is open: until then no frame passes the gate. Rejects with what the store throws. */
  readonly ready: Promise<void>;
  /** Resolves when the first frame was decoded. */
  readonly firstFrame: Promise<void>;
  /** The ignition went off, at a boottime in ns; called between two samples. */
  onIgnitionOff: ((timeNs: number) => void) | null = null;
  /** The ignition, as the plan hears it, went on or off; called after the batch in which it did. */
  onDrive: ((on: boolean) => void) | null = null;
  readonly #firstFrame: () => void;
  readonly #fail: (error: unknown) => void;
  readonly #clock: FrameClock;
  readonly #context: StreamContext;
  readonly #keys: UnitKeys;
  readonly #pipeline: Pipeline;
  readonly #keeper: Keeper;
  readonly #book: MeterBook;
  readonly #sealer: MeterSealer;
  #documents: Documents;
  #untold: boolean;
  #path: Path;
  readonly #live: boolean;
  readonly #sources: FrameSource[] = [];
  /** What decoders saw that went with their plan. */
  #transports = NO_TRANSPORTS;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> = Promise.resolve();
  #ticking = false;
  #denialMinute = 0;
  #parked = false;
  /** The store is opening, and no batch came yet. */
  #early = true;
  /** Monotonic time at which a look or a batch last came to its end, ms. */
  #turnedMs = performance.now();
  /** Monotonic time at which the newest batch was done, ms. */
  #servedMs = performance.now();

  private constructor(options: UnitOptions, opening: OpeningStore, pseudonym: string) {
    const { bootId, store, spool, pseudonymSecret } = opening;
    const { documents, keys, observe, tenant, live } = options;
    const { plan } = documents;
    const { promise, reject } = Promise.withResolvers<never>();
    // Who runs a log and never looks at `failed` learns of the fault from `finish`.
    promise.catch(() => undefined);
    this.failed = promise;
    this.#fail = reject;
    const first = Promise.withResolvers<void>();
    this.firstFrame = first.promise;
    this.#firstFrame = first.resolve;
    this.store = store;
    this.spool = spool;
    this.#untold = options.awaitsDocuments === true;
    this.pseudonym = pseudonym;
    this.bootId = bootId;
    this.#live = live;
    this.#clock = new FrameClock(live, options.clock);
    this.#documents = documents;
    this.#keys = keys;
    const key = parseVerifierKey(keys.verifierKey, nodeCrypto);
    const sign = (message: Uint8Array) => keys.anchor.sign(message);
    this.#context = {
      store,
      clock: this.#clock,
      bootId,
      tenant,
      pseudonym,
      sign,
      ...coseSigner(key),
      recipientKey: (did: string) => hpkeKey(keys, did),
      onSealed: () => observe?.('sealed'),
      pseudonymSecret,
    };
    this.#path = pathOf(plan, documents.channels, this.#context, null).path;
    this.#pipeline = new Pipeline(this.#parts());
    this.#book = new MeterBook(options.state);
    const { algorithm, keyId } = this.#context;
    const salt = () => new Uint8Array(randomBytes(SALT_BYTES));
    const now = () => this.#now();
    this.#sealer = new MeterSealer({ store, book: this.#book, algorithm, keyId, sign, now, salt });
    this.#keeper = new Keeper({
      store,
      clock: this.#clock,
      signer: { key, sign },
      onSigned: () => observe?.('checkpoint-signed'),
      ...(options.publishMs === undefined ? {} : { publishMs: options.publishMs }),
    });
    this.ready = this.#open(opening.opened, options.version, this.#now());
    this.ready.catch(() => undefined);
  }

  /**
   * Begins to open the store alone: its thread checks the file while the process reads its documents. `begin` takes it; who
   * never gets that far closes it.
   *
   * @throws {TollgateError} what the anchor throws
   */
  static async openStore(options: UnitStoreOptions): Promise<OpeningStore> {
    const { keys, state, observe, faultAt } = options;
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const bootId = new Uint8Array(randomBytes(BOOT_ID_BYTES));
    const spool = spoolKeys(keys.anchor);
    const pseudonymSecret = await secretOfPseudonyms(keys.anchor);
    const { store, opened } = openingStore({
      file: join(state, STORE_FILE),
      maxBytes: options.maxBytes,
      groupCommitMs: options.groupCommitMs,
      ...(options.keepLeavesMs === undefined ? {} : { keepLeavesMs: options.keepLeavesMs }),
      ...(options.maxRecipientBytes === undefined ? {} : { maxRecipientBytes: options.maxRecipientBytes }),
      bootId,
      spoolKeys: spool.of,
      ...(observe === undefined ? {} : { observe }),
      ...(options.gatherMs === undefined ? {} : { gatherMs: options.gatherMs }),
      ...(faultAt === undefined ? {} : { faultAt }),
    });
    opened.catch(() => undefined);
    return { bootId, store, opened, spool, pseudonymSecret };
  }

  /** @throws {TollgateError} TG_RECIPIENT_UNKNOWN, and what the store throws */
  static async open(options: UnitOptions): Promise<Unit> {
    const { documents, keys } = options;
    for (const { recipient } of documents.plan.streams) hpkeKey(keys, recipient);
    const opening = Unit.openStore(options);
    try {
      const unit = await Unit.begin(options, opening);
      await unit.ready;
      return unit;
    } catch (error) {
      await opening.then(({ store }) => store.close()).catch(() => undefined);
      throw error;
    }
  }

  /**
   * A unit whose store may still be opening. It takes sources: a first batch is decoded, and waits before the gate until
   * the unit is `ready`. Where that rejects, nothing passes.
   *
   * @throws {TollgateError} TG_RECIPIENT_UNKNOWN, and what the anchor throws
   */
  static async begin(options: UnitOptions, opening: Promise<OpeningStore>): Promise<Unit> {
    const { documents, keys, state } = options;
    for (const { recipient } of documents.plan.streams) hpkeKey(keys, recipient);
    const store = await opening;
    const pseudonym = await pseudonymIn(state).catch(async (error: unknown) => {
      // A disk that takes no file: the store says what to do about it.
      await store.opened;
      throw error;
    });
    return new Unit(options, store, pseudonym);
  }

  /** What is in force. */
  get plan(): Plan {
    return this.#path.plan;
  }

  get counts(): PathCounts {
    const { counts } = this.#pipeline;
    counts.skipped = this.#sources.reduce((sum, source) => sum + source.skipped(), 0);
    counts.malformed = this.#sources.reduce((sum, source) => sum + source.malformed(), 0);
    return counts;
  }

  /** Boottime of the newest frame, s: of a log, how much of it was played. */
  get drivenSeconds(): number {
    return Number(this.#clock.bootNs()) / 1e9;
  }

  /** Monotonic time at which the path last came to the end of its turn, ms: the sign of life that the watchdog asks for. */
  get turnedMs(): number {
    return this.#turnedMs;
  }

  /** Frames with a decode right, so that sources drop the rest early; follows the plan. */
  get filter(): FrameFilter {
    return filterOf(this.#path.lanes);
  }

  /** Opens a source on a channel; resolves when it has delivered its last frame. */
  async play(source: FrameSource, channel: number): Promise<void> {
    this.#sources.push(source);
    await source.open((batch) => this.frames(batch, channel), this.filter);
    await source.ended;
  }

  /** One batch. Batches of all sources go one after the other; the promise is the source's back-pressure. */
  frames(batch: FrameBatch, channel: number): Promise<void> {
    const early = this.#early ? this.#pipeline.decode(batch, channel) : null;
    this.#early = false;
    if (this.#pipeline.counts.rows > 0) this.#firstFrame();
    return this.#inTurn(async () => {
      await this.#pipeline.pass(early ?? this.#pipeline.decode(batch, channel));
      this.#servedMs = this.#turnedMs = performance.now();
      this.#hearDrive();
      if (this.#pipeline.counts.rows > 0) this.#firstFrame();
    });
  }

  /** What a leaf of this moment is dated. */
  get leafTime(): LeafTime {
    return this.#now();
  }

  /** Adds a leaf about something beside the path, dated now; durable with the next commit. */
  leaf(make: (now: LeafTime) => Uint8Array): void {
    this.store.leaf(make(this.#now()));
  }

  /**
   * Another set of documents comes into force between two batches. Streams that it leaves as they are go on without a
   * cut; the others end with what was taken until now, and those of a new version begin anew.
   *
   * @throws {TollgateError} TG_RECIPIENT_UNKNOWN; then nothing has changed
   */
  async swap(documents: Documents): Promise<void> {
    for (const { recipient } of documents.plan.streams) hpkeKey(this.#keys, recipient);
    await this.#inTurn(async () => {
      this.#denialLeaves();
      const { path, ended } = pathOf(documents.plan, documents.channels, this.#context, this.#path);
      // What loses its right stops while the plan before still stands; what gains one comes before the plan that knows it.
      this.#refilter(path);
      try {
        for (const stream of ended) {
          stream.end(this.#pipeline.lastNs);
          await stream.flush();
        }
        await this.#book.know(path.streams.map(({ terms }) => terms));
      } catch (error) {
        this.#refilter(this.#path);
        throw error;
      }
      const gone = this.#path.lanes.filter(({ decoder }) => !path.lanes.some((lane) => lane.decoder === decoder));
      this.#transports = transportCounts(gone, this.#transports);
      const before = { documents: this.#documents, path: this.#path };
      this.#documents = documents;
      this.#path = path;
      this.#pipeline.swap(this.#parts());
      this.#tell(this.#untold ? null : before);
      this.#untold = false;
    });
  }

  /** @throws {TollgateError} TG_RECIPIENT_UNKNOWN where the unit holds no key of the recipient */
  mustKnow(recipient: string): void {
    hpkeKey(this.#keys, recipient);
  }

  /** From the next sample on nothing is taken for these agreements, and what was taken and is not committed is forgotten. */
  withdraw(agreements: readonly string[]): void {
    for (const stream of this.#path.streams) if (agreements.includes(stream.plan.agreement)) stream.withdraw();
  }

  /** These agreements are over: what was taken goes, nothing more is taken. */
  end(agreements: readonly string[], timeNs: number = this.#pipeline.lastNs): void {
    for (const stream of this.#path.streams) if (agreements.includes(stream.plan.agreement)) stream.end(timeNs);
  }

  /** Ends the streams, commits, and leaves a checkpoint and its proofs in the outbox. */
  async finish(): Promise<void> {
    clearInterval(this.#timer);
    await this.rest();
  }

  /**
   * The same while sources go on: power may end soon. Windows that are open go as partial ones, and what comes later goes
   * under new sessions.
   */
  async rest(): Promise<void> {
    await this.#inTurn(async () => {
      this.#denialLeaves();
      await this.#pipeline.finish();
      await this.#sealer.seal();
      await this.#keeper.checkpoint();
      await this.#keeper.publish();
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    // A full store holds the path back, and only its end lets go of it.
    await Promise.race([this.#working, sleep(CLOSE_MS, undefined, { ref: false })]);
    await this.store.close();
  }

  async status(): Promise<UnitStatus> {
    this.#collectDenials();
    const transports = transportCounts(this.#path.lanes, this.#transports);
    return { path: this.counts, transports, store: await this.store.stats(), denied: this.#path.denials.total };
  }

  #parts(): PipelineParts {
    const { lanes, gate, streams, heard, ignition } = this.#path;
    return {
      lanes,
      gate,
      streams,
      heard,
      ignition,
      clock: this.#clock,
      onIgnitionOff: (timeNs) => {
        this.#path.trip.end();
        this.onIgnitionOff?.(timeNs);
      },
      onTimeJump: (before, after) => this.store.leaf(timeJumpLeaf(this.#now(), before, after)),
    };
  }

  #refilter({ lanes }: Path): void {
    const filter = filterOf(lanes);
    for (const source of this.#sources) source.refilter(filter);
  }

  /** Leaves about what came into force. @param before null at the start */
  #tell(before: { readonly documents: Documents; readonly path: Path } | null, now = this.#now()): void {
    const { plan, campaigns, agreements, channels } = this.#documents;
    const isNew = (hash: Uint8Array, old: readonly { readonly hash: Uint8Array }[] = []) =>
      !old.some((one) => Buffer.compare(one.hash, hash) === 0);
    for (const { campaign, hash } of campaigns)
      if (isNew(hash, before?.documents.campaigns)) this.store.leaf(documentLeaf(now, 'campaign', campaign, hash));
    for (const { uid, hash } of agreements)
      if (isNew(hash, before?.documents.agreements)) this.store.leaf(documentLeaf(now, 'agreement', uid, hash));
    for (const [i, { decoder }] of this.#path.lanes.entries()) {
      if (decoder === before?.path.lanes[i]?.decoder) continue;
      const hash = createHash('sha256').update(decoder.module).digest();
      this.store.leaf(documentLeaf(now, 'decoder', channels[i]!.name, hash));
    }
    const known = new Set(before?.path.plan.denials.map((denial) => JSON.stringify(denial)));
    for (const denial of plan.denials)
      if (!known.has(JSON.stringify(denial))) this.store.leaf(decisionLeaf(now, { ...denial, count: 0 }));
  }

  /** @param now time of the start: a batch that waits has moved the clock since */
  async #open(opened: Promise<void>, version: string, now: LeafTime): Promise<void> {
    await opened;
    await this.#book.open();
    await this.#book.know(this.#path.streams.map(({ terms }) => terms));
    this.#early = false;
    this.store.leaf(bootLeaf(now, version));
    if (!this.#untold) this.#tell(null, now);
    this.#timer = setInterval(() => void this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    // Looks that pile up behind a slow disk would hold back the frames that came meanwhile.
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      await this.#inTurn(async () => {
        const bootNs = this.#clock.bootNs();
        const silent = performance.now() - this.#servedMs > IDLE_LAG_MS;
        if (this.#live && bootNs > 0n && silent) await this.#pipeline.idle(Number(bootNs) - IDLE_LAG_MS * 1e6);
        const minute = Math.floor(Number(bootNs / NS_PER_MS) / DENIAL_LEAF_MS);
        if (minute !== this.#denialMinute) {
          this.#denialMinute = minute;
          this.#denialLeaves();
        }
        this.#collectDenials();
        await this.#sealer.tick();
        await this.#keeper.tick();
        this.#turnedMs = performance.now();
      });
    } catch (error) {
      // Nothing is lost by it, and the next look finds the disk as it is then.
      if (error instanceof TollgateError && error.code === 'TG_STORE_FULL') return;
      clearInterval(this.#timer);
      this.#fail(error);
    } finally {
      this.#ticking = false;
    }
  }

  #hearDrive(): void {
    const { ignition, heard } = this.#path;
    const value = ignition < 0 ? Number.NaN : heard[2 * ignition + 1]!;
    if (Number.isNaN(value) || (value === 0) === this.#parked) return;
    this.#parked = value === 0;
    this.onDrive?.(!this.#parked);
  }

  /** The pipeline is one path: batches, ticks and the end take turns, and none before the unit is ready. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#working.then(() => this.ready).then(work);
    this.#working = turn.catch(() => undefined);
    return turn;
  }

  /** The gate counts what it keeps back; the meter gets it with the next record of the stream, the ledger once a minute. */
  #collectDenials(): void {
    const denials = this.#path.gate.drainDenials();
    for (const { stream, count } of denials) {
      this.#pipeline.counts.denied += count;
      this.#path.streams[stream]!.denied(count);
    }
    this.#path.denials.collect(denials);
  }

  #denialLeaves(): void {
    this.#collectDenials();
    for (const body of this.#path.denials.take()) this.store.leaf(decisionLeaf(this.#now(), body));
  }

  #now(): LeafTime {
    const bootNs = this.#clock.bootNs();
    return {
      bootId: this.bootId,
      boottimeMs: Number(bootNs / NS_PER_MS),
      utcMs: utcMs(bootNs, this.#clock.utc()),
    };
  }
}

/** Algorithm and key id of the ledger key, as COSE has them. */
export function coseSigner({ type, keyId }: VerifierKey): { readonly algorithm: number; readonly keyId: Uint8Array } {
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, keyId);
  return { algorithm: type === TYPE_ECDSA ? ALG_ES256 : ALG_EDDSA, keyId: id };
}

function hpkeKey(keys: UnitKeys, did: string): JsonWebKey {
  const recipient = keys.recipients.get(did);
  if (recipient === undefined) throw new TollgateError('TG_RECIPIENT_UNKNOWN', `no key for ${did}`);
  return recipient.hpke;
}
