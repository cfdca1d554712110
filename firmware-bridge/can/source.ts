import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import {
  CLASSIC_SLOT_BYTES,
  type Clock,
  FD_SLOT_BYTES,
  type FrameBatch,
  type FrameFilter,
  type FrameSource,
  filterPairs,
  TollgateError,
} from '#contracts';
import { type BusState, type CanCounters, type CanDriver, CanOpenError, type CanSocket } from './driver.ts';
import type { FilteredBy } from './filter.ts';

/** Slots of a batch: at full load of a 500 kbit/s bus, 60 ms. */
const BATCH_FRAMES = 256;
/** Half a second of a full 1 Mbit/s bus in the kernel's queue: about 800 B a frame in its accounting. */
const RECEIVE_BUFFER = 4 * 2 ** 20;
/** While frames come, none waits longer than this for its batch, ms. */
const COALESCE_MS = 4;
/** A message of a vehicle comes at most every 5 ms; ten times that is a fault or an attack, frames of one id a second. */
export const DEFAULT_ID_BUDGET = 2_000;
/** How often an absent interface is looked for, and silence is judged, ms. */
const LOOK_MS = 1_000;
/** Silence of this many learned gaps, and at least so many ms, is a stall. */
const STALL_GAPS = 20;
const STALL_MIN_MS = 3_000;
/** Weight of the newest look in the learned rate. */
const LEARNING = 0.2;

/** What a bus is doing, as `tollgate status` says it. */
export type CanHealth = 'ok' | 'absent' | 'down' | 'stalled' | Exclude<BusState, 'active'>;

export interface CanStatus {
  readonly health: CanHealth;
  readonly received: number;
  readonly queueLost: number;
  /** At least so many frames were lost in the controller. */
  readonly overruns: number;
  readonly errorFrames: number;
  readonly shed: number;
  readonly restarts: number;
  readonly filteredBy: FilteredBy;
  /** Ids and masks that the plan wants; 0 also where it wants every frame. */
  readonly filters: number;
  /** Frames without a decode right that reached the receiver, which threw them away. */
  readonly skipped: number;
}

export interface CanSourceOptions {
  /** Shown in status and errors. */
  readonly name: string;
  /** Of the system, e.g. `can0`. */
  readonly interface: string;
  readonly channel: number;
  /** Takes CAN FD frames, in slots of 80 bytes. */
  readonly fd: boolean;
  readonly bootId: Uint8Array;
  readonly clock: Clock;
  readonly driver: CanDriver;
  /** Frames of one id a second; 0 without a bound. */
  readonly idBudget?: number;
  /** Health changed: for the log and the ledger's gaps. */
  readonly onHealth?: (health: CanHealth, before: CanHealth) => void;
}

export interface CanSource extends FrameSource {
  status(): CanStatus;
}

/**
 * A live CAN interface. It never gives up on one that is there no more: frames come again when it does.
 *
 * `open` resolves also while the interface is absent; it rejects where the kernel has no CAN or forbids it.
 */
export function canSource(options: CanSourceOptions): CanSource {
  return new SocketSource(options);
}

type Sums = { -readonly [K in Exclude<keyof CanCounters, 'busState'>]: CanCounters[K] };

