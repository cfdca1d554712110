import { encodeCbor } from './cbor.ts';
import { Shape } from './shape.ts';

/** A record that was evicted before it was sent: its body hash keeps the chain whole. */
export interface EvictedRecord {
  readonly seq: number;
  readonly bodyHash: Uint8Array;
}

/** What a receiver needs to prove a stream up to `seq`, `proof.cddl`. */
export interface Proof {
  /** Signed note. */
  readonly checkpoint: string;
  readonly seq: number;
  readonly leafIndex: number;
  /** Lowest first; 32 bytes each. */
  readonly path: readonly Uint8Array[];
  readonly evicted: readonly EvictedRecord[];
}

/** Evicted records that one proof names at most: 40 bytes each, far below the 128 KiB of a message. */
export const MOST_EVICTED = 2_000;

const VERSION = 1;
const HASH_BYTES = 32;
const shape = new Shape('proof');

export function encodeProof({ checkpoint, seq, leafIndex, path, evicted }: Proof): Uint8Array {
  return encodeCbor([VERSION, checkpoint, seq, leafIndex, [...path], evicted.map((one) => [one.seq, one.bodyHash])]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeProof(bytes: Uint8Array): Proof {
  const [version, checkpoint, seq, leafIndex, path, evicted] = shape.decode(bytes, 6);
  shape.version(version, VERSION);
  return {
    checkpoint: shape.text(checkpoint, 'checkpoint'),
    seq: shape.uint(seq, 'seq'),
    leafIndex: shape.uint(leafIndex, 'leaf index'),
    path: shape.array(path, 'path').map((hash) => shape.bytes(hash, 'a hash of the path', HASH_BYTES)),
    evicted: shape.array(evicted, 'evicted').map((one) => {
      const [evictedSeq, bodyHash] = shape.array(one, 'an evicted record', 2);
      return { seq: shape.uint(evictedSeq, 'seq'), bodyHash: shape.bytes(bodyHash, 'body hash', HASH_BYTES) };
    }),
  };
}
