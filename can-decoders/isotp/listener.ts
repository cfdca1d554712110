import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
  TollgateError,
} from '#contracts';
import type { IsoTpLink } from './links.ts';

/** Types of N_PCI, the high nibble of its first byte: ISO 15765-2:2016 §9.6.1. */
const SINGLE = 0;
const FIRST = 1;
const CONSECUTIVE = 2;
const FLOW = 3;

/** Flow status: ISO 15765-2:2016 §9.6.5.1. */
const FLOW_CONTINUE = 0;
const FLOW_WAIT = 1;
const FLOW_OVERFLOW = 2;

const CLASSIC_BYTES = 8;
/** Largest length of a first frame without escape: ISO 15765-2:2016 §9.6.3.1. */
const LARGEST_SHORT_LENGTH = 4095;
/** N_Bs and N_Cr, ISO 15765-2:2016 §9.8.2: 1000 ms each. */
const TIMEOUT_NS = 1e9;

/**
 * A whole message.
 *
 * @param id id word of the frames that carried it, with the EFF bit, or the one that the link gives its messages
 * @param timeNs boottime of its last frame
 * @param bytes holds the payload from `start`, `length` bytes, until the call returns: the buffer is used again
 */
export type IsoTpHandler = (id: number, timeNs: number, bytes: Uint8Array, start: number, length: number) => void;

/** What was seen since the start; each message that was begun ends in exactly one of those above `stray`. */
export interface IsoTpCounters {
  /** Messages handed over. */
  complete: number;
  /** Messages given up: no consecutive frame or flow control in time (N_Cr, N_Bs). */
  timeout: number;
  /** Messages given up: a sequence number that was not the next one. */
  sequence: number;
  /** Messages given up: another one began on the same link. */
  replaced: number;
  /** Messages given up: the receiver said overflow. */
  overflow: number;
  /** Messages given up: a consecutive frame shorter than the first frame and not the last. */
  shortFrame: number;
  /** Messages left out: longer than `maxBytes`. */
  tooLong: number;
  /** Messages that were still open at `reset`. */
  unfinished: number;
  /** Consecutive frames and flow controls that belong to no open message. */
  stray: number;
  /** Frames of a link that are not as the standard says: length, type, escape. */
  malformed: number;
}

export interface IsoTpOptions {
  /** What is listened to; every other id is passed over, because any frame can look like this protocol. */
  readonly links: readonly IsoTpLink[];
  /** Normal (also normal fixed) or extended (also mixed) addressing: ISO 15765-2 §10.3. Default: normal. */
  readonly addressing?: 'normal' | 'extended';
  /** Only frames of this source; null (default) where batches have one source. */
  readonly channel?: number | null;
  /** Longest message, bytes; each link keeps a buffer of this size. Default: 4095. */
  readonly maxBytes?: number;
}

class Session {
  readonly id: number;
  readonly hasFlow: boolean;
  readonly buffer: Uint8Array;
  isOpen = false;
  size = 0;
  filled = 0;
  /** Next sequence number, 0–15. */
  next = 0;
  /** Bytes of the first frame, which all but the last consecutive frame share: ISO 15765-2:2016 §9.5. */
  frameBytes = 0;

  constructor(link: IsoTpLink, maxBytes: number) {
    this.id = link.as ?? link.id;
    this.hasFlow = link.flowId !== undefined;
    this.buffer = new Uint8Array(maxBytes);
  }
}

/**
 * Puts messages of ISO 15765-2 together from the frames of one bus, classic and CAN FD, one open message a link. It
 * listens and never sends flow control; that of the receiver, where it is seen, ends a message that the receiver refuses
 * and prolongs one that it delays. Its clock is the time of the frames.
 */
