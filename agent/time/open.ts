import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readClocks, readTimekeeping } from '#firmware-bridge/boottime';
import type { Log } from '../log.ts';
import { TimeFloor } from './floor.ts';
import { UnitClock } from './unit-clock.ts';

/** In the state folder: the latest UTC that was known. */
const FLOOR_FILE = 'time-floor';
const TICK_MS = 1_000;

/** A unit's clock that runs until `close`. */
export interface OpenClock {
  readonly clock: UnitClock;
  /** Steps of a source that were seen. */
  readonly steps: number;
  /** The vehicle is parked: nothing is written for the clock. */
  rest(resting: boolean): void;
  close(): Promise<void>;
}

/**
 * The clock of this machine.
 *
 * @throws {TollgateError} TG_BRIDGE_NO_ADDON
 */
export async function openUnitClock(state: string, log: Log): Promise<OpenClock> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const floor = await TimeFloor.read(join(state, FLOOR_FILE));
  let steps = 0;
  const clock = new UnitClock({
    read: readClocks,
    timekeeping: readTimekeeping,
    floor,
    onStep: (_, stepMs, believed) => {
      steps++;
      log.warn(believed ? 'time-stepped' : 'time-step-refused', { ms: stepMs });
    },
  });
  const timer = setInterval(() => clock.tick(), TICK_MS);
  timer.unref();
  return {
    clock,
    get steps() {
      return steps;
    },
    rest: (resting) => floor.hold(resting),
    async close() {
      clearInterval(timer);
      await floor.settled();
    },
  };
}
