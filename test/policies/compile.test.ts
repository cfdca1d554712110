import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError, type UtcReading } from '#contracts';
import { loadDatabase, signalCatalogue } from '#dbc';
import { type Agreement, compilePlan, createGate, explainSignal, type Plan, type PlanInput } from '#policies';
import {
  agreement,
  atom,
  campaign,
  catalogueOf,
  INSURER,
  input,
  type Json,
  lawPack,
  OTHER,
  permit,
  prohibit,
  SIGNALS,
  signal,
} from './parts.ts';

const SPEED = 'Vehicle.Speed';
const BRAKE = 'Vehicle.Chassis.Brake.PedalPosition';
const ANGLE = 'Vehicle.Chassis.SteeringWheel.Angle';
const LAT = 'Vehicle.CurrentLocation.Latitude';
const LON = 'Vehicle.CurrentLocation.Longitude';
const UBI = atom('purpose', 'isA', 'auto:UbiInsurance');
const uid = (n: number) => `urn:uuid:00000000-0000-4000-8000-00000000000${n}`;

const plan = (change: Partial<PlanInput>): Plan => compilePlan(input(change));
const leaving = ({ streams }: Plan) => streams.flatMap(({ signals }) => signals.map(({ signal: { name } }) => name));
const operations = ({ streams }: Plan) => streams.flatMap(({ signals }) => signals.map(({ operation }) => operation));
const allows = (targets: Json, constraint: readonly Json[] = [], refinement: readonly Json[] = []) =>
  agreement({ permission: [permit('#p1', targets, constraint, refinement)] });
const aggregate = (name: string, window = '1s', results = 'mean') =>
  `{ signal: "${name}", operation: aggregate, window: ${window}, results: [${results}] }`;
const cloak = (name: string, cell = 100) => `{ signal: ${name}, operation: cloak, cell: ${cell} }`;

