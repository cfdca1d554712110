import { release } from './bytes.ts';
import type { Connection } from './database.ts';
import { kindOf, PRIORITIES, RANK_SESSION, RANKS, rankOf } from './ranks.ts';
import { packRows, Rows, Segment, unpackRows } from './segment.ts';
import { Segments } from './segments.ts';
import type { StreamState, Streams } from './streams.ts';
import { KIND_PROOF, KIND_RECORD, KIND_SESSION, STATE_GONE, STATE_PUBACKED, STATE_QUEUED } from './tables.ts';

/** A segment in the table is written again, shorter, when less than a quarter of so many bytes lives. */
const SPARSE_BYTES = 16 * 1024;
const SPARSE_SHARE = 4;

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

/** A row as it is chosen. */
export interface Chosen {
  readonly id: number;
  readonly kind: number;
  readonly stream: StreamState;
  readonly seq: number;
  /** Its own copy. */
  readonly payload: Uint8Array;
}

export interface Removed {
  readonly stream: StreamState;
  readonly seq: number;
  readonly leaf: number;
}

const GONE = new Uint8Array(0);

/**
 * Rows that wait for broker and receiver. In memory are runs of rows (`Segment`) with counts, and the rows of those in
 * which something happens; a million rows wait in the file. What changes is written by the next fold: what a power cut
 * takes back is sent again. A row that is inflight is marked in memory only: a process that dies has no row inflight.
 */
export class Outbox {
  readonly #streams: Streams;
  readonly #statements;
  readonly #lanes = new Map<number, Lane>();
  readonly #inflight = new Map<number, number>();
  /** Bytes of records by recipient, and below which row none of a rank and recipient is left. */
  readonly #recipients = new Map<string, number>();
  readonly #lows = new Map<string, number>();
  readonly #proofs = new Map<number, Set<number>>();
  readonly #segments: Segments;
  #dead: number[] = [];
  /** Pseudonyms by their number; the newest last. */
  #lines: string[] = [];
  nextId = 1;
  pubackedRows = 0;
  /** Bytes of records, wrapped. */
  bytes = 0;
  /** Rows that changed since the last fold. */
  changes = 0;

