import type { Clock } from '#contracts';
import { type NoteSigner, signCheckpoint } from '#ledger';
import { encodeProof } from '#wire';
import type { ProofMaterial, Store } from './store/contract.ts';

/** A checkpoint is written this often … */
const CHECKPOINT_MS = 10_000;
/** … or after this many leaves, whichever comes first. */
const CHECKPOINT_LEAVES = 1_000;
/** Checkpoints and proofs are published this often: closer costs more bytes than the data of a small campaign. */
const PUBLISH_MS = 60_000;
/**
 * A recipient is shown that the ledger only grew with its first proof after a boot, then at most this often: a copy of
 * the disk comes into force by a boot, and 17 hashes with each proof would cost more than the data of a small campaign.
 */
const LINK_MS = 3_600_000;

export interface KeeperParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly signer: NoteSigner;
  readonly onSigned: () => void;
  readonly publishMs?: number;
}

/** Writes checkpoints of the ledger and queues the proofs that receivers wait for. */
export class Keeper {
  readonly #parts: KeeperParts;
  readonly #publishMs: number;
  #size = 0;
  #note = '';
  /** When each recipient was last shown that the ledger only grew. */
  readonly #linkedMs = new Map<string, number>();
  #checkedMs: number;
  #publishedMs: number;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#publishMs = parts.publishMs ?? PUBLISH_MS;
    this.#checkedMs = this.#publishedMs = parts.clock.monotonicMs();
  }

  /** Does what is due; call it a few times a second. */
  async tick(): Promise<void> {
    const now = this.#parts.clock.monotonicMs();
    const publish = now - this.#publishedMs >= this.#publishMs;
    const { size } = await this.#parts.store.head();
    if (publish || now - this.#checkedMs >= CHECKPOINT_MS || size - this.#size >= CHECKPOINT_LEAVES)
      await this.checkpoint();
    if (publish) await this.publish();
  }

  /** Signs the tree as committed; nothing happens where no leaf was added since. */
  async checkpoint(): Promise<void> {
    const { store, clock, signer, onSigned } = this.#parts;
    this.#checkedMs = clock.monotonicMs();
    const { size, root } = await store.head();
    if (size === this.#size) return;
    const note = await signCheckpoint(size, root, signer);
    onSigned();
    await store.checkpoint(size, note);
    this.#size = size;
    this.#note = note;
  }

  /** Queues one proof a stream under the newest checkpoint. */
  async publish(): Promise<void> {
    const { store, clock } = this.#parts;
    this.#publishedMs = clock.monotonicMs();
    if (this.#size === 0) return;
    const stored: Promise<void>[] = [];
    for (const material of await store.proofs(this.#size)) {
      const { seq, leafIndex, path, evicted } = material;
      const consistency = this.#linkOf(material);
      const proof = { checkpoint: this.#note, seq, leafIndex, path, evicted, consistency };
      stored.push(store.proof(material, encodeProof(proof), consistency !== null));
    }
    await Promise.all(stored);
  }

  #linkOf({ recipient, consistency }: ProofMaterial): ProofMaterial['consistency'] {
    const now = this.#parts.clock.monotonicMs();
    if (now - (this.#linkedMs.get(recipient) ?? Number.NEGATIVE_INFINITY) < LINK_MS) return null;
    this.#linkedMs.set(recipient, now);
    return consistency;
  }

  /** The newest signed note, '' before the first. */
  get note(): string {
    return this.#note;
  }
}
