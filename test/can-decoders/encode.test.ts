import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import type { Database } from '#dbc/model';
import { createDecoder, createEncoder, exact, isShort, messageOf, overlaps, signalInfos } from '#decoders';
import { batchOf, database, databases, message, numbersAt, signal } from './databases.ts';

const db = database(
  message({
    name: 'Engine',
    id: 0x200,
    signals: [
      signal({ name: 'speed', length: 16, factor: 0.25, minimum: 0, maximum: 8000 }),
      signal({ name: 'torque', start: 23, length: 12, byteOrder: 'motorola', signed: true, factor: 0.5, offset: -10 }),
      signal({
        name: 'gear',
        start: 24,
        length: 3,
        labels: [
          { value: 0n, text: 'Neutral' },
          { value: 7n, text: 'Reverse' },
        ],
      }),
      signal({ name: 'mode', start: 32, isMultiplexer: true }),
      signal({
        name: 'temperature',
        start: 40,
        signed: true,
        multiplexer: 'mode',
        multiplexRanges: [{ low: 1, high: 2 }],
      }),
      signal({ name: 'counter', start: 40, length: 16, multiplexer: 'mode', multiplexRanges: [{ low: 3, high: 3 }] }),
    ],
  }),
  message({ name: 'Wide', id: 0x201, signals: [signal({ name: 'serial', length: 64 })] }),
);
const { encode } = createEncoder(db);
const common = { speed: 1000.25, torque: -12.5, gear: 'Reverse', mode: 1 };

describe('an encoded frame', () => {
  it('has each value at its place and zeros everywhere else', () => {
    const { id, data, fd } = encode('Engine', { ...common, temperature: -2 });
    expect({ id, fd }).toEqual({ id: 0x200, fd: false });
    // speed 4001 = 0fa1; torque (−12.5 + 10) / 0.5 = −5 = ffb; gear 7; mode 1; temperature −2
    expect(Buffer.from(data).toString('hex')).toBe('a10fffb701fe0000');
  });

  it('takes raw integers, labels and integers beyond 2^53', () => {
    expect([
      ...encode('Engine', { speed: 4001, torque: 0, gear: 0, mode: 3, counter: 0x1234 }, { raw: true }).data,
    ]).toEqual([0xa1, 0x0f, 0, 0, 3, 0x34, 0x12, 0]);
    expect(Buffer.from(encode('Wide', { serial: '18446744073709551614' }).data).toString('hex')).toBe(
      'feffffffffffffff',
    );
    expect(Buffer.from(encode('Wide', { serial: 2n ** 60n + 1n }).data).toString('hex')).toBe('0100000000000010');
  });

  it('rounds to the nearest integer, ties to even', () => {
    const raws = [0.125, 0.375, 0.3, 0.25].map(
      (speed) => encode('Engine', { ...common, speed, temperature: 0 }).data[0],
    );
    expect(raws).toEqual([0, 2, 1, 1]);
  });

  it('writes one NaN, whatever bits a NaN carries', () => {
    const floats = database(
      message({
        name: 'F',
        length: 12,
        signals: [
          signal({ name: 'f', length: 32, valueType: 'float32' }),
          signal({ name: 'd', start: 32, length: 64, valueType: 'float64' }),
        ],
      }),
    );
    const odd = new DataView(Uint8Array.of(0xff, 0xf8, 0, 0, 0, 0, 0, 1).buffer).getFloat64(0);
    const frame = createEncoder(floats).encode('F', { f: odd, d: odd });
    expect(Buffer.from(frame.data).toString('hex')).toBe('0000c07f000000000000f87f');
    expect(createEncoder(floats).encode('F', { f: 'NaN', d: 'NaN' }).data).toEqual(frame.data);
  });

  it('may leave signals at zero', () => {
    expect([...encode('Engine', { mode: 9 }, { raw: true, missing: 'zero' }).data]).toEqual([0, 0, 0, 0, 9, 0, 0, 0]);
  });
});

