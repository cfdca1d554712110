import { equalBytes } from './bytes.ts';
import { sha256Tree } from './node-crypto.ts';
import { appendLeaf, type CompactRange, rangeOf } from './tree.ts';

/** What a comparison reads of a ledger. */
export interface ComparedLedger {
  readonly size: number;
  readonly prunedBelow?: number;
  /** The leaf's bytes, or null where it is gone. */
  leaf(index: number): Uint8Array | null;
  node(level: number, index: number): Uint8Array | null;
}

/**
 * How two copies of a ledger stand to each other. `same`: leaf for leaf; `behind` and `ahead`: the first is a beginning
 * of the second, or the other way round (a rolled back copy is behind); `forked`: they part at a leaf, so one of them is
 * not the history that was signed; `apart`: what was pruned of one, or got lost, leaves nothing to compare.
 */
export interface LedgerDiff {
  readonly relation: 'same' | 'behind' | 'ahead' | 'forked' | 'apart';
  /** Leaves that both have in common from the first on, as far as they can be compared. */
  readonly common: number;
  /** First leaf at which they part, or null. Below `prunedBelow` it is known only that they part somewhere before. */
  readonly firstDifferent: number | null;
  /** Leaves below this one were compared by the hashes of their subtrees alone. */
  readonly comparedFrom: number;
}

export function diffLedgers(a: ComparedLedger, b: ComparedLedger): LedgerDiff {
  const comparedFrom = Math.max(a.prunedBelow ?? 0, b.prunedBelow ?? 0);
  const shorter = Math.min(a.size, b.size);
  if (comparedFrom > shorter) return { relation: 'apart', common: 0, firstDifferent: null, comparedFrom };
  const [pastA, pastB] = [pastOf(a, comparedFrom), pastOf(b, comparedFrom)];
  if (pastA === null || pastB === null) return { relation: 'apart', common: 0, firstDifferent: null, comparedFrom };
  if (!pastA.peaks.every((peak, i) => equalBytes(peak, pastB.peaks[i]!)))
    return { relation: 'forked', common: 0, firstDifferent: 0, comparedFrom };
  for (let i = comparedFrom; i < shorter; i++) {
    const [one, other] = [a.leaf(i), b.leaf(i)];
    // A leaf that one of them lost says nothing of what it was.
    if (one === null || other === null) return { relation: 'apart', common: i, firstDifferent: null, comparedFrom };
    if (!equalBytes(one, other)) {
      return { relation: 'forked', common: i, firstDifferent: i, comparedFrom };
    }
  }
  const relation = a.size === b.size ? 'same' : a.size < b.size ? 'behind' : 'ahead';
  return { relation, common: shorter, firstDifferent: null, comparedFrom };
}

/**
 * The complete subtrees over the first `size` leaves: of what was pruned as they are kept, of all else from the leaves
 * themselves, for a kept hash may say something else than its leaf. Null where something is gone.
 */
function pastOf({ prunedBelow = 0, leaf, node }: ComparedLedger, size: number): CompactRange | null {
  let whole = true;
  const range = rangeOf(prunedBelow, (level, index) => {
    const kept = node(level, index);
    whole &&= kept !== null;
    return kept ?? NOTHING;
  });
  for (let i = prunedBelow; whole && i < size; i++) {
    const bytes = leaf(i);
    if (bytes === null) return null;
    appendLeaf(range, sha256Tree.leaf(bytes), sha256Tree);
  }
  return whole ? range : null;
}

const NOTHING = new Uint8Array(0);
