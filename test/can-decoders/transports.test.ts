import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, type FrameBatch, type SignalInfo } from '#contracts';
import { type Database, loadDatabase } from '#dbc';
import { type BusDecoderInput, createBusDecoder, createDecoder, RowReader, signalInfos } from '#decoders';
import { batchOf, type TestFrame } from './databases.ts';

const MS = 1e6;
const TRUCK = `
BO_ 2566844926 CCVS: 8 Vector__XXX
 SG_ WheelSpeed : 8|16@1+ (0.00390625,0) [0|250.996] "km/h" Vector__XXX
 SG_ ParkingBrake : 2|2@1+ (1,0) [0|3] "" Vector__XXX
BO_ 2566834942 DM1: 16 Vector__XXX
 SG_ Lamp : 6|2@1+ (1,0) [0|3] "" Vector__XXX
 SG_ SecondSpn : 48|16@1+ (1,0) [0|65535] "" Vector__XXX
BO_ 2566843902 Identity: 1785 Vector__XXX
 SG_ First : 0|8@1+ (1,0) [0|255] "" Vector__XXX
 SG_ Last : 14272|8@1+ (1,0) [0|255] "" Vector__XXX
 SG_ Wide : 14000|64@1+ (1,0) [0|0] "" Vector__XXX
BO_ 256 Plain: 8 Vector__XXX
 SG_ Level : 0|8@1+ (1,0) [0|255] "" Vector__XXX
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2566844926 3;
BA_ "VFrameFormat" BO_ 2566834942 3;
BA_ "VFrameFormat" BO_ 2566843902 3;
`;
const CCVS = 0x18fef1fe;
const DM1 = 0xfeca;
/** Group of `Identity`. */
const IDENTITY = (0x18feedfe >>> 8) & 0x3ffff;

function load(text: string): Database {
  return loadDatabase(new TextEncoder().encode(text), { file: 'bus.dbc' }).database;
}

function make(database: Database, more: Partial<BusDecoderInput> = {}) {
  const decoder = createBusDecoder({ channel: 0, database, signals: signalInfos(database), ...more });
  const reader = new RowReader(decoder.layout, database, { statuses: 'declared' });
  const read = (batch: FrameBatch) =>
    [...reader.read(decoder.decode(batch))].map(({ message, timeNs, short, values, statuses }) => ({
      message: message.name,
      ms: timeNs / MS,
      values: Object.fromEntries(values),
      ...(statuses.size > 0 ? { statuses: Object.fromEntries(statuses) } : {}),
      ...(short ? { short } : {}),
    }));
  return { decoder, read };
}

const extended = (id: number) => (id | CAN_EFF_FLAG) >>> 0;

/** A broadcast of `payload` from `source`, a packet every `everyMs`. */
function broadcast(pgn: number, source: number, payload: readonly number[], startMs = 0, everyMs = 50): TestFrame[] {
  const packets = Math.ceil(payload.length / 7);
  const size = payload.length;
  const head = [32, size & 0xff, size >> 8, packets, 0xff, pgn & 0xff, (pgn >> 8) & 0xff, pgn >> 16];
  const frames = [{ id: extended(0x1cecff00 | source), data: head, time: startMs * MS }];
  for (let i = 0; i < packets; i++) {
    const part = payload.slice(i * 7, i * 7 + 7);
    const data = [i + 1, ...part, ...Array(7 - part.length).fill(0xff)];
    frames.push({ id: extended(0x1cebff00 | source), data, time: (startMs + (i + 1) * everyMs) * MS });
  }
  return frames;
}

