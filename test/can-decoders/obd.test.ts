import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadDatabase } from '#dbc';
import {
  createBusDecoder,
  ObdAnswers,
  type ObdOptions,
  obdLinks,
  RESPONSE_PENDING,
  RowReader,
  signalInfos,
} from '#decoders';
import { batchOf, type TestFrame } from './databases.ts';

const ENGINE = 0x7e8;
const hex = (text: string) => [...Buffer.from(text.replaceAll(' ', ''), 'hex')];

function read(messages: readonly string[], options: ObdOptions = {}) {
  const parameters: [service: number, parameter: number, payload: string][] = [];
  const negatives: [service: number, code: number][] = [];
  const answers = new ObdAnswers(
    (_id, _time, service, parameter, bytes, start, length) => {
      parameters.push([service, parameter, Buffer.from(bytes.subarray(start, start + length)).toString('hex')]);
    },
    { ...options, onNegative: (_id, _time, service, code) => negatives.push([service, code]) },
  );
  for (const text of messages) {
    // Not at byte 0: a single frame is handed over where it lies in its batch.
    const bytes = Uint8Array.from([0xee, ...hex(text), 0xee]);
    answers.push(ENGINE, 0, bytes, 1, bytes.length - 2);
  }
  return { parameters, negatives, counters: answers.counters };
}

describe('an answer of service 01', () => {
  it('gives its parameter', () => {
    expect(read(['41 0c 1a f8']).parameters).toEqual([[1, 0x0c, '410c1af8']]);
  });

  it('gives each of several parameters a payload of its own', () => {
    expect(read(['41 0c 1a f8 0d 32 05 7b']).parameters).toEqual([
      [1, 0x0c, '410c1af8'],
      [1, 0x0d, '410d32'],
      [1, 0x05, '41057b'],
    ]);
  });

  it('stays whole where a parameter of unknown size begins, or its end does not fit', () => {
    const { parameters, counters } = read(['41 64 aa bb 0d', '41 0d 32 64 aa bb', '41 06 80 7f', '41 0c 1a']);
    expect(parameters.map(([, , payload]) => payload)).toEqual(['4164aabb0d', '410d3264aabb', '4106807f', '410c1a']);
    expect(counters).toMatchObject({ parameters: 4, unsplit: 3 });
  });

  it('has the form of a single frame when asked', () => {
    expect(read(['41 0c 1a f8 0d 32'], { lengthByte: true }).parameters).toEqual([
      [1, 0x0c, '04410c1af8'],
      [1, 0x0d, '03410d32'],
    ]);
  });
});

describe('an answer of service 09', () => {
  it('stays whole, its lists of what is supported do not', () => {
    const { parameters, counters } = read([`49 02 01 ${'41'.repeat(17)}`, '49 00 55 40 00 00 20 80 00 00 00']);
    expect(parameters).toEqual([
      [9, 2, `490201${'41'.repeat(17)}`],
      [9, 0, '490055400000'],
      [9, 0x20, '492080000000'],
    ]);
    expect(counters).toMatchObject({ unsplit: 0 });
  });
});

describe('an answer of service 22', () => {
  it('has a DID of two bytes and is split by the sizes that the caller knows', () => {
    const didBytes = new Map([
      [0xf190, 3],
      [0x1001, 1],
    ]);
    const message = '62 f1 90 01 02 03 10 01 07';
    expect(read([message]).parameters).toEqual([[0x22, 0xf190, '62f190010203100107']]);
    expect(read([message], { didBytes }).parameters).toEqual([
      [0x22, 0xf190, '62f190010203'],
      [0x22, 0x1001, '62100107'],
    ]);
  });
});

describe('what is no answer', () => {
  it('is told apart: refused, delayed, of another service, malformed', () => {
    const { parameters, negatives, counters } = read([
      '7f 22 31',
      '7f 22 78',
      '7f 22',
      '7f 22 31 00',
      '01 0c',
      '43 01 01 00',
      '41',
      '62 f1',
    ]);
    expect(parameters).toEqual([]);
    expect(negatives).toEqual([
      [0x22, 0x31],
      [0x22, RESPONSE_PENDING],
    ]);
    expect(counters).toEqual({ parameters: 0, negative: 1, pending: 1, unsplit: 0, other: 2, malformed: 4 });
  });

  it('never throws, and what is handed over is never longer than what came', () => {
    const heads = fc.constantFrom(0x41, 0x49, 0x62, 0x7f, 0x00);
    fc.assert(
      fc.property(heads, fc.array(fc.nat(255), { maxLength: 60 }), fc.boolean(), (head, rest, lengthByte) => {
        const message = Buffer.from([head, ...rest]).toString('hex');
        const width = head === 0x62 ? 2 : 1;
        const { parameters, counters } = read([message], { lengthByte, didBytes: new Map([[0, 1]]) });
        const { negative, pending, other, malformed } = counters;
        expect(counters.parameters).toBe(parameters.length);
        expect(Math.min(parameters.length, 1) + negative + pending + other + malformed).toBe(1);
        // Without their heads the payloads are the message again.
        const parts = parameters.map(([, , payload]) => payload.slice(lengthByte ? 4 : 2));
        if (parameters.length > 0) expect(parts.join('')).toBe(message.slice(2));
        for (const [, , payload] of parameters) expect(payload.length / 2).toBeGreaterThan(width);
      }),
      { numRuns: 500, seed: 1979 },
    );
  });
});

