import { rmSync } from 'node:fs';
import { type ErrorCode, TollgateError } from '#contracts';
import { readLeaf } from '#ledger';
import { gapLeaf } from '#wire/leaf';
import type {
  Ack,
  DocumentVersion,
  DurableStats,
  MeterRow,
  OutboxRow,
  ProofMaterial,
  ProtocolState,
  RecordInfo,
  RecordQuery,
  RowKind,
} from './contract.ts';
import { type Connection, connectWriter, lock, passes, sizeOf, translate, translated } from './database.ts';
import { gapsOf } from './gaps.ts';
import { type Group, readGroup, type StreamInfo } from './group.ts';
import type { Removed } from './outbox.ts';
import { grownSince, proofOf } from './proof-material.ts';
import type { Opened, QueuedProof, Taken } from './protocol.ts';
import { meterRows, recipientOf, recordsAbout } from './queries.ts';
import { oldBelow } from './retention.ts';
import { SESSION_SEQ, type SpoolKey, spoolKey, unwrap, wrap } from './spool.ts';
import { State } from './state.ts';
import { fits, type StreamState } from './streams.ts';
import { KIND_PROOF, KIND_RECORD, KIND_SESSION } from './tables.ts';
import type { WriterSettings } from './writer-settings.ts';
import { prepareWriter } from './writer-statements.ts';

const ROW_KINDS: readonly RowKind[] = ['session', 'record', 'proof'];
/** Rows that changed in memory only; at so many they are written. */
const MOST_CHANGES = 2_000;
/** Checkpoints between two looks at what may be pruned: about ten minutes. */
const PRUNE_CHECKPOINTS = 60;

type Version = [issuer: string, document: string, version: number, hash: Uint8Array];

/** PUBACKs and acknowledgements that no fold has written yet: a transaction that fails does not undo them. */
interface Answers {
  readonly pubacked: readonly number[];
  readonly acks: readonly Ack[];
  readonly nowMs: number;
}

/**
 * The one writer of a store; runs in the worker thread. A group is durable when `commit` returns; so is what the other
 * methods change, but for answers, which are when `fold` returns.
 */
export class Writer {
  readonly #settings: WriterSettings;
  readonly #lock: Connection;
  readonly #db: Connection;
  readonly #state: State;
  readonly #statements;
  readonly #keys = new Map<string, SpoolKey | null>();
  /** Rows whose wrapping does not open: a damaged page that SQLite cannot see. They leave as evicted. */
  readonly #unreadable = new Set<number>();
  /** Rows from here on are of this boot. */
  readonly #firstRow: number;
  /** Rows of proofs that carry a link. */
  readonly #links = new Set<number>();
  readonly #reached = new Map<ProtocolState, number>();
  /** Of the newest leaf: a gap leaf tells when records left the spool by what came in then. */
  #time: { boottimeMs: number; utcMs: number | null } = { boottimeMs: 0, utcMs: null };
  #commits = 0;
  #checkpoints = 0;
  #answers: Answers[] = [];
  /** The open transaction changes more than `hot` can say. */
  #mustFold = false;
  /** Records that came after their key was gone: leaves without a row. */
  #lost: { stream: StreamState; seq: number }[] = [];

  constructor(settings: WriterSettings) {
    this.#settings = settings;
    this.#lock = lock(settings.file);
    try {
      this.#db = connectWriter(settings);
      this.#statements = prepareWriter(this.#db);
      this.#state = new State(this.#db, settings.file);
      this.#state.load();
      this.#state.ledger.check();
      this.#firstRow = this.#state.outbox.nextId;
      this.#endEarlierBoots();
    } catch (error) {
      this.#lock.close();
      throw translate(error, settings.file);
    }
  }

  opened(): Opened {
    const open = [...this.#state.streams.all()].filter(
      ({ outstanding, sessionId }) => outstanding > 0 || sessionId > 0,
    );
    const versions = this.#db.prepare('SELECT issuer, document, version, hash FROM document').raw().all() as Version[];
    return {
      agreements: [...new Set(open.map(({ agreement }) => agreement))],
      budgets: this.#state.budgets(),
      documents: versions.map(([issuer, document, version, hash]) => ({
        issuer,
        document,
        version,
        hash: new Uint8Array(hash),
      })),
    };
  }

  /** The key of an agreement, null where the anchor has none any more: its rows are then dropped, never sent. */
  key(agreement: string, bytes: Uint8Array | null): void {
    const key = bytes === null ? null : spoolKey(bytes);
    this.#keys.set(agreement, key);
    for (const stream of this.#state.streams.all()) {
      if (stream.agreement === agreement) stream.dropped = !fits(stream, key);
    }
  }