export class IsoTpListener {
  readonly counters: IsoTpCounters = {
    complete: 0,
    timeout: 0,
    sequence: 0,
    replaced: 0,
    overflow: 0,
    shortFrame: 0,
    tooLong: 0,
    unfinished: 0,
    stray: 0,
    malformed: 0,
  };
  readonly #onMessage: IsoTpHandler;
  readonly #channel: number | null;
  /** Bytes before N_PCI: the address of extended addressing. */
  readonly #skip: 0 | 1;
  readonly #maxBytes: number;
  readonly #sessions: readonly Session[];
  /** 29 bits and, for 11-bit ids, apart → by address byte (0 in normal addressing) session + 1. */
  readonly #senders = new IdTable();
  readonly #receivers = new IdTable();
  /** Of each session: when it is given up, ns. */
  readonly #deadlines: Float64Array;
  /** Now, and a time before which no deadline lies; ns. */
  readonly #clock = new Float64Array(2);

  /** @throws {TollgateError} TG_TRANSPORT_LINK where two links have the same id, or a link lacks its address */
  constructor(onMessage: IsoTpHandler, options: IsoTpOptions) {
    const { links, addressing = 'normal', channel = null, maxBytes = LARGEST_SHORT_LENGTH } = options;
    this.#onMessage = onMessage;
    this.#channel = channel;
    this.#skip = addressing === 'extended' ? 1 : 0;
    this.#maxBytes = maxBytes;
    this.#sessions = links.map((link) => new Session(link, maxBytes));
    this.#deadlines = new Float64Array(links.length).fill(Number.POSITIVE_INFINITY);
    this.#clock[1] = Number.POSITIVE_INFINITY;
    for (const [index, link] of links.entries()) {
      this.#senders.add(link.id, this.#addressOf(link.address, index), index);
      if (link.flowId !== undefined) {
        this.#receivers.add(link.flowId, this.#addressOf(link.flowAddress, index), index);
      }
    }
  }

  /** Frames in the order in which they came. Allocates nothing per frame. */
  feed({ bytes, slotBytes, count }: FrameBatch): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    for (let slot = 0; slot < count * slotBytes; slot += slotBytes) {
      if (this.#channel !== null && bytes[slot + OFFSET_CHANNEL] !== this.#channel) continue;
      this.slot(view, bytes, slot, slotBytes);
    }
  }

  /**
   * One frame: its slot starts at `slot` of `bytes`.
   *
   * @param view of the same bytes
   * @returns whether the frame is one of a link: part of a message, or flow control
   */
  slot(view: DataView, bytes: Uint8Array, slot: number, slotBytes: number): boolean {
    this.#clock[0] = view.getUint32(slot + OFFSET_TIME, true) + view.getUint32(slot + OFFSET_TIME + 4, true) * 2 ** 32;
    if (this.#clock[0]! > this.#clock[1]!) this.#expire();
    const word = view.getInt32(slot + OFFSET_ID, true);
    if ((word & (CAN_RTR_FLAG | CAN_ERR_FLAG)) !== 0) return false;
    const length = Math.min(bytes[slot + OFFSET_LENGTH]!, slotBytes - HEADER_BYTES);
    return this.#frame(word, bytes, slot + HEADER_BYTES, length);
  }

  /** Gives up what is overdue at this time; for the end of a log, or where a bus went silent. */
  expire(timeNs: number): void {
    this.#clock[0] = timeNs;
    this.#expire();
  }

  /** Forgets what is open: times of another boot do not compare. */
  reset(): void {
    for (let index = 0; index < this.#sessions.length; index++) {
      if (!this.#sessions[index]!.isOpen) continue;
      this.counters.unfinished++;
      this.#close(index);
    }
    this.#clock[1] = Number.POSITIVE_INFINITY;
  }

  #frame(word: number, bytes: Uint8Array, start: number, length: number): boolean {
    const sender = this.#senders.rowOf(word);
    const receiver = this.#receivers.rowOf(word);
    if (sender === undefined && receiver === undefined) return false;
    const address = this.#skip === 1 && length > 0 ? bytes[start]! : 0;
    const sending = sender === undefined ? -1 : sender[address]! - 1;
    const receiving = receiver === undefined ? -1 : receiver[address]! - 1;
    if (sending === -1 && receiving === -1) return false;
    if (length <= this.#skip) {
      this.counters.malformed++;
      return true;
    }
    // From here on without the address byte.
    const at = start + this.#skip;
    const left = length - this.#skip;
    const type = bytes[at]! >> 4;
    if (type === FLOW) {
      if (receiving !== -1) this.#flow(receiving, bytes, at, left);
      return true;
    }
    if (sending === -1) return false;
    if (type === SINGLE) this.#single(sending, bytes, at, left);
    else if (type === FIRST) this.#first(sending, bytes, at, left);
    else if (type === CONSECUTIVE) this.#consecutive(sending, bytes, at, left);
    else this.counters.malformed++;
    return true;
  }

  /** ISO 15765-2:2016 §9.6.2: length in the low nibble; in frames of more than 8 bytes 0 there, and the next byte. */
  #single(index: number, bytes: Uint8Array, at: number, left: number): void {
    const isLong = left + this.#skip > CLASSIC_BYTES;
    const nibble = bytes[at]! & 0xf;
    const head = isLong ? 2 : 1;
    const size = isLong ? bytes[at + 1]! : nibble;
    if ((isLong && nibble !== 0) || size === 0 || size > left - head) {
      this.counters.malformed++;
      return;
    }
    this.#replace(index);
    if (size > this.#maxBytes) {
      this.counters.tooLong++;
      return;
    }
    this.counters.complete++;
    this.#onMessage(this.#sessions[index]!.id, this.#clock[0]!, bytes, at + head, size);
  }

