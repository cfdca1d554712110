import type { Worker } from 'node:worker_threads';
import { TollgateError } from '#contracts';
import type {
  Accepted,
  Ack,
  Appended,
  Budget,
  DocumentVersion,
  DurableStats,
  DurableStore,
  Head,
  MeterRow,
  OutboxRow,
  ProofMaterial,
  ProtocolState,
  RecordEntry,
  RecordInfo,
  RecordQuery,
  StreamEntry,
} from './contract.ts';
import { passes } from './database.ts';
import { type Group, GroupBuilder } from './group.ts';
import type { Answer, Failure, Opened, QueuedProof, Request, Taken } from './protocol.ts';
import { takeThread } from './thread.ts';
import type { FaultAt } from './writer-settings.ts';

/** Sync costs flash and time: a group is committed this often … */
export const GROUP_COMMIT_MS = 1_000;
/** … or when it has this many records … */
export const GROUP_COMMIT_RECORDS = 500;
/** … or bytes. */
const GROUP_BYTES = 1024 * 1024;
/** Answers of brokers and receivers take effect at once and are on disk after this long, ms: flash wears by syncs. */
export const GATHER_MS = 10_000;
/** Groups that wait beyond the one that is written; above it `append` returns a promise. */
const MOST_WAITING_GROUPS = 2;
/** A group that found no room is tried again this often, ms. */
const RETRY_MS = 1_000;
/** A thread that was told to end and does not is ended, ms. */
const LAST_WORD_MS = 2_000;
/** Leaves under a checkpoint are kept so long, ms: 30 days, 130 MB at the reference load. */
export const KEEP_LEAVES_MS = 30 * 24 * 3_600_000;
const OLDEST_NODE = 22;

export interface StoreOptions {
  readonly file: string;
  /** Hard cap of the bytes of records in the spool, as wrapped. */
  readonly maxBytes: number;
  readonly groupCommitMs?: number;
  readonly groupCommitRecords?: number;
  /** `KEEP_LEAVES_MS` without it. */
  readonly keepLeavesMs?: number;
  /** `GATHER_MS` without it. */
  readonly gatherMs?: number;
  /** 8 bytes: this start of the agent. */
  readonly bootId: Uint8Array;
  /**
   * The spool key of an agreement, 32 bytes, kept by the trust anchor outside the database. Null, or another key than
   * the one before, says that it was destroyed: what waits under it is dropped, never sent.
   */
  readonly spoolKeys: (agreement: string) => Promise<Uint8Array | null>;
  readonly observe?: (state: ProtocolState) => void;
  /** Test hook: SIGKILL at a state. */
  readonly faultAt?: FaultAt;
  /** Test hook: a disk that is full at this many pages. */
  readonly maxPages?: number;
  /** Test hook: `synchronous=OFF`, the control of the power-cut rig. */
  readonly unsynced?: boolean;
  /** Test hook: a disk that takes no writes any more. */
  readonly readOnly?: boolean;
  /** Hard cap of the bytes of one recipient's records in the spool; none without it. */
  readonly maxRecipientBytes?: number;
  /** Test hook: length of the WAL, pages. */
  readonly walPages?: number;
}

/**
 * Opens the store, makes it where there is none, and recovers: whatever was inflight is queued, the tree is compared with
 * its newest checkpoint.
 *
 * @throws {TollgateError} TG_STORE_CORRUPT, TG_STORE_LEDGER, TG_STORE_LOCKED, TG_STORE_VERSION, TG_STORE_FULL, TG_STORE_IO
 */
export async function openStore(options: StoreOptions): Promise<DurableStore> {
  const { store, opened } = openingStore(options);
  await opened;
  return store;
}

/** The same at once: until `opened` resolves nothing may be asked of the store. It rejects as `openStore` does. */
export function openingStore(options: StoreOptions): { readonly store: DurableStore; readonly opened: Promise<void> } {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new TollgateError('TG_STORE_NODE', `this is Node ${process.versions.node}, the store needs ${OLDEST_NODE}`);
  }
  const store = new ThreadStore(options);
  return { store, opened: store.open() };
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

interface Waiting {
  readonly group: Group;
  readonly waiters: Waiter[];
}

