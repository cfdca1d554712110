import type { UtcReading } from '#contracts';

/**
 * The plan at work: a bitmap of (stream, signal) pairs recomputed when slow context changes, and tests on fast context
 * per sample. Unknown context fails closed. Allocates nothing per row.
 */
export interface Gate {
  /** Slow context: re-evaluates what has an edge at or before now. Cheap when nothing is due. */
  tick(timeNs: number, utc: UtcReading): void;
  /** A new value of context signal `index` (its place in `plan.rights` of right `context`), physical. */
  context(index: number, timeNs: number, value: number): void;
  /** Whether signal `signal` of stream `stream` may leave as of now; counts the denial under its rule where not. */
  admits(stream: number, signal: number): boolean;
  /** As `admits`, and counts nothing: for lists that are made when the generation has changed. */
  opens(stream: number, signal: number): boolean;
  /** Goes up whenever some `admits` changes; what was asked before holds as long as it stays. */
  readonly generation: number;
  /**
   * Whether no edge of time or age lies between two boottimes, ns: then rows between them need no `tick`. To be asked
   * again after `context`.
   */
  still(fromNs: number, toNs: number, utc: UtcReading): boolean;
  /** Denials since the last call, by rule; used once a minute for the ledger, and by the demo's screen. */
  drainDenials(): readonly GateDenial[];
}

export interface GateDenial {
  readonly stream: number;
  readonly signal: number;
  readonly rule: string;
  readonly constraint: string;
  readonly count: number;
}
