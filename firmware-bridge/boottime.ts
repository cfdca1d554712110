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
