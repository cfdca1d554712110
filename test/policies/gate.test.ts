import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UtcReading } from '#contracts';
import { compilePlan, createGate, type Gate, type Plan, type PlanInput } from '#policies';
import { agreement, atom, campaign, input, type Json, permit, prohibit } from './parts.ts';

const BRAKE = 'Vehicle.Chassis.Brake.PedalPosition';
const S = 1e9;
const NO_UTC: UtcReading = { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' };
/** Boottime 0 is this UTC. */
const at = (utc: string, errorNs = 0): UtcReading => ({
  offsetNs: BigInt(Date.parse(utc)) * 1_000_000n,
  errorNs,
  source: 'gnss',
});
const CONTEXT = { speed: 'Vehicle.Speed', ignition: 'Vehicle.Ignition', position: 'Vehicle.CurrentLocation' };
const PLACE = { '@type': 'auto:Circle', 'auto:latitude': 52, 'auto:longitude': 13, 'auto:radius': 1000 };

function planOf(
  change: { constraint?: readonly Json[]; prohibition?: readonly Json[]; expires?: string } & Partial<PlanInput>,
): Plan {
  const { constraint, prohibition, expires, ...rest } = change;
  const rules = {
    permission: [permit('#p1', `vss:${BRAKE}`, constraint ?? [])],
    ...(prohibition === undefined ? {} : { prohibition: [prohibit('#n1', `vss:${BRAKE}`, prohibition)] }),
  };
  const campaigns = [campaign({ signals: [BRAKE], ...(expires === undefined ? {} : { expires }) })];
  return compilePlan(input({ campaigns, agreements: [agreement(rules)], context: CONTEXT, nowUtcMs: null, ...rest }));
}

const gateOf = (change: Parameters<typeof planOf>[0]) => createGate(planOf(change));
const indexOf = (plan: Plan, name: string) =>
  plan.rights.filter(({ right }) => right === 'context').findIndex(({ signal }) => signal.name === name);
const open = (gate: Gate) => gate.admits(0, 0);

describe('a gate without anything to ask', () => {
  it('admits from the first row on', () => {
    expect(open(gateOf({}))).toBe(true);
  });
});

describe('fast context', () => {
  const slow = [atom('auto:vehicleSpeed', 'lt', 30)];

  it('is tested on each sample', () => {
    const gate = gateOf({ constraint: slow });
    const seen = [10, 29.9, 30, 31, 5].map((speed, i) => {
      gate.context(0, i * S, speed);
      return open(gate);
    });
    expect(seen).toEqual([true, true, false, false, true]);
  });

  it('closes a permission and keeps a prohibition shut before the first value', () => {
    expect(open(gateOf({ constraint: slow }))).toBe(false);
    const gate = gateOf({ prohibition: slow });
    expect(open(gate)).toBe(false);
    gate.context(0, 0, 50);
    expect(open(gate)).toBe(true);
    gate.context(0, 1, Number.NaN);
    expect(open(gate)).toBe(false);
  });

  it('is unknown again when its signal falls silent', () => {
    const gate = gateOf({ constraint: slow });
    gate.tick(0, NO_UTC);
    gate.context(0, 0, 10);
    gate.tick(9.9 * S, NO_UTC);
    expect(open(gate)).toBe(true);
    gate.context(0, 9.9 * S, 11);
    gate.tick(10 * S, NO_UTC);
    expect(open(gate)).toBe(true);
    gate.tick(19.9 * S, NO_UTC);
    expect(open(gate)).toBe(false);
    gate.context(0, 20 * S, 10);
    expect(open(gate)).toBe(true);
  });

  it('is unknown to a row before it', () => {
    const gate = gateOf({ constraint: slow });
    const shut = gateOf({ prohibition: [atom('auto:vehicleSpeed', 'gteq', 30)] });
    for (const one of [gate, shut]) {
      one.tick(4 * S, NO_UTC);
      one.context(0, 5 * S, 10);
      const seen = [4, 4.999, 5, 14.9, 4.5, 15].map((s) => {
        one.tick(s * S, NO_UTC);
        return open(one);
      });
      expect(seen).toEqual([false, false, true, true, false, false]);
    }
  });

  it('is not kept fresh by one frame that is dated far ahead', () => {
    const gate = gateOf({ constraint: slow });
    gate.tick(1e15, NO_UTC);
    gate.context(0, 1e15, 10);
    for (const s of [0, 1, 3600]) {
      gate.tick(s * S, NO_UTC);
      expect(open(gate)).toBe(false);
    }
    gate.context(0, 3600 * S, 10);
    expect(open(gate)).toBe(true);
  });

  it('reads a speed in the unit of its signal', () => {
    const plan = planOf({ constraint: slow });
    const metric = {
      ...plan,
      context: plan.context.map((source) => (source.kind === 'signal' ? { ...source, scale: 3.6 } : source)),
    };
    const gate = createGate(metric);
    gate.context(0, 0, 8);
    expect(open(gate)).toBe(true);
    gate.context(0, 1, 9);
    expect(open(gate)).toBe(false);
  });

  it('reads any number but 0 as on', () => {
    const gate = gateOf({ constraint: [atom('auto:ignition', 'eq', 'on')] });
    gate.context(0, 0, 0);
    expect(open(gate)).toBe(false);
    gate.context(0, 1, 2);
    expect(open(gate)).toBe(true);
  });
});

describe('a place', () => {
  const drive = (gate: Gate, plan: Plan, latitude: number, longitude: number) => {
    gate.context(indexOf(plan, 'Vehicle.CurrentLocation.Latitude'), 0, latitude);
    gate.context(indexOf(plan, 'Vehicle.CurrentLocation.Longitude'), 0, longitude);
    return open(gate);
  };

  it('opens inside a circle and not beyond its radius', () => {
    const plan = planOf({ constraint: [atom('auto:position', 'isPartOf', PLACE)] });
    const gate = createGate(plan);
    expect(open(gate)).toBe(false);
    expect(drive(gate, plan, 52.0089, 13)).toBe(true);
    expect(drive(gate, plan, 52.0091, 13)).toBe(false);
    expect(drive(gate, plan, 52, 13.0145)).toBe(true);
    expect(drive(gate, plan, 52, 13.0147)).toBe(false);
  });

  it.each([
    ['a latitude beyond 90', 90.000_001, 13],
    ['a longitude beyond 180', 52, -180.000_001],
    ['the largest raw value, as without a fix', 214.748_364_7, 214.748_364_7],
    ['an endless latitude', Number.POSITIVE_INFINITY, 13],
    ['no longitude', 52, Number.NaN],
  ])('is unknown at %s', (_, latitude, longitude) => {
    const shut = planOf({ prohibition: [atom('auto:position', 'isPartOf', PLACE)] });
    expect(drive(createGate(shut), shut, latitude, longitude)).toBe(false);
    const outside = planOf({ constraint: [atom('auto:position', 'isNoneOf', [PLACE])] });
    expect(drive(createGate(outside), outside, latitude, longitude)).toBe(false);
  });

  it('is known to the poles and to the 180th meridian', () => {
    const shut = planOf({ prohibition: [atom('auto:position', 'isPartOf', PLACE)] });
    expect(drive(createGate(shut), shut, -90, 180)).toBe(true);
    expect(drive(createGate(shut), shut, 90, -180)).toBe(true);
  });

  it('may be one of several, or none of them', () => {
    const square = {
      '@type': 'auto:Polygon',
      'auto:points': [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
      ],
    };
    const any = planOf({ constraint: [atom('auto:position', 'isAnyOf', [PLACE, square])] });
    const none = planOf({ constraint: [atom('auto:position', 'isNoneOf', [PLACE, square])] });
    for (const [latitude, longitude, inside] of [
      [0.5, 0.5, true],
      [52, 13, true],
      [1.5, 0.5, false],
      [-0.1, 0.5, false],
    ] as const) {
      expect(drive(createGate(any), any, latitude, longitude)).toBe(inside);
      expect(drive(createGate(none), none, latitude, longitude)).toBe(!inside);
    }
  });
});

describe('time', () => {
  const until = [atom('dateTime', 'lt', '2026-01-01T00:00:10Z')];

  it('closes at its edge, to the microsecond', () => {
    const gate = gateOf({ constraint: until });
    const utc = at('2026-01-01T00:00:00Z');
    const seen = [0, 9.999_998 * S, 10 * S, 11 * S].map((timeNs) => {
      gate.tick(timeNs, utc);
      return open(gate);
    });
    expect(seen).toEqual([true, true, false, false]);
  });

  it('fails closed while UTC is unknown or too uncertain', () => {
    const gate = gateOf({ constraint: until });
    gate.tick(0, NO_UTC);
    expect(open(gate)).toBe(false);
    gate.tick(1, at('2026-01-01T00:00:00Z', 3 * S));
    expect(open(gate)).toBe(true);
    gate.tick(7 * S, at('2026-01-01T00:00:00Z', 3 * S));
    expect(open(gate)).toBe(false);
    gate.tick(7.5 * S, at('2026-01-01T00:00:00Z'));
    expect(open(gate)).toBe(true);
    gate.tick(7.6 * S, NO_UTC);
    expect(open(gate)).toBe(false);
  });

  it('ends a campaign as it ends a permission', () => {
    const gate = gateOf({ expires: '2026-01-01T00:00:10Z' });
    gate.tick(0, NO_UTC);
    expect(open(gate)).toBe(false);
    gate.tick(1, at('2026-01-01T00:00:00Z'));
    expect(open(gate)).toBe(true);
    gate.tick(10 * S, at('2026-01-01T00:00:00Z'));
    expect(open(gate)).toBe(false);
    expect(gate.drainDenials().map(({ rule, constraint }) => `${rule}: ${constraint}`)).toEqual([
      'campaign ubi: expires 2026-01-01T00:00:10.000Z',
      'campaign ubi: expires 2026-01-01T00:00:10.000Z, is unknown',
    ]);
  });

  it('knows the time of the day in its zone, and the day of the week', () => {
    const night = [
      { or: [atom('auto:timeOfDay', 'gteq', '22:00:00+01:00'), atom('auto:timeOfDay', 'lt', '06:00:00+01:00')] },
    ];
    const gate = gateOf({ constraint: night });
    const hours = [20, 20.999, 21, 23.5, 24, 28.99, 29, 30, 45].map((hour) => {
      gate.tick(hour * 3600 * S, at('2026-01-01T00:00:00Z'));
      return open(gate);
    });
    expect(hours).toEqual([false, false, true, true, true, true, false, false, true]);
    const weekend = gateOf({ constraint: [atom('auto:dayOfWeek', 'isAnyOf', ['sat', 'sun'])] });
    // 2026-01-01 is a Thursday.
    const days = [0, 1, 2, 3, 4].map((day) => {
      weekend.tick(day * 86_400 * S, at('2026-01-01T12:00:00Z'));
      return open(weekend);
    });
    expect(days).toEqual([false, false, true, true, false]);
  });

  it('looks no row later at an edge than an evaluation of every row would', () => {
    const atoms = fc.oneof(
      fc
        .integer({ min: 0, max: 200 })
        .map((s) => atom('dateTime', 'gteq', new Date(Date.UTC(2026, 0, 1, 23, 58, s)).toISOString())),
      fc.constantFrom(
        atom('auto:dayOfWeek', 'eq', 'fri'),
        atom('auto:timeOfDay', 'lt', '00:01:00Z'),
        atom('auto:timeOfDay', 'gteq', '23:59:30Z'),
      ),
    );
    const times = fc
      .array(fc.integer({ min: 0, max: 300_000 }), { minLength: 1, maxLength: 40 })
      .map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(
        fc.array(atoms, { minLength: 1, maxLength: 4 }),
        fc.constantFrom('or', 'xone', 'and'),
        times,
        fc.integer({ min: 0, max: 2000 }),
        (list, op, rows, errorMs) => {
          const plan = planOf({ constraint: [{ [op]: list }] });
          const gate = createGate(plan);
          const utc = at('2026-01-01T23:57:30Z', errorMs * 1e6);
          for (const ms of rows) {
            gate.tick(ms * 1e6, utc);
            const fresh = createGate(plan);
            fresh.tick(ms * 1e6, utc);
            expect(open(gate)).toBe(open(fresh));
          }
        },
      ),
      { numRuns: 150, seed: 5 },
    );
  });
});

