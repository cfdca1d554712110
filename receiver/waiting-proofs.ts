import type { WaitingProof } from './contract.ts';

/** Proofs of a stream that wait for records at most: a few minutes' worth. */
export const MOST_WAITING_PROOFS = 4;

/** What one more proof changes among those that wait. */
export interface WaitingChange {
  readonly waiting: readonly WaitingProof[];
  readonly dropped: readonly WaitingProof[];
}

/**
 * Keeps a proof whose records have not all come, nearest first. Nobody signed what a proof says of itself, so one that
 * lies farther ahead never takes the place of a nearer one; it waits beside it, for it may name as evicted what the
 * nearer one lacks.
 *
 * @param list what waits, nearest first; of two for one record, the one that came first stands first
 * @returns null where it waits already, or where those before it fill all places
 */
export function keepProof(list: readonly WaitingProof[], proof: WaitingProof): WaitingChange | null {
  if (list.some(({ bytes }) => Buffer.from(bytes).equals(proof.bytes))) return null;
  const at = list.filter(({ seq }) => seq <= proof.seq).length;
  if (at >= MOST_WAITING_PROOFS) return null;
  return { waiting: [proof], dropped: list.toSpliced(at, 0, proof).slice(MOST_WAITING_PROOFS) };
}
