import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameClock } from '#agent/clock';
import { contextSignalsOf, lanesOf } from '#agent/lanes';
import { Pipeline } from '#agent/pipeline';
import type { FrameBatch, Operation } from '#contracts';
import { loadDatabase, signalCatalogue } from '#dbc';
import { isPresent, messageOf, physical } from '#decoders';
import { compilePlan, createGate, type GateDenial, loadAgreement, loadCampaign, type Plan } from '#policies';
import { batchOf } from '../can-decoders/databases.ts';

const DBC = `
BO_ 256 Motion: 8 ECU
 SG_ Speed : 0|16@1+ (0.01,0) [0|655.35] "km/h" Vector__XXX
 SG_ Throttle : 16|8@1+ (0.5,0) [0|127.5] "%" Vector__XXX
BO_ 512 Steering: 4 ECU
 SG_ Angle : 0|16@1- (0.1,0) [-3276.8|3276.7] "deg" Vector__XXX
BO_ 768 Battery: 3 ECU
 SG_ Charge : 0|16@1+ (0.01,0) [0|655.35] "%" Vector__XXX
 SG_ Late : 16|8@1+ (1,0) [0|255] "" Vector__XXX
`;
const NAMES = ['Motion.Speed', 'Motion.Throttle', 'Steering.Angle', 'Battery.Charge', 'Battery.Late'];
const IDS = [0x100, 0x200, 0x300];
const MS = 1e6;
const T0 = Date.UTC(2026, 0, 1);
const utf8 = (text: string) => new TextEncoder().encode(text);

interface RuleSpec {
  readonly prohibits: boolean;
  readonly recipient: number;
  readonly targets: readonly string[];
  readonly speed: { readonly operator: string; readonly value: number } | null;
  /** Ends so many ms after the first frame. */
  readonly untilMs: number | null;
}

const ruleSpec: fc.Arbitrary<RuleSpec> = fc.record({
  prohibits: fc.boolean(),
  recipient: fc.nat(1),
  targets: fc.subarray(NAMES, { minLength: 1 }),
  speed: fc.option(fc.record({ operator: fc.constantFrom('lt', 'gteq'), value: fc.constantFrom(20, 50) })),
  untilMs: fc.option(fc.nat(30_000)),
});

/** Gaps are mostly short; some are longer than context lives, some run back. */
const frameSpec = fc.record({
  id: fc.constantFrom(...IDS),
  gapMs: fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, fc.constantFrom(11_000, -50)),
  raw: fc.constantFrom(0, 1_000, 1_999, 2_000, 4_999, 5_000, 9_000),
  length: fc.constantFrom(8, 8, 8, 2),
});
const batches = fc.array(fc.array(frameSpec, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 6 });

/** A list under its name; an empty one is refused, so it is left out. */
const some = (name: string, list: readonly unknown[]) => (list.length === 0 ? {} : { [name]: list });

function planOf(rules: readonly RuleSpec[]): Plan {
  const { database } = loadDatabase(utf8(DBC), { file: 'car.dbc' });
  const signals = signalCatalogue([{ name: 'can0', database, mapping: [] }]);
  const ruleOf = ({ targets, speed, untilMs }: RuleSpec, uid: number) => ({
    uid: `#r${uid}`,
    target: targets.map((name) => `dbc:${name}`),
    action: 'distribute',
    ...some('constraint', [
      ...(speed === null
        ? []
        : [{ leftOperand: 'auto:vehicleSpeed', operator: speed.operator, rightOperand: speed.value }]),
      ...(untilMs === null
        ? []
        : [{ leftOperand: 'dateTime', operator: 'lt', rightOperand: new Date(T0 + untilMs).toISOString() }]),
    ]),
  });
  const agreements = [0, 1].flatMap((recipient) => {
    const own = rules.filter((rule) => rule.recipient === recipient);
    if (own.length === 0) return [];
    const text = JSON.stringify({
      '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
      '@type': 'Agreement',
      uid: `urn:uuid:00000000-0000-4000-8000-00000000000${recipient}`,
      profile: 'https://tollgate.example/ns/auto-odrl/1',
      conflict: 'prohibit',
      'auto:version': 1,
      assigner: 'did:key:zOwner',
      assignee: `did:web:r${recipient}.example`,
      ...some('permission', own.filter(({ prohibits }) => !prohibits).map(ruleOf)),
      ...some(
        'prohibition',
        own.filter(({ prohibits }) => prohibits).map((rule, i) => ruleOf(rule, 100 + i)),
      ),
    });
    return [loadAgreement(utf8(text), { file: 'agreement.json' })];
  });
  const campaigns = [0, 1].map((recipient) =>
    loadCampaign(
      `campaign: c${recipient}\nversion: 1\nrecipient: did:web:r${recipient}.example\npurpose: auto:Research\nsignals:\n${NAMES.map((name) => `  - { signal: "dbc:${name}", operation: raw }`).join('\n')}\n`,
      { file: 'campaign.yaml' },
    ),
  );
  const context = { speed: 'dbc:Motion.Speed' };
  return compilePlan({ agreements, lawPacks: [], signals, campaigns, context, nowUtcMs: null });
}