describe('a value that cannot be encoded', () => {
  const refused = (values: Record<string, number | string>, options = {}) => {
    try {
      encode('Engine', values, options);
    } catch (error) {
      expect(error).toBeInstanceOf(TollgateError);
      const { code, message: text, remedy } = error as TollgateError;
      return `${code} ${text} | ${remedy}`;
    }
    return 'encoded';
  };

  it('names the signal and the range that it has', () => {
    expect(refused({ ...common, temperature: 128 })).toContain(
      'TG_ENCODE_RANGE Engine.temperature has 8 bits, raw -128 to 127',
    );
    expect(refused({ ...common, temperature: 0, torque: Number.NaN })).toContain(
      'Engine.torque takes finite numbers only',
    );
    expect(refused({ ...common, temperature: 0, speed: 9000 }, { limits: true })).toContain(
      'Engine.speed lies between 0 and 8000',
    );
    expect(refused({ ...common, temperature: 0, speed: 9000 })).toBe('encoded');
  });

  it('is named when it is missing, unknown or excluded by its multiplexer', () => {
    expect(refused(common)).toContain('TG_ENCODE_MISSING Engine.temperature has no value');
    expect(refused({ ...common, temperature: 0, sped: 1 })).toContain(
      'TG_ENCODE_SIGNAL Engine has no signal sped | Did you mean speed?',
    );
    expect(refused({ ...common, temperature: 0, counter: 1 })).toContain(
      'Engine.counter is not there for this value of mode',
    );
    expect(() => encode('Engin', {})).toThrow('there is no message Engin');
  });
});

describe('signals that share bits', () => {
  const twice = database(
    message({ name: 'Twice', signals: [signal({ name: 'a', length: 8 }), signal({ name: 'b', start: 4, length: 8 })] }),
  );

  it('are named', () => {
    expect(overlaps(twice.messages[0]!).map(([a, b]) => [a.name, b.name])).toEqual([['a', 'b']]);
    expect(overlaps(db.messages[0]!)).toEqual([]);
  });

  it('are encoded where they agree', () => {
    const { encode: both } = createEncoder(twice);
    expect([...both('Twice', { a: 0xf1, b: 0x2f }).data.subarray(0, 2)]).toEqual([0xf1, 0x02]);
    expect(() => both('Twice', { a: 0, b: 0xff })).toThrow('contradicts a signal that shares its bits');
  });
});

/** Physical values of the first frame of a message, and the bits that its signals cover. */
function decodeOne(any: Database, id: number, data: Uint8Array) {
  const decoder = createDecoder({ channel: 0, database: any, signals: signalInfos(any) });
  const { u32 } = decoder.decode(batchOf([{ id, data }]));
  const layout = decoder.layout.messages[messageOf(u32, 0)]!;
  const values: Record<string, number | bigint> = {};
  for (const cell of layout.signals) {
    const numbers = numbersAt(u32, 0, layout, cell);
    if (numbers !== null) values[cell.signal.signal] = exact(cell.signal, ...numbers);
  }
  return { message: layout.name, values, short: isShort(u32, 0) };
}

describe('encode → decode → encode', () => {
  it('gives the same values and the same bytes for any database and payload', () => {
    const cases = databases.chain((any) =>
      fc.record({
        any: fc.constant({
          ...any,
          // Signals beyond the end of the message cannot be encoded.
          messages: any.messages.map((one) => ({ ...one, length: 64 })),
        }),
        pick: fc.nat(any.messages.length - 1),
        data: fc
          .uint8Array({ minLength: 64, maxLength: 64 })
          .map((data) => data.map((byte, i) => (i % 3 === 0 ? byte & 7 : byte))),
      }),
    );
    fc.assert(
      fc.property(cases, ({ any, pick, data }) => {
        const info = signalInfos(any).find(({ message: name }) => name === any.messages[pick]!.name)!;
        const before = decodeOne(any, info.id, data);
        // A NaN loses its payload bits on the way through a double.
        fc.pre(!before.short && !Object.values(before.values).some(Number.isNaN));
        const frame = createEncoder(any).encode(before.message, before.values);
        const after = decodeOne(any, frame.id, frame.data);
        expect(after.values).toEqual(before.values);
        expect(createEncoder(any).encode(after.message, after.values).data).toEqual(frame.data);
      }),
      { numRuns: 300, seed: 20261125 },
    );
  });
});
