/** The manager wants two signs of life in its time, sd_watchdog_enabled(3). */
const SIGNS = 2;

/** What shows that the whole path works, and not only the timer that asks. */
export interface Progress {
  /** Monotonic time at which the pipeline last took its turn, ms. */
  readonly turnedMs: number;
  /** The store's thread answers: resolves with the fault that it knows of, null when all is well. */
  store(): Promise<string | null>;
}

export interface WatchdogOptions {
  /** The service is killed after so long without a ping, ms. */
  readonly withinMs: number;
  readonly progress: Progress;
  readonly ping: () => void;
  readonly nowMs?: () => number;
  /** A ping was withheld, the first after one that was not. */
  readonly onWithheld?: () => void;
}

/**
 * Pings from the event loop, and only while the pipeline makes progress: a turn that never ends, and a store's thread
 * that answers nothing, end the process as a blocked loop does. A store that says why it takes nothing (a full disk) is
 * alive: a restart would not mend it, and what waits is still sent.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #nowMs: () => number;
  readonly #timer: NodeJS.Timeout;
  #asking = false;
  #withheld = 0;
  #wasWithheld = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#timer = setInterval(() => void this.look(), options.withinMs / SIGNS);
    void this.look();
  }

  /** Pings that were not sent, since the start. */
  get withheld(): number {
    return this.#withheld;
  }

  /** One look, and a ping where all goes on; what the timer calls. */
  async look(): Promise<void> {
    // A question that got no answer until the next look is an answer.
    if (this.#asking) return this.#withhold();
    this.#asking = true;
    const { progress, withinMs, ping } = this.#options;
    try {
      const fault = await progress.store();
      if (fault === null && this.#nowMs() - progress.turnedMs > withinMs / SIGNS) return this.#withhold();
      this.#wasWithheld = false;
      ping();
    } catch {
      this.#withhold();
    } finally {
      this.#asking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #withhold(): void {
    this.#withheld++;
    if (!this.#wasWithheld) this.#options.onWithheld?.();
    this.#wasWithheld = true;
  }
}
