import type { FrameBatch } from '#contracts';
import type { Changes, Decoder } from '#decoders';

/** Doubles that make a physical value of a cell: factor and offset. */
const STEP = 2;

/** What a live view does after each batch: reads the physical values of the cells that it changed. */
export class ChangeReader {
  changed = 0;
  /** Sum of the values read, so that reading them is not optimised away. */
  sum = 0;
  /** By place in `newest`; 0 where no signal has its one cell. */
  readonly #scale: Float64Array;
  /** The sign bit of a signed signal. */
  readonly #sign: Uint32Array;

  constructor({ layout, changes }: Decoder) {
    const places = changes!.newest.length;
    this.#scale = new Float64Array(places * STEP);
    this.#sign = new Uint32Array(places);
    for (const [i, { signals }] of layout.messages.entries()) {
      for (const { signal, cell, cells, field } of signals) {
        if (cells > 1) continue;
        const place = changes!.firstCells[i]! + cell;
        const sign = field.signed ? 2 ** (field.shift + field.bits - 1) : 0;
        // The field lies `shift` bits high: a power of two, so the product is rounded as that of the raw integer.
        this.#scale.set([signal.f * 2 ** -field.shift, signal.o], place * STEP);
        this.#sign[place] = sign;
      }
    }
  }

  read({ places, newest, count }: Changes): void {
    const [scale, signs] = [this.#scale, this.#sign];
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const place = places[i]!;
      const sign = signs[place]!;
      const raw = ((newest[place]! ^ sign) >>> 0) - sign;
      sum += raw * scale[place * STEP]! + scale[place * STEP + 1]!;
    }
    this.sum += sum;
    this.changed += count;
  }
}

/** Decoding of all batches, and decoding with every changed value read, frames/s. */
export function handOver(
  create: (changes: boolean) => Decoder,
  batches: readonly FrameBatch[],
  rounds: number,
): { ratio: number; changedPerFrame: number } {
  const plain = create(false);
  const live = create(true);
  const reader = new ChangeReader(live);
  const frames = batches.reduce((sum, { count }) => sum + count, 0);
  let passes = 0;
  const timed = (work: (batch: FrameBatch) => void): number => {
    const start = performance.now();
    for (const batch of batches) work(batch);
    return performance.now() - start;
  };
  const alone = () => timed((batch) => plain.decode(batch));
  const read = () => {
    passes++;
    return timed((batch) => {
      live.decode(batch);
      reader.read(live.changes!);
    });
  };
  for (let i = 0; i < 3; i++) [alone(), read()];
  const ratios = Array.from({ length: rounds }, () => {
    const one = Math.min(alone(), alone());
    return Math.min(read(), read()) / one;
  }).sort((a, b) => a - b);
  return { ratio: ratios[rounds >> 1]!, changedPerFrame: reader.changed / passes / frames };
}
