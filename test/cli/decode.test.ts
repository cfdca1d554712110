import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';

const DBC = `VERSION ""
NS_ :
BS_:
BU_: ECU
BO_ 256 Engine: 8 ECU
 SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" ECU
 SG_ Gear : 16|3@1+ (1,0) [0|7] "" ECU
 SG_ Serial : 32|32@1+ (4294967296,1) [0|0] "" ECU
BO_ 2147484160 Far: 1 ECU
 SG_ One : 0|8@1- (1,0) [0|0] "" ECU
VAL_ 256 Gear 0 "Neutral" 7 "Reverse" ;
`;

let dir = '';
let dbc = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'decode-'));
  dbc = join(dir, 'car.dbc');
  await writeFile(dbc, DBC);
});
afterAll(() => rm(dir, { recursive: true }));

async function tollgate(argv: string[], stdin = '') {
  const seen = { out: '', err: '' };
  const code = await main(argv, {
    stdin: (async function* () {
      yield new TextEncoder().encode(stdin);
    })(),
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  });
  return { code, ...seen };
}

const LOG = `(100.5) can0 100#A10F0700FFFFFFFF
(100.6) can1 00000200#FF
nonsense
(100.7) can0 100#A10F
(100.8) can0 101#00
(100.9) can0 100#R
`;

describe('tollgate decode', () => {
  it('writes one JSON line a frame', async () => {
    const { code, out, err } = await tollgate(['decode', '--dbc', dbc, '--json'], LOG);
    expect(code).toBe(0);
    const common = { message: null, values: {}, labels: {} };
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      {
        t: 100.5,
        channel: 'can0',
        id: 256,
        ext: false,
        message: 'Engine',
        values: { Speed: 1000.25, Gear: 7, Serial: '18446744069414584321' },
        labels: { Gear: 'Reverse' },
      },
      { t: 100.6, channel: 'can1', id: 512, ext: true, message: 'Far', values: { One: -1 }, labels: {} },
      {
        t: 100.7,
        channel: 'can0',
        id: 256,
        ext: false,
        message: 'Engine',
        values: { Speed: 1000.25 },
        labels: {},
        short: true,
      },
      { t: 100.8, channel: 'can0', id: 257, ext: false, ...common },
      { t: 100.9, channel: 'can0', id: 256, ext: false, ...common },
    ]);
    expect(err).toBe('stdin:3: not a candump line: a line starts with (time)\n');
  });

  it('reads a log file, plain or gzip, and writes lines for people', async () => {
    const path = join(dir, 'log.gz');
    await writeFile(path, gzipSync(LOG));
    const { out, err } = await tollgate(['decode', '--dbc', dbc, path]);
    expect(err).toContain(`${path}:3:`);
    expect(out).toBe(`(100.500000) can0 100#A10F0700FFFFFFFF ::
Engine(
    Speed: 1000.25 rpm,
    Gear: Reverse,
    Serial: 18446744069414584321
)
(100.600000) can1 00000200#FF ::
Far(
    One: -1
)
(100.700000) can0 100#A10F ::
Engine(
    Speed: 1000.25 rpm
) short frame: only the signals that fit
(100.800000) can0 101#00 :: unknown id 257 (0x101)
(100.900000) can0 100#R :: remote frame
`);
  });

  it('says what is wrong with its words and files', async () => {
    expect(await tollgate(['decode'])).toMatchObject({ code: 2, err: expect.stringContaining('TG_CLI_USAGE') });
    expect(await tollgate(['decode', '--dbc', join(dir, 'none.dbc')])).toMatchObject({
      code: 2,
      err: expect.stringContaining('TG_CLI_FILE'),
    });
    expect(await tollgate(['decode', '--dbc', dbc, join(dir, 'none.log')])).toMatchObject({
      code: 2,
      err: expect.stringContaining('TG_LOG_FILE'),
    });
  });
});

