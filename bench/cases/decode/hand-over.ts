import type { FrameBatch } from '#contracts';
import type { Decoder, Rows } from '#decoders';

/**
 * What a live view does after each batch: takes the last row of each message and reads the values in it that differ from
 * those of the batch before. They are compared as numbers, one load instead of two words: a NaN differs from itself, which
 * also makes the first value of a cell new.
 */
export class ChangeReader {
  changed = 0;
  /** Sum of the values read, so that reading them is not optimised away. */
  sum = 0;
  /** Last values of all cells, message by message, and where each message has its own. */
  readonly #last: Float64Array;
  readonly #start: Uint32Array;
  readonly #rowBytes: Uint32Array;
  /** Last row of each message in the batch plus one; 0 where there is none. */
  readonly #rowOf: Int32Array;
  readonly #seen: Uint32Array;
  /** Cells that differ: place in `#last`. */
  readonly #cells: Uint32Array;

  constructor({ layout }: Decoder) {
    const { messages } = layout;
    this.#start = new Uint32Array(messages.length + 1);
    for (const [i, { cells }] of messages.entries()) this.#start[i + 1] = this.#start[i]! + cells;
    this.#last = new Float64Array(this.#start[messages.length]!).fill(Number.NaN);
    this.#rowBytes = Uint32Array.from(messages, ({ rowBytes }) => rowBytes);
    this.#rowOf = new Int32Array(messages.length);
    this.#seen = new Uint32Array(messages.length + 1);
    this.#cells = new Uint32Array(this.#last.length + 1);
  }

  read({ f64, u32, bytes }: Rows): void {
    const [last, start, rowBytes, rowOf, seen, cells] = [
      this.#last,
      this.#start,
      this.#rowBytes,
      this.#rowOf,
      this.#seen,
      this.#cells,
    ];
    let messages = 0;
    // No branch depends on a value: a place is written each time and kept where there is something to keep.
    for (let at = 0; at < bytes; ) {
      const index = u32[at >> 2]!;
      seen[messages] = index;
      messages += (rowOf[index]! - 1) >>> 31;
      rowOf[index] = (at >> 3) + 1;
      at += rowBytes[index]!;
    }
    let changed = 0;
    for (let i = 0; i < messages; i++) {
      const index = seen[i]!;
      const end = start[index + 1]!;
      const behind = rowOf[index]! - 1 + (rowBytes[index]! >> 3);
      const from = behind - end;
      rowOf[index] = 0;
      for (let cell = start[index]!; cell < end; cell++) {
        const value = f64[from + cell]!;
        cells[changed] = cell;
        changed += Number(value !== last[cell]!);
        last[cell] = value;
      }
    }
    let sum = 0;
    for (let i = 0; i < changed; i++) sum += last[cells[i]!]!;
    this.sum += sum;
    this.changed += changed;
  }
}

/** Decoding of all batches, and decoding with every changed value read, frames/s. */
export function handOver(
  decoder: Decoder,
  batches: readonly FrameBatch[],
  rounds: number,
): { ratio: number; changedPerFrame: number } {
  const reader = new ChangeReader(decoder);
  const frames = batches.reduce((sum, { count }) => sum + count, 0);
  let passes = 0;
  const timed = (work: (batch: FrameBatch) => void): number => {
    const start = performance.now();
    for (const batch of batches) work(batch);
    return performance.now() - start;
  };
  const alone = () => timed((batch) => decoder.decode(batch));
  const read = () => {
    passes++;
    return timed((batch) => reader.read(decoder.decode(batch)));
  };
  for (let i = 0; i < 3; i++) [alone(), read()];
  const ratios = Array.from({ length: rounds }, () => {
    const one = Math.min(alone(), alone());
    return Math.min(read(), read()) / one;
  }).sort((a, b) => a - b);
  return { ratio: ratios[rounds >> 1]!, changedPerFrame: reader.changed / passes / frames };
}
