import { nativeAddon } from './native.ts';

/** Both clocks of the unit at one moment, ns. */
export interface ClockReading {
  /** CLOCK_BOOTTIME: goes on while the unit sleeps, never steps. */
  readonly bootNs: bigint;
  /** CLOCK_REALTIME: whatever somebody set it to. */
  readonly realNs: bigint;
}

const reading = new BigInt64Array(2);

/** @throws {TollgateError} TG_BRIDGE_NO_ADDON */
export function readClocks(): ClockReading {
  nativeAddon().clocks(reading);
  return { bootNs: reading[0]!, realNs: reading[1]! };
}

/** How right the kernel says its wall clock is. */
export interface Timekeeping {
  /** An NTP daemon disciplines it; false from boot until it has settled, and when the daemon has been silent too long. */
  readonly synchronised: boolean;
  /** Bound of its error, ns. */
  readonly errorNs: number;
}

const kept = new Float64Array(2);

/**
 * The kernel's own word (adjtimex(2)), whichever daemon it has it from.
 *
 * @throws {TollgateError} TG_BRIDGE_NO_ADDON
 */
export function readTimekeeping(): Timekeeping {
  nativeAddon().timekeeping(kept);
  return { synchronised: kept[0] === 1, errorNs: kept[1]! };
}