describe('a plan', () => {
  it('is empty without agreements, and denies each signal by default', () => {
    const made = plan({ campaigns: [campaign({ signals: [SPEED, 'dbc:Raw.THROTTLE'] })] });
    expect(made.streams).toEqual([]);
    expect(made.rights).toEqual([]);
    expect(made.denials).toMatchObject([
      { signal: SPEED, reason: 'no-permission', agreement: null, rule: null },
      { signal: 'dbc:Raw.THROTTLE', reason: 'no-permission' },
    ]);
  });

  it('holds what an agreement permits, under its rule, and nothing else', () => {
    const made = plan({
      campaigns: [campaign({ signals: [SPEED, BRAKE] })],
      agreements: [allows(`vss:${SPEED}`, [UBI])],
    });
    expect(made.streams).toMatchObject([
      {
        recipient: INSURER,
        agreement: uid(1),
        campaign: 'ubi',
        signals: [{ signal: { name: SPEED }, rule: '#p1', operation: { kind: 'raw' } }],
      },
    ]);
    expect(made.rights).toEqual([
      { signal: SIGNALS.byName.get(SPEED), right: 'record', because: `campaign ubi under #p1 of ${uid(1)}` },
    ]);
    expect(made.denials.map(({ signal: name }) => name)).toEqual([BRAKE]);
  });

  it('reaches a mapped signal by either of its names', () => {
    for (const asked of [SPEED, 'dbc:Motion.Speed']) {
      for (const target of [`vss:${SPEED}`, 'dbc:Motion.Speed']) {
        const campaigns = [campaign({ signals: [asked] })];
        expect(leaving(plan({ campaigns, agreements: [allows(target)] }))).toEqual([SPEED]);
        const both = agreement({ permission: [permit('#p1', 'vss:Vehicle')], prohibition: [prohibit('#n1', target)] });
        expect(plan({ campaigns, agreements: [both] }).denials).toMatchObject([
          { signal: asked, rule: '#n1', reason: 'prohibited' },
        ]);
      }
    }
  });

  it('reaches a signal by its long name, whether short or long is the one it goes by', () => {
    const text = 'VERSION ""\nBU_: A\nBO_ 208 M: 8 A\n SG_ Angle : 0|16@1+ (1,0) [0|0] "" A\n';
    const { database } = loadDatabase(text, { file: 'car.dbc' });
    const path = 'Vehicle.Angle';
    const entry = { signal: 'dbc:M.Angle', path, factor: 1, offset: 0, unit: null };
    for (const mapping of [[], [entry]]) {
      const signals = signalCatalogue([{ name: 'can0', database, mapping }]);
      const campaigns = [campaign({ signals: ['dbc:M.Angle'] })];
      const permission = [permit('#p1', 'dbc:can0/M.Angle')];
      expect(leaving(plan({ signals, campaigns, agreements: [agreement({ permission })] }))).toHaveLength(1);
      const shut = agreement({ permission, prohibition: [prohibit('#n1', 'dbc:can0/M.Angle')] });
      const made = plan({ signals, campaigns, agreements: [shut] });
      expect(made.denials).toMatchObject([{ rule: '#n1', reason: 'prohibited' }]);
      expect(made.warnings).toEqual([]);
    }
  });

  it('prohibits on each channel by the short name, on one by the long', () => {
    const text = 'VERSION ""\nBU_: A\nBO_ 208 M: 8 A\n SG_ Angle : 0|16@1+ (1,0) [0|0] "" A\n';
    const { database } = loadDatabase(text, { file: 'car.dbc' });
    const signals = signalCatalogue(['front', 'rear'].map((name) => ({ name, database, mapping: [] })));
    const both = ['dbc:front/M.Angle', 'dbc:rear/M.Angle'];
    const left = (target: string) =>
      leaving(
        plan({
          signals,
          campaigns: [campaign({ signals: both })],
          agreements: [agreement({ permission: [permit('#p1', both)], prohibition: [prohibit('#n1', target)] })],
        }),
      );
    expect(left('dbc:M.Angle')).toEqual([]);
    expect(left('dbc:front/M.Angle')).toEqual(['dbc:rear/M.Angle']);
  });

  it('reads a branch as all below it, and not as its namesakes', () => {
    const made = plan({
      campaigns: [campaign({ signals: [LAT, 'Vehicle.Current'] })],
      agreements: [allows('vss:Vehicle.CurrentLocation')],
    });
    expect(leaving(made)).toEqual([LAT]);
  });

  it('lets a prohibition win over every permission, whoever wrote it', () => {
    const campaigns = [campaign({ signals: [SPEED, ANGLE] })];
    const permission = [permit('#p1', 'vss:Vehicle')];
    const own = agreement({ permission, prohibition: [prohibit('#n1', `vss:${ANGLE}`)] });
    expect(leaving(plan({ campaigns, agreements: [own] }))).toEqual([SPEED]);
    const open = agreement({ permission });
    const second = agreement({ uid: uid(2), prohibition: [prohibit('#n2', `vss:${ANGLE}`)] });
    expect(plan({ campaigns, agreements: [open, second] }).denials).toMatchObject([
      { signal: ANGLE, agreement: uid(2), rule: '#n2' },
    ]);
    const law = lawPack({ prohibition: [prohibit('#cn', `vss:${ANGLE}`)] });
    expect(plan({ campaigns, agreements: [open, second], lawPacks: [law] }).denials).toMatchObject([
      { agreement: 'urn:law:test', rule: '#cn' },
    ]);
  });

  it.each(['use', 'read', 'derive', 'store', 'distribute'])('denies where "%s" is prohibited', (action) => {
    const own = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', `vss:${SPEED}`, [], action)],
    });
    expect(leaving(plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [own] }))).toEqual([]);
  });

  it('binds only the party of an agreement by its prohibitions, and only that party by its permissions', () => {
    const campaigns = [campaign({ recipient: OTHER, signals: [SPEED] })];
    const theirs = agreement({ permission: [permit('#p1', 'vss:Vehicle')] });
    expect(leaving(plan({ campaigns, agreements: [theirs] }))).toEqual([]);
    const mine = agreement({ uid: uid(2), assignee: OTHER, permission: [permit('#p1', 'vss:Vehicle')] });
    const strict = agreement({ prohibition: [prohibit('#n1', 'vss:Vehicle')] });
    expect(leaving(plan({ campaigns, agreements: [mine, strict] }))).toEqual([SPEED]);
  });

  it('opens nothing by a permission that does not distribute, and says so', () => {
    const own = agreement({ permission: [{ uid: '#p1', target: `vss:${SPEED}`, action: ['read', 'aggregate'] }] });
    expect(plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [own] }).denials).toMatchObject([
      { reason: 'no-permission', rule: '#p1', constraint: 'permits read, aggregate, not distribute' },
    ]);
  });

  it('opens nothing by a Set', () => {
    const law = lawPack({ permission: [permit('#p1', 'vss:Vehicle')] });
    const made = plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [law] });
    expect(made.streams).toEqual([]);
    expect(made.warnings[0]).toMatch(/a Set opens nothing/);
  });

  it('warns of a prohibition that reaches no signal', () => {
    const own = agreement({ prohibition: [prohibit('#n1', 'vss:Vehicle.Sped')] });
    expect(plan({ agreements: [own] }).warnings).toEqual([
      `#n1 of ${uid(1)}: no signal of the databases is vss:Vehicle.Sped`,
    ]);
  });

  it('refuses a law pack whose prohibition reaches no signal, with its place', () => {
    const law = lawPack({ prohibition: [prohibit('#n0', 'vss:Vehicle'), prohibit('#n1', ['vss:Vehicle.Sped'])] });
    expect(() => plan({ lawPacks: [law] })).toThrow(
      expect.objectContaining({
        code: 'TG_POLICY_VALUE',
        message: '#n1 of urn:law:test: no signal of the databases is vss:Vehicle.Sped',
        place: { file: 'agreement.json', pointer: '/prohibition/1/target' },
        remedy: 'Did you mean "vss:Vehicle.Speed"? No plan was made.',
      }),
    );
    const known = lawPack({ prohibition: [prohibit('#n1', ['vss:Vehicle', 'dbc:Raw.THROTTLE'])] });
    expect(plan({ lawPacks: [known] }).warnings).toEqual([]);
  });

  it('refuses two documents of one name', () => {
    expect(() => plan({ agreements: [allows('vss:Vehicle'), allows('vss:Vehicle')] })).toThrow(TollgateError);
    const one = campaign({ signals: [SPEED] });
    expect(() => plan({ campaigns: [one, one] })).toThrow(TollgateError);
  });
});

