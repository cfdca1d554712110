import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { bodyHash, chainNext, chainStart, nodeCrypto, readLeaf, sha256Tree } from '#ledger';
import * as wire from '#wire/leaf';
import { BOOT, cbor, leafOf, recordLeaves, streamId } from './logs.ts';

const errorOf = (bytes: Uint8Array): string => {
  try {
    readLeaf(bytes);
    return '';
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    return `${error.code} ${error.message}`;
  }
};

describe('a leaf', () => {
  it('of a record says which record of which stream it stands for', () => {
    const leaf = readLeaf(recordLeaves(3)[2]!);
    expect(leaf).toMatchObject({ kind: 1, boottimeMs: 2000, utcMs: 1_700_000_002_000 });
    expect([...leaf.bootId]).toEqual([...BOOT]);
    expect([...leaf.record!.stream]).toEqual([...streamId(1)]);
    expect(leaf.record!.seq).toBe(1);
  });

  it('of another kind may carry anything in its last item', () => {
    const body = new Uint8Array(32);
    expect(readLeaf(leafOf(6, 5, -1, body, cbor.array(cbor.int(1))))).toMatchObject({
      kind: 6,
      utcMs: -1,
      record: null,
    });
  });

  it('reads integers of every length up to 2^53 − 1', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.option(fc.maxSafeInteger()), (boottime, utc) => {
        const leaf = readLeaf(leafOf(0, boottime, utc, new Uint8Array(32), cbor.array()));
        expect(leaf).toMatchObject({ boottimeMs: boottime, utcMs: utc });
      }),
      { seed: 2 },
    );
  });

  it('reads and hashes as `wire/` writes and hashes it', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const link = fc.record({
      bootId: bytes(8),
      boottimeMs: fc.maxSafeNat(),
      utcMs: fc.option(fc.maxSafeInteger()),
      bodyHash: bytes(32),
      stream: bytes(8),
      seq: fc.maxSafeNat(),
      agreementTag: bytes(8),
      chain: bytes(32),
    });
    const { sha256 } = nodeCrypto;
    const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
    fc.assert(
      fc.property(link, ({ stream, seq, agreementTag, chain, ...rest }) => {
        const leaf = wire.recordLeaf({ ...rest, stream, seq, agreementTag, chain });
        expect(readLeaf(leaf)).toEqual({
          ...rest,
          kind: wire.LEAF_RECORD,
          record: { stream, seq, agreementTag, chain },
        });
        expect(hex(sha256Tree.leaf(leaf))).toBe(hex(wire.leafHash(leaf)));
        expect(hex(bodyHash(stream, chain, sha256))).toBe(hex(wire.bodyHash(stream, chain)));
        expect(hex(chainStart(stream, sha256))).toBe(hex(wire.chainStart(stream)));
        expect(hex(chainNext(chain, rest.bodyHash, sha256))).toBe(hex(wire.nextChain(chain, rest.bodyHash)));
      }),
      { seed: 4 },
    );
    const time = { bootId: BOOT, boottimeMs: 1, utcMs: null };
    expect(readLeaf(wire.bootLeaf(time, '0.1.0'))).toMatchObject({ kind: wire.LEAF_BOOT, record: null, utcMs: null });
  });

  it('is refused with the byte when it is not the deterministic CBOR of a leaf', () => {
    const good = recordLeaves(2)[1]!;
    const hex = Buffer.from(good).toString('hex');
    const change = (from: string, to: string) => Buffer.from(hex.replace(from, to), 'hex');
    expect(errorOf(new Uint8Array(0))).toContain('byte 0: a leaf is an array of 7: the leaf ends here');
    expect(errorOf(change('8701', '8801'))).toContain('byte 0: a leaf is an array of 7');
    expect(errorOf(change('8701', '8702'))).toContain('byte 1: the version of a leaf is 1');
    expect(errorOf(change('870101', '87011801'))).toContain('byte 2: kind: not the shortest form');
    expect(errorOf(change('870101', '87011f01'))).toContain('byte 2: kind: not a definite length');
    expect(errorOf(change('48b0', '47b0'))).toContain('byte 3: boot id: not 8 bytes');
    expect(errorOf(change('5820', '7820'))).toContain('body hash: major type 3, not 2');
    expect(errorOf(Buffer.concat([good, Buffer.from([0])]))).toContain('bytes follow the leaf');
    expect(errorOf(leafOf(6, 1, null, new Uint8Array(32), new Uint8Array(0)))).toContain('the last item is missing');
    expect(errorOf(leafOf(6, 2 ** 53, null, new Uint8Array(32), cbor.nil))).toContain('too large');
  });

  it('cut or with any bit changed never ends in another error than a typed one', () => {
    const good = recordLeaves(2)[1]!;
    for (let length = 0; length < good.length; length++)
      expect(errorOf(good.subarray(0, length))).toContain('TG_LEDGER_LEAF');
    for (let bit = 0; bit < good.length * 8; bit++) {
      errorOf(good.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)));
    }
  });
});