describe('answers on a bus', () => {
  const { database, findings } = loadDatabase(
    new TextEncoder().encode(
      [
        'VERSION ""',
        'BU_: Engine Tester',
        'BO_ 2024 ObdAnswer: 64 Engine',
        ' SG_ Service M : 0|8@1+ (1,0) [0|0] "" Tester',
        ' SG_ Pid m65M : 8|8@1+ (1,0) [0|0] "" Tester',
        ' SG_ InfoType m73M : 8|8@1+ (1,0) [0|0] "" Tester',
        ' SG_ Did m98M : 15|16@0+ (1,0) [0|0] "" Tester',
        ' SG_ Rpm m12 : 23|16@0+ (0.25,0) [0|0] "rpm" Tester',
        ' SG_ Speed m13 : 23|8@0+ (1,0) [0|0] "km/h" Tester',
        ' SG_ Coolant m5 : 23|8@0+ (1,-40) [0|0] "degC" Tester',
        ' SG_ VinItems m2 : 16|8@1+ (1,0) [0|0] "" Tester',
        ' SG_ VinLast m2 : 152|8@1+ (1,0) [0|0] "" Tester',
        ' SG_ Battery m61840 : 31|16@0+ (0.01,0) [0|0] "V" Tester',
        'SG_MUL_VAL_ 2024 Pid Service 65-65;',
        'SG_MUL_VAL_ 2024 InfoType Service 73-73;',
        'SG_MUL_VAL_ 2024 Did Service 98-98;',
        'SG_MUL_VAL_ 2024 Rpm Pid 12-12;',
        'SG_MUL_VAL_ 2024 Speed Pid 13-13;',
        'SG_MUL_VAL_ 2024 Coolant Pid 5-5;',
        'SG_MUL_VAL_ 2024 VinItems InfoType 2-2;',
        'SG_MUL_VAL_ 2024 VinLast InfoType 2-2;',
        'SG_MUL_VAL_ 2024 Battery Did 61840-61840;',
        '',
      ].join('\n'),
    ),
    { file: 'obd.dbc' },
  );
  const frame = (text: string, ms: number, id = ENGINE): TestFrame => ({ id, data: hex(text), time: ms * 1e6 });
  const FRAMES = [
    frame('02 01 0d cc cc cc cc cc', 0, 0x7df),
    frame('03 41 0d 32 cc cc cc cc', 1),
    frame('10 08 41 0c 1a f8 0d 33', 2),
    frame('30 00 00 cc cc cc cc cc', 3, 0x7e0),
    frame('21 05 7b cc cc cc cc cc', 4),
    frame('10 14 49 02 01 41 42 43', 5),
    frame('21 44 45 46 47 48 49 4a', 6),
    frame('03 7f 22 78 cc cc cc cc', 7, 0x7e9),
    frame('22 4b 4c 4d 4e 4f 50 51', 8),
    frame('05 62 f1 90 04 d2 cc cc', 9),
  ];

  it('are decoded by a database with extended multiplexing, in the order in which they were whole', () => {
    expect(findings).toEqual([]);
    const isotp = obdLinks().map(({ id, flowId }) => ({ id, flow: flowId!, message: 0x7e8, content: 'obd' as const }));
    const decoder = createBusDecoder({ channel: 0, database, signals: signalInfos(database), isotp });
    const rows = [...new RowReader(decoder.layout, database).read(decoder.decode(batchOf(FRAMES)))];
    expect(rows.map(({ timeNs, values }) => [timeNs / 1e6, Object.fromEntries(values)])).toEqual([
      [1, { Service: 0x41, Pid: 13, Speed: 50 }],
      [4, { Service: 0x41, Pid: 12, Rpm: 1726 }],
      [4, { Service: 0x41, Pid: 13, Speed: 51 }],
      [4, { Service: 0x41, Pid: 5, Coolant: 83 }],
      [8, { Service: 0x49, InfoType: 2, VinItems: 1, VinLast: 0x51 }],
      [9, { Service: 0x62, Did: 0xf190, Battery: 12.34 }],
    ]);
    const { isotp: links, obd } = decoder.counters();
    expect(links).toMatchObject({ complete: 5, malformed: 0, stray: 0 });
    expect(obd).toMatchObject({ parameters: 6, pending: 1, unsplit: 0, malformed: 0 });
  });
});