describe('a purpose', () => {
  it.each<[string, string, Json, boolean]>([
    ['auto:UbiInsurance', 'isA', 'auto:Insurance', true],
    ['auto:Insurance', 'isA', 'auto:UbiInsurance', false],
    ['auto:UbiInsurance', 'eq', 'auto:Insurance', false],
    ['auto:UbiInsurance', 'neq', 'auto:Insurance', true],
    ['auto:UbiInsurance', 'isAnyOf', ['auto:Research', 'auto:Insurance'], true],
    ['auto:TargetedAdvertising', 'isNoneOf', ['auto:Advertising'], false],
    ['auto:UbiInsurance', 'isAllOf', ['auto:Insurance', 'auto:Research'], false],
    ['auto:UbiInsurance', 'isPartOf', 'auto:Insurance', true],
    ['auto:Insurance', 'hasPart', 'auto:UbiInsurance', true],
    ['urn:own:purpose', 'isA', 'urn:own:purpose', true],
    ['constructor', 'isA', 'auto:Insurance', false],
  ])('%s %s %j holds: %s', (purpose, operator, wanted, holds) => {
    const made = plan({
      campaigns: [campaign({ purpose, signals: [SPEED] })],
      agreements: [allows(`vss:${SPEED}`, [atom('purpose', operator, wanted)])],
    });
    expect(leaving(made)).toEqual(holds ? [SPEED] : []);
    if (!holds)
      expect(made.denials[0]).toMatchObject({
        reason: 'constraint',
        rule: '#p1',
        constraint: expect.stringContaining(`, is ${purpose}`),
      });
  });

  it('decides through and, or and xone', () => {
    const is = (id: string) => atom('purpose', 'eq', id);
    const cases: [Json, boolean][] = [
      [{ and: [is('auto:UbiInsurance'), is('auto:Research')] }, false],
      [{ or: [is('auto:UbiInsurance'), is('auto:Research')] }, true],
      [{ xone: [is('auto:UbiInsurance'), is('auto:Research')] }, true],
      [{ xone: [is('auto:UbiInsurance'), atom('purpose', 'isA', 'auto:Insurance')] }, false],
      [{ andSequence: [is('auto:UbiInsurance')] }, true],
    ];
    for (const [constraint, holds] of cases) {
      const made = plan({
        campaigns: [campaign({ signals: [SPEED] })],
        agreements: [allows(`vss:${SPEED}`, [constraint])],
      });
      expect(leaving(made)).toEqual(holds ? [SPEED] : []);
    }
  });
});