  /** ISO 15765-2:2016 §9.6.3: 12 bits of length, or, where they are 0, the four bytes that follow. */
  #first(index: number, bytes: Uint8Array, at: number, left: number): void {
    const frameBytes = left + this.#skip;
    let size = ((bytes[at]! & 0xf) << 8) | (left > 1 ? bytes[at + 1]! : 0);
    let head = 2;
    if (size === 0 && left >= 6) {
      head = 6;
      size = bytes[at + 2]! * 2 ** 24 + ((bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!);
      // §9.6.3.2: the escape is only for what does not fit 12 bits.
      if (size <= LARGEST_SHORT_LENGTH) size = 0;
    }
    // §9.6.3.2: what a single frame of this size holds is no first frame; frames below 8 bytes carry none.
    const single = left - (frameBytes > CLASSIC_BYTES ? 2 : 1);
    if (frameBytes < CLASSIC_BYTES || size <= single) {
      this.counters.malformed++;
      return;
    }
    this.#replace(index);
    if (size > this.#maxBytes) {
      this.counters.tooLong++;
      return;
    }
    const session = this.#sessions[index]!;
    session.isOpen = true;
    session.size = size;
    session.filled = 0;
    session.next = 1;
    session.frameBytes = frameBytes;
    take(session, bytes, at + head, left - head);
    this.#wait(index);
  }

