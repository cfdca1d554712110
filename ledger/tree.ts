import type { TreeHasher } from './merkle.ts';

/**
 * The growing side of an RFC 9162 tree. A node (level, index) is the root of the complete subtree over the leaves
 * [index · 2^level, (index + 1) · 2^level); it never changes once it exists, so a store keeps it as one row and never
 * updates it. What is not complete at the right edge is computed from such nodes.
 */

/** Hash of the complete subtree (level, index); throws where the store does not have it. */
export type NodeReader = (level: number, index: number) => Uint8Array;
/** Takes each complete node once, a node after its children. */
export type NodeSink = (level: number, index: number, hash: Uint8Array) => void;

/** Largest number of leaves: every index stays an exact number. */
export const MAX_SIZE = Number.MAX_SAFE_INTEGER;

/**
 * All that appending needs to know of a tree: the roots of its maximal complete subtrees, largest (leftmost) first, as
 * many as the size has ones in binary. Values, not views: a copy is a snapshot.
 */
export interface CompactRange {
  size: number;
  readonly peaks: Uint8Array[];
}

export function emptyRange(): CompactRange {
  return { size: 0, peaks: [] };
}

/** A range that goes on independently of `range`, for a transaction that may be rolled back. */
export function copyRange(range: CompactRange): CompactRange {
  return { size: range.size, peaks: [...range.peaks] };
}

/** Where the maximal complete subtrees of the leaves [start, end) lie, leftmost first; `start` 0 or the end of one. */
function* completeSubtrees(start: number, end: number): Generator<{ level: number; index: number }> {
  let at = start;
  while (at < end) {
    let level = 0;
    let width = 1;
    while (width * 2 <= end - at && at % (width * 2) === 0) {
      width *= 2;
      level++;
    }
    yield { level, index: at / width };
    at += width;
  }
}

/** The range of the first `size` leaves, read from stored nodes. */
export function rangeOf(size: number, node: NodeReader): CompactRange {
  checkSize(size);
  const peaks: Uint8Array[] = [];
  for (const { level, index } of completeSubtrees(0, size)) peaks.push(node(level, index));
  return { size, peaks };
}

/**
 * Appends a leaf: on average two hashes.
 *
 * @param leafHash SHA-256(00 ‖ leaf)
 * @param sink takes the leaf's node and every complete node that it finishes, lowest first: the rows to persist
 * @returns index of the leaf
 * @throws {RangeError} when the tree holds 2^53 − 1 leaves
 */
export function appendLeaf(range: CompactRange, leafHash: Uint8Array, hasher: TreeHasher, sink?: NodeSink): number {
  if (range.size >= MAX_SIZE) throw new RangeError(`a tree holds at most ${MAX_SIZE} leaves`);
  const leafIndex = range.size;
  let hash = leafHash;
  let level = 0;
  let index = leafIndex;
  sink?.(level, index, hash);
  while (index % 2 === 1) {
    hash = hasher.node(range.peaks.pop()!, hash);
    index = (index - 1) / 2;
    level++;
    sink?.(level, index, hash);
  }
  range.peaks.push(hash);
  range.size++;
  return leafIndex;
}

/** The root of the tree whose range this is; the empty tree has the hash of nothing. */
export function rootFromRange(range: CompactRange, hasher: TreeHasher): Uint8Array {
  return bag(range.peaks, hasher) ?? hasher.empty();
}

/** Joins complete subtrees from the right, as the recursion of RFC 9162 §2.1.1 does; null where there are none. */
function bag(peaks: readonly Uint8Array[], hasher: TreeHasher): Uint8Array | null {
  let hash: Uint8Array | null = null;
  for (let i = peaks.length - 1; i >= 0; i--) hash = hash === null ? peaks[i]! : hasher.node(peaks[i]!, hash);
  return hash;
}

/** Root of the first `size` leaves, from stored nodes. */
export function rootAt(size: number, node: NodeReader, hasher: TreeHasher): Uint8Array {
  return rootFromRange(rangeOf(size, node), hasher);
}

/** Hash over [start, end), a subtree as the recursion of RFC 9162 §2.1.1 splits it. */
function subtreeHash(start: number, end: number, node: NodeReader, hasher: TreeHasher): Uint8Array {
  const peaks: Uint8Array[] = [];
  for (const { level, index } of completeSubtrees(start, end)) peaks.push(node(level, index));
  return bag(peaks, hasher)!;
}

/** Where RFC 9162 §2.1.1 splits [start, end): after the largest power of two smaller than its width. */
function split(start: number, end: number): number {
  let width = 1;
  while (width * 2 < end - start) width *= 2;
  return start + width;
}

/**
 * Inclusion proof for one leaf of a tree of `size` leaves, RFC 9162 §2.1.3.1.
 *
 * @param index leaf number, 0 ≤ index < size
 * @param size number of leaves, at most 2^53 − 1
 * @param node hash of a complete subtree; 32 bytes
 * @returns sibling hashes from the leaf upwards, at most ⌈log2 size⌉ of 32 bytes
 * @throws {RangeError} when index or size are out of range
 */
export function inclusionProof(index: number, size: number, node: NodeReader, hasher: TreeHasher): Uint8Array[] {
  checkSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  }
  const path: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = split(start, end);
    if (index < middle) {
      path.push(subtreeHash(middle, end, node, hasher));
      end = middle;
    } else {
      path.push(subtreeHash(start, middle, node, hasher));
      start = middle;
    }
  }
  return path.reverse();
}

/**
 * Proof that the first `size1` leaves of a tree of `size2` are the tree of `size1`, RFC 9162 §2.1.4.1.
 * Empty for `size1` 0 and for equal sizes.
 *
 * @throws {RangeError} when the sizes are out of range
 */
export function consistencyProof(size1: number, size2: number, node: NodeReader, hasher: TreeHasher): Uint8Array[] {
  checkSize(size1);
  checkSize(size2);
  if (size1 > size2) throw new RangeError(`a tree of ${size2} leaves has no prefix of ${size1}`);
  if (size1 === 0) return [];
  const path: Uint8Array[] = [];
  let start = 0;
  let end = size2;
  while (end !== size1) {
    const middle = split(start, end);
    if (size1 <= middle) {
      path.push(subtreeHash(middle, end, node, hasher));
      end = middle;
    } else {
      path.push(subtreeHash(start, middle, node, hasher));
      start = middle;
    }
  }
  // A prefix that is one complete subtree from leaf 0 is known to the verifier by its root.
  if (start !== 0) path.push(subtreeHash(start, end, node, hasher));
  return path.reverse();
}

function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not a number of leaves`);
}
