import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { ByteReader, ByteWriter } from '../../agent/store/bytes.ts';
import { packLeaves, unpackLeaves } from '../../agent/store/leaf-blocks.ts';
import { packRows, Rows, unpackRows } from '../../agent/store/segment.ts';
import { STATE_GONE, STATE_PUBACKED } from '../../agent/store/tables.ts';
import { bootLeaf, TestStream } from './store-parts.ts';

/** Leaves of some streams in any order, with others between. */
const mixed = fc.array(fc.nat(5), { maxLength: 60 }).map((order) => {
  const streams = Array.from({ length: 4 }, (_, i) => new TestStream(`s${i}`));
  return order.map((which, at) => (which > 3 ? bootLeaf(at) : streams[which]!.record().leaf));
});

describe('leaves in a block', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(mixed, (leaves) => {
        expect(unpackLeaves(packLeaves(leaves), leaves.length)).toEqual(leaves.map((leaf) => new Uint8Array(leaf)));
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it('take less than half of their bytes where they are records of a stream', () => {
    const stream = new TestStream('s');
    const leaves = Array.from({ length: 100 }, () => stream.record().leaf);
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, 0);
    expect(packLeaves(leaves).length).toBeLessThan(bytes / 2);
  });

  it('keep a leaf whose chain is not the one that follows as it is', () => {
    const stream = new TestStream('s');
    const leaves = [stream.record().leaf, stream.record().leaf].map((leaf) => new Uint8Array(leaf));
    leaves[1]![leaves[1]!.length - 1]! ^= 1;
    expect(unpackLeaves(packLeaves(leaves), 2)).toEqual(leaves);
  });

  it('are refused or read where the block is damaged, never more', () => {
    const stream = new TestStream('s');
    const leaves = [bootLeaf(), ...Array.from({ length: 20 }, () => stream.record().leaf)];
    const block = packLeaves(leaves);
    const damage = fc.record({ at: fc.nat(block.length - 1), to: fc.nat(255), length: fc.nat(block.length) });
    fc.assert(
      fc.property(damage, ({ at, to, length }) => {
        const changed = block.slice(0, to % 2 === 0 ? block.length : length);
        if (at < changed.length) changed[at] = to;
        try {
          expect(unpackLeaves(changed, leaves.length)).toHaveLength(leaves.length);
        } catch (error) {
          expect(error instanceof RangeError || error instanceof TollgateError).toBe(true);
        }
      }),
      { numRuns: 2_000, seed: 2 },
    );
  });
});

describe('rows in a run', () => {
  const row = fc.record({
    lane: fc.nat(200),
    stream: fc.nat(1_000),
    seq: fc.integer({ min: -1, max: 2 ** 32 - 2 }),
    leaf: fc.integer({ min: -1, max: 2 ** 40 }),
    size: fc.integer({ min: 1, max: 200_000 }),
    state: fc.constantFrom(0, STATE_PUBACKED, STATE_GONE),
  });

  it('come out as they went in; what is gone has no bytes', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 80 }), (list) => {
        const rows = new Rows(1);
        for (const { lane, stream, seq, leaf, size, state } of list) {
          const at = rows.add(lane, stream, seq, leaf, size);
          rows.state[at] = state;
        }
        const read = unpackRows(packRows(rows), rows.state.slice(0, rows.count));
        expect(read.count).toBe(list.length);
        for (const [i, { lane, stream, seq, leaf, size, state }] of list.entries()) {
          const found = [read.lane[i], read.stream[i], read.seq[i], read.leaf[i], read.size[i], read.state[i]];
          expect(found).toEqual([lane, stream, seq, leaf, state === STATE_GONE ? 0 : size, state]);
        }
      }),
      { numRuns: 50, seed: 3 },
    );
  });

  it('end with an error where bytes are missing', () => {
    const rows = new Rows(1);
    rows.add(300, 300, 300, 300, 300);
    const packed = packRows(rows);
    for (let end = 1; end < packed.length; end++)
      expect(() => unpackRows(packed.slice(0, end), null)).toThrow(RangeError);
  });
});

describe('a number in a blob', () => {
  it('is exact up to 2^53', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(new ByteReader(new ByteWriter().varint(value).view()).varint()).toBe(value);
      }),
      { seed: 4 },
    );
  });
});
