import { concat, equalBytes } from './bytes.ts';

/** SHA-256 as the caller's platform gives it. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** The hashes of an RFC 9162 §2.1.1 tree; 32 bytes each. */
export interface TreeHasher {
  /** SHA-256(00 ‖ leaf). */
  leaf(data: Uint8Array): Uint8Array;
  /** SHA-256(01 ‖ left ‖ right). */
  node(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** Root of the tree without leaves: SHA-256 of nothing. */
  empty(): Uint8Array;
}

/** Bytes of a hash. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = new Uint8Array([0]);
const NODE_PREFIX = 1;

export function treeHasher(sha256: Sha256): TreeHasher {
  // A node is hashed from one buffer that is used again: appending is the hot path of the ledger.
  const pair = new Uint8Array(1 + 2 * HASH_BYTES);
  pair[0] = NODE_PREFIX;
  return {
    leaf: (data) => sha256(concat(LEAF_PREFIX, data)),
    node: (left, right) => {
      pair.set(left, 1);
      pair.set(right, 1 + HASH_BYTES);
      return sha256(pair);
    },
    empty: () => sha256(new Uint8Array(0)),
  };
}

// Indexes go up to 2^53 − 1, beyond the 32 bits of JavaScript's bit operators.
const odd = (n: number) => n % 2 === 1;
const half = (n: number) => Math.floor(n / 2);

const isHash = (bytes: Uint8Array) => bytes.length === HASH_BYTES;
const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0;

/**
 * The root that an inclusion proof leads to, RFC 9162 §2.1.3.2.
 *
 * @param index leaf number
 * @param size number of leaves of the tree
 * @param path sibling hashes, lowest first
 * @returns null where no tree of that size has such a proof
 */
export function rootOfInclusion(
  hasher: TreeHasher,
  index: number,
  size: number,
  leafHash: Uint8Array,
  path: readonly Uint8Array[],
): Uint8Array | null {
  if (!isCount(index) || !isCount(size) || index >= size || !isHash(leafHash) || !path.every(isHash)) return null;
  let fn = index;
  let sn = size - 1;
  let root = leafHash;
  for (const sibling of path) {
    if (sn === 0) return null;
    if (odd(fn) || fn === sn) {
      root = hasher.node(sibling, root);
      while (!odd(fn) && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      root = hasher.node(root, sibling);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 ? root : null;
}

/** Whether `leafHash` is leaf `index` of the tree of `size` leaves and `root`, RFC 9162 §2.1.3.2. */
export function verifyInclusion(
  hasher: TreeHasher,
  index: number,
  size: number,
  leafHash: Uint8Array,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  const computed = rootOfInclusion(hasher, index, size, leafHash, path);
  return computed !== null && equalBytes(computed, root);
}

/** Whether leaves [start, end) are a subtree: `start` is a multiple of the smallest power of two ≥ end − start. */
export function isSubtree(start: number, end: number): boolean {
  if (!isCount(start) || !isCount(end) || start >= end) return false;
  let width = 1;
  while (width < end - start) width *= 2;
  return start % width === 0;
}

/** As `verifyInclusion`, for the subtree [start, end) (draft-ietf-plants-merkle-tree-certs, "Subtree inclusion proofs"). */
export function verifySubtreeInclusion(
  hasher: TreeHasher,
  index: number,
  start: number,
  end: number,
  leafHash: Uint8Array,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  return isSubtree(start, end) && verifyInclusion(hasher, index - start, end - start, leafHash, path, root);
}

/**
 * Whether the tree of `size1` leaves and `root1` is a prefix of the tree of `size2` leaves and `root2`,
 * RFC 9162 §2.1.4.2. Equal sizes need equal roots and no proof. Nothing can be proved from an empty tree (every tree
 * continues it), so `size1` 0 verifies only against an empty tree.
 */
export function verifyConsistency(
  hasher: TreeHasher,
  size1: number,
  size2: number,
  root1: Uint8Array,
  root2: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (size1 === 0 && size2 === 0) {
    return path.length === 0 && equalBytes(root1, root2) && equalBytes(root1, hasher.empty());
  }
  return verifySubtreeConsistency(hasher, 0, size1, size2, root1, root2, path);
}

/**
 * Whether the subtree [start, end) with `root1` is part of the tree of `size` leaves and `root2`
 * (draft-ietf-plants-merkle-tree-certs, "Verifying a subtree consistency proof"; with start = 0 it is the algorithm
 * of RFC 9162 §2.1.4.2).
 */
export function verifySubtreeConsistency(
  hasher: TreeHasher,
  start: number,
  end: number,
  size: number,
  root1: Uint8Array,
  root2: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (!isSubtree(start, end) || !isCount(size) || end > size) return false;
  if (!isHash(root1) || !isHash(root2) || !path.every(isHash)) return false;
  let fn = start;
  let sn = end - 1;
  let tn = size - 1;
  const up = () => {
    fn = half(fn);
    sn = half(sn);
    tn = half(tn);
  };
  const whole = sn === tn;
  while (fn !== sn && (whole || odd(sn))) up();
  let next = 0;
  let first = root1;
  if (fn !== sn) {
    if (path.length === 0) return false;
    first = path[next++]!;
  }
  let fr = first;
  let sr = first;
  for (; next < path.length; next++) {
    const sibling = path[next]!;
    if (tn === 0) return false;
    if (odd(sn) || sn === tn) {
      if (fn < sn) fr = hasher.node(sibling, fr);
      sr = hasher.node(sibling, sr);
      while (!odd(sn) && sn !== 0) up();
    } else {
      sr = hasher.node(sr, sibling);
    }
    up();
  }
  return tn === 0 && equalBytes(fr, root1) && equalBytes(sr, root2);
}
