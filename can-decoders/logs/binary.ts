import type { LogOptions } from './reader.ts';
import { SinkReader } from './sink.ts';

/** What the readers of packet captures share: pieces of a known size from chunks that may be cut anywhere. */
export abstract class BinaryReader extends SinkReader {
  /** The piece that `piece` is to read starts at `start` of `bytes`. */
  protected bytes: Uint8Array = new Uint8Array(0);
  protected start = 0;
  /** Byte offset of the piece in the log. */
  protected offset = 0;
  protected isLittle = true;
  /** Bytes of the next piece. */
  protected needed: number;
  /** Bytes to pass over before the next piece. */
  protected passOver = 0;
  /** Damage after which no next piece can be found. */
  protected isLost = false;
  #carry = new Uint8Array(4096);
  #carried = 0;

  constructor(options: LogOptions, needed: number) {
    super(options);
    this.needed = needed;
  }

  feed(chunk: Uint8Array, from = 0): number {
    let at = from;
    while (at < chunk.length) {
      if (this.isLost) return chunk.length;
      if (this.sink.ready) return at;
      if (this.passOver > 0) {
        const count = Math.min(this.passOver, chunk.length - at);
        this.passOver -= count;
        this.offset += count;
        at += count;
        continue;
      }
      const needed = this.needed;
      if (this.#carried === 0 && chunk.length - at >= needed) {
        this.bytes = chunk;
        this.start = at;
        at += needed;
      } else {
        at += this.#keep(chunk, at, needed);
        if (this.#carried < needed) return at;
        this.#carried = 0;
        this.bytes = this.#carry;
        this.start = 0;
      }
      this.piece();
      this.offset += needed;
    }
    return at;
  }

  end(): void {
    if (!this.sink.ready && !this.isLost && (this.#carried > 0 || this.isWithin())) {
      this.isLost = true;
      this.sink.refuse(this.offset, 'the log is cut short');
    }
    this.sink.end();
  }

  /** Reads the piece, and sets what is `needed` next (at least 1). */
  protected abstract piece(): void;

  /** Whether something was begun that the next piece would complete. */
  protected abstract isWithin(): boolean;

  protected u16(at: number): number {
    const low = this.bytes[this.start + at]!;
    const high = this.bytes[this.start + at + 1]!;
    return this.isLittle ? low | (high << 8) : high | (low << 8);
  }

  protected u32(at: number): number {
    const first = this.u16(at);
    const second = this.u16(at + 2);
    return this.isLittle ? first + second * 65_536 : first * 65_536 + second;
  }

  protected lose(reason: string): void {
    this.isLost = true;
    this.sink.refuse(this.offset, reason);
  }

  #keep(chunk: Uint8Array, at: number, needed: number): number {
    const count = Math.min(needed - this.#carried, chunk.length - at);
    const total = this.#carried + count;
    if (total > this.#carry.length) {
      const larger = new Uint8Array(Math.max(total, this.#carry.length * 2));
      larger.set(this.#carry.subarray(0, this.#carried));
      this.#carry = larger;
    }
    this.#carry.set(chunk.subarray(at, at + count), this.#carried);
    this.#carried = total;
    return count;
  }
}