describe('a demanded transform', () => {
  it('raises a weaker parameter, and the plan says so', () => {
    const made = plan({
      campaigns: [campaign({ signals: [aggregate(SPEED, '500ms'), aggregate(BRAKE, '5s')] })],
      agreements: [
        allows('vss:Vehicle', [], [atom('auto:aggregationWindow', 'gteq', 'PT1S'), atom('auto:minSamples', 'gteq', 5)]),
      ],
    });
    expect(operations(made)).toEqual([
      { kind: 'aggregate', windowMs: 1000, results: ['mean'], minSamples: 5 },
      { kind: 'aggregate', windowMs: 5000, results: ['mean'], minSamples: 5 },
    ]);
    expect(made.raised).toContain(`ubi: Vehicle.Speed: window raised from 500 ms to 1 s by #p1 of ${uid(1)}`);
  });

  it('denies an operation that cannot carry it, with its rule', () => {
    const made = plan({
      campaigns: [campaign({ signals: [SPEED, aggregate(BRAKE)] })],
      agreements: [allows('vss:Vehicle', [], [atom('auto:aggregationWindow', 'gteq', 'PT1S')])],
    });
    expect(leaving(made)).toEqual([BRAKE]);
    expect(made.denials).toMatchObject([
      { signal: SPEED, reason: 'transform', rule: '#p1', constraint: expect.stringMatching(/raw cannot carry/) },
    ]);
  });

  it.each<[string, Json[]]>([
    ['a duty to aggregate', []],
    ['a window of 0', [atom('auto:aggregationWindow', 'gteq', 'PT0S')]],
  ])('of %s that names no least measure is met by nothing: 1 ms and mean would hide nothing', (_, refinement) => {
    const duty = refinement.length === 0 ? 'aggregate' : { value: 'aggregate', refinement };
    const permission = [{ uid: '#p1', target: 'vss:Vehicle', action: 'distribute', duty: [{ action: duty }] }];
    const campaigns = [campaign({ signals: [aggregate(SPEED, '1ms', 'mean'), aggregate(BRAKE, '10s', 'min')] })];
    const made = plan({ campaigns, agreements: [agreement({ permission })] });
    expect(made.streams).toEqual([]);
    expect(made.denials).toMatchObject([
      { signal: SPEED, rule: '#p1', reason: 'transform', constraint: expect.stringMatching(/names no least measure/) },
      { signal: BRAKE, rule: '#p1', reason: 'transform' },
    ]);
    // The law's least window gives the measure that the duty lacks.
    const law = lawPack({
      obligation: [
        {
          uid: '#w',
          target: 'vss:Vehicle',
          action: [{ value: 'aggregate', refinement: [atom('auto:aggregationWindow', 'gteq', 'PT5S')] }],
        },
      ],
    });
    expect(operations(plan({ campaigns, agreements: [agreement({ permission })], lawPacks: [law] }))).toMatchObject([
      { windowMs: 5000 },
      { windowMs: 10_000 },
    ]);
  });

  it.each<[string, readonly Json[]]>([
    ['a number of samples', [atom('auto:minSamples', 'gteq', 50)]],
    [
      'a number of samples in a window',
      [atom('auto:aggregationWindow', 'gteq', 'PT10S'), atom('auto:minSamples', 'gteq', 50)],
    ],
  ])('of %s is not met by the last sample', (_, refinement) => {
    const duty = refinement.length === 0 ? 'aggregate' : { value: 'aggregate', refinement };
    const own = agreement({
      permission: [{ uid: '#p1', target: 'vss:Vehicle', action: 'distribute', duty: [{ action: duty }] }],
    });
    const made = plan({
      campaigns: [campaign({ signals: [aggregate(SPEED, '1ms', 'last'), aggregate(BRAKE, '10s', 'min, last')] })],
      agreements: [own],
    });
    expect(made.denials).toMatchObject([
      {
        signal: SPEED,
        rule: '#p1',
        reason: 'transform',
        constraint: expect.stringMatching(/, which last cannot carry$/),
      },
    ]);
    expect(operations(made)).toMatchObject([{ kind: 'aggregate', windowMs: 10_000, results: ['min'] }]);
    expect(made.raised).toContainEqual(
      expect.stringMatching(/^ubi: Vehicle.Chassis.*: last withheld by .* of #p1 of /),
    );
  });

  it('of a least window lets the last sample of each out, as no demand does', () => {
    const campaigns = [campaign({ signals: [aggregate(SPEED, '1ms', 'last')] })];
    const window = allows('vss:Vehicle', [], [atom('auto:aggregationWindow', 'gteq', 'PT10S')]);
    expect(operations(plan({ campaigns, agreements: [window] }))).toEqual([
      { kind: 'aggregate', windowMs: 10_000, results: ['last'] },
    ]);
    expect(operations(plan({ campaigns, agreements: [allows('vss:Vehicle')] }))).toEqual([
      { kind: 'aggregate', windowMs: 1, results: ['last'] },
    ]);
  });

  it('makes of raw one sample a period', () => {
    const demand = [atom('auto:sampling', 'gteq', 'PT2S')];
    expect(
      operations(
        plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [allows('vss:Vehicle', [], demand)] }),
      ),
    ).toEqual([{ kind: 'decimate', periodMs: 2000 }]);
  });

  it('is the strictest of all permissions, duties and law packs', () => {
    const law = lawPack({
      obligation: [
        {
          uid: '#o1',
          target: 'vss:Vehicle.CurrentLocation',
          action: [{ value: 'anonymize', refinement: [atom('auto:precision', 'gteq', 1000)] }],
        },
      ],
    });
    const first = allows('vss:Vehicle.CurrentLocation', [], [atom('auto:precision', 'gteq', 200)]);
    const second = agreement({
      uid: uid(2),
      permission: [
        {
          uid: '#p2',
          target: 'vss:Vehicle',
          action: 'distribute',
          duty: [{ action: { value: 'anonymize', refinement: [atom('auto:precision', 'gteq', 500)] } }],
        },
      ],
    });
    const campaigns = [campaign({ signals: [cloak(LAT), cloak(LON, 300)] })];
    const cells = (made: Plan) =>
      operations(made).map((operation) => (operation.kind === 'cloak' ? operation.cellMetres : 0));
    expect(cells(plan({ campaigns, agreements: [first] }))).toEqual([300, 300]);
    expect(cells(plan({ campaigns, agreements: [first, second] }))).toEqual([500, 500]);
    expect(cells(plan({ campaigns, agreements: [first, second], lawPacks: [law] }))).toEqual([1000, 1000]);
    const raw = plan({ campaigns: [campaign({ signals: [LAT] })], agreements: [second], lawPacks: [law] });
    expect(raw.denials).toMatchObject([{ reason: 'transform', agreement: 'urn:law:test', rule: '#o1' }]);
  });

  it('is a test in the constraint of a prohibition, on the operation as it will run', () => {
    const fine = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', 'vss:Vehicle.CurrentLocation', [atom('auto:precision', 'lt', 1000)])],
    });
    const ask = (cell: number) =>
      plan({ campaigns: [campaign({ signals: [cloak(LAT, cell), cloak(LON, cell)] })], agreements: [fine] });
    expect(leaving(ask(1000))).toEqual([LAT, LON]);
    expect(ask(999).denials).toMatchObject([
      { signal: LAT, rule: '#n1', reason: 'prohibited' },
      { signal: LON, rule: '#n1', reason: 'prohibited' },
    ]);
    expect(leaving(plan({ campaigns: [campaign({ signals: [LAT] })], agreements: [fine] }))).toEqual([]);
  });
});

