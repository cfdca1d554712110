/** Numbers and bytes one after the other, for blobs of the store that only the store reads. Integers are LEB128, up to 2^53. */

const FIRST_BYTES = 4 * 1024;

/** Below this a buffer may be a part of Node's pool, and its memory is little. */
const LARGE_BYTES = 16 * 1024;

/**
 * Gives the memory of a large buffer back now. V8 counts bytes outside its heap late: without this a thread that reads and
 * writes blobs grows by 60 MB before it looks. Nobody may use the bytes any more.
 */
export function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength >= LARGE_BYTES && byteLength === buffer.byteLength)
    buffer.transfer(0);
}

/** Grows as needed; used again after `reset`. */
export class ByteWriter {
  #bytes = new Uint8Array(FIRST_BYTES);
  length = 0;

  reset(): this {
    this.length = 0;
    return this;
  }

  varint(value: number): this {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.length++] = rest;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** With its length before it. */
  blob(bytes: Uint8Array): this {
    return this.varint(bytes.length).bytes(bytes);
  }

  text(text: string): this {
    return this.blob(Buffer.from(text));
  }

  /** What was written, valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.length + more, this.#bytes.length * 2));
    grown.set(this.view());
    this.#bytes = grown;
  }
}

/** @throws {RangeError} at the end of the bytes */
export class ByteReader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      if (this.at >= this.#bytes.length) throw new RangeError('a number ends early');
      const byte = this.#bytes[this.at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** A view. */
  bytes(length: number): Uint8Array {
    if (this.at + length > this.#bytes.length) throw new RangeError('bytes end early');
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  blob(): Uint8Array {
    return this.bytes(this.varint());
  }

  text(): string {
    return Buffer.from(this.blob()).toString();
  }
}
