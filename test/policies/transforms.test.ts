import { describe, expect, it } from 'vitest';
import { compilePlan, type Plan } from '#policies';
import { agreement, atom, campaign, input, type Json, permit } from './parts.ts';

const SPEED = 'Vehicle.Speed';
const BRAKE = 'Vehicle.Chassis.Brake.PedalPosition';
const NOISE = `{ signal: ${SPEED}, operation: noise, window: 60s, epsilon: 1, range: [0, 200] }`;
const TRIP = { context: { ignition: 'Vehicle.Ignition', speed: SPEED } };

const plan = (signals: readonly string[], permission: readonly Json[], change: object = {}): Plan =>
  compilePlan(input({ campaigns: [campaign({ signals })], agreements: [agreement({ permission })], ...change }));
const operations = ({ streams }: Plan) => streams.flatMap(({ signals }) => signals.map(({ operation }) => operation));
const allows = (...refinement: Json[]) => [permit('#p1', 'vss:Vehicle', [], refinement)];

describe('a demand', () => {
  it('of noise lowers the privacy loss of a value, and denies what adds none', () => {
    const made = plan([NOISE, BRAKE], allows(atom('auto:epsilon', 'lteq', 0.25)));
    expect(operations(made)).toMatchObject([{ kind: 'noise', epsilonMicro: 250_000, windowMs: 60_000 }]);
    expect(made.raised[0]).toMatch(/privacy loss of a value lowered from 1 to 0.25 by #p1/);
    expect(made.denials).toMatchObject([{ signal: BRAKE, reason: 'transform', rule: '#p1' }]);
  });

  it('of a pseudonym shortens its life', () => {
    const signals = ['{ signal: "dbc:Raw.SERIAL", operation: pseudonymise, rotate: 1d }'];
    const permission = [permit('#p1', 'dbc:Raw.SERIAL', [], [atom('auto:pseudonymPeriod', 'lteq', 'PT1H')])];
    expect(operations(plan(signals, permission))).toEqual([{ kind: 'pseudonymise', rotateMs: 3_600_000, periodMs: 0 }]);
    expect(plan(['dbc:Raw.SERIAL'], permission).denials).toMatchObject([{ reason: 'transform' }]);
  });

  it('of precision is a step in the unit of a signal, which a sum cannot keep', () => {
    const signals = [SPEED, `{ signal: ${BRAKE}, operation: aggregate, window: 1s, results: [mean, sum] }`];
    const made = plan(signals, allows(atom('auto:precision', 'gteq', 5)));
    expect(operations(made)).toEqual([
      { kind: 'raw', step: 5 },
      { kind: 'aggregate', windowMs: 1000, results: ['mean'], step: 5 },
    ]);
  });

  it('of trip ends goes with any operation, needs an ignition that is heard, and gives it the right to be', () => {
    const demand = allows(atom('auto:tripEndTime', 'gteq', 'PT2M'), atom('auto:tripEndDistance', 'gteq', 300));
    const made = plan([SPEED], demand, TRIP);
    expect(operations(made)).toEqual([{ kind: 'raw', trim: { timeMs: 120_000, metres: 300, axis: null } }]);
    expect(made.rights.filter(({ right }) => right === 'context').map(({ signal }) => signal.name)).toEqual([
      'Vehicle.Ignition',
      SPEED,
    ]);
    for (const context of [{}, { ignition: 'assume-on' }]) {
      expect(plan([SPEED], demand, { context }).denials).toMatchObject([
        { signal: SPEED, constraint: expect.stringContaining('auto:ignition') },
      ]);
    }
  });
});

describe('a privacy budget', () => {
  it('demands noise, is counted for each signal, and has a stream of its own', () => {
    const budget = [atom('auto:budget', 'lteq', 3), atom('auto:budgetPeriod', 'eq', 'P30D')];
    const permission = [permit('#p1', `vss:${SPEED}`, budget), permit('#p2', `vss:${BRAKE}`)];
    const made = plan([NOISE, BRAKE], permission);
    expect(made.streams.map(({ signals, budgets }) => [signals.map(({ signal }) => signal.name), budgets])).toEqual([
      [
        [SPEED],
        [
          {
            agreement: made.streams[0]!.agreement,
            counts: 'epsilon',
            key: 'epsilon/#p1/dbc:Motion.Speed',
            limit: 3_000_000,
            periodMs: 30 * 86_400_000,
          },
        ],
      ],
      [[BRAKE], []],
    ]);
    expect(plan([SPEED], permission).denials).toMatchObject([{ signal: SPEED, rule: '#p1', reason: 'transform' }]);
  });

  it('of nothing is refused, and so is a period without one', () => {
    expect(() => agreement({ permission: [permit('#p1', 'vss:Vehicle', [atom('auto:budget', 'lteq', 0)])] })).toThrow(
      /lets nothing leave/,
    );
    expect(() =>
      agreement({ permission: [permit('#p1', 'vss:Vehicle', [atom('auto:budgetPeriod', 'eq', 'P1D')])] }),
    ).toThrow();
  });
});

describe('a campaign', () => {
  it('says period and deadband of a signal', () => {
    const signals = [`{ signal: ${SPEED}, operation: raw, every: 2s, deadband: 0.5 }`, BRAKE];
    expect(operations(plan(signals, allows()))).toEqual([
      { kind: 'decimate', periodMs: 2000, deadband: 0.5 },
      { kind: 'raw' },
    ]);
  });
});
