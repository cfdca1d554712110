import { rmSync, statSync } from 'node:fs';
import { type ErrorCode, TollgateError } from '#contracts';
import { readLeaf } from '#ledger';
import { gapLeaf } from '#wire/leaf';
import { MOST_EVICTED } from '#wire/proof';
import type {
  Ack,
  DocumentVersion,
  DurableStats,
  OutboxRow,
  ProofMaterial,
  ProtocolState,
  RowKind,
} from './contract.ts';
import { type Connection, connectWriter, lock, translate, type WriterOptions } from './database.ts';
import { type Group, readGroup, type StreamInfo } from './group.ts';
import { LedgerTable } from './ledger-table.ts';
import { MeterTable, Names } from './meter-table.ts';
import { Outbox, type Removed } from './outbox.ts';
import type { Opened, Taken } from './protocol.ts';
import { SESSION_SEQ, type SpoolKey, spoolKey, unwrap, wrap } from './spool.ts';
import { type StreamState, Streams } from './streams.ts';
import { KIND_PROOF, KIND_RECORD, KIND_SESSION } from './tables.ts';

export interface FaultAt {
  readonly state: ProtocolState;
  /** 1 the first time the state is reached. */
  readonly occurrence: number;
}

export interface WriterSettings extends WriterOptions {
  readonly maxBytes: number;
  readonly bootId: Uint8Array;
  /** Test hook: the process kills itself when it reaches a state. */
  readonly faultAt?: FaultAt | undefined;
}

const ROW_KINDS: readonly RowKind[] = ['session', 'record', 'proof'];
/** Records that one gap leaf names. */
const MOST_IN_LEAF = 1_000;

type Version = [issuer: string, document: string, version: number, hash: Uint8Array];

/** What is asked of a proof: its seq, its leaf. */
type Newest = [seq: number, leaf: number];

/**
 * The one writer of a store; runs in the worker thread. Every method that changes something is one transaction, and
 * what it returns is durable.
 */
export class Writer {
  readonly #settings: WriterSettings;
  readonly #lock: Connection;
  readonly #db: Connection;
  readonly #streams: Streams;
  readonly #outbox: Outbox;
  readonly #ledger: LedgerTable;
  readonly #names: Names;
  readonly #meter: MeterTable;
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
  #acked: number;
  #evicted: number;

  constructor(settings: WriterSettings) {
    this.#settings = settings;
    this.#lock = lock(settings.file);
    try {
      this.#db = connectWriter(settings);
      this.#statements = prepare(this.#db);
      this.#names = new Names(this.#db);
      this.#meter = new MeterTable(this.#db, this.#names);
      this.#ledger = new LedgerTable(this.#db, settings.file);
      this.#streams = new Streams(this.#db);
      this.#outbox = new Outbox(this.#db, this.#streams);
      this.#acked = this.#evicted = 0;
      this.#load();
      this.#firstRow = this.#outbox.nextRow;
      this.#endEarlierBoots();
    } catch (error) {
      this.#lock.close();
      throw translate(error, settings.file);
    }
  }