describe('a bus of J1939', () => {
  const database = load(TRUCK);

  it('finds a message whatever the priority and the source', () => {
    const { read } = make(database);
    const data = [0, 0, 100, 0, 0, 0, 0, 0];
    const frames = [0x18fef100, 0x0cfef121, CCVS].map((id, i) => ({ id: extended(id), data, time: i * MS }));
    expect(read(batchOf(frames)).map(({ message, values }) => [message, values.WheelSpeed])).toEqual([
      ['CCVS', 100],
      ['CCVS', 100],
      ['CCVS', 100],
    ]);
  });

  it('gives a long message its row behind the frame that completed it, between frames of other messages', () => {
    const { read } = make(database);
    const payload = [0x40, 0xff, 1, 2, 3, 4, 0x34, 0x12, 5, 6, 7, 8, 0, 0, 0, 0];
    const [head, ...packets] = broadcast(DM1, 0, payload);
    const level = (ms: number): TestFrame => ({ id: 0x100, data: [ms, 0, 0, 0, 0, 0, 0, 0], time: ms * MS });
    expect(read(batchOf([level(0), head!, level(10), ...packets, level(151)]))).toEqual([
      { message: 'Plain', ms: 0, values: { Level: 0 } },
      { message: 'Plain', ms: 10, values: { Level: 10 } },
      { message: 'DM1', ms: 150, values: { Lamp: 1, SecondSpn: 0x1234 } },
      { message: 'Plain', ms: 151, values: { Level: 151 } },
    ]);
  });

  it('puts the messages of interleaved sources together, over the cuts of batches', () => {
    const { read } = make(database);
    const a = broadcast(DM1, 1, [0x40, ...Array(13).fill(1)], 0);
    const b = broadcast(DM1, 2, [0x80, ...Array(13).fill(2)], 25);
    const frames = [...a, ...b].sort((x, y) => x.time! - y.time!);
    const rows = frames.flatMap((one) => read(batchOf([one])));
    expect(rows.map(({ ms, values }) => [ms, values])).toEqual([
      [100, { Lamp: 1, SecondSpn: 0x101 }],
      [125, { SecondSpn: 0x202 }],
    ]);
  });

  it('decodes a message of 1,785 bytes to its last byte', () => {
    const { decoder, read } = make(database);
    const payload = Array.from({ length: 1785 }, (_, i) => i % 251);
    const wide = payload.slice(1750, 1758).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const other: TestFrame = { id: extended(0x18feed05), data: [7, 0, 0, 0, 0, 0, 0, 0], time: 1 };
    const frames = [other, ...broadcast(IDENTITY, 5, payload, 1, 10), other];
    const rows = read(batchOf(frames));
    expect(rows.map(({ values, short }) => [values, short])).toEqual([
      [{ First: 7 }, true],
      [{ First: 0, Wide: wide, Last: payload[1784] }, undefined],
      [{ First: 7 }, true],
    ]);
    expect(decoder.counters().j1939).toMatchObject({ complete: 1, malformed: 0 });
  });

  it('gives up a broadcast whose packets stop, and reads the next one', () => {
    const { decoder, read } = make(database);
    const lost = broadcast(DM1, 1, [0x40, ...Array(13).fill(1)], 0).slice(0, 2);
    const next = broadcast(DM1, 1, [0x80, ...Array(13).fill(2)], 5000);
    expect(read(batchOf([...lost, ...next])).map(({ ms }) => ms)).toEqual([5100]);
    expect(decoder.counters().j1939).toMatchObject({ complete: 1, timeout: 1 });
  });

  it('keeps no byte of a message that nobody decodes', () => {
    const signals = signalInfos(database).filter(({ message }) => message === 'CCVS');
    const { decoder, read } = make(database, { signals });
    expect(read(batchOf(broadcast(DM1, 1, Array(14).fill(0x5a))))).toEqual([]);
    expect(decoder.stage!.memory.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
  });

  it('keeps no slot of a frame that nobody decodes, and none at all between two batches', () => {
    const signals = signalInfos(database).filter(({ message }) => message === 'CCVS');
    const { decoder } = make(database, { signals });
    const marked = [0xa5, 0x5a, 0xa5, 0x5a, 0xa5, 0x5a, 0xa5, 0x5a];
    const ids = [0x18fef100, 0x18feca00, 0x18feed00].map(extended);
    const frames = [...ids, 0x100, 0x4000_0100].map((id, i) => ({ id, data: marked, time: i }));
    expect(decoder.decode(batchOf(frames))).toMatchObject({ rows: 1, unknown: 3, ignored: 1 });
    expect(decoder.stage!.count).toBe(1);
    expect(decoder.stage!.memory.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
  });

  it('asks its sources for its groups, whatever their priority, source and destination, and for the packets of long messages', () => {
    const signals = signalInfos(database).filter(({ message }) => message === 'CCVS');
    const { ids, masks } = make(database, { signals }).decoder;
    expect(ids).toEqual([]);
    expect(masks.map(({ id, mask }) => [id, mask].map((one) => one.toString(16)))).toEqual([
      ['80fef100', 'c3ffff00'],
      ['80ec0000', 'c3ff0000'],
      ['80eb0000', 'c3ff0000'],
    ]);
  });
});

describe('a parameter that is not available', () => {
  const database = load(TRUCK);
  const silent = batchOf([{ id: extended(CCVS), data: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }]);
  const faulty = batchOf([{ id: extended(CCVS), data: [0xff, 0, 0xfe, 0, 0, 0, 0, 0] }]);

  it('is absent and counted, never a number', () => {
    const { decoder, read } = make(database);
    expect(read(silent)).toEqual([{ message: 'CCVS', ms: 0, values: {} }]);
    expect(decoder.withheld).toBe(2);
  });

  it('is shown as a status to those who ask', () => {
    const { read } = make(database, { statuses: 'keep' });
    expect(read(silent)[0]).toMatchObject({
      values: {},
      statuses: { WheelSpeed: 'not-available', ParkingBrake: 'not-available' },
    });
  });

  it('may also be in error', () => {
    const { read } = make(database, { statuses: 'keep' });
    // 0xFE00 in 16 bits.
    expect(read(faulty)[0]!.statuses).toEqual({ WheelSpeed: 'error', ParkingBrake: 'not-available' });
  });

  it('is told only for numbered parameters where the database numbers them', () => {
    const numbered = load(
      `${TRUCK}BA_DEF_ SG_ "SPN" INT 0 524287;\nBA_DEF_DEF_ "SPN" 0;\nBA_ "SPN" SG_ 2566844926 WheelSpeed 84;\n`,
    );
    const { read } = make(numbered, { statuses: 'keep' });
    expect(read(silent)[0]).toMatchObject({ values: { ParkingBrake: 3 }, statuses: { WheelSpeed: 'not-available' } });
  });

  it('is a number in a database that is not J1939', () => {
    const { read } = make(load(TRUCK.replaceAll(/^BA_ .*$/gm, '')));
    expect(read(silent)[0]!.values).toEqual({ WheelSpeed: 255.99609375, ParkingBrake: 3 });
  });
});

describe('an ISO-TP link', () => {
  const database = load(`
BO_ 1808 Report: 200 ECU
 SG_ Head : 0|8@1+ (1,0) [0|255] "" Tester
 SG_ Middle : 320|8@1+ (1,0) [0|255] "" Tester
 SG_ Tail : 1592|8@1+ (1,0) [0|255] "" Tester
BO_ 256 Plain: 8 ECU
 SG_ Level : 0|8@1+ (1,0) [0|255] "" Tester
`);
  const payload = Array.from({ length: 200 }, (_, i) => (i * 7) & 0xff);
  const isotp = [{ id: 0x710, flow: 0x718 }];

  function segments(data: readonly number[], id = 0x710): TestFrame[] {
    const frames = [{ id, data: [0x10 | (data.length >> 8), data.length & 0xff, ...data.slice(0, 6)] }];
    for (let at = 6, n = 1; at < data.length; at += 7, n++) {
      frames.push({ id, data: [0x20 | (n & 0xf), ...data.slice(at, at + 7)] });
    }
    return frames.map((one, i) => ({ ...one, time: i * MS }));
  }

  it('carries messages longer than any frame', () => {
    const { decoder, read } = make(database, { isotp });
    const flow: TestFrame = { id: 0x718, data: [0x30, 0, 0, 0, 0, 0, 0, 0], time: 0 };
    const [first, ...rest] = segments(payload);
    expect(read(batchOf([first!, flow, ...rest]))).toEqual([
      { message: 'Report', ms: 28, values: { Head: payload[0], Middle: payload[40], Tail: payload[199] } },
    ]);
    expect(decoder.counters().isotp).toMatchObject({ complete: 1, stray: 0, malformed: 0 });
  });

  it('hides the frames that carry them from the decoder, and counts them as nothing else', () => {
    const { decoder } = make(database, { isotp });
    const rows = decoder.decode(batchOf(segments(payload)));
    expect(rows).toMatchObject({ rows: 1, unknown: 0, ignored: 0, short: 0 });
  });

  it('asks its sources for the ids of both directions', () => {
    expect([...make(database, { isotp }).decoder.ids].sort((a, b) => a - b)).toEqual([256, 0x710, 0x718]);
  });

  it('asks for nothing of a link whose message nobody decodes', () => {
    const signals = signalInfos(database).filter(({ message }) => message === 'Plain');
    expect(make(database, { isotp, signals }).decoder.ids).toEqual([256]);
  });

  it('may use extended addressing, and an id of the database that is not its own', () => {
    const { read } = make(database, {
      isotp: [
        { id: 0x6f1, address: 0x12, message: 0x710 },
        { id: 0x6f1, address: 0x13, message: 0x100 },
      ],
    });
    const frames = [
      { id: 0x6f1, data: [0x13, 2, 9, 9] },
      { id: 0x6f1, data: [0x12, 3, 8, 8, 8] },
    ];
    expect(read(batchOf(frames)).map(({ message, values }) => [message, Object.values(values)[0]])).toEqual([
      ['Plain', 9],
      ['Report', 8],
    ]);
  });

  it('splits UDS answers that hold several data identifiers, where their sizes are told', () => {
    const uds = load(`
BO_ 1808 Report: 64 ECU
 SG_ Service M : 0|8@1+ (1,0) [0|0] "" Tester
 SG_ Did m98M : 15|16@0+ (1,0) [0|0] "" Tester
 SG_ Volts m4660 : 24|8@1+ (0.1,0) [0|0] "V" Tester
 SG_ Count m4661 : 24|16@1+ (1,0) [0|0] "" Tester
SG_MUL_VAL_ 1808 Did Service 98-98;
SG_MUL_VAL_ 1808 Volts Did 4660-4660;
SG_MUL_VAL_ 1808 Count Did 4661-4661;
`);
    const link = { id: 0x710, content: 'obd' as const, dids: { '0x1234': 1, '4661': 2 } };
    const { read } = make(uds, { isotp: [link] });
    const data = [0x62, 0x12, 0x34, 120, 0x12, 0x35, 7, 1];
    expect(read(batchOf(segments(data))).map(({ values }) => values)).toEqual([
      { Service: 0x62, Did: 0x1234, Volts: 12 },
      { Service: 0x62, Did: 0x1235, Count: 263 },
    ]);
    expect(() => make(uds, { isotp: [{ ...link, dids: { F190: 17 } }] })).toThrow('"F190" is no data identifier');
  });

  it('is refused where two links contradict', () => {
    const isotp = [{ id: 0x710 }, { id: 0x710, message: 0x100 }];
    expect(() => make(database, { isotp })).toThrow(expect.objectContaining({ code: 'TG_TRANSPORT_LINK' }));
  });
});

describe('a signal with a list of values', () => {
  const database = load(TRUCK);
  const signals = signalInfos(database).map(
    (one): SignalInfo =>
      one.signal === 'Level'
        ? {
            ...one,
            values: new Map([
              [3, 1],
              [4, 0],
            ]),
          }
        : one,
  );

  it('has the value that stands for its own, and none where none does', () => {
    const { read, decoder } = make(database, { signals, j1939: 'off' });
    const frames = [3, 4, 5].map((raw) => ({ id: 0x100, data: [raw, 0, 0, 0, 0, 0, 0, 0] }));
    expect(read(batchOf(frames)).map(({ values }) => values)).toEqual([{ Level: 1 }, { Level: 0 }, {}]);
    expect(decoder.withheld).toBe(1);
  });
});

describe('a bus without transports', () => {
  it('is decoded as it is', () => {
    const database = load(TRUCK.replaceAll(/^BA_ .*$/gm, ''));
    const { decoder } = make(database);
    expect(decoder.stage).toBeNull();
    expect(decoder.module).toEqual(createDecoder({ channel: 0, database, signals: signalInfos(database) }).module);
  });
});

describe('any frames on a bus with transports', () => {
  const database = load(TRUCK);
  const isotp = [
    { id: 0x710, flow: 0x718 },
    { id: 0x6f1, address: 0x12, message: 0x100, content: 'obd' as const },
  ];
  const anyFrame = fc.record({
    id: fc.constantFrom(0x100, 0x710, 0x718, 0x6f1, ...[0x1cecff01, 0x1cebff01, 0x18fef100, 0x18feed01].map(extended)),
    data: fc.uint8Array({ maxLength: 8 }).map((bytes) => [...bytes]),
  });

  it('never crash, and give the rows of one batch whatever the cuts', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 60 }), fc.nat(59), (list, cut) => {
        const frames = list.map((one, i) => ({ ...one, time: i * MS }));
        const whole = make(database, { isotp }).read(batchOf(frames));
        const parts = make(database, { isotp });
        const both = [frames.slice(0, cut), frames.slice(cut)].flatMap((some) => parts.read(batchOf(some)));
        expect(both).toEqual(whole);
      }),
      { numRuns: 300, seed: 939 },
    );
  });
});
