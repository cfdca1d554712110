import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logSource, recognise } from '#agent/sources/log';
import { main } from '#cli/main';
import type { FrameBatch } from '#contracts';
import { BOOT, type Frame, framesOf } from './parts.ts';

const DBC = 'BO_ 256 Engine: 8 ECU\n SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" ECU\n';

/** The frame 100#A00F on channel 1 or can0, in each format. */
const LOGS: readonly (readonly [string, Uint8Array])[] = [
  ['candump', Buffer.from('(1.5) can0 100#A00F\n')],
  ['candump plain', Buffer.from(' (1.5)  can0  100   [2]  A0 0F\n')],
  ['ASC', Buffer.from('base hex timestamps absolute\n1.5 1 100 Rx d 2 A0 0F\n')],
  ['CSV', Buffer.from('Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2\n1500000,100,false,Rx,0,2,A0,0F,\n')],
  ['BLF', blf()],
  ['PCAP', pcap()],
];

function blf(): Uint8Array {
  const bytes = Buffer.alloc(144 + 48);
  bytes.write('LOGG');
  bytes.writeUInt32LE(144, 4);
  bytes.write('LOBJ', 144);
  bytes.writeUInt16LE(32, 148);
  bytes.writeUInt16LE(1, 150);
  bytes.writeUInt32LE(48, 152);
  bytes.writeUInt32LE(1, 156);
  bytes.writeUInt32LE(2, 160);
  bytes.writeUInt32LE(1_500_000_000, 168);
  bytes.set([1, 0, 0, 2, 0, 1, 0, 0, 0xa0, 0x0f], 176);
  return bytes;
}

function pcap(): Uint8Array {
  const bytes = Buffer.alloc(24 + 16 + 10);
  bytes.writeUInt32LE(0xa1b2c3d4);
  bytes.writeUInt32LE(227, 20);
  bytes.writeUInt32LE(1, 24);
  bytes.writeUInt32LE(500_000, 28);
  bytes.writeUInt32LE(10, 32);
  bytes.writeUInt32LE(10, 36);
  bytes.set([0, 0, 1, 0, 2, 0, 0, 0, 0xa0, 0x0f], 40);
  return bytes;
}

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logs-'));
  await writeFile(join(dir, 'car.dbc'), DBC);
});
afterAll(() => rm(dir, { recursive: true }));

async function decode(path: string) {
  const seen = { out: '', err: '' };
  const code = await main(['decode', '--dbc', join(dir, 'car.dbc'), '--json', path], {
    stdin: (async function* () {})(),
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

async function played(path: string) {
  const frames: Frame[] = [];
  const source = logSource({ name: 'log', path, bootId: BOOT });
  await source.open((batch: FrameBatch) => void frames.push(...framesOf(batch, ['bus'])), { ids: [null] });
  await source.ended;
  await source.close();
  return { frames, malformed: source.malformed() };
}

describe.each(LOGS)('a log of %s', (name, bytes) => {
  it('is decoded and played, plain and gzip, whatever its name', async () => {
    for (const content of [bytes, gzipSync(bytes)]) {
      const path = join(dir, `${name}.bin`);
      await writeFile(path, content);
      const { code, out, err } = await decode(path);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(JSON.parse(out)).toMatchObject({ t: 1.5, id: 256, message: 'Engine', values: { Speed: 1000 } });
      expect(await played(path)).toEqual({
        frames: [{ time: 0, id: 256, length: 2, flags: 0, channel: 'bus', data: 'a00f' }],
        malformed: 0,
      });
    }
  });
});

describe.each(LOGS)('a log of %s that is not as it should be', (name, bytes) => {
  it.each(['blf', 'asc', 'csv', 'pcap', 'pcapng', 'log'])(
    'is read by its content where its name says .%s',
    async (ending) => {
      const path = join(dir, `${name}.mislabelled.${ending}`);
      await writeFile(path, bytes);
      expect(await played(path)).toMatchObject({ frames: [{ id: 256, data: 'a00f' }], malformed: 0 });
    },
  );

  it('is counted and located where it ends too early, wherever that is', async () => {
    for (let end = 1; end < bytes.length; end++) {
      const path = join(dir, `${name}.cut`);
      await writeFile(path, bytes.subarray(0, end));
      const { err, code } = await decode(path);
      expect(code).toBe(0);
      const lines = err.split('\n').filter((line) => line !== '');
      for (const line of lines) expect(line).toMatch(/:(byte )?\d+: not a /);
      // Text may end anywhere and be whole; of a binary log only the end of its head is one.
      const isBinary = bytes.includes(0);
      const [from, to] = HEADS[name] ?? [0, 0];
      const isHead = end >= from && end <= to;
      if (isBinary && end > 4) expect([name, end, lines.length]).toEqual([name, end, isHead ? 0 : 1]);
    }
  });
});

/** Bytes of the head of a binary log; less than an object's worth of padding may follow in a BLF. */
const HEADS: Readonly<Record<string, readonly [number, number]>> = { BLF: [144, 147], PCAP: [24, 24] };

describe('a log that is cut short', () => {
  it('is reported with the offset of what lacks', async () => {
    const path = join(dir, 'cut.blf');
    await writeFile(path, blf().subarray(0, 180));
    expect(await decode(path)).toEqual({
      code: 0,
      out: '',
      err: `${path}:byte 144: not a frame: an object is cut short\n`,
    });
  });

  it('gives what was whole, and rejects where gzip is damaged', async () => {
    const path = join(dir, 'cut.asc.gz');
    const text = `base hex timestamps absolute\n${'1.5 1 100 Rx d 2 A0 0F\n'.repeat(2000)}`;
    await writeFile(path, gzipSync(text).subarray(0, -12));
    const frames: number[] = [];
    const source = logSource({ name: 'log', path, bootId: BOOT });
    await source.open(({ count }) => void frames.push(count), { ids: [null] });
    await expect(source.ended).rejects.toMatchObject({ code: 'TG_LOG_GZIP' });
    expect(frames.length).toBeGreaterThan(0);
  });
});

describe('what is recognised', () => {
  it('keeps every byte of a stream that comes in pieces', async () => {
    const pieces = ['(1.5', ') can0 ', '100#A00F\n(2.5) can0 100#', 'A00F\n'].map((text) => Buffer.from(text));
    const { format, chunks } = await recognise(
      (async function* () {
        yield* pieces;
      })(),
    );
    expect(format.name).toBe('candump');
    const seen: Uint8Array[] = [];
    for await (const chunk of chunks) seen.push(chunk);
    expect(Buffer.concat(seen)).toEqual(Buffer.concat(pieces));
  });
});
