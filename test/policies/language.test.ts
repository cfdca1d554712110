import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePlan, loadAgreement, type Plan, type PlanInput, type RecipientFacts } from '#policies';
import { agreement, atom, campaign, INSURER, input, type Json, lawPack, OTHER, permit, prohibit } from './parts.ts';

const SPEED = 'Vehicle.Speed';
const BRAKE = 'Vehicle.Chassis.Brake.PedalPosition';
const ANGLE = 'Vehicle.Chassis.SteeringWheel.Angle';
const LAT = 'Vehicle.CurrentLocation.Latitude';
const LON = 'Vehicle.CurrentLocation.Longitude';
const UID = 'urn:uuid:00000000-0000-4000-8000-000000000001';

const plan = (change: Partial<PlanInput>): Plan => compilePlan(input(change));
const leaving = ({ streams }: Plan) => streams.flatMap(({ signals }) => signals.map(({ signal: { name } }) => name));
const operations = ({ streams }: Plan) => streams.flatMap(({ signals }) => signals.map(({ operation }) => operation));
const aggregate = (name: string, window: string, results = 'mean') =>
  `{ signal: "${name}", operation: aggregate, window: ${window}, results: [${results}] }`;
const cloak = (name: string, cell: number) => `{ signal: ${name}, operation: cloak, cell: ${cell} }`;
const ask = (...signals: string[]) => [campaign({ signals })];
const facts = (about: Partial<RecipientFacts>) => new Map([[INSURER, { credit: null, roles: [], ...about }]]);
const rule = (change: Record<string, Json>) =>
  agreement({ permission: [{ uid: '#p1', target: `vss:${SPEED}`, action: 'distribute', ...change }] });

describe('a target', () => {
  it.each<[string, string[]]>([
    ['vss:Vehicle.*', [SPEED, BRAKE, ANGLE]],
    ['vss:Vehicle.Chassis.*', [BRAKE, ANGLE]],
    ['vss:Vehicle.*.*.Angle', [ANGLE]],
    ['vss:**.Angle', [ANGLE]],
    ['vss:Vehicle.**.PedalPosition', [BRAKE]],
    ['vss:Vehicle.Sp*d', [SPEED]],
    ['vss:Vehicle.Sp*x', []],
    ['vss:Vehicle.Chassis.*.*.*', []],
    ['dbc:*.Angle', [ANGLE]],
    ['dbc:Mo*.Sp*', [SPEED]],
  ])('%s reaches %j', (target, reached) => {
    const made = plan({ campaigns: ask(SPEED, BRAKE, ANGLE), agreements: [rule({ target })] });
    expect(leaving(made)).toEqual(reached);
  });

  it('may be a collection with members, narrowed by the class of what it reaches', () => {
    const target = { '@type': 'AssetCollection', uid: 'urn:x:all', 'auto:member': [`vss:${SPEED}`, `vss:${LAT}`] };
    const narrowed = { ...target, refinement: [atom('auto:sensitivity', 'lteq', 'personal')] };
    expect(leaving(plan({ campaigns: ask(SPEED, LAT), agreements: [rule({ target })] }))).toEqual([SPEED, LAT]);
    const made = plan({ campaigns: ask(SPEED, LAT), agreements: [rule({ target: narrowed })] });
    expect(leaving(made)).toEqual([SPEED]);
    expect(made.denials).toMatchObject([
      { signal: LAT, rule: '#p1', constraint: expect.stringContaining('is sensitive') },
    ]);
  });

  it('has the class that the configuration gives it, the highest where several reach it', () => {
    const agreements = [rule({ target: 'vss:Vehicle', constraint: [atom('auto:sensitivity', 'lteq', 'vehicle')] })];
    const sensitivity = { 'vss:Vehicle': 'vehicle', 'vss:Vehicle.Chassis': 'important' } as const;
    expect(leaving(plan({ campaigns: ask(SPEED, BRAKE), agreements, sensitivity }))).toEqual([SPEED]);
  });
});

