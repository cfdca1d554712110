import type { Decoder, Rows } from '#decoders';

/**
 * Reads the physical value of every signal of every row, so that what decoding leaves to the reader is measured as well.
 * Signals of several cells are left out, absent ones are not told apart.
 */
export class AllReader {
  /** Sum of the values read, so that reading them is not optimised away. */
  sum = 0;
  readonly #rowBytes: Uint32Array;
  /** Where the signals of each message begin in the others. */
  readonly #start: Uint32Array;
  /** Place of the cell behind the row's start, words; its sign bit; factor and offset. */
  readonly #word: Uint32Array;
  readonly #sign: Uint32Array;
  readonly #factor: Float64Array;
  readonly #offset: Float64Array;

  constructor({ layout: { messages } }: Decoder) {
    const signals = messages.map(({ signals: all }) => all.filter(({ cells }) => cells === 1));
    const flat = signals.flatMap((list, i) => list.map((one) => ({ ...one, first: messages[i]!.firstCell / 4 })));
    this.#rowBytes = Uint32Array.from(messages, ({ rowBytes }) => rowBytes);
    this.#start = new Uint32Array(messages.length + 1);
    for (const [i, list] of signals.entries()) this.#start[i + 1] = this.#start[i]! + list.length;
    this.#word = Uint32Array.from(flat, ({ first, cell }) => first + cell);
    this.#sign = Uint32Array.from(flat, ({ field }) => (field.signed ? 2 ** (field.shift + field.bits - 1) : 0));
    this.#factor = Float64Array.from(flat, ({ signal, field }) => signal.f * 2 ** -field.shift);
    this.#offset = Float64Array.from(flat, ({ signal }) => signal.o);
  }

  read({ u32, bytes }: Rows): void {
    const [rowBytes, start, word, signs] = [this.#rowBytes, this.#start, this.#word, this.#sign];
    const [factor, offset] = [this.#factor, this.#offset];
    let sum = 0;
    for (let at = 0; at < bytes; ) {
      const row = at >> 2;
      const message = u32[row + 2]! & 0xffff;
      const end = start[message + 1]!;
      for (let i = start[message]!; i < end; i++) {
        const sign = signs[i]!;
        sum += (((u32[row + word[i]!]! ^ sign) >>> 0) - sign) * factor[i]! + offset[i]!;
      }
      at += rowBytes[message]!;
    }
    this.sum += sum;
  }
}
