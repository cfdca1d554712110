import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findingsOf, loadAgreement } from '#policies';
import { agreement, atom, type Json, lawPack, permit, prohibit } from './parts.ts';

const UBI = atom('purpose', 'isA', 'auto:UbiInsurance');
const SPEED = 'vss:Vehicle.Speed';
const GEAR = 'vss:Vehicle.Gear';
const faster = (speed: number) => atom('auto:vehicleSpeed', 'gt', speed);
const slower = (speed: number) => atom('auto:vehicleSpeed', 'lt', speed);

const found = (change: Record<string, Json>) =>
  findingsOf(agreement(change)).map(({ kind, pointer, message }) => `${kind} ${pointer}: ${message}`);

describe('the findings of a policy', () => {
  it('are none for one that means what it says', () => {
    expect(
      found({
        permission: [
          permit('#p1', SPEED, [UBI, faster(20)], [atom('auto:aggregationWindow', 'gteq', 'PT1S')]),
          permit('#p2', GEAR, [UBI]),
        ],
        prohibition: [prohibit('#n1', 'vss:Vehicle.CurrentLocation'), prohibit('#n2', SPEED, [slower(5)])],
      }),
    ).toEqual([]);
  });

  it.each<[string, Record<string, Json>, RegExp]>([
    [
      'a speed above 50 and below 30',
      { permission: [permit('#p1', SPEED, [UBI, faster(50), slower(30)])] },
      /^never-true \/permission\/0: #p1 opens nothing: .*auto:vehicleSpeed gt 50 and auto:vehicleSpeed lt 30 cannot hold$/,
    ],
    [
      'an end before the beginning',
      {
        permission: [
          permit('#p1', SPEED, [
            UBI,
            atom('dateTime', 'gt', '2027-01-01T00:00:00Z'),
            atom('dateTime', 'lt', '2026-01-01T00:00:00Z'),
          ]),
        ],
      },
      /^never-true \/permission\/0/,
    ],
    [
      'a prohibition that can never be active',
      { permission: [permit('#p1', SPEED, [UBI])], prohibition: [prohibit('#n1', SPEED, [faster(50), slower(50)])] },
      /^never-true \/prohibition\/0: #n1 keeps nothing/,
    ],
    [
      'two purposes at once',
      { permission: [permit('#p1', SPEED, [UBI, atom('purpose', 'isA', 'auto:Navigation')])] },
      /^never-true \/permission\/0/,
    ],
    [
      'a permission of what is prohibited',
      { permission: [permit('#p1', [GEAR, SPEED], [UBI])], prohibition: [prohibit('#n1', SPEED)] },
      /^contradictory \/permission\/0: #p1 permits Vehicle\.Speed, and #n1 always keeps it$/,
    ],
    [
      'a permission inside what a prohibition covers',
      { permission: [permit('#p1', SPEED, [UBI, faster(50)])], prohibition: [prohibit('#n1', SPEED, [faster(30)])] },
      /^contradictory \/permission\/0/,
    ],
    [
      'a duty that nobody can meet',
      { permission: [{ ...(permit('#p1', SPEED, [UBI]) as Record<string, Json>), duty: [{ action: 'compensate' }] }] },
      /^contradictory \/permission\/0: #p1 opens nothing: its duty compensate cannot be met$/,
    ],
    [
      'a narrower permission beside a wider one',
      { permission: [permit('#p1', [SPEED, GEAR], [UBI]), permit('#p2', SPEED, [UBI, faster(20)])] },
      /^shadowed \/permission\/1: #p2 opens nothing that #p1 does not open$/,
    ],
    [
      'the same permission twice',
      { permission: [permit('#p1', SPEED, [UBI]), permit('#p2', SPEED, [UBI])] },
      /^shadowed \/permission\/1: #p2/,
    ],
    [
      'a permission that two others make up',
      {
        permission: [
          permit('#p1', SPEED, [UBI, faster(10)]),
          permit('#p2', SPEED, [UBI, atom('auto:vehicleSpeed', 'lteq', 10)]),
          permit('#p3', SPEED, [UBI, faster(5), slower(15)]),
        ],
      },
      /^shadowed \/permission\/2: #p3 opens nothing that #p1, #p2 does not open$/,
    ],
    [
      'a prohibition within another',
      {
        permission: [permit('#p1', GEAR, [UBI])],
        prohibition: [prohibit('#n1', 'vss:Vehicle.Cabin'), prohibit('#n2', 'vss:Vehicle.Cabin.Door', [faster(3)])],
      },
      /^shadowed \/prohibition\/1: #n2 keeps nothing that #n1 does not keep$/,
    ],
    [
      'a permission without a purpose',
      { permission: [permit('#p1', SPEED)] },
      /^over-broad \/permission\/0: #p1 permits any purpose$/,
    ],
    [
      'a permission for every kind of purpose',
      { permission: [permit('#p1', SPEED, [atom('purpose', 'isA', 'auto:AnyPurpose')])] },
      /^over-broad \/permission\/0: #p1 permits any purpose$/,
    ],
    [
      'the whole vehicle',
      { permission: [permit('#p1', 'vss:Vehicle', [UBI])] },
      /^over-broad \/permission\/0: #p1 permits vss:Vehicle/,
    ],
    ['a glob over everything', { permission: [permit('#p1', 'vss:Vehicle.**', [UBI])] }, /^over-broad/],
    [
      'an exact place',
      { permission: [permit('#p1', 'vss:Vehicle.CurrentLocation', [UBI])] },
      /^over-broad \/permission\/0: #p1 permits Vehicle\.CurrentLocation as exactly as it is measured$/,
    ],
  ])('name %s', (_, change, wanted) => {
    expect(found(change).filter((one) => wanted.test(one))).toHaveLength(1);
    expect(found(change)).toHaveLength(1);
  });

  it('count a law pack beside the policy', () => {
    const law = lawPack({ prohibition: [prohibit('#cabin', 'vss:Vehicle.Cabin')] });
    const policy = agreement({ permission: [permit('#p1', 'vss:Vehicle.Cabin.Door', [UBI])] });
    const [one, ...more] = findingsOf(policy, { beside: [law] });
    expect(more).toEqual([]);
    expect(one!.message).toBe('#p1 permits Vehicle.Cabin.Door, and #cabin of urn:law:test always keeps it');
    expect(one!.remedy).not.toBe('');
  });

  it('let a prohibition make an exception to a branch', () => {
    expect(
      found({
        permission: [permit('#p1', 'vss:Vehicle.Cabin', [UBI])],
        prohibition: [prohibit('#n1', 'vss:Vehicle.Cabin.Door')],
      }),
    ).toEqual([]);
  });

  it('are none for the examples that ship', () => {
    const examples = new URL('../../policies/examples/', import.meta.url);
    for (const name of readdirSync(examples)) {
      const file = new URL(`${name}/agreement.json`, examples);
      let bytes: Uint8Array;
      try {
        bytes = readFileSync(file);
      } catch {
        continue;
      }
      expect(findingsOf(loadAgreement(bytes, { file: name }))).toEqual([]);
    }
  });
});
