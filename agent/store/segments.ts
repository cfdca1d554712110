import { TollgateError } from '#contracts';
import { release } from './bytes.ts';
import type { Connection } from './database.ts';
import { type Rows, type Segment, unpackRows } from './segment.ts';

/** Segments whose rows stay in memory although nothing happens in them. */
const MOST_LOADED = 32;

/** The runs of the outbox in the order of their rows: finds, visits, and reads from the table what is not in memory. */
export class Segments {
  list: Segment[] = [];
  /** Segments with rows in memory that may go, longest unused first. */
  readonly loaded = new Set<Segment>();
  /** The last one, whose payloads are in memory. */
  open: Segment | null = null;
  #body: { first: number; bytes: Uint8Array; ends: Int32Array } | null = null;
  readonly #statements;

  constructor(db: Connection) {
    this.#statements = {
      rows: db
        .prepare(
          'SELECT s.rows, t.state FROM segment s LEFT JOIN segment_state t ON t.first = s.first WHERE s.first = ?',
        )
        .raw(),
      body: db.prepare('SELECT body FROM segment WHERE first = ?').pluck(),
    };
  }

  clear(): void {
    this.list = [];
    this.loaded.clear();
    this.open = null;
    this.forgetBody();
  }

  /** Visits the rows [from, to) until the visitor says false. It may remove the row that it is shown. */
  each(from: number, to: number, visit: (segment: Segment, index: number, id: number) => boolean): void {
    for (let at = this.place(from); at < this.list.length; ) {
      const segment = this.list[at]!;
      if (segment.first >= to) return;
      this.rowsOf(segment);
      const end = Math.min(segment.count, to - segment.first);
      for (let index = Math.max(0, from - segment.first); index < end; index++) {
        if (!visit(segment, index, segment.first + index)) return;
      }
      if (this.list[at] === segment) at++;
      if (this.loaded.size > 2 * MOST_LOADED) this.unload();
    }
  }

  /** The first segment that ends after `id`. */
  place(id: number): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { first, count } = this.list[middle]!;
      if (first + count > id) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  of(id: number): Segment | null {
    const segment = this.list[this.place(id)];
    return segment !== undefined && id >= segment.first ? segment : null;
  }

  find(id: number): { segment: Segment; index: number } | null {
    const segment = this.of(id);
    if (segment === null) return null;
    this.rowsOf(segment);
    return { segment, index: id - segment.first };
  }

  rowsOf(segment: Segment): Rows {
    if (segment.rows === null) {
      const [rows, state] = this.#statements.rows.get(segment.first) as [Uint8Array, Uint8Array | null];
      try {
        segment.rows = unpackRows(rows, state);
      } catch (cause) {
        throw new TollgateError('TG_STORE_CORRUPT', `the rows from ${segment.first} on do not unpack`, { cause });
      }
    }
    if (segment !== this.open) {
      this.loaded.delete(segment);
      this.loaded.add(segment);
    }
    return segment.rows;
  }

  unload(): void {
    if (this.loaded.size <= MOST_LOADED) return;
    for (const segment of this.loaded) {
      if (segment.dirty || segment.inflight > 0) continue;
      segment.rows = null;
      this.loaded.delete(segment);
      if (this.loaded.size <= MOST_LOADED) return;
    }
  }

  forgetBody(): void {
    if (this.#body !== null) release(this.#body.bytes);
    this.#body = null;
  }

  /** Valid until the next call. */
  payload(segment: Segment, index: number): Uint8Array {
    if (segment.payloads !== null) return segment.payloads[index]!;
    if (this.#body?.first !== segment.first) {
      this.forgetBody();
      const bytes = this.#statements.body.get(segment.first) as Uint8Array;
      const ends = new Int32Array(segment.count);
      let end = 0;
      for (let i = 0; i < segment.count; i++) ends[i] = end += segment.rows!.size[i]!;
      this.#body = { first: segment.first, bytes, ends };
    }
    const { bytes, ends } = this.#body!;
    return bytes.subarray(ends[index]! - segment.rows!.size[index]!, ends[index]!);
  }
}