  opened(): Opened {
    const open = [...this.#streams.all()].filter(({ outstanding, sessionId }) => outstanding > 0 || sessionId > 0);
    const budgets = this.#db.prepare('SELECT key, value FROM budget').raw().all() as [string, number][];
    const versions = this.#db.prepare('SELECT issuer, document, version, hash FROM document').raw().all() as Version[];
    const documents = versions.map(([issuer, document, version, hash]) => ({ issuer, document, version, hash }));
    return { agreements: [...new Set(open.map(({ agreement }) => agreement))], budgets, documents };
  }

  /** The key of an agreement, null where the anchor has none any more: its rows are then dropped, never sent. */
  key(agreement: string, bytes: Uint8Array | null): void {
    const key = bytes === null ? null : spoolKey(bytes);
    this.#keys.set(agreement, key);
    for (const stream of this.#streams.all()) {
      if (stream.agreement === agreement) stream.dropped = !fits(stream, key);
    }
  }

  commit(group: Group): void {
    this.#transaction(() => {
      this.#fault('transaction-begun');
      readGroup(group, {
        stream: (ref, info, session) => this.#begin(ref, info, session),
        record: (ref, seq, payload, leaf) => this.#record(this.#streams.byRef(ref), seq, payload, leaf),
        leaf: (leaf) => this.#leaf(leaf),
      });
      for (const sum of group.meter) this.#meter.add(sum);
      for (const [ref, name] of group.fields) {
        this.#statements.addField.run(this.#streams.byRef(ref).id, this.#names.id(name));
      }
      for (const { key, reset, add } of group.budgets) {
        if (reset) this.#statements.forgetBudget.run(key);
        if (add > 0) this.#statements.budget.run(key, add);
      }
      for (const version of group.documents) this.#accept(version);
      this.#dropLost();
      this.#gaps(this.#outbox.evict(this.#settings.maxBytes));
      this.#streams.write();
      this.#fault('rows-written');
    });
    this.#fault('transaction-committed');
    this.#commits++;
  }

  #accept({ issuer, document, version, hash }: DocumentVersion): void {
    this.#statements.document.run(issuer, document, version, hash);
  }

  checkpoint(size: number, note: string): void {
    this.#transaction(() => this.#ledger.checkpoint(size, note));
    this.#fault('checkpoint-stored');
  }

  head(): { size: number; root: Uint8Array } {
    return { size: this.#ledger.size, root: new Uint8Array(this.#ledger.root()) };
  }

  proofs(size: number): ProofMaterial[] {
    const materials: ProofMaterial[] = [];
    const grown = new Map<string, ProofMaterial['consistency']>();
    for (const stream of this.#streams.all()) {
      if (stream.dropped || stream.publishedSeq >= stream.nextSeq - 1 || stream.firstLeaf >= size) continue;
      const { recipient } = stream;
      if (!grown.has(recipient)) grown.set(recipient, this.#grownSince(recipient, size));
      const material = this.#proofOf(stream, size, grown.get(recipient)!);
      if (material !== null) materials.push(material);
    }
    return materials;
  }

  /** The newest record that is there and whose proof needs no more evicted ones named than a message holds. */
  #proofOf(stream: StreamState, size: number, consistency: ProofMaterial['consistency']): ProofMaterial | null {
    const bound = this.#statements.bound.get(stream.id, MOST_EVICTED);
    const below = typeof bound === 'number' ? bound : Number.MAX_SAFE_INTEGER;
    const { id, firstLeaf, publishedSeq, pseudonym, topic, priority } = stream;
    const newest = this.#statements.newest.get(firstLeaf, Math.min(size, stream.lastLeaf + 1), id, below, publishedSeq);
    if (newest === undefined) return null;
    const [seq, leafIndex] = newest as Newest;
    const rows = this.#statements.untold.all(id, seq, MOST_EVICTED) as [number, Uint8Array][];
    const evicted = rows.map(([evictedSeq, bodyHash]) => ({ seq: evictedSeq, bodyHash }));
    const path = this.#ledger.path(leafIndex, size);
    const under = { recipient: stream.recipient, size, consistency };
    return { stream: stream.stream, pseudonym, topic, priority, seq, leafIndex, path, evicted, ...under };
  }

  #grownSince(recipient: string, size: number): ProofMaterial['consistency'] {
    const fromSize = this.#statements.publishedTo.get(recipient);
    if (typeof fromSize !== 'number' || fromSize >= size) return null;
    return { fromSize, nodes: this.#ledger.consistency(fromSize, size) };
  }

  /**
   * Queues a proof; one of this stream that nobody took yet is replaced, for this one says the same and more. Those of
   * an earlier boot and those with a link stay: the next link starts where they end.
   */
  proof(material: ProofMaterial, payload: Uint8Array, link: boolean): void {
    this.#transaction(() => {
      const stream = this.#streams.byName(material.stream);
      if (stream === null || stream.dropped) return;
      for (const id of this.#outbox.queuedProofs(stream)) {
        if (id >= this.#firstRow && !this.#links.has(id)) this.#outbox.remove(id);
      }
      const id = this.#outbox.insert(KIND_PROOF, stream, -1, null, payload);
      if (link) this.#links.add(id);
      this.#statements.publish.run(material.recipient, material.size);
      for (const { seq } of material.evicted) this.#statements.carry.run(id, stream.id, seq);
      stream.publishedSeq = Math.max(stream.publishedSeq, material.seq);
      this.#streams.touch(stream);
      this.#streams.write();
    });
    this.#fault('proof-stored');
  }

  take(limit: number, pseudonym: string | undefined): Taken {
    const rows: OutboxRow[] = [];
    const agreements: string[] = [];
    for (const { id, kind, stream, seq } of this.#outbox.take(limit, pseudonym)) {
      const wrapped = this.#outbox.payload(id);
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

  /** PUBACKs and acknowledgements that came in a short while, in one transaction: each costs flash a sync. */
  answers(pubacked: readonly number[], acks: readonly Ack[], nowMs: number): void {
    this.#transaction(() => {
      for (const proof of this.#outbox.pubacked(pubacked, nowMs)) {
        this.#statements.told.run(proof);
        this.#links.delete(proof);
      }
      for (const ack of acks) this.#ack(ack);
      this.#streams.write();
    });
    if (pubacked.length > 0) this.#fault('puback-stored');
    if (acks.length > 0) this.#fault('ack-stored');
  }

  #ack({ stream: name, uptoSeq, missing, state, signed }: Ack): void {
    const stream = this.#streams.byName(name);
    // Nobody can have what was not sealed: such an answer deletes nothing and proves nothing.
    if (stream === null || uptoSeq >= stream.nextSeq) return;
    const newest = this.#statements.ackedUpto.get(stream.id);
    const stale = typeof newest === 'number' && uptoSeq < newest;
    if (state === 'proven') stream.provenSeq = Math.max(stream.provenSeq, uptoSeq);
    else {
      // An old answer that comes again names holes that were filled since.
      const left = this.#outbox.acked(stream, uptoSeq, new Set(missing), !stale);
      stream.acked += left;
      this.#acked += left;
    }
    if (!stale) this.#statements.keepAck.run(stream.id, uptoSeq, state === 'proven' ? 2 : 1, signed);
    this.#sessionLeaves(stream);
    this.#streams.touch(stream);
  }

  /** A session goes again with its records; when they have all arrived, so has it. */
  #sessionLeaves(stream: StreamState): void {
    if (stream.outstanding === 0 && stream.sessionId > 0) this.#outbox.remove(stream.sessionId);
  }

  requeue(olderThanMs: number, nowMs: number): number {
    return this.#transaction(() => {
      const { count, streams } = this.#outbox.requeue(olderThanMs, nowMs);
      return count + streams.filter((stream) => this.#sessionBack(stream)).length;
    });
  }

  resend(pseudonym: string | undefined): number {
    return this.#transaction(() => {
      const streams = [...this.#streams.all()].filter((one) => pseudonym === undefined || one.pseudonym === pseudonym);
      const back = streams.filter((stream) => this.#sessionBack(stream)).length;
      return back + this.#outbox.resend(streams);
    });
  }

  /** The session of a stream that had been acknowledged whole, and goes on. */
  #sessionBack(stream: StreamState): boolean {
    if (stream.outstanding === 0 || stream.sessionId > 0 || stream.dropped) return false;
    const message = this.#statements.session.get(stream.id);
    if (!(message instanceof Uint8Array)) return false;
    this.#outbox.insert(KIND_SESSION, stream, -1, null, message);
    return true;
  }

  withdraw(agreement: string, leaf: Uint8Array | null): number {
    const before = this.#evicted;
    this.key(agreement, null);
    this.#transaction(() => {
      this.#streams.withdraw(agreement);
      if (leaf !== null) this.#leaf(leaf);
      this.#dropLost();
      this.#streams.write();
    });
    return this.#evicted - before;
  }

  stats(): Omit<DurableStats, 'fault'> {
    const { file } = this.#settings;
    return {
      queued: this.#outbox.queuedRows,
      inflight: this.#outbox.inflightRows,
      pubacked: this.#outbox.pubackedRows,
      acked: this.#acked,
      evicted: this.#evicted,
      bytes: this.#outbox.bytes,
      commits: this.#commits,
      head: this.head(),
      checkpointSize: this.#ledger.checkpointSize,
      fileBytes: sizeOf(file) + sizeOf(`${file}-wal`),
    };
  }

  get db(): Connection {
    return this.#db;
  }

  get queued(): number {
    return this.#outbox.queuedRows;
  }

  close(): void {
    this.#db.close();
    this.#lock.close();
    rmSync(`${this.#settings.file}-lock`, { force: true });
  }

  #begin(ref: number, info: StreamInfo, session: Uint8Array): void {
    const key = this.#keys.get(info.agreement) ?? null;
    const wrapped = key === null ? null : wrap(key, info.stream, SESSION_SEQ, session);
    const stream = this.#streams.begin(ref, info, wrapped, key, this.#ledger.size);
    stream.dropped = key === null;
    if (wrapped !== null) this.#outbox.insert(KIND_SESSION, stream, -1, null, wrapped);
  }

  #record(stream: StreamState, seq: number, payload: Uint8Array, leaf: Uint8Array): void {
    if (seq !== stream.nextSeq) {
      throw new TollgateError('TG_STORE_SEQUENCE', `record ${seq} came, ${stream.nextSeq} is the next of its stream`);
    }
    const { boottimeMs, utcMs, bodyHash, record } = readLeaf(leaf);
    const index = this.#ledger.append(leaf);
    this.#statements.record.run(index, stream.id, seq, boottimeMs, utcMs);
    if (stream.nextSeq === 0) stream.firstLeaf = index;
    stream.lastLeaf = index;
    stream.nextSeq = seq + 1;
    stream.chain = record === null ? null : record.chain.slice();
    this.#time = { boottimeMs, utcMs };
    this.#streams.touch(stream);
    const key = stream.dropped ? null : this.#keys.get(stream.agreement);
    if (key === null || key === undefined) {
      this.#statements.evict.run(stream.id, seq, bodyHash);
      this.#lost.push({ stream, seq });
      return;
    }
    this.#outbox.insert(KIND_RECORD, stream, seq, index, wrap(key, stream.stream, seq, payload));
  }

  /** Records that came after their key was gone: leaves without a row. */
  #lost: { stream: StreamState; seq: number }[] = [];

  #leaf(leaf: Uint8Array): void {
    const { boottimeMs, utcMs } = readLeaf(leaf);
    this.#time = { boottimeMs, utcMs };
    this.#ledger.append(leaf);
  }

  /** Within a transaction: rows whose key is gone, and rows that do not open, leave as evicted. */
  #dropLost(): void {
    for (const stream of this.#streams.all()) {
      if (stream.dropped && (stream.outstanding > 0 || stream.sessionId > 0)) this.#gaps(this.#outbox.dropAll(stream));
    }
    for (const { stream } of this.#lost) {
      stream.evicted++;
      this.#evicted++;
    }
    this.#gapLeaves(this.#lost);
    this.#lost = [];
    if (this.#unreadable.size === 0) return;
    this.#gaps(this.#outbox.dropRows([...this.#unreadable]));
    this.#unreadable.clear();
  }

  /** Within a transaction: remembers what was evicted for the next proof, and says so in one leaf a stream. */
  #gaps(removed: readonly Removed[]): void {
    for (const { stream, seq, leaf } of removed) {
      this.#statements.evict.run(stream.id, seq, readLeaf(this.#ledger.leaf(leaf)).bodyHash);
      this.#evicted++;
    }
    this.#gapLeaves(removed);
  }

  #gapLeaves(removed: readonly { readonly stream: StreamState; readonly seq: number }[]): void {
    const byStream = new Map<StreamState, number[]>();
    for (const { stream, seq } of removed) {
      const seqs = byStream.get(stream);
      if (seqs === undefined) byStream.set(stream, [seq]);
      else seqs.push(seq);
    }
    for (const [stream, seqs] of byStream) {
      seqs.sort((a, b) => a - b);
      const time = { bootId: this.#settings.bootId, ...this.#time };
      for (let at = 0; at < seqs.length; at += MOST_IN_LEAF) {
        this.#ledger.append(gapLeaf(time, stream.stream, seqs.slice(at, at + MOST_IN_LEAF)));
      }
    }
  }

  #unwrap(stream: StreamState, seq: number, wrapped: Uint8Array): Uint8Array | null {
    const key = this.#keys.get(stream.agreement);
    return key === null || key === undefined ? null : unwrap(key, stream.stream, seq, wrapped);
  }

  #load(): void {
    this.#streams.load();
    this.#outbox.load();
    const [acked, evicted] = this.#statements.totals.get() as [number | null, number | null];
    this.#acked = acked ?? 0;
    this.#evicted = evicted ?? 0;
    this.#lost = [];
  }

  /** HPKE contexts end with their process: no stream of an earlier boot goes on. */
  #endEarlierBoots(): void {
    const open = [...this.#streams.all()].filter(({ ended }) => !ended);
    const bare = [...this.#streams.all()].filter(({ outstanding, sessionId }) => outstanding === 0 && sessionId > 0);
    if (open.length + bare.length === 0) return;
    try {
      this.#transaction(() => {
        for (const stream of open) this.#streams.end(stream);
        for (const stream of bare) this.#sessionLeaves(stream);
        this.#streams.write();
      });
    } catch (error) {
      // A full disk does not keep what waits from being sent; the next start does this again.
      if (codeOf(error) !== 'TG_STORE_FULL') throw error;
    }
  }

  #transaction<T>(work: () => T): T {
    try {
      return this.#attempt(work);
    } catch (error) {
      if (codeOf(error) !== 'TG_STORE_FULL') throw error;
      // What the WAL holds may fit into the database: then its room, which nobody else can take, is free again.
      try {
        this.#db.exec('PRAGMA wal_checkpoint(RESTART)');
      } catch {
        throw error;
      }
      return this.#attempt(work);
    }
  }

  #attempt<T>(work: () => T): T {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      this.#streams.settle();
      return result;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      const known = translate(error, this.#settings.file);
      if (codeOf(known) !== 'TG_STORE_CORRUPT') this.#reload();
      throw known;
    }
  }

  /** Memory as the tables are, after a transaction that did not happen. */
  #reload(): void {
    this.#names.reload();
    this.#meter.reload();
    this.#ledger.reload();
    this.#load();
  }

  #fault(state: ProtocolState): void {
    const count = (this.#reached.get(state) ?? 0) + 1;
    this.#reached.set(state, count);
    const { faultAt } = this.#settings;
    if (faultAt?.state === state && faultAt.occurrence === count) process.kill(process.pid, 'SIGKILL');
  }
}

