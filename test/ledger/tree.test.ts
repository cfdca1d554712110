import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendLeaf,
  consistencyProof,
  copyRange,
  emptyRange,
  inclusionProof,
  MAX_SIZE,
  rangeOf,
  rootAt,
  rootFromRange,
  rootOfInclusion,
  sha256Tree,
  verifyConsistency,
  verifyInclusion,
} from '#ledger';
import { grow, leafBytes, mth } from './trees.ts';

const bytes = (list: readonly Uint8Array[]) => list.map((one) => Buffer.from(one).toString('hex'));
const LARGEST = 70;

describe('a tree of RFC 9162', () => {
  it('has the hash of nothing as the root of no leaves', () => {
    expect(Buffer.from(rootFromRange(emptyRange(), sha256Tree)).toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('has the root that the recursion of the RFC gives, at every size', () => {
    const tree = grow(LARGEST);
    const range = emptyRange();
    for (let size = 0; size <= LARGEST; size++) {
      const wanted = bytes([mth(tree.leaves.slice(0, size))]);
      expect(bytes([rootFromRange(range, sha256Tree)])).toEqual(wanted);
      expect(bytes([rootAt(size, tree.node, sha256Tree)])).toEqual(wanted);
      appendLeaf(range, sha256Tree.leaf(leafBytes(size)), sha256Tree);
    }
  });

  it('gives each complete node to the store once, a parent after its children', () => {
    const range = emptyRange();
    const seen: string[] = [];
    for (let i = 0; i < 8; i++) {
      appendLeaf(range, sha256Tree.leaf(leafBytes(i)), sha256Tree, (level, index) => seen.push(`${level}/${index}`));
    }
    expect(seen.join(' ')).toBe('0/0 0/1 1/0 0/2 0/3 1/1 2/0 0/4 0/5 1/2 0/6 0/7 1/3 2/1 3/0');
  });

  it('goes on from stored nodes as if it had never stopped', () => {
    for (let size = 0; size <= LARGEST; size++) {
      const tree = grow(size);
      const again = rangeOf(size, tree.node);
      expect(bytes(again.peaks)).toEqual(bytes(tree.range.peaks));
    }
  });

  it('leaves the old range alone when a copy grows (a transaction that rolls back)', () => {
    const { range } = grow(7);
    const before = bytes(range.peaks);
    const copy = copyRange(range);
    appendLeaf(copy, sha256Tree.leaf(leafBytes(7)), sha256Tree);
    expect(bytes(range.peaks)).toEqual(before);
    expect(range.size).toBe(7);
    expect(copy.size).toBe(8);
  });

  it('counts up to 2^53 − 1 leaves and then refuses', () => {
    const hash = sha256Tree.leaf(leafBytes(0));
    const range = rangeOf(MAX_SIZE - 1, () => hash);
    expect(appendLeaf(range, hash, sha256Tree)).toBe(MAX_SIZE - 1);
    expect(range.peaks).toHaveLength(53);
    expect(() => appendLeaf(range, hash, sha256Tree)).toThrow(RangeError);
  });
});

describe('an inclusion proof', () => {
  it('verifies for every leaf of every tree, and is as short as the RFC says', () => {
    for (let size = 1; size <= LARGEST; size++) {
      const tree = grow(size);
      const root = rootFromRange(tree.range, sha256Tree);
      for (let i = 0; i < size; i++) {
        const path = inclusionProof(i, size, tree.node, sha256Tree);
        expect(path.length).toBeLessThanOrEqual(Math.ceil(Math.log2(size)));
        expect(verifyInclusion(sha256Tree, i, size, sha256Tree.leaf(leafBytes(i)), path, root)).toBe(true);
      }
    }
  });

  it('verifies for no other leaf, index, root or path', () => {
    const size = 21;
    const tree = grow(size);
    const root = rootFromRange(tree.range, sha256Tree);
    const check = (i: number, n: number, leaf: number, path: Uint8Array[], r = root) =>
      verifyInclusion(sha256Tree, i, n, sha256Tree.leaf(leafBytes(leaf)), path, r);
    for (let i = 0; i < size; i++) {
      const path = inclusionProof(i, size, tree.node, sha256Tree);
      for (let other = 0; other < size; other++) if (other !== i) expect(check(other, size, i, path)).toBe(false);
      expect(check(i, size, i + 1, path)).toBe(false);
      expect(check(i, size, i, path.slice(1))).toBe(false);
      expect(check(i, size, i, path.slice(0, -1))).toBe(false);
      expect(check(i, size, i, [...path, root])).toBe(false);
      expect(check(i, size, i, [root, ...path])).toBe(false);
      expect(check(i, size, i, path, sha256Tree.empty())).toBe(false);
      for (let at = 0; at < path.length; at++) {
        const flipped = path.map((hash, j) => (j === at ? hash.map((byte, k) => (k === at ? byte ^ 1 : byte)) : hash));
        expect(check(i, size, i, flipped)).toBe(false);
      }
    }
  });

  it('refuses what is no hash, no index and no size', () => {
    const hash = sha256Tree.leaf(leafBytes(0));
    const none = new Uint8Array(0);
    expect(verifyInclusion(sha256Tree, 0, 1, none, [], none)).toBe(false);
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [-1, 1],
      [0.5, 1],
      [0, Number.NaN],
      [0, 2 ** 53],
    ] as const) {
      expect(rootOfInclusion(sha256Tree, index, size, hash, [])).toBe(null);
    }
    const tree = grow(3);
    for (const [index, size] of [
      [3, 3],
      [-1, 3],
      [0.5, 3],
      [0, -1],
      [0, 2 ** 53],
    ] as const) {
      expect(() => inclusionProof(index, size, tree.node, sha256Tree)).toThrow(RangeError);
    }
  });

  it('works beyond 32 bits: a sparse tree whose leaves are all alike', () => {
    // In a tree of equal leaves every complete subtree of a level has the same hash.
    const levels = [sha256Tree.leaf(leafBytes(0))];
    for (let level = 1; level <= 53; level++) levels.push(sha256Tree.node(levels[level - 1]!, levels[level - 1]!));
    const node = (level: number) => levels[level]!;
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), (a, b, c) => {
        const size2 = Math.max(a, b, 1);
        const size1 = Math.min(a, b);
        const index = c % size2;
        const root1 = rootAt(size1, node, sha256Tree);
        const root2 = rootAt(size2, node, sha256Tree);
        const path = inclusionProof(index, size2, node, sha256Tree);
        expect(verifyInclusion(sha256Tree, index, size2, levels[0]!, path, root2)).toBe(true);
        const proof = consistencyProof(size1, size2, node, sha256Tree);
        expect(verifyConsistency(sha256Tree, size1, size2, root1, root2, proof)).toBe(size1 > 0);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe('a consistency proof', () => {
  const tree = grow(LARGEST);
  const roots = Array.from({ length: LARGEST + 1 }, (_, size) => rootAt(size, tree.node, sha256Tree));

  it('verifies between all pairs of sizes', () => {
    for (let size2 = 1; size2 <= LARGEST; size2++) {
      for (let size1 = 1; size1 <= size2; size1++) {
        const path = consistencyProof(size1, size2, tree.node, sha256Tree);
        expect(verifyConsistency(sha256Tree, size1, size2, roots[size1]!, roots[size2]!, path)).toBe(true);
      }
    }
  });

  it('verifies for no other sizes, roots or paths', () => {
    for (const [size1, size2] of [
      [1, 2],
      [3, 7],
      [4, 7],
      [6, 8],
      [8, 9],
      [21, 64],
      [64, 70],
    ] as const) {
      const path = consistencyProof(size1, size2, tree.node, sha256Tree);
      const check = (a: number, b: number, proof: Uint8Array[], root1 = roots[size1]!, root2 = roots[size2]!) =>
        verifyConsistency(sha256Tree, a, b, root1, root2, proof);
      expect(check(size1, size2, path)).toBe(true);
      expect(check(size2, size1, path)).toBe(false);
      expect(check(size1, size2, path.slice(1))).toBe(false);
      expect(check(size1, size2, path.slice(0, -1))).toBe(false);
      expect(check(size1, size2, [...path, roots[1]!])).toBe(false);
      expect(check(size1, size2, path, roots[size1 + 1]!)).toBe(false);
      expect(check(size1, size2, path, roots[size1]!, roots[size2 - 1]!)).toBe(false);
      for (let at = 0; at < path.length; at++) {
        const flipped = path.map((hash, j) =>
          j === at ? hash.map((byte, k) => (k === 31 ? byte ^ 0x80 : byte)) : hash,
        );
        expect(check(size1, size2, flipped)).toBe(false);
      }
    }
  });

  it('says nothing about an empty tree, except that it is empty', () => {
    const empty = sha256Tree.empty();
    expect(verifyConsistency(sha256Tree, 0, 0, empty, empty, [])).toBe(true);
    expect(verifyConsistency(sha256Tree, 0, 0, roots[1]!, roots[1]!, [])).toBe(false);
    expect(verifyConsistency(sha256Tree, 0, 0, empty, empty, [empty])).toBe(false);
    expect(verifyConsistency(sha256Tree, 0, 3, empty, roots[3]!, [])).toBe(false);
    expect(consistencyProof(0, 3, tree.node, sha256Tree)).toEqual([]);
    expect(() => consistencyProof(4, 3, tree.node, sha256Tree)).toThrow(RangeError);
  });
});
