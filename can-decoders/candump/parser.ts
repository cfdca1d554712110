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
  IdMatcher,
} from '#contracts';
import { FIRST_CHARACTER, HEX, isDigit, NAME_BYTES, State } from './grammar.ts';
import { Interfaces } from './interfaces.ts';
import { SlotBuffer } from './slots.ts';

export interface CandumpOptions {
  /** The agent's boot, 8 bytes. */
  readonly bootId: Uint8Array;
  /**
   * Channel of an interface name, asked once for each name; null leaves its frames out. Absent: all are channel 0.
   */
  readonly channelOf?: (name: string) => number | null;
  /** What is wanted of a channel, asked once for each, and again after `refilter`. Absent: all of every channel. */
  readonly wanted?: (channel: number) => IdMatcher;
  /** Frames of a full batch. */
  readonly batchFrames?: number;
  /** Time that a batch spans at most, ns; for logs that are played in real time. */
  readonly spanNs?: number;
  /** A line that is no frame: its number from 1 and what was expected there. Never holds a part of the line. */
  readonly onMalformed?: (line: number, reason: string) => void;
}

/** Rows of one batch stay within the second-level cache. */
const DEFAULT_BATCH_FRAMES = 1024;
const FRACTION_DIGITS = 9;
/** No usual line is longer: time, name of 32 characters, id and eight bytes. */
const FAST_LINE_BYTES = 96;
const CLASSIC_BYTES = CLASSIC_SLOT_BYTES - HEADER_BYTES;
const FD_BYTES = FD_SLOT_BYTES - HEADER_BYTES;
const POWERS = Float64Array.from({ length: FRACTION_DIGITS + 1 }, (_, i) => 10 ** (FRACTION_DIGITS - i));

/**
 * `candump -L` text → batches, one byte at a time, from chunks that may be cut anywhere (can-utils, `lib.c`,
 * `sprint_canframe`): `(seconds.micros) interface ID#DATA`, `ID##FLAGS DATA` for CAN FD, `ID#R` for remote frames,
 * ids of eight digits for 29 bits and for error frames.
 *
 * Boottime 0 is the first frame of the log, and its time maps boottime to UTC. A frame that the log dates before its
 * first one gets time 0; a line that steps more than a day ahead is refused, unless the next one agrees with it. Classic and FD frames go into batches of their own; the order of frames is that of the log.
 * Allocates nothing per line.
 *
 * ```ts
 * for await (const chunk of chunks) {
 *   for (let at = 0; at < chunk.length; ) {
 *     at = parser.feed(chunk, at);
 *     if (parser.ready) await deliver(parser.take());
 *   }
 * }
 * for (parser.end(); parser.ready; parser.end()) await deliver(parser.take());
 * ```
 */
export class CandumpParser {
  /** A batch waits to be taken; `feed` must not be called before. */
  ready = false;
  /** Lines that were no frame. */
  malformed = 0;
  /** Frames that no one wants: another interface or id. */
  skipped = 0;
  readonly #options: CandumpOptions;
  readonly #slots: SlotBuffer;
  readonly #interfaces: Interfaces;
  readonly #name = new Uint8Array(NAME_BYTES);
  /** Where the payload of a frame goes that no one wants. */
  readonly #nowhere = new Uint8Array(FD_SLOT_BYTES);
  /** Line being read, from 1. */
  #line = 1;
  #state: State = State.Start;
  #seconds = 0;
  #fraction = 0;
  #digits = 0;
  #nameLength = 0;
  #id = 0;
  #idDigits = 0;
  #channel = -1;
  #isWanted = false;
  #isFd = false;
  #isRemote = false;
  #flags = 0;
  #length = 0;
  #high = 0;

