import { sha256Tree, verifyConsistency } from '#ledger';
import type { Consistency } from '#wire';
import type { KnownCheckpoint, UnitHead } from './contract.ts';

/** Whether a tree that a unit signed continues what was accepted of it. */
export type Continuity =
  | { readonly kind: 'continues' }
  /** It may: what its proof starts from has not come, or nothing says so yet. */
  | { readonly kind: 'open'; readonly why: string }
  /** It does not: by its signed sizes (rollback), or its consistency proof leads elsewhere (continuity). */
  | { readonly kind: 'broken'; readonly code: BrokenCode; readonly why: string };

export type BrokenCode = 'TG_RECEIVER_ROLLBACK' | 'TG_RECEIVER_CONTINUITY';

const CONTINUES: Continuity = { kind: 'continues' };

/**
 * Judges a checkpoint that is not known yet, RFC 9162 §2.1.4.
 *
 * A unit shows with the first proof after each start that its ledger only grew since the checkpoint that it published
 * last: one that was put back to an old copy names a size before what is held here, and one that was rewritten cannot
 * lead from the root that is held to its own. The consistency proof is not signed, so whatever is wrong with it says
 * nothing against the unit that a carrier could not have made: the proof is refused, and one that is right mends it.
 *
 * @param start checkpoint that is held of the size where the consistency proof starts; null where none is, or no proof
 */
export function judge(
  next: KnownCheckpoint,
  consistency: Consistency | null,
  head: UnitHead,
  start: KnownCheckpoint | null,
): Continuity {
  if (consistency !== null && start !== null && !shows(consistency, start, next)) {
    const why = `a ledger of ${next.size} leaves is not shown to continue the ${start.size} leaves that were accepted`;
    return { kind: 'broken', code: 'TG_RECEIVER_CONTINUITY', why };
  }
  // The first tree of a unit is taken as it is: there is nothing to compare it with.
  if (head.size === 0) return CONTINUES;
  if (next.size < head.size) {
    if (head.bootProven || !head.bootNewest) return CONTINUES;
    return rolledBack(`a newer start signed ${next.size} leaves, where ${head.size} were accepted: it was rolled back`);
  }
  if (consistency === null) {
    if (head.bootProven) return CONTINUES;
    // Of the proofs under one checkpoint one shows it; in which order they come nobody knows.
    const why = `a new start has not shown that its ${next.size} leaves continue the ${head.size} that were accepted`;
    return { kind: 'open', why };
  }
  if (start === null) {
    return { kind: 'open', why: `its proof starts from ${consistency.fromSize} leaves, and no such checkpoint came` };
  }
  if (start.size === head.size) return CONTINUES;
  // The unit says that it published nothing between the two, and what is held here says that it did.
  return rolledBack(
    `a ledger of ${next.size} leaves was rolled back: it has the first ${start.size} leaves and knows nothing of the ${head.size} that were accepted`,
  );
}

function rolledBack(why: string): Continuity {
  return { kind: 'broken', code: 'TG_RECEIVER_ROLLBACK', why };
}

function shows({ fromSize, nodes }: Consistency, start: KnownCheckpoint, next: KnownCheckpoint): boolean {
  return fromSize === start.size && verifyConsistency(sha256Tree, start.size, next.size, start.root, next.root, nodes);
}
