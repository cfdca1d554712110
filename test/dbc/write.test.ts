import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Database, type Message, type Signal, writeDatabase } from '#dbc';
import { load, meaning, WHOLE } from './texts.ts';

const OWN = readFileSync(new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url), 'utf8');

const word = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((value) => value.replace(/[\\\r]/g, ''));
const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());

/** Signals with distinct names; a multiplexed one depends on an earlier one, in any depth. */
const signals: fc.Arbitrary<Signal[]> = fc
  .uniqueArray(
    fc.record({
      name: word,
      start: fc.nat(511),
      length: fc.integer({ min: 1, max: 64 }),
      byteOrder: fc.constantFrom('intel' as const, 'motorola' as const),
      signed: fc.boolean(),
      isFloat: fc.boolean(),
      factor: number,
      offset: number,
      minimum: number,
      maximum: number,
      unit: text,
      parent: fc.option(fc.nat(), { nil: null }),
      ranges: fc.array(fc.tuple(fc.nat(300), fc.nat(9)), { minLength: 1, maxLength: 3 }),
      labels: fc.array(fc.record({ value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }), text }), { maxLength: 3 }),
      comment: text,
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  )
  .map((parts) => {
    const parents = parts.map(({ parent }, i) => (parent === null || i === 0 ? null : parts[parent % i]!.name));
    return parts.map(({ parent: _, ranges, isFloat, ...rest }, i): Signal => {
      const floats = { 32: 'float32', 64: 'float64' } as const;
      return {
        ...rest,
        valueType: isFloat ? (floats[rest.length as 32 | 64] ?? 'integer') : 'integer',
        receivers: [],
        isMultiplexer: parents.includes(rest.name),
        multiplexer: parents[i]!,
        multiplexRanges: parents[i] === null ? [] : ranges.map(([low, more]) => ({ low, high: low + more })),
        attributes: new Map(),
        line: 1,
      };
    });
  });

const databases: fc.Arbitrary<Database> = fc
  .uniqueArray(
    fc.record({ name: word, id: fc.nat(0x7ff), extended: fc.boolean(), length: fc.nat(64), signals, comment: text }),
    { selector: ({ id, extended }) => `${id} ${extended}`, maxLength: 4 },
  )
  .map((messages) => ({
    file: 'car.dbc',
    version: '',
    nodes: [],
    messages: messages.map(
      (message): Message => ({
        ...message,
        fd: message.length > 8,
        senders: [],
        groups: [],
        attributes: new Map(),
        j1939: false,
        line: 1,
      }),
    ),
    valueTables: new Map(),
    comment: '',
    attributes: new Map(),
  }));

describe('a database that is written', () => {
  it.each([
    ['the whole language', WHOLE],
    ['our own vehicle', OWN],
  ])('reads back as the same model: %s', (_, source) => {
    const { database } = load(source);
    const again = load(writeDatabase(database));
    expect(again.findings).toEqual([]);
    expect(meaning(again.database)).toEqual(meaning(database));
  });

  it('is written the same way again', () => {
    const once = writeDatabase(load(WHOLE).database);
    expect(writeDatabase(load(once).database)).toBe(once);
  });

  it('reads back as the same model whatever it holds', () => {
    fc.assert(
      fc.property(databases, (database) => {
        const { extras: _, ...again } = load(writeDatabase(database)).database;
        expect(meaning(again)).toEqual(meaning(database));
      }),
      { numRuns: 300, seed: 5 },
    );
  });

  it('differs when one signal does', () => {
    const changed = WHOLE.replace('(0.1,-5)', '(0.1,-6)');
    expect(meaning(load(changed).database)).not.toEqual(meaning(load(WHOLE).database));
    expect(writeDatabase(load(changed).database)).not.toBe(writeDatabase(load(WHOLE).database));
  });
});

describe('a database that no file defined', () => {
  const { extras: _, ...plain } = load(WHOLE).database;

  it('is written with definitions for its attributes and flags', () => {
    const again = load(writeDatabase(plain));
    expect(again.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(again.database.messages.map(({ name, symbol, fd, j1939 }) => [name, symbol, fd, j1939])).toEqual(
      plain.messages.map(({ name, symbol, fd, j1939 }) => [name, symbol, fd, j1939]),
    );
  });

  it('says by VFrameFormat that a short message is CAN FD', () => {
    const message = { ...plain.messages[0]!, attributes: new Map(), fd: true, length: 8 };
    const again = load(writeDatabase({ ...plain, messages: [message] }));
    expect(again.database.messages[0]).toMatchObject({ fd: true, length: 8 });
  });
});