describe('logic', () => {
  type Tree =
    | { op: 'speed'; over: number }
    | { op: 'ignition' }
    | { op: 'place' }
    | { op: 'and' | 'or' | 'xone'; parts: Tree[] };
  const tree = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.integer({ min: 0, max: 3 }).map((over): Tree => ({ op: 'speed', over: over * 10 })),
      fc.constantFrom<Tree>({ op: 'ignition' }, { op: 'place' }),
      fc.record({
        op: fc.constantFrom('and' as const, 'or' as const, 'xone' as const),
        parts: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
      }),
    ),
  })).tree;
  const json = (node: Tree): Json => {
    if (node.op === 'speed') return atom('auto:vehicleSpeed', 'gt', node.over);
    if (node.op === 'ignition') return atom('auto:ignition', 'eq', 'on');
    if (node.op === 'place') return atom('auto:position', 'isPartOf', PLACE);
    return { [node.op]: node.parts.map(json) };
  };
  type World = { speed: number | null; ignition: boolean | null; inside: boolean | null };
  /** A naive reading of the three values: true, false, null for unknown. */
  const truth = (node: Tree, world: World): boolean | null => {
    if (node.op === 'speed') return world.speed === null ? null : world.speed > node.over;
    if (node.op === 'ignition') return world.ignition;
    if (node.op === 'place') return world.inside;
    const states = node.parts.map((part) => truth(part, world));
    const trues = states.filter((state) => state === true).length;
    const unknown = states.includes(null);
    if (node.op === 'and') return states.includes(false) ? false : unknown ? null : true;
    if (node.op === 'or') return trues > 0 ? true : unknown ? null : false;
    return trues > 1 ? false : unknown ? null : trues === 1;
  };
  const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
  const worlds = fc.record({
    speed: maybe(fc.constantFrom(0, 5, 15, 25, 35)),
    ignition: maybe(fc.boolean()),
    inside: maybe(fc.boolean()),
  });

  it('equals a naive reading of permissions and prohibitions, whatever is unknown', () => {
    const signals = [
      'Vehicle.Speed',
      'Vehicle.Ignition',
      'Vehicle.CurrentLocation.Latitude',
      'Vehicle.CurrentLocation.Longitude',
    ];
    fc.assert(
      fc.property(tree, fc.option(tree, { nil: null }), worlds, (permission, prohibition, world) => {
        const plan = planOf({
          constraint: [json(permission)],
          ...(prohibition === null ? {} : { prohibition: [json(prohibition)] }),
        });
        const gate = createGate(plan);
        const latitude = world.inside === null ? null : world.inside ? 52 : 40;
        const values = [
          world.speed,
          world.ignition === null ? null : Number(world.ignition),
          latitude,
          latitude === null ? null : 13,
        ];
        signals.forEach((name, i) => {
          const index = indexOf(plan, name);
          if (index >= 0 && values[i] !== null) gate.context(index, 0, values[i]!);
        });
        const wanted =
          truth(permission, world) === true && (prohibition === null || truth(prohibition, world) === false);
        expect(open(gate)).toBe(wanted);
      }),
      { numRuns: 500, seed: 9 },
    );
  });
});

