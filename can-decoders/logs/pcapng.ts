import { BinaryReader } from './binary.ts';
import type { LogOptions } from './reader.ts';
import { LINKTYPE_CAN_SOCKETCAN, MOST_PACKET_BYTES, socketCanFrame } from './socketcan.ts';

/** Type and length of a block, and the byte-order magic where it is a section. */
const HEAD_BYTES = 12;
const Block = { Section: 0x0a0d0d0a, Interface: 1, OldPacket: 2, SimplePacket: 3, Packet: 6 } as const;
const BYTE_ORDER = 0x1a2b3c4d;
const Option = { End: 0, Name: 2, Resolution: 9, Offset: 14 } as const;
const MOST_INTERFACES = 1024;
/** Finest resolutions that are read: 10^-12 and 2^-40 s; the long division below is exact up to them. */
const FINEST_DECIMAL = 12;
const FINEST_BINARY = 40;
const NS_PER_S = 1e9;
const WORD = 2 ** 32;
const NAME_BYTES = 32;
/** A thousand years; beyond them a time is damage, and no number for a slot. */
const MOST_SECONDS = 0x7_ffff_ffff;

interface Interface {
  readonly isCan: boolean;
  readonly name: Uint8Array;
  /** Ticks a second. */
  readonly ticks: number;
  readonly offsetSeconds: number;
}

/**
 * PCAPNG (draft-ietf-opsawg-pcapng), interfaces of link type 227; packets of others are passed over, and so are blocks of
 * other kinds. A channel has the name of its interface (`if_name`), else `can` and its number. Times are UTC.
 */
export class PcapngReader extends BinaryReader {
  #interfaces: Interface[] = [];
  #inBody = false;
  #type = 0;
  #length = 0;
  /** The word behind type and length. */
  #word = 0;
  #seconds = 0;
  #ns = 0;
  #isFirst = true;

  constructor(options: LogOptions) {
    super(options, HEAD_BYTES);
    this.sink.hasUtc = true;
  }

  protected piece(): void {
    if (this.#inBody) this.#body();
    else this.#head();
  }

  protected isWithin(): boolean {
    return this.#inBody || this.passOver > 0;
  }

  #head(): void {
    this.#type = this.u32(0);
    if (this.#type === Block.Section) {
      this.isLittle = true;
      this.isLittle = this.u32(8) === BYTE_ORDER;
      if (this.u32(8) !== BYTE_ORDER) {
        this.lose('a section has the byte-order magic 1A2B3C4D');
        return;
      }
      this.#interfaces = [];
    } else if (this.#isFirst) {
      this.lose('a PCAPNG capture starts with a section');
      return;
    }
    this.#isFirst = false;
    this.#length = this.u32(4);
    this.#word = this.u32(8);
    if (this.#length < HEAD_BYTES || this.#length % 4 !== 0) {
      this.lose('a block has a length of at least 12, a multiple of 4');
      return;
    }
    const rest = this.#length - HEAD_BYTES;
    if (rest > MOST_PACKET_BYTES) {
      if (this.#isRead()) this.sink.refuse(this.offset, `a block has at most ${MOST_PACKET_BYTES} bytes`);
      this.passOver = rest;
    } else if (rest > 0) {
      this.#inBody = true;
      this.needed = rest;
    }
  }

  #isRead(): boolean {
    const type = this.#type;
    return type === Block.Interface || type === Block.Packet || type === Block.SimplePacket || type === Block.OldPacket;
  }

