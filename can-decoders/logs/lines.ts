import { HEX, isDigit } from '../candump/grammar.ts';
import type { LogOptions } from './reader.ts';
import { SinkReader } from './sink.ts';

/** A line of 64 bytes of payload with all its columns is less than half of this. */
const MOST_LINE_BYTES = 4096;
const MOST_WORDS = 160;
const FRACTION_DIGITS = 9;
const SECONDS_DIGITS = 12;
/** Microseconds of any year to come, and exact in a double. */
const WIDE_DIGITS = 16;

/** What all readers of text share: lines from chunks, the words of a line, numbers of words. */
export abstract class LineReader extends SinkReader {
  /** The line that `line` is to read. */
  protected bytes: Uint8Array = new Uint8Array(0);
  /** Words of the line, their first bytes and the bytes behind them. */
  protected readonly starts = new Int32Array(MOST_WORDS);
  protected readonly ends = new Int32Array(MOST_WORDS);
  protected words = 0;
  /** Of the last `time`. */
  protected seconds = 0;
  protected ns = 0;
  readonly #carry = new Uint8Array(MOST_LINE_BYTES);
  #carried = 0;
  #isTooLong = false;
  #line = 0;

  constructor(options: LogOptions) {
    super(options);
  }

  feed(chunk: Uint8Array, from = 0): number {
    for (let at = from; at < chunk.length; ) {
      if (this.sink.ready) return at;
      const end = chunk.indexOf(0x0a, at);
      if (end < 0) {
        this.#keep(chunk, at, chunk.length);
        return chunk.length;
      }
      if (this.#carried === 0 && !this.#isTooLong && end - at <= MOST_LINE_BYTES) {
        this.#read(chunk, at, end);
      } else {
        this.#keep(chunk, at, end);
        this.#flush();
      }
      at = end + 1;
    }
    return chunk.length;
  }

  end(): void {
    if (!this.sink.ready && (this.#carried > 0 || this.#isTooLong)) this.#flush();
    this.sink.end();
  }

  /**
   * Reads a line that is not empty: `bytes` from `start` to `end`, without its end.
   *
   * @returns what was expected where the line is malformed, else null
   */
  protected abstract line(start: number, end: number): string | null;

  /** Splits at blanks, or at `separator` (then words may be empty). */
  protected split(start: number, end: number, separator = 0): void {
    const { bytes, starts, ends } = this;
    let count = 0;
    if (separator !== 0) {
      for (let at = start, word = start; at <= end && count < MOST_WORDS; at++) {
        if (at < end && bytes[at] !== separator) continue;
        starts[count] = word;
        ends[count++] = at;
        word = at + 1;
      }
      this.words = count;
      return;
    }
    for (let at = start; count < MOST_WORDS; ) {
      while (at < end && bytes[at]! <= 0x20) at++;
      if (at >= end) break;
      starts[count] = at;
      while (at < end && bytes[at]! > 0x20) at++;
      ends[count++] = at;
    }
    this.words = count;
  }

  /** Whether a word starts with `text` (in small letters), in any case; `whole`: and is no longer. */
  protected is(word: number, text: string, whole = true): boolean {
    if (word >= this.words) return false;
    const start = this.starts[word]!;
    const length = this.ends[word]! - start;
    if (length < text.length || (whole && length !== text.length)) return false;
    for (let i = 0; i < text.length; i++) {
      const byte = this.bytes[start + i]!;
      const small = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      if (small !== text.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Number of the digits from `start` to `end`, −1 where there are none or they are more than 32 bits. */
  protected number(start: number, end: number, base: number): number {
    if (end <= start || end - start > 10) return -1;
    let value = 0;
    for (let at = start; at < end; at++) {
      const digit = HEX[this.bytes[at]!]!;
      if (digit < 0 || digit >= base) return -1;
      value = value * base + digit;
    }
    return value <= 0xffff_ffff ? value : -1;
  }

  /** Number of a word, −1 where it is none. */
  protected word(word: number, base: number): number {
    return word < this.words ? this.number(this.starts[word]!, this.ends[word]!, base) : -1;
  }

  /** Reads `seconds.fraction` into `seconds` and `ns`; the fraction may lack. Digits behind the ninth do not count. */
  protected time(start: number, end: number): boolean {
    return this.#decimal(start, end, SECONDS_DIGITS);
  }

  /** The same for a number of microseconds, which comes to stand in `seconds`. */
  protected wide(start: number, end: number): boolean {
    return this.#decimal(start, end, WIDE_DIGITS);
  }

  #decimal(start: number, end: number, mostDigits: number): boolean {
    const { bytes } = this;
    let at = start;
    let seconds = 0;
    for (; at < end && isDigit(bytes[at]!); at++) seconds = seconds * 10 + bytes[at]! - 0x30;
    if (at === start || at - start > mostDigits) return false;
    let ns = 0;
    let digits = 0;
    if (at < end && bytes[at] === 0x2e) {
      for (at++; at < end && isDigit(bytes[at]!); at++) {
        if (digits === FRACTION_DIGITS) continue;
        ns = ns * 10 + bytes[at]! - 0x30;
        digits++;
      }
      if (digits === 0) return false;
    }
    for (; digits < FRACTION_DIGITS; digits++) ns *= 10;
    this.seconds = seconds;
    this.ns = ns;
    return at === end;
  }

  /** Reads `count` words from `first` as bytes into `payload`; false where one is none. */
  protected payload(payload: Uint8Array, first: number, count: number, base: number): boolean {
    if (first + count > this.words) return false;
    for (let i = 0; i < count; i++) {
      const value = this.word(first + i, base);
      if (value < 0 || value > 0xff) return false;
      payload[i] = value;
    }
    return true;
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    if (this.#carried + to - from > MOST_LINE_BYTES) {
      this.#isTooLong = true;
      this.#carried = 0;
    }
    if (this.#isTooLong) return;
    for (let at = from; at < to; at++) this.#carry[this.#carried++] = chunk[at]!;
  }

  #flush(): void {
    const length = this.#carried;
    this.#carried = 0;
    if (!this.#isTooLong) {
      this.#read(this.#carry, 0, length);
      return;
    }
    this.#isTooLong = false;
    this.sink.refuse(++this.#line, `a line has at most ${MOST_LINE_BYTES} characters`);
  }

  #read(bytes: Uint8Array, start: number, end: number): void {
    this.#line++;
    this.bytes = bytes;
    let first = start;
    let last = end;
    while (last > first && bytes[last - 1]! <= 0x20) last--;
    while (first < last && bytes[first]! <= 0x20) first++;
    if (first === last) return;
    const reason = this.line(first, last);
    if (reason !== null) this.sink.refuse(this.#line, reason);
  }
}
