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
import type { Database } from '#dbc';
import {
  type BusDecoder,
  createBusDecoder,
  type DecodedFrame,
  type LogReader,
  RowReader,
  SlotKind,
  signalInfos,
  type TransportOptions,
} from '#decoders';
import type { Command, Io } from '../command.ts';
import { readDatabase } from '../database.ts';
import { TRANSPORT_ARGUMENTS, TRANSPORT_HELP, transportOptions } from '../transports.ts';

export const command: Command = {
  name: 'decode',
  summary: 'Turns the frames of a log into signals',
  package: 'unit',
  help: `
Usage: tollgate decode --dbc F [LOG] [--json] [--single-line] [--encoding E] [--j1939 MODE] [--isotp LINK]… [--obd LINK]…

Reads LOG (plain or gzip) or standard input and writes each frame with its signals. The format is told by the content, then by the name:
candump (with or without -L), Vector ASC and BLF, CSV of SavvyCAN (GVRET), PCAP and PCAPNG of SocketCAN. Lines or bytes that are no
frames are reported on standard error with their number or offset. A message of a transport stands behind the frame that completed it.

  --dbc F         database of the frames
  --json          one JSON object a frame: t (s), channel, id, ext, message, values, labels; "short": true where the frame lacks bytes.
                  Integers beyond 2^53 are decimal strings, NaN and Infinity strings; message is null where the id is not known.
                  Messages of a transport also have "transport": "j1939" or "isotp"; what J1939 marks as not available or in error
                  has no value but stands in "status"
  --single-line   one line a frame (default: one line a signal, as cantools writes it)
  --encoding E    of the database: utf-8, windows-1252 or gb18030 (default: detected)
${TRANSPORT_HELP}

Example:
  candump -L can0 | tollgate decode --dbc car.dbc
  tollgate decode --dbc car.dbc --json drive.log.gz > drive.jsonl
  tollgate decode --dbc obd.dbc --obd 7E8,7E0 scan.asc
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        json: { type: 'boolean', default: false },
        'single-line': { type: 'boolean', short: 's', default: false },
        encoding: { type: 'string' },
        ...TRANSPORT_ARGUMENTS,
      },
    });
    const [log] = positionals;
    if (values.dbc === undefined || positionals.length > 1) {
      throw new TollgateError('TG_CLI_USAGE', 'decode takes --dbc FILE and at most one LOG');
    }
    const transports = transportOptions(values);
    const { database } = await readDatabase(values.dbc, values);
    const opened = log === undefined ? await recognise(io.stdin) : await openAnyLog(log, { signal: io.signal });
    const form = values.json ? jsonLine : values['single-line'] ? singleLine : lines;
    await new Printer(database, transports, form, io, log ?? 'stdin', opened).run();
    return 0;
  },
};

/** A frame as the log had it, or a message of a transport. */
interface LogFrame {
  readonly kind: SlotKind;
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
  readonly #decoder: BusDecoder;
  readonly #reader: RowReader;
  readonly #known: ReadonlySet<number>;

  constructor(
    database: Database,
    transports: Required<TransportOptions>,
    form: Form,
    io: Io,
    log: string,
    { format, chunks }: OpenedLog,
  ) {
    this.#io = io;
    this.#form = form;
    this.#chunks = chunks;
    const { j1939 } = transports;
    const signals = signalInfos(database);
    this.#decoder = createBusDecoder({ channel: 0, database, signals, ...transports, statuses: 'keep', all: true });
    this.#reader = new RowReader(this.#decoder.layout, database, { statuses: j1939 === 'off' ? 'none' : j1939 });
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
    const { stage } = this.#decoder;
    const text: string[] = [];
    for (let i = 0; i < (stage ?? batch).count; i++) {
      const known = this.#known.has(stage === null ? wordOf(batch, i) : stage.word(i));
      const decoded = known ? (rows.next().value as DecodedFrame) : null;
      text.push(this.#form(this.#frame(batch, i), decoded, unitOf));
    }
    this.#io.out(text.join(''));
  }

  /** Slot `i` of the batch, or of what the transports made of it. */
  #frame(batch: FrameBatch, i: number): LogFrame {
    const { stage } = this.#decoder;
    const { bytes, slotBytes } = stage?.batch ?? batch;
    const slot = bytes.subarray(i * slotBytes, (i + 1) * slotBytes);
    const view = new DataView(slot.buffer, slot.byteOffset, slotBytes);
    const word = stage === null ? view.getUint32(OFFSET_ID, true) : stage.busWord(i);
    return {
      kind: stage === null ? SlotKind.Frame : stage.kind(i),
      timeNs: view.getBigUint64(0, true) + (this.#parser.originNs ?? batch.utcOffsetNs ?? 0n),
      channel: this.#channels[slot[OFFSET_CHANNEL]!]!,
      // Some BLF logs have ids of 29 bits without the flag: shown whole.
      id: word & CAN_EFF_MASK,
      word,
      fd: (slot[OFFSET_FLAGS]! & CANFD_FDF) !== 0,
      flags: slot[OFFSET_FLAGS]!,
      length: slot[OFFSET_LENGTH]!,
      data: stage === null ? slot.slice(HEADER_BYTES, HEADER_BYTES + slot[OFFSET_LENGTH]!) : stage.payload(i).slice(),
    };
  }
}

function wordOf({ bytes, slotBytes }: FrameBatch, i: number): number {
  const at = i * slotBytes + OFFSET_ID;
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
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
    ...(decoded !== null && decoded.statuses.size > 0 ? { status: Object.fromEntries(decoded.statuses) } : {}),
    ...(frame.kind === SlotKind.J1939Message ? { transport: 'j1939' } : {}),
    ...(frame.kind === SlotKind.IsoTpMessage ? { transport: 'isotp' } : {}),
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
  const values = [...decoded.values].map(([name, value]) => {
    const unit = units(decoded, name);
    return `${name}: ${decoded.labels.get(name) ?? `${value}${unit === '' ? '' : ` ${unit}`}`}`;
  });
  return [...values, ...[...decoded.statuses].map(([name, status]) => `${name}: ${status.replace('-', ' ')}`)];
}

function shortText({ short }: DecodedFrame): string {
  return short ? ' short frame: only the signals that fit' : '';
}

function unknown({ word, id, kind }: LogFrame): string {
  if (kind === SlotKind.Carrier) return 'part of a message';
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
