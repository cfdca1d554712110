import type { UtcSource } from './frames.ts';

/** What is known of UTC at one moment. */
export interface UtcReading {
  /** UTC in ns = boottime in ns + this; null where UTC is unknown: time-bound rights then fail closed. */
  readonly offsetNs: bigint | null;
  /** Bound of the error, ns. */
  readonly errorNs: number;
  readonly source: UtcSource;
}

/** Time as the agent sees it. Nothing orders by wall time. */
export interface Clock {
  /** CLOCK_BOOTTIME of this unit (a log: time since its first frame), ns. */
  bootNs(): bigint;
  /** Monotonic time of the host, ms: paces commits, checkpoints, publications and alarms. */
  monotonicMs(): number;
  utc(): UtcReading;
}
