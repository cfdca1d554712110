import type { Connection } from './database.ts';
import type { StreamInfo } from './group.ts';
import type { SpoolKey } from './spool.ts';

/** What the writer knows of a stream that still has something to do. */
export interface StreamState {
  readonly id: number;
  readonly stream: Uint8Array;
  readonly pseudonym: string;
  readonly agreement: string;
  readonly recipient: string;
  readonly campaign: string;
  readonly priority: number;
  readonly topic: string;
  /** null: none. */
  readonly ttlMs: number | null;
  /** First bytes of a hash of the spool key that its rows are wrapped under; null where there was none. */
  keyCheck: Uint8Array | null;
  nextSeq: number;
  firstLeaf: number;
  lastLeaf: number;
  /** The leaf itself; null where it is to be read. */
  lastBytes: Uint8Array | null;
  publishedSeq: number;
  provenSeq: number;
  acked: number;
  evicted: number;
  /** No record follows: a later stream took its place, or its boot is over. */
  ended: boolean;
  /** Records in the outbox, and the ids between which they lie. */
  outstanding: number;
  lowId: number;
  lastId: number;
  /** Row of its session in the outbox, 0 where there is none. */
  sessionId: number;
  /** Its key is gone: rows are dropped with the next commit, never sent. */
  dropped: boolean;
}

type Row = [
  number, Uint8Array, string, string, string, string, number, string, number | null, Uint8Array | null, number,
  number, number, number, number, number, number, number,
]; // biome-ignore format: one column a field would be a page

const COLUMNS = `s.id, s.stream, s.pseudonym, s.agreement, s.recipient, s.campaign, s.priority, s.topic, s.ttl, s.key_check, s.ended,
  p.next_seq, p.first_leaf, p.last_leaf, p.published_seq, p.proven_seq, p.acked, p.evicted`;

/** Streams with rows, with records that no published proof covers, or open; others are only in the tables. */
export class Streams {
  readonly #byId = new Map<number, StreamState>();
  readonly #byKey = new Map<string, StreamState>();
  /** Numbers that this process gave to the streams that it began. */
  readonly #byRef = new Map<number, number>();
  readonly #touched = new Set<StreamState>();
  readonly #busy;
  readonly #find;
  readonly #findId;
  readonly #insert;
  readonly #insertProgress;
  readonly #insertSession;
  readonly #end;
  readonly #withdraw;
  readonly #old;
  readonly #keepTotals;
  readonly #forget;
  readonly #update;

