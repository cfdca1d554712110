import {
  CAN_EFF_FLAG,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  type FrameBatch,
  HEADER_BYTES,
  type IdMask,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
} from '#contracts';
import { destinationOf, GLOBAL_ADDRESS, sourceOf } from './id.ts';

/** Most bytes of one message: 255 packets of 7 bytes, SAE J1939-21 §5.10.1. */
export const LARGEST_MESSAGE_BYTES = 1785;
const PACKET_BYTES = 7;
/** A message that fits one frame does not use the transport protocol, SAE J1939-21 §5.10.1. */
const SMALLEST_MESSAGE_BYTES = 9;

/** PDU format of the connection management (PGN 60416) and of the data transfer (PGN 60160), §5.10.3 and §5.10.4. */
const FORMAT_CONNECTION = 0xec;
const FORMAT_DATA = 0xeb;

/**
 * The frames of both protocols, whatever their priority, source and destination. What group a packet belongs to is told by its
 * payload alone, so who wants one long message is shown the packets of all.
 */
export const TRANSPORT_MASKS: readonly IdMask[] = [FORMAT_CONNECTION, FORMAT_DATA].map((format) => ({
  id: (CAN_EFF_FLAG + (format << 16)) >>> 0,
  mask: (CAN_EFF_FLAG + CAN_RTR_FLAG + 0x03ff_0000) >>> 0,
}));

/** Control bytes of TP.CM, SAE J1939-21 §5.10.3.1 to §5.10.3.5. */
const CONTROL_RTS = 16;
const CONTROL_CTS = 17;
const CONTROL_END_OF_MESSAGE = 19;
const CONTROL_BAM = 32;
const CONTROL_ABORT = 255;

/** Times after which a connection is closed, ms, SAE J1939-21 §5.10.2.4. */
export const TRANSPORT_TIMEOUTS_MS = {
  /** Between two packets. */
  t1: 750,
  /** Between a clear-to-send and its first packet. */
  t2: 1250,
  /** Between the last packet of a window (or a request) and the answer to it. */
  t3: 1250,
  /** After a clear-to-send that holds the connection open. */
  t4: 1050,
} as const;

const NS_PER_MS = 1e6;
const T1_NS = TRANSPORT_TIMEOUTS_MS.t1 * NS_PER_MS;
const T2_NS = TRANSPORT_TIMEOUTS_MS.t2 * NS_PER_MS;
const T3_NS = TRANSPORT_TIMEOUTS_MS.t3 * NS_PER_MS;
const T4_NS = TRANSPORT_TIMEOUTS_MS.t4 * NS_PER_MS;

/**
 * A whole message.
 *
 * @param destination address, 0xFF for everyone
 * @param timeNs boottime of its last packet
 * @param bytes holds the payload from byte 0 to `length`, until the call returns: the buffer is used again
 */
export type J1939MessageHandler = (
  pgn: number,
  source: number,
  destination: number,
  timeNs: number,
  bytes: Uint8Array,
  length: number,
) => void;

/** What was seen since the start; each message that was announced ends in exactly one of those above `duplicate`. */
export interface J1939TransportCounters {
  /** Messages handed over. */
  complete: number;
  /** Messages given up: no packet or answer in time (T1 to T4). */
  timeout: number;
  /** Messages given up: one side aborted. */
  aborted: number;
  /** Messages given up: a packet of a broadcast was missing, or the receiver acknowledged one of which we missed a part. */
  missing: number;
  /** Messages given up: the same source announced another one to the same destination. */
  replaced: number;
  /** Announcements left out because all sessions were in use. */
  noRoom: number;
  /** Messages that were still open at `reset`. */
  unfinished: number;
  /** Packets that were already there. */
  duplicate: number;
  /** Packets and answers that belong to no open message, or that have a number that it does not have. */
  stray: number;
  /** Frames of the transport protocol that are not as the standard says: short, unknown control byte, wrong size. */
  malformed: number;
}

