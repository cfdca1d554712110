import { TollgateError } from '#contracts';
import { type Checkpoint, nodeCrypto, parseCheckpoint, sha256Tree, verifyCheckpoint, verifyInclusion } from '#ledger';
import { decodeProof, MOST_EVICTED, nextChain, type Proof, recordLeaf } from '#wire';
import { type BrokenCode, judge } from './continuity.ts';
import type { KnownCheckpoint, ProofStep, ReceiverStore } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { foreign } from './opening.ts';
import { MOST_RECORDS } from './progress.ts';
import type { Stream } from './streams.ts';

export interface Accusation {
  readonly seq: number;
  readonly why: string;
  /** Signed notes, the one that was known first. */
  readonly notes: readonly string[];
}

export type ProofOutcome =
  /** It covers nothing that is not proven already. */
  | { readonly kind: 'stale' }
  /**
   * Records that it covers are still to come, or what its ledger continues, or the unit is not trusted at present.
   * `open` says what its ledger has not shown, null where that is not why it waits.
   */
  | { readonly kind: 'waits'; readonly seq: number; readonly open: string | null }
  /** The unit signed two ledgers: both notes are evidence. */
  | ({ readonly kind: 'fork' } & Accusation)
  /** The ledger does not continue what was accepted, as far as the carrier of the proof shows it. */
  | ({ readonly kind: 'broken'; readonly code: BrokenCode } & Accusation)
  | { readonly kind: 'holds'; readonly step: ProofStep };

/**
 * Bytes of a proof at most: 2,000 evicted records of 40 bytes, a path of 53 hashes, twice as many of consistency and a
 * note take 86 KiB.
 */
export const MOST_PROOF_BYTES = 96 * 2 ** 10;
/** Links read from the store at once. */
const PAGE = 1_000;
/** Notes whose signature was checked: streams that are proven together carry the same one. */
const MOST_NOTES = 64;

/** Checks proofs against what was opened. */
export class ProofChecker {
  readonly #store: ReceiverStore;
  readonly #keys: ReceiverKeys;
  readonly #heads = new Map<string, KnownCheckpoint>();

  constructor(store: ReceiverStore, keys: ReceiverKeys) {
    this.#store = store;
    this.#keys = keys;
  }

