import { inflateSync, constants as zlib } from 'node:zlib';
import { CAN_EFF_FLAG, CAN_EFF_MASK, CAN_RTR_FLAG, CANFD_BRS, CANFD_ESI, CANFD_FDF } from '#contracts';
import { FD_LENGTHS } from './dlc.ts';
import { OBJECT_BASE_BYTES, ObjectStream } from './objects.ts';
import type { LogOptions } from './reader.ts';
import { SinkReader } from './sink.ts';

/** Object types, as the log writers of CANoe and python-can number them. */
const Type = { Can: 1, Container: 10, ErrorExt: 73, Can2: 86, Fd: 100, Fd64: 101 } as const;

/** Vector writes containers of 128 KiB; other tools have been seen with a few MiB. */
const MOST_CONTAINER_BYTES = 16 * 2 ** 20;
/** No object of a frame comes near; objects of texts and pictures do, and are passed over. */
const MOST_OBJECT_BYTES = 2 ** 20;
const MOST_HEADER_BYTES = 4096;
/** What zlib takes at least. */
const LEAST_CHUNK_BYTES = 64;
/** Deflate makes at most 258 bytes of two bits: RFC 1951 §3.2.5. */
const MOST_DEFLATE_RATIO = 1032;
const START_OFFSET = 40;
const HEADER_BYTES = START_OFFSET + 32;
const CONTAINER_BYTES = 32;
const WORD = 2 ** 32;
const NS_PER_S = 1e9;
const TEN_MICROS = 1;
const TEN_MICROS_NS = 10_000;
const REMOTE = 0x80;
const REMOTE_64 = 0x10;
const NO_BYTES = new Uint8Array(0);

/**
 * Vector BLF: the `LOGG` header, then objects, most of them inside of containers (stored or zlib) whose ends do not
 * respect objects. Reads CAN_MESSAGE, CAN_MESSAGE2, CAN_FD_MESSAGE, CAN_FD_MESSAGE_64 and CAN_ERROR_EXT as python-can
 * does (no specification is public), passes other objects over. Holds one container at a time.
 *
 * Places of malformed input are byte offsets; inside of a container, that of the container. The header's start is UTC.
 */
export class BlfReader extends SinkReader {
  /** Error frames of the log. */
  errorFrames = 0;
  readonly #outer: ObjectStream;
  readonly #inner: ObjectStream;
  readonly #header = new Uint8Array(MOST_HEADER_BYTES);
  #headerBytes = HEADER_BYTES;
  #read = 0;
  #isOpen = false;
  /** Content of the container that is being worked off. */
  #content = NO_BYTES;
  #contentAt = 0;
  #container = 0;
  #startSeconds = 0;
  #startNs = 0;

