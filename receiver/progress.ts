import type { Position } from './contract.ts';

/** An ack names at most this many holes; with more it reaches less far. Keeps acks and memory small. */
export const MOST_MISSING = 1_000;
/** A stream has at most 2^20 records (wire/*.cddl): a number beyond is not a record's. */
export const MOST_RECORDS = 2 ** 20;

/** Which numbers of a stream are stored. What is stored stays: this may lag behind the store, it never is ahead of it. */
export class Progress {
  /** All of 0 … next − 1 are here. */
  next = 0;
  provenSeq = -1;
  #runs: readonly (readonly [number, number])[] = [];

  constructor(position?: Position) {
    if (position !== undefined) this.update(position);
  }

  update({ next, runs, provenSeq }: Position): void {
    const [first] = runs;
    // A memo may lag behind.
    const joined = first !== undefined && first[0] <= next;
    this.next = Math.max(this.next, joined ? first[1] + 1 : next);
    this.#runs = joined ? runs.slice(1) : runs;
    this.provenSeq = Math.max(this.provenSeq, provenSeq);
  }

  /** Highest number that is here; −1 for none. */
  get highest(): number {
    return this.#runs.at(-1)?.[1] ?? this.next - 1;
  }

  has(seq: number): boolean {
    if (seq < this.next) return true;
    let from = 0;
    let to = this.#runs.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#runs[middle]![1] < seq) from = middle + 1;
      else to = middle;
    }
    return from < this.#runs.length && this.#runs[from]![0] <= seq;
  }

  /** What an ack may say: the highest number, and the holes below it. */
  answer(): { readonly uptoSeq: number; readonly missing: number[] } {
    const missing: number[] = [];
    let seq = this.next;
    for (const [first, last] of this.#runs) {
      for (; seq < first; seq++) {
        if (missing.length === MOST_MISSING) return { uptoSeq: seq - 1, missing };
        missing.push(seq);
      }
      seq = last + 1;
    }
    return { uptoSeq: this.highest, missing };
  }

  /** The first number that is missing below the highest; null for none. */
  get firstHole(): number | null {
    return this.#runs.length > 0 ? this.next : null;
  }
}
