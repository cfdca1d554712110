import {
  CLASSIC_SLOT_BYTES,
  type Clock,
  type FrameBatch,
  type FrameFilter,
  type FrameSource,
  HEADER_BYTES,
  IdMatcher,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import type { GpsdFix } from '#firmware-bridge/gpsd';

/** Ids of dbc/databases/tollgate-gnss.dbc. They are on no bus. */
export const GNSS_POSITION_ID = 1;
export const GNSS_QUALITY_ID = 2;
export const GNSS_MOTION_ID = 3;
/** A position and what goes with it, at most. */
const MOST_FRAMES = 3;
/** The quality is told this often also where no report comes, ms: its age goes on. */
const QUALITY_MS = 1_000;
/** gpsd repeats a fix while the receiver has no other; older ones are none, ns. */
export const DEFAULT_MAX_AGE_NS = 5_000_000_000n;
/** Raw values that say "not known", as the database has them. */
const NO_AGE = 0xffff;
const NO_ERROR = 0xffff;
const NO_HEADING = 0xffff;
const NO_SPEED = 0xffff;
const NO_ALTITUDE = -0x8000_0000;
const DEGREE_STEPS = 1e7;
const AGE_STEP_NS = 10_000_000n;
const ERROR_STEPS = 10;
const HEADING_STEPS = 100;
const SPEED_STEPS = 100;
const ALTITUDE_STEPS = 100;

/** Who tells of reports, and when they came. */
export interface FixFeed {
  /** @returns takes the listener away again */
  listen(onFix: (fix: GpsdFix, bootNs: bigint) => void): () => void;
}

export interface GnssSourceOptions {
  readonly name: string;
  readonly channel: number;
  readonly bootId: Uint8Array;
  readonly clock: Clock;
  readonly feed: FixFeed;
  readonly maxAgeNs?: bigint;
}

/**
 * Position as frames of a small database, so that gate, cloak and records treat it as any other signal. Without a fix, or
 * with one that is too old, no position comes, and to the gate it is unknown.
 */
export function gnssSource(options: GnssSourceOptions): FrameSource {
  return new GnssSource(options);
}

class GnssSource implements FrameSource {
  readonly name: string;
  readonly ended: Promise<void>;
  readonly #end: () => void;
  readonly #fail: (error: unknown) => void;
  readonly #options: GnssSourceOptions;
  readonly #bytes = new Uint8Array(MOST_FRAMES * CLASSIC_SLOT_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #wanted = new IdMatcher(null);
  #deliver: ((batch: FrameBatch) => void | Promise<void>) | null = null;
  #deaf: (() => void) | null = null;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #dropped = 0;
  #skipped = 0;
  #fix: GpsdFix | null = null;
  /** Boottime of the newest fix that gave a position. */
  #placedNs: bigint | null = null;
  #reportedNs = 0n;

  constructor(options: GnssSourceOptions) {
    this.name = options.name;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    this.ended = promise;
    this.#end = resolve;
    this.#fail = reject;
  }

  async open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void> {
    this.#deliver = deliver;
    this.refilter(filter);
    this.#deaf = this.#options.feed.listen((fix, bootNs) => this.#report(fix, bootNs));
    this.#timer = setInterval(() => this.#silence(), QUALITY_MS);
    this.#timer.unref();
  }

  refilter(filter: FrameFilter): void {
    this.#wanted = IdMatcher.of(filter, this.#options.channel);
  }

  dropped(): { count: number; exact: boolean } {
    return { count: this.#dropped, exact: true };
  }

  skipped(): number {
    return this.#skipped;
  }

  malformed(): number {
    return 0;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#deaf?.();
    this.#deliver = null;
    this.#end();
  }

  #report(fix: GpsdFix, bootNs: bigint): void {
    const { maxAgeNs = DEFAULT_MAX_AGE_NS } = this.#options;
    this.#fix = fix;
    this.#reportedNs = bootNs;
    const { mode, latitude, longitude } = fix;
    const ageNs = this.#ageOf(fix, bootNs);
    const placed = mode >= 2 && latitude !== null && longitude !== null && ageNs <= maxAgeNs;
    if (placed) this.#placedNs = bootNs - ageNs;
    let count = this.#quality(0, bootNs);
    if (placed) {
      count = this.#frame(count, GNSS_POSITION_ID, bootNs, (at) => {
        this.#view.setInt32(at, Math.round(latitude * DEGREE_STEPS), true);
        this.#view.setInt32(at + 4, Math.round(longitude * DEGREE_STEPS), true);
      });
      count = this.#frame(count, GNSS_MOTION_ID, bootNs, (at) => {
        this.#view.setUint16(at, scaled(fix.heading, HEADING_STEPS, NO_HEADING), true);
        this.#view.setUint16(at + 2, scaled(fix.speed, SPEED_STEPS, NO_SPEED), true);
        const { altitude } = fix;
        this.#view.setInt32(at + 4, altitude === null ? NO_ALTITUDE : Math.round(altitude * ALTITUDE_STEPS), true);
      });
    }
    this.#hand(count);
  }

  /** How old a fix is when it comes; where UTC is unknown gpsd's own delay is all that is known, and it is short. */
  #ageOf({ utcNs }: GpsdFix, bootNs: bigint): bigint {
    const { offsetNs } = this.#options.clock.utc();
    if (utcNs === null || offsetNs === null) return 0n;
    const ageNs = bootNs + offsetNs - utcNs;
    return ageNs > 0n ? ageNs : 0n;
  }

  /** No report came for a while: the age of the position goes on. */
  #silence(): void {
    const nowNs = this.#options.clock.bootNs();
    if (nowNs - this.#reportedNs < 2n * BigInt(QUALITY_MS) * 1_000_000n) return;
    this.#fix = null;
    this.#hand(this.#quality(0, nowNs));
  }

  #quality(count: number, bootNs: bigint): number {
    const { mode = 0, horizontalError = null } = this.#fix ?? {};
    const age = this.#placedNs === null ? BigInt(NO_AGE) : (bootNs - this.#placedNs) / AGE_STEP_NS;
    return this.#frame(count, GNSS_QUALITY_ID, bootNs, (at) => {
      this.#view.setUint8(at, mode);
      this.#view.setUint16(at + 1, age > BigInt(NO_AGE) ? NO_AGE : Number(age), true);
      this.#view.setUint16(at + 3, scaled(horizontalError, ERROR_STEPS, NO_ERROR), true);
    });
  }

  /** @returns the number of frames with this one, where it is wanted */
  #frame(count: number, id: number, bootNs: bigint, write: (payload: number) => void): number {
    if (!this.#wanted.passes(id)) {
      this.#skipped++;
      return count;
    }
    // The batch before is still being taken: a report a second is no flood, so this is a store that stands still.
    if (this.#busy) {
      this.#dropped++;
      return count;
    }
    const at = count * CLASSIC_SLOT_BYTES;
    this.#bytes.fill(0, at, at + CLASSIC_SLOT_BYTES);
    this.#view.setBigUint64(at, bootNs, true);
    this.#view.setUint32(at + OFFSET_ID, id, true);
    this.#view.setUint8(at + OFFSET_LENGTH, CLASSIC_SLOT_BYTES - HEADER_BYTES);
    this.#view.setUint8(at + OFFSET_CHANNEL, this.#options.channel);
    write(at + HEADER_BYTES);
    return count + 1;
  }

  #hand(count: number): void {
    if (count === 0 || this.#deliver === null) return;
    const { bootId, clock } = this.#options;
    const { offsetNs, errorNs, source } = clock.utc();
    const taken = this.#deliver({
      bytes: this.#bytes,
      slotBytes: CLASSIC_SLOT_BYTES,
      count,
      bootId,
      utcOffsetNs: offsetNs,
      utcErrorNs: errorNs,
      utcSource: source,
    });
    if (taken === undefined) return;
    this.#busy = true;
    taken.then(
      () => {
        this.#busy = false;
      },
      (error) => this.#fail(error),
    );
  }
}

/** A value in steps; what does not fit into two bytes is as unknown as none. */
function scaled(value: number | null, steps: number, unknown: number): number {
  return value === null ? unknown : Math.min(Math.round(value * steps), unknown);
}
