import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CborValue, encodeCbor } from '#wire';
import { encodeOuter, packRecord, unpackRecord } from '#wire/columns/outer';
import { verdictOf } from './parts.ts';

const hash = Uint8Array.from({ length: 32 }, (_, i) => i);
const timing = { ticksPerMs: 1, baseMs: 60_000, stepMs: 1_000 } as const;
const MALFORMED = 'TG_WIRE_RECORD_MALFORMED';

describe('a packed record', () => {
  it('comes back to the byte, whenever it starts and whatever is partial', () => {
    const groups = fc.uniqueArray(fc.nat(4095), { maxLength: 5 }).map((some) => some.sort((a, b) => a - b));
    const any = fc.tuple(fc.nat(2 ** 20), fc.nat(2 ** 31), fc.uint8Array({ maxLength: 60 }), groups);
    fc.assert(
      fc.property(any, ([seq, t0Ms, columns, partial]) => {
        const record = encodeOuter({ schemaHash8: hash.subarray(0, 8), t0Ms, columns, partial });
        for (const where of [timing, undefined])
          expect(unpackRecord(packRecord(record, seq, hash, where), seq, hash, where)).toEqual(record);
      }),
      { seed: 8 },
    );
  });

  it('takes one byte beside its columns where it starts within 24 ms of when it is expected', () => {
    for (const late of [-24, -1, 0, 23]) {
      const record = encodeOuter({
        schemaHash8: hash.subarray(0, 8),
        t0Ms: 67_000 + late,
        columns: new Uint8Array(9),
        partial: [],
      });
      expect(packRecord(record, 7, hash, timing).length).toBe(10);
    }
  });

  const packed = (head: CborValue) => Buffer.concat([encodeCbor(head), new Uint8Array(3)]);
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a text for its start', packed('x')],
    ['an empty list', packed([])],
    ['a list of one', packed([0])],
    ['groups that fall', packed([0, 2, 1])],
    ['a group twice', packed([0, 1, 1])],
    ['a group below 0', packed([0, -1])],
    ['a start before 0', packed(-60_001)],
    ['a start beyond 53 bits', packed(Number.MAX_SAFE_INTEGER)],
    ['a start in a longer form', Uint8Array.of(0x18, 5, 0)],
  ])('with %s is refused', async (_what, bytes) => {
    expect(await verdictOf(() => unpackRecord(bytes, 0, hash, timing))).toBe(MALFORMED);
    expect(await verdictOf(() => unpackRecord(packed(0), 0, hash, timing))).toBe('accepted');
  });

  it('has no number that its session cannot tell a start for', async () => {
    const far = { ...timing, stepMs: 2 ** 52 };
    expect(await verdictOf(() => unpackRecord(packed(0), 3, hash, far))).toBe(MALFORMED);
  });
});
