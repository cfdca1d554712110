import { setTimeout as sleep } from 'node:timers/promises';
import { timeOfLast } from '#agent/clock';
import type { FrameBatch, FrameSource } from '#contracts';

const NS_PER_MS = 1e6;

/** The source at `speed` times its own time, for a person to watch. */
export function paced(source: FrameSource, speed: number): FrameSource {
  let startMs = 0;
  const wait = async (batch: FrameBatch) => {
    if (startMs === 0) startMs = performance.now();
    const early = startMs + timeOfLast(batch) / NS_PER_MS / speed - performance.now();
    if (early > 1) await sleep(early);
  };
  return {
    name: source.name,
    ended: source.ended,
    open: (deliver, filter) =>
      source.open(async (batch) => {
        await wait(batch);
        await deliver(batch);
      }, filter),
    dropped: () => source.dropped(),
    skipped: () => source.skipped(),
    malformed: () => source.malformed(),
    close: () => source.close(),
  };
}