describe('a party', () => {
  it('may be named in a rule, one or a collection with members', () => {
    const members = { '@type': 'PartyCollection', uid: 'urn:x:insurers', 'auto:member': [INSURER, OTHER] };
    for (const [assignee, sent] of [
      [INSURER, true],
      [OTHER, false],
      [members as unknown as Json, true],
    ] as const) {
      expect(leaving(plan({ campaigns: ask(SPEED), agreements: [rule({ assignee })] }))).toEqual(sent ? [SPEED] : []);
    }
  });

  it('is narrowed by its own credentials, and what they do not say is unknown', () => {
    const assignee = { '@type': 'Party', uid: INSURER, refinement: [atom('auto:recipientCredit', 'gteq', 3)] };
    const sent = (recipients?: PlanInput['recipients']) =>
      leaving(
        plan({
          campaigns: ask(SPEED),
          agreements: [agreement({ assignee, permission: [permit('#p1', `vss:${SPEED}`)] })],
          recipients,
        }),
      );
    expect(sent(facts({ credit: 3 }))).toEqual([SPEED]);
    expect(sent(facts({ credit: 2 }))).toEqual([]);
    expect(sent(facts({ credit: null }))).toEqual([]);
    expect(sent()).toEqual([]);
  });

  it.each<[Json, Partial<RecipientFacts> | null, boolean]>([
    [atom('auto:recipientRole', 'eq', 'x:repair'), { roles: ['x:repair', 'x:sales'] }, true],
    [atom('auto:recipientRole', 'isAllOf', ['x:repair', 'x:bank']), { roles: ['x:repair'] }, false],
    [atom('auto:recipientRole', 'isNoneOf', ['x:bank']), { roles: ['x:repair'] }, true],
    [atom('auto:recipientRole', 'isNoneOf', ['x:bank']), null, false],
    [atom('auto:recipientRegion', 'isPartOf', 'auto:EU'), { region: 'DE-BY' }, true],
    [atom('auto:recipientRegion', 'isPartOf', 'CN'), { region: 'DE' }, false],
    [atom('auto:recipientRegion', 'isNoneOf', ['CN']), { region: null }, false],
  ])('%j with %j leaves: %s', (constraint, about, sent) => {
    const recipients = about === null ? undefined : facts(about);
    const made = plan({ campaigns: ask(SPEED), agreements: [rule({ constraint: [constraint] })], recipients });
    expect(leaving(made).length > 0).toBe(sent);
    // The same as a prohibition: what is unknown prohibits.
    const both = agreement({
      permission: [permit('#p1', `vss:${SPEED}`)],
      prohibition: [prohibit('#n1', `vss:${SPEED}`, [constraint])],
    });
    const shut = leaving(plan({ campaigns: ask(SPEED), agreements: [both], recipients })).length === 0;
    expect(shut).toBe(sent || about === null || about.region === null);
  });
});

describe('the unit', () => {
  it('knows its place and what vouches for it, or fails closed', () => {
    const agreements = [
      rule({ constraint: [atom('auto:region', 'isPartOf', 'auto:World'), atom('auto:attestation', 'gteq', 'tpm')] }),
    ];
    const sent = (unit: PlanInput['unit']) => leaving(plan({ campaigns: ask(SPEED), agreements, unit }));
    expect(sent({ region: 'CN-BJ', attestation: 'tee' })).toEqual([SPEED]);
    expect(sent({ region: 'CN-BJ', attestation: 'software' })).toEqual([]);
    expect(sent({ attestation: 'tee' })).toEqual([]);
  });
});

describe('the configuration', () => {
  it('says what no signal tells: where the unit is registered and what vouches for it', () => {
    const agreements = [
      rule({ constraint: [atom('auto:region', 'isPartOf', 'CN'), atom('auto:attestation', 'gteq', 'tpm')] }),
    ];
    const sent = (context: Record<string, string>) => leaving(plan({ campaigns: ask(SPEED), agreements, context }));
    expect(sent({ region: 'assume-CN-BJ', attestation: 'assume-tpm' })).toEqual([SPEED]);
    expect(sent({ region: 'assume-CN-BJ', attestation: 'none' })).toEqual([]);
    for (const context of [{ region: 'China' }, { region: 'assume-China' }, { attestation: 'assume-tmp' }]) {
      expect(() => sent(context)).toThrow(/context|ISO 3166|level/);
    }
  });
});

describe('a duty', () => {
  const duty = (action: Json, more: Record<string, Json> = {}) => rule({ duty: [{ action, ...more }] });

  it('to delete goes with the stream to the recipient', () => {
    const own = duty('delete', {
      constraint: [atom('elapsedTime', 'lteq', 'P30D')],
      consequence: { action: 'inform' },
    });
    expect(own.permissions[0]!.duties).toMatchObject([{ action: 'delete', consequences: [{ action: 'inform' }] }]);
    const [stream] = plan({ campaigns: ask(SPEED), agreements: [own] }).streams;
    expect(stream!.duties).toEqual([{ rule: '#p1', agreement: UID, action: 'delete', withinMs: 30 * 86_400_000 }]);
  });

  it.each(['inform', 'compensate', 'obtainConsent', 'delete'])('to %s that nobody here can meet denies', (action) => {
    const own = duty(action);
    expect(own.warnings[0]).toMatch(/cannot be met/);
    const made = plan({ campaigns: ask(SPEED), agreements: [own] });
    expect(made.denials).toMatchObject([{ rule: '#p1', constraint: `duty ${action}, which cannot be met here` }]);
  });

  it('that cannot be met denies as an obligation too, whoever permits', () => {
    const law = lawPack({ obligation: [{ uid: '#o', target: 'vss:Vehicle', action: 'inform' }] });
    const made = plan({ campaigns: ask(SPEED), agreements: [rule({})], lawPacks: [law] });
    expect(made.denials).toMatchObject([{ rule: '#o', agreement: 'urn:law:test', reason: 'prohibited' }]);
  });

  it('of a prohibition is a remedy, read and never due: the gate violates nothing', () => {
    const own = agreement({
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [{ uid: '#n1', target: `vss:${SPEED}`, action: 'use', remedy: [{ action: 'inform' }] }],
    });
    expect(own.prohibitions[0]!.remedies).toMatchObject([{ action: 'inform' }]);
    expect(leaving(plan({ campaigns: ask(SPEED, BRAKE), agreements: [own] }))).toEqual([BRAKE]);
  });
});

