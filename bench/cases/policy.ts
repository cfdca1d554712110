import { loadDatabase, signalCatalogue } from '#dbc';
import { createDecoder } from '#decoders';
import { compilePlan, createDecisionTable, createGate, type Gate, loadCampaign, type Plan } from '#policies';
import { cedarAllows, preparse } from '../../test/policies/cedar/cedar.ts';
import { fromDatabase } from './decode/input.ts';
import { campaignText, dbcText, nameOf, type Scenario, scenario } from './policy/scenario.ts';

export const name = 'policy';

const ROUNDS = 7;
const REQUESTS = 5000;
const DECISIONS = 100_000;
/** Cedar is slow: a part of the requests tells as much, and all of them are compared for equality once. */
const CEDAR_REQUESTS = 500;
/** Threads' processor time is told in steps of some ms, so each figure is taken over tens of them. */
const SAMPLES = 10_000_000;
const EDGE_PASSES = 400;
const WARM_UP = 3;
/** As many of the planned signals are sampled in turn, whatever the number of rules. */
const SAMPLED = 100;
const FLAT_ROUNDS = 8;
const RULES = [10, 50, 500, 5000];
/** A busy vehicle. */
const FRAMES_PER_SECOND = 8000;
const FRAME_NS = 1e9 / FRAMES_PER_SECOND;
/** The speed of the vehicle is on the bus a hundred times a second. */
const CONTEXT_EVERY = FRAMES_PER_SECOND / 100;
const UTC = { offsetNs: BigInt(Date.UTC(2026, 5, 2)) * 1_000_000n, errorNs: 0, source: 'log' } as const;

/**
 * What enforcement costs: the full decision of one request (`DecisionTable.decide`) and the test that each sample meets
 * in `agent/pipeline.ts` (`Gate.tick` and `Gate.admits`, the context at 100 Hz among them), against Cedar's stateful
 * API in the same rounds. A ratio is the median of the rounds' ratios.
 */
export async function run(): Promise<object> {
  const { signals, database } = world();
  const main = scenario(50, REQUESTS);
  const table = createDecisionTable({ agreements: main.agreements, lawPacks: [], signals });
  preparse('bench', main.cedar);
  const differences = main.requests.filter(
    ({ ours, theirs }) => table.decide(ours).permitted !== cedarAllows('bench', theirs),
  ).length;
  const samples = sampler(main, signals);
  for (let i = 0; i < WARM_UP; i++) decisions(table, main);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const cedarNs = timed(CEDAR_REQUESTS, (i) => {
      cedarAllows('bench', main.requests[(round * CEDAR_REQUESTS + i) % REQUESTS]!.theirs);
    });
    const decideNs = decisions(table, main);
    const sampleNs = samples.round();
    return { cedarNs, decideNs, sampleNs };
  });
  const sizes = RULES.map((rules) => {
    const one = scenario(rules, REQUESTS);
    const own = createDecisionTable({ agreements: one.agreements, lawPacks: [], signals });
    return { rules, one, own, rows: sampler(one, signals), decideNs: [] as number[], sampleNs: [] as number[] };
  });
  // Round by round over all sizes, so that what others on the machine do hits all alike; the least of each is its cost.
  for (let round = 0; round < FLAT_ROUNDS; round++) {
    for (const size of sizes) {
      size.decideNs.push(decisions(size.own, size.one));
      size.sampleNs.push(size.rows.round());
    }
  }
  const flat = sizes.map(({ rules, decideNs, sampleNs }) => ({
    rules,
    decideNs: Math.min(...decideNs),
    sampleNs: Math.min(...sampleNs),
  }));
  const spread = (key: 'decideNs' | 'sampleNs') =>
    Math.max(...flat.map((one) => one[key])) / Math.min(...flat.map((one) => one[key]));
  return {
    rules: 50,
    signals: signals.signals.length,
    requests: REQUESTS,
    permitted: main.requests.filter(({ ours }) => table.decide(ours).permitted).length,
    differencesToCedar: differences,
    cedarNs: median(rounds.map(({ cedarNs }) => cedarNs)),
    decideNs: median(rounds.map(({ decideNs }) => decideNs)),
    sampleNs: median(rounds.map(({ sampleNs }) => sampleNs)),
    decideRatioToCedar: median(rounds.map(({ cedarNs, decideNs }) => cedarNs / decideNs)),
    sampleRatioToCedar: median(rounds.map(({ cedarNs, sampleNs }) => cedarNs / sampleNs)),
    flat: { rows: flat, sampleSpread: spread('sampleNs'), decideSpread: spread('decideNs') },
    allocations: allocations(table, main, samples),
    shareOfDecode: shareOfDecode(database, main, signals),
  };
}

