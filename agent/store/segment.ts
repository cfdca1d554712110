import { ByteReader, ByteWriter } from './bytes.ts';
import { STATE_GONE, STATE_PUBACKED, STATE_QUEUED } from './tables.ts';

/**
 * A run of outbox rows with consecutive numbers: one row of the table for hundreds of messages, because SQLite pays by row
 * and flash by page. Rows are described apart from their payloads, so that choosing reads no payload.
 *
 * `rows`: per row lane · stream · seq + 1 · leaf + 1 (0: none) · bytes of its payload, as varints. `body`: the payloads.
 * A row that was gone when the run was written has no bytes in it.
 */
export class Rows {
  lane: Int32Array;
  stream: Int32Array;
  /** −1: none. */
  seq: Float64Array;
  /** −1: none. */
  leaf: Float64Array;
  size: Int32Array;
  state: Uint8Array;
  count = 0;

  constructor(capacity: number) {
    this.lane = new Int32Array(capacity);
    this.stream = new Int32Array(capacity);
    this.seq = new Float64Array(capacity);
    this.leaf = new Float64Array(capacity);
    this.size = new Int32Array(capacity);
    this.state = new Uint8Array(capacity);
  }

  add(lane: number, stream: number, seq: number, leaf: number, size: number): number {
    if (this.count === this.lane.length) this.#grow();
    const at = this.count++;
    this.lane[at] = lane;
    this.stream[at] = stream;
    this.seq[at] = seq;
    this.leaf[at] = leaf;
    this.size[at] = size;
    this.state[at] = STATE_QUEUED;
    return at;
  }

  /** As they are packed: rows that are gone have no bytes. */
  forgetGone(): void {
    for (let i = 0; i < this.count; i++) if (this.state[i] === STATE_GONE) this.size[i] = 0;
  }

  #grow(): void {
    const capacity = Math.max(16, this.lane.length * 2);
    const grown = new Rows(capacity);
    grown.lane.set(this.lane);
    grown.stream.set(this.stream);
    grown.seq.set(this.seq);
    grown.leaf.set(this.leaf);
    grown.size.set(this.size);
    grown.state.set(this.state);
    const { lane, stream, seq, leaf, size, state } = grown;
    Object.assign(this, { lane, stream, seq, leaf, size, state });
  }
}

const writer = new ByteWriter();

export function packRows(rows: Rows): Uint8Array {
  writer.reset();
  for (let i = 0; i < rows.count; i++) {
    const size = rows.state[i] === STATE_GONE ? 0 : rows.size[i]!;
    writer.varint(rows.lane[i]!).varint(rows.stream[i]!);
    writer
      .varint(rows.seq[i]! + 1)
      .varint(rows.leaf[i]! + 1)
      .varint(size);
  }
  return writer.view().slice();
}

/** @throws {RangeError} where the bytes are damaged */
export function unpackRows(bytes: Uint8Array, state: Uint8Array | null): Rows {
  const reader = new ByteReader(bytes);
  const rows = new Rows(Math.max(1, bytes.length >> 3));
  while (reader.at < bytes.length) {
    const lane = reader.varint();
    const stream = reader.varint();
    const seq = reader.varint() - 1;
    const leaf = reader.varint() - 1;
    const size = reader.varint();
    const at = rows.add(lane, stream, seq, leaf, size);
    if (size === 0) rows.state[at] = STATE_GONE;
  }
  if (state !== null) rows.state.set(state.subarray(0, rows.count));
  return rows;
}

export class Segment {
  readonly first: number;
  /** Rows that are not gone; their bytes, and those of the body in the table. */
  live = 0;
  liveBytes = 0;
  bodyBytes = 0;
  pubacked = 0;
  inflight = 0;
  count = 0;
  /** Described rows; null where they are only in the table. */
  rows: Rows | null;
  /** Payloads of rows that no fold has written yet. */
  payloads: Uint8Array[] | null;
  /** A state differs from the table's. */
  dirty = false;
  /** Time of the newest PUBACK, monotonic ms; NaN: before this start. */
  pubackedMs = Number.NaN;

  constructor(first: number, rows: Rows | null, payloads: Uint8Array[] | null) {
    this.first = first;
    this.rows = rows;
    this.payloads = payloads;
  }

  /** Counts from its rows. */
  recount(): void {
    const rows = this.rows!;
    this.live = this.liveBytes = this.pubacked = 0;
    this.count = rows.count;
    for (let i = 0; i < rows.count; i++) {
      if (rows.state[i] === STATE_GONE) continue;
      this.live++;
      this.liveBytes += rows.size[i]!;
      if (rows.state[i] === STATE_PUBACKED) this.pubacked++;
    }
  }
}
