import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { FrameBatch } from '#contracts';
import { createDecoder, type Decoder, ROW_HEADER_BYTES, signalInfos } from '#decoders';
import { candiedRound } from './decode/candied.ts';
import { type BenchInput, fromDatabase, fromLog, fromRecords, generatedDbc } from './decode/input.ts';

export const name = 'decode';

const ROUNDS = 5;
/** Warm-up before the rounds: the optimising compiler takes the decoder's function in one piece, late. */
const WARM_FRAMES = 4_000_000;
/** candied is slow: a part of the frames tells as much. */
const CANDIED_FRAMES = 20_000;

/**
 * Frames/s of `Decoder.decode`, the function that `agent/pipeline.ts` calls, on batches in the agent's layout; rounds are
 * interleaved with candied over the same frames and database, and the ratio is the median of the rounds' ratios.
 *
 * `--dbc F --log F`: a candump log; `--dbc F --frames F`: 16-byte `struct can_frame` records; `--dbc F`: random payloads
 * over its messages; nothing: a generated database. `--share 0.1` decodes only that share of the signals.
 */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      dbc: { type: 'string' },
      log: { type: 'string' },
      frames: { type: 'string' },
      share: { type: 'string', default: '1' },
    },
  });
  const input = inputOf(values);
  const share = Number(values.share);
  const signals = signalInfos(input.database).filter((_, i) => Math.floor((i + 1) * share) > Math.floor(i * share));
  const createMs = time(() => createDecoder({ channel: 0, database: input.database, signals }));
  const decoder = createDecoder({ channel: 0, database: input.database, signals });
  const cold = rate(decoder, input.batches, input.frames);
  for (let frames = input.frames; frames < WARM_FRAMES; frames += input.frames) rate(decoder, input.batches, 0);
  const candied = candiedRound(input, CANDIED_FRAMES);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const ours = rate(decoder, input.batches, input.frames);
    const theirs = candied();
    return { ours, theirs, ratio: ours / theirs.framesPerSecond };
  });
  return {
    frames: input.frames,
    messages: decoder.layout.messages.length,
    signals: signals.length,
    moduleBytes: decoder.module.length,
    createMs,
    coldFramesPerSecond: cold,
    framesPerSecond: median(rounds.map(({ ours }) => ours)),
    valuesPerFrame: valuesPerFrame(decoder, input),
    baseline: {
      name: 'candied',
      framesPerSecond: median(rounds.map(({ theirs }) => theirs.framesPerSecond)),
      valuesPerFrame: rounds[0]!.theirs.valuesPerFrame,
    },
    ratio: median(rounds.map(({ ratio }) => ratio)),
    allocations: allocations(decoder, input.batches),
  };
}

function inputOf({
  dbc,
  log,
  frames,
}: {
  dbc?: string | undefined;
  log?: string | undefined;
  frames?: string | undefined;
}): BenchInput {
  if (dbc === undefined) return fromDatabase(generatedDbc());
  if (log !== undefined) return fromLog(dbc, log);
  return frames === undefined ? fromDatabase(readFileSync(dbc)) : fromRecords(dbc, frames);
}

function valuesPerFrame(decoder: Decoder, { batches, frames }: BenchInput): number {
  let values = 0;
  for (const batch of batches) {
    const { u32, bytes } = decoder.decode(batch);
    for (let at = 0; at < bytes; ) {
      const { cells, rowBytes } = decoder.layout.messages[u32[at / 4]!]!;
      const words = (rowBytes - ROW_HEADER_BYTES) / 4 - cells * 2;
      for (let word = 0; word < words; word++) values += bitCount(u32[(at + ROW_HEADER_BYTES) / 4 + word]!);
      at += rowBytes;
    }
  }
  return values / frames;
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function time(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function rate(decoder: Decoder, batches: readonly FrameBatch[], frames: number): number {
  const ms = time(() => {
    for (const batch of batches) decoder.decode(batch);
  });
  return (frames / ms) * 1000;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

/**
 * Bytes of the JavaScript heap that grow while batches are decoded, after a full collection, divided by frames. What a
 * batch costs (none here: each batch is its whole buffer) would show as bytes / batch size; a control that allocates one
 * object a frame shows that the method sees it. Needs `--expose-gc`, which `npm run bench` sets.
 */
function allocations(decoder: Decoder, batches: readonly FrameBatch[]): object {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return { skipped: 'needs --expose-gc' };
  const some = batches.slice(0, 200);
  const frames = some.reduce((sum, { count }) => sum + count, 0);
  const measure = (work: (batch: FrameBatch) => void): number => {
    for (const batch of some) work(batch);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const batch of some) work(batch);
    return (process.memoryUsage().heapUsed - before) / frames;
  };
  const kept: object[] = [];
  return {
    bytesPerFrame: measure((batch) => decoder.decode(batch)),
    controlBytesPerFrame: measure((batch) => {
      for (let i = 0; i < batch.count; i++) kept.push({ i });
    }),
  };
}
