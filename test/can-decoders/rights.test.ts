import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_BYTES, type SignalInfo } from '#contracts';
import type { Database } from '#dbc/model';
import { createDecoder, signalInfos } from '#decoders';
import { type Instruction, readModule } from '#wasm';
import { batchOf, database, databases, message, signal } from './databases.ts';

const FORMS = ['scalar', 'simd', 'grouped'] as const;

const WIDTHS: Record<string, number> = {
  load8: 1,
  load16: 2,
  load32: 4,
  'i32.load': 4,
  'f32.load': 4,
  'i64.load': 8,
  'f64.load': 8,
};

/** Bytes of the payload that a load can touch; the id table and the header are read by other offsets. */
function payloadBytes({ name, immediates }: Instruction): number[] {
  if (!name.includes('.load')) return [];
  const width = WIDTHS[/load\d+/.exec(name)?.[0] ?? name] ?? 16;
  const offset = Number(immediates[1]);
  return Array.from({ length: width }, (_, i) => offset - HEADER_BYTES + i).filter((byte) => byte >= 0);
}

/** Payload bytes that the functions which write rows load; `sieve` is function 0 and reads tables and headers only. */
function bytesRead(db: Database, signals: readonly SignalInfo[]): Set<number> {
  const { functions } = readModule(createDecoder({ channel: 0, database: db, signals, form: 'scalar' }).module);
  // Offsets from 80 on are tables of the module: a slot ends there.
  const loads = functions.slice(1).flatMap(({ instructions }) => instructions.flatMap(payloadBytes));
  return new Set(loads.filter((byte) => byte < 64));
}

const position = message({
  name: 'Position',
  id: 0x321,
  signals: [
    signal({ name: 'speed', start: 0, length: 12, factor: 0.0123 }),
    signal({ name: 'secret', start: 16, length: 24, factor: 0.0456, offset: -77.125 }),
    signal({ name: 'heading', start: 47, length: 16, byteOrder: 'motorola' }),
  ],
});
const secretMessage = message({ name: 'Secret', id: 0x5ab, signals: [signal({ name: 'position' })] });
const db = database(position, secretMessage);
const allowed = signalInfos(db).filter((info) => info.signal === 'speed' || info.signal === 'heading');

