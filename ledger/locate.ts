import type { LedgerSource } from './audit.ts';
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
 * @param head size and root that were signed
 * @param ledger the nodes that it keeps; where leaves were pruned, the hashes of their subtrees are what is left of them
 * @param hashes hashes of the leaves as they are now, one after the other, from the first that was not pruned
 * @returns null where the stored nodes do not lead to `root`: then they tell nothing
 */
export function wrongRanges(
  { size, root }: { readonly size: number; readonly root: Uint8Array },
  ledger: Pick<LedgerSource, 'node' | 'prunedBelow'>,
  hashes: Uint8Array,
  hasher: TreeHasher,
): LeafRange[] | null {
  const reader = (level: number, index: number) => ledger.node(level, index) ?? MISSING;
  if (!equalBytes(rootAt(size, reader, hasher), root)) return null;
  const pruned = ledger.prunedBelow ?? 0;
  const now = recomputed(hashes, pruned, hasher);
  const ranges: LeafRange[] = [];
  const descend = (level: number, index: number) => {
    const kept = reader(level, index);
    const width = 2 ** level;
    if ((index + 1) * width <= pruned) return;
    const is = now(level, index);
    if (is !== null && equalBytes(is, kept)) return;
    if (level > 0) {
      const left = reader(level - 1, index * 2);
      const right = reader(level - 1, index * 2 + 1);
      if (equalBytes(hasher.node(left, right), kept)) {
        descend(level - 1, index * 2);
        descend(level - 1, index * 2 + 1);
        return;
      }
    }
    ranges.push({ from: Math.max(pruned, index * width), to: (index + 1) * width });
  };
  rangeOf(size, (level, index) => {
    descend(level, index);
    return MISSING;
  });
  return ranges;
}

/** Never the hash of a node, so that it leads to no root. */
const MISSING = new Uint8Array(HASH_BYTES);

/** Nodes over the leaves from `first` on as they are, each computed once; null where a node reaches below `first`. */
function recomputed(
  hashes: Uint8Array,
  first: number,
  hasher: TreeHasher,
): (level: number, index: number) => Uint8Array | null {
  const firstAt = (level: number) => Math.ceil(first / 2 ** level);
  const levels: Uint8Array[] = [hashes];
  return (level, index) => {
    for (let next = levels.length; next <= level; next++) {
      const below = levels[next - 1]!;
      // An odd first node below has its sibling among what was pruned.
      const skip = (2 * firstAt(next) - firstAt(next - 1)) * HASH_BYTES;
      const nodes = new Uint8Array(Math.max(0, Math.floor((below.length - skip) / HASH_BYTES / 2)) * HASH_BYTES);
      for (let at = 0; at < nodes.length; at += HASH_BYTES) {
        const left = below.subarray(skip + at * 2, skip + at * 2 + HASH_BYTES);
        nodes.set(hasher.node(left, below.subarray(skip + at * 2 + HASH_BYTES, skip + at * 2 + 2 * HASH_BYTES)), at);
      }
      levels.push(nodes);
    }
    const at = (index - firstAt(level)) * HASH_BYTES;
    return at < 0 ? null : levels[level]!.subarray(at, at + HASH_BYTES);
  };
}
