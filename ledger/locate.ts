import { equalBytes } from './bytes.ts';
import { HASH_BYTES, type TreeHasher } from './merkle.ts';
import { rangeOf, rootAt } from './tree.ts';

/** Leaves [from, to). */
export interface LeafRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Which leaves differ from what was signed. A signed root makes the stored nodes below it trustworthy, from the top
 * downwards, as long as each parent is the hash of its stored children; so one descends where stored and recomputed
 * hashes part, and ends at single leaves, or at the lowest subtree whose stored children were changed too.
 *
 * @param size number of leaves under the signed root
 * @param hashes hashes of the leaves as they are now, one after the other
 * @param stored hash kept for a complete subtree, or null
 * @returns null where the stored nodes do not lead to `root`: then they tell nothing
 */
export function wrongRanges(
  size: number,
  root: Uint8Array,
  hashes: Uint8Array,
  stored: (level: number, index: number) => Uint8Array | null,
  hasher: TreeHasher,
): LeafRange[] | null {
  const reader = (level: number, index: number) => stored(level, index) ?? MISSING;
  if (!equalBytes(rootAt(size, reader, hasher), root)) return null;
  const now = recomputed(hashes, hasher);
  const ranges: LeafRange[] = [];
  const descend = (level: number, index: number) => {
    const kept = reader(level, index);
    if (equalBytes(now(level, index), kept)) return;
    const width = 2 ** level;
    if (level > 0) {
      const left = reader(level - 1, index * 2);
      const right = reader(level - 1, index * 2 + 1);
      if (equalBytes(hasher.node(left, right), kept)) {
        descend(level - 1, index * 2);
        descend(level - 1, index * 2 + 1);
        return;
      }
    }
    ranges.push({ from: index * width, to: (index + 1) * width });
  };
  rangeOf(size, (level, index) => {
    descend(level, index);
    return MISSING;
  });
  return ranges;
}

/** Never the hash of a node, so that it leads to no root. */
const MISSING = new Uint8Array(HASH_BYTES);

/** Nodes over the leaves as they are, each computed once. */
function recomputed(hashes: Uint8Array, hasher: TreeHasher): (level: number, index: number) => Uint8Array {
  const levels: Uint8Array[] = [hashes];
  return (level, index) => {
    for (let next = levels.length; next <= level; next++) {
      const below = levels[next - 1]!;
      const nodes = new Uint8Array(Math.floor(below.length / HASH_BYTES / 2) * HASH_BYTES);
      for (let at = 0; at < nodes.length; at += HASH_BYTES) {
        const left = below.subarray(at * 2, at * 2 + HASH_BYTES);
        nodes.set(hasher.node(left, below.subarray(at * 2 + HASH_BYTES, at * 2 + 2 * HASH_BYTES)), at);
      }
      levels.push(nodes);
    }
    return levels[level]!.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  };
}
