import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BENCH_FORMATS, type BenchFormat, writeLog } from './logs/write.ts';

export const name = 'logs';

const MIB = 2 ** 20;
const READER = fileURLToPath(new URL('./logs/read.ts', import.meta.url));
const PYTHON = fileURLToPath(new URL('../../.bench/judges/bin/python3', import.meta.url));
/** python-can is slow: a part of the log tells as much. */
const JUDGED_BYTES = 4 * MIB;
/** What python-can reads of these. */
const JUDGED: Partial<Record<BenchFormat, string>> = { candump: 'log', asc: 'asc', blf: 'blf' };
const JUDGE = `import sys, time, can
start = time.perf_counter()
frames = sum(1 for _ in can.LogReader(sys.argv[1]))
print(frames / (time.perf_counter() - start))`;

interface Read {
  readonly size: number;
  readonly frames: number;
  readonly malformed: number;
  readonly ms: number;
  readonly peak: number;
  readonly quarters: readonly number[];
}

/**
 * Log formats as the agent reads them: MB/s of the file, frames/s and resident memory over the time, each in a process of its own.
 * The logs are written first: BLF with zlib of `--mb` (200), the others of a quarter of it. Baseline: python-can (of
 * .ci/steps/20-judges.sh) on a log of 4 MiB of the same run, where it knows the format.
 */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({ args, options: { mb: { type: 'string', default: '200' } } });
  const most = Number(values.mb) * MIB;
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  try {
    return { formats: Object.fromEntries(BENCH_FORMATS.map((format) => [format, measure(dir, format, most)])) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function measure(dir: string, format: BenchFormat, most: number): object {
  const path = join(dir, `bench.${format}`);
  const written = writeLog(path, format, format === 'blf' ? most : most / 4);
  const read: Read = JSON.parse(execFileSync(process.execPath, [READER, path], { encoding: 'utf8' }));
  if (read.frames !== written.frames || read.malformed !== 0) {
    throw new Error(`${format}: ${read.frames} frames, written were ${written.frames}`);
  }
  rmSync(path);
  const framesPerSecond = read.frames / (read.ms / 1000);
  const judged = pythonCan(dir, format);
  const mib = (bytes: number) => Math.round(bytes / MIB);
  return {
    fileMiB: mib(read.size),
    mbPerSecond: Math.round(read.size / 1e3 / read.ms),
    framesPerSecond: Math.round(framesPerSecond),
    ratioToPythonCan: judged === null ? null : framesPerSecond / judged,
    peakRssMiB: mib(read.peak),
    rssMiBByQuarter: read.quarters.map(mib),
  };
}

function pythonCan(dir: string, format: BenchFormat): number | null {
  const ending = JUDGED[format];
  if (ending === undefined || !existsSync(PYTHON)) return null;
  const path = join(dir, `judged.${ending}`);
  writeLog(path, format, JUDGED_BYTES);
  return Number(execFileSync(PYTHON, ['-c', JUDGE, path], { encoding: 'utf8' }));
}
