/**
 * Tokens that come back with time. More may be taken than is there, and the debt is waited for: so an amount larger
 * than the bucket passes too, and the rate holds over time to the last token.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #most: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #atMs: number;

  /**
   * @param perSecond tokens that come back in a second
   * @param most      tokens that gather while nobody takes any
   * @param nowMs     monotonic time, ms
   */
  constructor(perSecond: number, most: number, nowMs: () => number) {
    this.#perMs = perSecond / 1_000;
    this.#most = most;
    this.#nowMs = nowMs;
    this.#tokens = most;
    this.#atMs = nowMs();
  }

  /** Takes `amount`. Returns 0, or how long to wait before asking again, ms: then nothing was taken. */
  take(amount: number): number {
    const now = this.#nowMs();
    this.#tokens = Math.min(this.#most, this.#tokens + (now - this.#atMs) * this.#perMs);
    this.#atMs = now;
    if (this.#tokens <= 0) return Math.max(1, Math.ceil(-this.#tokens / this.#perMs));
    this.#tokens -= amount;
    return 0;
  }
}
