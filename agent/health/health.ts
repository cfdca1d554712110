import { readFileSync } from 'node:fs';
import type { Clock, FrameSource } from '#contracts';
import type { GpsdHealth } from '#firmware-bridge/gpsd';
import { type Lag, LoopLag } from './loop-lag.ts';

/** One source: what it took and what was lost on the way. `health` is the bus state of a live interface. */
export interface SourceHealth {
  readonly name: string;
  /** `ok`, `absent`, `down`, `stalled`, `warning`, `passive`, `bus-off`; of a source that is not live `ok`. */
  readonly health: string;
  readonly received?: number;
  /** Frames that the kernel had no room for: exact. */
  readonly queueLost?: number;
  /** At least so many frames were lost in the controller. */
  readonly overrunsAtLeast?: number;
  /** Frames beyond the budget of their id. */
  readonly shed?: number;
  readonly errorFrames?: number;
  readonly restarts?: number;
  /** `kernel`, `receiver` or `nobody`: who leaves out what the plan does not want. */
  readonly filteredBy?: string;
  /** Ids and masks of the filter. */
  readonly filters?: number;
  /** Frames that nobody wants and that were thrown away here; those that the kernel left out are counted nowhere. */
  readonly skipped: number;
  readonly dropped: number;
  /** Whether `dropped` is all; else it is a lower bound. */
  readonly exact: boolean;
}

/** Counts, codes and durations: no signal value, no position, no key. */
export interface Health {
  readonly uptimeS: number;
  readonly loop: Lag;
  readonly sources: readonly SourceHealth[];
  readonly time: {
    readonly source: string;
    /** Bound of the error, ms; null where UTC is unknown. */
    readonly errorMs: number | null;
    /** Steps of a source that were seen, believed or not. */
    readonly steps: number;
  };
  /** The receiver of satellites; null where none is configured. */
  readonly gnss: GpsdHealth | null;
  readonly flash: {
    /** Bytes that this process had the block devices write since its start, as the kernel counts; null where it does not. */
    readonly writtenBytes: number | null;
  };
  readonly watchdog: { readonly withinMs: number | null; readonly withheld: number };
  /** The ignition is off and everything is on the disk. */
  readonly idle: boolean;
}

export interface HealthParts {
  readonly sources: readonly FrameSource[];
  readonly clock: Clock | null;
  readonly steps?: () => number;
  readonly gnss?: () => GpsdHealth | null;
  readonly watchdog?: () => Health['watchdog'];
  readonly idle?: () => boolean;
  readonly writtenBytes?: () => number | null;
}

const NS_PER_MS = 1e6;
const MS_PER_S = 1_000;

/** Watches one agent; cheap enough to be asked at any time. */
export class HealthMonitor {
  readonly #parts: HealthParts;
  readonly #lag = new LoopLag();

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  read(): Health {
    const { sources, clock, steps, gnss, watchdog, idle, writtenBytes = flashBytes } = this.#parts;
    const utc = clock?.utc() ?? null;
    const known = utc !== null && utc.offsetNs !== null && Number.isFinite(utc.errorNs);
    return {
      uptimeS: Math.floor(performance.now() / MS_PER_S),
      loop: this.#lag.read(),
      sources: sources.map(sourceHealth),
      time: {
        // Where no source is live each log brings its own time.
        source: utc?.source ?? 'log',
        errorMs: known ? Math.ceil(utc.errorNs / NS_PER_MS) : null,
        steps: steps?.() ?? 0,
      },
      gnss: gnss?.() ?? null,
      flash: { writtenBytes: writtenBytes() },
      watchdog: watchdog?.() ?? { withinMs: null, withheld: 0 },
      idle: idle?.() ?? false,
    };
  }

  close(): void {
    this.#lag.close();
  }
}

/** What live interfaces tell beside the contract of a source. */
interface LiveStatus {
  status(): {
    readonly health: string;
    readonly received: number;
    readonly queueLost: number;
    readonly overruns: number;
    readonly shed: number;
    readonly errorFrames: number;
    readonly restarts: number;
    readonly filteredBy: string;
    readonly filters: number;
  };
}

function isLive(source: FrameSource): source is FrameSource & LiveStatus {
  return 'status' in source;
}

function sourceHealth(source: FrameSource): SourceHealth {
  const { count: dropped, exact } = source.dropped();
  const { name } = source;
  const skipped = source.skipped();
  if (!isLive(source)) return { name, health: 'ok', skipped, dropped, exact };
  const { overruns, health, received, queueLost, shed, errorFrames, restarts, filteredBy, filters } = source.status();
  return {
    name,
    health,
    received,
    queueLost,
    overrunsAtLeast: overruns,
    shed,
    errorFrames,
    restarts,
    filteredBy,
    filters,
    skipped,
    dropped,
    exact,
  };
}

/** proc(5), /proc/self/io: what was written, less what was dropped before it reached the device. */
export function flashBytes(read: () => string = () => readFileSync('/proc/self/io', 'latin1')): number | null {
  try {
    const text = read();
    const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)![1]);
    return Math.max(0, field('write_bytes') - field('cancelled_write_bytes'));
  } catch {
    return null;
  }
}