describe('tollgate encode', () => {
  it('writes the frame that decode reads back', async () => {
    const { out } = await tollgate([
      'encode',
      '--dbc',
      dbc,
      'Engine',
      'Speed=1000.25',
      'Gear=Reverse',
      'Serial=18446744069414584321',
    ]);
    expect(out).toBe('100#A10F0700FFFFFFFF\n');
    expect(await tollgate(['encode', '--dbc', dbc, 'Far', 'One=-1', '--json'])).toMatchObject({
      code: 0,
      out: '{"id":512,"ext":true,"fd":false,"data":"ff"}\n',
    });
    expect(await tollgate(['encode', '--dbc', dbc, 'Engine', 'Speed=4', '--raw', '--zero'])).toMatchObject({
      out: '100#0400000000000000\n',
    });
  });

  it('names the signal whose value does not fit', async () => {
    const { code, err } = await tollgate(['encode', '--dbc', dbc, 'Far', 'One=200']);
    expect(code).toBe(2);
    expect(err).toContain('TG_ENCODE_RANGE  Far.One has 8 bits, raw -128 to 127');
    expect(await tollgate(['encode', '--dbc', dbc, 'Engine', 'Speed=9000', '--limits', '--zero'])).toMatchObject({
      code: 2,
    });
    expect(await tollgate(['encode', '--dbc', dbc, 'Engine', 'Speed'])).toMatchObject({ code: 2 });
  });
});

describe('tollgate decode of a bus with transports', () => {
  const TRUCK = `BO_ 2566834942 DM1: 14 ECU
 SG_ Lamp : 6|2@1+ (1,0) [0|3] "" ECU
 SG_ Spn : 16|16@1+ (1,0) [0|65535] "" ECU
BO_ 2024 Answer: 8 ECU
 SG_ Service M : 0|8@1+ (1,0) [0|0] "" ECU
 SG_ Pid m65M : 8|8@1+ (1,0) [0|0] "" ECU
 SG_ Rpm m12 : 23|16@0+ (0.25,0) [0|0] "rpm" ECU
 SG_ Speed m13 : 23|8@0+ (1,0) [0|0] "km/h" ECU
SG_MUL_VAL_ 2024 Pid Service 65-65;
SG_MUL_VAL_ 2024 Rpm Pid 12-12;
SG_MUL_VAL_ 2024 Speed Pid 13-13;
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2566834942 3;
`;
  const BUS = `(1.0) can0 1CECFF05#200E0002FFCAFE00
(1.1) can0 1CEBFF05#01C0FF34120000FF
(1.2) can0 1CEBFF05#0200000000000000
(1.3) can0 7E8#06410C1AF80D32CC
(1.4) can0 7E8#2100000000000000
(1.5) can0 7E9#037F0112
`;
  const run = async (...more: string[]) => {
    const file = join(dir, 'truck.dbc');
    await writeFile(file, TRUCK);
    return await tollgate(['decode', '--dbc', file, ...more], BUS);
  };
  const jsonOf = (out: string) =>
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('puts each message behind the frame that completed it, with what is not available as a status', async () => {
    const lines = jsonOf((await run('--json', '--obd', '7E8,7E0')).out);
    expect(lines.filter(({ message }) => message !== null)).toEqual([
      {
        t: 1.2,
        channel: 'can0',
        id: 0x18feca05,
        ext: true,
        message: 'DM1',
        values: { Spn: 0x1234 },
        labels: {},
        status: { Lamp: 'not-available' },
        transport: 'j1939',
      },
      {
        t: 1.3,
        channel: 'can0',
        id: 0x7e8,
        ext: false,
        message: 'Answer',
        values: { Service: 65, Pid: 12, Rpm: 1726 },
        labels: {},
        short: true,
        transport: 'isotp',
      },
      expect.objectContaining({ t: 1.3, message: 'Answer', values: { Service: 65, Pid: 13, Speed: 50 } }),
    ]);
    expect(lines).toHaveLength(9);
  });

  it('shows the message and its parts on lines of their own', async () => {
    const { out } = await run('--single-line', '--obd', '7E8');
    expect(out).toContain(
      '(1.200000) can0 18FECA05#C0FF34120000FF00000000000000 :: DM1(Spn: 4660, Lamp: not available)',
    );
    expect(out).toContain('(1.300000) can0 7E8#06410C1AF80D32CC :: part of a message');
  });

  it('may be told to leave J1939 alone', async () => {
    const lines = jsonOf((await run('--json', '--j1939', 'off')).out);
    expect(lines.some(({ message }) => message === 'DM1')).toBe(false);
    expect(lines).toHaveLength(6);
  });

  it.each([
    [['--j1939', 'sometimes'], '--j1939 takes declared, every, off'],
    [['--isotp', '7E8;7E0'], '--isotp takes ID[,FLOW[,MESSAGE]] in hexadecimal'],
    [['--obd', 'FFFFFFFF'], '--obd takes'],
    [['--encoding', 'latin'], '--encoding takes'],
  ])('refuses %j', async (options, text) => {
    expect(await run(...options)).toMatchObject({ code: 2, err: expect.stringContaining(text) });
  });
});
