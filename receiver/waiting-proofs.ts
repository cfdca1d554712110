import { decodeCbor, decodeProof, encodeCbor } from '#wire';

/** Proofs of a stream that wait for records at most: a few minutes' worth. */
export const MOST_WAITING_PROOFS = 4;

interface WaitingProof {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/**
 * Proofs of one stream whose records have not all come, nearest first. Nobody signed what they say of themselves, so
 * one that lies farther ahead never takes the place of a nearer one; it waits beside it, for it may name as evicted
 * what the nearer one lacks.
 */
export class WaitingProofs {
  #list: readonly WaitingProof[];

  /** @param packed what `packed` gave, checked by nobody but this receiver; null for none */
  constructor(packed: Uint8Array | null = null) {
    this.#list = packed === null ? [] : unpack(packed);
  }

  /** Nearest first. */
  all(): readonly Uint8Array[] {
    return this.#list.map(({ bytes }) => bytes);
  }

  /** @returns whether it was kept: not where it waits already, or where those before it fill all places */
  keep(seq: number, bytes: Uint8Array): boolean {
    if (this.#list.some((one) => Buffer.from(one.bytes).equals(bytes))) return false;
    // Of two for one record, the one that came first stands first.
    const at = this.#list.filter((one) => one.seq <= seq).length;
    if (at >= MOST_WAITING_PROOFS) return false;
    this.#list = this.#list.toSpliced(at, 0, { seq, bytes }).slice(0, MOST_WAITING_PROOFS);
    return true;
  }

  drop(bytes: Uint8Array): void {
    this.#list = this.#list.filter((one) => one.bytes !== bytes);
  }

  /** Records up to `seq` are proven: what proves no more need not wait. */
  proven(seq: number): void {
    this.#list = this.#list.filter((one) => one.seq > seq);
  }

  /** CBOR for the store; null for none. */
  packed(): Uint8Array | null {
    return this.#list.length === 0 ? null : encodeCbor(this.all());
  }
}

function unpack(packed: Uint8Array): WaitingProof[] {
  const list = decodeCbor(packed);
  if (!Array.isArray(list)) return [];
  // An earlier form of the database held one proof as it came.
  const proofs = list.every((one) => one instanceof Uint8Array) ? list : [packed];
  return proofs.map((bytes) => ({ seq: decodeProof(bytes).seq, bytes }));
}
