import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LogSourceOptions, logSource } from '#agent/sources/log';
import type { FrameFilter, TollgateError } from '#contracts';

const ALL: FrameFilter = { ids: [null] };
let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'candump-'));
});
afterAll(() => rm(dir, { recursive: true }));

const line = (i: number, name = 'can0') =>
  `(${1000 + Math.floor(i / 1000)}.${String(i % 1000).padStart(3, '0')}000) ${name} ${(i % 4).toString(16).padStart(3, '0')}#${(i & 255).toString(16).padStart(2, '0')}\n`;
const log = (frames: number) => Array.from({ length: frames }, (_, i) => line(i)).join('');

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

/** First payload byte of each frame, as delivered; every delivery takes a turn of the loop. */
async function play(options: Omit<LogSourceOptions, 'name' | 'bootId'>, filter = ALL) {
  const source = logSource({ name: 'log', bootId: new Uint8Array(8), ...options });
  const seen: number[] = [];
  const channels = new Set<number>();
  let inside = 0;
  await source.open(async ({ bytes, slotBytes, count }) => {
    expect(++inside, 'one delivery at a time').toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < count; i++) {
      seen.push(bytes[i * slotBytes + 16]!);
      channels.add(bytes[i * slotBytes + 14]!);
    }
    inside--;
  }, filter);
  const error = await source.ended.then(
    () => null,
    (reason: TollgateError) => reason,
  );
  return { seen, channels, error, source };
}

describe('a candump source', () => {
  it('delivers a plain log whole and in order, awaiting each delivery', async () => {
    const { seen, error, source } = await play({ path: await file('plain.log', log(5000)) });
    expect(error).toBeNull();
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, i) => i & 255));
    expect(source.dropped()).toEqual({ count: 0, exact: true });
  });

  it('unpacks a gzip log, whatever its name', async () => {
    const { seen } = await play({ path: await file('packed.log', gzipSync(log(3000))) });
    expect(seen).toHaveLength(3000);
  });

  it('drops early what the filter does not name', async () => {
    const { seen } = await play({ path: await file('filter.log', log(400)) }, { ids: [[1]] });
    expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => (i * 4 + 1) & 255));
  });

  it('writes its channel into the frames and uses the filter of that channel', async () => {
    const { seen, channels } = await play({ path: await file('channel.log', log(40)), channel: 1 }, { ids: [[], [2]] });
    expect(seen).toHaveLength(10);
    expect([...channels]).toEqual([1]);
  });

  it('takes channels from interface names', async () => {
    const text = line(1, 'can0') + line(2, 'can1') + line(3, 'other');
    const { seen, channels } = await play(
      { path: await file('names.log', text), channels: { can0: 0, can1: 1 } },
      { ids: [null, null] },
    );
    expect(seen).toEqual([1, 2]);
    expect([...channels]).toEqual([0, 1]);
  });

  it('counts malformed lines and goes on', async () => {
    const reported: number[] = [];
    const { seen, source, error } = await play({
      path: await file('bad.log', `${line(0)}what\n${line(1)}(1.0) can0 zzz\n${line(2)}`),
      onMalformed: (number) => reported.push(number),
    });
    expect(seen).toEqual([0, 1, 2]);
    expect(reported).toEqual([2, 4]);
    expect(source.malformed()).toBe(2);
    expect(error).toBeNull();
  });
});

describe('a log that cannot be read to its end', () => {
  it('is refused when it is not there', async () => {
    const source = logSource({ name: 'log', path: join(dir, 'absent.log'), bootId: new Uint8Array(8) });
    await expect(source.open(() => undefined, ALL)).rejects.toMatchObject({ code: 'TG_LOG_FILE' });
    await source.close();
  });

  it('stops at the cap when it is a compressed bomb', async () => {
    const path = await file('bomb.gz', gzipSync(log(20_000)));
    const { error, seen } = await play({ path, maxDecompressedBytes: 300_000 });
    expect(error).toMatchObject({ code: 'TG_LOG_TOO_LARGE' });
    expect(seen.length).toBeLessThan(20_000);
  });

  it('gives what came before the damage', async () => {
    const packed = gzipSync(log(200_000));
    const half = packed.length >>> 1;
    const { error, seen } = await play({ path: await file('cut.gz', packed.subarray(0, half)) });
    expect(error).toMatchObject({ code: 'TG_LOG_GZIP' });
    expect(seen.length).toBeGreaterThan(10_000);
    const corrupt = packed.slice();
    corrupt.fill(0x55, half, half + 64);
    expect((await play({ path: await file('corrupt.gz', corrupt) })).error).toMatchObject({ code: 'TG_LOG_GZIP' });
  });

  it('can be closed in the middle', async () => {
    const path = await file('long.log', log(100_000));
    const source = logSource({ name: 'log', path, bootId: new Uint8Array(8), batchFrames: 10 });
    let batches = 0;
    await source.open(async () => {
      batches++;
      await new Promise((resolve) => setImmediate(resolve));
      if (batches === 3) void source.close();
    }, ALL);
    await source.ended;
    expect(batches).toBe(3);
  });

  it('ends with the error of who takes the frames', async () => {
    const source = logSource({ name: 'log', path: await file('throw.log', log(10)), bootId: new Uint8Array(8) });
    await source.open(() => {
      throw new Error('full');
    }, ALL);
    await expect(source.ended).rejects.toThrow('full');
  });
});

describe('a log in real time', () => {
  it('gives no frame before its time', async () => {
    const start = performance.now();
    const late: number[] = [];
    const source = logSource({
      name: 'log',
      path: await file('slow.log', log(60)),
      bootId: new Uint8Array(8),
      realtime: true,
    });
    await source.open(({ bytes, slotBytes, count }) => {
      const last = new DataView(bytes.buffer, bytes.byteOffset).getUint32((count - 1) * slotBytes, true) / 1e6;
      late.push(performance.now() - start - last);
    }, ALL);
    await source.ended;
    expect(late.length).toBeGreaterThan(1);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(-1);
  });
});