describe('a signal in two streams', () => {
  it('goes under the lower agreement while that permits it, else under the other, never twice', () => {
    const low = agreement({ permission: [permit('#a', `vss:${BRAKE}`, [atom('auto:ignition', 'eq', 'on')])] });
    const high = agreement({
      uid: 'urn:uuid:00000000-0000-4000-8000-000000000002',
      permission: [permit('#b', `vss:${BRAKE}`)],
    });
    const gate = createGate(
      compilePlan(input({ campaigns: [campaign({ signals: [BRAKE] })], agreements: [high, low], context: CONTEXT })),
    );
    const taken = () => [gate.admits(0, 0), gate.admits(1, 0)];
    expect(taken()).toEqual([false, true]);
    gate.context(0, 0, 1);
    expect(taken()).toEqual([true, false]);
    gate.drainDenials();
    gate.admits(1, 0);
    expect(gate.drainDenials()).toEqual([]);
  });
});

describe('denials', () => {
  it('count samples by the rule and the constraint that failed, and start again when drained', () => {
    const gate = gateOf({ constraint: [atom('auto:ignition', 'eq', 'on'), atom('auto:vehicleSpeed', 'lt', 30)] });
    open(gate);
    gate.context(0, 0, 1);
    gate.context(1, 0, 50);
    for (let i = 0; i < 3; i++) open(gate);
    const rule = '#p1 of urn:uuid:00000000-0000-4000-8000-000000000001';
    expect(gate.drainDenials()).toEqual([
      { stream: 0, signal: 0, rule, constraint: 'auto:ignition eq on, is unknown', count: 1 },
      { stream: 0, signal: 0, rule, constraint: 'auto:vehicleSpeed lt 30', count: 3 },
    ]);
    expect(gate.drainDenials()).toEqual([]);
  });

  it('name a prohibition before any permission, and hold no value', () => {
    const gate = gateOf({
      constraint: [atom('auto:ignition', 'eq', 'on')],
      prohibition: [atom('auto:vehicleSpeed', 'gt', 30)],
    });
    gate.context(1, 0, 77);
    gate.context(0, 0, 77);
    open(gate);
    const [denial] = gate.drainDenials();
    expect(denial!.rule).toMatch(/^#n1 of/);
    expect(JSON.stringify(denial)).not.toContain('77');
  });
});