describe('an operation', () => {
  it('cloaks both axes of a position or none', () => {
    const agreements = [allows('vss:Vehicle')];
    expect(
      operations(plan({ campaigns: [campaign({ every: '2s', signals: [cloak(LON), cloak(LAT)] })], agreements })),
    ).toEqual([
      { kind: 'cloak', cellMetres: 100, axis: 'longitude', periodMs: 2000 },
      { kind: 'cloak', cellMetres: 100, axis: 'latitude', periodMs: 2000 },
    ]);
    expect(plan({ campaigns: [campaign({ signals: [cloak(LAT)] })], agreements }).denials).toMatchObject([
      { signal: LAT, reason: 'transform', constraint: expect.stringContaining(LON) },
    ]);
    const half = plan({
      campaigns: [campaign({ signals: [cloak(LAT), cloak(LON)] })],
      agreements: [allows(`vss:${LAT}`)],
    });
    expect(half.streams).toEqual([]);
    expect(half.denials.map(({ signal: name }) => name).sort()).toEqual([LAT, LON]);
  });

  it('cloaks nothing but a position in degrees', () => {
    const made = plan({ campaigns: [campaign({ signals: [cloak(SPEED)] })], agreements: [allows('vss:Vehicle')] });
    expect(made.denials).toMatchObject([{ reason: 'transform' }]);
  });

  it('takes a signal of 64 bits raw or decimated only', () => {
    const agreements = [allows('dbc:Raw.SERIAL')];
    expect(leaving(plan({ campaigns: [campaign({ signals: ['dbc:Raw.SERIAL'] })], agreements }))).toEqual([
      'dbc:Raw.SERIAL',
    ]);
    expect(
      plan({ campaigns: [campaign({ signals: [aggregate('dbc:Raw.SERIAL')] })], agreements }).denials,
    ).toMatchObject([{ reason: 'transform' }]);
  });

  it('notes where a negative factor turns min and max around', () => {
    const made = plan({
      campaigns: [campaign({ signals: [aggregate('Vehicle.Current', '1s', 'min, max')] })],
      agreements: [allows('vss:Vehicle')],
    });
    expect(made.raised[0]).toMatch(/its factor is negative/);
  });

  it('is not made twice of one signal under two names', () => {
    const made = plan({
      campaigns: [campaign({ signals: [SPEED, 'dbc:Motion.Speed'] })],
      agreements: [allows('vss:Vehicle')],
    });
    expect(leaving(made)).toEqual([SPEED]);
    expect(made.denials).toMatchObject([{ signal: 'dbc:Motion.Speed', constraint: `is the same signal as ${SPEED}` }]);
  });
});

