import { KIND_PROOF, KIND_RECORD, KIND_SESSION } from './tables.ts';

/** Priorities go from 0 to 7; of each, records go before proofs, and sessions before everything. */
export const PRIORITIES = 8;
export const RANK_SESSION = 2 * PRIORITIES;
/** A lane is a pseudonym and a rank: `line · 32 + rank`. */
export const RANKS = 32;
export const rankOf = (kind: number, priority: number) =>
  kind === KIND_SESSION ? RANK_SESSION : 2 * priority + (kind === KIND_RECORD ? 1 : 0);
export const kindOf = (lane: number) => {
  const rank = lane % RANKS;
  return rank === RANK_SESSION ? KIND_SESSION : rank % 2 === 1 ? KIND_RECORD : KIND_PROOF;
};
