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
BO_ 256 Engine: 4 ECU
 SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" ECU
 SG_ Gear : 16|3@1+ (1,0) [0|7] "" ECU
BO_ 2147484160 Far: 12 ECU
 SG_ One : 0|8@1- (1,0) [0|0] "" ECU
VAL_ 256 Gear 0 "Neutral" 7 "Reverse" ;
`;
const LOG = `(100.0) can1 100#00000700
(100.1) can0 100#00000700
nonsense
(100.2) can0 00000200##1FF0000000000000000000000
(100.6) can0 100#A10F0700
(101.1) can0 100#A20F0000
(101.1) can0 7FF#R
(101.1) can0 101#01
`;

let dir = '';
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'monitor-'));
  await writeFile(at('car.dbc'), DBC);
  await writeFile(at('drive.log'), LOG);
  await writeFile(at('drive.log.gz'), gzipSync(LOG));
});
afterAll(() => rm(dir, { recursive: true }));

interface Run {
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly interactive?: boolean;
  readonly signal?: AbortSignal;
}

async function tollgate(argv: string[], { stdin, interactive = false, signal }: Run = {}) {
  const seen = { out: '', err: '' };
  const code = await main(['monitor', ...argv], {
    stdin: stdin ?? lines(LOG),
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
    interactive,
    signal: signal ?? new AbortController().signal,
  });
  return { code, ...seen };
}

async function* lines(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

const SUMMARY = `  channel  id        message       frames  rate 1/s  age s  data                                 signals
  can0     100       Engine             3       2.0    0.0  A2 0F 00 00                          Speed 1000.5 rpm, Gear Neutral
  can0     101                          1         -    0.0  01
  can0     7FF       remote frame       1         -    0.0
  can0     00000200  Far                1         -    0.9  FF 00 00 00 00 00 00 00 00 00 00 00  One -1
  can1     100       Engine             1         -    1.1  00 00 07 00                          Speed 0 rpm, Gear Reverse
`;
describe('tollgate monitor without a terminal', () => {
  it('writes one summary at the end', async () => {
    const { code, out, err } = await tollgate(['--dbc', at('car.dbc')]);
    expect(code).toBe(0);
    expect(out).toBe(`stdin: 7 frames in 1.1 s\n${SUMMARY}`);
    expect(err).toBe('stdin: 1 line is no candump line; the first is 3: a line starts with (time)\n');
  });

  it('reads a log file, plain or gzip, at its own pace where asked', async () => {
    const plain = await tollgate([at('drive.log')]);
    const packed = await tollgate([at('drive.log.gz'), '--realtime']);
    expect(plain.out).toMatch(/^ {2}can0 +100 +3 +2\.0 +0\.0 +A2 0F 00 00$/m);
    expect(packed.out.split('\n').slice(1)).toEqual(plain.out.split('\n').slice(1));
  });

  it('writes one JSON object a message', async () => {
    const { out } = await tollgate(['--dbc', at('car.dbc'), '--json'], { interactive: true });
    const rows = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows[0]).toEqual({
      channel: 'can0',
      id: 256,
      ext: false,
      message: 'Engine',
      frames: 3,
      rate: 2,
      age: 0,
      data: 'A20F0000',
      changed: [0, 1, 2],
      values: { Speed: 1000.5, Gear: 0 },
      labels: { Gear: 'Neutral' },
    });
    expect(rows).toHaveLength(5);
  });

  it('shows nothing of an empty log but its name', async () => {
    expect(await tollgate([], { stdin: lines('') })).toEqual({ code: 0, out: 'stdin: 0 frames in 0.0 s\n', err: '' });
  });
});

describe('tollgate monitor on a terminal', () => {
  it('highlights the bytes that changed, and leaves the terminal as it was', async () => {
    const { out } = await tollgate(['--dbc', at('car.dbc'), at('drive.log')], { interactive: true });
    const leave = out.indexOf('\x1b[?1049l');
    expect(out.startsWith('\x1b[?1049h\x1b[?25l\x1b[?7l')).toBe(true);
    expect(out.slice(0, leave)).toContain('\x1b[7mA2\x1b[27m \x1b[7m0F\x1b[27m \x1b[7m00\x1b[27m 00');
    expect(out.slice(0, leave)).toContain('Gear Neutral');
    expect(out.slice(leave)).not.toContain('\x1b[7m');
    expect(out.slice(leave)).toContain('A2 0F 00 00');
  });

  it('shows what comes while it comes, and ends with Ctrl-C although the bus goes on', async () => {
    const controller = new AbortController();
    let shown: () => void = () => undefined;
    const drawn = new Promise<void>((resolve) => {
      shown = resolve;
    });
    async function* bus() {
      yield* lines(LOG);
      await drawn;
      controller.abort();
      await new Promise<never>(() => undefined);
    }
    let out = '';
    const code = await main(['monitor', '--dbc', at('car.dbc')], {
      stdin: bus(),
      out: (text) => {
        out += text;
        if (text.includes('Gear Reverse')) shown();
      },
      err: () => undefined,
      interactive: true,
      signal: controller.signal,
    });
    expect(code).toBe(0);
    expect(out.split('\x1b[?1049l')[1]).toContain('stdin: 7 frames');
  });

  it('lets no name of a file steer it', async () => {
    await writeFile(at('evil.dbc'), DBC.replace('"Reverse"', '"Re\x1b[2Jverse"'));
    const { out } = await tollgate(['--dbc', at('evil.dbc')], { stdin: lines('(1.0) can0 100#00000700\n') });
    expect(out).toContain('Re?[2Jverse');
    expect(out).not.toContain('\x1b');
  });

  it('cuts the rows to its height and says how many there are', async () => {
    const log = Array.from({ length: 300 }, (_, i) => `(1.0) can0 ${i.toString(16).padStart(3, '0')}#01\n`).join('');
    const { out } = await tollgate([], { stdin: lines(log), interactive: true });
    expect(out).toMatch(/… and \d+ more messages/);
    expect(out.split('\x1b[?1049l')[1]!.split('\n')).toHaveLength(303);
  });
});