function world() {
  const { database } = loadDatabase(dbcText(), { file: 'bench.dbc' });
  return { database: dbcText(), signals: signalCatalogue([{ name: 'can0', database, mapping: [] }]) };
}

type Signals = ReturnType<typeof world>['signals'];

function planOf({ agreements }: Scenario, signals: Signals): Plan {
  return compilePlan({
    agreements,
    lawPacks: [],
    signals,
    campaigns: [0, 1, 2, 3].map((i) => loadCampaign(campaignText(i, signals.signals), { file: 'campaign.yaml' })),
    context: { speed: nameOf(0) },
    nowUtcMs: null,
    recipients: new Map([0, 1, 2, 3].map((i) => [`did:web:r${i}.example`, { credit: 4, roles: [] }])),
  });
}

function decisions(table: ReturnType<typeof createDecisionTable>, { requests }: Scenario): number {
  return timed(DECISIONS, (i) => {
    table.decide(requests[i % requests.length]!.ours);
  });
}

/** Samples of every planned signal in turn, at 8,000 frames a second; the speed wanders as a car's does. */
function sampler(one: Scenario, signals: Signals) {
  const plan = planOf(one, signals);
  const gate = createGate(plan);
  const slots = plan.streams.flatMap(({ signals: list }, stream) => list.map((_, signal) => ({ stream, signal })));
  gate.tick(0, UTC);
  gate.context(0, 0, 60);
  // Samples that leave, spread over the plan: with more rules more is prohibited, and a denial counts itself.
  const open = slots.filter(({ stream, signal }) => gate.admits(stream, signal));
  const some = Array.from({ length: SAMPLED }, (_, i) => open[Math.floor((i * open.length) / SAMPLED)]!);
  const streams = Int32Array.from(some, ({ stream }) => stream);
  const indexes = Int32Array.from(some, ({ signal }) => signal);
  const clockNs = new Float64Array(1);
  const run = (samples: number, context: boolean) => walk(gate, streams, indexes, clockNs, samples, context);
  run(SAMPLES / 10, true);
  return {
    gate: gate as Gate,
    run,
    round: () => {
      let admitted = 0;
      const ns =
        (clock(() => {
          admitted = run(SAMPLES, true);
        }) /
          SAMPLES) *
        1e6;
      if (admitted === 0) throw new Error('no sample was admitted: the figure would mean nothing');
      return ns;
    },
  };
}

/** Samples at 8,000 a second. Whole frames of context lie apart, so that a time is handed on as an argument only there. */
function walk(
  gate: Gate,
  streams: Int32Array,
  indexes: Int32Array,
  clockNs: Float64Array,
  samples: number,
  context: boolean,
): number {
  let admitted = 0;
  let next = 0;
  for (let i = 0; i < samples; i += CONTEXT_EVERY) {
    const speed = 60 + 30 * Math.sin(clockNs[0]! / 30e9);
    if (context) gate.context(0, clockNs[0]!, speed);
    for (let j = 0; j < CONTEXT_EVERY; j++) {
      clockNs[0]! += FRAME_NS;
      gate.tick(clockNs[0]!, UTC);
      if (gate.admits(streams[next]!, indexes[next]!)) admitted++;
      next = next + 1 === streams.length ? 0 : next + 1;
    }
  }
  return admitted;
}

/** Heap that a decision and a sample cost, bytes; a control that keeps one object each shows that the method sees it. */
function allocations(
  table: ReturnType<typeof createDecisionTable>,
  one: Scenario,
  samples: ReturnType<typeof sampler>,
) {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return { skipped: 'needs --expose-gc' };
  const passes = 400_000;
  const kept: (object | undefined)[] = new Array(passes * 2);
  let next = 0;
  const growth = (times: number, work: () => void): number => {
    kept.fill(undefined);
    next = 0;
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < times; i++) work();
    return process.memoryUsage().heapUsed - before;
  };
  // Growth of twice as many less growth of once as many: what the measuring costs falls out.
  const each = (work: () => void, per: number): number => {
    growth(1, work);
    // The least of a few: a compilation in the background lies on the same heap.
    const found = Array.from({ length: 5 }, () => Math.max(0, growth(2, work) - growth(1, work)) / per);
    return Math.min(...found);
  };
  const decide = () => {
    for (let i = 0; i < passes; i++) table.decide(one.requests[i % one.requests.length]!.ours);
  };
  const control = () => {
    for (let i = 0; i < passes; i++) kept[next++] = { i };
  };
  return {
    bytesPerDecision: each(decide, passes),
    bytesPerSample: each(() => void samples.run(passes, false), passes),
    bytesPerSampleWithContext: each(() => void samples.run(passes, true), passes),
    controlBytes: each(control, passes),
  };
}