describe('a counter', () => {
  it('becomes a budget of each stream that its permission licenses', () => {
    const own = rule({ constraint: [atom('count', 'lteq', 1440), atom('auto:bytes', 'lt', 1000.5)] });
    const made = plan({ campaigns: ask(SPEED), agreements: [own] });
    expect(made.streams[0]!.budgets).toEqual([
      { agreement: UID, counts: 'count', key: 'count/#p1', limit: 1440 },
      { agreement: UID, counts: 'bytes', key: 'bytes/#p1', limit: 1000 },
    ]);
    expect(made.streams[0]!.signals[0]!.gate.permissions[0]!.condition).toEqual({ op: 'and', parts: [] });
  });

  it('counts nothing where another permission lets the signal out without', () => {
    const own = agreement({
      permission: [permit('#p1', `vss:${SPEED}`, [atom('count', 'lteq', 5)]), permit('#p2', 'vss:Vehicle')],
    });
    expect(plan({ campaigns: ask(SPEED), agreements: [own] }).streams[0]!.budgets).toEqual([]);
  });
});

describe('a demand', () => {
  it('may be a rate or an interval: the sampling period the other way round', () => {
    for (const refinement of [atom('auto:rate', 'lteq', 0.5), atom('timeInterval', 'eq', 'PT2S')]) {
      const own = agreement({ permission: [permit('#p1', `vss:${SPEED}`, [], [refinement])] });
      expect(operations(plan({ campaigns: ask(SPEED), agreements: [own] }))).toEqual([
        { kind: 'decimate', periodMs: 2000 },
      ]);
    }
  });

  it('of subjects is held by an aggregation service only', () => {
    const own = agreement({ permission: [permit('#p1', `vss:${SPEED}`, [], [atom('auto:kMin', 'gteq', 30)])] });
    const alone = plan({ campaigns: ask(SPEED), agreements: [own], recipients: facts({ roles: ['x:insurer'] }) });
    expect(alone.denials).toMatchObject([
      { rule: '#p1', reason: 'transform', constraint: expect.stringMatching(/only an aggregation service/) },
    ]);
    const service = plan({
      campaigns: ask(SPEED),
      agreements: [own],
      recipients: facts({ roles: ['auto:AggregationService'] }),
    });
    expect(leaving(service)).toEqual([SPEED]);
    expect(service.raised).toContainEqual(
      expect.stringMatching(/auto:kMin gteq 30 of #p1 .* left to the aggregation service/),
    );
  });
});

describe('two campaigns of one recipient on one signal', () => {
  const windowed = agreement({
    permission: [permit('#p1', 'vss:Vehicle', [], [atom('auto:aggregationWindow', 'gteq', 'PT60S')])],
  });
  const two = (first: string, second: string) => [
    campaign({ name: 'a', signals: [first] }),
    campaign({ name: 'b', signals: [second] }),
  ];

  it('share the coarser window, so that no subtraction tells a second', () => {
    const made = plan({ campaigns: two(aggregate(SPEED, '60s'), aggregate(SPEED, '61s')), agreements: [windowed] });
    expect(operations(made).map((operation) => operation.kind === 'aggregate' && operation.windowMs)).toEqual([
      61_000, 61_000,
    ]);
    expect(made.raised).toContainEqual(expect.stringMatching(/^a: Vehicle.Speed: 1 min to 61 s: one parameter .*#p1/));
  });

  it('share the coarser cell', () => {
    const own = agreement({ permission: [permit('#p1', 'vss:Vehicle', [], [atom('auto:precision', 'gteq', 100)])] });
    const made = plan({
      campaigns: [
        campaign({ name: 'a', signals: [cloak(LAT, 100), cloak(LON, 100)] }),
        campaign({ name: 'b', signals: [cloak(LAT, 101), cloak(LON, 120)] }),
      ],
      agreements: [own],
    });
    expect(operations(made).map((operation) => operation.kind === 'cloak' && operation.cellMetres)).toEqual([
      120, 120, 120, 120,
    ]);
  });

  it('have one kind of operation: the second is denied', () => {
    const own = agreement({ permission: [permit('#p1', 'vss:Vehicle', [], [atom('auto:sampling', 'gteq', 'PT10S')])] });
    const made = plan({ campaigns: two(`${SPEED} raw`, aggregate(SPEED, '60s')), agreements: [own] });
    expect(leaving(made)).toEqual([SPEED]);
    expect(made.denials).toMatchObject([
      { campaign: 'b', rule: '#p1', reason: 'transform', constraint: expect.stringMatching(/subtracted/) },
    ]);
  });

  it('stay as they are where nothing is demanded, and for two recipients', () => {
    const open = agreement({ permission: [permit('#p1', 'vss:Vehicle')] });
    const made = plan({ campaigns: two(aggregate(SPEED, '60s'), aggregate(SPEED, '61s')), agreements: [open] });
    expect(operations(made).map((operation) => operation.kind === 'aggregate' && operation.windowMs)).toEqual([
      60_000, 61_000,
    ]);
    expect(made.raised).toEqual([]);
  });
});

describe('an offer', () => {
  it('is read, and opens and closes nothing', () => {
    const offer = agreement({
      '@type': 'Offer',
      uid: 'urn:x:offer',
      permission: [permit('#p1', 'vss:Vehicle')],
      prohibition: [prohibit('#n1', `vss:${BRAKE}`)],
    });
    expect(offer.warnings[0]).toMatch(/not in force/);
    expect(leaving(plan({ campaigns: ask(SPEED, BRAKE), agreements: [offer] }))).toEqual([]);
    expect(
      leaving(
        plan({
          campaigns: ask(SPEED, BRAKE),
          agreements: [offer, agreement({ permission: [permit('#p1', 'vss:Vehicle')] })],
        }),
      ),
    ).toEqual([SPEED, BRAKE]);
  });
});

describe('where several prohibit', () => {
  const layer = (uid: string, name: string) =>
    agreement({
      uid,
      'auto:layer': name,
      prohibition: [prohibit('#n', `vss:${SPEED}`)],
      permission: [permit('#p', 'vss:Vehicle')],
    });

  it('the strongest is named: law pack, owner, fleet, recipient', () => {
    const agreements = [layer('urn:a', 'recipient'), layer('urn:b', 'fleet'), layer('urn:c', 'owner')];
    const named = (change: Partial<PlanInput>) =>
      plan({ campaigns: ask(SPEED), agreements, ...change }).denials[0]!.agreement;
    expect(named({ lawPacks: [lawPack({ prohibition: [prohibit('#law', 'vss:Vehicle')] })] })).toBe('urn:law:test');
    expect(named({})).toBe('urn:c');
    expect(named({ agreements: agreements.slice(0, 2) })).toBe('urn:b');
  });
});

describe('the example law pack', () => {
  const file = new URL('../../policies/law-packs/example-cn/law-pack.json', import.meta.url);
  const law = loadAgreement(readFileSync(file), { file: 'law-pack.json' });
  const open = agreement({ permission: [permit('#p1', 'vss:Vehicle')] });
  const under = (about: Partial<RecipientFacts> | null, ...signals: string[]) =>
    plan({
      campaigns: ask(...signals),
      agreements: [open],
      lawPacks: [law],
      ...(about === null ? {} : { recipients: facts(about) }),
    });

  it('is stronger than any agreement', () => {
    expect(under({ region: 'DE' }, cloak(LAT, 500), cloak(LON, 500), SPEED).denials).toMatchObject([
      { signal: LAT, rule: '#sensitive-abroad' },
      { signal: LON, rule: '#sensitive-abroad' },
    ]);
    expect(leaving(under({ region: 'CN' }, cloak(LAT, 500), cloak(LON, 500), SPEED))).toEqual([LAT, LON, SPEED]);
    expect(under({ region: 'CN' }, cloak(LAT, 50), cloak(LON, 50)).denials).toMatchObject([
      { signal: LAT, rule: '#where-exactly' },
      { signal: LON, rule: '#where-exactly' },
    ]);
  });

  it('takes a recipient whose country is unknown as abroad', () => {
    expect(under(null, cloak(LAT, 500), cloak(LON, 500)).denials).toMatchObject([{ rule: '#sensitive-abroad' }, {}]);
  });

  it('tells the recipient how long places are kept', () => {
    expect(under({ region: 'CN' }, cloak(LAT, 500), cloak(LON, 500)).streams[0]!.duties).toEqual([
      { rule: '#keep-no-longer', agreement: law.uid, action: 'delete', withinMs: 7 * 86_400_000 },
    ]);
  });
});
