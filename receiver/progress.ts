import type { StreamState } from './contract.ts';

/** An ack names at most this many holes; with more it reaches less far. Keeps acks and memory small. */
export const MOST_MISSING = 1_000;
/** A stream has at most 2^20 records (wire/*.cddl): a number beyond is not a record's. */
export const MOST_RECORDS = 2 ** 20;
/** Arrival times kept for the alarm. */
const MOST_ARRIVALS = 512;
/** One arrival time a second is enough for an alarm after three minutes, ms. */
const ARRIVAL_STEP_MS = 1_000;

/** How far a stream got: which numbers are here, which are proven, and since when some are not. */
export class Progress {
  /** All of 0 … next − 1 are here. */
  next: number;
  readonly beyond: Set<number>;
  provenSeq: number;
  /** [seq, ms]: no record from this number on came before this time. */
  #arrivals: [seq: number, ms: number][] = [];
  #highest: number;

  constructor(state: Pick<StreamState, 'next' | 'beyond' | 'provenSeq'>) {
    this.next = state.next;
    this.beyond = new Set(state.beyond);
    this.provenSeq = state.provenSeq;
    this.#highest = Math.max(state.next - 1, ...state.beyond.slice(-1));
  }

  /** Highest number that is here; −1 for none. */
  get highest(): number {
    return this.#highest;
  }

  has(seq: number): boolean {
    return seq < this.next || this.beyond.has(seq);
  }

  add(seq: number): void {
    if (this.has(seq)) return;
    this.#highest = Math.max(this.#highest, seq);
    this.beyond.add(seq);
    while (this.beyond.delete(this.next)) this.next++;
  }

  /** What an ack may say: the highest number, and the holes below it. */
  answer(): { readonly uptoSeq: number; readonly missing: number[] } {
    const missing: number[] = [];
    for (let seq = this.next; seq < this.#highest; seq++) {
      if (this.beyond.has(seq)) continue;
      if (missing.length === MOST_MISSING) return { uptoSeq: seq - 1, missing };
      missing.push(seq);
    }
    return { uptoSeq: this.#highest, missing };
  }

  /** A record came that no proof covers yet. */
  arrived(seq: number, nowMs: number): void {
    if (seq <= this.provenSeq) return;
    const last = this.#arrivals.at(-1);
    if (last !== undefined && (nowMs - last[1] < ARRIVAL_STEP_MS || this.#arrivals.length >= MOST_ARRIVALS)) return;
    this.#arrivals.push([seq, nowMs]);
  }

  /** Records up to `seq` are proven. */
  proven(seq: number, nowMs: number): void {
    this.provenSeq = seq;
    const later = this.#arrivals.filter(([from]) => from > seq);
    // The step between two arrivals may hide a record that came after the proven one.
    this.#arrivals = later.length > 0 || this.#highest <= seq ? later : [[seq + 1, nowMs]];
  }

  /** Since when the oldest record waits for a proof, ms; null where none waits. */
  get waitingSinceMs(): number | null {
    return this.#highest > this.provenSeq ? (this.#arrivals[0]?.[1] ?? null) : null;
  }
}
