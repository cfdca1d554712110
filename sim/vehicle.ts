import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CLASSIC_SLOT_BYTES,
  type FrameBatch,
  type FrameFilter,
  type FrameSource,
  HEADER_BYTES,
  IdMatcher,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
  TollgateError,
} from '#contracts';
import { type Database, loadDatabase } from '#dbc';
import { STEP_MS, VehicleBus } from './vehicle/bus.ts';

export interface VehicleOptions {
  /** Shown in status and errors. */
  readonly name: string;
  /** The database that the car encodes by: `vehicleDbc`, or one with the same messages. */
  readonly dbc: string;
  /** Index of the source, written into every frame. Default 0. */
  readonly channel?: number;
  /** As time passes; else as fast as the frames are taken. Default false. */
  readonly realtime?: boolean;
  /** The agent's boot, 8 bytes. */
  readonly bootId: Uint8Array;
  /** How long the drive is. Default: without end in real time, 600 s otherwise. */
  readonly seconds?: number;
  /** The same seed gives the same bytes. */
  readonly seed?: number;
  /** UTC at the start of the drive, ms since 1970; its own, so that a drive can be repeated byte for byte. */
  readonly startMs?: number;
}

/** The database and the mapping of the simulated car. */
export const vehicleDbc = fileURLToPath(new URL('../dbc/databases/tollgate-vehicle.dbc', import.meta.url));
export const vehicleMapping = fileURLToPath(new URL('../dbc/databases/tollgate-vehicle.mapping.yaml', import.meta.url));

export const DEFAULT_SEED = 1;
export const DEFAULT_START_MS = Date.UTC(2026, 0, 1, 8);
/** Ten minutes pass the town of `drive.ts` some five times. */
export const DEFAULT_SECONDS = 600;

const NS_PER_MS = 1_000_000;
/** About 2.5 s of the car's bus: few hand-overs, little memory. */
const BATCH_FRAMES = 1024;
/** In real time no frame waits longer than this for its batch, ms. */
const REALTIME_SPAN_MS = 20;
/** Simulated ms between two breaths of the event loop. */
const YIELD_MS = 1000;
/** More than the car sends within one step. */
const MOST_FRAMES_A_STEP = 32;

/**
 * The simulated car as a source. Its clock maps to UTC as that of a log does: source `log`, without error.
 *
 * @throws {TollgateError} where the database cannot be read or does not describe the car
 */
export async function vehicleSource(options: VehicleOptions): Promise<FrameSource> {
  const database = await databaseOf(options.dbc);
  return new VehicleSource(options, new VehicleBus(database, options.seed ?? DEFAULT_SEED));
}

/** The lines of a candump log (`candump -L`) of a drive; the same seed gives the same text. */
export function* vehicleFrames(
  seed: number,
  seconds: number,
  database: Database,
  { startMs = DEFAULT_START_MS, channel = 'vcan0' }: { startMs?: number; channel?: string } = {},
): Generator<string> {
  const bus = new VehicleBus(database, seed);
  const lines: string[] = [];
  while (bus.timeMs < seconds * 1000) {
    bus.step((timeNs, id, data) => void lines.push(candumpLine(startMs, channel, timeNs, id, data)));
    yield* lines.splice(0);
  }
}

/** @throws {TollgateError} TG_CLI_FILE where the file cannot be read */
export async function databaseOf(path: string): Promise<Database> {
  const bytes = await readFile(path).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
  });
  return loadDatabase(bytes, { file: path }).database;
}

function candumpLine(startMs: number, channel: string, timeNs: number, id: number, data: Uint8Array): string {
  const us = startMs * 1000 + Math.floor(timeNs / 1000);
  const time = `${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}`;
  const isExtended = (id & CAN_EFF_FLAG) !== 0;
  const hex = (id & CAN_EFF_MASK)
    .toString(16)
    .toUpperCase()
    .padStart(isExtended ? 8 : 3, '0');
  return `(${time}) ${channel} ${hex}#${Buffer.from(data).toString('hex').toUpperCase()}\n`;
}

