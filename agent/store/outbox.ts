import type { Connection } from './database.ts';
import type { StreamState, Streams } from './streams.ts';
import { KIND_PROOF, KIND_RECORD, KIND_SESSION, STATE_PUBACKED, STATE_QUEUED } from './tables.ts';

/** Priorities go from 0 to 7; of each, records go before proofs, and sessions before everything. */
const PRIORITIES = 8;
const RANK_SESSION = 2 * PRIORITIES;
/** A lane is a pseudonym and a rank: `line · 32 + rank`. */
const RANKS = 32;

const rankOf = (kind: number, priority: number) =>
  kind === KIND_SESSION ? RANK_SESSION : 2 * priority + (kind === KIND_RECORD ? 1 : 0);

/** Rows of one pseudonym and rank. */
interface Lane {
  readonly line: number;
  readonly rank: number;
  /** No row below this id is queued. */
  cursor: number;
  /** No record below this id is there at all. */
  low: number;
  queued: number;
}

/** A row as it is chosen, without its payload. */
export interface Chosen {
  readonly id: number;
  readonly kind: number;
  readonly stream: StreamState;
  readonly seq: number;
}

export interface Removed {
  readonly stream: StreamState;
  readonly seq: number;
  readonly leaf: number;
}

type Picked = [id: number, kind: number, stream: number, seq: number];
type Victim = [id: number, stream: number, seq: number, leaf: number, size: number, state: number, lane: number];

/**
 * Rows that wait for broker and receiver. A row that is inflight is marked in memory only: a process that dies has no
 * row inflight. Cursors replace an index: they only move on, so each row is looked at once, and a commit writes a page
 * less.
 */
export class Outbox {
  readonly #streams: Streams;
  readonly #statements;
  readonly #lanes = new Map<number, Lane>();
  readonly #inflight = new Map<number, number>();
  /** Pseudonyms by their number; the newest last. */
  #lines: string[] = [];
  #nextId = 1;
  pubackedRows = 0;
  /** Bytes of records, wrapped. */
  bytes = 0;

