import { equalBytes } from './bytes.ts';
import { rangeOf } from './tree.ts';

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
 * not the history that was signed; `apart`: what was pruned of one leaves nothing to compare.
 */
export interface LedgerDiff {
  readonly relation: 'same' | 'behind' | 'ahead' | 'forked' | 'apart';
  /** Leaves that both have in common from the first on; where nothing can be compared, 0. */
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
  if (!samePast(comparedFrom, a, b)) return { relation: 'forked', common: 0, firstDifferent: 0, comparedFrom };
  for (let i = comparedFrom; i < shorter; i++) {
    const [one, other] = [a.leaf(i), b.leaf(i)];
    if (one === null || other === null || !equalBytes(one, other)) {
      return { relation: 'forked', common: i, firstDifferent: i, comparedFrom };
    }
  }
  const relation = a.size === b.size ? 'same' : a.size < b.size ? 'behind' : 'ahead';
  return { relation, common: shorter, firstDifferent: null, comparedFrom };
}

/** Whether both have the same complete subtrees over the first `size` leaves. */
function samePast(size: number, a: ComparedLedger, b: ComparedLedger): boolean {
  let same = true;
  rangeOf(size, (level, index) => {
    const [one, other] = [a.node(level, index), b.node(level, index)];
    same &&= one !== null && other !== null && equalBytes(one, other);
    return NOTHING;
  });
  return same;
}

const NOTHING = new Uint8Array(0);
