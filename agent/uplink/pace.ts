import type { OutboxRow } from '../store/contract.ts';
import { TokenBucket } from './bucket.ts';
import { sizeOf } from './line.ts';

/** With a cap, rows for this long are read ahead, ms: a row of higher priority waits no longer behind them. */
const AHEAD_MS = 2_000;
/** Rows that are read ahead before any size is known. */
const FIRST_AHEAD = 4;
/** What the bandwidth may save up, ms of it. */
const BURST_MS = 1_000;
/** Weight of the newest row in the mean size of rows. */
const MEAN_WEIGHT = 1 / 16;

/** How fast rows go, and how many are read for it. */
export class Pace {
  /** Bytes that may go now, over all connections; null without a cap. */
  readonly bucket: TokenBucket | null;
  readonly #window: number;
  readonly #bandwidth: number | undefined;
  #meanBytes = 0;

  /** @param bandwidth bytes a second; undefined: no cap */
  constructor(window: number, bandwidth: number | undefined, nowMs: () => number) {
    this.#window = window;
    this.#bandwidth = bandwidth;
    this.bucket = bandwidth === undefined ? null : new TokenBucket(bandwidth, (bandwidth * BURST_MS) / 1_000, nowMs);
  }

  /** Rows that are read from the store at most. */
  get ahead(): number {
    if (this.#bandwidth === undefined) return this.#window;
    if (this.#meanBytes === 0) return Math.min(this.#window, FIRST_AHEAD);
    const rows = Math.floor((this.#bandwidth * AHEAD_MS) / 1_000 / this.#meanBytes);
    return Math.min(this.#window, Math.max(1, rows));
  }

  weigh(row: OutboxRow): void {
    const size = sizeOf(row);
    this.#meanBytes = this.#meanBytes === 0 ? size : this.#meanBytes + (size - this.#meanBytes) * MEAN_WEIGHT;
  }
}
