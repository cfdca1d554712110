import type { Clock, UtcReading, UtcSource } from '#contracts';
import type { ClockReading, Timekeeping } from '#firmware-bridge/boottime';
import { LATEST_MS, type TimeFloor } from './floor.ts';

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

/** Two sources say the same within their errors and this, ns. */
const SAME_NS = 1_000_000_000n;
/**
 * One source alone moves the floor this often, ms of boottime, and by at most so many times what passed: a floor that is
 * behind catches up a day in an hour, and a source that is years ahead for an hour shuts the unit for a day, not for years.
 */
const ALONE_MS = 60_000;
const CATCH_UP = 24;
/** Time asleep counts once; of what passed beyond this, ms, nobody listened. */
const MOST_AWAKE_MS = 5 * 60_000;

/** A host's clock that is off by less is not called wrong: certificates are not made for minutes, ms. */
const BOUND_SLACK_MS = 60_000;

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
  /** When the floor moved, or this clock began. */
  #raisedNs: bigint;

  constructor(options: UnitClockOptions) {
    this.#options = options;
    this.#raisedNs = options.read().bootNs;
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

  /** Between what UTC lies, ms since 1970; where it is unknown it is at least the floor. */
  bounds(): { readonly lowestMs: number; readonly highestMs: number | null } {
    const nowMs = this.utcNowMs();
    const { errorNs } = this.#reading;
    if (nowMs === null) return { lowestMs: this.#options.floor.utcMs, highestMs: null };
    const errorMs = Math.ceil(errorNs / 1e6) + BOUND_SLACK_MS;
    return { lowestMs: nowMs - errorMs, highestMs: nowMs + errorMs };
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
      if (utcMs < floor.utcMs || utcMs > LATEST_MS) continue;
      this.#raise(held, utcMs, bootNs);
      const errorNs = held.errorNs + Number(bootNs - held.heardNs) * DRIFT;
      const same = this.#reading.source === source && magnitude(held.offsetNs - this.#reading.offsetNs!) < NS_PER_MS;
      // Readings are compared by what they say: a drift below a millisecond is the same mapping.
      if (!same) this.#reading = { offsetNs: held.offsetNs, errorNs, source };
      return;
    }
    if (this.#reading.source !== 'unknown') this.#reading = UNKNOWN;
  }

  /** The floor never goes down again, so no single word raises it far: another source must say the same, or time must pass. */
  #raise(held: Held, utcMs: number, bootNs: bigint): void {
    const { floor } = this.#options;
    const passedMs = Number((bootNs - this.#raisedNs) / NS_PER_MS);
    const witness = this.#witness(held, bootNs);
    if (witness === null && passedMs < ALONE_MS) return;
    const most = floor.utcMs + passedMs + Math.min(passedMs, MOST_AWAKE_MS) * CATCH_UP;
    const before = floor.utcMs;
    // To the earlier of the two: the other must not be below it, should this one fall silent.
    floor.raise(Math.min(utcMs, witness === null ? most : Number((bootNs + witness.offsetNs) / NS_PER_MS)));
    if (floor.utcMs !== before) this.#raisedNs = bootNs;
  }

  /** Another source that is believed and says the same. */
  #witness(held: Held, bootNs: bigint): Held | null {
    for (const other of this.#held.values()) {
      if (other === held || other.step !== null || bootNs - other.heardNs > STALE_NS) continue;
      const apart = magnitude(other.offsetNs - held.offsetNs);
      if (apart <= SAME_NS + BigInt(Math.ceil(other.errorNs + held.errorNs))) return other;
    }
    return null;
  }
}

const UNKNOWN: UtcReading = { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' };

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}
