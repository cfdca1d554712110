import { Session } from 'node:inspector';
import type { FrameBatch } from '#contracts';
import type { Decoder } from '#decoders';

const FRAMES = 200_000;
/** Bytes between two samples: small, so that one object in a thousand frames would show. */
const SAMPLING_BYTES = 512;

interface ProfileNode {
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

/**
 * Bytes of the JavaScript heap that one frame costs, by V8's sampling heap profiler with objects that were collected
 * meanwhile counted too. A control that makes one small object a frame shows that the method sees what it looks for.
 */
export function allocations(decoder: Decoder, batches: readonly FrameBatch[]): object {
  const some = Array.from({ length: Math.ceil(FRAMES / batches[0]!.count) }, (_, i) => batches[i % batches.length]!);
  const frames = some.reduce((sum, { count }) => sum + count, 0);
  const kept: object[] = [];
  const control = profiled(() => {
    for (const { count } of some) for (let i = 0; i < count; i++) kept[i & 1023] = { i };
  });
  const decode = profiled(() => {
    for (const batch of some) decoder.decode(batch);
  });
  return { bytesPerFrame: decode / frames, controlBytesPerFrame: control / frames };
}

/** Bytes that the work allocates; the first run takes what compilers and caches allocate once. */
function profiled(work: () => void): number {
  work();
  const session = new Session();
  session.connect();
  let total = 0;
  session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLING_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  work();
  session.post('HeapProfiler.stopSampling', (error, result) => {
    if (error !== null) throw error;
    total = sum(result.profile.head);
  });
  session.disconnect();
  return total;
}

function sum({ selfSize, children }: ProfileNode): number {
  return selfSize + children.reduce((all, child) => all + sum(child), 0);
}
