import {
  CAN_EFF_FLAG,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
  type SlotBytes,
} from '#contracts';
import { isPdu2 } from '../j1939/id.ts';
import type { PgnMatcher } from '../j1939/match.ts';
import { Bus, type MessageSink, type TransportCounters } from './bus.ts';
import { type IsoTpEntry, wordOfId } from './options.ts';

/** What a slot of an expanded batch holds. */
export const SlotKind = {
  /** A frame as it came; J1939 frames have the id of their message in the database. */
  Frame: 0,
  /** A frame that carries a part of an ISO-TP message; its id word decodes to nothing. */
  Carrier: 1,
  J1939Message: 2,
  IsoTpMessage: 3,
} as const;
export type SlotKind = (typeof SlotKind)[keyof typeof SlotKind];

export interface StageOptions {
  /** Finds messages by parameter group; null where the database has none that is meant so. */
  readonly matcher: PgnMatcher | null;
  readonly isotp: readonly IsoTpEntry[];
  /** Id words that somebody decodes; null keeps every message. */
  readonly wanted: ReadonlySet<number> | null;
  /** The channel that is sure to come; others get their sessions with their first frame. */
  readonly channel: number;
}

const LARGEST_PAYLOAD = FD_SLOT_BYTES - HEADER_BYTES;
const SLOT_WORDS = FD_SLOT_BYTES / 4;
const WORD = 2 ** 32;
const FIRST_SLOTS = 1024;
const FIRST_STASH_BYTES = 8192;
/** Flags that no decoder takes: the frame is there for those who list frames. */
const CARRIER_FLAGS = CAN_RTR_FLAG | CAN_ERR_FLAG;
/** SAE J1939-21 §5.2.1: the priority of a message that nothing else is said of. */
const DEFAULT_PRIORITY = 6;
const PRIORITY_SHIFT = 26;

/**
 * The stage before a decoder, where a bus carries more than frames: J1939 frames get the id of their message in the
 * database, and each message of a transport stands, as one more slot, behind the frame that completed it. So what
 * follows sees one batch in order of time. Every bus (channel) has its own sessions.
 *
 * Slots are of 64 bytes; of a longer message the slot has the first 64, and `payload` all of it. Allocates nothing per
 * frame: the buffers grow to the largest batch.
 */
export class TransportStage {
  /** Slots of the last batch. */
  count = 0;
  /** What the last `expand` returned. */
  batch: FrameBatch | null = null;
  /** Messages longer than a slot in the last batch. */
  longs = 0;
  /** Frames of the last batch that have no slot, because nobody decodes them: of unknown ids, remote and error frames, parts of messages. */
  unknown = 0;
  ignored = 0;
  carriers = 0;
  readonly #options: StageOptions;
  readonly #buses: (Bus | null)[] = [];
  readonly #sink: MessageSink;
  /** Id words that somebody decodes and those of both directions of the links, signed: as such a look-up makes no number object. */
  readonly #wanted: ReadonlySet<number> | null;
  readonly #links: ReadonlySet<number>;
  #words = new Uint32Array(FIRST_SLOTS * SLOT_WORDS);
  #bytes = new Uint8Array(this.#words.buffer);
  #busWords = new Uint32Array(FIRST_SLOTS);
  #kinds = new Uint8Array(FIRST_SLOTS);
  #lengths = new Int32Array(FIRST_SLOTS);
  /** Where a long message lies in the stash, −1 for others. */
  #starts = new Int32Array(FIRST_SLOTS);
  #stash = new Uint8Array(FIRST_STASH_BYTES);
  #stashed = 0;
  #channel = 0;
  #bootId: Uint8Array | null = null;

