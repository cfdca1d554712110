import type { Clock, FrameBatch, UtcReading } from '#contracts';

const NS_PER_MS = 1_000_000n;

/** A step of UTC against boottime larger than this is a time jump: streams end, the ledger gets a leaf. */
export const TIME_JUMP_NS = 500_000_000n;

/**
 * The time of the frames: boottime and UTC as the newest batch has them. Between batches boottime goes on with the
 * host's monotonic time where the source is live, and stands still for a log that is read faster than it was made.
 */
export class FrameClock implements Clock {
  readonly #live: boolean;
  #bootNs = 0n;
  #seenMs: number;
  #reference: bigint | null = null;
  #utc: UtcReading = { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' };

  /** @param unit the unit's own clock, where sources are live: until the first frame time is what it says */
  constructor(live: boolean, unit: Clock | null = null) {
    this.#live = live;
    this.#seenMs = performance.now();
    if (unit === null) return;
    this.#bootNs = unit.bootNs();
    this.#utc = unit.utc();
    this.#reference = this.#utc.offsetNs;
  }

  /**
   * Takes over a batch's mapping and the time of its last frame.
   *
   * @returns true where UTC stepped against boottime by more than `TIME_JUMP_NS` (not at the first mapping)
   */
  observe(batch: FrameBatch, lastNs: number): boolean {
    this.#bootNs = BigInt(Math.trunc(lastNs));
    this.#seenMs = performance.now();
    const { utcOffsetNs: offsetNs, utcErrorNs: errorNs, utcSource: source } = batch;
    const changed = offsetNs !== this.#utc.offsetNs || errorNs !== this.#utc.errorNs || source !== this.#utc.source;
    if (changed) this.#utc = { offsetNs, errorNs, source };
    if (offsetNs === null) return false;
    // Compared with the offset that the streams began under: many small steps are a jump as well.
    this.#reference ??= offsetNs;
    const step = offsetNs - this.#reference;
    if (step <= TIME_JUMP_NS && step >= -TIME_JUMP_NS) return false;
    this.#reference = offsetNs;
    return true;
  }

  bootNs(): bigint {
    if (!this.#live) return this.#bootNs;
    return this.#bootNs + BigInt(Math.trunc(performance.now() - this.#seenMs)) * NS_PER_MS;
  }

  monotonicMs(): number {
    return performance.now();
  }

  utc(): UtcReading {
    return this.#utc;
  }
}

/** UTC in whole ms at a boottime, or null where it is unknown. */
export function utcMs(bootNs: bigint, utc: UtcReading): number | null {
  return utc.offsetNs === null ? null : Number((bootNs + utc.offsetNs) / NS_PER_MS);
}

/** Receive time of a batch's last frame, ns; exact up to 104 days. */
export function timeOfLast({ bytes, slotBytes, count }: FrameBatch): number {
  if (count === 0) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset + (count - 1) * slotBytes, 8);
  return view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
}
