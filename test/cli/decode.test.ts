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