export interface J1939TransportOptions {
  /** Only frames of this source; null (default) where batches have one source. One transport listens to one bus. */
  readonly channel?: number | null;
  /** Messages that may be open at a time, at most 255. Default: 32, 58 KB. */
  readonly sessions?: number;
  /** Whether a message is wanted; of others no byte is kept and none is handed over. Default: all are. */
  readonly wants?: (pgn: number, source: number) => boolean;
}

const DEFAULT_SESSIONS = 32;
const MOST_SESSIONS = 255;
const WORDS_PER_BITMAP = 8;

/** A session: one message between a source and a destination. Times are ns, in an array of their own: no boxed numbers. */
class Session {
  readonly buffer = new Uint8Array(LARGEST_MESSAGE_BYTES);
  /** One bit a packet. */
  readonly seen = new Int32Array(WORDS_PER_BITMAP);
  isOpen = false;
  /** All packets came and the message was handed over; kept to know what is sent again. */
  isDone = false;
  isWanted = true;
  source = 0;
  destination = 0;
  pgn = 0;
  size = 0;
  packets = 0;
  missing = 0;
  /** Last packet that the receiver cleared; 0 before the first clear-to-send. */
  windowEnd = 0;
}

/**
 * Puts the messages of the transport protocol of SAE J1939-21 §5.10 together from the frames of one bus: broadcasts
 * (BAM) and connections (RTS/CTS) of 9 to 1,785 bytes, one open message for each pair of source and destination.
 *
 * It listens and never answers. So it does not judge the order of packets in a connection: the receiver does that, by
 * asking again or by aborting, and packets are put where their number says. A broadcast has no receiver that asks again,
 * so a missing packet ends it. Its clock is the time of the frames.
 */
export class J1939Transport {
  readonly counters: J1939TransportCounters = {
    complete: 0,
    timeout: 0,
    aborted: 0,
    missing: 0,
    replaced: 0,
    noRoom: 0,
    unfinished: 0,
    duplicate: 0,
    stray: 0,
    malformed: 0,
  };
  readonly #onMessage: J1939MessageHandler;
  readonly #channel: number | null;
  readonly #wants: ((pgn: number, source: number) => boolean) | null;
  readonly #sessions: readonly Session[];
  /** Source and destination → session + 1; 0 where none is open. */
  readonly #byPair = new Uint8Array(0x1_0000);
  /** Of each session: when it is given up, ns. */
  readonly #deadlines: Float64Array;
  /** Now, and a time before which no deadline lies; ns. */
  readonly #clock = new Float64Array(2);

  constructor(
    onMessage: J1939MessageHandler,
    { channel = null, sessions = DEFAULT_SESSIONS, wants }: J1939TransportOptions = {},
  ) {
    this.#onMessage = onMessage;
    this.#channel = channel;
    this.#wants = wants ?? null;
    const count = Math.max(1, Math.min(sessions, MOST_SESSIONS));
    this.#sessions = Array.from({ length: count }, () => new Session());
    this.#deadlines = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    this.#clock[1] = Number.POSITIVE_INFINITY;
  }

  /** Frames in the order in which they came; frames of other protocols are passed over. Allocates nothing per frame. */
  feed({ bytes, slotBytes, count }: FrameBatch): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    for (let slot = 0; slot < count * slotBytes; slot += slotBytes) {
      if (this.#channel !== null && bytes[slot + OFFSET_CHANNEL] !== this.#channel) continue;
      this.slot(view, bytes, slot);
    }
  }