describe('a signal without a right', () => {
  it('is never loaded by the strict form of the module', () => {
    expect([...bytesRead(db, allowed)].sort()).toEqual([0, 1, 5, 6]);
    expect(bytesRead(db, signalInfos(db)).has(3)).toBe(true);
  });

  it('is loaded in no database, for no choice of signals', () => {
    const cases = databases.chain((any) =>
      fc.record({ any: fc.constant(any), signals: fc.subarray(signalInfos(any)) }),
    );
    fc.assert(
      fc.property(cases, ({ any, signals }) => {
        const readable = new Set<number>();
        const names = new Set(signals.map(({ message: name, signal: one }) => `${name}.${one}`));
        for (const one of any.messages) {
          // A right includes the multiplexers that say whether the signal is there.
          const wanted = one.signals.filter(({ name }) => names.has(`${one.name}.${name}`)).map(({ name }) => name);
          for (const name of wanted) {
            const found = one.signals.find((candidate) => candidate.name === name)!;
            if (found.multiplexer !== null && !wanted.includes(found.multiplexer)) wanted.push(found.multiplexer);
            for (const byte of bytesOf(found)) readable.add(byte);
          }
        }
        for (const byte of bytesRead(any, signals)) expect(readable.has(byte), `byte ${byte}`).toBe(true);
      }),
      { numRuns: 200, seed: 20261125 },
    );
  });

  it.each(FORMS)('has neither its id nor its numbers in the %s module', (form) => {
    const { module } = createDecoder({ channel: 0, database: db, signals: allowed, form });
    const { data, functions } = readModule(module);
    const constants = functions.flatMap(({ instructions }) =>
      instructions.filter(({ name }) => name.endsWith('.const')).flatMap(({ immediates }) => immediates.map(Number)),
    );
    for (const number of [0x5ab, 0.0456, -77.125, 2 ** 24 - 1]) expect(constants).not.toContain(number);
    const id = Buffer.alloc(4);
    id.writeUInt32LE(0x5ab);
    for (const { bytes } of data) expect(Buffer.from(bytes).includes(id)).toBe(false);
    for (const text of ['secret', 'Secret', 'speed']) expect(Buffer.from(module).includes(text)).toBe(false);
    id.writeUInt32LE(0x321);
    expect(data.some(({ bytes }) => Buffer.from(bytes).includes(id))).toBe(true);
  });

  it.each(FORMS)('leaves its value nowhere in the memory of the %s form', (form) => {
    const decoder = createDecoder({ channel: 0, database: db, signals: allowed, form });
    const frames = Array.from({ length: 64 }, (_, i) => ({
      id: i % 2 === 0 ? 0x321 : 0x5ab,
      data: [i, 0, 0xde, 0xad, 0xbe, 1, 2, 0],
    }));
    decoder.decode(batchOf(frames));
    const memory = Buffer.from(decoder.memory);
    expect(memory.includes(Buffer.from([0xde, 0xad, 0xbe]))).toBe(false);
    const planted = Buffer.alloc(4);
    planted.writeUInt32LE(0xbeadde);
    expect(memory.includes(planted)).toBe(false);
    planted.writeUInt32LE(0x102);
    expect(memory.includes(planted), 'the search finds what has a right').toBe(true);
  });

  it('is cut out by the masks of the SIMD forms, which let through the bits of others only', () => {
    const neighbours = database(
      message({
        name: 'Neighbours',
        signals: [
          signal({ name: 'a', start: 0, length: 3 }),
          signal({ name: 'hidden', start: 3, length: 7 }),
          signal({ name: 'b', start: 10, length: 5, signed: true }),
          signal({ name: 'hiddenToo', start: 15, length: 17 }),
        ],
      }),
    );
    const signals = signalInfos(neighbours).filter((info) => !info.signal.startsWith('hidden'));
    const { module } = createDecoder({ channel: 0, database: neighbours, signals, form: 'simd' });
    // Of each quad of cells the module holds 16 bytes to take and a mask: here one quad for two cells.
    const tables = readModule(module).data.map(({ bytes }) => Buffer.from(bytes));
    const mask = Buffer.alloc(16);
    // a: three bits at 0 of its byte; b: five bits at bit 2 of its byte; nothing else is let through.
    mask.writeUInt32LE(0b111, 0);
    mask.writeUInt32LE(0b111_1100, 4);
    expect(tables.some((bytes) => bytes.includes(mask))).toBe(true);
    // No other mask lets a bit of a field through.
    const withFields = tables.find((bytes) => bytes.includes(mask))!;
    const at = withFields.indexOf(mask);
    const masks = Array.from({ length: 16 }, (_, i) => withFields.subarray(at + i * 32, at + i * 32 + 16));
    for (const other of masks.slice(1)) expect(other.every((byte) => byte === 0)).toBe(true);
    const decoder = createDecoder({ channel: 0, database: neighbours, signals, form: 'simd' });
    const all = decoder.decode(batchOf([{ id: 0x100, data: [0xf8, 0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }]));
    expect([...all.u32.subarray(4, 8)]).toEqual([0, 0, 0, 0]);
  });
});

function bytesOf({ start, length, byteOrder }: { start: number; length: number; byteOrder: string }): number[] {
  const bytes: number[] = [];
  for (let i = 0, bit = start; i < length; i++) {
    bytes.push(bit >> 3);
    if (byteOrder === 'intel') bit++;
    else bit = bit % 8 === 0 ? bit + 15 : bit - 1;
  }
  return bytes;
}