interface Outcome {
  readonly pushed: readonly (readonly number[])[];
  readonly denied: readonly GateDenial[];
}

/** Lanes whose operations only note what they are given. */
function lanesThatNote(plan: Plan, pushed: number[][]) {
  const { database } = loadDatabase(utf8(DBC), { file: 'car.dbc' });
  const resources = {
    of: () => ({
      random: () => undefined,
      pseudonymKey: new Uint8Array(32),
      utcOffsetMs: () => 0,
      trip: { ended: 0, isOn: () => true, speed: () => 0 },
    }),
  };
  const lanes = lanesOf(plan, [{ name: 'can0', database, mapping: [], findings: [] } as never], [], resources as never);
  for (const [message, routes] of lanes[0]!.routes.entries()) {
    for (const [i, route] of routes.entries()) {
      route.operation = {
        name: 'note',
        columns: [],
        push: (timeNs, cells, admitted) => void pushed.push([message, i, timeNs, ...cells, ...admitted]),
        advance: () => undefined,
        finish: () => undefined,
      } satisfies Operation;
    }
  }
  return lanes;
}

/** What the pipeline does. */
async function asBuilt(plan: Plan, input: readonly FrameBatch[]): Promise<Outcome> {
  const pushed: number[][] = [];
  const gate = createGate(plan);
  const pipeline = new Pipeline({
    lanes: lanesThatNote(plan, pushed),
    gate,
    streams: plan.streams.map(() => ({
      over: false,
      allowed: 0,
      due: () => undefined,
      flush: async () => undefined,
    })) as never,
    clock: new FrameClock(false),
    heard: new Float64Array(contextSignalsOf(plan).length * 2).fill(Number.NaN),
    ignition: -1,
    onIgnitionOff: () => undefined,
    onTimeJump: () => undefined,
  });
  for (const batch of input) await pipeline.pass(pipeline.decode(batch, 0));
  return { pushed, denied: gate.drainDenials() };
}

/** The same, sample by sample: a tick a row, a question a sample. */
function bySample(plan: Plan, input: readonly FrameBatch[]): Outcome {
  const pushed: number[][] = [];
  const gate = createGate(plan);
  const clock = new FrameClock(false);
  const { decoder, steps, routes } = lanesThatNote(plan, pushed)[0]!;
  for (const batch of input) {
    clock.observe(batch, 0);
    const { u32, f64, bytes } = decoder.decode(batch);
    for (let at = 0; at < bytes; ) {
      const message = messageOf(u32, at);
      const { firstCell, rowBytes } = decoder.layout.messages[message]!;
      const timeNs = f64[at / 8]!;
      const first = (at + firstCell) / 4;
      gate.tick(timeNs, clock.utc());
      for (const { index, cells, signal } of steps[message]!.context) {
        if (!isPresent(u32, at, cells[0]!.cell)) continue;
        const [high, low] = cells.map((cell) => cell.read(u32, first));
        gate.context(index, timeNs, physical(signal, high!, low));
      }
      for (const { stream, cells: wanted, signals, values, admitted, operation, out } of routes[message]!) {
        for (const [i, cell] of wanted.entries()) {
          const pass = isPresent(u32, at, cell.cell) && gate.admits(stream, signals[i]!);
          values[i] = pass ? cell.read(u32, first) : 0;
          admitted[i] = pass ? 1 : 0;
        }
        if (admitted.includes(1)) operation.push(timeNs, values, admitted, out);
      }
      at += rowBytes;
    }
  }
  return { pushed, denied: gate.drainDenials() };
}

describe('the pipeline', () => {
  it('admits and counts as a gate that is asked at every sample, whatever plan, context and batches are', async () => {
    let admitted = 0;
    let denied = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(ruleSpec, { minLength: 1, maxLength: 6 }), batches, async (rules, list) => {
        const plan = planOf(rules);
        let ms = 100;
        const input = list.map((frames) => ({
          ...batchOf(
            frames.map(({ id, gapMs, raw, length }) => {
              ms = Math.max(0, ms + gapMs);
              const data = [raw & 0xff, raw >> 8, 7, 0, 0, 0, 0, 0].slice(0, length);
              return { id, data, time: ms * MS };
            }),
          ),
          utcOffsetNs: BigInt(T0) * 1_000_000n,
          utcErrorNs: 1_000_000,
          utcSource: 'log' as const,
        }));
        const outcome = await asBuilt(plan, input);
        expect(outcome).toEqual(bySample(plan, input));
        admitted += outcome.pushed.length;
        denied += outcome.denied.reduce((sum, { count }) => sum + count, 0);
      }),
      { numRuns: 200, seed: 5 },
    );
    // Both ways were taken, or the comparison would say nothing.
    expect(admitted).toBeGreaterThan(1_000);
    expect(denied).toBeGreaterThan(1_000);
  });
});
