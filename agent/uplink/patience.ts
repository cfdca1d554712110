/** A receiver acknowledges every second; this long without a word, and rows go again, ms. */
export const ACK_TIMEOUT_MS = 30_000;
/** While no receiver answers the time doubles up to this, ms: a mobile link is paid by the byte. */
export const LONGEST_ACK_TIMEOUT_MS = 15 * 60_000;
/** Holes that a receiver named are filled this much later, ms: what it misses may just be on its way. */
export const HOLE_MS = 5_000;

/** When rows that have their PUBACK and no acknowledgement go again. */
export class Patience {
  readonly #ackTimeoutMs: number;
  readonly #nowMs: () => number;
  /** There may be rows with a PUBACK that no receiver acknowledged. */
  #unanswered = false;
  #lastPubackMs = 0;
  #waitMs: number;
  #at: number;
  /** Rows went again and no receiver has answered since. */
  #silent = false;

  constructor(ackTimeoutMs: number, nowMs: () => number) {
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#nowMs = nowMs;
    this.#waitMs = ackTimeoutMs;
    this.#at = nowMs() + ackTimeoutMs;
  }

  /** Rows go again that have waited this long, ms. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** When it is time to look, monotonic ms; Infinity while nothing waits for an answer. */
  get dueAt(): number {
    return this.#unanswered ? this.#at : Number.POSITIVE_INFINITY;
  }

  get due(): boolean {
    return this.#nowMs() >= this.dueAt;
  }

  pubacked(): void {
    this.#unanswered = true;
    this.#lastPubackMs = this.#nowMs();
  }

  /** Rows were put back; `repeated`: some had their PUBACK. */
  putBack(repeated: boolean): void {
    const now = this.#nowMs();
    // What was too young now is looked at once more.
    this.#unanswered = repeated || now - this.#lastPubackMs <= this.#waitMs;
    if (repeated) {
      this.#silent = true;
      this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_ACK_TIMEOUT_MS);
    }
    this.#at = now + this.#waitMs;
  }

  /** A receiver answers: waits are short again, and holes are filled soon. */
  heard(holes: boolean): void {
    const soon = this.#silent || holes;
    this.#silent = false;
    this.#waitMs = soon ? Math.min(HOLE_MS, this.#ackTimeoutMs) : this.#ackTimeoutMs;
    if (soon) this.#at = Math.min(this.#at, this.#nowMs() + this.#waitMs);
  }
}