  constructor(options: CandumpOptions) {
    this.#options = options;
    this.#slots = new SlotBuffer(
      options.bootId,
      options.batchFrames ?? DEFAULT_BATCH_FRAMES,
      options.spanNs ?? Number.POSITIVE_INFINITY,
    );
    this.#interfaces = new Interfaces(options.channelOf ?? (() => 0), options.wanted ?? (() => new IdMatcher(null)));
  }

  /**
   * Reads on until the chunk ends or a batch is ready.
   *
   * @returns offset of the first byte that was not read
   */
  feed(chunk: Uint8Array, from = 0): number {
    const lastFast = chunk.length - FAST_LINE_BYTES;
    for (let at = from; at < chunk.length; at++) {
      if (this.#state === State.Start && at <= lastFast) {
        const next = this.#fastLine(chunk, at);
        if (this.ready) return next;
        if (next > at) {
          at = next - 1;
          continue;
        }
      }
      const byte = chunk[at]!;
      if (this.#state === State.Data) {
        // The most frequent state first: two digits of the payload.
        const high = HEX[byte]!;
        if (high >= 0) {
          this.#high = high;
          this.#state = State.DataLow;
          continue;
        }
      } else if (this.#state === State.DataLow) {
        const low = HEX[byte]!;
        if (low >= 0 && this.#length < (this.#isFd ? FD_BYTES : CLASSIC_BYTES)) {
          this.#target()[this.#offset() + this.#length++] = (this.#high << 4) | low;
          this.#state = State.Data;
          continue;
        }
      }
      if (byte === 0x0a) {
        if (!this.#endOfLine()) return at;
        if (this.ready) return at + 1;
      } else if (!this.#step(byte)) {
        return at;
      }
    }
    return chunk.length;
  }

  /**
   * The text has ended: a last line without its end counts, and what is there becomes a batch. To be called again after
   * each `take`, until no batch is ready.
   */
  end(): void {
    if (this.#state !== State.Start && !this.#endOfLine()) return;
    this.ready = this.#slots.count > 0;
  }

  /** Frames of the batch that is being filled; it may be taken before it is ready. */
  get pending(): number {
    return this.#slots.count;
  }

  /** What is wanted has changed: from the next frame on `wanted` is asked anew. */
  refilter(): void {
    this.#interfaces.refilter();
  }

  /** The batch that is ready; its bytes are used again by the next `feed`. */
  take(): FrameBatch {
    this.ready = false;
    return this.#slots.take();
  }

  /**
   * The usual line in one go: a classic frame of the interface of the line before, microseconds, LF. Anything else is
   * left to the states, which alone know what is wrong with a line.
   *
   * @returns offset behind the line, or `at` where nothing was read
   */
  #fastLine(chunk: Uint8Array, at: number): number {
    const name = this.#interfaces.lastName;
    const slots = this.#slots;
    if (slots.slotBytes !== CLASSIC_SLOT_BYTES || !slots.hasOrigin || chunk[at] !== FIRST_CHARACTER) return at;
    let p = at + 1;
    let seconds = 0;
    let digit = chunk[p++]! - 0x30;
    while (digit >= 0 && digit <= 9) {
      seconds = seconds * 10 + digit;
      digit = chunk[p++]! - 0x30;
    }
    if (chunk[p - 1] !== 0x2e || p - at < 3 || p - at > 14) return at;
    let micros = 0;
    for (const end = p + 6; p < end; p++) {
      digit = chunk[p]! - 0x30;
      if (digit < 0 || digit > 9) return at;
      micros = micros * 10 + digit;
    }
    if (chunk[p++] !== 0x29 || chunk[p++] !== 0x20) return at;
    for (let i = 0; i < name.length; i++) if (chunk[p++] !== name[i]) return at;
    if (chunk[p++] !== 0x20) return at;
    let id = 0;
    const idStart = p;
    for (let high = HEX[chunk[p]!]!; high >= 0; high = HEX[chunk[p]!]!) {
      id = (id << 4) | high;
      p++;
      if (p - idStart > 8) return at;
    }
    const isExtended = p - idStart === 8;
    if (chunk[p++] !== 0x23 || (isExtended ? id >>> 0 > CAN_EFF_MASK : p - idStart !== 4 || id > CAN_SFF_MASK))
      return at;
    if (isExtended) id |= CAN_EFF_FLAG;
    // The slot behind the last frame is free: what is written there counts only when the line is whole.
    const buffer = slots.bytes();
    const words = slots.words();
    const slot = slots.count * CLASSIC_SLOT_BYTES;
    words[(slot >>> 2) + 4] = 0;
    words[(slot >>> 2) + 5] = 0;
    const payload = slot + HEADER_BYTES;
    let length = 0;
    for (let high = HEX[chunk[p]!]!; high >= 0; high = HEX[chunk[p]!]!) {
      const low = HEX[chunk[p + 1]!]!;
      if (low < 0 || length === CLASSIC_BYTES) return at;
      buffer[payload + length++] = (high << 4) | low;
      p += 2;
    }
    if (chunk[p++] !== 0x0a) return at;
    const timeNs = slots.bootNs(seconds, micros * 1000);
    if (slots.isLeap(timeNs)) return at;
    slots.takeTime(timeNs);
    this.#line++;
    const channel = this.#interfaces.lastChannel;
    if (channel < 0 || !this.#interfaces.wants(channel, id)) {
      this.skipped++;
      return p;
    }
    slots.commitClassic(timeNs, id, length, channel);
    this.ready = slots.isFull;
    return p;
  }

  #target(): Uint8Array {
    return this.#isWanted ? this.#slots.bytes() : this.#nowhere;
  }

  /** Of the payload in the target. */
  #offset(): number {
    return this.#isWanted ? this.#slots.count * this.#slots.slotBytes + HEADER_BYTES : HEADER_BYTES;
  }

  /** @returns false where a batch of the other slot size must be taken before this byte can be read */
  #step(byte: number): boolean {
    switch (this.#state) {
      case State.Start:
        if (byte === FIRST_CHARACTER) this.#begin();
        else if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) this.#refuse('a line starts with (time)');
        return true;
      case State.Seconds:
        if (isDigit(byte)) {
          this.#seconds = this.#seconds * 10 + byte - 0x30;
          this.#digits++;
        } else if (byte === 0x2e && this.#digits > 0 && this.#digits <= 12) {
          this.#digits = 0;
          this.#state = State.Fraction;
        } else {
          this.#refuse('the time is seconds, a point and a fraction');
        }
        return true;
      case State.Fraction:
        if (isDigit(byte) && this.#digits < FRACTION_DIGITS) {
          this.#fraction = this.#fraction * 10 + byte - 0x30;
          this.#digits++;
        } else if (byte === 0x29 && this.#digits > 0) {
          this.#state = State.BeforeName;
        } else {
          this.#refuse('the fraction of a time has 1 to 9 digits and ends with )');
        }
        return true;
      case State.BeforeName:
        if (byte === 0x20) return true;
        this.#nameLength = 0;
        this.#state = State.Name;
        return this.#inName(byte);
      case State.Name:
        return this.#inName(byte);
      case State.Id:
        return this.#inId(byte);
      case State.Hash:
        return this.#afterHash(byte);
      case State.Flags:
        this.#flags = HEX[byte]!;
        if (this.#flags >= 0) this.#state = State.Data;
        else this.#refuse('a CAN FD frame has one digit of flags after ##');
        return true;
      default:
        this.#afterId(byte);
        return true;
    }
  }

  #begin(): void {
    this.#state = State.Seconds;
    this.#seconds = 0;
    this.#fraction = 0;
    this.#digits = 0;
    this.#id = 0;
    this.#idDigits = 0;
    this.#isFd = false;
    this.#isRemote = false;
    this.#flags = 0;
    this.#length = 0;
  }

  #inName(byte: number): boolean {
    if (byte === 0x20) {
      this.#channel = this.#interfaces.channel(this.#name, this.#nameLength);
      this.#state = State.Id;
    } else if (byte > 0x20 && byte < 0x7f && this.#nameLength < NAME_BYTES) {
      this.#name[this.#nameLength++] = byte;
    } else {
      this.#refuse('an interface has a name of at most 32 characters');
    }
    return true;
  }

  #inId(byte: number): boolean {
    const digit = HEX[byte]!;
    if (digit >= 0 && this.#idDigits < 8) {
      this.#id = (this.#id << 4) | digit;
      this.#idDigits++;
    } else if (byte === 0x23 && this.#finishId()) {
      this.#isWanted = this.#channel >= 0 && this.#interfaces.wants(this.#channel, this.#id);
      this.#state = State.Hash;
    } else if (byte !== 0x20 || this.#idDigits > 0) {
      this.#refuse('an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF, then #');
    }
    return true;
  }

  /** Puts the flag bits to the digits of the id; false where there is no such id. */
  #finishId(): boolean {
    const id = this.#id >>> 0;
    if (this.#idDigits === 3) return id <= CAN_SFF_MASK;
    if (this.#idDigits !== 8) return false;
    if ((id & CAN_ERR_FLAG) !== 0) return (id & (CAN_EFF_FLAG | CAN_RTR_FLAG)) === 0;
    this.#id |= CAN_EFF_FLAG;
    return id <= CAN_EFF_MASK;
  }

  #afterHash(byte: number): boolean {
    this.#isFd = byte === 0x23;
    const slotBytes = this.#isFd ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES;
    if (this.#isWanted && slotBytes !== this.#slots.slotBytes) {
      if (this.#slots.count > 0) {
        this.ready = true;
        return false;
      }
      this.#slots.slotBytes = slotBytes;
    }
    if (this.#isFd) {
      this.#state = State.Flags;
    } else if (byte === 0x52) {
      this.#isRemote = true;
      this.#id |= CAN_RTR_FLAG;
      this.#state = State.Remote;
    } else if (HEX[byte]! >= 0) {
      this.#high = HEX[byte]!;
      this.#state = State.DataLow;
    } else {
      this.#state = State.Data;
      this.#afterId(byte);
    }
    return true;
  }

  /** What may stand behind the payload: separators, the raw DLC of a classic frame, a direction, nothing. */
  #afterId(byte: number): void {
    const space = byte === 0x20 || byte === 0x0d || byte === 0x09;
    switch (this.#state) {
      case State.Data:
        if (space) this.#state = State.Tail;
        else if (byte === 0x5f && this.#length === CLASSIC_BYTES && !this.#isFd) this.#state = State.Dlc;
        else if (byte !== 0x2e || this.#length === 0) this.#refuse('the payload is pairs of hex digits');
        return;
      case State.DataLow:
        if (HEX[byte]! >= 0) this.#refuse(`a payload has at most ${this.#isFd ? FD_BYTES : CLASSIC_BYTES} bytes`);
        else this.#refuse('the payload is pairs of hex digits');
        return;
      case State.Remote:
        if (byte >= 0x30 && byte <= 0x38 && this.#length === 0) {
          this.#length = byte - 0x30;
          this.#state = State.RemoteTail;
          return;
        }
        if (space) this.#state = State.Tail;
        else this.#refuse('a remote frame has R and a length of at most 8');
        return;
      case State.RemoteTail:
        if (byte === 0x5f && this.#length === CLASSIC_BYTES) this.#state = State.Dlc;
        else if (space) this.#state = State.Tail;
        else this.#refuse('a remote frame has R and a length of at most 8');
        return;
      case State.Dlc:
        if (HEX[byte]! > CLASSIC_BYTES) this.#state = State.Tail;
        else this.#refuse('a raw DLC is a digit from 9 to F');
        return;
      case State.Tail:
        // Newer candump writes the direction, R or T.
        if (!space && byte !== 0x52 && byte !== 0x54) this.#refuse('there is text behind the frame');
        return;
      default:
    }
  }

  #refuse(reason: string): void {
    this.malformed++;
    this.#options.onMalformed?.(this.#line, reason);
    this.#state = State.Skip;
  }

  /** @returns false where a batch of the other slot size must be taken before the line can end */
  #endOfLine(): boolean {
    switch (this.#state) {
      case State.Hash:
        // Nothing after the #: a classic frame without payload, which the next byte would have settled.
        if (!this.#afterHash(0x20)) return false;
        this.#frame();
        break;
      case State.Data:
      case State.Remote:
      case State.RemoteTail:
      case State.Tail:
        this.#frame();
        break;
      case State.Start:
      case State.Skip:
        break;
      default:
        this.#refuse('the line ends too early');
    }
    this.#state = State.Start;
    this.#line++;
    return true;
  }

  #frame(): void {
    const slots = this.#slots;
    const timeNs = slots.bootNs(this.#seconds, this.#fraction * POWERS[this.#digits]!);
    if (!slots.takeTime(timeNs)) {
      this.#refuse('a time steps at most a day ahead');
      return;
    }
    if (!this.#isWanted) {
      this.skipped++;
      return;
    }
    const bytes = slots.bytes();
    const start = slots.count * slots.slotBytes;
    const used = this.#isRemote ? 0 : this.#length;
    for (let i = HEADER_BYTES + used; i < slots.slotBytes; i++) bytes[start + i] = 0;
    slots.commit(timeNs, this.#id, this.#length, this.#isFd ? this.#flags | CANFD_FDF : 0, this.#channel);
    this.ready = slots.isFull;
  }
}