  /** ISO 15765-2:2016 §9.6.4: a sequence number that begins at 1 after the first frame and goes from 15 to 0. */
  #consecutive(index: number, bytes: Uint8Array, at: number, left: number): void {
    const session = this.#sessions[index]!;
    if (!session.isOpen) {
      this.counters.stray++;
      return;
    }
    // §9.6.4.4: a wrong number ends the reception.
    if ((bytes[at]! & 0xf) !== session.next) {
      this.counters.sequence++;
      this.#close(index);
      return;
    }
    const missing = session.size - session.filled;
    // Only the last frame may be shorter, and it must hold what is missing.
    if (left - 1 < Math.min(missing, session.frameBytes - this.#skip - 1)) {
      this.counters.shortFrame++;
      this.#close(index);
      return;
    }
    // A sender that pads differently than its first frame does is read up to the first frame's length.
    take(session, bytes, at + 1, Math.min(left, session.frameBytes - this.#skip) - 1);
    session.next = (session.next + 1) & 0xf;
    if (session.filled < session.size) {
      this.#wait(index);
      return;
    }
    this.counters.complete++;
    this.#onMessage(session.id, this.#clock[0]!, session.buffer, 0, session.size);
    this.#close(index);
  }

  /** ISO 15765-2:2016 §9.6.5: block size and separation time are the sender's business, only the status counts here. */
  #flow(index: number, bytes: Uint8Array, at: number, left: number): void {
    const status = bytes[at]! & 0xf;
    if (left < 3 || status > FLOW_OVERFLOW) {
      this.counters.malformed++;
    } else if (!this.#sessions[index]!.isOpen) {
      this.counters.stray++;
    } else if (status === FLOW_CONTINUE || status === FLOW_WAIT) {
      this.#wait(index);
    } else {
      this.counters.overflow++;
      this.#close(index);
    }
  }

  /** ISO 15765-2:2016 §9.8.3: a single or first frame ends what was being received. */
  #replace(index: number): void {
    if (!this.#sessions[index]!.isOpen) return;
    this.counters.replaced++;
    this.#close(index);
  }

  /**
   * After the first frame and after a block comes flow control (N_Bs), after it or within a block the next frame (N_Cr).
   * Where flow control is not seen, both may pass between two frames.
   */
  #wait(index: number): void {
    const deadline = this.#clock[0]! + (this.#sessions[index]!.hasFlow ? TIMEOUT_NS : 2 * TIMEOUT_NS);
    this.#deadlines[index] = deadline;
    if (deadline < this.#clock[1]!) this.#clock[1] = deadline;
  }

  #expire(): void {
    let next = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#sessions.length; index++) {
      if (!this.#sessions[index]!.isOpen) continue;
      if (this.#clock[0]! > this.#deadlines[index]!) {
        this.counters.timeout++;
        this.#close(index);
      } else if (this.#deadlines[index]! < next) {
        next = this.#deadlines[index]!;
      }
    }
    this.#clock[1] = next;
  }

  #close(index: number): void {
    const session = this.#sessions[index]!;
    session.isOpen = false;
    session.buffer.fill(0, 0, session.filled);
    this.#deadlines[index] = Number.POSITIVE_INFINITY;
  }

  #addressOf(address: number | undefined, index: number): number {
    if (this.#skip === 0) return 0;
    if (address !== undefined && address >= 0 && address <= 0xff) return address;
    throw new TollgateError('TG_TRANSPORT_LINK', `link ${index} has no address byte for extended addressing`);
  }
}

/** Ids and address bytes → number of a link. Standard and extended ids are kept apart: the same number may be both. */
class IdTable {
  readonly #standard = new Map<number, Uint16Array>();
  readonly #extended = new Map<number, Uint16Array>();

  add(word: number, address: number, index: number): void {
    const table = this.#tableOf(word);
    const row = table.get(word & CAN_EFF_MASK) ?? new Uint16Array(0x100);
    table.set(word & CAN_EFF_MASK, row);
    if (row[address] !== 0) {
      throw new TollgateError('TG_TRANSPORT_LINK', `link ${index} has the id and address of link ${row[address]! - 1}`);
    }
    row[address] = index + 1;
  }

  rowOf(word: number): Uint16Array | undefined {
    return this.#tableOf(word).get(word & CAN_EFF_MASK);
  }

  #tableOf(word: number): Map<number, Uint16Array> {
    return (word & CAN_EFF_FLAG) === 0 ? this.#standard : this.#extended;
  }
}

/** Copies what is still missing, byte by byte: a view would be an object a frame. */
function take(session: Session, bytes: Uint8Array, from: number, length: number): void {
  const end = Math.min(session.size, session.filled + length);
  for (let to = session.filled; to < end; to++, from++) session.buffer[to] = bytes[from]!;
  session.filled = end;
}
