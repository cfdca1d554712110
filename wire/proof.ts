import { type CborValue, encodeCbor } from './cbor.ts';
import { decodeNote, encodeNote } from './note-form.ts';
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
  /** Null where the unit shows no growth with this proof. */
  readonly consistency: Consistency | null;
}

/**
 * That the checkpoint of a proof only adds to the one that was last published to the same recipient, RFC 9162 §2.1.4:
 * a ledger that was rolled back to an old copy and has grown again cannot show it.
 */
export interface Consistency {
  /** Leaves under the checkpoint that was published before, from 1 on, fewer than this one has. */
  readonly fromSize: number;
  /** In the order of RFC 9162 §2.1.4.1; 32 bytes each. */
  readonly nodes: readonly Uint8Array[];
}

/** Evicted records that one proof names at most: 40 bytes each, far below the 128 KiB of a message. */
export const MOST_EVICTED = 2_000;

const VERSION = 1;
const HASH_BYTES = 32;
const shape = new Shape('proof');

export function encodeProof({ checkpoint, seq, leafIndex, path, evicted, consistency }: Proof): Uint8Array {
  const gone = evicted.map((one) => [one.seq, one.bodyHash]);
  const grown = consistency === null ? null : [consistency.fromSize, joined(consistency.nodes)];
  return encodeCbor([VERSION, encodeNote(checkpoint), seq, leafIndex, joined(path), gone, grown]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeProof(bytes: Uint8Array): Proof {
  const [version, checkpoint, seq, leafIndex, path, evicted, consistency] = shape.decode(bytes, 7);
  shape.version(version, VERSION);
  return {
    checkpoint: decodeNote(checkpoint, shape),
    seq: shape.uint(seq, 'seq'),
    leafIndex: shape.uint(leafIndex, 'leaf index'),
    path: hashes(path, 'path'),
    evicted: shape.array(evicted, 'evicted').map((one) => {
      const [evictedSeq, bodyHash] = shape.array(one, 'an evicted record', 2);
      return { seq: shape.uint(evictedSeq, 'seq'), bodyHash: shape.bytes(bodyHash, 'body hash', HASH_BYTES) };
    }),
    consistency: consistency === null ? null : readConsistency(consistency),
  };
}

function readConsistency(value: CborValue): Consistency {
  const [size, nodes] = shape.array(value, 'consistency', 2);
  const fromSize = shape.uint(size, 'the size before');
  if (fromSize === 0) shape.refuse('the size before', 'a number from 1');
  return { fromSize, nodes: hashes(nodes, 'nodes') };
}

/** Hashes travel one after the other in one byte string: a head each would be 6 % more. */
function joined(hashes: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(hashes));
}

function hashes(value: CborValue, field: string): Uint8Array[] {
  const bytes = shape.bytes(value, field);
  if (bytes.length % HASH_BYTES !== 0) shape.refuse(field, `hashes of ${HASH_BYTES} bytes`);
  const count = bytes.length / HASH_BYTES;
  return Array.from({ length: count }, (_, i) => bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}