class SocketSource implements CanSource {
  readonly name: string;
  readonly #link: string;
  readonly ended: Promise<void>;
  readonly #end: () => void;
  readonly #fail: (error: unknown) => void;
  readonly #options: CanSourceOptions;
  readonly #batch: { -readonly [K in keyof FrameBatch]: FrameBatch[K] };
  /** Counts of sockets that were closed since `open`. */
  readonly #closedCounts: Sums = {
    received: 0,
    queueLost: 0,
    overruns: 0,
    errorFrames: 0,
    shed: 0,
    skipped: 0,
    restarts: 0,
  };
  #deliver: ((batch: FrameBatch) => void | Promise<void>) | null = null;
  #pairs: Uint32Array | null = null;
  #socket: CanSocket | null = null;
  #timer: NodeJS.Timeout | undefined;
  #down = false;
  #health: CanHealth = 'absent';
  #seen = 0;
  #seenMs = 0;
  #framesPerMs = 0;
  #linkOverruns: number | null = null;

  constructor(options: CanSourceOptions) {
    this.name = options.name;
    this.#link = options.interface;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    this.ended = promise;
    this.#end = resolve;
    this.#fail = reject;
    this.#batch = {
      bytes: new Uint8Array(0),
      slotBytes: options.fd ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES,
      count: 0,
      bootId: options.bootId,
      utcOffsetNs: null,
      utcErrorNs: Number.POSITIVE_INFINITY,
      utcSource: 'unknown',
    };
  }

  async open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void> {
    this.#deliver = deliver;
    this.#pairs = filterPairs(filter, this.#options.channel);
    this.#tryOpen();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  refilter(filter: FrameFilter): void {
    this.#pairs = filterPairs(filter, this.#options.channel);
    this.#socket?.refilter(this.#pairs);
  }

  dropped(): { count: number; exact: boolean } {
    const { queueLost, shed, overruns } = this.status();
    return { count: queueLost + shed + overruns, exact: overruns === 0 };
  }

  skipped(): number {
    return this.#closedCounts.skipped + (this.#socket?.counters.skipped ?? 0);
  }

  malformed(): number {
    return 0;
  }

  status(): CanStatus {
    const now = this.#socket?.counters;
    const sum = (key: keyof Sums) => this.#closedCounts[key] + (now?.[key] ?? 0);
    // Both speak of the same frames: the controller's error frames, and what the link counts.
    const link = this.#linkOverruns === null ? 0 : overrunsOf(this.#link) - this.#linkOverruns;
    return {
      health: this.#health,
      received: sum('received'),
      queueLost: sum('queueLost'),
      overruns: Math.max(sum('overruns'), link),
      errorFrames: sum('errorFrames'),
      shed: sum('shed'),
      restarts: sum('restarts'),
      filteredBy: this.#socket?.filteredBy ?? 'nobody',
      filters: (this.#pairs?.length ?? 0) / 2,
      skipped: sum('skipped'),
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closeSocket();
    this.#deliver = null;
    this.#end();
  }

  #tryOpen(): void {
    const { channel, driver, fd, idBudget = DEFAULT_ID_BUDGET } = this.#options;
    try {
      this.#socket = driver.open(
        {
          interface: this.#link,
          slotBytes: fd ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES,
          batchFrames: BATCH_FRAMES,
          channel,
          pairs: this.#pairs,
          perSecond: idBudget,
          receiveBuffer: RECEIVE_BUFFER,
          coalesceMs: COALESCE_MS,
        },
        (bytes, count, errno) => this.#onBatch(bytes, count, errno),
      );
      this.#linkOverruns ??= overrunsOf(this.#link);
      this.#down = false;
      this.#seen = 0;
      this.#seenMs = performance.now();
      this.#judge();
    } catch (error) {
      if (!(error instanceof CanOpenError)) throw error;
      if (error.errno === constants.errno.ENODEV || error.errno === ENXIO) this.#say('absent');
      else throw cannotOpen(this.#link, error);
    }
  }

  #onBatch(bytes: Uint8Array, count: number, errno: number): void {
    if (errno !== 0) {
      this.#onError(errno);
      return;
    }
    this.#down = false;
    if (count === 0) {
      this.#judge();
      this.#socket?.resume();
      return;
    }
    const { clock } = this.#options;
    const { offsetNs, errorNs, source } = clock.utc();
    this.#batch.bytes = bytes;
    this.#batch.count = count;
    this.#batch.utcOffsetNs = offsetNs;
    this.#batch.utcErrorNs = errorNs;
    this.#batch.utcSource = source;
    const socket = this.#socket;
    const taken = this.#deliver?.(this.#batch);
    // Until the pipeline has taken it nothing is read; what the kernel then has no room for it counts.
    if (taken === undefined) socket?.resume();
    else
      taken.then(
        () => socket?.resume(),
        (error) => this.#fail(error),
      );
  }

  #onError(errno: number): void {
    if (errno === constants.errno.ENODEV || errno === ENXIO) {
      this.#closeSocket();
      this.#say('absent');
      return;
    }
    // ENETDOWN: the socket lives on and hears the interface when it is up again.
    this.#down = errno === constants.errno.ENETDOWN;
    this.#judge();
    this.#socket?.resume();
  }

  #look(): void {
    if (this.#deliver === null) return;
    if (this.#socket === null) {
      try {
        this.#tryOpen();
      } catch (error) {
        this.#fail(error);
      }
      return;
    }
    const { received } = this.#socket.counters;
    const nowMs = performance.now();
    const frames = received - this.#seen;
    if (frames > 0) {
      const rate = frames / Math.max(1, nowMs - this.#seenMs);
      this.#framesPerMs = this.#framesPerMs === 0 ? rate : this.#framesPerMs + LEARNING * (rate - this.#framesPerMs);
      this.#seen = received;
      this.#seenMs = nowMs;
      // A bus that talks is up, whatever was said before.
      this.#down = false;
    }
    this.#judge();
  }

  #judge(): void {
    const { busState } = this.#socket?.counters ?? { busState: 'active' as const };
    if (this.#socket === null) this.#say('absent');
    else if (this.#down) this.#say('down');
    else if (busState === 'bus-off') this.#say('bus-off');
    else if (this.#silent()) this.#say('stalled');
    else this.#say(busState === 'active' ? 'ok' : busState);
  }

  #silent(): boolean {
    if (this.#framesPerMs === 0) return false;
    return performance.now() - this.#seenMs > Math.max(STALL_MIN_MS, STALL_GAPS / this.#framesPerMs);
  }

  #say(health: CanHealth): void {
    if (health === this.#health) return;
    const before = this.#health;
    this.#health = health;
    this.#options.onHealth?.(health, before);
  }

  #closeSocket(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    for (const key of Object.keys(this.#closedCounts) as (keyof Sums)[])
      this.#closedCounts[key] += socket.counters[key];
    socket.close();
  }
}

/** No such device or address; `os.constants` has it on Linux only as a number. */
const ENXIO = 6;

/** Frames that the controller or its driver had no room for, from the link's statistics; 0 where it has none. */
function overrunsOf(name: string): number {
  const counter = (file: string) => {
    try {
      return Number(readFileSync(`/sys/class/net/${name}/statistics/${file}`, 'latin1'));
    } catch {
      return 0;
    }
  };
  return counter('rx_over_errors') + counter('rx_missed_errors');
}

function cannotOpen(name: string, { errno, message }: CanOpenError): TollgateError {
  if (errno === constants.errno.EAFNOSUPPORT || errno === constants.errno.EPROTONOSUPPORT) {
    return new TollgateError('TG_CAN_NO_KERNEL', `this kernel has no CAN sockets: ${message}`, {
      place: { file: name },
    });
  }
  return new TollgateError('TG_CAN_OPEN', `${name} cannot be opened: ${message}`, { place: { file: name } });
}
