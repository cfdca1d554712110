import type { IdMask } from '#contracts';

/**
 * A set of ids without another one, both as pairs of id and mask: the pairs that are left are apart from each other. Each pair
 * that is cut out costs at most one pair for each bit that it fixes and the pair around it does not.
 */
export function without(pairs: readonly IdMask[], taken: readonly IdMask[]): IdMask[] {
  return taken.reduce<IdMask[]>((left, one) => left.flatMap((pair) => cut(pair, one)), [...pairs]);
}

function cut(pair: IdMask, taken: IdMask): IdMask[] {
  if (((pair.id ^ taken.id) & pair.mask & taken.mask) !== 0) return [pair];
  const left: IdMask[] = [];
  let { id, mask } = pair;
  // Bit by bit: the half that differs from what is taken stays, the other half is cut further; its last rest is what is taken.
  for (let free = taken.mask & ~pair.mask; free !== 0; free &= free - 1) {
    const bit = free & -free;
    mask |= bit;
    left.push({ id: (id & ~bit) | (~taken.id & bit), mask });
    id = (id & ~bit) | (taken.id & bit);
  }
  return left;
}