  constructor(db: Connection, streams: Streams) {
    this.#streams = streams;
    this.#segments = new Segments(db);
    const raw = (sql: string) => db.prepare(sql).raw();
    this.#statements = {
      all: raw(
        'SELECT s.first, s.rows, t.state FROM segment s LEFT JOIN segment_state t ON t.first = s.first ORDER BY s.first',
      ),
      write: db.prepare('INSERT OR REPLACE INTO segment VALUES (?, ?, ?)'),
      writeState: db.prepare('INSERT OR REPLACE INTO segment_state VALUES (?, ?)'),
      remove: db.prepare('DELETE FROM segment WHERE first = ?'),
      removeState: db.prepare('DELETE FROM segment_state WHERE first = ?'),
      lines: db.prepare('SELECT pseudonym FROM line ORDER BY id').pluck(),
      insertLine: db.prepare('INSERT INTO line VALUES (?, ?)'),
      nextRow: db.prepare('SELECT next_row FROM state').pluck(),
    };
  }

  /** Counts what is in the tables; the streams must be there. */
  load(): void {
    for (const lane of this.#lanes.values()) Object.assign(lane, { cursor: Infinity, low: Infinity, queued: 0 });
    this.#segments.clear();
    this.#proofs.clear();
    this.#recipients.clear();
    this.#lows.clear();
    this.#dead = [];
    this.#lines = this.#statements.lines.all() as string[];
    this.nextId = this.#statements.nextRow.get() as number;
    this.pubackedRows = this.bytes = this.changes = 0;
    for (const row of this.#statements.all.iterate() as Iterable<[number, Uint8Array, Uint8Array | null]>) {
      const [first, rows, state] = row;
      const segment = new Segment(first, unpackRows(rows, state), null);
      segment.recount();
      segment.bodyBytes = segment.liveBytes;
      for (let i = 0; i < segment.count; i++) this.#count(segment, i);
      segment.rows = null;
      this.#segments.list.push(segment);
    }
  }

  /** After `load` and what follows from `hot`: rows that are inflight in this process stay it. */
  resume(): void {
    for (const [id] of this.#inflight) {
      const at = this.#segments.find(id);
      if (at === null || at.segment.rows!.state[at.index] !== STATE_QUEUED) this.#inflight.delete(id);
      else {
        this.#lane(at.segment.rows!.lane[at.index]!).queued--;
        at.segment.inflight++;
      }
    }
  }

  #count(segment: Segment, index: number): void {
    const rows = segment.rows!;
    const state = rows.state[index];
    if (state === STATE_GONE) return;
    const id = segment.first + index;
    const number = rows.lane[index]!;
    const lane = this.#lane(number);
    lane.low = Math.min(lane.low, id);
    if (state === STATE_PUBACKED) this.pubackedRows++;
    else if (lane.queued++ === 0) lane.cursor = id;
    const kind = kindOf(number);
    if (kind === KIND_PROOF) this.#proofsOf(rows.stream[index]!).add(id);
    const stream = this.#streams.byId(rows.stream[index]!);
    if (kind === KIND_SESSION) stream.sessionId = id;
    if (kind === KIND_RECORD) {
      this.bytes += rows.size[index]!;
      this.#recipients.set(stream.recipient, (this.#recipients.get(stream.recipient) ?? 0) + rows.size[index]!);
      if (stream.outstanding++ === 0) stream.lowId = id;
      stream.lastId = id;
    }
  }

  #proofsOf(stream: number): Set<number> {
    let ids = this.#proofs.get(stream);
    if (ids === undefined) {
      ids = new Set();
      this.#proofs.set(stream, ids);
    }
    return ids;
  }

  get queuedRows(): number {
    let sum = 0;
    for (const { queued } of this.#lanes.values()) sum += queued;
    return sum;
  }

  get inflightRows(): number {
    return this.#inflight.size;
  }

  /** Adds a row, in memory; the caller makes it durable (`hot`) or folds. */
  insert(kind: number, stream: StreamState, seq: number, leaf: number | null, payload: Uint8Array): number {
    const id = this.nextId++;
    if (this.#segments.open === null) {
      this.#segments.open = new Segment(id, new Rows(64), []);
      this.#segments.list.push(this.#segments.open);
    }
    const segment = this.#segments.open;
    const number = this.#line(stream.pseudonym) * RANKS + rankOf(kind, stream.priority);
    const index = segment.rows!.add(number, stream.id, seq, leaf ?? -1, payload.length);
    segment.payloads!.push(payload);
    segment.count++;
    segment.live++;
    segment.liveBytes += payload.length;
    this.#count(segment, index);
    return id;
  }

  /** Payloads of the rows from `first` on, which no fold has written yet. */
  payloadsSince(first: number): readonly Uint8Array[] {
    return this.#segments.open === null ? [] : this.#segments.open.payloads!.slice(first - this.#segments.open.first);
  }

  /** Within a transaction: writes what changed since the last one. */
  fold(): void {
    const statements = this.#statements;
    for (const first of this.#dead) {
      statements.remove.run(first);
      statements.removeState.run(first);
    }
    this.#dead = [];
    for (const segment of this.#segments.list) {
      if (!segment.dirty || segment === this.#segments.open) continue;
      segment.dirty = false;
      const sparse = segment.bodyBytes > SPARSE_BYTES && segment.liveBytes * SPARSE_SHARE < segment.bodyBytes;
      if (sparse) this.#shorten(segment);
      if (segment.pubacked > 0 || !sparse) statements.writeState.run(segment.first, this.#states(segment));
      else statements.removeState.run(segment.first);
    }
    const open = this.#segments.open;
    if (open !== null && open.live > 0) {
      const body = Buffer.concat(open.payloads!);
      statements.write.run(open.first, packRows(open.rows!), body);
      release(body);
      if (open.pubacked > 0) statements.writeState.run(open.first, this.#states(open));
      open.rows!.forgetGone();
      open.bodyBytes = open.liveBytes;
      open.payloads = null;
      open.dirty = false;
      this.#segments.loaded.add(open);
    }
    if (open !== null && open.live === 0) this.#segments.list.pop();
    this.#segments.open = null;
    this.changes = 0;
    this.#segments.unload();
  }

  #states({ rows, count }: Segment): Uint8Array {
    return rows!.state.slice(0, count);
  }

  /** The table holds the payloads of all rows; afterwards of those that live. */
  #shorten(segment: Segment): void {
    const payloads: Uint8Array[] = [];
    for (let i = 0; i < segment.count; i++) {
      if (segment.rows!.state[i] !== STATE_GONE) payloads.push(this.#segments.payload(segment, i));
    }
    const body = Buffer.concat(payloads);
    this.#segments.forgetBody();
    this.#statements.write.run(segment.first, packRows(segment.rows!), body);
    segment.bodyBytes = body.length;
    segment.rows!.forgetGone();
    release(body);
  }

  /** Queued rows in sending order; marks them inflight. */
  take(limit: number, pseudonym: string | undefined): Chosen[] {
    const lines = this.#sendingLines(pseudonym);
    const chosen: Chosen[] = [];
    for (let rank = RANK_SESSION; rank >= 0 && chosen.length < limit; rank--) {
      const picked: number[] = [];
      for (const line of lines) this.#pick(line * RANKS + rank, limit - chosen.length, picked);
      if (lines.length > 1) picked.sort((a, b) => a - b);
      for (const id of picked.slice(0, limit - chosen.length)) {
        const { segment, index } = this.#segments.find(id)!;
        const rows = segment.rows!;
        const number = rows.lane[index]!;
        const lane = this.#lane(number);
        lane.queued--;
        lane.cursor = id + 1;
        segment.inflight++;
        this.#inflight.set(id, number);
        const stream = this.#streams.byId(rows.stream[index]!);
        // Not `slice`: of a Buffer that is a view.
        const payload = new Uint8Array(this.#segments.payload(segment, index));
        chosen.push({ id, kind: kindOf(number), stream, seq: rows.seq[index]!, payload });
      }
    }
    this.#segments.unload();
    return chosen;
  }

  #pick(number: number, limit: number, picked: number[]): void {
    const lane = this.#lanes.get(number);
    if (lane === undefined || lane.queued === 0) return;
    let seen = 0;
    let found = 0;
    this.#segments.each(lane.cursor, this.nextId, (segment, index, id) => {
      const rows = segment.rows!;
      if (rows.lane[index] !== number || rows.state[index] !== STATE_QUEUED || this.#inflight.has(id)) return true;
      if (!this.#streams.byId(rows.stream[index]!).dropped) {
        picked.push(id);
        found++;
      }
      return ++seen < lane.queued && found < limit;
    });
  }

  /** The pseudonym asked for, or the newest and the oldest that has queued rows. */
  #sendingLines(pseudonym: string | undefined): number[] {
    if (pseudonym !== undefined) return [this.#lines.indexOf(pseudonym)];
    let oldest = this.#lines.length - 1;
    for (const { line, queued } of this.#lanes.values()) if (queued > 0) oldest = Math.min(oldest, line);
    return oldest === this.#lines.length - 1 ? [oldest] : [oldest, this.#lines.length - 1];
  }

  /** Unknown ids are those of rows acknowledged meanwhile. Returns the proofs among them. */
  pubacked(ids: readonly number[], nowMs: number): number[] {
    const proofs: number[] = [];
    for (const id of ids) {
      const at = this.#segments.find(id);
      if (at === null || at.segment.rows!.state[at.index] !== STATE_QUEUED) continue;
      const { segment, index } = at;
      const number = segment.rows!.lane[index]!;
      if (kindOf(number) === KIND_PROOF) {
        proofs.push(id);
        this.#remove(segment, index);
        continue;
      }
      this.#notQueued(segment, index);
      segment.rows!.state[index] = STATE_PUBACKED;
      segment.dirty = true;
      segment.pubacked++;
      segment.pubackedMs = nowMs;
      this.pubackedRows++;
      this.changes++;
    }
    this.#segments.unload();
    return proofs;
  }

  /** Deletes a row, whatever its state. */
  remove(id: number): void {
    const at = this.#segments.find(id);
    if (at !== null) this.#remove(at.segment, at.index);
  }

  #notQueued(segment: Segment, index: number): void {
    if (this.#inflight.delete(segment.first + index)) segment.inflight--;
    else this.#lane(segment.rows!.lane[index]!).queued--;
  }

  #remove(segment: Segment, index: number): void {
    const rows = segment.rows!;
    const id = segment.first + index;
    const stream = this.#streams.byId(rows.stream[index]!);
    const size = rows.size[index]!;
    const kind = kindOf(rows.lane[index]!);
    if (rows.state[index] === STATE_PUBACKED) {
      this.pubackedRows--;
      segment.pubacked--;
    } else this.#notQueued(segment, index);
    rows.state[index] = STATE_GONE;
    segment.dirty = true;
    segment.live--;
    segment.liveBytes -= size;
    this.changes++;
    if (segment.payloads !== null) segment.payloads[index] = GONE;
    if (kind === KIND_PROOF) this.#proofs.get(stream.id)?.delete(id);
    if (kind === KIND_SESSION && stream.sessionId === id) stream.sessionId = 0;
    if (kind === KIND_RECORD) {
      stream.outstanding--;
      this.bytes -= size;
      this.#recipients.set(stream.recipient, this.#recipients.get(stream.recipient)! - size);
    }
    this.#streams.touch(stream);
    if (segment.live > 0 || segment === this.#segments.open) return;
    this.#dead.push(segment.first);
    this.#segments.list.splice(this.#segments.place(segment.first), 1);
    this.#segments.loaded.delete(segment);
  }

  /** Records of a stream up to `upto` leave, those of `missing` go again. Returns how many left. */
  acked(stream: StreamState, upto: number, missing: ReadonlySet<number>, resend: boolean): number {
    if (stream.outstanding === 0) return 0;
    let left = 0;
    let low = 0;
    const end = stream.lastId + 1;
    this.#segments.each(stream.lowId, end, (segment, index, id) => {
      const rows = segment.rows!;
      const number = rows.lane[index]!;
      const state = rows.state[index];
      if (rows.stream[index] !== stream.id || state === STATE_GONE || kindOf(number) !== KIND_RECORD) return true;
      const seq = rows.seq[index]!;
      if (seq > upto) {
        low ||= id;
        return false;
      }
      if (!missing.has(seq)) {
        this.#remove(segment, index);
        left++;
      } else {
        low ||= id;
        if (state === STATE_PUBACKED && resend) this.#requeue(segment, index);
      }
      return true;
    });
    stream.lowId = low === 0 ? stream.lastId + 1 : low;
    this.#segments.unload();
    return left;
  }

  /**
   * Inflight rows, and pubacked ones that no ack took for so long, are queued again.
   *
   * @returns how many, and the streams whose records are among the pubacked ones
   */
  requeue(olderThanMs: number, nowMs: number): { count: number; streams: StreamState[] } {
    let count = this.#inflight.size;
    for (const [id, number] of this.#inflight) {
      this.#back(this.#lane(number), id);
      this.#segments.of(id)!.inflight--;
    }
    this.#inflight.clear();
    if (this.pubackedRows === 0) return { count, streams: [] };
    const again = new Set<number>();
    const sessions: number[] = [];
    for (const segment of this.#segments.list) {
      if (segment.pubacked === 0) continue;
      // From before this start: a receiver gets the whole time to answer.
      if (Number.isNaN(segment.pubackedMs)) segment.pubackedMs = nowMs;
      if (segment.pubackedMs > nowMs - olderThanMs) continue;
      const rows = this.#segments.rowsOf(segment);
      for (let i = 0; i < segment.count; i++) {
        if (rows.state[i] !== STATE_PUBACKED) continue;
        if (kindOf(rows.lane[i]!) === KIND_SESSION) {
          sessions.push(segment.first + i);
          continue;
        }
        again.add(rows.stream[i]!);
        this.#requeue(segment, i);
        count++;
      }
    }
    // A session is needed only by records that go again.
    for (const id of sessions) {
      const { segment, index } = this.#segments.find(id)!;
      if (!again.has(segment.rows!.stream[index]!)) continue;
      this.#requeue(segment, index);
      count++;
    }
    this.#segments.unload();
    return { count, streams: [...again].map((stream) => this.#streams.byId(stream)) };
  }

  /** The sessions of streams with records on the way are queued. */
  resend(streams: Iterable<StreamState>): number {
    let count = 0;
    for (const { sessionId, outstanding } of streams) {
      if (sessionId === 0 || outstanding === 0) continue;
      const { segment, index } = this.#segments.find(sessionId)!;
      if (segment.rows!.state[index] !== STATE_PUBACKED) continue;
      this.#requeue(segment, index);
      count++;
    }
    return count;
  }

  #requeue(segment: Segment, index: number): void {
    const rows = segment.rows!;
    rows.state[index] = STATE_QUEUED;
    segment.dirty = true;
    segment.pubacked--;
    this.pubackedRows--;
    this.#back(this.#lane(rows.lane[index]!), segment.first + index);
  }

  #back(lane: Lane, id: number): void {
    lane.cursor = lane.queued === 0 ? id : Math.min(lane.cursor, id);
    lane.queued++;
  }

  /** Recipients with more bytes of records than so many. */
  *over(maxBytes: number): Generator<string> {
    for (const [recipient, bytes] of this.#recipients) if (bytes > maxBytes) yield recipient;
  }

  /**
   * Whole records leave, lowest priority and then oldest first, until `maxBytes` hold.
   *
   * @param recipient of this one only; null of all
   */
  evict(maxBytes: number, recipient: string | null = null): Removed[] {
    const removed: Removed[] = [];
    const bytes = () => (recipient === null ? this.bytes : (this.#recipients.get(recipient) ?? 0));
    for (let priority = 0; priority < PRIORITIES && bytes() > maxBytes; priority++) {
      const rank = rankOf(KIND_RECORD, priority);
      const lanes = [...this.#lanes.values()].filter((lane) => lane.rank === rank);
      const place = `${rank} ${recipient ?? ''}`;
      const low = Math.max(Math.min(...lanes.map((lane) => lane.low)), this.#lows.get(place) ?? 0);
      if (low === Number.POSITIVE_INFINITY) continue;
      let kept = 0;
      let last = low - 1;
      this.#segments.each(low, this.nextId, (segment, index, id) => {
        if (bytes() <= maxBytes) return false;
        const rows = segment.rows!;
        last = id;
        if (rows.lane[index]! % RANKS !== rank || rows.state[index] === STATE_GONE) return true;
        const other = recipient !== null && this.#streams.byId(rows.stream[index]!).recipient !== recipient;
        if (other) return true;
        // What is on its way may arrive: it is acknowledged or comes back.
        if (this.#inflight.has(id)) kept ||= id;
        else removed.push(this.#drop(segment, index));
        return true;
      });
      if (recipient === null) for (const lane of lanes) lane.low = Math.max(lane.low, kept || last + 1);
      else this.#lows.set(place, kept || last + 1);
    }
    return removed;
  }

  /** Records of a stream leave, oldest first, as long as `old` says so of their leaf. */
  expire(stream: StreamState, old: (leaf: number) => boolean): Removed[] {
    const removed: Removed[] = [];
    if (stream.outstanding === 0) return removed;
    this.#segments.each(stream.lowId, stream.lastId + 1, (segment, index, id) => {
      const rows = segment.rows!;
      const live = rows.state[index] !== STATE_GONE && kindOf(rows.lane[index]!) === KIND_RECORD;
      if (!live || rows.stream[index] !== stream.id) return true;
      if (!old(rows.leaf[index]!)) return false;
      if (!this.#inflight.has(id)) removed.push(this.#drop(segment, index));
      return true;
    });
    return removed;
  }

  /** All records of a stream, its session and its proofs leave. */
  dropAll(stream: StreamState): Removed[] {
    const removed: Removed[] = [];
    if (stream.outstanding > 0) {
      this.#segments.each(stream.lowId, stream.lastId + 1, (segment, index) => {
        const rows = segment.rows!;
        const live = rows.state[index] !== STATE_GONE && kindOf(rows.lane[index]!) === KIND_RECORD;
        if (live && rows.stream[index] === stream.id) removed.push(this.#drop(segment, index));
        return true;
      });
    }
    if (stream.sessionId > 0) this.remove(stream.sessionId);
    for (const id of [...(this.#proofs.get(stream.id) ?? [])]) this.remove(id);
    this.#segments.unload();
    return removed;
  }

  /** Single rows leave; of a session nothing is reported. */
  dropRows(ids: readonly number[]): Removed[] {
    const removed: Removed[] = [];
    for (const id of ids) {
      const at = this.#segments.find(id);
      if (at === null || at.segment.rows!.state[at.index] === STATE_GONE) continue;
      if (kindOf(at.segment.rows!.lane[at.index]!) === KIND_RECORD) removed.push(this.#drop(at.segment, at.index));
      else this.#remove(at.segment, at.index);
    }
    return removed;
  }

  #drop(segment: Segment, index: number): Removed {
    const stream = this.#streams.byId(segment.rows!.stream[index]!);
    const seq = segment.rows!.seq[index]!;
    const leaf = segment.rows!.leaf[index]!;
    this.#remove(segment, index);
    stream.evicted++;
    return { stream, seq, leaf };
  }

  /** Proofs of a stream that nobody took yet: a newer one says all that they do. */
  queuedProofs(stream: StreamState): number[] {
    return [...(this.#proofs.get(stream.id) ?? [])].filter((id) => !this.#inflight.has(id));
  }

  hasProofs(stream: StreamState): boolean {
    return (this.#proofs.get(stream.id)?.size ?? 0) > 0;
  }

  /** Sequence numbers of a stream's records that wait. */
  waiting(stream: StreamState): Set<number> {
    const seqs = new Set<number>();
    if (stream.outstanding === 0) return seqs;
    this.#segments.each(stream.lowId, stream.lastId + 1, (segment, index) => {
      const rows = segment.rows!;
      const live = rows.state[index] !== STATE_GONE && kindOf(rows.lane[index]!) === KIND_RECORD;
      if (live && rows.stream[index] === stream.id) seqs.add(rows.seq[index]!);
      return true;
    });
    this.#segments.unload();
    return seqs;
  }

  /** Oldest leaf that a row stands for; Infinity where none does. */
  oldestLeaf(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const segment of this.#segments.list) {
      const rows = this.#segments.rowsOf(segment);
      for (let i = 0; i < segment.count; i++) {
        if (rows.state[i] !== STATE_GONE && rows.leaf[i]! >= 0) oldest = Math.min(oldest, rows.leaf[i]!);
      }
      // Rows come in the order of their leaves.
      if (oldest !== Number.POSITIVE_INFINITY) break;
    }
    this.#segments.unload();
    return oldest;
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
