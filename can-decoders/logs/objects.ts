/** Signature, header size, header version, size, type. */
export const OBJECT_BASE_BYTES = 16;
/** Objects are padded by up to three bytes; what goes beyond that is damage. */
const MOST_PADDING = 3;
const FIRST_CARRY_BYTES = 4096;

export interface ObjectHandler {
  /** An object that is whole; its bytes are valid until the call returns. */
  object(bytes: Uint8Array, start: number, size: number, offset: number): void;
  refuse(offset: number, reason: string): void;
  /** Whether what was handed over must be worked off before the next object. */
  isBusy(): boolean;
}

/**
 * The objects of a BLF stream (`LOBJ`, header size u16, header version u16, object size u32, type u32, little-endian)
 * from chunks. After damage it goes on at the next signature. Memory is taken as bytes arrive, never by what a header
 * claims.
 */
export class ObjectStream {
  /** Bytes that were read before the present object. */
  offset = 0;
  readonly #handler: ObjectHandler;
  readonly #mostBytes: number;
  #carry = new Uint8Array(FIRST_CARRY_BYTES);
  #carried = 0;
  #size = 0;
  #skipped = 0;

  /** @param mostBytes an object that claims to be larger is taken for damage */
  constructor(handler: ObjectHandler, mostBytes: number) {
    this.#handler = handler;
    this.#mostBytes = mostBytes;
  }

  /** @returns offset of the first byte that was not read */
  feed(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; ) {
      if (this.#handler.isBusy()) return at;
      at = this.#carried === 0 ? this.#direct(chunk, at) : this.#gather(chunk, at);
    }
    return chunk.length;
  }

  /** Nothing more comes. */
  end(): void {
    if (this.#carried > MOST_PADDING) this.#handler.refuse(this.offset, 'an object is cut short');
    this.offset += this.#carried;
    this.#carried = 0;
  }

  #direct(chunk: Uint8Array, at: number): number {
    if (chunk.length - at >= OBJECT_BASE_BYTES) {
      const size = this.#sizeAt(chunk, at);
      if (size === 0) {
        this.#skip();
        return at + 1;
      }
      if (chunk.length - at >= size) {
        this.#whole(chunk, at, size);
        return at + size;
      }
    }
    this.#size = 0;
    this.#keep(chunk, at, chunk.length - at);
    return chunk.length;
  }

  #gather(chunk: Uint8Array, at: number): number {
    const needed = this.#size === 0 ? OBJECT_BASE_BYTES : this.#size;
    const count = Math.min(Math.max(0, needed - this.#carried), chunk.length - at);
    this.#keep(chunk, at, count);
    if (this.#carried < needed) return at + count;
    if (this.#size === 0) {
      this.#size = this.#sizeAt(this.#carry, 0);
      if (this.#size === 0) {
        this.#carry.copyWithin(0, 1, this.#carried--);
        this.#skip();
        return at + count;
      }
    }
    if (this.#carried >= this.#size) {
      this.#carried = 0;
      this.#whole(this.#carry, 0, this.#size);
      this.#size = 0;
    }
    return at + count;
  }

  #whole(bytes: Uint8Array, start: number, size: number): void {
    this.#skipped = 0;
    this.#handler.object(bytes, start, size, this.offset);
    this.offset += size;
  }

  /** Size of the object whose header is there, 0 where there is none. */
  #sizeAt(bytes: Uint8Array, at: number): number {
    // "LOBJ"
    if (bytes[at] !== 0x4c || bytes[at + 1] !== 0x4f || bytes[at + 2] !== 0x42 || bytes[at + 3] !== 0x4a) return 0;
    const size = (bytes[at + 8]! | (bytes[at + 9]! << 8) | (bytes[at + 10]! << 16) | (bytes[at + 11]! << 24)) >>> 0;
    if (size >= OBJECT_BASE_BYTES && size <= this.#mostBytes) return size;
    this.#skipped = MOST_PADDING + 1;
    this.#handler.refuse(this.offset, `an object has ${OBJECT_BASE_BYTES} to ${this.#mostBytes} bytes`);
    return 0;
  }

  #skip(): void {
    this.offset++;
    if (this.#skipped++ === MOST_PADDING) {
      this.#handler.refuse(this.offset - this.#skipped, 'an object starts with LOBJ');
    }
  }

  #keep(chunk: Uint8Array, from: number, count: number): void {
    const total = this.#carried + count;
    if (total > this.#carry.length) {
      const larger = new Uint8Array(Math.max(total, this.#carry.length * 2));
      larger.set(this.#carry.subarray(0, this.#carried));
      this.#carry = larger;
    }
    this.#carry.set(chunk.subarray(from, from + count), this.#carried);
    this.#carried = total;
  }
}
