import type { StreamState } from './streams.ts';

/** Records that one gap leaf names. */
const MOST_IN_LEAF = 1_000;

/** What left, as gap leaves name it: one stream a leaf, rising. */
export function* gapsOf(
  removed: readonly { readonly stream: StreamState; readonly seq: number }[],
): Generator<readonly [StreamState, readonly number[]]> {
  const byStream = Map.groupBy(removed, ({ stream }) => stream);
  for (const [stream, gone] of byStream) {
    const seqs = gone.map(({ seq }) => seq).sort((a, b) => a - b);
    for (let at = 0; at < seqs.length; at += MOST_IN_LEAF) yield [stream, seqs.slice(at, at + MOST_IN_LEAF)];
  }
}
