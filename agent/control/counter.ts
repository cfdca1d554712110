import type { TrustAnchor } from '#contracts';
import type { DurableStore } from '../store/contract.ts';

/** The row of the table of versions that stands for the anchor's counter. */
const ISSUER = 'urn:tollgate:anchor';
const DOCUMENT = 'counter';
const NO_HASH = new Uint8Array(32);
/** A version is `counter · SLACK + begun`: it only goes up, and says both in one row. */
const SLACK = 1024;

/**
 * Ties the store to the anchor's monotonic counter, so that an older copy of the disk is told from the newest: each
 * start and each document add one, and the store notes what the counter then said. The counter has no read, so a step is
 * noted as begun first: a power cut between the two is not taken for an old disk.
 */
export class RollbackGuard {
  readonly #store: Pick<DurableStore, 'version' | 'accept'>;
  readonly #anchor: Pick<TrustAnchor, 'counter' | 'describe'>;

  constructor(store: Pick<DurableStore, 'version' | 'accept'>, anchor: Pick<TrustAnchor, 'counter' | 'describe'>) {
    this.#store = store;
    this.#anchor = anchor;
  }

  /**
   * One step; durable when it resolves.
   *
   * @returns false where the anchor has counted what this store does not know of, or the other way round: one of them is
   * an old copy. The number is not noted then, so every later step says the same.
   */
  async step(): Promise<boolean> {
    const row = this.#store.version(ISSUER, DOCUMENT);
    // An empty state folder is the oldest copy of all. A counter that is a file beside it proves nothing of that, and a
    // developer empties folders: there the receivers tell, who remember a longer ledger.
    if (row === null && this.#anchor.describe().kind === 'software-untrusted') {
      await this.#note((await this.#anchor.counter()) * SLACK);
      return true;
    }
    const noted = row?.version ?? 0;
    const counter = Math.floor(noted / SLACK);
    const begun = noted % SLACK;
    // So many steps were begun and never noted; a machine that fails a thousand starts in a row is examined by a person.
    if (begun + 1 >= SLACK) return false;
    await this.#note(noted + 1);
    const now = await this.#anchor.counter();
    if (now <= counter || now > counter + begun + 1) return false;
    await this.#note(now * SLACK);
    return true;
  }

  async #note(version: number): Promise<void> {
    await this.#store.accept({ issuer: ISSUER, document: DOCUMENT, version, hash: NO_HASH }, null);
  }
}
