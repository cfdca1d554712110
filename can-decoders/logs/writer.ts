import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CANFD_BRS,
  CANFD_ESI,
  CANFD_FDF,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import { ascDateText } from './dates.ts';
import { FD_LENGTHS } from './dlc.ts';

/** A line of 64 bytes of payload with all columns is below this. */
const MOST_LINE_BYTES = 512;
const FIRST_BYTES = 64 * 1024;
const DIGITS = new TextEncoder().encode('0123456789ABCDEF');
const NS_PER_S = 1_000_000_000n;
const WORD = 2 ** 32;
const EFF_DIGITS = 8;
const SFF_DIGITS = 3;
/** Flags of a CANFD line: EDL, BRS, ESI; RTR. */
const ASC_FDF = 0x1000;
const ASC_BRS = 0x2000;
const ASC_ESI = 0x4000;
const ASC_RTR = 0x10;

/** Batches → text of a log. Allocates nothing per frame: the lines of a batch go into one buffer. */
export interface LogWriter {
  /** Text of a batch, with the header of the log before the first; valid until the next call. */
  write(batch: FrameBatch): Uint8Array;
  /** What ends a log. */
  end(): Uint8Array;
}

abstract class TextWriter implements LogWriter {
  protected out = new Uint8Array(FIRST_BYTES);
  protected at = 0;
  #offsetSeconds = 0;
  #offsetNs = 0;

  write(batch: FrameBatch): Uint8Array {
    this.at = 0;
    const utc = batch.utcOffsetNs ?? 0n;
    this.#offsetSeconds = Number(utc / NS_PER_S);
    this.#offsetNs = Number(utc % NS_PER_S);
    this.begin(utc);
    const { bytes, slotBytes, count } = batch;
    for (let i = 0; i < count; i++) {
      this.#room();
      const slot = i * slotBytes;
      const id = word(bytes, slot + OFFSET_ID);
      const timeNs = (word(bytes, slot + 4) >>> 0) * WORD + (word(bytes, slot) >>> 0);
      const length = Math.min(bytes[slot + OFFSET_LENGTH]!, slotBytes - HEADER_BYTES);
      this.frame(
        timeNs,
        id,
        length,
        bytes[slot + OFFSET_FLAGS]!,
        bytes[slot + OFFSET_CHANNEL]!,
        bytes,
        slot + HEADER_BYTES,
      );
      this.out[this.at++] = 0x0a;
    }
    return this.out.subarray(0, this.at);
  }

  abstract end(): Uint8Array;

  /** Writes what stands before the frames of a batch. */
  protected abstract begin(utcOffsetNs: bigint): void;

  protected abstract frame(
    timeNs: number,
    id: number,
    length: number,
    flags: number,
    channel: number,
    bytes: Uint8Array,
    from: number,
  ): void;

  protected text(text: string): void {
    for (let i = 0; i < text.length; i++) this.out[this.at++] = text.charCodeAt(i);
  }

