import { TollgateError } from '#contracts';

/**
 * Deterministic CBOR, RFC 8949 §4.2.1, for everything that is hashed or signed: shortest heads, shortest floats that keep
 * the value, definite lengths, map keys sorted bytewise. A general library would not promise the same bytes tomorrow.
 */

/** A tagged value, RFC 8949 §3.4. */
export interface CborTag {
  readonly tag: number;
  readonly value: CborValue;
}

/** An IEEE 754 value; plain numbers are integers, so that `1` and `1.0` never blur. */
export class CborFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A simple value without a JavaScript counterpart. */
export class CborSimple {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type CborKey = number | string;
export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | undefined
  | Uint8Array
  | CborFloat
  | CborSimple
  | CborTag
  | readonly CborValue[]
  | ReadonlyMap<CborKey, CborValue>;

/** Deeper nesting has no use here and would exhaust the stack. */
const MAX_DEPTH = 32;
const UNSIGNED = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const SIMPLE = 7;
/** Additional information of a head, RFC 8949 §3. */
const ONE_BYTE = 24;
const TWO_BYTES = 25;
const FOUR_BYTES = 26;
const EIGHT_BYTES = 27;
const MAX_UINT64 = 2n ** 64n - 1n;
const TAG_POSITIVE_BIGNUM = 2;
const TAG_NEGATIVE_BIGNUM = 3;
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function refuse(message: string): never {
  throw new TollgateError('TG_WIRE_CBOR', message);
}

/**
 * The bytes of a value.
 *
 * @throws {TollgateError} TG_WIRE_CBOR for what `decodeCbor` would not take back: a number that is no safe integer (use
 *   `CborFloat` or bigint), text with half a surrogate pair, a simple value that RFC 8949 reserves, a bignum as a tag, too deep a value
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const writer = new Writer();
  writer.value(value, 0);
  return writer.bytes();
}

class Writer {
  #out = new Uint8Array(128);
  #at = 0;

  bytes(): Uint8Array {
    return this.#out.slice(0, this.#at);
  }

  value(value: CborValue, depth: number): void {
    if (depth > MAX_DEPTH) refuse(`nested deeper than ${MAX_DEPTH}`);
    if (typeof value === 'number') this.#integer(value);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (typeof value === 'string') this.#text(value);
    else if (value === false) this.#byte((SIMPLE << 5) | 20);
    else if (value === true) this.#byte((SIMPLE << 5) | 21);
    else if (value === null) this.#byte((SIMPLE << 5) | 22);
    else if (value === undefined) this.#byte((SIMPLE << 5) | 23);
    else if (value instanceof Uint8Array) {
      this.#head(BYTES, BigInt(value.length));
      this.#raw(value);
    } else if (value instanceof CborFloat) this.#float(value.value);
    else if (value instanceof CborSimple) this.#simple(value.value);
    else if (isArray(value)) {
      this.#head(ARRAY, BigInt(value.length));
      for (const item of value) this.value(item, depth + 1);
    } else if (isMap(value)) this.#map(value, depth);
    else this.#tag(value, depth);
  }

  #tag({ tag, value }: CborTag, depth: number): void {
    if (!Number.isSafeInteger(tag) || tag < 0) refuse(`${tag} is not a tag number of at most 53 bits`);
    // A bigint writes these where it must; a bignum that an integer could hold has two forms (RFC 8949 §3.4.3).
    if (tag === TAG_POSITIVE_BIGNUM || tag === TAG_NEGATIVE_BIGNUM) refuse('a bignum is written from a bigint');
    this.#head(TAG, BigInt(tag));
    this.value(value, depth + 1);
  }

  #integer(value: number): void {
    if (!Number.isSafeInteger(value)) refuse(`${value} is not an integer of at most 53 bits`);
    this.#bigint(BigInt(value));
  }

  #bigint(value: bigint): void {
    const major = value < 0n ? NEGATIVE : UNSIGNED;
    const magnitude = value < 0n ? -1n - value : value;
    if (magnitude <= MAX_UINT64) this.#head(major, magnitude);
    else this.#bignum(value < 0n ? TAG_NEGATIVE_BIGNUM : TAG_POSITIVE_BIGNUM, magnitude);
  }

  #bignum(tag: number, magnitude: bigint): void {
    const hex = magnitude.toString(16);
    const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
    this.#head(TAG, BigInt(tag));
    this.#head(BYTES, BigInt(bytes.length));
    this.#raw(bytes);
  }

  #text(value: string): void {
    // An encoder would put U+FFFD there, and two texts would have the same bytes.
    if (!value.isWellFormed()) refuse('text with half a surrogate pair');
    const bytes = utf8.encode(value);
    this.#head(TEXT, BigInt(bytes.length));
    this.#raw(bytes);
  }

  #map(map: ReadonlyMap<CborKey, CborValue>, depth: number): void {
    const entries = [...map].map(([key, value]) => ({ key: encodeCbor(key), value }));
    entries.sort((a, b) => Buffer.compare(a.key, b.key));
    this.#head(MAP, BigInt(entries.length));
    for (const { key, value } of entries) {
      this.#raw(key);
      this.value(value, depth + 1);
    }
  }

  /** Half, single or double precision: the shortest that keeps the value; NaN is the quiet one, f97e00. */
  #float(value: number): void {
    const half = toHalf(value);
    if (half !== null) {
      this.#byte((SIMPLE << 5) | TWO_BYTES);
      this.#byte(half >> 8);
      this.#byte(half & 0xff);
      return;
    }
    const single = Object.is(Math.fround(value), value);
    const view = new DataView(new ArrayBuffer(8));
    if (single) view.setFloat32(0, value);
    else view.setFloat64(0, value);
    this.#byte((SIMPLE << 5) | (single ? FOUR_BYTES : EIGHT_BYTES));
    this.#raw(new Uint8Array(view.buffer, 0, single ? 4 : 8));
  }

  /** 20 to 23 have types of their own, 24 to 31 are reserved, RFC 8949 §3.3. */
  #simple(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 255 || (value >= 20 && value < 32))
      refuse(`${value} is not a simple value of its own`);
    if (value < 24) this.#byte((SIMPLE << 5) | value);
    else {
      this.#byte((SIMPLE << 5) | ONE_BYTE);
      this.#byte(value);
    }
  }

  #head(major: number, value: bigint): void {
    const type = major << 5;
    if (value < 24n) this.#byte(type | Number(value));
    else {
      const size = value < 0x100n ? 1 : value < 0x1_0000n ? 2 : value < 0x1_0000_0000n ? 4 : 8;
      this.#byte(type | (size === 1 ? ONE_BYTE : size === 2 ? TWO_BYTES : size === 4 ? FOUR_BYTES : EIGHT_BYTES));
      for (let shift = size - 1; shift >= 0; shift--) this.#byte(Number((value >> BigInt(8 * shift)) & 0xffn));
    }
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#out[this.#at++] = byte;
  }

  #raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return;
    const wider = new Uint8Array(Math.max(this.#out.length * 2, this.#at + bytes));
    wider.set(this.#out);
    this.#out = wider;
  }
}

function isArray(value: object): value is readonly CborValue[] {
  return Array.isArray(value);
}

function isMap(value: object): value is ReadonlyMap<CborKey, CborValue> {
  return value instanceof Map;
}

/** IEEE 754 binary16 of a value that it holds exactly, else null. */
function toHalf(value: number): number | null {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return sign;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  if (exponent > 15) return null;
  const mantissa = magnitude / 2 ** exponent;
  const scaled = mantissa * 1024;
  if (!Number.isInteger(scaled) || scaled >= 2048) return null;
  return scaled < 1024 ? sign | scaled : sign | ((exponent + 15) << 10) | (scaled - 1024);
}

/**
 * Reads one value that takes all of `bytes`.
 *
 * @throws {TollgateError} TG_WIRE_CBOR for anything that `encodeCbor` would not have written: other heads, other order,
 *   duplicate keys, trailing bytes, indefinite lengths, invalid UTF-8, more than 32 levels
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) refuse(`${bytes.length - reader.at} bytes follow the value`);
  return value;
}

/**
 * Reads the first value of a CBOR sequence (RFC 8742), as strictly as `decodeCbor`.
 *
 * @returns the value, and how many bytes it took
 * @throws {TollgateError} TG_WIRE_CBOR
 */
export function decodeCborFirst(bytes: Uint8Array): { readonly value: CborValue; readonly length: number } {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  return { value, length: reader.at };
}

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  value(depth: number): CborValue {
    if (depth > MAX_DEPTH) refuse(`nested deeper than ${MAX_DEPTH}`);
    const first = this.#byte();
    const major = first >> 5;
    const info = first & 31;
    if (major === SIMPLE) return this.#simple(info);
    const argument = this.#argument(info);
    if (major === UNSIGNED) return small(argument);
    if (major === NEGATIVE) return small(-1n - argument);
    if (major === TAG) return this.#tag(argument, depth);
    // An element takes at least one byte: a length beyond the input is refused before anything is allocated for it.
    if (argument > BigInt(this.#bytes.length - this.at)) refuse('a length runs beyond the input');
    const length = Number(argument);
    if (major === BYTES) return this.#take(length).slice();
    if (major === TEXT) return this.#text(length);
    if (major === ARRAY) return this.#array(length, depth);
    return this.#map(length, depth);
  }

  /** Grows with what is there: 32 nested heads that each claim the whole input must not reserve it 32 times. */
  #array(length: number, depth: number): readonly CborValue[] {
    const items: CborValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.value(depth + 1));
    return items;
  }

  #tag(argument: bigint, depth: number): CborValue {
    const tag = Number(argument);
    if (!Number.isSafeInteger(tag)) refuse('a tag number beyond 53 bits');
    const value = this.value(depth + 1);
    if (tag !== TAG_POSITIVE_BIGNUM && tag !== TAG_NEGATIVE_BIGNUM) return { tag, value };
    if (!(value instanceof Uint8Array) || value.length <= 8 || value[0] === 0)
      return refuse('a bignum that an integer could hold');
    const magnitude = BigInt(`0x${Buffer.from(value).toString('hex')}`);
    return tag === TAG_POSITIVE_BIGNUM ? magnitude : -1n - magnitude;
  }

  #text(length: number): string {
    try {
      return strictUtf8.decode(this.#take(length));
    } catch {
      return refuse('text that is not UTF-8');
    }
  }

  #map(length: number, depth: number): ReadonlyMap<CborKey, CborValue> {
    const map = new Map<CborKey, CborValue>();
    let previous: Uint8Array | null = null;
    for (let i = 0; i < length; i++) {
      const start = this.at;
      const key = this.value(depth + 1);
      if (typeof key !== 'number' && typeof key !== 'string') refuse('a map key that is neither integer nor text');
      const encoded = this.#bytes.subarray(start, this.at);
      if (previous !== null && Buffer.compare(previous, encoded) >= 0) refuse('map keys out of order or twice');
      previous = encoded;
      map.set(key, this.value(depth + 1));
    }
    return map;
  }

  #simple(info: number): CborValue {
    if (info === 20) return false;
    if (info === 21) return true;
    if (info === 22) return null;
    if (info === 23) return undefined;
    if (info < 20) return new CborSimple(info);
    if (info === ONE_BYTE) {
      const value = this.#byte();
      if (value < 32) refuse('a simple value in the long form');
      return new CborSimple(value);
    }
    if (info < TWO_BYTES || info > EIGHT_BYTES) refuse('a break or a reserved head');
    const start = this.at - 1;
    const size = info === TWO_BYTES ? 2 : info === FOUR_BYTES ? 4 : 8;
    const at = this.at;
    this.#take(size);
    const value =
      size === 2
        ? fromHalf(this.#view.getUint16(at))
        : size === 4
          ? this.#view.getFloat32(at)
          : this.#view.getFloat64(at);
    const float = new CborFloat(value);
    if (Buffer.compare(encodeCbor(float), this.#bytes.subarray(start, this.at)) !== 0)
      refuse('a float in a longer form than needed');
    return float;
  }

  #argument(info: number): bigint {
    if (info < ONE_BYTE) return BigInt(info);
    if (info > EIGHT_BYTES) refuse('an indefinite length or a reserved head');
    const size = 1 << (info - ONE_BYTE);
    let value = 0n;
    for (const byte of this.#take(size)) value = (value << 8n) | BigInt(byte);
    const least =
      info === ONE_BYTE ? 24n : info === TWO_BYTES ? 0x100n : info === FOUR_BYTES ? 0x1_0000n : 0x1_0000_0000n;
    if (value < least) refuse('a head longer than needed');
    return value;
  }

  #byte(): number {
    if (this.at >= this.#bytes.length) refuse('the input ends inside a value');
    return this.#bytes[this.at++]!;
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) refuse('the input ends inside a value');
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (fraction + 1024) * 2 ** (exponent - 25));
}