  constructor(db: Connection, streams: Streams) {
    this.#streams = streams;
    const raw = (sql: string) => db.prepare(sql).raw();
    this.#statements = {
      insert: db.prepare('INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)'),
      insertPayload: db.prepare('INSERT INTO payload VALUES (?, ?)'),
      queued: raw('SELECT id, kind, stream, seq FROM outbox WHERE id >= ? AND lane = ? AND state = 0 ORDER BY id'),
      one: raw('SELECT id, stream, seq, leaf, size, state, lane, kind FROM outbox WHERE id = ?'),
      ofStream: raw(
        `SELECT id, stream, seq, leaf, size, state, lane FROM outbox
         WHERE id >= ? AND id <= ? AND stream = ? AND kind = ${KIND_RECORD} ORDER BY id`,
      ),
      ofRank: raw(
        `SELECT id, stream, seq, leaf, size, state, lane FROM outbox
         WHERE id >= ? AND lane % ${RANKS} = ? AND kind = ${KIND_RECORD} ORDER BY id`,
      ),
      late: raw(`SELECT id, stream, lane, kind FROM outbox WHERE state = ${STATE_PUBACKED} AND (at <= ? OR at > ?)`),
      state: db.prepare('UPDATE outbox SET state = ?, at = ? WHERE id = ?'),
      remove: db.prepare('DELETE FROM outbox WHERE id = ?'),
      removePayload: db.prepare('DELETE FROM payload WHERE id = ?'),
      payload: db.prepare('SELECT payload FROM payload WHERE id = ?').pluck(),
      proofsOf: raw(`SELECT id FROM outbox WHERE stream = ? AND kind = ${KIND_PROOF}`),
      lines: db.prepare('SELECT pseudonym FROM line ORDER BY id').pluck(),
      insertLine: db.prepare('INSERT INTO line VALUES (?, ?)'),
      lanes: raw('SELECT lane, state, min(id), count(*) FROM outbox GROUP BY lane, state'),
      rows: raw(
        `SELECT stream, kind, min(id), max(id), count(*), sum(size) FROM outbox WHERE kind <> ${KIND_PROOF}
         GROUP BY stream, kind`,
      ),
      lastId: db.prepare('SELECT max(id) FROM outbox').pluck(),
    };
  }

  /** Counts what is in the tables; the streams must be there. */
  load(): void {
    const statements = this.#statements;
    this.#lanes.clear();
    this.#lines = statements.lines.all() as string[];
    this.#nextId = Math.max(this.#nextId, ((statements.lastId.get() as number | null) ?? 0) + 1);
    this.pubackedRows = 0;
    this.bytes = 0;
    for (const [number, state, first, count] of statements.lanes.all() as [number, number, number, number][]) {
      const lane = this.#lane(number);
      lane.low = Math.min(lane.low, first);
      if (state === STATE_PUBACKED) this.pubackedRows += count;
      else {
        lane.cursor = first;
        lane.queued = count;
      }
    }
    for (const row of statements.rows.all() as [number, number, number, number, number, number][]) {
      const [streamId, kind, first, last, count, size] = row;
      const stream = this.#streams.byId(streamId);
      if (kind === KIND_SESSION) stream.sessionId = first;
      else {
        Object.assign(stream, { lowId: first, lastId: last, outstanding: count });
        this.bytes += size;
      }
    }
    for (const [id, number] of this.#inflight) {
      const row = statements.one.get(id) as Victim | undefined;
      if (row === undefined) this.#inflight.delete(id);
      else if (row[5] === STATE_QUEUED) this.#lane(number).queued--;
      else this.#inflight.delete(id);
    }
  }

  get queuedRows(): number {
    let sum = 0;
    for (const { queued } of this.#lanes.values()) sum += queued;
    return sum;
  }

  get inflightRows(): number {
    return this.#inflight.size;
  }

  /** Within a transaction. */
  insert(kind: number, stream: StreamState, seq: number, leaf: number | null, payload: Uint8Array): number {
    const id = this.#nextId++;
    const number = this.#line(stream.pseudonym) * RANKS + rankOf(kind, stream.priority);
    this.#statements.insert.run(id, number, kind, stream.id, seq, leaf, payload.length);
    this.#statements.insertPayload.run(id, payload);
    const lane = this.#lane(number);
    if (lane.queued++ === 0) lane.cursor = id;
    lane.low = Math.min(lane.low, id);
    if (kind === KIND_SESSION) stream.sessionId = id;
    if (kind === KIND_RECORD) {
      this.bytes += payload.length;
      if (stream.outstanding++ === 0) stream.lowId = id;
      stream.lastId = id;
    }
    return id;
  }

  /** Number of the row that is inserted next. */
  get nextRow(): number {
    return this.#nextId;
  }

  payload(id: number): Uint8Array {
    return this.#statements.payload.get(id) as Uint8Array;
  }

  /** Queued rows in sending order; marks them inflight. */
  take(limit: number, pseudonym: string | undefined): Chosen[] {
    const lines = this.#sendingLines(pseudonym);
    const chosen: Chosen[] = [];
    for (let rank = RANK_SESSION; rank >= 0 && chosen.length < limit; rank--) {
      const picked: [number, Picked][] = [];
      for (const line of lines) {
        const number = line * RANKS + rank;
        for (const row of this.#pick(number, limit - chosen.length)) picked.push([number, row]);
      }
      picked.sort((a, b) => a[1][0] - b[1][0]);
      for (const [number, [id, kind, streamId, seq]] of picked.slice(0, limit - chosen.length)) {
        const lane = this.#lane(number);
        lane.queued--;
        lane.cursor = id + 1;
        this.#inflight.set(id, number);
        chosen.push({ id, kind, stream: this.#streams.byId(streamId), seq });
      }
    }
    return chosen;
  }

  #pick(number: number, limit: number): Picked[] {
    const lane = this.#lanes.get(number);
    const rows: Picked[] = [];
    if (lane === undefined || lane.queued === 0) return rows;
    let seen = 0;
    for (const row of this.#statements.queued.iterate(lane.cursor, number) as Iterable<Picked>) {
      if (this.#inflight.has(row[0])) continue;
      if (!this.#streams.byId(row[2]).dropped) rows.push(row);
      if (++seen === lane.queued || rows.length === limit) break;
    }
    return rows;
  }

  /** The pseudonym asked for, or the newest and the oldest that has queued rows. */
  #sendingLines(pseudonym: string | undefined): number[] {
    if (pseudonym !== undefined) return [this.#lines.indexOf(pseudonym)];
    let oldest = this.#lines.length - 1;
    for (const { line, queued } of this.#lanes.values()) if (queued > 0) oldest = Math.min(oldest, line);
    return oldest === this.#lines.length - 1 ? [oldest] : [oldest, this.#lines.length - 1];
  }

  /** Within a transaction. Unknown ids are those of rows acknowledged meanwhile. Returns the proofs among them. */
  pubacked(ids: readonly number[], nowMs: number): number[] {
    const proofs: number[] = [];
    for (const id of ids) {
      const row = this.#statements.one.get(id) as [...Victim, number] | undefined;
      if (row === undefined || row[5] === STATE_PUBACKED) continue;
      if (row[7] === KIND_PROOF) {
        proofs.push(id);
        this.remove(id);
        continue;
      }
      if (!this.#inflight.delete(id)) this.#lane(row[6]).queued--;
      this.#statements.state.run(STATE_PUBACKED, nowMs, id);
      this.pubackedRows++;
    }
    return proofs;
  }

  /** Within a transaction: deletes a row, whatever its state. */
  remove(id: number): void {
    const row = this.#statements.one.get(id) as [...Victim, number] | undefined;
    if (row === undefined) return;
    const [, streamId, , , size, state, lane, kind] = row;
    this.#forget(id, lane, state);
    if (kind === KIND_RECORD) this.#shrink(this.#streams.byId(streamId), size);
    if (kind === KIND_SESSION) this.#streams.byId(streamId).sessionId = 0;
  }

  #forget(id: number, lane: number, state: number): void {
    this.#statements.remove.run(id);
    this.#statements.removePayload.run(id);
    if (state === STATE_PUBACKED) this.pubackedRows--;
    else if (!this.#inflight.delete(id)) this.#lane(lane).queued--;
  }

  #shrink(stream: StreamState, size: number): void {
    stream.outstanding--;
    this.bytes -= size;
    this.#streams.touch(stream);
  }

  /** Within a transaction: records of a stream up to `upto` leave, those of `missing` go again. Returns how many left. */
  acked(stream: StreamState, upto: number, missing: ReadonlySet<number>, resend: boolean): number {
    let left = 0;
    let low = 0;
    const rows = this.#statements.ofStream.iterate(stream.lowId, stream.lastId, stream.id) as Iterable<Victim>;
    const found: Victim[] = [];
    for (const row of rows) {
      if (row[2] > upto) {
        low ||= row[0];
        break;
      }
      if (missing.has(row[2])) low ||= row[0];
      found.push(row);
    }
    for (const [id, , seq, , size, state, lane] of found) {
      if (!missing.has(seq)) {
        this.#forget(id, lane, state);
        this.#shrink(stream, size);
        left++;
      } else if (state === STATE_PUBACKED && resend) this.#requeue(id, lane);
    }
    stream.lowId = low === 0 ? stream.lastId + 1 : low;
    return left;
  }

  /**
   * Within a transaction: inflight rows, and pubacked ones that no ack took for so long, are queued again.
   *
   * @returns how many, and the streams whose records are among the pubacked ones
   */
  requeue(olderThanMs: number, nowMs: number): { count: number; streams: StreamState[] } {
    let count = this.#inflight.size;
    for (const [id, number] of this.#inflight) this.#back(this.#lane(number), id);
    this.#inflight.clear();
    if (this.pubackedRows === 0) return { count, streams: [] };
    const late = this.#statements.late.all(nowMs - olderThanMs, nowMs) as [number, number, number, number][];
    // A session is needed only by records that go again.
    const again = new Set(late.filter(([, , , kind]) => kind === KIND_RECORD).map(([, stream]) => stream));
    for (const [id, stream, lane, kind] of late) {
      if (kind === KIND_SESSION && !again.has(stream)) continue;
      this.#requeue(id, lane);
      count++;
    }
    return { count, streams: [...again].map((stream) => this.#streams.byId(stream)) };
  }

  /** Within a transaction: the sessions of streams with records on the way are queued. */
  resend(streams: Iterable<StreamState>): number {
    let count = 0;
    for (const { sessionId, outstanding } of streams) {
      if (sessionId === 0 || outstanding === 0) continue;
      const row = this.#statements.one.get(sessionId) as Victim;
      if (row[5] !== STATE_PUBACKED) continue;
      this.#requeue(sessionId, row[6]);
      count++;
    }
    return count;
  }

  #requeue(id: number, number: number): void {
    this.#statements.state.run(STATE_QUEUED, 0, id);
    this.pubackedRows--;
    this.#back(this.#lane(number), id);
  }

  #back(lane: Lane, id: number): void {
    lane.cursor = Math.min(lane.cursor, id);
    lane.queued++;
  }

  /** Within a transaction: whole records leave, lowest priority and then oldest first, until `maxBytes` hold. */
  evict(maxBytes: number): Removed[] {
    const removed: Removed[] = [];
    for (let priority = 0; priority < PRIORITIES && this.bytes > maxBytes; priority++) {
      const rank = rankOf(KIND_RECORD, priority);
      const lanes = [...this.#lanes.values()].filter((lane) => lane.rank === rank);
      const low = Math.min(...lanes.map((lane) => lane.low));
      if (low === Number.POSITIVE_INFINITY) continue;
      const victims: Victim[] = [];
      let bytes = this.bytes;
      let kept = 0;
      for (const row of this.#statements.ofRank.iterate(low, rank) as Iterable<Victim>) {
        if (bytes <= maxBytes) break;
        // What is on its way may arrive: it is acknowledged or comes back.
        if (this.#inflight.has(row[0])) {
          kept ||= row[0];
          continue;
        }
        bytes -= row[4];
        victims.push(row);
      }
      for (const victim of victims) removed.push(this.#drop(victim));
      const next = kept || (victims.at(-1)?.[0] ?? low - 1) + 1;
      for (const lane of lanes) lane.low = Math.max(lane.low, next);
    }
    return removed;
  }

  /** Within a transaction: all records of a stream, its session and its proofs leave. */
  dropAll(stream: StreamState): Removed[] {
    const rows = this.#statements.ofStream.all(stream.lowId, stream.lastId, stream.id) as Victim[];
    const removed = stream.outstanding === 0 ? [] : rows.map((row) => this.#drop(row));
    if (stream.sessionId > 0) this.remove(stream.sessionId);
    for (const [id] of this.#statements.proofsOf.all(stream.id) as [number][]) this.remove(id);
    return removed;
  }

  /** Within a transaction: single rows leave; of a session nothing is reported. */
  dropRows(ids: readonly number[]): Removed[] {
    const removed: Removed[] = [];
    for (const id of ids) {
      const row = this.#statements.one.get(id) as [...Victim, number] | undefined;
      if (row === undefined) continue;
      const [rowId, stream, seq, leaf, size, state, lane, kind] = row;
      if (kind === KIND_RECORD) removed.push(this.#drop([rowId, stream, seq, leaf, size, state, lane]));
      else this.remove(id);
    }
    return removed;
  }

  #drop([id, streamId, seq, leaf, size, state, lane]: Victim): Removed {
    const stream = this.#streams.byId(streamId);
    this.#forget(id, lane, state);
    this.#shrink(stream, size);
    stream.evicted++;
    return { stream, seq, leaf };
  }

  /** Proofs of a stream that nobody took yet: a newer one says all that they do. */
  queuedProofs(stream: StreamState): number[] {
    const rows = this.#statements.proofsOf.all(stream.id) as [number][];
    return rows.map(([id]) => id).filter((id) => !this.#inflight.has(id));
  }

  #line(pseudonym: string): number {
    const known = this.#lines.indexOf(pseudonym);
    if (known >= 0) return known;
    this.#statements.insertLine.run(this.#lines.length, pseudonym);
    return this.#lines.push(pseudonym) - 1;
  }

  #lane(number: number): Lane {
    let lane = this.#lanes.get(number);
    if (lane === undefined) {
      const nowhere = Number.POSITIVE_INFINITY;
      lane = { line: Math.floor(number / RANKS), rank: number % RANKS, cursor: nowhere, low: nowhere, queued: 0 };
      this.#lanes.set(number, lane);
    }
    return lane;
  }
}
