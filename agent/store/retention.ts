import { readLeaf } from '#ledger';
import { type LedgerTable, TILE_LEAVES } from './ledger-table.ts';

/** Tiles of leaves that one look prunes: no commit waits long for it. */
const PRUNE_TILES = 64;

/** End of the last tile whose leaves are all older than `limitMs` of UTC, at most `most`; a multiple of 256. */
export function oldBelow(ledger: LedgerTable, most: number, limitMs: number): number {
  let below = ledger.pruned;
  for (let tile = 0; tile < PRUNE_TILES; tile++) {
    const end = (Math.floor(below / TILE_LEAVES) + 1) * TILE_LEAVES;
    if (end > most) break;
    // A leaf without UTC is as old as the next one that has it.
    let last = end - 1;
    while (last < most && readLeaf(ledger.leaf(last)).utcMs === null) last++;
    if (last >= most || readLeaf(ledger.leaf(last)).utcMs! > limitMs) break;
    below = end;
  }
  return below;
}