function codeOf(error: unknown): ErrorCode | null {
  return error instanceof TollgateError ? error.code : null;
}

function fits(stream: StreamState, key: SpoolKey | null): boolean {
  return key !== null && stream.keyCheck !== null && Buffer.compare(key.check, stream.keyCheck) === 0;
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function prepare(db: Connection) {
  const raw = (sql: string) => db.prepare(sql).raw();
  const pluck = (sql: string) => db.prepare(sql).pluck();
  return {
    record: db.prepare('INSERT INTO record VALUES (?, ?, ?, ?, ?)'),
    addField: db.prepare('INSERT OR IGNORE INTO stream_field VALUES (?, ?)'),
    evict: db.prepare('INSERT INTO evicted (stream, seq, body_hash) VALUES (?, ?, ?)'),
    bound: pluck('SELECT seq FROM evicted WHERE stream = ? AND told = 0 ORDER BY seq LIMIT 1 OFFSET ?'),
    newest: raw(
      `SELECT seq, leaf FROM record r WHERE leaf >= ? AND leaf < ? AND stream = ? AND seq < ? AND seq > ?
       AND NOT EXISTS (SELECT 1 FROM evicted e WHERE e.stream = r.stream AND e.seq = r.seq) ORDER BY leaf DESC LIMIT 1`,
    ),
    publishedTo: pluck('SELECT size FROM published WHERE recipient = ?'),
    publish: db.prepare(
      'INSERT INTO published VALUES (?, ?) ON CONFLICT (recipient) DO UPDATE SET size = max(size, excluded.size)',
    ),
    untold: raw('SELECT seq, body_hash FROM evicted WHERE stream = ? AND told = 0 AND seq <= ? ORDER BY seq LIMIT ?'),
    carry: db.prepare('UPDATE evicted SET proof = ? WHERE stream = ? AND seq = ?'),
    told: db.prepare('UPDATE evicted SET told = 1 WHERE proof = ?'),
    ackedUpto: pluck('SELECT upto FROM ack WHERE stream = ?'),
    keepAck: db.prepare('INSERT OR REPLACE INTO ack VALUES (?, ?, ?, ?)'),
    budget: db.prepare(
      'INSERT INTO budget VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value',
    ),
    forgetBudget: db.prepare('DELETE FROM budget WHERE key = ?'),
    document: db.prepare(
      `INSERT INTO document VALUES (?, ?, ?, ?) ON CONFLICT (issuer, document)
       DO UPDATE SET version = excluded.version, hash = excluded.hash WHERE excluded.version > version`,
    ),
    session: pluck('SELECT message FROM session WHERE stream = ?'),
    totals: raw('SELECT sum(acked), sum(evicted) FROM progress'),
  };
}