  constructor(options: LogOptions) {
    super(options);
    const { sink } = this;
    this.#outer = new ObjectStream(
      {
        object: (bytes, start, size, offset) => this.#object(bytes, start, size, offset),
        refuse: (offset, reason) => sink.refuse(offset, reason),
        isBusy: () => sink.ready || this.#contentAt < this.#content.length,
      },
      MOST_CONTAINER_BYTES,
    );
    this.#inner = new ObjectStream(
      {
        object: (bytes, start, size) => this.#frame(bytes, start, size, this.#container),
        refuse: (_, reason) => sink.refuse(this.#container, reason),
        isBusy: () => sink.ready,
      },
      MOST_OBJECT_BYTES,
    );
  }

  feed(chunk: Uint8Array, from = 0): number {
    let at = this.#isOpen ? from : this.#open(chunk, from);
    for (;;) {
      this.#drain();
      if (this.sink.ready || at >= chunk.length) return at;
      at = this.#outer.feed(chunk, at);
    }
  }

  end(): void {
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.sink.refuse(0, 'a BLF log starts with LOGG and its header');
    }
    if (!this.sink.ready) this.#drain();
    if (this.sink.ready) return;
    this.#outer.end();
    this.#inner.end();
    this.sink.end();
  }

  /** Reads the header of the log. */
  #open(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#read < this.#headerBytes) {
      this.#header[this.#read++] = chunk[at++]!;
      if (this.#read !== HEADER_BYTES) continue;
      const view = new DataView(this.#header.buffer);
      // "LOGG"
      const isLog = view.getUint32(0, true) === 0x47474f4c;
      const size = view.getUint32(4, true);
      if (!isLog || size < HEADER_BYTES || size > MOST_HEADER_BYTES) {
        this.sink.refuse(0, 'a BLF log starts with LOGG and its header');
        break;
      }
      this.#headerBytes = size;
      this.#start(view);
    }
    this.#isOpen = this.#read >= this.#headerBytes || at < chunk.length;
    if (this.#isOpen) this.#outer.offset = this.#read;
    return at;
  }

  /** SYSTEMTIME: year, month, day of the week, day, hour, minute, second, millisecond. */
  #start(view: DataView): void {
    const at = (field: number) => view.getUint16(START_OFFSET + 2 * field, true);
    if (at(0) < 1990 || at(0) > 2200 || at(1) < 1 || at(1) > 12 || at(3) < 1 || at(3) > 31) return;
    const ms = Date.UTC(at(0), at(1) - 1, at(3), at(4), at(5), at(6), at(7));
    this.#startSeconds = Math.floor(ms / 1000);
    this.#startNs = (ms % 1000) * 1e6;
    this.sink.hasUtc = true;
  }

  #drain(): void {
    if (this.#contentAt < this.#content.length) this.#contentAt = this.#inner.feed(this.#content, this.#contentAt);
    if (this.#contentAt >= this.#content.length) {
      this.#content = NO_BYTES;
      this.#contentAt = 0;
    }
  }

  #object(bytes: Uint8Array, start: number, size: number, offset: number): void {
    if (u32(bytes, start + 12) !== Type.Container) {
      this.#frame(bytes, start, size, offset);
      return;
    }
    this.#container = offset;
    if (size < CONTAINER_BYTES) {
      this.sink.refuse(offset, `a container has a header of ${CONTAINER_BYTES} bytes`);
      return;
    }
    const method = u16(bytes, start + OBJECT_BASE_BYTES);
    const claimed = u32(bytes, start + 24);
    const packed = bytes.subarray(start + CONTAINER_BYTES, start + size);
    if (method === 0) {
      // The bytes belong to the caller, who may use them again before they are worked off.
      this.#content = packed.slice();
    } else if (method !== 2) {
      this.sink.refuse(offset, 'a container is stored (0) or zlib (2)');
    } else if (claimed > MOST_CONTAINER_BYTES) {
      this.sink.refuse(offset, `a container unpacks to at most ${MOST_CONTAINER_BYTES} bytes`);
    } else {
      this.#content = this.#unpacked(packed, claimed, offset);
    }
  }

  #unpacked(packed: Uint8Array, claimed: number, offset: number): Uint8Array<ArrayBuffer> {
    try {
      const content = inflateSync(packed, {
        maxOutputLength: MOST_CONTAINER_BYTES,
        finishFlush: zlib.Z_SYNC_FLUSH,
        // One piece of the size that the container claims, where its bytes can unpack to that at all.
        chunkSize: Math.max(LEAST_CHUNK_BYTES, Math.min(claimed + 1, packed.length * MOST_DEFLATE_RATIO)),
      });
      if (content.length !== claimed) this.sink.refuse(offset, 'a container unpacks to as many bytes as it says');
      return content as Uint8Array<ArrayBuffer>;
    } catch {
      this.sink.refuse(offset, `a container is zlib data of at most ${MOST_CONTAINER_BYTES} bytes`);
      return NO_BYTES;
    }
  }

  #frame(bytes: Uint8Array, start: number, size: number, offset: number): void {
    const type = u32(bytes, start + 12);
    const isFrame =
      type === Type.Can || type === Type.Can2 || type === Type.Fd || type === Type.Fd64 || type === Type.ErrorExt;
    if (!isFrame) return;
    const version = u16(bytes, start + 6);
    if (version !== 1 && version !== 2) {
      this.sink.refuse(offset, 'an object has a header of version 1 or 2');
      return;
    }
    // Base, then flags, client index or status, version, time; version 2 has the original time, too.
    const body = start + (version === 1 ? 32 : 40);
    const end = start + size;
    if (end < body + (type === Type.Fd ? 20 : type === Type.Fd64 ? 40 : type === Type.ErrorExt ? 8 : 16)) {
      this.sink.refuse(offset, 'an object has all fields of its type');
      return;
    }
    const unit = u32(bytes, start + 16) === TEN_MICROS ? TEN_MICROS_NS : 1;
    const ns = (u32(bytes, start + 28) * WORD + u32(bytes, start + 24)) * unit;
    const seconds = Math.floor(ns / NS_PER_S);
    // Beyond a thousand years the time is damage, and no number for a slot.
    if (seconds > 0x7_ffff_ffff) {
      this.sink.refuse(offset, 'an object has a time after the start of its log');
      return;
    }
    const rest = ns - seconds * NS_PER_S;
    if (type === Type.Fd) this.#fd(bytes, body, end, seconds, rest, offset);
    else if (type === Type.Fd64) this.#fd64(bytes, start, body, end, seconds, rest);
    else if (type === Type.ErrorExt) {
      this.errorFrames++;
      const channel = this.sink.numbered(u16(bytes, body));
      this.sink.error(this.#startSeconds + seconds, this.#startNs + rest, channel);
    } else {
      const isRemote = (bytes[body + 2]! & REMOTE) !== 0;
      const length = Math.min(bytes[body + 3]!, 8);
      this.#put(u32(bytes, body + 4), isRemote, length, 0, u16(bytes, body), seconds, rest, bytes, body + 8, length);
    }
  }

  #fd(bytes: Uint8Array, body: number, end: number, seconds: number, ns: number, offset: number): void {
    const valid = bytes[body + 14]!;
    if (valid > 64 || body + 20 + valid > end) {
      this.sink.refuse(offset, 'a CAN FD object holds its payload of at most 64 bytes');
      return;
    }
    const isRemote = (bytes[body + 2]! & REMOTE) !== 0;
    const fd = bytes[body + 13]!;
    const flags = (fd & 1 ? CANFD_FDF : 0) | (fd & 2 ? CANFD_BRS : 0) | (fd & 4 ? CANFD_ESI : 0);
    const length = isRemote ? FD_LENGTHS[Math.min(bytes[body + 3]!, 15)]! : valid;
    this.#put(u32(bytes, body + 4), isRemote, length, flags, u16(bytes, body), seconds, ns, bytes, body + 20, valid);
  }

  #fd64(bytes: Uint8Array, start: number, body: number, end: number, seconds: number, ns: number): void {
    const valid = Math.min(bytes[body + 2]!, 64);
    const fd = u32(bytes, body + 12);
    const isRemote = (fd & REMOTE_64) !== 0;
    const flags = (fd & 0x1000 ? CANFD_FDF : 0) | (fd & 0x2000 ? CANFD_BRS : 0) | (fd & 0x4000 ? CANFD_ESI : 0);
    // The payload may be cut short by what follows it; CANoe fills with zeros, and so does the sink.
    const extension = bytes[body + 35]!;
    const last = Math.min(end, extension === 0 ? end : start + extension);
    const used = Math.max(0, Math.min(valid, last - body - 40));
    const length = isRemote ? FD_LENGTHS[Math.min(bytes[body + 1]!, 15)]! : valid;
    this.#put(u32(bytes, body + 4), isRemote, length, flags, bytes[body]!, seconds, ns, bytes, body + 40, used);
  }

  #put(
    word: number,
    isRemote: boolean,
    length: number,
    flags: number,
    channel: number,
    seconds: number,
    ns: number,
    bytes: Uint8Array,
    from: number,
    used: number,
  ): void {
    // An id of more than 11 bits without the flag stays what it is: cut to 11 bits it would be that of another message.
    const id = word & (CAN_EFF_FLAG | CAN_EFF_MASK);
    const isFd = (flags & CANFD_FDF) !== 0;
    this.sink.frame(
      this.#startSeconds + seconds,
      this.#startNs + ns,
      isRemote ? id | CAN_RTR_FLAG : id,
      isFd ? length : Math.min(length, 8),
      isFd ? flags : 0,
      this.sink.numbered(channel),
      bytes,
      from,
      used,
    );
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
