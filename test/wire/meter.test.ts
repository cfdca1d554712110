import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CborValue, decodeCbor, decodeMeter, encodeCbor, encodeMeter } from '#wire';
import { meter, verdictOf } from './parts.ts';

const fields = decodeCbor(encodeMeter(meter)) as readonly CborValue[];
const changed = (at: number, value: CborValue) => encodeCbor(fields.map((one, i) => (i === at ? value : one)));

describe('a meter record', () => {
  it('comes back exactly, up to 2^53 − 1', () => {
    const count = fc.maxSafeNat().map((value) => value + 0);
    const names = fc.array(fc.tuple(fc.string({ unit: 'binary' }), count), { maxLength: 8 }).map((all) => new Map(all));
    fc.assert(
      fc.property(count, count, count, count, fc.integer(), names, (records, samples, bytes, denied, hour, byName) => {
        const one = { ...meter, records, samples, bytes, denied, hour, fields: byName };
        expect(decodeMeter(encodeMeter(one))).toEqual(one);
      }),
      { seed: 53 },
    );
  });

  it('has the same bytes whatever the order in which signals were counted', () => {
    const reversed = { ...meter, fields: new Map([...meter.fields].reverse()) };
    expect(encodeMeter(reversed)).toEqual(encodeMeter(meter));
  });

  it('holds hours of boottime below 0, where UTC is unknown', () => {
    expect(decodeMeter(encodeMeter({ ...meter, hour: -1 })).hour).toBe(-1);
  });

  it.each<[string, number, CborValue]>([
    ['another version', 0, 2],
    ['an agreement that is no text', 1, 1],
    ['an hour that is no number', 5, null],
    ['records below 0', 6, -1],
    ['bytes beyond 53 bits', 8, 2n ** 60n],
    ['fields that are no map', 10, []],
    ['a field that is no text', 10, new Map([[1, 1]])],
    ['a count below 0', 10, new Map([['a', -1]])],
  ])('with %s is refused', async (_what, at, value) => {
    expect(await verdictOf(() => decodeMeter(changed(at, value)))).toBe('TG_WIRE_MALFORMED');
  });
});
