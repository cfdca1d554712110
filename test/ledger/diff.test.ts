import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffLedgers } from '#ledger';
import { grow, leafBytes } from './trees.ts';

const of = (size: number, leaf: (i: number) => Uint8Array = leafBytes, prunedBelow = 0) => {
  const tree = grow(size, leaf);
  return { size, prunedBelow, leaf: (i: number) => (i < prunedBelow ? null : tree.leaves[i]!), node: tree.node };
};
const changedAt = (at: number) => (i: number) => leafBytes(i === at ? 1000 : i);

describe('two copies of a ledger', () => {
  it('are the same, or one is a beginning of the other', () => {
    expect(diffLedgers(of(9), of(9))).toMatchObject({ relation: 'same', common: 9, firstDifferent: null });
    expect(diffLedgers(of(5), of(9))).toMatchObject({ relation: 'behind', common: 5 });
    expect(diffLedgers(of(9), of(0))).toMatchObject({ relation: 'ahead', common: 0 });
  });

  it('part at one leaf, and it is named', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(39), fc.nat(10), (size, at, more) => {
        fc.pre(at < size);
        const diff = diffLedgers(of(size), of(size + more, changedAt(at)));
        expect(diff).toMatchObject({ relation: 'forked', common: at, firstDifferent: at });
      }),
    );
  });

  it('are compared by the subtrees of what one of them pruned', () => {
    expect(diffLedgers(of(20, leafBytes, 12), of(20))).toMatchObject({ relation: 'same', comparedFrom: 12 });
    expect(diffLedgers(of(20, leafBytes, 12), of(20, changedAt(3)))).toMatchObject({ relation: 'forked' });
    expect(diffLedgers(of(20, leafBytes, 12), of(8))).toMatchObject({ relation: 'apart' });
  });

  it('are compared by their leaves where one has them, whatever hashes it keeps for them', () => {
    const tampered = { ...of(20), leaf: of(20, changedAt(3)).leaf };
    expect(diffLedgers(tampered, of(20, leafBytes, 12))).toMatchObject({ relation: 'forked' });
    expect(diffLedgers(of(20, leafBytes, 12), tampered)).toMatchObject({ relation: 'forked' });
    expect(diffLedgers(of(20, leafBytes, 4), of(20, leafBytes, 12))).toMatchObject({ relation: 'same' });
  });

  it('are not called forked where one of them lost a leaf or a hash', () => {
    const whole = of(20);
    const lost = { ...whole, leaf: (i: number) => (i === 15 ? null : whole.leaf(i)) };
    expect(diffLedgers(lost, whole)).toMatchObject({ relation: 'apart', common: 15 });
    const pruned = { ...of(20, leafBytes, 12), node: () => null };
    expect(diffLedgers(pruned, whole)).toMatchObject({ relation: 'apart', common: 0 });
  });
});
