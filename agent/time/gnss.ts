import { type GpsdFix, type GpsdHealth, openGpsd } from '#firmware-bridge/gpsd';
import type { GnssConfig } from '../config/load.ts';
import type { Log } from '../log.ts';
import type { FixFeed } from '../sources/gnss.ts';
import type { UnitClock } from './unit-clock.ts';

/**
 * A report comes after the moment that it speaks of: the receiver computes, a serial line at 9,600 baud takes half a second,
 * gpsd waits for the end of a cycle. Within this time, ns; its middle is taken and half of it is the error.
 */
const REPORT_DELAY_NS = 1_000_000_000n;
/** Where gpsd names no error of the time, ns. */
const DEFAULT_TIME_ERROR_NS = 1e6;

export interface GnssFeed extends FixFeed {
  health(): GpsdHealth;
  close(): void;
}

/** What a report says about UTC; null where it has no fix: a receiver without one counts on from what it remembers. */
export function timeWord(
  { mode, utcNs, timeErrorNs }: GpsdFix,
  bootNs: bigint,
): { readonly bootNs: bigint; readonly utcNs: bigint; readonly errorNs: number } | null {
  if (mode < 2 || utcNs === null) return null;
  const half = REPORT_DELAY_NS / 2n;
  return { bootNs, utcNs: utcNs + half, errorNs: (timeErrorNs ?? DEFAULT_TIME_ERROR_NS) + Number(half) };
}

/** One connection to gpsd, for the clock and for the source of positions. */
export function openGnss({ host, port }: Pick<GnssConfig, 'host' | 'port'>, clock: UnitClock, log: Log): GnssFeed {
  const listeners = new Set<(fix: GpsdFix, bootNs: bigint) => void>();
  const client = openGpsd({
    host,
    port,
    bootNs: () => clock.bootNs(),
    onFix: (fix, bootNs) => {
      const word = timeWord(fix, bootNs);
      if (word !== null) clock.hear('gnss', word);
      for (const listener of listeners) listener(fix, bootNs);
    },
    onConnection: (up) => log.info('gnss', { up }),
  });
  return {
    listen(onFix) {
      listeners.add(onFix);
      return () => void listeners.delete(onFix);
    },
    health: () => client.health(),
    close: () => client.close(),
  };
}
