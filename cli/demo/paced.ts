import { setTimeout as sleep } from 'node:timers/promises';
import { timeOfLast } from '#agent/clock';
import { type FrameBatch, type FrameFilter, type FrameSource, IdMatcher, keepWanted } from '#contracts';

const NS_PER_MS = 1e6;

/** The source at `speed` times its own time, for a person to watch. */
export function paced(source: FrameSource, speed: number): FrameSource {
  let startMs = 0;
  const wait = async (batch: FrameBatch) => {
    if (startMs === 0) startMs = performance.now();
    const early = startMs + timeOfLast(batch) / NS_PER_MS / speed - performance.now();
    if (early > 1) await sleep(early);
  };
  let wanted: IdMatcher[] = [];
  let skipped = 0;
  const refilter = (filter: FrameFilter) => {
    wanted = filter.ids.map((_, channel) => IdMatcher.of(filter, channel));
  };
  return {
    name: source.name,
    ended: source.ended,
    refilter,
    open: async (deliver, filter) => {
      refilter(filter);
      // Read whole and filtered when due: a plan that wants little must not run ahead of its time.
      await source.open(
        async (batch) => {
          await wait(batch);
          const { bytes, slotBytes } = batch;
          const count = keepWanted(bytes, slotBytes, batch.count, (channel) => wanted[channel]!);
          skipped += batch.count - count;
          if (count > 0) await deliver({ ...batch, count });
        },
        { ids: filter.ids.map(() => null) },
      );
    },
    dropped: () => source.dropped(),
    skipped: () => skipped + source.skipped(),
    malformed: () => source.malformed(),
    close: () => source.close(),
  };
}