/** Time of the gate over the samples of frames against the time of decoding these frames, all 200 signals of them. */
function shareOfDecode(text: string, one: Scenario, signals: Signals): object {
  const input = fromDatabase(new TextEncoder().encode(text), 400_000);
  const decoder = createDecoder({ channel: 0, database: input.database, signals: signals.signals, form: 'scalar' });
  const plan = planOf(one, signals);
  const gate = createGate(plan);
  // As routes have them: for each message the planned signals of each stream.
  const byMessage = decoder.layout.messages.map((message) =>
    plan.streams.map(({ signals: list }, stream) => ({
      stream,
      signals: Int32Array.from(
        list.flatMap(({ signal }, i) => (message.signals.some(({ signal: info }) => info === signal) ? [i] : [])),
      ),
    })),
  );
  const clockNs = new Float64Array(1);
  let frames = 0;
  let admitted = 0;
  const decode = () => {
    for (const batch of input.batches) decoder.decode(batch);
  };
  const heard = (timeNs: number) => {
    if (frames++ % CONTEXT_EVERY === 0) gate.context(0, timeNs, 60 + 30 * Math.sin(timeNs / 30e9));
  };
  // As the pipeline walks today: each row a tick, each sample a question.
  const eachSample = () => {
    let timeNs = clockNs[0]!;
    for (const batch of input.batches) {
      for (let i = 0; i < batch.count; i++) {
        timeNs += FRAME_NS;
        gate.tick(timeNs, UTC);
        heard(timeNs);
        const routes = byMessage[(i * 7) % byMessage.length]!;
        for (let r = 0; r < routes.length; r++) {
          const { stream, signals: list } = routes[r]!;
          for (let s = 0; s < list.length; s++) if (gate.admits(stream, list[s]!)) admitted++;
        }
      }
    }
    clockNs[0] = timeNs;
  };
  // As it may: a batch without an edge needs no tick, and answers hold as long as the generation stays.
  let generation = -1;
  const eachEdge = () => {
    let timeNs = clockNs[0]!;
    for (const batch of input.batches) {
      const lastNs = timeNs + batch.count * FRAME_NS;
      if (!gate.still(timeNs, lastNs, UTC)) gate.tick(lastNs, UTC);
      for (let i = 0; i < batch.count; i += CONTEXT_EVERY) {
        gate.context(0, timeNs + i * FRAME_NS, 60 + 30 * Math.sin(timeNs / 30e9));
        if (gate.generation === generation) continue;
        generation = gate.generation;
        for (const routes of byMessage) {
          for (const { stream, signals: list } of routes)
            for (const one of list) if (gate.admits(stream, one)) admitted++;
        }
      }
      timeNs = lastNs;
    }
    clockNs[0] = timeNs;
  };
  for (let i = 0; i < 4; i++) for (const work of [decode, eachSample, eachEdge]) work();
  const rounds = Array.from({ length: 5 }, () => ({
    decode: clock(decode),
    eachSample: clock(eachSample),
    eachEdge:
      clock(() => {
        for (let i = 0; i < EDGE_PASSES; i++) eachEdge();
      }) / EDGE_PASSES,
  }));
  const nsPerFrame = (key: 'decode' | 'eachSample' | 'eachEdge') =>
    (median(rounds.map((round) => round[key])) / input.frames) * 1e6;
  return {
    samplesPerFrame: plan.streams.reduce((sum, { signals: list }) => sum + list.length, 0) / byMessage.length,
    decodeNsPerFrame: nsPerFrame('decode'),
    eachSampleNsPerFrame: nsPerFrame('eachSample'),
    eachEdgeNsPerFrame: nsPerFrame('eachEdge'),
    admitted,
    shareOfEachSample: median(rounds.map((round) => round.eachSample / round.decode)),
    shareOfEachEdge: median(rounds.map((round) => round.eachEdge / round.decode)),
    cpuShareAt8000: (nsPerFrame('eachSample') * FRAMES_PER_SECOND) / 1e9,
  };
}

/** Processor time of this thread, ms: what others on the machine do meanwhile is no cost of ours. */
function clock(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

/** ns a call. */
function timed(times: number, work: (i: number) => void): number {
  return (
    (clock(() => {
      for (let i = 0; i < times; i++) work(i);
    }) /
      times) *
    1e6
  );
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}
