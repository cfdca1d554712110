import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type OpenedLog, openAnyLog, recognise } from '#agent/sources/log';
import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CANFD_FDF,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
  TollgateError,
} from '#contracts';
import { type Database, loadDatabase } from '#dbc';
import { createDecoder, type DecodedFrame, type Decoder, type LogReader, RowReader, signalInfos } from '#decoders';
import type { Command, Io } from '../command.ts';

export const command: Command = {
  name: 'decode',
  summary: 'Turns the frames of a log into signals',
  package: 'unit',
  help: `
Usage: tollgate decode --dbc F [LOG] [--json] [--single-line]

Reads LOG (plain or gzip) or standard input and writes each frame with its signals. The format is told by the content, then by the name:
candump (with or without -L), Vector ASC and BLF, CSV of SavvyCAN (GVRET), PCAP and PCAPNG of SocketCAN. Lines or bytes that are no
frames are reported on standard error with their number or offset.

  --dbc F         database of the frames
  --json          one JSON object a frame: t (s), channel, id, ext, message, values, labels; "short": true where the frame lacks bytes.
                  Integers beyond 2^53 are decimal strings, NaN and Infinity strings; message is null where the id is not known
  --single-line   one line a frame (default: one line a signal, as cantools writes it)

Example:
  candump -L can0 | tollgate decode --dbc car.dbc
  tollgate decode --dbc car.dbc --json drive.log.gz > drive.jsonl
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        json: { type: 'boolean', default: false },
        'single-line': { type: 'boolean', short: 's', default: false },
      },
    });
    const [log] = positionals;
    if (values.dbc === undefined || positionals.length > 1) {
      throw new TollgateError('TG_CLI_USAGE', 'decode takes --dbc FILE and at most one LOG');
    }
    const { database } = loadDatabase(await bytesOf(values.dbc), { file: values.dbc });
    const opened = log === undefined ? await recognise(io.stdin) : await openAnyLog(log, { signal: io.signal });
    const form = values.json ? jsonLine : values['single-line'] ? singleLine : lines;
    await new Printer(database, form, io, log ?? 'stdin', opened).run();
    return 0;
  },
};

async function bytesOf(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
  });
}

/** A frame as the log had it. */
interface LogFrame {
  /** Log time, ns. */
  readonly timeNs: bigint;
  readonly channel: string;
  /** Without flag bits. */
  readonly id: number;
  readonly word: number;
  readonly fd: boolean;
  readonly flags: number;
  readonly length: number;
  readonly data: Uint8Array;
}

type Form = (frame: LogFrame, decoded: DecodedFrame | null, units: Units) => string;
/** Unit by message and signal. */
type Units = (decoded: DecodedFrame, signal: string) => string;

class Printer {
  readonly #io: Io;
  readonly #form: Form;
  readonly #channels: string[] = [];
  readonly #chunks: AsyncIterable<Uint8Array>;
  readonly #parser: LogReader;
  readonly #decoder: Decoder;
  readonly #reader: RowReader;
  readonly #known: ReadonlySet<number>;

  constructor(database: Database, form: Form, io: Io, log: string, { format, chunks }: OpenedLog) {
    this.#io = io;
    this.#form = form;
    this.#chunks = chunks;
    this.#decoder = createDecoder({ channel: 0, database, signals: signalInfos(database) });
    this.#reader = new RowReader(this.#decoder.layout, database);
    this.#known = new Set(this.#decoder.layout.messages.map(({ id }) => id));
    this.#parser = format.make({
      bootId: new Uint8Array(8),
      channelOf: (name) => this.#channel(name),
      onMalformed: (place, reason) => {
        const what = format.place === 'byte' ? 'not a frame' : `not a ${format.name} line`;
        io.err(`${log}:${format.place === 'byte' ? `byte ${place}` : place}: ${what}: ${reason}\n`);
      },
    });
  }

  async run(): Promise<void> {
    for await (const chunk of this.#chunks) {
      for (let at = 0; at < chunk.length; ) {
        at = this.#parser.feed(chunk, at);
        if (this.#parser.ready) this.#print(this.#parser.take());
      }
      // What has come is shown at once: the lines may be those of a live bus.
      if (this.#parser.pending > 0) this.#print(this.#parser.take());
    }
    for (this.#parser.end(); this.#parser.ready; this.#parser.end()) this.#print(this.#parser.take());
  }

  #channel(name: string): number | null {
    // The channel of a slot is one byte; a log of more interfaces than that is a fuzz test's.
    if (this.#channels.length > 255) return null;
    return this.#channels.push(name) - 1;
  }

  #print(batch: FrameBatch): void {
    const rows = this.#reader.read(this.#decoder.decode(batch));
    const text: string[] = [];
    for (let i = 0; i < batch.count; i++) {
      const frame = this.#frame(batch, i);
      const decoded = this.#known.has(frame.word) ? (rows.next().value as DecodedFrame) : null;
      text.push(this.#form(frame, decoded, unitOf));
    }
    this.#io.out(text.join(''));
  }

  #frame({ bytes, slotBytes, utcOffsetNs }: FrameBatch, i: number): LogFrame {
    const slot = bytes.subarray(i * slotBytes, (i + 1) * slotBytes);
    const view = new DataView(slot.buffer, slot.byteOffset, slotBytes);
    const word = view.getUint32(OFFSET_ID, true);
    return {
      timeNs: view.getBigUint64(0, true) + (this.#parser.originNs ?? utcOffsetNs ?? 0n),
      channel: this.#channels[slot[OFFSET_CHANNEL]!]!,
      // Some BLF logs have ids of 29 bits without the flag: shown whole.
      id: word & CAN_EFF_MASK,
      word,
      fd: (slot[OFFSET_FLAGS]! & CANFD_FDF) !== 0,
      flags: slot[OFFSET_FLAGS]!,
      length: slot[OFFSET_LENGTH]!,
      data: slot.slice(HEADER_BYTES, HEADER_BYTES + slot[OFFSET_LENGTH]!),
    };
  }
}

function unitOf({ message }: DecodedFrame, name: string): string {
  return message.signals.find(({ signal }) => signal.signal === name)?.signal.unit ?? '';
}

/** `seconds.micros`, with nanoseconds where the log has them. */
function seconds(timeNs: bigint): string {
  const fraction = String(timeNs % 1_000_000_000n).padStart(9, '0');
  return `${timeNs / 1_000_000_000n}.${fraction.endsWith('000') ? fraction.slice(0, 6) : fraction}`;
}

function jsonLine(frame: LogFrame, decoded: DecodedFrame | null): string {
  const values = Object.fromEntries([...(decoded?.values ?? [])].map(([name, value]) => [name, jsonNumber(value)]));
  const rest = JSON.stringify({
    channel: frame.channel,
    id: frame.id,
    ext: (frame.word & CAN_EFF_FLAG) !== 0,
    message: decoded?.message.name ?? null,
    values,
    labels: Object.fromEntries(decoded?.labels ?? []),
    ...(decoded?.short === true ? { short: true } : {}),
  });
  return `{"t":${seconds(frame.timeNs)},${rest.slice(1)}\n`;
}

/** JSON has no integers beyond a double and no NaN: they go as text. */
function jsonNumber(value: number | bigint): number | string {
  if (typeof value === 'bigint' || !Number.isFinite(value)) return String(value);
  return value;
}

function singleLine(frame: LogFrame, decoded: DecodedFrame | null, units: Units): string {
  if (decoded === null) return `${frameText(frame)} :: ${unknown(frame)}\n`;
  return `${frameText(frame)} :: ${decoded.message.name}(${signalTexts(decoded, units).join(', ')})${shortText(decoded)}\n`;
}

function lines(frame: LogFrame, decoded: DecodedFrame | null, units: Units): string {
  if (decoded === null) return singleLine(frame, decoded, units);
  const signals = signalTexts(decoded, units).map((text) => `    ${text}`);
  return `${frameText(frame)} ::\n${decoded.message.name}(\n${signals.join(',\n')}\n)${shortText(decoded)}\n`;
}

function signalTexts(decoded: DecodedFrame, units: Units): string[] {
  return [...decoded.values].map(([name, value]) => {
    const unit = units(decoded, name);
    return `${name}: ${decoded.labels.get(name) ?? `${value}${unit === '' ? '' : ` ${unit}`}`}`;
  });
}

function shortText({ short }: DecodedFrame): string {
  return short ? ' short frame: only the signals that fit' : '';
}

function unknown({ word, id }: LogFrame): string {
  if ((word & CAN_ERR_FLAG) !== 0) return 'error frame';
  if ((word & CAN_RTR_FLAG) !== 0) return 'remote frame';
  return `unknown id ${id} (0x${id.toString(16)})`;
}

/** The frame in the words of candump -L. */
function frameText({ timeNs, channel, word, id, fd, flags, length, data }: LogFrame): string {
  const digits = (word & (CAN_EFF_FLAG | CAN_ERR_FLAG)) === 0 ? 3 : 8;
  const shown = (word & CAN_ERR_FLAG) === 0 ? id : (word & ~CAN_EFF_FLAG) >>> 0;
  const name = shown.toString(16).toUpperCase().padStart(digits, '0');
  const hex = Buffer.from(data).toString('hex').toUpperCase();
  const payload = (word & CAN_RTR_FLAG) !== 0 ? `R${length === 0 ? '' : length}` : hex;
  return `(${seconds(timeNs)}) ${channel} ${name}#${fd ? `#${(flags & ~CANFD_FDF).toString(16).toUpperCase()}` : ''}${payload}`;
}
