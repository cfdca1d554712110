import { describe, expect, it } from 'vitest';
import { createDecisionTable, type DecisionRequest } from '#policies';
import { agreement, atom, INSURER, lawPack, OTHER, permit, prohibit, SIGNALS } from './parts.ts';

const SPEED = 'Vehicle.Speed';
const UID = 'urn:uuid:00000000-0000-4000-8000-000000000001';

function ask(change: Partial<DecisionRequest> = {}): DecisionRequest {
  return { signal: SPEED, action: 'distribute', recipient: INSURER, purpose: 'auto:UbiInsurance', utcMs: 0, ...change };
}

const table = (...documents: ReturnType<typeof agreement>[]) =>
  createDecisionTable({
    agreements: documents.filter(({ type }) => type !== 'Set'),
    lawPacks: documents.filter(({ type }) => type === 'Set'),
    signals: SIGNALS,
  });

describe('a decision', () => {
  const own = agreement({
    permission: [
      permit('#p1', `vss:${SPEED}`, [atom('purpose', 'isA', 'auto:Insurance'), atom('auto:vehicleSpeed', 'lt', 100)]),
    ],
    prohibition: [prohibit('#n1', 'vss:Vehicle', [atom('auto:ignition', 'eq', 'off')], 'distribute')],
  });
  const on = { 'auto:ignition': 1 };

  it.each<[string, Partial<DecisionRequest>, object]>([
    ['grants under the rule', { context: { ...on, 'auto:vehicleSpeed': 50 } }, { permitted: true, rule: '#p1' }],
    [
      'names the constraint that failed',
      { context: { ...on, 'auto:vehicleSpeed': 120 } },
      { permitted: false, reason: 'constraint', rule: '#p1', constraint: 'auto:vehicleSpeed lt 100' },
    ],
    [
      'names the constraint that is unknown',
      { context: on },
      { permitted: false, rule: '#p1', constraint: 'auto:vehicleSpeed lt 100, is unknown' },
    ],
    [
      'names the prohibition, unknown counting as active',
      { context: { 'auto:vehicleSpeed': 50 } },
      { permitted: false, reason: 'prohibited', rule: '#n1', constraint: 'auto:ignition eq off, is unknown' },
    ],
    [
      'names what is wrong with the purpose',
      { purpose: 'auto:Advertising', context: on },
      { permitted: false, rule: '#p1', constraint: 'purpose isA auto:Insurance, is auto:Advertising' },
    ],
    ['denies a stranger by default', { recipient: OTHER }, { permitted: false, reason: 'no-permission', rule: null }],
    ['denies an action that it does not know', { action: 'sell' }, { permitted: false, reason: 'no-permission' }],
    ['denies a signal that it does not know', { signal: 'Vehicle.Nothing' }, { reason: 'unknown-signal' }],
  ])('%s', (_, change, decision) => {
    expect(table(own).decide(ask(change))).toMatchObject(decision);
  });

  it('is the same by any name of the signal', () => {
    const context = { ...on, 'auto:vehicleSpeed': 50 };
    expect(table(own).decide(ask({ signal: 'dbc:Motion.Speed', context }))).toMatchObject({
      permitted: true,
      agreement: UID,
    });
  });

  it('tests demands on the operation as it would run, none where none is given', () => {
    const windowed = agreement({
      permission: [permit('#p1', 'vss:Vehicle', [], [atom('auto:aggregationWindow', 'gteq', 'PT5S')])],
    });
    expect(table(windowed).decide(ask())).toMatchObject({ permitted: false, reason: 'transform', rule: '#p1' });
    expect(table(windowed).decide(ask({ context: { 'auto:aggregationWindow': 5000 } }))).toMatchObject({
      permitted: true,
    });
  });

  it('holds a law pack against every agreement', () => {
    const law = lawPack({ prohibition: [prohibit('#law', `vss:${SPEED}`)] });
    const open = agreement({ permission: [permit('#p1', 'vss:Vehicle')] });
    expect(table(open, law).decide(ask())).toMatchObject({
      reason: 'prohibited',
      agreement: 'urn:law:test',
      rule: '#law',
    });
  });

  it('stays right when strangers ask more than it keeps', () => {
    const open = table(agreement({ permission: [permit('#p1', 'vss:Vehicle')] }));
    for (let i = 0; i < 70_000; i++) open.decide(ask({ purpose: `x:${i}` }));
    expect(open.decide(ask())).toMatchObject({ permitted: true, rule: '#p1' });
    expect(open.decide(ask({ recipient: OTHER }))).toMatchObject({ permitted: false });
  });
});
