import type { FrameBatch } from '#contracts';
import type { Decoder } from '#decoders';

const FRAMES = 200_000;

/**
 * Bytes of the JavaScript heap that one frame costs: growth over twice as many batches less growth over once as many,
 * each after a full collection, so that what the measuring itself costs falls out. A control that keeps one object a
 * frame shows that the method sees what it looks for. Needs `--expose-gc`, which `npm run bench` sets.
 */
export function allocations(decoder: Decoder, batches: readonly FrameBatch[]): object {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return { skipped: 'needs --expose-gc' };
  const some = Array.from({ length: Math.ceil(FRAMES / batches[0]!.count) }, (_, i) => batches[i % batches.length]!);
  const frames = some.reduce((sum, { count }) => sum + count, 0);
  const kept = new Array<object | undefined>(frames * 3);
  let next = 0;
  const growth = (passes: number, work: (batch: FrameBatch) => void): number => {
    kept.fill(undefined);
    next = 0;
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let pass = 0; pass < passes; pass++) for (const batch of some) work(batch);
    return process.memoryUsage().heapUsed - before;
  };
  const perFrame = (work: (batch: FrameBatch) => void): number => {
    growth(1, work);
    return (growth(2, work) - growth(1, work)) / frames;
  };
  const control = perFrame((batch) => {
    for (let i = 0; i < batch.count; i++) kept[next++] = { i };
  });
  return { bytesPerFrame: perFrame((batch) => decoder.decode(batch)), controlBytesPerFrame: control };
}