describe('a signal licensed by two agreements', () => {
  const low = agreement({ permission: [permit('#a', `vss:${SPEED}`)] });
  const high = agreement({ uid: uid(2), permission: [permit('#b', ['vss:Vehicle'])] });
  const campaigns = [campaign({ signals: [SPEED, BRAKE] })];

  it('goes once, under the bytewise lowest uid', () => {
    const made = plan({ campaigns, agreements: [high, low] });
    expect(made.streams.map(({ agreement: of, signals }) => [of, signals.map(({ signal: { name } }) => name)])).toEqual(
      [
        [uid(1), [SPEED]],
        [uid(2), [BRAKE]],
      ],
    );
  });

  it('stands in both streams where the lower one permits only at times', () => {
    const sometimes = agreement({ permission: [permit('#a', `vss:${SPEED}`, [atom('auto:ignition', 'eq', 'on')])] });
    const made = plan({ campaigns, agreements: [sometimes, high], context: { ignition: 'Vehicle.Ignition' } });
    expect(made.streams.map(({ signals }) => signals.map(({ gate }) => gate.instead))).toEqual([
      [[]],
      [[{ stream: 0, signal: 0 }], []],
    ]);
  });
});

describe('time', () => {
  it('ends a campaign', () => {
    const campaigns = [campaign({ expires: '2025-12-31T23:59:59Z', signals: [SPEED] })];
    expect(plan({ campaigns, agreements: [allows('vss:Vehicle')] }).denials).toMatchObject([{ reason: 'expired' }]);
    expect(leaving(plan({ campaigns, agreements: [allows('vss:Vehicle')], nowUtcMs: null }))).toEqual([SPEED]);
  });

  it('ends a permission for good, but only when it is known', () => {
    const agreements = [allows('vss:Vehicle', [atom('dateTime', 'lt', '2025-01-01T00:00:00Z')])];
    const campaigns = [campaign({ signals: [SPEED] })];
    expect(plan({ campaigns, agreements }).denials).toMatchObject([
      { reason: 'constraint', constraint: 'dateTime lt 2025-01-01T00:00:00Z, is over' },
    ]);
    expect(leaving(plan({ campaigns, agreements, nowUtcMs: null }))).toEqual([SPEED]);
  });

  it('lifts no prohibition by the clock of the unit: the gate asks the time of each row', () => {
    const until = atom('dateTime', 'lt', '2025-07-01T00:00:00Z');
    const shut = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', `vss:${SPEED}`, [until])],
    });
    const gate = createGate(plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [shut] }));
    const at = (utc: string | null): UtcReading =>
      utc === null
        ? { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' }
        : { offsetNs: BigInt(Date.parse(utc)) * 1_000_000n, errorNs: 0, source: 'gnss' };
    const seen = ['2025-01-01T00:00:00Z', null, '2025-08-01T00:00:00Z'].map((utc) => {
      gate.tick(0, at(utc));
      return gate.admits(0, 0);
    });
    expect(seen).toEqual([false, false, true]);
  });

  it('lifts no prohibition to read a context signal, and no obligation, by the clock of the unit', () => {
    const until = atom('dateTime', 'lt', '2025-07-01T00:00:00Z');
    const own = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', `vss:${LAT}`, [until], 'read')],
      obligation: [{ uid: '#o1', target: `vss:${SPEED}`, action: 'aggregate', constraint: [until] }],
    });
    const made = plan({ campaigns: [campaign({ signals: [SPEED], context: [LAT] })], agreements: [own] });
    expect(made.denials.map(({ signal: name, rule }) => [name, rule])).toEqual([
      [SPEED, '#o1'],
      [LAT, '#n1'],
    ]);
  });

  it('opens no permission by the end of one of two times that exclude each other', () => {
    const past = atom('dateTime', 'lt', '2025-07-01T00:00:00Z');
    const one = allows('vss:Vehicle', [{ xone: [past, { and: [atom('purpose', 'eq', 'auto:UbiInsurance')] }] }]);
    const gate = createGate(plan({ campaigns: [campaign({ signals: [SPEED] })], agreements: [one] }));
    gate.tick(0, { offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' });
    expect(gate.admits(0, 0)).toBe(false);
  });
});