  /** The block behind its first 12 bytes: offsets of the format less 12. */
  #body(): void {
    const rest = this.needed;
    this.#inBody = false;
    this.needed = HEAD_BYTES;
    if (!this.#isRead() && this.#type !== Block.Section) return;
    if (this.u32(rest - 4) !== this.#length) {
      this.sink.refuse(this.offset - HEAD_BYTES, 'a block has its length at both ends');
      return;
    }
    const end = rest - 4;
    const short = this.isLittle ? this.#word & 0xffff : this.#word >>> 16;
    if (this.#type === Block.Interface) {
      this.#interface(short, end);
    } else if (this.#type === Block.SimplePacket) {
      // It has no time: that of the packet before is the nearest.
      this.#packet(0, 0, Math.min(this.#word, end), end);
    } else if (this.#type === Block.Packet || this.#type === Block.OldPacket) {
      if (end < 16) {
        this.sink.refuse(this.offset - HEAD_BYTES, 'a packet block has all its fields');
        return;
      }
      const index = this.#type === Block.Packet ? this.#word : short;
      const from = this.#interfaces[index];
      if (from !== undefined) this.#time(this.u32(0), this.u32(4), from);
      this.#packet(index, 16, this.u32(8), end);
    }
  }

  #packet(index: number, at: number, captured: number, end: number): void {
    const from = this.#interfaces[index];
    let reason: string | null = null;
    if (from === undefined) reason = 'a packet is of an interface that was described before';
    else if (at + captured > end) reason = 'a packet holds as many bytes as it says';
    else if (from.isCan) {
      const channel = this.sink.channel(from.name, from.name.length);
      reason = socketCanFrame(this.sink, this.bytes, this.start + at, captured, this.#seconds, this.#ns, channel);
    }
    if (reason !== null) this.sink.refuse(this.offset - HEAD_BYTES, reason);
  }

  /** Seconds and ns of a tick count of 64 bits: a long division by bytes, for it does not fit a double. */
  #time(high: number, low: number, { ticks, offsetSeconds }: Interface): void {
    let quotient = Math.floor(high / ticks);
    let rest = high % ticks;
    for (let shift = 24; shift >= 0; shift -= 8) {
      rest = rest * 256 + ((low >>> shift) & 0xff);
      const digit = Math.floor(rest / ticks);
      quotient = quotient * 256 + digit;
      rest -= digit * ticks;
    }
    this.#seconds = Math.min(MOST_SECONDS, Math.max(0, quotient + offsetSeconds));
    this.#ns = ticks <= NS_PER_S ? Math.floor((rest * NS_PER_S) / ticks) : Math.floor(rest / (ticks / NS_PER_S));
  }

  #interface(link: number, end: number): void {
    let name = new TextEncoder().encode(`can${this.#interfaces.length}`);
    let ticks = 1e6;
    let offsetSeconds = 0;
    // Snap length, then options: code, length, value padded to four bytes.
    for (let at = 4; at + 4 <= end; ) {
      const code = this.u16(at);
      const length = this.u16(at + 2);
      const value = at + 4;
      if (code === Option.End || value + length > end) break;
      if (code === Option.Name && length > 0) {
        name = this.bytes.slice(this.start + value, this.start + value + Math.min(length, NAME_BYTES));
      } else if (code === Option.Resolution && length === 1) {
        ticks = ticksOf(this.bytes[this.start + value]!);
      } else if (code === Option.Offset && length === 8) {
        offsetSeconds = this.isLittle
          ? (this.u32(value + 4) | 0) * WORD + this.u32(value)
          : (this.u32(value) | 0) * WORD + this.u32(value + 4);
      }
      at = value + Math.ceil(length / 4) * 4;
    }
    if (this.#interfaces.length >= MOST_INTERFACES) {
      this.sink.refuse(this.offset - HEAD_BYTES, `a section has at most ${MOST_INTERFACES} interfaces`);
      return;
    }
    if (ticks === 0)
      this.sink.refuse(this.offset - HEAD_BYTES, 'an interface has a resolution down to 10^-12 or 2^-40 s');
    this.#interfaces.push({
      isCan: link === LINKTYPE_CAN_SOCKETCAN && ticks > 0,
      name,
      ticks: ticks || 1,
      offsetSeconds,
    });
  }
}

/** Ticks a second of the option if_tsresol, 0 where they are finer than what is read. */
function ticksOf(value: number): number {
  const exponent = value & 0x7f;
  if ((value & 0x80) !== 0) return exponent > FINEST_BINARY ? 0 : 2 ** exponent;
  return exponent > FINEST_DECIMAL ? 0 : 10 ** exponent;
}