describe('tollgate monitor', () => {
  it('keeps its memory where a log invents ids', async () => {
    const log = Array.from({ length: 5000 }, (_, i) => `(1.0) can0 ${i.toString(16).padStart(8, '0')}#01\n`).join('');
    const { out } = await tollgate([], { stdin: lines(log) });
    expect(out).toContain('stdin: 5,000 frames in 0.0 s, 904 frames of further ids are not shown');
  });

  it('says what is wrong with its words and files', async () => {
    const refused = async (code: string, ...argv: string[]) =>
      expect(await tollgate(argv)).toMatchObject({ code: 2, err: expect.stringContaining(code) });
    await refused('TG_CLI_USAGE', 'a.log', 'b.log');
    await refused('TG_CLI_USAGE', '--realtime');
    await refused('TG_CLI_FILE', '--dbc', at('none.dbc'));
    await refused('TG_LOG_FILE', at('none.log'));
  });
});

describe('tollgate monitor of a bus with transports', () => {
  const TRUCK = `BO_ 2566834942 DM1: 14 ECU
 SG_ Lamp : 6|2@1+ (1,0) [0|3] "" ECU
 SG_ Spn : 16|16@1+ (1,0) [0|65535] "" ECU
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2566834942 3;
`;
  const BUS = `(1.0) can0 1CECFF05#200E0002FFCAFE00
(1.1) can0 1CEBFF05#0140FF34120000FF
(1.2) can0 1CEBFF05#0200000000000000
`;

  it('has a row for a message in several frames, and counts frames only', async () => {
    await writeFile(at('truck.dbc'), TRUCK);
    const { out } = await tollgate(['--dbc', at('truck.dbc'), '--json'], { stdin: lines(BUS) });
    const rows = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map(({ id, message, frames }) => [id, message, frames])).toEqual([
      [0x18feca05, 'DM1', 1],
      [0x1cebff05, null, 2],
      [0x1cecff05, null, 1],
    ]);
    expect(rows[0].values).toEqual({ Lamp: 1, Spn: 0x1234 });
  });

  it('shows what is not available in words', async () => {
    const silent = BUS.replace('0140FF3412', '01C0FFFFFF');
    const { out } = await tollgate(['--dbc', at('truck.dbc')], { stdin: lines(silent) });
    expect(out).toContain('Lamp not available, Spn not available');
    expect(out).toContain('stdin: 3 frames');
  });

  it('reads every log format', async () => {
    const asc = 'date Thu Jan 1 00:00:00 1970\nbase hex timestamps absolute\n1.5 1 100 Rx d 4 A1 0F 07 00\n';
    await writeFile(at('drive.asc'), asc);
    const { out } = await tollgate([at('drive.asc'), '--dbc', at('car.dbc'), '--json']);
    expect(JSON.parse(out)).toMatchObject({ id: 0x100, message: 'Engine', values: { Speed: 1000.25, Gear: 7 } });
  });
});