describe('context', () => {
  const slow = [atom('auto:vehicleSpeed', 'lt', 30)];
  const campaigns = [campaign({ signals: [BRAKE] })];

  it('gets the right to be decoded only where a rule asks for it', () => {
    const context = { speed: SPEED, ignition: 'Vehicle.Ignition' };
    const made = plan({ campaigns, context, agreements: [allows(`vss:${BRAKE}`, slow)] });
    expect(made.rights.map(({ signal: { name }, right }) => [name, right])).toEqual([
      [BRAKE, 'record'],
      [SPEED, 'context'],
    ]);
    expect(made.rights[1]!.because).toBe(`auto:vehicleSpeed of #p1 of ${uid(1)}`);
    expect(plan({ campaigns, context, agreements: [allows(`vss:${BRAKE}`)] }).rights).toHaveLength(1);
  });

  it('denies where the unit has none, and where its signal may not be read', () => {
    expect(plan({ campaigns, agreements: [allows(`vss:${BRAKE}`, slow)] }).denials).toMatchObject([
      { reason: 'constraint', constraint: expect.stringMatching(/is unknown/) },
    ]);
    const shut = agreement({
      permission: [permit('#p1', `vss:${BRAKE}`, slow)],
      prohibition: [prohibit('#n1', `vss:${SPEED}`, [], 'read')],
    });
    const made = plan({ campaigns, context: { speed: SPEED }, agreements: [shut] });
    expect(made.streams).toEqual([]);
    expect(made.rights).toEqual([]);
    expect(made.denials[0]!.constraint).toMatch(/may not be read/);
  });

  it('fails a prohibition closed where it is unknown', () => {
    const shut = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', `vss:${BRAKE}`, slow)],
    });
    expect(plan({ campaigns, agreements: [shut] }).denials).toMatchObject([{ reason: 'prohibited', rule: '#n1' }]);
    expect(leaving(plan({ campaigns, agreements: [shut], context: { speed: 'assume-80' } }))).toEqual([BRAKE]);
  });

  it('may be assumed by the configuration', () => {
    const agreements = [allows(`vss:${BRAKE}`, [atom('auto:ignition', 'eq', 'on')])];
    expect(leaving(plan({ campaigns, agreements, context: { ignition: 'assume-on' } }))).toEqual([BRAKE]);
    expect(leaving(plan({ campaigns, agreements, context: { ignition: 'assume-off' } }))).toEqual([]);
  });

  it('is asked for by a campaign as long as it may be read', () => {
    const asks = [campaign({ signals: [BRAKE], context: [LAT, 'Vehicle.Nothing'] })];
    const made = plan({ campaigns: asks, agreements: [allows('vss:Vehicle.Chassis')] });
    expect(made.rights).toContainEqual({
      signal: SIGNALS.byName.get(LAT),
      right: 'context',
      because: 'context of campaign ubi',
    });
    expect(made.denials).toMatchObject([{ signal: 'Vehicle.Nothing', reason: 'unknown-signal' }]);
    const law = lawPack({ prohibition: [prohibit('#n', 'vss:Vehicle.CurrentLocation')] });
    expect(plan({ campaigns: asks, lawPacks: [law], agreements: [] }).denials).toContainEqual(
      expect.objectContaining({ signal: LAT, reason: 'prohibited', rule: '#n' }),
    );
  });

  it.each([
    [{ sped: SPEED }, /"sped" is no operand/, /"speed"/],
    [{ speed: 'Vehicle.Sped' }, /no signal "Vehicle.Sped"/, /"Vehicle.Speed"/],
    [{ speed: BRAKE }, /is no speed/, /fails closed/],
    [{ ignition: 'assume-maybe' }, /assume-on or assume-off/, /fails closed/],
    [{ position: 'Vehicle.Place' }, /no signal "Vehicle.Place.Latitude"/, /./],
  ])('is refused as %j', (context, message, remedy) => {
    try {
      plan({ context: context as Record<string, string> });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TollgateError);
      expect((error as TollgateError).code).toBe('TG_POLICY_CONTEXT_SOURCE');
      expect((error as TollgateError).message).toMatch(message);
      expect((error as TollgateError).remedy).toMatch(remedy);
    }
  });
});

describe('an explanation', () => {
  it('names rule, operation and what the gate asks, or rule and constraint', () => {
    const agreements = [
      agreement({
        permission: [permit('#p1', `vss:${SPEED}`, [UBI, atom('auto:ignition', 'eq', 'on')])],
        prohibition: [prohibit('#n1', `vss:${ANGLE}`)],
      }),
    ];
    const campaigns = [campaign({ expires: '2027-01-01T00:00:00Z', signals: [SPEED, ANGLE] })];
    const made = plan({ campaigns, agreements, context: { ignition: 'Vehicle.Ignition' } });
    expect(explainSignal(made, [SPEED])).toMatchObject([
      {
        sent: true,
        rule: '#p1',
        how: 'raw, every sample',
        conditions: ['auto:ignition eq on', 'until 2027-01-01T00:00:00.000Z'],
      },
    ]);
    expect(explainSignal(made, [ANGLE])).toMatchObject([{ sent: false, rule: '#n1', how: 'prohibited' }]);
    expect(explainSignal(made, [BRAKE])).toEqual([]);
  });
});