  /** @throws {TollgateError} TG_TRANSPORT_LINK where links contradict */
  constructor(options: StageOptions) {
    this.#options = options;
    const { wanted, matcher, isotp } = options;
    const links = isotp.flatMap(({ id, flow }) => (flow === undefined ? [id] : [id, flow]));
    this.#links = new Set(links.map((id) => wordOfId(id) | 0));
    this.#wanted = wanted === null ? null : new Set([...wanted].map((word) => word | 0));
    const wants = (word: number) => wanted === null || (word !== 0 && wanted.has(word));
    this.#sink = {
      wantsGroup: (pgn, source) => wants(wordOfGroup(matcher, pgn, source)),
      j1939: (pgn, source, destination, timeNs, bytes, length) => {
        const word = wordOfGroup(matcher, pgn, source);
        const bus = busWord(pgn, source, destination);
        this.#put(SlotKind.J1939Message, word === 0 ? bus : word, bus, timeNs, bytes, 0, length);
      },
      isotp: (word, bus, timeNs, bytes, start, length) => {
        if (wanted === null || wanted.has(word))
          this.#put(SlotKind.IsoTpMessage, word, bus, timeNs, bytes, start, length);
      },
    };
    this.#bus(options.channel);
  }

  /** @returns frames and messages in order of time; good until the next call */
  expand(batch: FrameBatch): FrameBatch {
    const { slotBytes, count, bootId } = batch;
    const { bytes, words } = aligned(batch);
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    // Times of two boots do not compare: what was open cannot end.
    if (this.#bootId !== null && !isSame(this.#bootId, bootId)) for (const bus of this.#buses) bus?.reset();
    this.#bootId = bootId;
    this.count = 0;
    this.longs = 0;
    this.unknown = 0;
    this.ignored = 0;
    this.carriers = 0;
    this.#stashed = 0;
    for (let slot = 0; slot < count * slotBytes; slot += slotBytes) {
      this.#frame(words, slotBytes, view, bytes, slot);
    }
    this.batch = {
      ...batch,
      bytes: this.#bytes.subarray(0, this.count * FD_SLOT_BYTES),
      slotBytes: FD_SLOT_BYTES,
      count: this.count,
    };
    return this.batch;
  }

  kind(slot: number): SlotKind {
    return this.#kinds[slot]! as SlotKind;
  }

  /** Id word as it was on the bus; of a J1939 message that of its group with the default priority. */
  busWord(slot: number): number {
    return this.#busWords[slot]!;
  }

  /** Id word that decoders see. */
  word(slot: number): number {
    return this.#words[slot * SLOT_WORDS + OFFSET_ID / 4]!;
  }

  channel(slot: number): number {
    return this.#bytes[slot * FD_SLOT_BYTES + OFFSET_CHANNEL]!;
  }

  isLong(slot: number): boolean {
    return this.#starts[slot]! >= 0;
  }

  /** The whole payload; a view that is good until the next `expand`. */
  payload(slot: number): Uint8Array {
    const length = this.#lengths[slot]!;
    const start = this.#starts[slot]!;
    if (start >= 0) return this.#stash.subarray(start, start + length);
    const at = slot * FD_SLOT_BYTES + HEADER_BYTES;
    return this.#bytes.subarray(at, at + length);
  }

  /** Everything that the stage keeps between two batches, but for the sessions; for tests that look for what must not be there. */
  get memory(): readonly Uint8Array[] {
    return [this.#bytes, this.#stash];
  }

  /** Zeroes the slots: to be called when nobody reads them any more. */
  clear(): void {
    this.#words.fill(0, 0, this.count * SLOT_WORDS);
    this.#stash.fill(0, 0, this.#stashed);
  }

  /** What the transports of all buses have seen. */
  counters(): TransportCounters {
    return Bus.sum(this.#buses.filter((bus) => bus !== null && bus !== undefined));
  }

  #frame(words: Uint32Array, slotBytes: SlotBytes, view: DataView, bytes: Uint8Array, slot: number): void {
    const word = words[(slot + OFFSET_ID) / 4]! | 0;
    this.#channel = bytes[slot + OFFSET_CHANNEL]!;
    const { matcher } = this.#options;
    const wanted = this.#wanted;
    const known = matcher === null ? 0 : matcher.match(word);
    const as = known === 0 ? word : known;
    const bus = this.#bus(this.#channel);
    if (wanted === null) {
      const at = this.#copy(words, slotBytes, slot, word, as);
      if (!bus.slot(view, bytes, slot, slotBytes)) return;
      this.#kinds[at] = SlotKind.Carrier;
      this.#words[at * SLOT_WORDS + OFFSET_ID / 4] = word | CARRIER_FLAGS;
      return;
    }
    // Nothing is kept of a frame that nobody decodes, nor of a carrier: its bytes are in a session, if anywhere.
    const isWanted = wanted.has(as);
    if (isWanted && !this.#links.has(word)) {
      this.#copy(words, slotBytes, slot, word, as);
      bus.slot(view, bytes, slot, slotBytes);
    } else if (bus.slot(view, bytes, slot, slotBytes)) {
      this.carriers++;
    } else if (isWanted) {
      this.#copy(words, slotBytes, slot, word, as);
    } else if ((word & CARRIER_FLAGS) !== 0) {
      this.ignored++;
    } else {
      this.unknown++;
    }
  }

  /** The frame as the next slot; returns its number. */
  #copy(words: Uint32Array, slotBytes: SlotBytes, slot: number, word: number, as: number): number {
    const at = this.#room();
    const to = at * SLOT_WORDS;
    const from = slot / 4;
    const own = this.#words;
    const wide = slotBytes / 4;
    for (let i = 0; i < wide; i++) own[to + i] = words[from + i]!;
    for (let i = wide; i < SLOT_WORDS; i++) own[to + i] = 0;
    own[to + OFFSET_ID / 4] = as;
    this.#busWords[at] = word;
    this.#kinds[at] = SlotKind.Frame;
    this.#lengths[at] = Math.min(this.#bytes[at * FD_SLOT_BYTES + OFFSET_LENGTH]!, slotBytes - HEADER_BYTES);
    this.#starts[at] = -1;
    this.count++;
    return at;
  }

  #bus(channel: number): Bus {
    const known = this.#buses[channel];
    if (known !== undefined && known !== null) return known;
    const { matcher, isotp } = this.#options;
    const bus = new Bus(this.#sink, { j1939: matcher !== null, isotp });
    this.#buses[channel] = bus;
    return bus;
  }

  #put(
    kind: SlotKind,
    word: number,
    bus: number,
    timeNs: number,
    bytes: Uint8Array,
    start: number,
    length: number,
  ): void {
    const at = this.#room();
    const own = this.#words;
    const to = at * SLOT_WORDS;
    for (let i = 0; i < SLOT_WORDS; i++) own[to + i] = 0;
    own[to + OFFSET_TIME / 4] = timeNs % WORD;
    own[to + OFFSET_TIME / 4 + 1] = Math.floor(timeNs / WORD);
    own[to + OFFSET_ID / 4] = word;
    const slot = at * FD_SLOT_BYTES;
    const kept = Math.min(length, LARGEST_PAYLOAD);
    this.#bytes[slot + OFFSET_LENGTH] = kept;
    this.#bytes[slot + OFFSET_CHANNEL] = this.#channel;
    for (let i = 0; i < kept; i++) this.#bytes[slot + HEADER_BYTES + i] = bytes[start + i]!;
    this.#busWords[at] = bus;
    this.#kinds[at] = kind;
    this.#lengths[at] = length;
    this.#starts[at] = length > LARGEST_PAYLOAD ? this.#keep(bytes, start, length) : -1;
    this.count++;
  }

  #keep(bytes: Uint8Array, start: number, length: number): number {
    const at = this.#stashed;
    if (at + length > this.#stash.length) {
      const larger = new Uint8Array(Math.max(at + length, this.#stash.length * 2));
      larger.set(this.#stash.subarray(0, at));
      this.#stash = larger;
    }
    this.#stash.set(bytes.subarray(start, start + length), at);
    this.#stashed = at + length;
    this.longs++;
    return at;
  }

  /** Number of the next slot, which has room. */
  #room(): number {
    const slots = this.#kinds.length;
    if (this.count < slots) return this.count;
    const words = new Uint32Array(slots * 2 * SLOT_WORDS);
    words.set(this.#words);
    this.#words = words;
    this.#bytes = new Uint8Array(words.buffer);
    this.#busWords = grown(this.#busWords, new Uint32Array(slots * 2));
    this.#kinds = grown(this.#kinds, new Uint8Array(slots * 2));
    this.#lengths = grown(this.#lengths, new Int32Array(slots * 2));
    this.#starts = grown(this.#starts, new Int32Array(slots * 2));
    return this.count;
  }
}

function grown<A extends Uint32Array | Int32Array | Uint8Array>(from: A, to: A): A {
  to.set(from);
  return to;
}

/** The batch as words: its own buffer where that is aligned, as those of all sources are. */
function aligned({ bytes, slotBytes, count }: FrameBatch): { bytes: Uint8Array; words: Uint32Array } {
  const own = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice(0, count * slotBytes);
  return { bytes: own, words: new Uint32Array(own.buffer, own.byteOffset, (count * slotBytes) / 4) };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, i) => byte === b[i]));
}

/** 0 where the database has no message of the group. */
function wordOfGroup(matcher: PgnMatcher | null, pgn: number, source: number): number {
  const id = matcher === null ? -1 : matcher.idOf(pgn, source);
  return id === -1 ? 0 : (id | CAN_EFF_FLAG) >>> 0;
}

function busWord(pgn: number, source: number, destination: number): number {
  const id = (DEFAULT_PRIORITY << PRIORITY_SHIFT) | (pgn << 8) | source;
  return ((isPdu2(id) ? id : id | (destination << 8)) | CAN_EFF_FLAG) >>> 0;
}
