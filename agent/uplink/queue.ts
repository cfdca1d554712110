import type { OutboxRow } from '../store/contract.ts';

/** Sessions go before everything; of one priority records go before proofs, as in the store. */
function rank({ kind, priority }: OutboxRow): number {
  if (kind === 'session') return Number.POSITIVE_INFINITY;
  return 2 * priority + (kind === 'record' ? 1 : 0);
}

/**
 * Rows that wait for the window: higher rank first, equal ranks in the order in which they came. At most a window of
 * them is here, so an array serves.
 */
export class Queue {
  readonly #rows: OutboxRow[] = [];

  get size(): number {
    return this.#rows.length;
  }

  get first(): OutboxRow | undefined {
    return this.#rows[0];
  }

  push(row: OutboxRow): void {
    const own = rank(row);
    let at = this.#rows.length;
    while (at > 0 && rank(this.#rows[at - 1]!) < own) at--;
    this.#rows.splice(at, 0, row);
  }

  shift(): OutboxRow | undefined {
    return this.#rows.shift();
  }

  /** Takes all of them out. */
  drain(): OutboxRow[] {
    return this.#rows.splice(0);
  }
}
