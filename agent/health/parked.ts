import type { Log } from '../log.ts';

/** What goes on the road is to be sent while there is power, ms. */
const FLUSH_MS = 1_000;

interface Parts {
  readonly unit: { onDrive: ((on: boolean) => void) | null; rest(): Promise<void> };
  readonly uplink: { flush(ms: number): Promise<boolean> } | null;
  /** What writes by itself now and then holds still while this says so. */
  readonly still: (parked: boolean) => void;
  readonly log: Log;
}

/**
 * Ignition off: what is open is committed, signed and sent, and then nothing is written that no rule lets in. The power
 * may end at any time from then on.
 */
export class Parked {
  #parked = false;
  #settled = false;

  constructor({ unit, uplink, still, log }: Parts) {
    unit.onDrive = (on) => {
      this.#parked = !on;
      this.#settled = false;
      still(!on);
      log.info('ignition', { up: on });
      if (on) return;
      const settle = async () => {
        await unit.rest();
        await uplink?.flush(FLUSH_MS);
        this.#settled = this.#parked;
      };
      // A store that takes nothing is the watchdog's and the tick's to judge.
      settle().catch(() => log.warn('not-settled'));
    };
  }

  /** The ignition is off, and everything is on the disk. */
  get idle(): boolean {
    return this.#parked && this.#settled;
  }
}
