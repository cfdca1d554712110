import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Database, loadDatabase, writeDatabase } from '#dbc';
import {
  createDecoder,
  createEncoder,
  idWord,
  messageOf,
  physical,
  RowReader,
  rawBigInt,
  signalInfos,
} from '#decoders';
import { batchOf, databases, numbersAt } from './databases.ts';
import { SlowDecoder } from './slow-decoder.ts';

/** Multiplexers with their mark, labels on every third signal: what a file would say. */
const files: fc.Arbitrary<string> = fc.tuple(databases, fc.nat(5)).map(([any, salt]) => {
  const messages = any.messages.map((message) => {
    const rulers = new Set(message.signals.map(({ multiplexer }) => multiplexer));
    const signals = message.signals.map((signal, i) => ({
      ...signal,
      isMultiplexer: rulers.has(signal.name),
      factor: [1, 0.1, 0.25, -3, 1e-3, 4294967296][(i + salt) % 6]!,
      offset: [0, -40, 0.5][(i + salt) % 3]!,
      labels:
        i % 3 === 0
          ? [
              { value: 0n, text: 'none' },
              { value: 1n, text: 'one' },
            ]
          : [],
    }));
    return { ...message, signals };
  });
  return writeDatabase({ ...any, messages } satisfies Database);
});

/** Bytes up to which the signals of the databases reach. */
const LONGEST = 80;

const payloads = fc
  .oneof(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ minLength: 64, maxLength: 64 }))
  .map((data) => data.map((byte, i) => (i % 2 === 0 ? byte & 7 : byte)));

describe('the decoder and one written straight from the text', () => {
  it('find the same values, raw, physical and by label, in any frame of any database', () => {
    let compared = 0;
    fc.assert(
      fc.property(files, fc.array(payloads, { minLength: 1, maxLength: 6 }), (text, list) => {
        const { database } = loadDatabase(new TextEncoder().encode(text), { file: 'any.dbc' });
        const slow = new SlowDecoder(text);
        const decoder = createDecoder({ channel: 0, database, signals: signalInfos(database) });
        const reader = new RowReader(decoder.layout, database);
        for (const message of database.messages) {
          const word = idWord(message);
          const batch = batchOf(
            list.map((data) => ({ id: word, data: [...data] })),
            true,
          );
          const rows = decoder.decode(batch);
          const frames = [...reader.read(rows)];
          let at = 0;
          for (const [i, data] of list.entries()) {
            const wanted = slow.decode(word, data)!;
            const layout = decoder.layout.messages[messageOf(rows.u32, at)]!;
            const came = new Map(
              layout.signals.flatMap((cell) => {
                const numbers = numbersAt(rows.u32, at, layout, cell);
                if (numbers === null) return [];
                const { signal } = cell;
                const isFloat = signal.type === 'float32' || signal.type === 'float64';
                const raw = isFloat ? numbers[0] : rawBigInt(signal, ...numbers);
                const label = frames[i]!.labels.get(signal.signal);
                return [[signal.signal, { raw, physical: physical(signal, ...numbers), label }]];
              }),
            );
            expect([...came].sort(byName)).toEqual([...wanted].sort(byName));
            compared += came.size;
            at += layout.rowBytes;
          }
        }
      }),
      { numRuns: 400, seed: 20261125 },
    );
    expect(compared).toBeGreaterThan(5_000);
  });

  it('give each other the frames that were encoded', () => {
    fc.assert(
      fc.property(files, payloads, (text, data) => {
        const { database } = loadDatabase(new TextEncoder().encode(text), { file: 'any.dbc' });
        const whole = { ...database, messages: database.messages.map((one) => ({ ...one, length: LONGEST })) };
        const slow = new SlowDecoder(text);
        const padded = Uint8Array.from({ length: LONGEST }, (_, i) => data[i] ?? 0);
        for (const message of whole.messages) {
          const wanted = slow.decode(idWord(message), padded)!;
          const values = Object.fromEntries([...wanted].map(([name, { raw }]) => [name, raw]));
          // A NaN loses its payload bits on the way through a double.
          if (Object.values(values).some(Number.isNaN)) continue;
          const { id, data: frame } = createEncoder(whole).encode(message.name, values, { raw: true });
          expect(slow.decode(id, frame)).toEqual(wanted);
        }
      }),
      { numRuns: 300, seed: 20261126 },
    );
  });
});

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
