import type { FrameBatch } from '#contracts';
import type { Decoder, Rows } from '#decoders';
import { ROW_HEADER_BYTES } from '#decoders';

/** Reads every cell of a batch and keeps those that differ from the last of their signal: what a live view would do. */
export class ChangeReader {
  changed = 0;
  readonly #last: readonly Float64Array[];
  readonly #rowBytes: readonly number[];

  constructor({ layout }: Decoder) {
    this.#last = layout.messages.map(({ cells }) => new Float64Array(cells).fill(Number.NaN));
    this.#rowBytes = layout.messages.map(({ rowBytes }) => rowBytes);
  }

  read({ f64, u32, bytes }: Rows): void {
    let changed = 0;
    for (let at = 0; at < bytes; ) {
      const index = u32[at >> 2]!;
      const last = this.#last[index]!;
      const next = at + this.#rowBytes[index]!;
      const first = (next >> 3) - last.length;
      if (last.length <= 64 && first > (at + ROW_HEADER_BYTES) >> 3) {
        for (let cell = 0; cell < last.length; cell++) {
          const value = f64[first + cell]!;
          if (value !== last[cell]!) {
            last[cell] = value;
            changed++;
          }
        }
      }
      at = next;
    }
    this.changed += changed;
  }
}

/** Decoding of all batches, and decoding with every changed value read, frames/s. */
export function handOver(
  decoder: Decoder,
  batches: readonly FrameBatch[],
  rounds: number,
): { ratio: number; changed: number } {
  const reader = new ChangeReader(decoder);
  const timed = (work: (batch: FrameBatch) => void): number => {
    const start = performance.now();
    for (const batch of batches) work(batch);
    return performance.now() - start;
  };
  const alone = () => timed((batch) => decoder.decode(batch));
  const read = () => timed((batch) => reader.read(decoder.decode(batch)));
  for (let i = 0; i < 3; i++) [alone(), read()];
  const ratios = Array.from({ length: rounds }, () => {
    const one = Math.min(alone(), alone());
    return Math.min(read(), read()) / one;
  }).sort((a, b) => a - b);
  return { ratio: ratios[rounds >> 1]!, changed: reader.changed };
}
