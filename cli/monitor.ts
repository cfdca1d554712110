import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CANFD_FDF,
  CLASSIC_SLOT_BYTES,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
  type SlotBytes,
} from '#contracts';
import type { Database } from '#dbc';
import {
  createBusDecoder,
  createDecoder,
  type DecodedFrame,
  type Decoder,
  RowReader,
  SlotKind,
  signalInfos,
  type TransportOptions,
  type TransportStage,
} from '#decoders';

/** A bus has some hundred ids; a log of noise has millions. */
const MOST_ROWS = 4096;
const DECODE_FRAMES = 256;
const PAYLOAD_BYTES = 64;
const WORD = 2 ** 32;
const KINDS = 4;
/** Share of the newest interval in the rate of a live view. */
const SMOOTHING = 1 / 8;
const NS_PER_S = 1e9;

/** The frames of one id on one channel, the newest with its payload. */
export interface MonitorRow {
  readonly channel: number;
  /** Id with the flag bits of the slot. */
  readonly word: number;
  /** Id word of its message in the database, where transports are followed. */
  readonly as: number;
  readonly kind: SlotKind;
  readonly data: Uint8Array;
  /** Log time of the last change of each byte, ns; −1: it never changed. */
  readonly changedNs: Float64Array;
  count: number;
  flags: number;
  length: number;
  firstNs: number;
  lastNs: number;
  /** Smoothed time between two frames, ns. */
  intervalNs: number;
}

/** One row a message. Nothing is allocated a frame: decoding is for those who look. */
export class MonitorRows {
  frames = 0;
  /** Frames of ids for which there was no row left. */
  beyond = 0;
  /** Log time of the newest frame, ns since the first. */
  newestNs = 0;
  readonly #rows = new Map<number, MonitorRow>();

  /** @param stage where the batch is what it made of the frames */
  add({ bytes, slotBytes, count }: FrameBatch, stage: TransportStage | null = null): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < count * slotBytes; at += slotBytes) {
      const timeNs = view.getUint32(at + OFFSET_TIME + 4, true) * WORD + view.getUint32(at + OFFSET_TIME, true);
      const as = view.getUint32(at + OFFSET_ID, true);
      const kind = stage === null ? SlotKind.Frame : stage.kind(at / slotBytes);
      const word = stage === null ? as : stage.busWord(at / slotBytes);
      if (kind === SlotKind.Frame || kind === SlotKind.Carrier) this.frames++;
      if (timeNs > this.newestNs) this.newestNs = timeNs;
      const row = this.#row(bytes[at + OFFSET_CHANNEL]!, kind, word, as, timeNs);
      if (row === null) this.beyond++;
      else {
        row.flags = bytes[at + OFFSET_FLAGS]!;
        take(row, bytes, at + HEADER_BYTES, bytes[at + OFFSET_LENGTH]!, timeNs);
      }
    }
  }

  /** In the order of `order` for channels, then of ids. */
  sorted(order: (channel: number) => string): MonitorRow[] {
    return [...this.#rows.values()].sort((a, b) => {
      const [left, right] = [order(a.channel), order(b.channel)];
      return left < right ? -1 : left > right ? 1 : a.word - b.word;
    });
  }

  #row(channel: number, kind: SlotKind, word: number, as: number, timeNs: number): MonitorRow | null {
    const key = (channel * KINDS + kind) * WORD + word;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size >= MOST_ROWS) return null;
    const row: MonitorRow = {
      channel,
      word,
      as,
      kind,
      data: new Uint8Array(PAYLOAD_BYTES),
      changedNs: new Float64Array(PAYLOAD_BYTES).fill(-1),
      count: 0,
      flags: 0,
      length: 0,
      firstNs: timeNs,
      lastNs: timeNs,
      intervalNs: 0,
    };
    this.#rows.set(key, row);
    return row;
  }
}

function take(row: MonitorRow, bytes: Uint8Array, at: number, length: number, timeNs: number): void {
  const payload = (row.word & CAN_RTR_FLAG) !== 0 ? 0 : length;
  if (row.count > 0) {
    const interval = timeNs - row.lastNs;
    row.intervalNs = row.count === 1 ? interval : row.intervalNs + (interval - row.intervalNs) * SMOOTHING;
    for (let i = 0; i < payload; i++) if (i >= row.length || row.data[i] !== bytes[at + i]) row.changedNs[i] = timeNs;
  }
  for (let i = 0; i < payload; i++) row.data[i] = bytes[at + i]!;
  row.length = payload;
  row.count++;
  row.lastNs = timeNs;
}

/** Frames a second over the whole log; null below two frames or where they have one time. */
export function meanRate({ count, firstNs, lastNs }: MonitorRow): number | null {
  return count < 2 || lastNs <= firstNs ? null : ((count - 1) * NS_PER_S) / (lastNs - firstNs);
}

