import { describe, expect, it } from 'vitest';
import { compilePlan, createDecisionTable, createGate, type Plan } from '#policies';
import { loaded } from './cedar/differential.ts';
import { Generator, RECIPIENTS, SIGNAL_NAMES } from './cedar/generate.ts';
import { campaign, catalogueOf, SIGNALS, signal } from './parts.ts';

/** Where the plan hears of each operand: signals that no rule of the generator names. */
const HEARD: Readonly<Record<string, { key: string; signal: string }>> = {
  'auto:vehicleSpeed': { key: 'speed', signal: 'Context.Speed' },
  'auto:gear': { key: 'gear', signal: 'Context.Gear' },
  'auto:occupants': { key: 'occupants', signal: 'Context.Occupants' },
  'auto:driveMode': { key: 'driveMode', signal: 'Context.DriveMode' },
  'auto:ignition': { key: 'ignition', signal: 'Context.Ignition' },
  'auto:crash': { key: 'crash', signal: 'Context.Crash' },
  'auto:position latitude': { key: 'position', signal: 'Context.Place.Latitude' },
  'auto:position longitude': { key: 'position', signal: 'Context.Place.Longitude' },
};
const CATALOGUE = catalogueOf([
  ...SIGNALS.signals,
  ...Object.values(HEARD).map(({ signal: name }, i) => signal(name, `Context${i}.Value`, { unit: 'km/h' })),
]);
const CONTEXT = Object.fromEntries(
  Object.values(HEARD).map(({ key, signal: name }) => [key, key === 'position' ? 'Context.Place' : name]),
);

/** Whether the gate of a plan lets a signal out after it heard a context. */
function admits(plan: Plan, name: string, context: Readonly<Record<string, number>>, utcMs: number | null): boolean {
  const gate = createGate(plan);
  gate.tick(0, { offsetNs: utcMs === null ? null : BigInt(utcMs) * 1_000_000n, errorNs: 0, source: 'log' });
  plan.rights
    .filter(({ right }) => right === 'context')
    .forEach(({ signal: { name: heard } }, index) => {
      const value = Object.entries(HEARD).find(([, { signal: one }]) => one === heard);
      if (value !== undefined && context[value[0]] !== undefined) gate.context(index, 0, context[value[0]]!);
    });
  return plan.streams.some(({ signals }, stream) =>
    signals.some(({ signal: info }, i) => info.name === name && gate.admits(stream, i)),
  );
}

describe('a plan', () => {
  it('lets a sample out exactly where the decision table permits it', () => {
    const generator = new Generator(11);
    let admitted = 0;
    for (let i = 0; i < 250; i++) {
      const one = generator.case(true);
      const documents = { ...loaded(one), signals: CATALOGUE };
      const table = createDecisionTable(documents);
      for (let j = 0; j < 8; j++) {
        const { ours } = generator.request(one.facts, true);
        const plan = compilePlan({
          ...documents,
          campaigns: [campaign({ recipient: ours.recipient, purpose: ours.purpose, signals: [...SIGNAL_NAMES] })],
          context: CONTEXT,
          nowUtcMs: null,
        });
        const sent = admits(plan, ours.signal, ours.context ?? {}, ours.utcMs);
        if (sent) admitted++;
        expect({ case: i, request: ours, sent }).toEqual({
          case: i,
          request: ours,
          sent: table.decide(ours).permitted,
        });
      }
    }
    expect(admitted).toBeGreaterThan(400);
  });
});

describe('a permission that is deleted', () => {
  it('takes exactly the fields that only it licensed, and no others', () => {
    const generator = new Generator(23);
    let changed = 0;
    for (let i = 0; i < 150; i++) {
      const one = generator.case(true);
      const leaving = (policies: typeof one.policies) =>
        RECIPIENTS.flatMap((recipient) =>
          compilePlan({
            ...loaded({ ...one, policies }),
            campaigns: [campaign({ recipient, purpose: 'auto:UbiInsurance', signals: [...SIGNAL_NAMES] })],
            context: {},
            nowUtcMs: null,
          }).streams.flatMap(({ agreement, signals }) =>
            signals.map(({ signal: { name }, gate }) => ({
              field: `${recipient} ${name}`,
              licensed: gate.permissions.map(({ uid }) => `${uid} of ${agreement}`),
            })),
          ),
        );
      const licences = (entries: ReturnType<typeof leaving>) => {
        const all = new Map<string, string[]>();
        for (const { field, licensed } of entries) all.set(field, [...(all.get(field) ?? []), ...licensed]);
        return all;
      };
      const before = licences(leaving(one.policies));
      for (const policy of one.policies) {
        // A policy needs a rule, so the last one stays.
        if (policy.rules.length < 2) continue;
        for (const rule of policy.rules.filter(({ kind }) => kind === 'permission')) {
          const without = { ...policy, rules: policy.rules.filter((other) => other !== rule) };
          const after = licences(leaving(one.policies.map((other) => (other === policy ? without : other))));
          const name = `${rule.uid} of ${policy.uid}`;
          // A certain licence hides those behind it, so what it alone shows may have others.
          const gone = [...before.keys()].filter((field) => !after.has(field));
          for (const field of gone) expect(before.get(field)).toEqual([name]);
          for (const [field, licensed] of before) {
            if (!licensed.includes(name)) expect(after.has(field)).toBe(true);
            expect(after.get(field) ?? []).not.toContain(name);
          }
          for (const field of after.keys()) expect(before.has(field)).toBe(true);
          changed += gone.length;
        }
      }
    }
    expect(changed).toBeGreaterThan(50);
  });
});