  /**
   * One frame: its slot starts at `slot` of `bytes`.
   *
   * @param view of the same bytes
   */
  slot(view: DataView, bytes: Uint8Array, slot: number): void {
    const word = view.getInt32(slot + OFFSET_ID, true);
    this.#clock[0] = view.getUint32(slot + OFFSET_TIME, true) + view.getUint32(slot + OFFSET_TIME + 4, true) * 2 ** 32;
    if (this.#clock[0]! > this.#clock[1]!) this.#expire();
    if ((word & (CAN_EFF_FLAG | CAN_RTR_FLAG | CAN_ERR_FLAG)) !== (CAN_EFF_FLAG | 0)) return;
    const format = (word >>> 16) & 0x3ff;
    // The two bits above PF are the data pages: both protocols lie on page 0 (PGN 0xEB00 and 0xEC00).
    if (format !== FORMAT_CONNECTION && format !== FORMAT_DATA) return;
    // Both frames always have 8 bytes, unused ones filled: SAE J1939-21 §5.10.3 and §5.10.4.
    if (bytes[slot + OFFSET_LENGTH] !== 8) this.counters.malformed++;
    else if (format === FORMAT_DATA) this.#data(sourceOf(word), destinationOf(word), bytes, slot + HEADER_BYTES);
    else this.#connection(sourceOf(word), destinationOf(word), bytes, slot + HEADER_BYTES);
  }

  /** Gives up what is overdue at this time; for the end of a log, or where a bus went silent. */
  expire(timeNs: number): void {
    this.#clock[0] = timeNs;
    this.#expire();
  }

  /** Forgets what is open: times of another boot do not compare. */
  reset(): void {
    for (const session of this.#sessions) {
      if (!session.isOpen) continue;
      if (!session.isDone) this.counters.unfinished++;
      this.#close(session);
    }
    this.#clock[1] = Number.POSITIVE_INFINITY;
  }

  #connection(source: number, destination: number, bytes: Uint8Array, at: number): void {
    const control = bytes[at]!;
    const pgn = bytes[at + 5]! | (bytes[at + 6]! << 8) | (bytes[at + 7]! << 16);
    if (control === CONTROL_BAM || control === CONTROL_RTS) {
      this.#announce(control === CONTROL_BAM, source, destination, pgn, bytes, at);
    } else if (control === CONTROL_CTS) {
      // Answers come from the destination of the message.
      const session = this.#find(destination, source);
      if (session === null || session.pgn !== pgn) this.counters.stray++;
      else this.#clearToSend(session, bytes[at + 1]!, bytes[at + 2]!);
    } else if (control === CONTROL_END_OF_MESSAGE) {
      const session = this.#find(destination, source);
      if (session === null || session.pgn !== pgn) this.counters.stray++;
      else {
        if (!session.isDone) this.counters.missing++;
        this.#close(session);
      }
    } else if (control === CONTROL_ABORT) {
      // Either side may abort, SAE J1939-21 §5.10.3.4.
      const mine = this.#abort(source, destination, pgn);
      const other = this.#abort(destination, source, pgn);
      if (!mine && !other) this.counters.stray++;
    } else {
      this.counters.malformed++;
    }
  }