  /**
   * The leaf of the proof's newest record is rebuilt, with the chain over every body hash since the last proof, and
   * looked for in the tree that the unit signed; that tree must continue what was accepted of the unit.
   *
   * @throws {TollgateError} TG_RECEIVER_PROOF, TG_RECEIVER_STORE
   */
  async check(stream: Stream, bytes: Uint8Array): Promise<ProofOutcome> {
    return await foreign('TG_RECEIVER_PROOF', 'a proof was refused', () => this.#check(stream, bytes));
  }

  async #check(stream: Stream, bytes: Uint8Array): Promise<ProofOutcome> {
    if (bytes.length > MOST_PROOF_BYTES) {
      throw refused(`a proof of ${bytes.length} bytes, where ${MOST_PROOF_BYTES} are the most`);
    }
    const proof = decodeProof(bytes);
    const { seq, leafIndex } = proof;
    if (seq >= MOST_RECORDS) throw refused(`no stream has a record ${seq}`);
    // Each record before it is a leaf before its leaf.
    if (seq > leafIndex) throw refused(`record ${seq} cannot be leaf ${leafIndex}`);
    const from = stream.progress.provenSeq;
    if (seq <= from) return { kind: 'stale' };
    refuseEvicted(proof);
    const checkpoint = await this.#signedHead(proof.checkpoint, stream.unit);
    if (leafIndex >= checkpoint.size) throw refused(`there is no leaf ${leafIndex} among ${checkpoint.size}`);
    const known = await this.#store.checkpoint(checkpoint.unit, checkpoint.size);
    if (known !== null && !Buffer.from(known.root).equals(checkpoint.root)) {
      const why = `two different ledgers of ${checkpoint.size} leaves were signed`;
      return { kind: 'fork', seq, why, notes: [known.note, checkpoint.note] };
    }
    const head = await this.#store.head(stream.unit, stream.bootId);
    if (head.distrusted !== null) return { kind: 'waits', seq, open: null };
    const end = await chainTo(stream, proof, this.#store);
    if (end === null) return { kind: 'waits', seq, open: null };
    if (!included(stream, proof, end, checkpoint)) {
      throw refused(`record ${seq} is not leaf ${leafIndex} of the ${checkpoint.size} leaves that were signed`);
    }
    const { pseudonym, stream: id, bootId } = stream;
    const step = { pseudonym, stream: id, from, seq, chain: end.chain, evicted: end.evicted };
    const holds: ProofOutcome = { kind: 'holds', step: { ...step, checkpoint, headSize: head.size, bootId } };
    if (known !== null) return holds;
    const { consistency } = proof;
    const start = consistency === null ? null : await this.#store.checkpoint(stream.unit, consistency.fromSize);
    const continuity = judge(checkpoint, consistency, head, start);
    if (continuity.kind === 'continues') return holds;
    if (continuity.kind === 'open') return { kind: 'waits', seq, open: continuity.why };
    const newest = await this.#store.checkpoint(stream.unit);
    const notes = [newest?.note ?? '', checkpoint.note].filter((note) => note !== '');
    return { ...continuity, seq, notes };
  }

  /** The head of a note that the unit of this stream signed. */
  async #signedHead(note: string, unit: string): Promise<KnownCheckpoint> {
    const key = `${unit} ${note}`;
    const seen = this.#heads.get(key);
    if (seen !== undefined) return seen;
    const head: Checkpoint = parseCheckpoint(note);
    const own = this.#keys.units.filter(({ name }) => name === unit);
    if (head.origin !== unit || !(await verifyCheckpoint(head, own, nodeCrypto))) {
      throw refused('the checkpoint is not signed by the unit of this stream');
    }
    const checkpoint = { unit, size: head.size, root: head.root, note };
    this.#heads.set(key, checkpoint);
    if (this.#heads.size > MOST_NOTES) this.#heads.delete(this.#heads.keys().next().value!);
    return checkpoint;
  }
}

/** The number that a proof claims, for alarms: nobody checked it. Null where it claims none. */
export function claimedProofSeq(bytes: Uint8Array): number | null {
  try {
    return decodeProof(bytes).seq;
  } catch {
    return null;
  }
}

function refused(text: string): TollgateError {
  return new TollgateError('TG_RECEIVER_PROOF', text);
}

function included(stream: Stream, { seq, leafIndex, path }: Proof, end: End, checkpoint: KnownCheckpoint): boolean {
  const { utcOffsetMs } = stream.opening.schema;
  const leaf = recordLeaf({
    bootId: stream.bootId,
    boottimeMs: end.t0Ms,
    utcMs: utcOffsetMs === null ? null : end.t0Ms + utcOffsetMs,
    bodyHash: end.bodyHash,
    stream: stream.stream,
    seq,
    agreementTag: stream.opening.agreementTag,
    chain: end.chain,
  });
  return verifyInclusion(sha256Tree, leafIndex, checkpoint.size, sha256Tree.leaf(leaf), path, checkpoint.root);
}

/**
 * A proof is not signed: whoever carries it can add to its list. The numbers rise and lie below the proof's own, which
 * is all that the chain can cover. What is proven already may be named again, for the unit may not know that; nothing
 * is taken from there.
 */
function refuseEvicted({ seq, evicted }: Proof): void {
  if (evicted.length > MOST_EVICTED) {
    throw refused(`a proof names ${evicted.length} evicted records, where ${MOST_EVICTED} are the most`);
  }
  for (let i = 0; i < evicted.length; i++) {
    const one = evicted[i]!.seq;
    if (one < seq && (i === 0 || one > evicted[i - 1]!.seq)) continue;
    throw refused(`a proof of record ${seq} names record ${one} as evicted out of turn`);
  }
}

interface End {
  readonly chain: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly t0Ms: number;
  readonly evicted: Proof['evicted'];
}

/** Follows the chain from the last proven record to the proof's; null where a record is missing on the way. */
async function chainTo(stream: Stream, proof: Proof, store: ReceiverStore): Promise<End | null> {
  const named = new Map(proof.evicted.map(({ seq, bodyHash }) => [seq, bodyHash]));
  const evicted: Proof['evicted'][number][] = [];
  let chain = stream.provenChain;
  let seq = stream.progress.provenSeq;
  for (;;) {
    const links = await store.links(stream.pseudonym, stream.stream, seq, proof.seq, PAGE);
    for (const link of links) {
      for (; seq + 1 < link.seq; seq++) {
        const bodyHash = named.get(seq + 1);
        if (bodyHash === undefined) return null;
        evicted.push({ seq: seq + 1, bodyHash });
        chain = nextChain(chain, bodyHash);
      }
      chain = nextChain(chain, link.bodyHash);
      seq = link.seq;
      if (seq < proof.seq) continue;
      return link.t0Ms === null ? null : { chain, bodyHash: link.bodyHash, t0Ms: link.t0Ms, evicted };
    }
    // The record of the proof itself has not come.
    if (links.length === 0) return null;
  }
}