/** Frames a second as it is now. */
export function presentRate({ intervalNs }: MonitorRow): number | null {
  return intervalNs <= 0 ? null : NS_PER_S / intervalNs;
}

/** Without flag bits. */
export function idOf({ word }: MonitorRow): number {
  return (word & (CAN_EFF_FLAG | CAN_ERR_FLAG)) === 0 ? word & CAN_SFF_MASK : word & CAN_EFF_MASK;
}

/** `1A0`, eight digits for 29 bits and error frames. */
export function idText(row: MonitorRow): string {
  const digits = (row.word & (CAN_EFF_FLAG | CAN_ERR_FLAG)) === 0 ? 3 : 8;
  return idOf(row).toString(16).toUpperCase().padStart(digits, '0');
}

/** What a row is without a database. */
export function kindText({ word, flags, kind }: MonitorRow): string {
  if (kind === SlotKind.Carrier) return 'parts';
  if (kind !== SlotKind.Frame) return 'message';
  if ((word & CAN_ERR_FLAG) !== 0) return 'error frame';
  if ((word & CAN_RTR_FLAG) !== 0) return 'remote frame';
  return (flags & CANFD_FDF) !== 0 ? 'FD' : '';
}

/** Decodes the newest frame of rows, when somebody looks. */
export class MonitorDecoder {
  /** What puts messages together before the rows; null where the bus carries nothing but frames. */
  readonly stage: TransportStage | null;
  readonly #decoder: Decoder;
  readonly #reader: RowReader;
  readonly #known: ReadonlySet<number>;
  readonly #units: ReadonlyMap<string, string>;

  constructor(database: Database, transports: Required<TransportOptions>) {
    const signals = signalInfos(database);
    const { j1939 } = transports;
    const bus = createBusDecoder({ channel: 0, database, signals, ...transports, all: true });
    this.stage = bus.stage;
    // The rows hold messages that are whole: they are decoded without the stage.
    this.#decoder = createDecoder({ channel: 0, database, signals });
    this.#reader = new RowReader(this.#decoder.layout, database, { statuses: j1939 === 'off' ? 'none' : j1939 });
    this.#known = new Set(this.#decoder.layout.messages.map(({ id }) => id));
    this.#units = new Map(signals.map(({ dbcName, unit }) => [dbcName, unit ?? '']));
  }

  /** @returns nothing for rows of ids that the database lacks */
  decode(rows: readonly MonitorRow[]): ReadonlyMap<MonitorRow, DecodedFrame> {
    const found = new Map<MonitorRow, DecodedFrame>();
    const known = rows.filter(({ as }) => this.#known.has(as));
    for (const slotBytes of [CLASSIC_SLOT_BYTES, FD_SLOT_BYTES] as const) {
      const own = known.filter((row) => slotOf(row) === slotBytes);
      for (let from = 0; from < own.length; from += DECODE_FRAMES) {
        const some = own.slice(from, from + DECODE_FRAMES);
        const decoded = this.#reader.read(this.#decoder.decode(batchOf(some, slotBytes)));
        for (const [i, frame] of [...decoded].entries()) found.set(some[i]!, frame);
      }
    }
    return found;
  }

  /** `Speed 12.5 km/h`, `Gear Reverse`: one text a signal. */
  texts({ message, values, labels, statuses, short }: DecodedFrame): string[] {
    const texts = [...values].map(([name, value]) => {
      const unit = this.#units.get(`dbc:${message.name}.${name}`) ?? '';
      return `${name} ${labels.get(name) ?? `${value}${unit === '' ? '' : ` ${unit}`}`}`;
    });
    for (const [name, status] of statuses) texts.push(`${name} ${status.replace('-', ' ')}`);
    return short ? [...texts, '(short frame)'] : texts;
  }
}

function slotOf({ flags, length }: MonitorRow): SlotBytes {
  return (flags & CANFD_FDF) !== 0 || length > CLASSIC_SLOT_BYTES - HEADER_BYTES ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES;
}

function batchOf(rows: readonly MonitorRow[], slotBytes: SlotBytes): FrameBatch {
  const bytes = new Uint8Array(rows.length * slotBytes);
  const view = new DataView(bytes.buffer);
  for (const [i, { as, flags, length, data }] of rows.entries()) {
    const at = i * slotBytes;
    view.setUint32(at + OFFSET_ID, as, true);
    bytes[at + OFFSET_LENGTH] = length;
    bytes[at + OFFSET_FLAGS] = flags;
    bytes.set(data.subarray(0, length), at + HEADER_BYTES);
  }
  return {
    bytes,
    slotBytes,
    count: rows.length,
    bootId: new Uint8Array(8),
    utcOffsetNs: null,
    utcErrorNs: Number.POSITIVE_INFINITY,
    utcSource: 'unknown',
  };
}
