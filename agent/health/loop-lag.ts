import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How often the loop is asked, ms: ten times a second cost nothing that can be measured, and no JavaScript runs for it. */
const RESOLUTION_MS = 100;
/** What is shown is of the last one to two of these, ms. */
const WINDOW_MS = 60_000;
const NS_PER_MS = 1e6;
const HIGH = 99;

/** How late the event loop was in the last minutes, ms. */
export interface Lag {
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Measures how late the event loop comes to what is due. */
export class LoopLag {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #before: Lag = { p99Ms: 0, maxMs: 0 };
  #sinceMs = performance.now();

  constructor() {
    this.#histogram.enable();
  }

  read(nowMs: number = performance.now()): Lag {
    const now = this.#now();
    const worse = (a: number, b: number) => Math.round(Math.max(a, b) * 10) / 10;
    const lag = { p99Ms: worse(now.p99Ms, this.#before.p99Ms), maxMs: worse(now.maxMs, this.#before.maxMs) };
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#before = now;
      this.#sinceMs = nowMs;
      this.#histogram.reset();
    }
    return lag;
  }

  close(): void {
    this.#histogram.disable();
  }

  /** The histogram counts the time between two questions, so what was waited for on purpose goes off. */
  #now(): Lag {
    if (this.#histogram.count === 0) return { p99Ms: 0, maxMs: 0 };
    const late = (ns: number) => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
    return { p99Ms: late(this.#histogram.percentile(HIGH)), maxMs: late(this.#histogram.max) };
  }
}
