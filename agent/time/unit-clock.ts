import type { Clock, UtcReading, UtcSource } from '#contracts';
import type { ClockReading, Timekeeping } from '#firmware-bridge/boottime';
import type { TimeFloor } from './floor.ts';

const NS_PER_MS = 1_000_000n;
/** A source that has said nothing for this long is not believed any more, ns. */
const STALE_NS = 120_000_000_000n;
/** How fast an undisturbed quartz may drift, parts of one. */
const DRIFT = 100e-6;
/** What a word may be off by on its way, beyond the bound of its error, ns. */
const STEP_NS = 500_000_000n;
/** Words that speak of one and the same new time lie this close together, ns: one that creeps is none. */
const AGREE_NS = 100_000_000n;
/** After this many words that agree with each other a step is believed: time was really set. */
const STEP_VOTES = 5;

/** What a source of time says: UTC at a boottime, with a bound of its error. */
export interface TimeWord {
  readonly bootNs: bigint;
  readonly utcNs: bigint;
  readonly errorNs: number;
}

interface Held {
  readonly source: UtcSource;
  offsetNs: bigint;
  errorNs: number;
  heardNs: bigint;
  /** The word that all later ones are measured by: many small steps are a large one. */
  reference: { offsetNs: bigint; errorNs: number; bootNs: bigint };
  /** A step that waits for more words of the same kind. */
  step: { offsetNs: bigint; votes: number } | null;
}

/** Better first. */
const SOURCES: readonly UtcSource[] = ['gnss', 'receiver', 'ntp'];

export interface UnitClockOptions {
  readonly read: () => ClockReading;
  readonly timekeeping: () => Timekeeping;
  readonly floor: TimeFloor;
  /** A source stepped by more than it may: it was not believed, or, `believed`, it was after several words. */
  readonly onStep?: (source: UtcSource, stepMs: number, believed: boolean) => void;
}

/**
 * Boottime to UTC. Several sources speak; the best that is fresh counts. None is believed below the stored floor, none that
 * steps against boottime without saying so again and again (a spoofed satellite, a daemon gone mad): UTC is then unknown, and
 * what depends on it fails closed. Capture goes on.
 */
export class UnitClock implements Clock {
  readonly #options: UnitClockOptions;
  readonly #held = new Map<UtcSource, Held>();
  #reading: UtcReading = UNKNOWN;

  constructor(options: UnitClockOptions) {
    this.#options = options;
    this.tick();
  }

  bootNs(): bigint {
    return this.#options.read().bootNs;
  }

  monotonicMs(): number {
    return performance.now();
  }

  /** As of the newest `tick`. */
  utc(): UtcReading {
    return this.#reading;
  }

  /** UTC of now, ms since 1970; null where it is unknown. */
  utcNowMs(): number | null {
    const { offsetNs } = this.#reading;
    return offsetNs === null ? null : Number((this.bootNs() + offsetNs) / NS_PER_MS);
  }

  /** A source other than the kernel's clock speaks: GNSS, or a receiver's signed time. */
  hear(source: 'gnss' | 'receiver', { bootNs, utcNs, errorNs }: TimeWord): void {
    this.#take(source, utcNs - bootNs, errorNs, bootNs);
    this.#choose(bootNs);
  }

  /** Asks the kernel, lets old words fade, moves the floor. Called about once a second. */
  tick(): void {
    const { bootNs, realNs } = this.#options.read();
    const { synchronised, errorNs } = this.#options.timekeeping();
    if (synchronised) this.#take('ntp', realNs - bootNs, errorNs, bootNs);
    else this.#held.delete('ntp');
    this.#choose(bootNs);
  }

  #take(source: UtcSource, offsetNs: bigint, errorNs: number, bootNs: bigint): void {
    const held = this.#held.get(source);
    if (held === undefined) {
      const reference = { offsetNs, errorNs, bootNs };
      this.#held.set(source, { source, offsetNs, errorNs, heardNs: bootNs, reference, step: null });
      return;
    }
    const { reference } = held;
    const step = offsetNs - reference.offsetNs;
    const drift = Number(bootNs - reference.bootNs) * DRIFT;
    const explained = BigInt(Math.ceil(reference.errorNs + errorNs + drift)) + STEP_NS;
    if (magnitude(step) <= explained) {
      held.step = null;
    } else {
      const before = held.step;
      const agrees = before !== null && magnitude(offsetNs - before.offsetNs) <= AGREE_NS;
      held.step = agrees ? { ...before, votes: before.votes + 1 } : { offsetNs, votes: 1 };
      const believed = held.step.votes >= STEP_VOTES;
      if (!agrees || believed) this.#options.onStep?.(source, Number(step / NS_PER_MS), believed);
      if (!believed) return;
      held.step = null;
      held.reference = { offsetNs, errorNs, bootNs };
    }
    held.offsetNs = offsetNs;
    held.errorNs = errorNs;
    held.heardNs = bootNs;
  }

  #choose(bootNs: bigint): void {
    const { floor } = this.#options;
    for (const source of SOURCES) {
      const held = this.#held.get(source);
      // While a source steps, neither its old word nor its new one can be trusted.
      if (held === undefined || held.step !== null || bootNs - held.heardNs > STALE_NS) continue;
      const utcMs = Number((bootNs + held.offsetNs) / NS_PER_MS);
      if (utcMs < floor.utcMs) continue;
      floor.raise(utcMs);
      const errorNs = held.errorNs + Number(bootNs - held.heardNs) * DRIFT;
      const same = this.#reading.source === source && magnitude(held.offsetNs - this.#reading.offsetNs!) < NS_PER_MS;
      // Readings are compared by what they say: a drift below a millisecond is the same mapping.
      if (!same) this.#reading = { offsetNs: held.offsetNs, errorNs, source };
      return;
    }
    if (this.#reading.source !== 'unknown') this.#reading = UNKNOWN;
  }
}

const UNKNOWN: UtcReading = { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' };

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}