  protected raw(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) this.out[this.at++] = bytes[i]!;
  }

  protected hex(value: number, digits: number): void {
    for (let shift = (digits - 1) * 4; shift >= 0; shift -= 4) this.out[this.at++] = DIGITS[(value >>> shift) & 15]!;
  }

  protected decimal(value: number, leastDigits = 1): void {
    let unit = 10 ** (leastDigits - 1);
    while (unit * 10 <= value) unit *= 10;
    for (let rest = value; unit >= 1; unit /= 10) {
      const digit = Math.floor(rest / unit);
      this.out[this.at++] = 0x30 + digit;
      rest -= digit * unit;
    }
  }

  /** `seconds.micros`; with nanoseconds where they are not whole microseconds. */
  protected time(timeNs: number, isUtc: boolean): void {
    const whole = Math.floor(timeNs / 1e9);
    const ns = timeNs - whole * 1e9 + (isUtc ? this.#offsetNs : 0);
    const carry = ns >= 1e9 ? 1 : 0;
    const rest = ns - carry * 1e9;
    this.decimal(whole + carry + (isUtc ? this.#offsetSeconds : 0));
    this.out[this.at++] = 0x2e;
    if (rest % 1000 === 0) this.decimal(rest / 1000, 6);
    else this.decimal(rest, 9);
  }

  #room(): void {
    if (this.out.length - this.at >= MOST_LINE_BYTES) return;
    const larger = new Uint8Array(this.out.length * 2);
    larger.set(this.out.subarray(0, this.at));
    this.out = larger;
  }
}

/** As `candump -L` writes: times are UTC where the batch has it, else boottimes. */
export class CandumpWriter extends TextWriter {
  readonly #names: readonly Uint8Array[];

  /** @param names interface by channel; a channel without one is `can` and its number */
  constructor(names: readonly string[] = []) {
    super();
    this.#names = Array.from({ length: 256 }, (_, i) => new TextEncoder().encode((names[i] ?? `can${i}`).slice(0, 32)));
  }

  end(): Uint8Array {
    return new Uint8Array(0);
  }

  protected begin(): void {
    // A candump log has no header.
  }

  protected frame(
    timeNs: number,
    id: number,
    length: number,
    flags: number,
    channel: number,
    bytes: Uint8Array,
    from: number,
  ): void {
    this.out[this.at++] = 0x28;
    this.time(timeNs, true);
    this.text(') ');
    this.raw(this.#names[channel]!);
    this.out[this.at++] = 0x20;
    const isError = (id & CAN_ERR_FLAG) !== 0;
    const isLong = isError || (id & CAN_EFF_FLAG) !== 0 || (id & CAN_EFF_MASK) > CAN_SFF_MASK;
    this.hex(isError ? id & (CAN_ERR_FLAG | CAN_EFF_MASK) : id & CAN_EFF_MASK, isLong ? EFF_DIGITS : SFF_DIGITS);
    this.out[this.at++] = 0x23;
    if (!isError && (id & CAN_RTR_FLAG) !== 0) {
      this.out[this.at++] = 0x52;
      if (length > 0) this.decimal(Math.min(length, 8));
      return;
    }
    if ((flags & CANFD_FDF) !== 0) {
      this.out[this.at++] = 0x23;
      this.hex(flags & ~CANFD_FDF, 1);
    }
    for (let i = 0; i < length; i++) this.hex(bytes[from + i]!, 2);
  }
}

/**
 * As Vector tools write: hex, absolute times from the start. Channels count from 1. The date is that of boottime 0 in UTC
 * (1970 where UTC is not known), for the format names no zone.
 */
export class AscWriter extends TextWriter {
  #hasHeader = false;

  end(): Uint8Array {
    return new TextEncoder().encode('End TriggerBlock\n');
  }

  protected begin(utcOffsetNs: bigint): void {
    if (this.#hasHeader) return;
    this.#hasHeader = true;
    const date = ascDateText(Number(utcOffsetNs / 1_000_000n));
    this.text(`date ${date}\nbase hex  timestamps absolute\ninternal events logged\n`);
    this.text(`Begin Triggerblock ${date}\n0.000000 Start of measurement\n`);
  }

  protected frame(
    timeNs: number,
    id: number,
    length: number,
    flags: number,
    channel: number,
    bytes: Uint8Array,
    from: number,
  ): void {
    this.time(timeNs, false);
    this.out[this.at++] = 0x20;
    const isFd = (flags & CANFD_FDF) !== 0;
    if ((id & CAN_ERR_FLAG) !== 0) {
      this.decimal(channel + 1);
      this.text('  ErrorFrame');
      return;
    }
    const isRemote = (id & CAN_RTR_FLAG) !== 0;
    if (isFd) this.text('CANFD ');
    this.decimal(channel + 1);
    this.text(isFd ? ' Rx ' : '  ');
    const isExtended = (id & CAN_EFF_FLAG) !== 0;
    this.hex(id & CAN_EFF_MASK, isExtended || (id & CAN_EFF_MASK) > CAN_SFF_MASK ? EFF_DIGITS : SFF_DIGITS);
    if (isExtended) this.out[this.at++] = 0x78;
    if (isFd) {
      this.#fd(length, flags, isRemote, bytes, from);
      return;
    }
    this.text(isRemote ? ' Rx   r ' : ' Rx   d ');
    this.decimal(length);
    for (let i = 0; i < length && !isRemote; i++) this.#byte(bytes[from + i]!);
  }

  #fd(length: number, flags: number, isRemote: boolean, bytes: Uint8Array, from: number): void {
    const isFast = (flags & CANFD_BRS) !== 0;
    const isPassive = (flags & CANFD_ESI) !== 0;
    let dlc = 0;
    while (dlc < 15 && FD_LENGTHS[dlc]! < length) dlc++;
    this.text(isFast ? ' 1 ' : ' 0 ');
    this.text(isPassive ? '1 ' : '0 ');
    this.hex(dlc, 1);
    this.out[this.at++] = 0x20;
    this.decimal(isRemote ? 0 : length);
    for (let i = 0; i < length && !isRemote; i++) this.#byte(bytes[from + i]!);
    // Duration and bit count are not known here; what follows the flags are CRC and bit timings.
    this.text(' 0 0 ');
    this.hex(ASC_FDF | (isFast ? ASC_BRS : 0) | (isPassive ? ASC_ESI : 0) | (isRemote ? ASC_RTR : 0), 4);
    this.text(' 0 0 0 0 0');
  }

  #byte(value: number): void {
    this.out[this.at++] = 0x20;
    this.hex(value, 2);
  }
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
