import { readLeaf } from '#ledger';
import { MOST_EVICTED } from '#wire/proof';
import type { ProofMaterial } from './contract.ts';
import type { State } from './state.ts';
import type { StreamState } from './streams.ts';
import type { WriterStatements } from './writer-statements.ts';

/** The newest record that is there and whose proof needs no more evicted ones named than a message holds. */
export function proofOf(
  state: State,
  statements: WriterStatements,
  stream: StreamState,
  size: number,
  consistency: ProofMaterial['consistency'],
): ProofMaterial | null {
  const bound = statements.bound.get(stream.id, MOST_EVICTED);
  const below = typeof bound === 'number' ? bound : Number.MAX_SAFE_INTEGER;
  const { id, pseudonym, topic, priority } = stream;
  const newest = newestRecord(state, statements, stream, size, below);
  if (newest === null) return null;
  const { seq, leafIndex } = newest;
  const rows = statements.untold.all(id, seq, MOST_EVICTED) as [number, Uint8Array][];
  const evicted = rows.map(([evictedSeq, bodyHash]) => ({ seq: evictedSeq, bodyHash }));
  const path = state.ledger.path(leafIndex, size);
  const under = { recipient: stream.recipient, size, consistency };
  return { stream: stream.stream, pseudonym, topic, priority, seq, leafIndex, path, evicted, ...under };
}

function newestRecord(
  state: State,
  statements: WriterStatements,
  stream: StreamState,
  size: number,
  below: number,
): { seq: number; leafIndex: number } | null {
  const { ledger } = state;
  for (let index = Math.min(size - 1, stream.lastLeaf); index >= stream.firstLeaf; index--) {
    const { record } = readLeaf(ledger.leaf(index));
    if (record === null || Buffer.compare(record.stream, stream.stream) !== 0) continue;
    if (record.seq <= stream.publishedSeq) return null;
    if (record.seq >= below || statements.isEvicted.get(stream.id, record.seq) !== undefined) continue;
    return { seq: record.seq, leafIndex: index };
  }
  return null;
}

/** That the tree only grew since it was last published to the recipient. */
export function grownSince(
  state: State,
  statements: WriterStatements,
  recipient: string,
  size: number,
): ProofMaterial['consistency'] {
  const fromSize = statements.publishedTo.get(recipient);
  if (typeof fromSize !== 'number' || fromSize >= size) return null;
  return { fromSize, nodes: state.ledger.consistency(fromSize, size) };
}
