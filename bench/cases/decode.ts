import type { FrameBatch, SignalInfo } from '#contracts';
import { createDecoder, type Decoder, type DecoderForm, RowReader, signalInfos } from '#decoders';
import { allocations } from './decode/allocations.ts';
import { type CBaseline, type CProgram, cBaseline, FLAGS } from './decode/c-baseline.ts';
import { candiedRound } from './decode/candied.ts';
import { candumpRates } from './decode/candump.ts';
import { cantoolsRate } from './decode/cantools.ts';
import { coldFigures } from './decode/cold.ts';
import { handOver } from './decode/hand-over.ts';
import { type BenchInput, inBenchOrder, inputOf, rebatched } from './decode/input.ts';
import { AllReader } from './decode/read-all.ts';

export const name = 'decode';

const ROUNDS = 7;
/** Warm-up before the rounds: the optimising compiler takes the decoder's functions late. */
const WARM_FRAMES = 4_000_000;
/** Passes of a round, of which the best counts, as in the C programs: what disturbs a pass only adds to it. */
const PASSES = 3;
/** candied and cantools are slow: a part of the frames tells as much. */
const SLOW_FRAMES = 20_000;
/** Share of the signals in the small plan. */
const SMALL_SHARE = 0.1;
const LIVE_BATCH = 256;
const FORMS: readonly (readonly [form: DecoderForm, batchFrames: number])[] = [
  ['grouped', 1024],
  ['grouped', 8192],
  ['grouped', LIVE_BATCH],
  ['simd', 1024],
  ['scalar', 1024],
];

/** What the ratios should at least (or at most) be; those to C depend on the byte order of the database. */
const GOALS = {
  perFrameToC: { intel: 1.5, motorola: 0.95 },
  groupedToC: { intel: 2.5, motorola: 1.4 },
  toCantools: 100,
  firstToWarm: 0.8,
  nodeToCreate: 1,
  smallPlanToFull: 1.4,
  handOverAtMost: 3,
  candumpFramesPerSecond: 4_000_000,
} as const;

/**
 * Frames/s of `Decoder.decode`, the function that `agent/pipeline.ts` calls, on batches in the agent's layout, one
 * thread. Each form runs in rounds with the baselines over the same frames and database; a ratio is the median of the
 * rounds' ratios. What a pass does: copies the batch in, looks up ids, writes a row a frame with header, presence and
 * the bits of every signal in a cell of its own; a number is made of them where one is read. The C programs keep one
 * physical double a signal instead: `everyValueRead` is what it costs to read all of them as such in JavaScript too.
 */
export async function run(args: string[]): Promise<object> {
  const input = inputOf(args);
  const { database, share } = input;
  const names = new Set(inBenchOrder(database).map((message) => message.name));
  const all = signalInfos(database).filter(({ message }) => names.has(message));
  const signals = spread(all, share);
  const candied = candiedRound(input, SLOW_FRAMES);
  const c = share === 1 ? cBaseline(input) : null;
  const motorola = all.length > 0 && motorolaShare(input) > 0.5 ? 'motorola' : 'intel';
  try {
    const forms = FORMS.map(([form, batchFrames]) =>
      measure(form, rebatched(input, batchFrames), batchFrames, signals, c),
    );
    const best = forms[0]!;
    const cantools = cantoolsRate(input.dbc, input, SLOW_FRAMES);
    const cold = coldFigures(args);
    const small = smallPlan(input, all, spread(all, SMALL_SHARE));
    const live = rebatched(input, LIVE_BATCH).batches;
    const create = (changes: boolean) => createDecoder({ channel: 0, database, signals, changes });
    const changed = handOver(create, live, ROUNDS);
    const decoder = create(false);
    const candump = candumpRates(input, decoder);
    const { framesPerSecond: candiedRate, valuesPerFrame } = candied();
    const grouped = Math.max(...forms.filter(({ form }) => form === 'grouped').map(({ ratioToC }) => ratioToC ?? 0));
    return {
      frames: input.frames,
      messages: names.size,
      signals: signals.length,
      framesPerSecond: best.framesPerSecond,
      ratioToCandied: best.framesPerSecond / candiedRate,
      ratios: {
        perFrameToC: { is: forms.find(({ form }) => form === 'simd')!.ratioToC, goal: GOALS.perFrameToC[motorola] },
        groupedToC: { is: c === null ? null : grouped, goal: GOALS.groupedToC[motorola] },
        toCantools: {
          is: typeof cantools === 'number' ? best.framesPerSecond / cantools : cantools,
          goal: GOALS.toCantools,
        },
        firstToWarm: { is: cold.firstFramesPerSecond / cold.warmFramesPerSecond, goal: GOALS.firstToWarm },
        nodeToCreate: { is: cold.nodeMs / cold.createMs, goal: GOALS.nodeToCreate },
        smallPlanToFull: { is: small, goal: GOALS.smallPlanToFull },
        handOver: { is: changed.ratio, goalAtMost: GOALS.handOverAtMost, changedPerFrame: changed.changedPerFrame },
        candumpFramesPerSecond: { is: candump.parseAndDecode, goal: GOALS.candumpFramesPerSecond },
      },
      c:
        c === null
          ? 'no gcc on this machine, or not all signals'
          : { ...cFigures(c), differingSignals: differing(input, signals, c) },
      candied: { framesPerSecond: candiedRate, valuesPerFrame },
      cantools,
      cold,
      candump,
      everyValueRead: everyValueRead(input, decoder, c),
      forms,
    };
  } finally {
    c?.close();
  }
}

