import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CborFloat,
  type CborValue,
  decodeCbor,
  decodeSchema,
  encodeCbor,
  encodeSchema,
  NO_TIMING,
  schemaHash,
  sha256,
} from '#wire';
import { column, schema, verdictOf } from './parts.ts';

const encoded = encodeSchema(schema);
const fields = decodeCbor(encoded) as readonly CborValue[];
const columnFields = ((fields[3] as CborValue[][])[0]![1] as CborValue[][])[0]!;
/** The schema with one column, one field of it changed. */
const withColumn = (at: number, value: CborValue) =>
  encodeCbor([...fields.slice(0, 3), [[1000, [columnFields.map((one, i) => (i === at ? value : one))]]], null]);

describe('a schema', () => {
  it('comes back to the last bit of its four numbers', () => {
    const number = fc.double({ noNaN: true });
    fc.assert(
      fc.property(number, number, number, number, (f, o, factor, offset) => {
        const one = { ...schema, groups: [{ windowMs: 0, columns: [{ ...column, f, o, factor, offset }] }] };
        expect(decodeSchema(encodeSchema(one))).toEqual(one);
      }),
      { seed: 754 },
    );
  });

  it('comes back with every result and type, and with an unknown UTC', () => {
    const results = ['raw', 'min', 'max', 'mean', 'count', 'last', 'sum', 'cell'] as const;
    const types = ['int', 'wide', 'float32', 'float64'] as const;
    const columns = results.map((result, i) => ({ ...column, result, type: types[i % 4]!, signed: i % 2 === 0 }));
    const one = {
      ...schema,
      utcOffsetMs: null,
      utcErrorMs: null,
      groups: [
        { windowMs: 5, columns },
        { windowMs: 0, columns: [] },
      ],
    };
    expect(decodeSchema(encodeSchema(one))).toEqual(one);
  });

  it('comes back with its timing, and the usual one has one form', () => {
    for (const timing of [
      { ticksPerMs: 10, baseMs: 0, stepMs: 0 },
      { ticksPerMs: 1, baseMs: 3_600_000, stepMs: 1_000 },
    ] as const)
      expect(decodeSchema(encodeSchema({ ...schema, timing }))).toEqual({ ...schema, timing });
    expect(encodeSchema({ ...schema, timing: NO_TIMING })).toEqual(encoded);
    expect(decodeSchema(encoded).timing).toBeUndefined();
  });

  it.each<[string, CborValue]>([
    ['two ticks a ms', [2, 0, 0]],
    ['a negative base', [10, -1, 0]],
    ['a negative step', [10, 0, -1]],
    ['two numbers', [10, 0]],
    ['the usual numbers', [1, 0, 0]],
    ['nothing', undefined],
  ])('with a timing of %s is refused', async (_what, timing) => {
    const bytes = encodeCbor([...fields.slice(0, 4), timing]);
    expect(await verdictOf(() => decodeSchema(bytes))).toBe('TG_WIRE_MALFORMED');
  });

  it('has one hash, that of its bytes', () => {
    expect(schemaHash(encodeSchema(decodeSchema(encoded)))).toEqual(sha256(encoded));
  });

  it.each<[string, number, CborValue]>([
    ['a signal that is no text', 0, 1],
    ['an unknown result', 1, 10],
    ['a result below 0', 1, -1],
    ['a whole number in place of a float', 3, 1],
    ['an unknown type', 7, 4],
    ['a sign that is neither true nor false', 8, 1],
  ])('with %s is refused', async (_what, at, value) => {
    expect(await verdictOf(() => decodeSchema(withColumn(at, value)))).toBe('TG_WIRE_MALFORMED');
    expect(await verdictOf(() => decodeSchema(withColumn(3, new CborFloat(1))))).toBe('accepted');
  });

  it('with more columns than a record can hold is refused', async () => {
    const many = (count: number) => ({ ...schema, groups: [{ windowMs: 0, columns: Array(count).fill(column) }] });
    expect(await verdictOf(() => decodeSchema(encodeSchema(many(4096))))).toBe('accepted');
    expect(await verdictOf(() => decodeSchema(encodeSchema(many(4097))))).toBe('TG_WIRE_MALFORMED');
  });
});