  #announce(isBroadcast: boolean, source: number, destination: number, pgn: number, bytes: Uint8Array, at: number) {
    const size = bytes[at + 1]! | (bytes[at + 2]! << 8);
    const packets = bytes[at + 3]!;
    const fits = size >= SMALLEST_MESSAGE_BYTES && size <= LARGEST_MESSAGE_BYTES;
    if (!fits || packets !== Math.ceil(size / PACKET_BYTES) || isBroadcast !== (destination === GLOBAL_ADDRESS)) {
      this.counters.malformed++;
      return;
    }
    const old = this.#find(source, destination);
    if (old !== null) {
      if (!old.isDone) this.counters.replaced++;
      this.#close(old);
    }
    const index = this.#free();
    if (index === -1) {
      this.counters.noRoom++;
      return;
    }
    const session = this.#sessions[index]!;
    session.isOpen = true;
    session.isDone = false;
    session.isWanted = this.#wants === null || this.#wants(pgn, source);
    session.source = source;
    session.destination = destination;
    session.pgn = pgn;
    session.size = size;
    session.packets = packets;
    session.missing = packets;
    session.windowEnd = 0;
    session.seen.fill(0);
    this.#byPair[(source << 8) | destination] = index + 1;
    this.#wait(index, isBroadcast ? T1_NS : T3_NS);
  }

  #clearToSend(session: Session, count: number, next: number): void {
    const index = this.#byPair[(session.source << 8) | session.destination]! - 1;
    if (count === 0) {
      this.#wait(index, T4_NS);
      return;
    }
    if (next === 0 || next + count - 1 > session.packets) {
      this.counters.malformed++;
      return;
    }
    session.windowEnd = next + count - 1;
    this.#wait(index, T2_NS);
  }

  #data(source: number, destination: number, bytes: Uint8Array, at: number): void {
    const session = this.#find(source, destination);
    const packet = bytes[at]!;
    if (session === null || packet === 0 || packet > session.packets) {
      this.counters.stray++;
      return;
    }
    const word = packet >>> 5;
    const bit = 1 << (packet & 31);
    if ((session.seen[word]! & bit) !== 0) {
      this.counters.duplicate++;
      // A packet that is sent again on request shows that the connection lives; a repeated broadcast does not.
      if (destination !== GLOBAL_ADDRESS) this.#waitAfter(session, packet);
      return;
    }
    if (destination === GLOBAL_ADDRESS && packet !== session.packets - session.missing + 1) {
      this.counters.missing++;
      this.#close(session);
      return;
    }
    session.seen[word]! |= bit;
    session.missing--;
    const offset = (packet - 1) * PACKET_BYTES;
    const end = Math.min(offset + PACKET_BYTES, session.size);
    if (session.isWanted) {
      for (let to = offset, from = at + 1; to < end; to++, from++) session.buffer[to] = bytes[from]!;
    }
    if (session.missing > 0) {
      this.#waitAfter(session, packet);
      return;
    }
    this.counters.complete++;
    session.isDone = true;
    if (session.isWanted) {
      this.#onMessage(session.pgn, source, destination, this.#clock[0]!, session.buffer, session.size);
      session.buffer.fill(0, 0, session.size);
    }
    if (destination === GLOBAL_ADDRESS) this.#close(session);
    else this.#waitAfter(session, session.packets);
  }

  /** Next comes a packet, or, after the last of a window, an answer. */
  #waitAfter(session: Session, packet: number): void {
    const index = this.#byPair[(session.source << 8) | session.destination]! - 1;
    this.#wait(index, packet === session.packets || packet === session.windowEnd ? T3_NS : T1_NS);
  }

  #wait(index: number, ns: number): void {
    const deadline = this.#clock[0]! + ns;
    this.#deadlines[index] = deadline;
    if (deadline < this.#clock[1]!) this.#clock[1] = deadline;
  }

  #expire(): void {
    let next = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#sessions.length; index++) {
      const session = this.#sessions[index]!;
      if (!session.isOpen) continue;
      if (this.#clock[0]! > this.#deadlines[index]!) {
        if (!session.isDone) this.counters.timeout++;
        this.#close(session);
      } else if (this.#deadlines[index]! < next) {
        next = this.#deadlines[index]!;
      }
    }
    this.#clock[1] = next;
  }

  #abort(source: number, destination: number, pgn: number): boolean {
    const session = this.#find(source, destination);
    // A broadcast cannot be aborted: it has no connection.
    if (session === null || session.pgn !== pgn || destination === GLOBAL_ADDRESS) return false;
    if (!session.isDone) this.counters.aborted++;
    this.#close(session);
    return true;
  }

  #find(source: number, destination: number): Session | null {
    const index = this.#byPair[(source << 8) | destination]!;
    return index === 0 ? null : this.#sessions[index - 1]!;
  }

  /** A session that is not in use, else one that is done and only waits for its acknowledgement, else -1. */
  #free(): number {
    let done = -1;
    for (let index = 0; index < this.#sessions.length; index++) {
      if (!this.#sessions[index]!.isOpen) return index;
      if (this.#sessions[index]!.isDone) done = index;
    }
    if (done !== -1) this.#close(this.#sessions[done]!);
    return done;
  }

  #close(session: Session): void {
    const pair = (session.source << 8) | session.destination;
    this.#deadlines[this.#byPair[pair]! - 1] = Number.POSITIVE_INFINITY;
    this.#byPair[pair] = 0;
    session.isOpen = false;
    session.buffer.fill(0, 0, session.size);
  }
}