describe('any set of documents', () => {
  const names = SIGNALS.signals.map(({ name }) => name).filter((name) => name !== 'dbc:Raw.SERIAL');
  const target = fc.constantFrom(
    'vss:Vehicle',
    'vss:Vehicle.CurrentLocation',
    'vss:Vehicle.Chassis',
    'dbc:Raw.THROTTLE',
    ...names.filter((name) => name.startsWith('Vehicle')).map((name) => `vss:${name}`),
  );
  const purpose = fc.constantFrom('auto:UbiInsurance', 'auto:Insurance', 'auto:Research', 'auto:AnyPurpose');
  const constraint = fc.oneof(
    purpose.map((id) => [atom('purpose', 'isA', id)]),
    fc.constantFrom<readonly Json[]>(
      [],
      [atom('auto:ignition', 'eq', 'on')],
      [{ or: [atom('purpose', 'eq', 'auto:Research'), atom('auto:vehicleSpeed', 'gt', 5)] }],
    ),
  );
  const permission = fc.record({ target, constraint });
  const agreements = fc
    .array(
      fc.record({
        permissions: fc.array(permission, { minLength: 1, maxLength: 4 }),
        prohibitions: fc.array(permission, { maxLength: 1 }),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .map((list) =>
      list.map(({ permissions, prohibitions }, i) =>
        agreement({
          uid: uid(i),
          permission: permissions.map(({ target: of, constraint: when }, n) => permit(`#p${n}`, of, when)),
          ...(prohibitions.length === 0
            ? {}
            : { prohibition: prohibitions.map(({ target: of, constraint: when }, n) => prohibit(`#n${n}`, of, when)) }),
        }),
      ),
    );
  const context = { ignition: 'Vehicle.Ignition', speed: SPEED };
  const campaigns = [campaign({ signals: names })];

  it('leaves or denies each requested signal, never neither', () => {
    fc.assert(
      fc.property(agreements, (list) => {
        const made = plan({ campaigns, agreements: list, context });
        const kept = made.denials.map(({ signal: name }) => name);
        expect([...new Set([...leaving(made), ...kept])].sort()).toEqual([...names].sort());
        expect(leaving(made).filter((name) => kept.includes(name))).toEqual([]);
        const record = made.rights.filter(({ right }) => right === 'record').map(({ signal: { name } }) => name);
        expect(record.sort()).toEqual([...new Set(leaving(made))].sort());
      }),
      { numRuns: 200, seed: 11 },
    );
  });

  it('loses exactly the signals of a permission that is deleted', () => {
    const licensed = (list: readonly Agreement[]) => new Set(leaving(plan({ campaigns, agreements: list, context })));
    fc.assert(
      fc.property(agreements, fc.nat(2), fc.nat(3), (list, a, p) => {
        const mutant = list[a % list.length]!;
        const gone = mutant.permissions[p % mutant.permissions.length]!;
        const without = list.map((one) =>
          one === mutant ? { ...one, permissions: one.permissions.filter((rule) => rule !== gone) } : one,
        );
        const alone = licensed([...list.map((one) => ({ ...one, permissions: one === mutant ? [gone] : [] }))]);
        const [before, after] = [licensed(list), licensed(without)];
        const lost = [...before].filter((name) => !after.has(name));
        // What is lost was licensed by that permission, and by no other that is left; nothing is won.
        expect(lost.every((name) => alone.has(name))).toBe(true);
        expect([...after].every((name) => before.has(name))).toBe(true);
        const others = new Set(
          without.flatMap((one) =>
            one.permissions.flatMap((rule) => [
              ...licensed(without.map((other) => ({ ...other, permissions: other === one ? [rule] : [] }))),
            ]),
          ),
        );
        expect(lost.sort()).toEqual([...alone].filter((name) => !others.has(name)).sort());
      }),
      { numRuns: 60, seed: 12 },
    );
  });
});

describe('a database on two channels', () => {
  const twin = (channel: number) =>
    signal(`dbc:can${channel}/A.B`, 'A.B', { channel, dbcName: `dbc:can${channel}/A.B` });
  const signals = catalogueOf([twin(0), twin(1)]);

  it('is prohibited on both by the short name, and permitted by neither', () => {
    const campaigns = [campaign({ signals: ['dbc:can0/A.B', 'dbc:can1/A.B'] })];
    expect(leaving(plan({ signals, campaigns, agreements: [allows('dbc:A.B')] }))).toEqual([]);
    const long = allows(['dbc:can0/A.B', 'dbc:can1/A.B']);
    expect(leaving(plan({ signals, campaigns, agreements: [long] }))).toHaveLength(2);
    const law = lawPack({ prohibition: [prohibit('#n', 'dbc:A.B')] });
    expect(leaving(plan({ signals, campaigns, agreements: [long], lawPacks: [law] }))).toEqual([]);
  });
});