/** Decoding and reading every value as a physical double, beside the C program that keeps them. */
function everyValueRead({ batches, frames }: BenchInput, decoder: Decoder, c: CBaseline | null): object {
  const reader = new AllReader(decoder);
  const pass = () => {
    const start = performance.now();
    for (const batch of batches) reader.read(decoder.decode(batch));
    return (frames / (performance.now() - start)) * 1000;
  };
  for (let i = 0; i < 3; i++) pass();
  const rounds = Array.from({ length: ROUNDS }, () => {
    const ours = Math.max(pass(), pass(), pass());
    return { ours, ratio: c === null ? Number.NaN : ours / c.round('generated') };
  });
  return {
    framesPerSecond: median(rounds.map(({ ours }) => ours)),
    ratioToC: c === null ? null : median(rounds.map(({ ratio }) => ratio)),
  };
}

/** A share of the signals, evenly over the messages. */
function spread(signals: readonly SignalInfo[], share: number): SignalInfo[] {
  return signals.filter((_, i) => Math.floor((i + 1) * share) > Math.floor(i * share));
}

function motorolaShare({ database }: BenchInput): number {
  const signals = database.messages.flatMap((message) => message.signals);
  return signals.filter(({ byteOrder }) => byteOrder === 'motorola').length / signals.length;
}

interface FormFigures {
  readonly form: DecoderForm;
  readonly batchFrames: number;
  readonly moduleBytes: number;
  readonly framesPerSecond: number;
  readonly ratioToC: number | null;
  readonly ratioToHandC: number | null;
  readonly ratioToGroupedHandC: number | null;
  readonly allocations: object;
}

function measure(
  form: DecoderForm,
  { database, batches, frames }: BenchInput,
  batchFrames: number,
  signals: readonly SignalInfo[],
  c: CBaseline | null,
): FormFigures {
  const decoder = createDecoder({ channel: 0, database, signals, form });
  for (let done = 0; done < WARM_FRAMES; done += frames) rate(decoder, batches, frames);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const to = (program: CProgram) => (c === null ? Number.NaN : c.round(program));
    const before = best(decoder, batches, frames);
    const rates = { generated: to('generated'), hand: to('hand'), handGrouped: to('handGrouped') };
    // On both sides of the baselines, so that a machine that slows down slows both.
    return { ours: Math.max(before, best(decoder, batches, frames)), ...rates };
  });
  const ratio = (program: CProgram) => (c === null ? null : median(rounds.map((one) => one.ours / one[program])));
  return {
    form,
    batchFrames,
    moduleBytes: decoder.module.length,
    framesPerSecond: median(rounds.map(({ ours }) => ours)),
    ratioToC: ratio('generated'),
    ratioToHandC: ratio('hand'),
    ratioToGroupedHandC: ratio('handGrouped'),
    allocations: allocations(decoder, batches),
  };
}

function cFigures(c: CBaseline): object {
  return {
    flags: `gcc ${FLAGS.join(' ')}`,
    generatedFramesPerSecond: c.round('generated'),
    handFramesPerSecond: c.round('hand'),
    handGroupedFramesPerSecond: c.round('handGrouped'),
  };
}

/** How much faster a plan with a part of the signals runs, over the same frames. */
function smallPlan(input: BenchInput, all: readonly SignalInfo[], few: readonly SignalInfo[]): number {
  const { database, batches, frames } = input;
  const [full, small] = [all, few].map((signals) => createDecoder({ channel: 0, database, signals }));
  for (let i = 0; i < 3; i++) for (const decoder of [full!, small!]) rate(decoder, batches, frames);
  return median(Array.from({ length: ROUNDS }, () => best(small!, batches, frames) / best(full!, batches, frames)));
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

function best(decoder: Decoder, batches: readonly FrameBatch[], frames: number): number {
  return Math.max(...Array.from({ length: PASSES }, () => rate(decoder, batches, frames)));
}

function rate(decoder: Decoder, batches: readonly FrameBatch[], frames: number): number {
  const start = performance.now();
  for (const batch of batches) decoder.decode(batch);
  return (frames / (performance.now() - start)) * 1000;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}
