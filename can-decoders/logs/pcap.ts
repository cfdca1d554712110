import { BinaryReader } from './binary.ts';
import type { LogOptions } from './reader.ts';
import { LINKTYPE_CAN_SOCKETCAN, MOST_PACKET_BYTES, socketCanFrame } from './socketcan.ts';

const FILE_BYTES = 24;
const RECORD_BYTES = 16;
const MICROS = 0xa1b2c3d4;
const NANOS = 0xa1b23c4d;
/** The upper bits of the link type tell of frame check sequences. */
const LINKTYPE_MASK = 0x0fff_ffff;

type Part = 'file' | 'record' | 'packet';

/**
 * PCAP (draft-ietf-opsawg-pcap) of link type 227, of either byte order and of micro- or nanoseconds. A capture names no
 * interface: its channel is `can0`. Times are UTC. A size that cannot be is where the reading ends, for nothing marks
 * the next packet.
 */
export class PcapReader extends BinaryReader {
  #part: Part = 'file';
  #unitNs = 1000;
  #seconds = 0;
  #ns = 0;
  readonly #name = new TextEncoder().encode('can0');

  constructor(options: LogOptions) {
    super(options, FILE_BYTES);
    this.sink.hasUtc = true;
  }

  protected piece(): void {
    if (this.#part === 'file') this.#file();
    else if (this.#part === 'record') this.#record();
    else this.#packet();
  }

  protected isWithin(): boolean {
    return this.#part !== 'record';
  }

  #file(): void {
    this.isLittle = true;
    const little = this.u32(0);
    this.isLittle = little === MICROS || little === NANOS;
    const magic = this.u32(0);
    if (magic !== MICROS && magic !== NANOS) {
      this.lose('a PCAP capture starts with A1B2C3D4 or A1B23C4D');
    } else if ((this.u32(20) & LINKTYPE_MASK) !== LINKTYPE_CAN_SOCKETCAN) {
      this.lose('the link type of a CAN capture is 227');
    }
    this.#unitNs = magic === NANOS ? 1 : 1000;
    this.#part = 'record';
    this.needed = RECORD_BYTES;
  }

  #record(): void {
    const captured = this.u32(8);
    this.#seconds = this.u32(0);
    this.#ns = this.u32(4) * this.#unitNs;
    if (captured > MOST_PACKET_BYTES) {
      this.lose(`a packet has at most ${MOST_PACKET_BYTES} bytes`);
    } else if (captured === 0) {
      this.sink.refuse(this.offset, 'a packet has a header of 8 bytes');
    } else {
      this.#part = 'packet';
      this.needed = captured;
    }
  }

  #packet(): void {
    const channel = this.sink.channel(this.#name, this.#name.length);
    const reason = socketCanFrame(this.sink, this.bytes, this.start, this.needed, this.#seconds, this.#ns, channel);
    if (reason !== null) this.sink.refuse(this.offset, reason);
    this.#part = 'record';
    this.needed = RECORD_BYTES;
  }
}
