import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type OpenedLog, recognise } from '#agent/sources/log';
import { openLog } from '#agent/sources/log-file';
import { CAN_EFF_FLAG, type FrameBatch, OFFSET_TIME, TollgateError } from '#contracts';
import type { LogReader, TransportOptions } from '#decoders';
import type { Command, Io } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';
import {
  idOf,
  idText,
  kindText,
  MonitorDecoder,
  type MonitorRow,
  MonitorRows,
  meanRate,
  presentRate,
} from '../monitor.ts';
import { bold, count } from '../text.ts';
import { TRANSPORT_ARGUMENTS, TRANSPORT_HELP, transportOptions } from '../transports.ts';

export const command: Command = {
  name: 'monitor',
  summary: 'Shows a bus as it is now: one row a message, what changes, what it means',
  package: 'unit',
  help: `
Usage: tollgate monitor [LOG] [--dbc F] [--realtime] [--encoding E] [--j1939 MODE] [--isotp LINK]… [--obd LINK]… [--json]

Reads LOG (candump, ASC, BLF, SavvyCAN CSV, PCAP, PCAPNG; plain or gzip) or standard input and shows one row a message: channel, id, name, frames, rate, age,
data and, with a database, its signals. On a terminal the rows stay in place and bytes that changed within the last second are highlighted;
without one, and at the end, one summary is written. Ctrl-C ends it.

  --dbc F        database of the frames: names, values and labels
  --realtime     plays LOG at its own pace
  --encoding E   of the database: utf-8, windows-1252 or gb18030 (default: detected)
${TRANSPORT_HELP}
  --json         the summary as one JSON object a message, no live view: channel, id, ext, message, frames, rate (1/s), age (s),
                 data, changed (numbers of the bytes that ever changed), values, labels

Example:
  candump -L can0 | tollgate monitor --dbc car.dbc
  tollgate monitor --dbc car.dbc --realtime drive.log.gz
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        realtime: { type: 'boolean', default: false },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
        ...TRANSPORT_ARGUMENTS,
      },
    });
    const [log] = positionals;
    if (positionals.length > 1) throw new TollgateError('TG_CLI_USAGE', 'monitor takes at most one LOG');
    if (values.realtime && log === undefined) {
      throw new TollgateError('TG_CLI_USAGE', '--realtime takes a LOG: standard input has a pace of its own');
    }
    const transports = transportOptions(values);
    const decoder = values.dbc === undefined ? null : await decoderOf(values.dbc, values.encoding, transports, io);
    const chunks = log === undefined ? until(io.stdin, io.signal) : await openLog(log, { signal: io.signal });
    const live = io.interactive && !values.json;
    const monitor = new Monitor({ io, name: log ?? 'stdin', decoder, live, isBus: log === undefined });
    try {
      await monitor.run(await recognise(chunks, log), values.realtime);
    } finally {
      monitor.close();
      if (values.json) io.out(monitor.json());
      else io.out(monitor.summary());
      io.err(monitor.malformedText());
    }
    return 0;
  },
};

/** On a terminal, ms: often enough to see, seldom enough to read. */
const DRAW_MS = 200;
/** A change stays highlighted as long, ns. */
const SHOWN_NS = 1e9;
/** In real time no frame waits longer than this for its batch, ns. */
const REALTIME_SPAN_NS = 20e6;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;
const STANDARD_LINES = 24;
/** Another screen, no cursor, long lines cut; and back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const MOST_CHANNELS = 256;

async function decoderOf(
  path: string,
  encoding: string | undefined,
  transports: Required<TransportOptions>,
  io: Io,
): Promise<MonitorDecoder> {
  const { database, findings } = await readDatabase(path, { encoding });
  io.err(mendedText(path, findings));
  return new MonitorDecoder(database, transports);
}

/** A bus does not end: what waits for its next line ends with the signal. */
async function* until(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const { promise: ended, resolve } = Promise.withResolvers<{ done: true; value: undefined }>();
  const end = () => resolve({ done: true, value: undefined });
  if (signal.aborted) return;
  signal.addEventListener('abort', end, { once: true });
  try {
    for (;;) {
      const next = iterator.next();
      // Where the signal wins, the read that is left behind fails with the stream, and nobody waits for it.
      next.catch(() => undefined);
      const { done, value } = await Promise.race([next, ended]);
      if (done === true) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', end);
    // An open standard input would keep the process alive.
    if (signal.aborted && source instanceof Readable) source.destroy();
  }
}

interface Options {
  readonly io: Io;
  readonly name: string;
  readonly decoder: MonitorDecoder | null;
  readonly live: boolean;
  /** Its time goes on while nothing comes. */
  readonly isBus: boolean;
}

class Monitor {
  readonly #options: Options;
  readonly #rows = new MonitorRows();
  readonly #channels: string[] = [];
  #malformed = 0;
  #firstMalformed = '';
  #what = '';
  #timer: NodeJS.Timeout | null = null;
  /** When the newest batch came, `performance.now()`. */
  #cameMs = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  async run({ format, chunks }: OpenedLog, realtime: boolean): Promise<void> {
    const { io, live, decoder } = this.#options;
    const parser = this.#reader(format, realtime);
    const stage = decoder?.stage ?? null;
    const startMs = performance.now();
    const take = async () => {
      const batch = parser.take();
      if (realtime) await sleepUntil(startMs + lastNs(batch) / NS_PER_MS, io.signal);
      this.#rows.add(stage === null ? batch : stage.expand(batch), stage);
      this.#cameMs = performance.now();
    };
    if (live) {
      io.out(ENTER);
      this.#timer = setInterval(() => this.#draw(), DRAW_MS);
    }
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length && !io.signal.aborted; ) {
          at = parser.feed(chunk, at);
          if (parser.ready) await take();
        }
        if (io.signal.aborted) return;
        if (parser.pending > 0 && !realtime) await take();
      }
      for (parser.end(); parser.ready && !io.signal.aborted; parser.end()) await take();
    } catch (error) {
      if (!(io.signal.aborted && error instanceof Error && error.name === 'AbortError')) throw error;
    }
  }

  /** The last view, then the terminal as it was. */
  close(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#draw();
    this.#options.io.out(LEAVE);
  }

  summary(): string {
    const rows = this.#sorted();
    return `${this.#head()}\n${this.#table(rows, false).join('\n')}${rows.length > 0 ? '\n' : ''}`;
  }

  json(): string {
    const { decoder } = this.#options;
    const rows = this.#sorted();
    const decoded = decoder?.decode(rows);
    return rows.map((row) => `${JSON.stringify(this.#asJson(row, decoded?.get(row)))}\n`).join('');
  }

  malformedText(): string {
    if (this.#malformed === 0) return '';
    const unit = this.#what === 'frame' ? 'place' : 'line';
    const were = this.#malformed === 1 ? `${unit} is` : `${unit}s are`;
    return `${this.#options.name}: ${count(this.#malformed)} ${were} no ${this.#what}; the first is ${this.#firstMalformed}\n`;
  }

  #reader(format: OpenedLog['format'], realtime: boolean): LogReader {
    this.#what = format.place === 'byte' ? 'frame' : `${format.name} line`;
    return format.make({
      bootId: new Uint8Array(8),
      channelOf: (name) => (this.#channels.length < MOST_CHANNELS ? this.#channels.push(name) - 1 : null),
      onMalformed: (line, reason) => {
        if (this.#malformed++ === 0) this.#firstMalformed = `${line}: ${reason}`;
      },
      ...(realtime ? { spanNs: REALTIME_SPAN_NS } : {}),
    });
  }

  #sorted(): MonitorRow[] {
    return this.#rows.sorted((channel) => this.#channels[channel]!);
  }

  #head(): string {
    const { io, name } = this.#options;
    const { frames, beyond, newestNs } = this.#rows;
    const more = beyond === 0 ? '' : `, ${count(beyond)} frames of further ids are not shown`;
    return bold(`${name}: ${count(frames)} frames in ${(newestNs / NS_PER_S).toFixed(1)} s${more}`, io);
  }

  #draw(): void {
    const { io } = this.#options;
    const room = (process.stdout.rows ?? STANDARD_LINES) - 2;
    const rows = this.#sorted();
    const lines = [this.#head(), ...this.#table(rows.slice(0, room - 1), true)];
    if (rows.length > room - 1) lines.push(`… and ${count(rows.length - room + 1)} more messages`);
    io.out(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J`);
  }

  /** @param live rate and change as they are now; else over the whole log */
  #table(rows: readonly MonitorRow[], live: boolean): string[] {
    const { decoder, isBus } = this.#options;
    if (rows.length === 0) return [];
    const decoded = decoder?.decode(rows);
    const waitedNs = live && isBus ? (performance.now() - this.#cameMs) * NS_PER_MS : 0;
    const nowNs = this.#rows.newestNs + waitedNs;
    const cells = rows.map((row) => {
      const frame = decoded?.get(row);
      const rate = live ? presentRate(row) : meanRate(row);
      return [
        this.#channels[row.channel]!,
        idText(row),
        frame?.message.name ?? kindText(row),
        count(row.count),
        rate === null ? '-' : rate.toFixed(1),
        ((nowNs - row.lastNs) / NS_PER_S).toFixed(1),
        hexOf(row).join(' '),
        frame === undefined ? '' : decoder!.texts(frame).join(', '),
      ].map(printable);
    });
    const all = [HEAD, ...cells];
    const widths = HEAD.map((_, i) => Math.max(...all.map((line) => line[i]!.length)));
    return all.map((line, i) => {
      const padded = line.map((cell, k) => (RIGHT.has(k) ? cell.padStart(widths[k]!) : cell.padEnd(widths[k]!)));
      const row = rows[i - 1];
      if (live && row !== undefined) padded[DATA] = highlighted(row, nowNs, widths[DATA]!);
      return `  ${padded.join('  ')}`.trimEnd();
    });
  }

  #asJson(row: MonitorRow, frame: ReturnType<ReturnType<MonitorDecoder['decode']>['get']>) {
    return {
      channel: this.#channels[row.channel],
      id: idOf(row),
      ext: (row.word & CAN_EFF_FLAG) !== 0,
      message: frame?.message.name ?? null,
      frames: row.count,
      rate: meanRate(row),
      age: (this.#rows.newestNs - row.lastNs) / NS_PER_S,
      data: hexOf(row).join(''),
      changed: [...row.changedNs.keys()].filter((i) => row.changedNs[i]! >= 0),
      values: Object.fromEntries([...(frame?.values ?? [])].map(([name, value]) => [name, jsonNumber(value)])),
      labels: Object.fromEntries(frame?.labels ?? []),
    };
  }
}

const HEAD = ['channel', 'id', 'message', 'frames', 'rate 1/s', 'age s', 'data', 'signals'];
const RIGHT: ReadonlySet<number> = new Set([3, 4, 5]);
const DATA = 6;

function hexOf({ data, length }: MonitorRow): string[] {
  return [...data.subarray(0, length)].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'));
}

/** Bytes that changed a moment ago in reverse; padding outside of the escapes. */
function highlighted(row: MonitorRow, nowNs: number, width: number): string {
  const bytes = hexOf(row);
  const plain = bytes.join(' ');
  const shown = bytes.map((byte, i) => {
    const at = row.changedNs[i]!;
    return at >= 0 && nowNs - at < SHOWN_NS ? `\x1b[7m${byte}\x1b[27m` : byte;
  });
  return shown.join(' ') + ' '.repeat(width - plain.length);
}

/** Names and labels come from files: none of their characters may steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

/** JSON has no integers beyond a double and no NaN: they go as text. */
function jsonNumber(value: number | bigint): number | string {
  return typeof value === 'bigint' || !Number.isFinite(value) ? String(value) : value;
}

function lastNs({ bytes, slotBytes, count: frames }: FrameBatch): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + (frames - 1) * slotBytes + OFFSET_TIME, 8);
  return view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
}

async function sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const wait = atMs - performance.now();
  if (wait > 0) await sleep(wait, undefined, { signal });
}
