import type { OutboxRow, StoreStats } from '../../agent/store/contract.ts';
import { MemoryStore } from './memory-store.ts';
import { PSEUDONYM, TENANT } from './uplink-parts.ts';

const PAYLOAD_BYTES = 200;

/**
 * A backlog of any length that is nowhere: rows are made as they are taken. So what a process grows by is the uplink's.
 * Streams share it evenly; the first has the highest priority, so it goes first and whole.
 */
export class SyntheticStore extends MemoryStore {
  readonly #perStream: number;
  readonly #next: number[];
  readonly #names: readonly { readonly stream: Uint8Array; readonly topic: string }[];
  /** Rows that go again, lowest first. */
  #again: OutboxRow[] = [];
  readonly #inflight = new Map<number, OutboxRow>();
  done = 0;
  /** Most rows that the uplink held at once. */
  mostInflight = 0;

  constructor(rows: number, streams: number, now: () => number) {
    super(now);
    this.#perStream = rows / streams;
    this.#next = Array.from({ length: streams }, () => 0);
    this.#names = this.#next.map((_, i) => {
      const stream = new Uint8Array(8).fill(i + 1);
      return { stream, topic: `v1/${TENANT}/${PSEUDONYM}/tx/${Buffer.from(stream).toString('base64url')}` };
    });
  }

  override async take(limit: number): Promise<readonly OutboxRow[]> {
    const rows = this.#again.splice(0, limit);
    for (let i = 0; i < this.#next.length && rows.length < limit; ) {
      if (this.#next[i]! >= this.#perStream) i++;
      else rows.push(this.#row(i, this.#next[i]!++));
    }
    for (const row of rows) this.#inflight.set(row.id, row);
    this.mostInflight = Math.max(this.mostInflight, this.#inflight.size);
    return rows;
  }

  /** PUBACK is enough here: an acknowledgement would only take the row away. */
  override async pubacked(ids: readonly number[]): Promise<void> {
    for (const id of ids) if (this.#inflight.delete(id)) this.done++;
  }

  override async requeue(): Promise<number> {
    this.#again = [...this.#inflight.values(), ...this.#again].sort((a, b) => a.id - b.id);
    this.#inflight.clear();
    return this.#again.length;
  }

  override async stats(): Promise<StoreStats> {
    const queued = this.#perStream * this.#next.length - this.done - this.#inflight.size;
    return { ...(await super.stats()), queued, inflight: this.#inflight.size };
  }

  #row(number: number, seq: number): OutboxRow {
    const payload = Buffer.alloc(PAYLOAD_BYTES);
    payload.writeUInt32BE(seq);
    const { stream, topic } = this.#names[number]!;
    const id = number * this.#perStream + seq;
    const priority = 7 - (number % 8);
    return { id, kind: 'record', pseudonym: PSEUDONYM, stream, seq, priority, topic, retain: false, payload };
  }
}

/** Per topic, whether numbers came in their order; one that comes again is no fault, one that is left out is. */
export class OrderCheck {
  readonly #next = new Map<string, number>();
  gaps = 0;
  repeats = 0;

  take(topic: string, payload: Uint8Array): void {
    const seq = Buffer.from(payload.buffer, payload.byteOffset).readUInt32BE();
    const next = this.#next.get(topic) ?? 0;
    if (seq > next) this.gaps++;
    else if (seq < next) this.repeats++;
    else this.#next.set(topic, seq + 1);
  }

  get total(): number {
    return [...this.#next.values()].reduce((sum, next) => sum + next, 0);
  }
}
