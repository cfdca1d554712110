import { createHash } from 'node:crypto';
import { appendLeaf, type CompactRange, emptyRange, type NodeReader, sha256Tree } from '#ledger';

/** A tree in memory: the nodes that a store would keep. */
export interface Grown {
  readonly range: CompactRange;
  readonly leaves: Uint8Array[];
  readonly nodes: Map<string, Uint8Array>;
  readonly node: NodeReader;
}

export const leafBytes = (i: number) => new TextEncoder().encode(`leaf ${i}`);

export function grow(size: number, leaf: (i: number) => Uint8Array = leafBytes): Grown {
  const range = emptyRange();
  const nodes = new Map<string, Uint8Array>();
  const leaves: Uint8Array[] = [];
  for (let i = 0; i < size; i++) {
    leaves.push(leaf(i));
    appendLeaf(range, sha256Tree.leaf(leaf(i)), sha256Tree, (level, index, hash) =>
      nodes.set(`${level}/${index}`, hash),
    );
  }
  const node: NodeReader = (level, index) => {
    const hash = nodes.get(`${level}/${index}`);
    if (hash === undefined) throw new Error(`no node ${level}/${index}`);
    return hash;
  };
  return { range, leaves, nodes, node };
}

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** MTH of RFC 9162 §2.1.1 by its recursion, written without the code under test. */
export function mth(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(new Uint8Array([0]), leaves[0]!);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(new Uint8Array([1]), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
}