interface Stream {
  readonly ref: number;
  readonly key: string;
  nextSeq: number;
  readonly fields: Set<string>;
}

class ThreadStore implements DurableStore {
  readonly #options: StoreOptions;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #calls = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  readonly #builder = new GroupBuilder();
  readonly #streams = new Map<string, Stream>();
  readonly #queue: Waiting[] = [];
  readonly #known = new Set<string>();
  readonly #proofs: QueuedProof[] = [];
  #proving: Promise<unknown> | null = null;
  readonly #withdrawing = new Set<string>();
  /** Counters with what waits for its commit: the writer's thread only ever adds what was admitted here. */
  readonly #budgets = new Map<string, { value: number }>();
  readonly #versions = new Map<string, DocumentVersion>();
  readonly #reached = new Map<ProtocolState, number>();
  #spare: ArrayBuffer[] = [];
  #nextCall = 1;
  #nextRef = 1;
  #last: Stream | null = null;
  #head: Head = { size: 0, root: new Uint8Array(32) };
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #retry: (() => void) | null = null;
  #fault: TollgateError | null = null;
  #lastStats: Omit<DurableStats, 'fault'> | null = null;
  /** The end: closed, or a file that is damaged. */
  #over: TollgateError | null = null;
  #readyWaiters: (() => void)[] = [];
  #room: (() => void)[] = [];
  #closing: Promise<void> | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#worker = takeThread();
    this.#worker.on('message', (answer: Answer) => this.#answered(answer));
    this.#worker.on('error', (error) =>
      this.#end(new TollgateError('TG_STORE_CLOSED', error.message, { cause: error })),
    );
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('exit', () => this.#end(new TollgateError('TG_STORE_CLOSED', 'the thread of the store ended')));
  }

  async open(): Promise<void> {
    const { file, maxBytes, bootId, faultAt, maxPages, walPages, keepLeavesMs = KEEP_LEAVES_MS } = this.#options;
    const { readOnly, unsynced, maxRecipientBytes = Number.POSITIVE_INFINITY } = this.#options;
    const hooks = {
      readOnly: readOnly === true,
      unsynced: unsynced === true,
      maxRecipientBytes,
      ...(maxPages !== undefined && { maxPages }),
      ...(walPages !== undefined && { walPages }),
    };
    try {
      const settings = { file, maxBytes, bootId, faultAt, keepLeavesMs, ...hooks };
      const gatherMs = this.#options.gatherMs ?? GATHER_MS;
      const opened = (await this.#call({ op: 'open', settings, gatherMs })) as Opened;
      for (const [key, value] of opened.budgets) this.#budgets.set(key, { value });
      for (const version of opened.documents) this.#versions.set(nameOf(version.issuer, version.document), version);
      this.#head = (await this.#keys(opened.agreements)) as Head;
      this.#lastStats = (await this.#call({ op: 'stats' })) as Omit<DurableStats, 'fault'>;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  begin(entry: StreamEntry): void {
    this.#alive();
    const stream: Stream = { ref: this.#nextRef++, key: keyOf(entry.stream), nextSeq: 0, fields: new Set() };
    if (this.#streams.has(stream.key)) throw new TollgateError('TG_STORE_SEQUENCE', 'this stream has begun before');
    this.#streams.set(stream.key, stream);
    this.#builder.stream(stream.ref, entry);
    this.#added();
  }

  append(entry: RecordEntry, budgets: readonly Budget[] = NO_BUDGETS): Appended {
    this.#alive();
    const stream = this.#stream(entry.stream);
    if (stream === undefined || entry.seq !== stream.nextSeq) {
      const wanted = stream === undefined ? 'a stream that has begun' : `record ${stream.nextSeq}`;
      throw new TollgateError('TG_STORE_SEQUENCE', `record ${entry.seq} came, ${wanted} is awaited`);
    }
    if (!this.admits(budgets)) return 'refused';
    for (const { key, add } of budgets) this.#spend(key, add);
    stream.nextSeq++;
    this.#builder.record(stream.ref, entry);
    for (const name in entry.meter.fields) {
      if (stream.fields.has(name)) continue;
      stream.fields.add(name);
      this.#builder.field(stream.ref, name);
    }
    this.#added();
    if (this.#queue.length > MOST_WAITING_GROUPS) {
      return new Promise((resolve) => this.#room.push(() => resolve('queued')));
    }
    return 'queued';
  }

  admits(budgets: readonly Budget[]): boolean {
    for (const { key, add, limit } of budgets) if ((this.#budgets.get(key)?.value ?? 0) + add > limit) return false;
    return true;
  }

  budget(key: string): number {
    return this.#budgets.get(key)?.value ?? 0;
  }

  forgetBudget(key: string): void {
    this.#alive();
    if (!this.#budgets.delete(key)) return;
    this.#builder.forgetBudget(key);
    this.#added();
  }

  #spend(key: string, add: number): void {
    const counter = this.#budgets.get(key);
    if (counter === undefined) this.#budgets.set(key, { value: add });
    else counter.value += add;
    this.#builder.budget(key, add);
  }

  version(issuer: string, document: string): DocumentVersion | null {
    return this.#versions.get(nameOf(issuer, document)) ?? null;
  }

  async accept(version: DocumentVersion, leaf: Uint8Array | null): Promise<Accepted> {
    this.#alive();
    const known = this.version(version.issuer, version.document);
    if (known !== null && version.version <= known.version) {
      return version.version === known.version && Buffer.compare(version.hash, known.hash) === 0 ? 'known' : 'stale';
    }
    if (leaf !== null) this.#builder.leaf(leaf);
    this.#builder.document(version);
    await this.commit();
    return 'accepted';
  }

  leaf(leaf: Uint8Array): void {
    this.#alive();
    this.#builder.leaf(leaf);
    this.#added();
  }

  async commit(): Promise<void> {
    this.#alive();
    this.#cut();
    const newest = this.#queue.at(-1);
    if (newest === undefined) return;
    const durable = new Promise<void>((resolve, reject) => newest.waiters.push({ resolve, reject }));
    this.#retry?.();
    await durable;
  }

  async head(): Promise<Head> {
    this.#alive();
    return this.#head;
  }

  async checkpoint(size: number, note: string): Promise<void> {
    await this.#call({ op: 'checkpoint', size, note });
    this.#state('checkpoint-stored');
  }

  async proofs(size: number): Promise<readonly ProofMaterial[]> {
    return (await this.#call({ op: 'proofs', size })) as ProofMaterial[];
  }

  async proof(material: ProofMaterial, payload: Uint8Array, link = false): Promise<void> {
    this.#proofs.push({ material, payload, link });
    // What is queued in one go becomes durable in one sync.
    this.#proving ??= Promise.resolve().then(() => {
      this.#proving = null;
      return this.#call({ op: 'proof', proofs: this.#proofs.splice(0) });
    });
    await this.#proving;
    this.#state('proof-stored');
  }

  async take(limit: number, pseudonym?: string): Promise<readonly OutboxRow[]> {
    const { rows, agreements } = (await this.#call({ op: 'take', limit, pseudonym })) as Taken;
    if (this.#withdrawing.size === 0) return rows;
    return rows.filter((_, index) => !this.#withdrawing.has(agreements[index]!));
  }

  async pubacked(ids: readonly number[]): Promise<void> {
    await this.#call({ op: 'pubacked', ids });
  }

  async ack(ack: Ack): Promise<void> {
    await this.#call({ op: 'ack', ack });
    this.#retry?.();
  }

  async requeue(olderThanMs: number): Promise<number> {
    return (await this.#call({ op: 'requeue', olderThanMs })) as number;
  }

  async resendSessions(pseudonym?: string): Promise<number> {
    return (await this.#call({ op: 'resend', pseudonym })) as number;
  }

  async withdraw(agreement: string, leaf?: Uint8Array): Promise<number> {
    this.#alive();
    // Answers come in the order of their questions: what was taken before the withdrawal took effect comes before its own.
    this.#withdrawing.add(agreement);
    try {
      await this.commit().catch((error: unknown) => {
        // What finds no room now is dropped when it does.
        if (!isHeldBack(error)) throw error;
      });
      const answer = await this.#call({ op: 'withdraw', agreement, leaf: leaf ?? null });
      const { dropped, head } = answer as { dropped: number; head: Head };
      this.#head = head;
      return dropped;
    } finally {
      // A stream that begins under it later asks the anchor anew.
      this.#known.delete(agreement);
      this.#withdrawing.delete(agreement);
    }
  }

  async prune(): Promise<number> {
    return (await this.#call({ op: 'prune' })) as number;
  }

  async meter(): Promise<readonly MeterRow[]> {
    return (await this.#call({ op: 'meter' })) as MeterRow[];
  }

  async recipientOf(stream: Uint8Array): Promise<string | null> {
    return (await this.#call({ op: 'recipient', stream })) as string | null;
  }

  async recordsAbout(query: RecordQuery): Promise<readonly RecordInfo[]> {
    return (await this.#call({ op: 'records', query })) as RecordInfo[];
  }

  ready(): Promise<void> {
    return new Promise((resolve) => this.#readyWaiters.push(resolve));
  }

  async stats(): Promise<DurableStats> {
    // A damaged file answers nothing more; what it said last still tells what was in it.
    if (this.#over?.code === 'TG_STORE_CORRUPT' && this.#lastStats !== null) {
      return { ...this.#lastStats, fault: this.#over.code };
    }
    const stats = (await this.#call({ op: 'stats' })) as Omit<DurableStats, 'fault'>;
    this.#lastStats = stats;
    return { ...stats, fault: this.#fault?.code ?? null };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let lost: unknown = null;
    await this.commit().catch((error: unknown) => {
      lost = error;
    });
    if (this.#over === null) await this.#call({ op: 'close' });
    this.#end(new TollgateError('TG_STORE_CLOSED', 'the store is closed'));
    await this.#gone();
    if (lost !== null) throw lost;
  }

  /** The thread ends by itself after `close`: ending it from outside while V8 compiles in it has crashed processes. */
  async #gone(): Promise<void> {
    const late = setTimeout(() => void this.#worker.terminate(), LAST_WORD_MS);
    await this.#exited;
    clearTimeout(late);
  }

  #stream(bytes: Uint8Array): Stream | undefined {
    const key = keyOf(bytes);
    if (this.#last?.key !== key) this.#last = this.#streams.get(key) ?? null;
    return this.#last ?? undefined;
  }

  /** Something entered the open group. */
  #added(): void {
    const { groupCommitMs = GROUP_COMMIT_MS, groupCommitRecords = GROUP_COMMIT_RECORDS } = this.#options;
    if (this.#builder.records >= groupCommitRecords || this.#builder.length >= GROUP_BYTES) this.#cut();
    else this.#timer ??= setTimeout(() => this.#cut(), groupCommitMs);
  }

  /** Ends the open group; it waits for its turn. */
  #cut(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#builder.entries === 0) return;
    this.#queue.push({ group: this.#builder.take(this.#spare.pop()), waiters: [] });
    if (!this.#draining) void this.#drain();
  }

  /** Writes the groups that wait, in order; one that finds no room is tried again until it does. */
  async #drain(): Promise<void> {
    this.#draining = true;
    while (this.#queue.length > 0 && this.#over === null) {
      const { group, waiters } = this.#queue[0]!;
      const fault = await this.#write(group);
      this.#fault = fault;
      if (fault === null) {
        this.#queue.shift();
        for (const { resolve } of waiters) resolve();
        if (this.#queue.length <= MOST_WAITING_GROUPS) for (const go of this.#room.splice(0)) go();
      } else if (isHeldBack(fault)) {
        for (const waiting of this.#queue) for (const { reject } of waiting.waiters.splice(0)) reject(fault);
        await this.#pause();
      } else this.#end(fault);
    }
    this.#draining = false;
  }

  /** One attempt. The group's buffer comes back either way. */
  async #write(group: Group): Promise<TollgateError | null> {
    try {
      await this.#keys(group.agreements.filter((agreement) => !this.#known.has(agreement)));
      const written = await this.#call({ op: 'group', group }, [group.bytes], (answer) => {
        const back = answer.value as Group | undefined;
        if (back !== undefined) group.bytes = back.bytes;
      });
      const { head, bytes } = written as { head: Head; bytes: ArrayBuffer };
      this.#head = head;
      if (this.#spare.length <= MOST_WAITING_GROUPS) this.#spare.push(bytes);
      this.#committed(group);
      return null;
    } catch (error) {
      if (error instanceof TollgateError) return error;
      return new TollgateError('TG_STORE_IO', error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  #committed({ sessions, documents }: Group): void {
    for (const version of documents) {
      const name = nameOf(version.issuer, version.document);
      if ((this.#versions.get(name)?.version ?? -1) < version.version) this.#versions.set(name, version);
    }
    this.#state('transaction-begun');
    this.#state('rows-written');
    this.#state('transaction-committed');
    for (let i = 0; i < sessions; i++) this.#state('session-stored');
    this.#state('committed');
  }

  async #keys(agreements: readonly string[]): Promise<unknown> {
    const keys: [string, Uint8Array | null][] = [];
    for (const agreement of agreements) {
      const key = await this.#options.spoolKeys(agreement).catch((error: unknown) => {
        throw new TollgateError('TG_STORE_KEY', 'the trust anchor gave no spool key', { cause: error });
      });
      keys.push([agreement, key]);
    }
    if (keys.length === 0 && this.#known.size > 0) return null;
    const head = await this.#call({ op: 'keys', keys });
    for (const [agreement] of keys) this.#known.add(agreement);
    return head;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#retry?.(), RETRY_MS);
      this.#retry = () => {
        clearTimeout(timer);
        this.#retry = null;
        resolve();
      };
    });
  }

  #call(request: Request, transfer: ArrayBuffer[] = [], failed?: (answer: Answer) => void): Promise<unknown> {
    if (this.#over !== null) return Promise.reject(this.#over);
    const id = this.#nextCall++;
    return new Promise((resolve, reject) => {
      const rejected = (error: unknown) => reject(error);
      this.#calls.set(id, { resolve, reject: rejected });
      if (failed !== undefined) this.#failures.set(id, failed);
      this.#worker.postMessage({ id, request }, transfer);
    });
  }

  readonly #failures = new Map<number, (answer: Answer) => void>();

  #answered(answer: Answer): void {
    const call = this.#calls.get(answer.id);
    const failed = this.#failures.get(answer.id);
    this.#calls.delete(answer.id);
    this.#failures.delete(answer.id);
    if (answer.error === undefined) call?.resolve(answer.value);
    else {
      failed?.(answer);
      call?.reject(this.#errorOf(answer.error));
    }
    if (answer.ready) for (const wake of this.#readyWaiters.splice(0)) wake();
  }

  #errorOf({ code, message, stack }: Failure): TollgateError {
    const error = new TollgateError(code ?? 'TG_STORE_IO', message, {
      place: { file: this.#options.file },
      cause: stack,
    });
    // A damaged file answers nothing more: what it still holds is for examination, not for writing on.
    if (code === 'TG_STORE_CORRUPT') this.#end(error);
    return error;
  }

  /** Nothing goes on from here; everything that waits hears why. */
  #end(error: TollgateError): void {
    if (this.#over !== null) return;
    this.#over = error;
    clearTimeout(this.#timer);
    for (const { reject } of this.#calls.values()) reject(error);
    for (const { waiters } of this.#queue.splice(0)) for (const { reject } of waiters) reject(error);
    for (const go of this.#room.splice(0)) go();
    this.#calls.clear();
    this.#retry?.();
  }

  #alive(): void {
    if (this.#over !== null) throw this.#over;
  }

  #state(state: ProtocolState): void {
    const count = (this.#reached.get(state) ?? 0) + 1;
    this.#reached.set(state, count);
    this.#options.observe?.(state);
    const { faultAt } = this.#options;
    const ours = state === 'committed' || state === 'session-stored';
    if (ours && faultAt?.state === state && faultAt.occurrence === count) process.kill(process.pid, 'SIGKILL');
  }
}

const NO_BUDGETS: readonly Budget[] = [];

/** A group that cannot be written now, and is tried again. */
function isHeldBack(error: unknown): boolean {
  return passes(error) || (error instanceof TollgateError && error.code === 'TG_STORE_KEY');
}

const nameOf = (issuer: string, document: string) => `${issuer}\0${document}`;

const keyOf = (stream: Uint8Array) => Buffer.from(stream.buffer, stream.byteOffset, stream.length).toString('latin1');
