import { WasmError } from './error.ts';

const FIRST_CAPACITY = 1024;
/** Bytes that a 32-bit number takes in LEB128 at most. */
const LEB_32_BYTES = 5;

/** One growing array of bytes: no intermediate lists, which would make emitting a large module slow. */
export class ByteWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes written so far; a view that the next write may make stale. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  raw(bytes: ArrayLike<number>): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Unsigned LEB128, core specification 5.2.2. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** Signed LEB128 of 32 bits; takes unsigned values as their bit pattern. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  /** Signed LEB128 of 64 bits; takes unsigned values as their bit pattern. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (BigInt.asIntN(32, rest) === rest) {
      this.s32(Number(rest));
      return;
    }
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  f32(value: number): void {
    this.#room(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  f64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** A name: its length in bytes, then UTF-8. */
  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** Whatever `write` writes, preceded by its length in bytes. */
  sized(write: () => void): void {
    const start = this.#length;
    this.#room(LEB_32_BYTES);
    this.#length += LEB_32_BYTES;
    write();
    const end = this.#length;
    const size = end - start - LEB_32_BYTES;
    this.#length = start;
    this.u32(size);
    this.#bytes.copyWithin(this.#length, start + LEB_32_BYTES, end);
    this.#length += size;
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const wider = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    wider.set(this.#bytes);
    this.#bytes = wider;
    this.#view = new DataView(wider.buffer);
  }
}

/** The opposite of `ByteWriter`: every read is checked against the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  offset: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.offset = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.offset >= this.#end;
  }

  byte(): number {
    if (this.offset >= this.#end) throw new WasmError('the module ends in the middle of an item', this.offset);
    return this.#bytes[this.offset++]!;
  }

  take(length: number): Uint8Array {
    if (length > this.#end - this.offset) throw new WasmError(`${length} bytes are wanted but not there`, this.offset);
    const taken = this.#bytes.subarray(this.offset, this.offset + length);
    this.offset += length;
    return taken;
  }

  u32(): number {
    const value = this.#leb(32, false);
    return Number(value);
  }

  s32(): number {
    return Number(this.#leb(32, true));
  }

  /** Block types are signed 33-bit numbers, core specification 5.4.1. */
  s33(): number {
    return Number(this.#leb(33, true));
  }

  s64(): bigint {
    return this.#leb(64, true);
  }

  f32(): number {
    const at = this.take(4);
    return new DataView(at.buffer, at.byteOffset, 4).getFloat32(0, true);
  }

  f64(): number {
    const at = this.take(8);
    return new DataView(at.buffer, at.byteOffset, 8).getFloat64(0, true);
  }

  name(): string {
    const start = this.offset;
    const bytes = this.take(this.u32());
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new WasmError('a name is not UTF-8', start);
    }
  }

  #leb(bits: number, signed: boolean): bigint {
    const start = this.offset;
    let value = 0n;
    let shift = 0;
    let low: number;
    do {
      if (shift >= bits) throw new WasmError(`a number takes more than ${bits} bits`, start);
      low = this.byte();
      value |= BigInt(low & 0x7f) << BigInt(shift);
      shift += 7;
    } while ((low & 0x80) !== 0);
    const exact = signed ? BigInt.asIntN(Math.min(shift, 70), value) : value;
    const fits = signed ? BigInt.asIntN(bits, exact) === exact : BigInt.asUintN(bits, exact) === exact;
    if (!fits) throw new WasmError(`a number takes more than ${bits} bits`, start);
    return exact;
  }
}