  constructor(db: Connection) {
    const from = `SELECT ${COLUMNS} FROM stream s JOIN progress p ON p.stream = s.id`;
    this.#busy = db.prepare(`${from} WHERE s.ended = 0 OR p.published_seq < p.next_seq - 1 ORDER BY s.id`).raw();
    this.#find = db.prepare(`${from} WHERE s.stream = ?`).raw();
    this.#findId = db.prepare(`${from} WHERE s.id = ?`).raw();
    this.#insert = db.prepare(
      `INSERT INTO stream (stream, pseudonym, recipient, purpose, agreement, campaign, priority, topic, ttl, key_check)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertProgress = db.prepare(
      'INSERT INTO progress (stream, next_seq, first_leaf, last_leaf) VALUES (?, 0, ?, ?)',
    );
    this.#insertSession = db.prepare('INSERT INTO session VALUES (?, ?)');
    this.#end = db.prepare('UPDATE stream SET ended = 1 WHERE id = ?');
    this.#withdraw = db.prepare('UPDATE stream SET ended = 1, key_check = NULL WHERE agreement = ?');
    this.#old = db
      .prepare(
        `SELECT s.id, p.acked, p.evicted FROM stream s JOIN progress p ON p.stream = s.id WHERE s.ended = 1 AND p.last_leaf < ?
         AND p.published_seq >= p.next_seq - 1 ORDER BY s.id LIMIT 1000`,
      )
      .raw();
    this.#keepTotals = db.prepare('UPDATE state SET acked = acked + ?, evicted = evicted + ?');
    const tables = ['session', 'stream_field', 'ack', 'evicted', 'progress'];
    this.#forget = [...tables.map((table) => `${table} WHERE stream`), 'stream WHERE id'].map((where) =>
      db.prepare(`DELETE FROM ${where} = ?`),
    );
    this.#update = db.prepare(
      `UPDATE progress SET next_seq = ?, first_leaf = ?, last_leaf = ?, published_seq = ?, proven_seq = ?,
       acked = ?, evicted = ? WHERE stream = ?`,
    );
  }

  load(): void {
    const dropped = new Set([...this.#byId.values()].filter((stream) => stream.dropped).map(({ id }) => id));
    this.#byId.clear();
    this.#byKey.clear();
    this.#touched.clear();
    for (const row of this.#busy.all() as Row[]) {
      const state = stateOf(row);
      state.dropped ||= dropped.has(state.id);
      this.#keep(state);
    }
  }

  all(): IterableIterator<StreamState> {
    return this.#byId.values();
  }

  /** A stream that has something to do, by its 8 bytes as latin1. */
  byKey(key: string): StreamState | undefined {
    return this.#byKey.get(key);
  }

  /** A stream that has something to do. */
  known(id: number): StreamState | undefined {
    return this.#byId.get(id);
  }

  /** A stream that rows name. One that has ended is forgotten while its last proof still waits: it is read again. */
  byId(id: number): StreamState {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const row = this.#findId.get(id) as Row | undefined;
    // `State.load` names the file.
    if (row === undefined) throw new RangeError(`a row names stream ${id}, which is not there`);
    const state = stateOf(row);
    this.#keep(state);
    this.#touched.add(state);
    return state;
  }

  /** A stream that this process began; one that ended, was told of to its last record, and gets one more, is read again. */
  byRef(ref: number): StreamState {
    return this.byId(this.#byRef.get(ref)!);
  }

  /** A stream by its name, also one that has nothing to do any more. */
  byName(stream: Uint8Array): StreamState | null {
    const known = this.#byKey.get(keyOf(stream));
    if (known !== undefined) return known;
    const row = this.#find.get(stream) as Row | undefined;
    if (row === undefined) return null;
    const state = stateOf(row);
    this.#keep(state);
    return state;
  }

  /** Within a transaction. A stream of the same recipient, agreement and campaign ends with this. */
  begin(ref: number, info: StreamInfo, session: Uint8Array | null, key: SpoolKey | null, size: number): StreamState {
    const { stream, pseudonym, recipient, purpose, agreement, campaign, priority, topic } = info;
    for (const other of this.#byId.values()) {
      const same = other.recipient === recipient && other.agreement === agreement && other.campaign === campaign;
      if (same && !other.ended) this.end(other);
    }
    const check = key?.check ?? null;
    const ttlMs = info.ttlMs ?? null;
    const inserted = this.#insert.run(
      stream,
      pseudonym,
      recipient,
      purpose,
      agreement,
      campaign,
      priority,
      topic,
      ttlMs,
      check,
    );
    const id = Number(inserted.lastInsertRowid);
    this.#insertProgress.run(id, size, size - 1);
    if (session !== null) this.#insertSession.run(id, session);
    const columns = [id, stream, pseudonym, agreement, recipient, campaign, priority, topic, ttlMs, check, 0] as const;
    const state = stateOf([...columns, 0, size, size - 1, -1, -1, 0, 0]);
    this.#keep(state);
    this.#byRef.set(ref, id);
    return state;
  }

  end(state: StreamState): void {
    this.#end.run(state.id);
    state.ended = true;
    this.#touched.add(state);
  }

  /** Within a transaction: no key fits the streams of this agreement any more, not even the one they had. */
  withdraw(agreement: string): void {
    this.#withdraw.run(agreement);
    for (const state of this.#byId.values()) {
      if (state.agreement !== agreement) continue;
      Object.assign(state, { ended: true, keyCheck: null, dropped: true });
      this.#touched.add(state);
    }
  }

  /** Within a transaction, after a fold: forgets ended streams whose leaves are all below and that wait for nothing. */
  prune(below: number): void {
    for (const [id, acked, evicted] of this.#old.all(below) as [number, number, number][]) {
      if (this.#byId.has(id)) continue;
      this.#keepTotals.run(acked, evicted);
      for (const statement of this.#forget) statement.run(id);
    }
  }

  touch(state: StreamState): void {
    this.#touched.add(state);
  }

  /** Within a transaction: writes what changed. */
  fold(): void {
    for (const state of this.#touched) {
      const { nextSeq, firstLeaf, lastLeaf, publishedSeq, provenSeq, acked, evicted, id } = state;
      this.#update.run(nextSeq, firstLeaf, lastLeaf, publishedSeq, provenSeq, acked, evicted, id);
    }
  }

  /** After a fold: forgets streams that have nothing more to do. */
  settle(): void {
    for (const state of this.#touched) {
      const busy =
        !state.ended || state.outstanding > 0 || state.sessionId > 0 || state.publishedSeq < state.nextSeq - 1;
      if (busy) continue;
      this.#byId.delete(state.id);
      this.#byKey.delete(keyOf(state.stream));
    }
    this.#touched.clear();
  }

  #keep(state: StreamState): void {
    this.#byId.set(state.id, state);
    this.#byKey.set(keyOf(state.stream), state);
  }
}

const keyOf = (stream: Uint8Array) => Buffer.from(stream.buffer, stream.byteOffset, stream.length).toString('latin1');

function stateOf(row: Row): StreamState {
  const [id, stream, pseudonym, agreement, recipient, campaign, priority, topic, ttlMs, check, ended, ...progress] =
    row;
  const [nextSeq, firstLeaf, lastLeaf, publishedSeq, provenSeq, acked, evicted] = progress;
  const fixed = { id, stream, pseudonym, agreement, recipient, campaign, priority, topic, ttlMs, keyCheck: check };
  const moving = { nextSeq, firstLeaf, lastLeaf, publishedSeq, provenSeq, acked, evicted, ended: ended === 1 };
  return {
    ...fixed,
    ...moving,
    lastBytes: null,
    outstanding: 0,
    lowId: 0,
    lastId: 0,
    sessionId: 0,
    dropped: check === null,
  };
}

/** Whether the rows of a stream are wrapped under this key. */
export function fits(stream: StreamState, key: SpoolKey | null): boolean {
  return key !== null && stream.keyCheck !== null && Buffer.compare(key.check, stream.keyCheck) === 0;
}