class VehicleSource implements FrameSource {
  readonly name: string;
  readonly ended: Promise<void>;
  readonly #bus: VehicleBus;
  readonly #channel: number;
  readonly #realtime: boolean;
  readonly #endMs: number;
  readonly #batch: Omit<FrameBatch, 'count'>;
  readonly #view: DataView;
  readonly #abort = new AbortController();
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void };
  #matcher = new IdMatcher(null);
  #count = 0;
  #skipped = 0;
  #isOpen = false;

  constructor({ name, channel = 0, realtime = false, bootId, seconds, startMs }: VehicleOptions, bus: VehicleBus) {
    this.name = name;
    this.#bus = bus;
    this.#channel = channel;
    this.#realtime = realtime;
    this.#endMs = (seconds ?? (realtime ? Number.POSITIVE_INFINITY : DEFAULT_SECONDS)) * 1000;
    const bytes = new Uint8Array((BATCH_FRAMES + MOST_FRAMES_A_STEP) * CLASSIC_SLOT_BYTES);
    this.#view = new DataView(bytes.buffer);
    this.#batch = {
      bytes,
      slotBytes: CLASSIC_SLOT_BYTES,
      bootId,
      utcOffsetNs: BigInt(startMs ?? DEFAULT_START_MS) * BigInt(NS_PER_MS),
      utcErrorNs: 0,
      utcSource: 'log',
    };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settle = { resolve, reject };
    // Who does not await `ended` must not have the process ended by it.
    promise.catch(() => undefined);
  }

  async open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void> {
    this.#isOpen = true;
    this.refilter(filter);
    this.#run(deliver).then(this.#settle.resolve, this.#settle.reject);
  }

  refilter(filter: FrameFilter): void {
    this.#matcher = IdMatcher.of(filter, this.#channel);
  }

  dropped(): { count: number; exact: boolean } {
    return { count: 0, exact: true };
  }

  skipped(): number {
    return this.#skipped;
  }

  malformed(): number {
    return 0;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    if (!this.#isOpen) this.#settle.resolve();
    await this.ended.catch(() => undefined);
  }

  async #run(deliver: (batch: FrameBatch) => void | Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    const wanted = (id: number) => this.#matcher.passes(id);
    const startMs = performance.now();
    let handedMs = 0;
    while (!signal.aborted && this.#bus.timeMs < this.#endMs) {
      this.#skipped += this.#bus.step(this.#take, wanted);
      const { timeMs } = this.#bus;
      const isDue = this.#realtime ? timeMs - handedMs >= REALTIME_SPAN_MS : this.#count >= BATCH_FRAMES;
      if (!isDue && timeMs < this.#endMs) {
        // A filter that lets little through would otherwise hold the thread for the whole drive.
        if (timeMs % YIELD_MS === 0 && !this.#realtime) await new Promise<void>((done) => setImmediate(done));
        continue;
      }
      if (this.#realtime) await sleepUntil(startMs + timeMs - STEP_MS, signal);
      handedMs = timeMs;
      if (this.#count > 0 && !signal.aborted) await deliver({ ...this.#batch, count: this.#count });
      this.#count = 0;
    }
  }

  readonly #take = (timeNs: number, id: number, data: Uint8Array): void => {
    const at = this.#count++ * CLASSIC_SLOT_BYTES;
    const { bytes } = this.#batch;
    this.#view.setUint32(at + OFFSET_TIME, timeNs % 2 ** 32, true);
    this.#view.setUint32(at + OFFSET_TIME + 4, Math.floor(timeNs / 2 ** 32), true);
    this.#view.setUint32(at + OFFSET_ID, id, true);
    bytes[at + OFFSET_LENGTH] = data.length;
    bytes[at + OFFSET_CHANNEL] = this.#channel;
    bytes.fill(0, at + HEADER_BYTES, at + CLASSIC_SLOT_BYTES);
    bytes.set(data, at + HEADER_BYTES);
  };
}

function sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const wait = atMs - performance.now();
  if (wait <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, wait);
    signal.addEventListener('abort', done);
  });
}
