import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { FrameBatch, SignalInfo } from '#contracts';
import { createDecoder, type Decoder, type DecoderForm, RowReader, signalInfos } from '#decoders';
import { allocations } from './decode/allocations.ts';
import { type CBaseline, cBaseline } from './decode/c-baseline.ts';
import { candiedRound } from './decode/candied.ts';
import {
  type BenchInput,
  fromDatabase,
  fromLog,
  fromRecords,
  generatedDbc,
  inBenchOrder,
  rebatched,
} from './decode/input.ts';

export const name = 'decode';

const ROUNDS = 5;
/** Warm-up before the rounds: the optimising compiler takes the decoder's functions late. */
const WARM_FRAMES = 8_000_000;
/** candied is slow: a part of the frames tells as much. */
const CANDIED_FRAMES = 20_000;
const FORMS: readonly (readonly [form: DecoderForm, batchFrames: number])[] = [
  ['scalar', 1024],
  ['simd', 1024],
  ['grouped', 1024],
  ['grouped', 8192],
];

/**
 * Frames/s of `Decoder.decode`, the function that `agent/pipeline.ts` calls, on batches in the agent's layout, one
 * thread. Each form runs in rounds with the baselines over the same frames and database; a ratio is the median of the
 * rounds' ratios. Baselines: candied from npm, and C in the structure of cantools' generator (`gcc -O2 -flto`).
 *
 * `--dbc F --log F`: a candump log; `--dbc F --frames F`: 16-byte `struct can_frame` records; `--dbc F`: random payloads
 * over its messages; nothing: a generated database. `--share 0.1` decodes only that share of the signals, without C.
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
  const names = new Set(inBenchOrder(input.database).map((message) => message.name));
  const signals = signalInfos(input.database)
    .filter(({ message }) => names.has(message))
    .filter((_, i) => Math.floor((i + 1) * share) > Math.floor(i * share));
  const candied = candiedRound(input, CANDIED_FRAMES);
  const c = share === 1 ? cBaseline(input) : null;
  try {
    const forms = FORMS.map(([form, batchFrames]) =>
      measure(form, rebatched(input, batchFrames), batchFrames, signals, candied, c),
    );
    return {
      frames: input.frames,
      // The form that the pipeline uses, against the baseline that npm has.
      framesPerSecond: forms[0]!.framesPerSecond,
      ratioToCandied: forms[0]!.ratioToCandied,
      messages: names.size,
      signals: signals.length,
      candied: candied(),
      c:
        c === null
          ? 'no gcc on this machine, or not all signals'
          : { flags: 'gcc -O2 -flto', differingSignals: differing(input, signals, c) },
      forms,
    };
  } finally {
    c?.close();
  }
}

function inputOf(files: {
  dbc?: string | undefined;
  log?: string | undefined;
  frames?: string | undefined;
}): BenchInput {
  const { dbc, log, frames } = files;
  if (dbc === undefined) return fromDatabase(generatedDbc());
  if (log !== undefined) return fromLog(dbc, log);
  return frames === undefined ? fromDatabase(readFileSync(dbc)) : fromRecords(dbc, frames);
}

interface FormFigures {
  readonly form: DecoderForm;
  readonly batchFrames: number;
  readonly moduleBytes: number;
  /** Plan, emission, compilation and start of one decoder, ms. */
  readonly createMs: number;
  /** First pass over the frames. */
  readonly coldFramesPerSecond: number;
  readonly framesPerSecond: number;
  readonly ratioToCandied: number;
  readonly ratioToC: number | null;
  readonly allocations: object;
}

function measure(
  form: DecoderForm,
  input: BenchInput,
  maxFrames: number,
  signals: readonly SignalInfo[],
  candied: ReturnType<typeof candiedRound>,
  c: CBaseline | null,
): FormFigures {
  const { database, batches, frames } = input;
  const create = () => createDecoder({ channel: 0, database, signals, form, maxFrames });
  const createMs = time(create);
  const decoder = create();
  const cold = rate(decoder, batches, frames);
  for (let done = frames; done < WARM_FRAMES; done += frames) rate(decoder, batches, frames);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const ours = rate(decoder, batches, frames);
    const { framesPerSecond } = candied();
    return { ours, toCandied: ours / framesPerSecond, toC: c === null ? Number.NaN : ours / c.round() };
  });
  return {
    form,
    batchFrames: maxFrames,
    moduleBytes: decoder.module.length,
    createMs,
    coldFramesPerSecond: cold,
    framesPerSecond: median(rounds.map(({ ours }) => ours)),
    ratioToCandied: median(rounds.map(({ toCandied }) => toCandied)),
    ratioToC: c === null ? null : median(rounds.map(({ toC }) => toC)),
    allocations: allocations(decoder, batches),
  };
}

/** Signals whose last value is not the one that the C program keeps: 0, or the figures mean nothing. */
function differing(input: BenchInput, signals: readonly SignalInfo[], { last }: CBaseline): number {
  const decoder = createDecoder({ channel: 0, database: input.database, signals });
  const reader = new RowReader(decoder.layout, input.database);
  const ours = new Map<string, number>();
  for (const batch of input.batches) {
    for (const { message, values } of reader.read(decoder.decode(batch))) {
      for (const [signal, value] of values) ours.set(`${message.name}.${signal}`, Number(value));
    }
  }
  const order = inBenchOrder(input.database).flatMap((message) =>
    message.signals.map((one) => `${message.name}.${one.name}`),
  );
  return order.filter((key, i) => {
    const [a, b] = [ours.get(key) ?? Number.NaN, last[i]!];
    return a !== b && !(Number.isNaN(a) && Number.isNaN(b));
  }).length;
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
