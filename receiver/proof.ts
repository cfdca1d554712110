import { TollgateError } from '#contracts';
import { type Checkpoint, nodeCrypto, parseCheckpoint, sha256Tree, verifyCheckpoint, verifyInclusion } from '#ledger';
import { decodeProof, MOST_EVICTED, nextChain, type Proof, recordLeaf } from '#wire';
import type { KnownCheckpoint, ReceiverStore } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { foreign } from './opening.ts';
import { MOST_RECORDS } from './progress.ts';
import type { Stream } from './streams.ts';

export type ProofOutcome =
  /** It covers nothing that is not proven already. */
  | { readonly kind: 'stale' }
  /** Records that it covers are still to come. */
  | { readonly kind: 'waits'; readonly seq: number }
  | {
      readonly kind: 'holds';
      readonly seq: number;
      /** Chain value at `seq`. */
      readonly chain: Uint8Array;
      /** Evicted records that the chain went over: those that the unit's signature covers. */
      readonly evicted: Proof['evicted'];
      readonly checkpoint: KnownCheckpoint;
    };

/** Bytes of a proof at most: 2,000 evicted records of 40 bytes, a path of 53 hashes and a note take 82 KiB. */
export const MOST_PROOF_BYTES = 96 * 2 ** 10;
/** Links read from the store at once. */
const PAGE = 1_000;

/**
 * Checks a proof against what was opened: the leaf of its newest record is rebuilt, with the chain over every body
 * hash since the last proof, and looked for in the tree that the unit signed.
 *
 * @throws {TollgateError} TG_RECEIVER_PROOF, TG_RECEIVER_ROLLBACK
 */
export async function checkProof(
  stream: Stream,
  bytes: Uint8Array,
  store: ReceiverStore,
  keys: ReceiverKeys,
): Promise<ProofOutcome> {
  return await foreign('TG_RECEIVER_PROOF', 'a proof was refused', () => check(stream, bytes, store, keys));
}

async function check(
  stream: Stream,
  bytes: Uint8Array,
  store: ReceiverStore,
  keys: ReceiverKeys,
): Promise<ProofOutcome> {
  if (bytes.length > MOST_PROOF_BYTES) {
    const text = `a proof of ${bytes.length} bytes, where ${MOST_PROOF_BYTES} are the most`;
    throw new TollgateError('TG_RECEIVER_PROOF', text);
  }
  const proof = decodeProof(bytes);
  if (proof.seq >= MOST_RECORDS) throw new TollgateError('TG_RECEIVER_PROOF', `no stream has a record ${proof.seq}`);
  if (proof.seq <= stream.progress.provenSeq) return { kind: 'stale' };
  refuseEvicted(proof);
  const checkpoint = await signedHead(proof.checkpoint, stream.unit, keys);
  await refuseFork(checkpoint, store);
  const end = await chainTo(stream, proof, store);
  if (end === null) return { kind: 'waits', seq: proof.seq };
  const { bootId, utcOffsetMs } = stream.opening.schema;
  const leaf = recordLeaf({
    bootId,
    boottimeMs: end.t0Ms,
    utcMs: utcOffsetMs === null ? null : end.t0Ms + utcOffsetMs,
    bodyHash: end.bodyHash,
    stream: stream.stream,
    seq: proof.seq,
    agreementTag: stream.opening.agreementTag,
    chain: end.chain,
  });
  const { leafIndex, path } = proof;
  if (!verifyInclusion(sha256Tree, leafIndex, checkpoint.size, sha256Tree.leaf(leaf), path, checkpoint.root)) {
    const text = `record ${proof.seq} is not leaf ${leafIndex} of the ${checkpoint.size} leaves that were signed`;
    throw new TollgateError('TG_RECEIVER_PROOF', text);
  }
  return { kind: 'holds', seq: proof.seq, chain: end.chain, evicted: end.evicted, checkpoint };
}

/**
 * A proof is not signed: whoever carries it can add to its list. The numbers rise and lie below the proof's own, which
 * is all that the chain can cover. What is proven already may be named again, for the unit may not know that; nothing
 * is taken from there.
 */
function refuseEvicted({ seq, evicted }: Proof): void {
  if (evicted.length > MOST_EVICTED) {
    const text = `a proof names ${evicted.length} evicted records, where ${MOST_EVICTED} are the most`;
    throw new TollgateError('TG_RECEIVER_PROOF', text);
  }
  for (let i = 0; i < evicted.length; i++) {
    const one = evicted[i]!.seq;
    if (one < seq && (i === 0 || one > evicted[i - 1]!.seq)) continue;
    throw new TollgateError('TG_RECEIVER_PROOF', `a proof of record ${seq} names record ${one} as evicted out of turn`);
  }
}

/** The head of a note that the unit of this stream signed. */
async function signedHead(note: string, unit: string, keys: ReceiverKeys): Promise<KnownCheckpoint> {
  const head: Checkpoint = parseCheckpoint(note);
  const own = keys.units.filter((key) => key.name === unit);
  if (head.origin !== unit || !(await verifyCheckpoint(head, own, nodeCrypto))) {
    throw new TollgateError('TG_RECEIVER_PROOF', 'the checkpoint is not signed by the unit of this stream');
  }
  return { unit, size: head.size, root: head.root, note };
}

/**
 * One size has one root. A head smaller than the newest known is no alarm: whoever carries proofs may hold one back,
 * and it proves its records all the same.
 */
async function refuseFork(head: KnownCheckpoint, store: ReceiverStore): Promise<void> {
  const same = await store.checkpoint(head.unit, head.size);
  if (same === null || Buffer.from(same.root).equals(head.root)) return;
  throw new TollgateError('TG_RECEIVER_ROLLBACK', `two different ledgers of ${head.size} leaves were signed`);
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
