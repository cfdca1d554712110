import { connect, type Socket } from 'node:net';

/** Longest line that is read, bytes: gpsd's own limit of a JSON object (gpsd.h, GPS_JSON_RESPONSE_MAX) is 10,240. */
export const MOST_LINE_BYTES = 10_240;
/** gpsd's registered port, IANA. */
export const GPSD_PORT = 2947;
/** Wait before the second attempt, ms; it doubles up to the longest. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** A connection on which nothing came for so long is dead, ms: a receiver reports every second. */
const SILENCE_MS = 30_000;
/** gpsd_json(5), ?WATCH: reports as JSON objects, one a line. */
const WATCH = '?WATCH={"enable":true,"json":true};\n';
const NS_PER_S = 1e9;
const NS_PER_MS = 1_000_000n;
const CR = 13;
const LF = 10;

/** One TPV object of gpsd_json(5): time, position, velocity. What gpsd left out or what is out of range is null. */
export interface GpsdFix {
  /** 0 unknown, 1 no fix, 2 two dimensions, 3 three. */
  readonly mode: 0 | 1 | 2 | 3;
  /** Time of the fix, UTC, ns since 1970. */
  readonly utcNs: bigint | null;
  /** `ept`: bound of the error of the time, 95 %, ns. */
  readonly timeErrorNs: number | null;
  /** WGS 84, degrees. */
  readonly latitude: number | null;
  readonly longitude: number | null;
  /** `eph`: horizontal error, m. */
  readonly horizontalError: number | null;
  /** `altMSL`, m. */
  readonly altitude: number | null;
  /** `track`: course over ground, degrees from true north. */
  readonly heading: number | null;
  /** m/s. */
  readonly speed: number | null;
}

/** State of the connection and of the receiver behind it; no position. */
export interface GpsdHealth {
  readonly connected: boolean;
  /** Reports taken, those with a fix, and lines that were not understood or too long. */
  readonly reports: number;
  readonly fixes: number;
  readonly refused: number;
  readonly connects: number;
}

/** Reads one line. @returns null for every other class of object, and for what is no object of gpsd's at all */
export function readFix(line: string): GpsdFix | null {
  const object = objectOf(line);
  if (object === null || object.class !== 'TPV') return null;
  const number = (key: string, least: number, most: number): number | null => {
    const value = object[key];
    return typeof value === 'number' && value >= least && value <= most ? value : null;
  };
  const { mode } = object;
  const ept = number('ept', 0, 1e6);
  const latitude = number('lat', -90, 90);
  const longitude = number('lon', -180, 180);
  const placed = latitude !== null && longitude !== null;
  return {
    mode: mode === 1 || mode === 2 || mode === 3 ? mode : 0,
    utcNs: utcOf(object.time),
    timeErrorNs: ept === null ? null : ept * NS_PER_S,
    latitude: placed ? latitude : null,
    longitude: placed ? longitude : null,
    horizontalError: number('eph', 0, 1e7) ?? number('epx', 0, 1e7),
    altitude: number('altMSL', -1e5, 1e5) ?? number('alt', -1e5, 1e5),
    heading: number('track', 0, 360),
    speed: number('speed', 0, 1e4),
  };
}

