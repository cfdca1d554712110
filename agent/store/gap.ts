import { hash } from 'node:crypto';

/** Moment that a leaf names. */
export interface LeafTime {
  readonly boottimeMs: number;
  readonly utcMs: number | null;
}

/** Sorted numbers as ranges, both ends in: a million evicted records in a row are one pair. */
export function ranges(seqs: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const seq of seqs) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === seq - 1) last[1] = seq;
    else found.push([seq, seq]);
  }
  return found;
}

const VERSION = 1;
const KIND_GAP = 6;

/**
 * Leaf of kind gap: records of a stream that left the spool unsent. extra = [stream, [[first, last] …]] of their sequence
 * numbers, body_hash = SHA-256 of extra. Deterministic CBOR (RFC 8949 §4.2).
 */
export function gapLeaf(bootId: Uint8Array, time: LeafTime, stream: Uint8Array, seqs: readonly number[]): Uint8Array {
  const holes = ranges(seqs).map(([from, to]) => array(head(0, from), head(0, to)));
  const extra = array(bytes(stream), array(...holes));
  const utc = time.utcMs === null ? Uint8Array.of(0xf6) : integer(time.utcMs);
  const body = hash('sha256', extra, 'buffer');
  return array(head(0, VERSION), head(0, KIND_GAP), bytes(bootId), head(0, time.boottimeMs), utc, bytes(body), extra);
}

function head(major: number, value: number): Uint8Array {
  if (value < 24) return Uint8Array.of((major << 5) | value);
  const size = value < 2 ** 8 ? 0 : value < 2 ** 16 ? 1 : value < 2 ** 32 ? 2 : 3;
  const out = Buffer.alloc(9);
  out[0] = (major << 5) | (24 + size);
  out.writeBigUInt64BE(BigInt(value) << BigInt(64 - 8 * 2 ** size), 1);
  return out.subarray(0, 1 + 2 ** size);
}

const integer = (value: number) => (value < 0 ? head(1, -1 - value) : head(0, value));
const bytes = (value: Uint8Array) => Buffer.concat([head(2, value.length), value]);
const array = (...items: Uint8Array[]) => Buffer.concat([head(4, items.length), ...items]);
