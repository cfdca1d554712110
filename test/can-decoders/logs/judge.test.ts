import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_ERR_FLAG, CAN_RTR_FLAG } from '#contracts';
import { AscWriter, CandumpWriter, type LogWriter, logFormat } from '#decoders';
import { pythonWith } from '../judge/python.ts';
import { type Frame, read } from './parts.ts';

const JUDGE = fileURLToPath(new URL('./judge.py', import.meta.url));
const python = pythonWith('can', 'logs are not judged');

/** The last is the channel: null where the judge does not tell it, as of error frames of candump logs. */
type Row = readonly [
  number,
  number | 'error',
  boolean,
  boolean,
  boolean,
  boolean,
  boolean,
  number,
  string,
  string | number | null,
];

function judged(path: string, command: 'read' | 'frames' = 'read'): Row[] {
  const text = execFileSync(python!, [JUDGE, command, path], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A frame in the words of the judge. python-can counts channels from 0 where the log counts from 1. */
function row({ time, id, length, flags, channel, data }: Frame): Row {
  const isError = (id & CAN_ERR_FLAG) !== 0;
  const number = /^\d+$/.test(channel) ? Number(channel) - 1 : channel;
  return [
    Math.round(time / 1000),
    isError ? 'error' : id & 0x1fffffff,
    isError || (id & CAN_EFF_FLAG) !== 0,
    !isError && (id & CAN_RTR_FLAG) !== 0,
    (flags & 4) !== 0,
    (flags & 1) !== 0,
    (flags & 2) !== 0,
    isError ? 0 : length,
    isError ? '' : data,
    number,
  ];
}

function ours(path: string): ReturnType<typeof read> {
  const file = readFileSync(path);
  const bytes = path.endsWith('.gz') ? gunzipSync(file) : file;
  const { make } = logFormat(bytes.subarray(0, 4096), basename(path));
  const result = read(make, bytes, {}, 1000);
  expect(result.problems).toEqual([]);
  return result;
}

/** Times within 1 µs, for python-can computes in doubles; all else equal. */
function expectSame(actual: readonly Row[], expected: readonly Row[]): void {
  expect(expected.length).toBeGreaterThan(200);
  expect(actual).toHaveLength(expected.length);
  const told = actual.map(([, ...rest], i) => (expected[i]?.[9] === null ? [...rest.slice(0, -1), null] : rest));
  expect(told).toEqual(expected.map(([, ...rest]) => rest));
  actual.forEach(([time], i) => {
    expect(Math.abs(time - expected[i]![0])).toBeLessThanOrEqual(1);
  });
}

/** `can2` and 2 are one channel; a PCAP names none. */
function channelOf(one: Row, name: string, first: number): Row {
  const channel = one[9];
  if (name === 'capture.pcap') return one.with(9, null) as unknown as Row;
  const number = typeof channel === 'string' ? Number(channel.replace('can', '')) : channel! + first;
  return one.with(9, number) as unknown as Row;
}

describe.skipIf(python === null)('python-can', () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'judge-'));
    execFileSync(python!, [JUDGE, 'write', dir]);
  }, 30_000);
  afterAll(() => rmSync(dir, { recursive: true }));

  it.each([
    'judge.log',
    'judge.asc',
    'judge.blf',
    'small.blf',
    'stored.blf',
    'judge.log.gz',
    'judge.asc.gz',
    'judge.blf.gz',
  ])('reads the same frames from %s', (name) => {
    const path = join(dir, name);
    expectSame(ours(path).frames.map(row), judged(path));
  });

  it.each(['plain.txt', 'gvret.csv', 'capture.pcap', 'capture.pcapng'])(
    'made the frames that we read from %s',
    (name) => {
      const expected = judged(name, 'frames');
      for (const ending of ['', '.gz']) {
        const rows = ours(join(dir, `${name}${ending}`)).frames.map(row);
        expectSame(
          rows.map((one) => channelOf(one, name, 1)),
          expected.map((one) => channelOf(one, name, 0)),
        );
      }
    },
  );

  it('reads from our ASC and candump what we read from its BLF', () => {
    const { batches, frames } = ours(join(dir, 'judge.blf'));
    const text = (writer: LogWriter) =>
      Buffer.concat([...batches.map((batch) => Buffer.from(writer.write(batch))), Buffer.from(writer.end())]);
    writeFileSync(join(dir, 'ours.asc'), text(new AscWriter()));
    writeFileSync(join(dir, 'ours.log'), text(new CandumpWriter()));
    const plain = frames.map(row);
    const unnumbered = (rows: readonly Row[]) => rows.map((one): Row => one.with(9, null) as unknown as Row);
    expectSame(unnumbered(judged(join(dir, 'ours.asc'))), unnumbered(plain));
    expectSame(unnumbered(judged(join(dir, 'ours.log'))), unnumbered(plain));
  });
});