function objectOf(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** gpsd writes ISO 8601 in UTC with up to nine decimals; JavaScript's own reader keeps three. */
function utcOf(text: unknown): bigint | null {
  if (typeof text !== 'string') return null;
  const [, whole, decimals = ''] = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z$/.exec(text) ?? [];
  const ms = whole === undefined ? Number.NaN : Date.parse(`${whole}Z`);
  return Number.isNaN(ms) ? null : BigInt(ms) * NS_PER_MS + BigInt(decimals.padEnd(9, '0'));
}

/** Cuts a stream of bytes into lines, and keeps at most one line in memory. */
export class LineReader {
  readonly #kept = Buffer.alloc(MOST_LINE_BYTES);
  #length = 0;
  #skipping = false;
  /** Lines that were longer than `MOST_LINE_BYTES`; they are let go. */
  tooLong = 0;

  push(chunk: Uint8Array, onLine: (line: string) => void): void {
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf(LF, at);
      const stop = end < 0 ? chunk.length : end;
      this.#keep(chunk.subarray(at, stop));
      at = stop + 1;
      if (end < 0) return;
      if (!this.#skipping) onLine(this.#take());
      this.#length = 0;
      this.#skipping = false;
    }
  }

  #keep(bytes: Uint8Array): void {
    if (this.#skipping) return;
    if (this.#length + bytes.length > MOST_LINE_BYTES) {
      this.#skipping = true;
      this.tooLong++;
      return;
    }
    this.#kept.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #take(): string {
    const end = this.#kept[this.#length - 1] === CR ? this.#length - 1 : this.#length;
    return this.#kept.toString('utf8', 0, Math.max(0, end));
  }
}

export interface GpsdOptions {
  readonly host: string;
  readonly port: number;
  /** CLOCK_BOOTTIME, ns. */
  readonly bootNs: () => bigint;
  /** @param bootNs when the report came */
  readonly onFix: (fix: GpsdFix, bootNs: bigint) => void;
  /** The connection stands, or stands no more. */
  readonly onConnection?: (up: boolean) => void;
  /** 0 ≤ x < 1, for the waits between attempts. */
  readonly random?: () => number;
  readonly firstWaitMs?: number;
}

/** A connection to gpsd that comes back by itself until it is closed. It never sends the receiver anything but `?WATCH`. */
export interface Gpsd {
  health(): GpsdHealth;
  close(): void;
}

export function openGpsd(options: GpsdOptions): Gpsd {
  return new Client(options);
}

class Client implements Gpsd {
  readonly #options: GpsdOptions;
  readonly #counts = { reports: 0, fixes: 0, refused: 0, connects: 0 };
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | undefined;
  #connected = false;
  #failures = 0;
  #closed = false;

  constructor(options: GpsdOptions) {
    this.#options = options;
    this.#connect();
  }

  health(): GpsdHealth {
    return { connected: this.#connected, ...this.#counts };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const { host, port, onConnection } = this.#options;
    const lines = new LineReader();
    const socket = connect({ host, port });
    this.#socket = socket;
    // The agent's other work keeps the process alive, not this.
    socket.unref();
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.on('connect', () => {
      this.#connected = true;
      this.#counts.connects++;
      socket.write(WATCH);
      onConnection?.(true);
    });
    socket.on('data', (chunk: Buffer) => {
      const tooLong = lines.tooLong;
      lines.push(chunk, (line) => this.#line(line));
      this.#counts.refused += lines.tooLong - tooLong;
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#again());
  }

  #line(line: string): void {
    const { bootNs, onFix } = this.#options;
    const fix = readFix(line);
    if (fix === null) {
      // VERSION, DEVICES, WATCH, SKY and others are gpsd's, too; what is no object is not.
      if (objectOf(line) === null) this.#counts.refused++;
      return;
    }
    this.#failures = 0;
    this.#counts.reports++;
    if (fix.mode >= 2) this.#counts.fixes++;
    onFix(fix, bootNs());
  }

  #again(): void {
    this.#socket = null;
    if (this.#connected) this.#options.onConnection?.(false);
    this.#connected = false;
    if (this.#closed) return;
    const { random = Math.random, firstWaitMs = FIRST_WAIT_MS } = this.#options;
    const bound = Math.min(firstWaitMs * 2 ** this.#failures++, LONGEST_WAIT_MS);
    // Half by chance: a gpsd that comes back is not asked by all its clients at once.
    this.#timer = setTimeout(() => this.#connect(), bound / 2 + (random() * bound) / 2);
    this.#timer.unref();
  }
}
