import type { FilteredBy } from './filter.ts';

/**
 * What receives from one CAN interface. A driver is a file of this folder, chosen by the configuration and imported when
 * it is used; both fill slots of `contracts/frames.ts` and hand over batches.
 */
export interface CanDriver {
  /**
   * @param onBatch called with whole slots, or with an error number of the operating system; the slots are the caller's
   *   until `resume`, and nothing is read meanwhile: what the kernel has no room for is counted as lost
   * @throws {CanOpenError} where the interface cannot be opened
   */
  open(options: CanOpenOptions, onBatch: (bytes: Uint8Array, count: number, errno: number) => void): CanSocket;
}

export interface CanOpenOptions {
  readonly interface: string;
  readonly slotBytes: number;
  /** Slots of a batch. */
  readonly batchFrames: number;
  readonly channel: number;
  /** Ids and masks that have a decode right, as `filterPairs` makes them; null takes every frame. */
  readonly pairs: Uint32Array | null;
  /** Frames of one id taken in a second; 0 without a bound. */
  readonly perSecond: number;
  /** Wanted room of the kernel's queue, bytes. */
  readonly receiveBuffer: number;
  /** While frames come, they wait this long for a batch, ms. */
  readonly coalesceMs: number;
}

export interface CanSocket {
  /** Counters since `open`; the same object, kept up to date. */
  readonly counters: CanCounters;
  readonly filteredBy: FilteredBy;
  /** Other ids and masks, in the kernel as in the table, without a frame lost of those that both have. Never throws. */
  refilter(pairs: Uint32Array | null): void;
  /** The batch was taken. */
  resume(): void;
  close(): void;
}

export type BusState = 'active' | 'warning' | 'passive' | 'bus-off';

export interface CanCounters {
  readonly received: number;
  /** Frames that the kernel had no room for: exact. */
  readonly queueLost: number;
  /** Times that the controller had no room: at least one frame each. */
  readonly overruns: number;
  readonly errorFrames: number;
  /** Frames beyond the budget of their id. */
  readonly shed: number;
  /** Frames without a decode right that the kernel let through: of a plan with too many filters, or that waited when it changed. */
  readonly skipped: number;
  readonly busState: BusState;
  /** Times that the controller came back from bus-off. */
  readonly restarts: number;
}

/** Why an interface could not be opened: an error number of the operating system. */
export class CanOpenError extends Error {
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}
