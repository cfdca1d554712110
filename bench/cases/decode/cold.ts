import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CLASSIC_SLOT_BYTES, type FrameBatch, HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { Database } from '#dbc';
import { createDecoder, idWord, signalInfos } from '#decoders';
import { inBenchOrder, inputOf } from './input.ts';

/** Synthetic frames before the first real one, ms. */
const WARM_UP_MS = 100;
const WARM_PASSES = 8;
const PROCESSES = 7;

export interface ColdFigures {
  /** Plan, emission, compilation and start of one decoder in a fresh process, ms. */
  readonly createMs: number;
  /** `node -e 0` of the same run, ms. */
  readonly nodeMs: number;
  readonly firstFramesPerSecond: number;
  readonly warmFramesPerSecond: number;
  /** A pass over frames that were decoded often before: here the processor knows what comes. */
  readonly seenFramesPerSecond: number;
}

/**
 * Measured in fresh processes, because a process keeps the code of modules that it has seen. Of each figure the best: a first
 * pass takes some 10 ms, and whatever else the machine does in them only adds. The warm pass is over the same frames in
 * another order: from pass to pass over one order the processor learns its jumps, however long the code was warmed.
 */
export function coldFigures(args: readonly string[]): ColdFigures {
  const runs = Array.from({ length: PROCESSES }, () => {
    const start = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    const nodeMs = performance.now() - start;
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], { encoding: 'utf8' });
    if (child.status !== 0) throw new Error(child.stderr);
    return { ...(JSON.parse(child.stdout) as Omit<ColdFigures, 'nodeMs'>), nodeMs };
  });
  return {
    createMs: Math.min(...runs.map(({ createMs }) => createMs)),
    nodeMs: Math.min(...runs.map(({ nodeMs }) => nodeMs)),
    firstFramesPerSecond: Math.max(...runs.map(({ firstFramesPerSecond }) => firstFramesPerSecond)),
    warmFramesPerSecond: Math.max(...runs.map(({ warmFramesPerSecond }) => warmFramesPerSecond)),
    seenFramesPerSecond: Math.max(...runs.map(({ seenFramesPerSecond }) => seenFramesPerSecond)),
  };
}

/** A batch of frames of the plan's ids with payloads that no one has seen. */
function synthetic(database: Database): FrameBatch {
  const messages = inBenchOrder(database);
  const count = 1024;
  const bytes = new Uint8Array(count * CLASSIC_SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const message = messages[(i * 7919) % messages.length]!;
    const slot = i * CLASSIC_SLOT_BYTES;
    view.setUint32(slot + OFFSET_ID, idWord(message), true);
    view.setUint8(slot + OFFSET_LENGTH, message.length);
    for (let byte = 0; byte < message.length; byte++)
      view.setUint8(slot + HEADER_BYTES + byte, (i * 31 + byte * 17) & 255);
  }
  const utc = { utcOffsetNs: null, utcErrorNs: Number.POSITIVE_INFINITY, utcSource: 'unknown' } as const;
  return { bytes, slotBytes: CLASSIC_SLOT_BYTES, count, bootId: new Uint8Array(8), ...utc };
}

/** The frames of a batch from the last to the first. */
function reversed(batch: FrameBatch): FrameBatch {
  const { slotBytes, count } = batch;
  const bytes = new Uint8Array(count * slotBytes);
  for (let i = 0; i < count; i++)
    bytes.set(batch.bytes.subarray(i * slotBytes, (i + 1) * slotBytes), (count - 1 - i) * slotBytes);
  return { ...batch, bytes };
}

function main(args: string[]): void {
  const { database, batches, frames } = inputOf(args);
  const names = new Set(inBenchOrder(database).map(({ name }) => name));
  const signals = signalInfos(database).filter(({ message }) => names.has(message));
  const turned = batches.toReversed().map(reversed);
  const create = performance.now();
  const decoder = createDecoder({ channel: 0, database, signals });
  const createMs = performance.now() - create;
  const batch = synthetic(database);
  for (const end = performance.now() + WARM_UP_MS; performance.now() < end; ) decoder.decode(batch);
  const pass = (of: readonly FrameBatch[]) => {
    const start = performance.now();
    for (const one of of) decoder.decode(one);
    return (frames / (performance.now() - start)) * 1000;
  };
  const firstFramesPerSecond = pass(batches);
  const seen = Array.from({ length: WARM_PASSES }, () => pass(batches)).sort((a, b) => a - b);
  const warmFramesPerSecond = pass(turned);
  const figures = { createMs, firstFramesPerSecond, warmFramesPerSecond, seenFramesPerSecond: seen[WARM_PASSES >> 1]! };
  process.stdout.write(JSON.stringify(figures));
}

if (import.meta.main) main(process.argv.slice(2));
