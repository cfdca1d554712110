import { describe, expect, it } from 'vitest';
import { diffPolicies, opens, type PolicyChange } from '#policies';
import { agreement, atom, campaign, INSURER, type Json, lawPack, OTHER, permit, prohibit, SIGNALS } from './parts.ts';

const UBI = atom('purpose', 'isA', 'auto:UbiInsurance');
const SPEED = 'vss:Vehicle.Speed';
const window = (value: string) => atom('auto:aggregationWindow', 'gteq', value);

function diff(
  before: Record<string, Json>,
  after: Record<string, Json>,
  more: Partial<Parameters<typeof diffPolicies>[0]> = {},
): readonly PolicyChange[] {
  return diffPolicies({ before: agreement(before), after: agreement(after), signals: null, ...more });
}
const permission = (...rules: Json[]) => ({ permission: rules });

describe('the difference of two policies', () => {
  it('is nothing where they say the same in other words', () => {
    const one = permission(permit('#p1', [SPEED, 'vss:Vehicle.Gear'], [UBI, atom('auto:vehicleSpeed', 'gt', 20)]));
    const other = permission(
      permit('#a', SPEED, [UBI, atom('auto:vehicleSpeed', 'gt', 20)]),
      permit('#b', 'vss:Vehicle.Gear', [UBI, atom('auto:vehicleSpeed', 'gt', 20)]),
    );
    expect(diff(one, one)).toEqual([]);
    expect(diff(one, other)).toEqual([]);
  });

  it('says that a mean a second has become raw samples', () => {
    const [change, ...more] = diff(
      permission(permit('#p1', SPEED, [UBI], [window('PT1S')])),
      permission(permit('#p1', SPEED, [UBI])),
    );
    expect(more).toEqual([]);
    expect(change).toMatchObject({ kind: 'opens', signals: ['Vehicle.Speed'], recipient: INSURER });
    expect(change!.text).toBe(
      `Vehicle.Speed to ${INSURER} for auto:UbiInsurance: was at most one aggregate a second, is now raw samples`,
    );
  });

  it('says what a campaign gets, with the results that it asks for', () => {
    const campaigns = [
      campaign({ signals: ['{ signal: Vehicle.Speed, operation: aggregate, window: 100ms, results: [mean] }'] }),
    ];
    const [change] = diff(
      permission(permit('#p1', SPEED, [UBI], [window('PT1S')])),
      permission(permit('#p1', SPEED, [UBI], [window('PT60S')])),
      { campaigns },
    );
    expect(change).toMatchObject({ kind: 'closes', campaign: 'ubi' });
    expect(change!.text).toContain('was at most one mean a second, is now at most one mean a minute');
  });

  it.each<[string, Record<string, Json>, Record<string, Json>, PolicyChange['kind']]>([
    [
      'another signal',
      permission(permit('#p1', SPEED)),
      permission(permit('#p1', [SPEED, 'vss:Vehicle.Gear'])),
      'opens',
    ],
    ['a branch for one signal', permission(permit('#p1', SPEED)), permission(permit('#p1', 'vss:Vehicle')), 'opens'],
    [
      'a prohibition',
      permission(permit('#p1', SPEED)),
      { ...permission(permit('#p1', SPEED)), prohibition: [prohibit('#n1', SPEED)] },
      'closes',
    ],
    [
      'a wider purpose',
      permission(permit('#p1', SPEED, [UBI])),
      permission(permit('#p1', SPEED, [atom('purpose', 'isA', 'auto:Insurance')])),
      'opens',
    ],
    ['no purpose', permission(permit('#p1', SPEED, [UBI])), permission(permit('#p1', SPEED)), 'opens'],
    [
      'another recipient',
      permission(permit('#p1', SPEED)),
      { assignee: OTHER, ...permission(permit('#p1', SPEED)) },
      'opens',
    ],
    [
      'a lower speed',
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gt', 20)])),
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gt', 19)])),
      'opens',
    ],
    [
      'an edge that counts in',
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gt', 20)])),
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gteq', 20)])),
      'opens',
    ],
    [
      'a shorter day',
      permission(permit('#p1', SPEED, [atom('auto:timeOfDay', 'lt', '20:00:00Z')])),
      permission(permit('#p1', SPEED, [atom('auto:timeOfDay', 'lt', '18:00:00Z')])),
      'closes',
    ],
    [
      'a later end',
      permission(permit('#p1', SPEED, [atom('dateTime', 'lt', '2027-01-01T00:00:00Z')])),
      permission(permit('#p1', SPEED, [atom('dateTime', 'lt', '2028-01-01T00:00:00Z')])),
      'opens',
    ],
    [
      'a lower rating',
      permission(permit('#p1', SPEED, [atom('auto:recipientCredit', 'gteq', 4)])),
      permission(permit('#p1', SPEED, [atom('auto:recipientCredit', 'gteq', 3)])),
      'opens',
    ],
    [
      'another role',
      permission(permit('#p1', SPEED, [atom('auto:recipientRole', 'eq', 'urn:a')])),
      permission(permit('#p1', SPEED, [atom('auto:recipientRole', 'eq', 'urn:b')])),
      'both',
    ],
    [
      'more records',
      permission(permit('#p1', SPEED, [atom('count', 'lteq', 10)])),
      permission(permit('#p1', SPEED, [atom('count', 'lteq', 20)])),
      'opens',
    ],
    [
      'another half of the week',
      permission(permit('#p1', SPEED, [atom('auto:dayOfWeek', 'isAnyOf', ['mon', 'tue'])])),
      permission(permit('#p1', SPEED, [atom('auto:dayOfWeek', 'isAnyOf', ['tue', 'wed'])])),
      'both',
    ],
  ])('sees %s', (_, before, after, kind) => {
    const changes = diff(before, after);
    expect(changes.some((change) => change.kind === kind || (kind === 'opens' && opens(change)))).toBe(true);
    const back = diff(after, before);
    // What one direction opens the other closes.
    expect(back.some(({ kind: found }) => found !== 'words')).toBe(true);
    if (kind === 'closes') expect(changes.some(opens)).toBe(false);
    if (kind === 'opens') expect(changes.every(({ kind: found }) => found !== 'words')).toBe(true);
  });

  it('sees that an obligation opens nothing by itself and closes what does not meet it', () => {
    const open = permission(permit('#p1', SPEED));
    const obliged = {
      ...open,
      obligation: [{ uid: '#o1', target: SPEED, action: [{ value: 'aggregate', refinement: [window('PT10S')] }] }],
    };
    expect(diff(open, obliged).map(({ kind }) => kind)).toEqual(['closes']);
    expect(diff(obliged, open).map(({ kind }) => kind)).toEqual(['opens']);
  });

  it('counts a longer time at the recipient as an opening', () => {
    const kept = (time: string) =>
      permission({
        ...(permit('#p1', SPEED) as Record<string, Json>),
        duty: [{ action: 'delete', constraint: [atom('elapsedTime', 'lteq', time)] }],
      });
    const [change] = diff(kept('P1D'), kept('P7D'));
    expect(change!.kind).toBe('opens');
    expect(change!.text).toContain(
      'was deleted by the recipient within 1 d, is now deleted by the recipient within 7 d',
    );
    expect(diff(kept('P7D'), kept('P1D')).map(({ kind }) => kind)).toEqual(['closes']);
  });

  it('measures law packs on an agreement that permits everything', () => {
    const law = (...rules: Json[]) => lawPack({ prohibition: rules });
    const [before, after] = [law(prohibit('#n1', SPEED)), law(prohibit('#n1', SPEED, [UBI]))];
    const [change] = diffPolicies({ before, after, signals: null });
    expect(change).toMatchObject({ kind: 'opens', purpose: 'every other purpose' });
  });

  it('names the signals of a database that a branch reaches', () => {
    const changes = diff(
      permission(permit('#p1', 'vss:Vehicle.Speed')),
      permission(permit('#p1', 'vss:Vehicle.Chassis')),
      { signals: SIGNALS },
    );
    const named = (kind: string) => changes.filter((one) => one.kind === kind).flatMap(({ signals }) => signals);
    expect(named('closes')).toEqual(['Vehicle.Speed']);
    expect(named('opens').sort()).toEqual([
      'Vehicle.Chassis.Brake.PedalPosition',
      'Vehicle.Chassis.SteeringWheel.Angle',
    ]);
  });

  it('gives an example of what opens where a condition was', () => {
    const [change] = diff(
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gt', 20)])),
      permission(permit('#p1', SPEED, [atom('auto:vehicleSpeed', 'gt', 10)])),
    );
    expect(change!.example).toBe('auto:vehicleSpeed 20');
    expect(change!.text).toContain('was while auto:vehicleSpeed gt 20, is now while auto:vehicleSpeed gt 10');
  });
});
