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
    const bare = encodeProof({ ...proof, consistency: null });
    expect(bare.at(-1)).toBe(0xf6);
  });

  it('costs 32 bytes a hash', () => {
    const longer = { ...proof, path: [...proof.path, hash] };
    expect(encodeProof(longer).length - encodeProof(proof).length).toBe(32);
  });

  it('carries its checkpoint in about half of what the text takes', () => {
    const text = Buffer.byteLength(proof.checkpoint);
    expect(encodeCbor(fields[1]!).length).toBeLessThan(text * 0.6);
  });

  it.each([
    ['two signatures', `${proof.checkpoint}— witness AAAAAAAAAAAAAAAAAAAA\n`],
    ['another name', proof.checkpoint.replaceAll('tollgate/', 'other/')],
    ['two names', proof.checkpoint.replace('tollgate/00', 'tollgate/ff')],
    ['a line more', proof.checkpoint.replace('\n\n', '\nmore\n\n')],
    ['a size with a zero before it', proof.checkpoint.replace('\n5\n', '\n05\n')],
    ['a size beyond 53 bits', proof.checkpoint.replace('\n5\n', '\n9999999999999999\n')],
    ['base64 that is not the usual one', proof.checkpoint.replace(/=\n\n/, 'B\n\n')],
    ['nothing', ''],
  ])('carries a checkpoint with %s as text, to the byte', (_what, checkpoint) => {
    const bytes = encodeProof({ ...proof, checkpoint });
    expect((decodeCbor(bytes) as CborValue[])[1]).toBe(checkpoint);
    expect(decodeProof(bytes).checkpoint).toBe(checkpoint);
  });

  it.each<[string, number, CborValue]>([
    ['another version', 0, 2],
    ['a checkpoint of bytes', 1, hash],
    ['a seq below 0', 2, -1],
    ['a seq beyond 53 bits', 2, 2n ** 53n],
    ['a leaf index that is no number', 3, '4'],
    ['a checkpoint as text that has a short form', 1, proof.checkpoint],
    ['a checkpoint without a signature', 1, [hash.subarray(24), 5, hash]],
    ['a checkpoint of a short name', 1, [hash.subarray(25), 5, hash, new Uint8Array(68)]],
    ['a checkpoint of a short root', 1, [hash.subarray(24), 5, hash.subarray(1), new Uint8Array(68)]],
    ['a checkpoint of a long signature', 1, [hash.subarray(24), 5, hash, new Uint8Array(77)]],
    ['a checkpoint of a negative size', 1, [hash.subarray(24), -5, hash, new Uint8Array(68)]],
    ['a path of hashes apart', 4, [hash]],
    ['a short hash', 4, hash.subarray(1)],
    ['a long hash', 4, new Uint8Array(33)],
    ['an evicted record without its hash', 5, [[3]]],
    ['an evicted record with more', 5, [[3, hash, hash]]],
    ['an evicted record of a short hash', 5, [[3, hash.subarray(1)]]],
    ['growth from nothing', 6, [0, hash]],
    ['growth from a size below 0', 6, [-1, hash]],
    ['growth without nodes', 6, [3]],
    ['growth with a short node', 6, [3, hash.subarray(1)]],
    ['growth that is undefined', 6, undefined],
  ])('with %s is refused', async (_what, at, value) => {
    expect(await verdictOf(() => decodeProof(changed(at, value)))).toBe('TG_WIRE_MALFORMED');
  });
});
