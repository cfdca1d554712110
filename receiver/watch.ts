import type { StreamId } from './contract.ts';
import { streamKey } from './streams.ts';

/** Streams that one process watches at most; the one that was silent longest is let go. */
export const MOST_WATCHED = 20_000;
/** One arrival time in so many ms is enough for an alarm after three minutes. */
const STEP_MS = 5_000;
/** Arrival times of one stream at most. */
const MOST_ARRIVALS = 64;

/** One stream whose records wait for a proof. */
export class Watch implements StreamId {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  /** [seq, ms]: no record from this number on came before this time. */
  #arrivals: [seq: number, ms: number][] = [];
  #highest = -1;
  #provenSeq = -1;
  /** The alarm was raised. */
  alarmed = false;

  constructor({ pseudonym, stream }: StreamId) {
    this.pseudonym = pseudonym;
    this.stream = stream;
  }

  arrived(seq: number, nowMs: number): void {
    if (seq <= this.#provenSeq) return;
    this.#highest = Math.max(this.#highest, seq);
    const last = this.#arrivals.at(-1);
    if (last !== undefined && (nowMs - last[1] < STEP_MS || this.#arrivals.length >= MOST_ARRIVALS)) return;
    this.#arrivals.push([seq, nowMs]);
  }

  /** Records up to `seq` are proven. */
  proven(seq: number, nowMs: number): void {
    if (seq <= this.#provenSeq) return;
    this.#provenSeq = seq;
    this.alarmed = false;
    const later = this.#arrivals.filter(([from]) => from > seq);
    // The step between two arrivals may hide a record that came after the proven one.
    this.#arrivals = later.length > 0 || this.#highest <= seq ? later : [[seq + 1, nowMs]];
  }

  /** Since when the oldest record waits for a proof, ms; null where none waits. */
  get sinceMs(): number | null {
    return this.#highest > this.#provenSeq ? (this.#arrivals[0]?.[1] ?? null) : null;
  }
}

/** The streams that this process got records of and that no proof covers: somebody must say when none comes. */
export class Watches {
  readonly #all = new Map<string, Watch>();

  /** A record came, or is in the store from before. */
  arrived(id: StreamId, seq: number, nowMs: number): void {
    const key = streamKey(id.pseudonym, id.stream);
    const watch = this.#all.get(key) ?? new Watch(id);
    // The one that spoke last stands last.
    this.#all.delete(key);
    this.#all.set(key, watch);
    watch.arrived(seq, nowMs);
    if (this.#all.size > MOST_WATCHED) this.#all.delete(this.#all.keys().next().value!);
  }

  proven(id: StreamId, seq: number, nowMs: number): void {
    const key = streamKey(id.pseudonym, id.stream);
    const watch = this.#all.get(key);
    if (watch === undefined) return;
    watch.proven(seq, nowMs);
    if (watch.sinceMs === null) this.#all.delete(key);
  }

  /** Those that wait longer than `ms` and were not told, at most `limit`. */
  due(nowMs: number, ms: number, limit: number): Watch[] {
    const due: Watch[] = [];
    for (const watch of this.#all.values()) {
      if (due.length >= limit) break;
      const since = watch.sinceMs;
      if (!watch.alarmed && since !== null && nowMs - since >= ms) due.push(watch);
    }
    return due;
  }
}