  commit(group: Group): void {
    this.#transaction(() => {
      this.#fault('transaction-begun');
      this.#state.open();
      readGroup(group, {
        stream: (ref, info, session) => this.#begin(ref, info, session),
        record: (ref, seq, payload, leaf) => this.#record(this.#state.streams.byRef(ref), seq, payload, leaf),
        leaf: (leaf) => this.#leaf(leaf),
      });
      this.#state.count(group.meter, group.budgets);
      for (const [ref, name] of group.fields) {
        this.#statements.addField.run(this.#state.streams.byRef(ref).id, this.#state.names.id(name));
      }
      for (const version of group.documents) this.#accept(version);
      this.#dropLost();
      this.#expire();
      for (const recipient of this.#state.outbox.over(this.#settings.maxRecipientBytes)) {
        this.#gaps(this.#state.outbox.evict(this.#settings.maxRecipientBytes, recipient));
      }
      this.#gaps(this.#state.outbox.evict(this.#settings.maxBytes));
      if (this.#mustFold || group.fields.length > 0 || !this.#state.keepHot()) this.#fold();
      this.#fault('rows-written');
    });
    this.#fault('transaction-committed');
    this.#commits++;
  }

  /** Within a transaction: records that are older than their stream allows leave. */
  #expire(): void {
    const { streams, outbox, ledger } = this.#state;
    const now = this.#time.utcMs;
    if (now === null) return;
    for (const stream of streams.all()) {
      const { ttlMs } = stream;
      if (ttlMs === null || stream.outstanding === 0) continue;
      this.#gaps(
        outbox.expire(stream, (leaf) => {
          const { utcMs } = readLeaf(ledger.leaf(leaf));
          return utcMs !== null && utcMs + ttlMs < now;
        }),
      );
    }
  }

  /** Makes durable what is in memory only. */
  fold(): void {
    if (this.#state.unfolded) this.#transaction(() => this.#fold());
  }

  #fold(): void {
    this.#state.fold();
    this.#folding = true;
  }

  #folding = false;

  #accept({ issuer, document, version, hash }: DocumentVersion): void {
    this.#mustFold = true;
    this.#statements.document.run(issuer, document, version, hash);
  }

  checkpoint(size: number, note: string): void {
    this.#transaction(() => {
      this.#state.ledger.checkpoint(size, note);
      this.#fold();
    });
    this.#fault('checkpoint-stored');
    if (++this.#checkpoints % PRUNE_CHECKPOINTS === 0) this.prune();
  }

  /**
   * Forgets what nobody needs any more: leaves under the newest checkpoint that are older than the retention, with the
   * streams that ended in them. Leaves of records that wait, and of those whose proof is still to come, stay.
   *
   * @returns leaves that went
   */
  prune(): number {
    this.fold();
    const { ledger, streams, outbox } = this.#state;
    const before = ledger.pruned;
    const needed = [...streams.all()].filter(({ publishedSeq, nextSeq }) => publishedSeq < nextSeq - 1);
    const most = Math.min(ledger.checkpointSize, outbox.oldestLeaf(), ...needed.map(({ firstLeaf }) => firstLeaf));
    const { utcMs } = this.#time;
    const below = utcMs === null ? before : oldBelow(ledger, most, utcMs - this.#settings.keepLeavesMs);
    if (below <= before) return 0;
    this.#transaction(() => {
      const sizes = this.#statements.published.all() as number[];
      ledger.prune(below, sizes);
      streams.prune(below);
    });
    return below - before;
  }

  head(): { size: number; root: Uint8Array } {
    return { size: this.#state.ledger.size, root: new Uint8Array(this.#state.ledger.root()) };
  }

  proofs(size: number): ProofMaterial[] {
    this.fold();
    const materials: ProofMaterial[] = [];
    const grown = new Map<string, ProofMaterial['consistency']>();
    for (const stream of this.#state.streams.all()) {
      if (stream.dropped || stream.publishedSeq >= stream.nextSeq - 1 || stream.firstLeaf >= size) continue;
      const { recipient } = stream;
      if (!grown.has(recipient)) grown.set(recipient, grownSince(this.#state, this.#statements, recipient, size));
      const material = proofOf(this.#state, this.#statements, stream, size, grown.get(recipient)!);
      if (material !== null) materials.push(material);
      else this.#unprovable(stream, size);
    }
    return materials;
  }

  /**
   * A stream that has ended, of which nothing is left to prove: its newest records were evicted, or more of them in a row than a
   * proof names. Its leaves need not wait for one.
   */
  #unprovable(stream: StreamState, size: number): void {
    const { streams, outbox } = this.#state;
    if (!stream.ended || stream.lastLeaf >= size || outbox.hasProofs(stream)) return;
    stream.publishedSeq = stream.nextSeq - 1;
    streams.touch(stream);
  }

  /**
   * Queues proofs, in one sync; one of the same stream that nobody took yet is replaced, for this one says the same and more. Those of
   * an earlier boot and those with a link stay: the next link starts where they end.
   */
  queueProofs(proofs: readonly QueuedProof[]): void {
    this.#transaction(() => {
      for (const proof of proofs) this.#queueProof(proof);
      this.#fold();
    });
    for (let i = 0; i < proofs.length; i++) this.#fault('proof-stored');
  }

  #queueProof({ material, payload, link }: QueuedProof): void {
    const { streams, outbox } = this.#state;
    const stream = streams.byName(material.stream);
    if (stream === null || stream.dropped) return;
    for (const id of outbox.queuedProofs(stream)) {
      if (id >= this.#firstRow && !this.#links.has(id)) outbox.remove(id);
    }
    const id = outbox.insert(KIND_PROOF, stream, -1, null, payload);
    if (link) this.#links.add(id);
    this.#statements.publish.run(material.recipient, material.size);
    for (const { seq } of material.evicted) this.#statements.carry.run(id, stream.id, seq);
    stream.publishedSeq = Math.max(stream.publishedSeq, material.seq);
    streams.touch(stream);
  }

  take(limit: number, pseudonym: string | undefined): Taken {
    const rows: OutboxRow[] = [];
    const agreements: string[] = [];
    for (const { id, kind, stream, seq, payload: wrapped } of this.#state.outbox.take(limit, pseudonym)) {
      const payload =
        kind === KIND_PROOF ? wrapped : this.#unwrap(stream, kind === KIND_SESSION ? SESSION_SEQ : seq, wrapped);
      if (payload === null) {
        this.#unreadable.add(id);
        continue;
      }
      const topic = stream.topic + (kind === KIND_SESSION ? '/s' : kind === KIND_PROOF ? '/p' : '');
      const { pseudonym: name, priority, stream: bytes } = stream;
      const retain = kind === KIND_SESSION;
      rows.push({ id, kind: ROW_KINDS[kind]!, pseudonym: name, stream: bytes, seq, priority, topic, retain, payload });
      agreements.push(stream.agreement);
    }
    return { rows, agreements };
  }

  /**
   * PUBACKs and acknowledgements take effect at once, in memory; they are written with the next fold, many in one sync. What
   * a power cut takes back is sent again, and the receiver knows it.
   *
   * @returns whether so much has changed that a fold is due
   */
  answers(pubacked: readonly number[], acks: readonly Ack[], nowMs: number): boolean {
    const answers = { pubacked, acks, nowMs };
    this.#answers.push(answers);
    this.#apply(answers);
    return this.#state.outbox.changes >= MOST_CHANGES;
  }

  #apply({ pubacked, acks, nowMs }: Answers): void {
    for (const proof of this.#state.outbox.pubacked(pubacked, nowMs)) {
      this.#state.told(proof);
      this.#links.delete(proof);
    }
    for (const ack of acks) this.#ack(ack);
  }

  /** The writes of `answers` are on disk. */
  answersStored(pubacked: boolean, acks: boolean): void {
    if (pubacked) this.#fault('puback-stored');
    if (acks) this.#fault('ack-stored');
  }

  #ack(ack: Ack): void {
    const stream = this.#state.streams.byName(ack.stream);
    // Nobody can have what was not sealed: such an answer deletes nothing and proves nothing.
    if (stream === null || ack.uptoSeq >= stream.nextSeq) return;
    this.#state.ack(ack, stream);
    this.#sessionLeaves(stream);
  }

  /** A session goes again with its records; when they have all arrived, so has it. */
  #sessionLeaves(stream: StreamState): void {
    if (stream.outstanding === 0 && stream.sessionId > 0) this.#state.outbox.remove(stream.sessionId);
  }

  requeue(olderThanMs: number, nowMs: number): number {
    const { count, streams } = this.#state.outbox.requeue(olderThanMs, nowMs);
    return count + this.#sessionsBack(streams);
  }

  resend(pseudonym: string | undefined): number {
    const streams = [...this.#state.streams.all()].filter(
      (one) => pseudonym === undefined || one.pseudonym === pseudonym,
    );
    const back = this.#sessionsBack(streams);
    return back + this.#state.outbox.resend(streams);
  }

  #sessionsBack(streams: readonly StreamState[]): number {
    const bare = streams.filter(
      ({ outstanding, sessionId, dropped }) => outstanding > 0 && sessionId === 0 && !dropped,
    );
    if (bare.length === 0) return 0;
    return this.#transaction(() => {
      const back = bare.filter((stream) => this.#sessionBack(stream)).length;
      this.#fold();
      return back;
    });
  }

  /** The session of a stream that had been acknowledged whole, and goes on. */
  #sessionBack(stream: StreamState): boolean {
    const message = this.#statements.session.get(stream.id);
    if (!(message instanceof Uint8Array)) return false;
    this.#state.outbox.insert(KIND_SESSION, stream, -1, null, message);
    return true;
  }

  withdraw(agreement: string, leaf: Uint8Array | null): number {
    const before = this.#state.evicted;
    this.key(agreement, null);
    this.#transaction(() => {
      this.#state.streams.withdraw(agreement);
      if (leaf !== null) this.#leaf(leaf);
      this.#dropLost();
      this.#fold();
    });
    return this.#state.evicted - before;
  }

  stats(): Omit<DurableStats, 'fault'> {
    const { file } = this.#settings;
    const { outbox, ledger, acked, evicted } = this.#state;
    return {
      queued: outbox.queuedRows,
      inflight: outbox.inflightRows,
      pubacked: outbox.pubackedRows,
      acked,
      evicted,
      bytes: outbox.bytes,
      commits: this.#commits,
      head: this.head(),
      checkpointSize: ledger.checkpointSize,
      fileBytes: sizeOf(file) + sizeOf(`${file}-wal`),
    };
  }

  meter(): MeterRow[] {
    return meterRows(this.#db, this.#state.meter);
  }

  recordsAbout(query: RecordQuery): RecordInfo[] {
    return recordsAbout(this.#db, this.#state, query);
  }

  recipientOf(stream: Uint8Array): string | null {
    return recipientOf(this.#db, stream);
  }

  /** The rig's: the tables, after everything was folded into them. */
  get db(): Connection {
    this.fold();
    return this.#db;
  }

  /** The rig's: a leaf as it is kept. */
  leaf(index: number): Uint8Array {
    return this.#state.ledger.leaf(index);
  }

  get queued(): number {
    return this.#state.outbox.queuedRows;
  }

  close(): void {
    try {
      this.fold();
    } catch (error) {
      // What no fold could write is in `hot`, or is sent again.
      if (!passes(error)) throw error;
    } finally {
      this.#db.close();
      this.#lock.close();
      rmSync(`${this.#settings.file}-lock`, { force: true });
    }
  }

  #begin(ref: number, info: StreamInfo, session: Uint8Array): void {
    this.#mustFold = true;
    const { streams, outbox, ledger } = this.#state;
    const key = this.#keys.get(info.agreement) ?? null;
    const wrapped = key === null ? null : wrap(key, info.stream, SESSION_SEQ, session);
    const stream = streams.begin(ref, info, wrapped, key, ledger.size);
    stream.dropped = key === null;
    if (wrapped !== null) outbox.insert(KIND_SESSION, stream, -1, null, wrapped);
  }

  #record(stream: StreamState, seq: number, payload: Uint8Array, bytes: Uint8Array): void {
    if (seq !== stream.nextSeq) {
      throw new TollgateError('TG_STORE_SEQUENCE', `record ${seq} came, ${stream.nextSeq} is the next of its stream`);
    }
    // The group's buffer goes back to the agent's thread.
    const leaf = new Uint8Array(bytes);
    const view = readLeaf(leaf);
    const { boottimeMs, utcMs, bodyHash } = view;
    const index = this.#state.ledger.append(leaf, view);
    this.#state.recorded(stream, view, index);
    this.#time = { boottimeMs, utcMs };
    const key = stream.dropped ? null : this.#keys.get(stream.agreement);
    if (key === null || key === undefined) {
      this.#statements.evict.run(stream.id, seq, bodyHash);
      this.#lost.push({ stream, seq });
      return;
    }
    this.#state.outbox.insert(KIND_RECORD, stream, seq, index, wrap(key, stream.stream, seq, payload));
  }

  #leaf(bytes: Uint8Array): void {
    const leaf = new Uint8Array(bytes);
    const view = readLeaf(leaf);
    const { boottimeMs, utcMs } = view;
    this.#time = { boottimeMs, utcMs };
    this.#state.ledger.append(leaf, view);
  }

  /** Within a transaction: rows whose key is gone, and rows that do not open, leave as evicted. */
  #dropLost(): void {
    const { streams, outbox } = this.#state;
    for (const stream of streams.all()) {
      if (!stream.dropped) continue;
      const untold = stream.publishedSeq < stream.nextSeq - 1;
      if (stream.outstanding === 0 && stream.sessionId === 0 && !untold) continue;
      this.#mustFold = true;
      this.#gaps(outbox.dropAll(stream));
      // Nobody is shown a proof of it any more: its leaves need not wait for one.
      stream.publishedSeq = stream.nextSeq - 1;
      streams.touch(stream);
    }
    if (this.#lost.length > 0) this.#mustFold = true;
    for (const { stream } of this.#lost) {
      stream.evicted++;
      this.#state.evicted++;
    }
    this.#gapLeaves(this.#lost);
    this.#lost = [];
    if (this.#unreadable.size === 0) return;
    this.#mustFold = true;
    this.#gaps(outbox.dropRows([...this.#unreadable]));
    this.#unreadable.clear();
  }

  /** Within a transaction: remembers what was evicted for the next proof, and says so in one leaf a stream. */
  #gaps(removed: readonly Removed[]): void {
    if (removed.length > 0) this.#mustFold = true;
    for (const { stream, seq, leaf } of removed) {
      this.#statements.evict.run(stream.id, seq, readLeaf(this.#state.ledger.leaf(leaf)).bodyHash);
      this.#state.evicted++;
    }
    this.#gapLeaves(removed);
  }

  #gapLeaves(removed: readonly { readonly stream: StreamState; readonly seq: number }[]): void {
    const time = { bootId: this.#settings.bootId, ...this.#time };
    for (const [stream, seqs] of gapsOf(removed)) {
      const leaf = gapLeaf(time, stream.stream, seqs);
      this.#state.ledger.append(leaf, readLeaf(leaf));
    }
  }

  #unwrap(stream: StreamState, seq: number, wrapped: Uint8Array): Uint8Array | null {
    const key = this.#keys.get(stream.agreement);
    return key === null || key === undefined ? null : unwrap(key, stream.stream, seq, wrapped);
  }

  /** HPKE contexts end with their process: no stream of an earlier boot goes on. */
  #endEarlierBoots(): void {
    const { streams } = this.#state;
    const open = [...streams.all()].filter(({ ended }) => !ended);
    const bare = [...streams.all()].filter(({ outstanding, sessionId }) => outstanding === 0 && sessionId > 0);
    if (open.length + bare.length === 0) return;
    try {
      this.#transaction(() => {
        for (const stream of open) streams.end(stream);
        for (const stream of bare) this.#sessionLeaves(stream);
        this.#fold();
      });
    } catch (error) {
      // A disk that takes nothing does not keep what waits from being sent; the next start does this again.
      if (!passes(error)) throw error;
    }
  }

  #transaction<T>(work: () => T): T {
    try {
      return this.#attempt(work);
    } catch (error) {
      if (codeOf(error) !== 'TG_STORE_FULL') throw error;
      // What was acknowledged meanwhile may make room, and what the WAL holds may fit into the database.
      try {
        this.#attempt(() => this.#fold());
      } catch {
        // The WAL may still give room.
      }
      translated(this.#settings.file, () => this.#db.exec('PRAGMA wal_checkpoint(RESTART)'));
      return this.#attempt(work);
    }
  }

  #attempt<T>(work: () => T): T {
    this.#mustFold = this.#folding = false;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      if (this.#folding) {
        this.#answers = [];
        this.#state.streams.settle();
      }
      return result;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      const known = translate(error, this.#settings.file);
      if (codeOf(known) !== 'TG_STORE_CORRUPT') this.#reload();
      throw known;
    }
  }

  /** Memory as the file is, after a transaction that did not happen; answers are not of the transaction. */
  #reload(): void {
    this.#lost = [];
    this.#state.load();
    for (const answers of this.#answers) this.#apply(answers);
  }

  #fault(state: ProtocolState): void {
    const count = (this.#reached.get(state) ?? 0) + 1;
    this.#reached.set(state, count);
    const { faultAt } = this.#settings;
    if (faultAt?.state === state && faultAt.occurrence === count) process.kill(process.pid, 'SIGKILL');
  }
}

const codeOf = (error: unknown): ErrorCode | null => (error instanceof TollgateError ? error.code : null);
