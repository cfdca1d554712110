import { setTimeout as timer } from 'node:timers/promises';

/** Time and chance of the uplink; a test gives its own and lets an hour pass in no time. */
export interface UplinkTiming {
  /** Monotonic time of the host, ms. */
  monotonicMs(): number;
  /** Resolves after `ms`, or early when the signal aborts; never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** 0 ≤ x < 1. */
  random(): number;
}

export const HOST_TIMING: UplinkTiming = {
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => timer(ms, undefined, { signal }).catch(() => undefined),
  random: Math.random,
};

/** A bell that one loop waits for and others ring; a ring before the wait is not lost. */
export class Bell {
  #rung = false;
  #wake: (() => void) | null = null;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Waits for a ring, at most `ms`. */
  async wait(ms: number, timing: UplinkTiming): Promise<void> {
    if (!this.#rung && ms > 0) {
      const given = new AbortController();
      const rung = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await (Number.isFinite(ms) ? Promise.race([rung, timing.sleep(ms, given.signal)]) : rung);
      given.abort();
      this.#wake = null;
    }
    this.#rung = false;
  }
}
