import { describe, expect, it } from 'vitest';
import { type CborValue, decodeCbor, decodeProof, encodeCbor, encodeProof } from '#wire';
import { proof, verdictOf } from './parts.ts';

const fields = decodeCbor(encodeProof(proof)) as readonly CborValue[];
const changed = (at: number, value: CborValue) => encodeCbor(fields.map((one, i) => (i === at ? value : one)));
const hash = new Uint8Array(32);

describe('a proof', () => {
  it('comes back as it went, also without path and evicted records', () => {
    expect(decodeProof(encodeProof(proof))).toEqual(proof);
    const alone = { ...proof, path: [], evicted: [], consistency: null };
    expect(decodeProof(encodeProof(alone))).toEqual(alone);
  });

  it('costs one byte where it shows no growth', () => {
    const { length } = encodeProof({ ...proof, consistency: { fromSize: 3, nodes: [] } });
    expect(length - encodeProof({ ...proof, consistency: null }).length).toBe(2);
    expect(fields).toHaveLength(7);
  });

  it('costs 34 bytes a hash', () => {
    const longer = { ...proof, path: [...proof.path, hash] };
    expect(encodeProof(longer).length - encodeProof(proof).length).toBe(34);
  });

  it.each<[string, number, CborValue]>([
    ['another version', 0, 2],
    ['a checkpoint of bytes', 1, hash],
    ['a seq below 0', 2, -1],
    ['a seq beyond 53 bits', 2, 2n ** 53n],
    ['a leaf index that is no number', 3, '4'],
    ['a path that is no array', 4, hash],
    ['a short hash', 4, [hash.subarray(1)]],
    ['a long hash', 4, [new Uint8Array(33)]],
    ['an evicted record without its hash', 5, [[3]]],
    ['an evicted record with more', 5, [[3, hash, hash]]],
    ['an evicted record of a short hash', 5, [[3, hash.subarray(1)]]],
    ['growth from nothing', 6, [0, [hash]]],
    ['growth from a size below 0', 6, [-1, [hash]]],
    ['growth without nodes', 6, [3]],
    ['growth with a short node', 6, [3, [hash.subarray(1)]]],
    ['growth that is undefined', 6, undefined],
  ])('with %s is refused', async (_what, at, value) => {
    expect(await verdictOf(() => decodeProof(changed(at, value)))).toBe('TG_WIRE_MALFORMED');
  });
});
