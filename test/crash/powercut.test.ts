import { beforeAll, describe, expect, it } from 'vitest';
import type { Event } from './replay.ts';
import { cutPower, missing, recordLife, selfCheck } from './rig.ts';

const CUTS = 400;
const CONTROL_CUTS = 60;
const ROUNDS = 40;

const reason = missing();
if (reason !== null) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== null)('a power cut at any write', () => {
  let events: Event[];
  let left: Map<string, Buffer>;

  beforeAll(() => {
    ({ events, left } = recordLife(ROUNDS));
  });

  it('is replayed rightly: the record leads to the files that were left', () => {
    expect(selfCheck(events, left)).toEqual([]);
    expect([...left.keys()].sort()).toEqual(['promises', 'tollgate.sqlite', 'tollgate.sqlite-wal']);
  });

  it('loses nothing that was promised, and leaves a store that agrees with itself and goes on', async () => {
    const { faults, lossy } = await cutPower(events, CUTS, 1);
    expect(faults).toEqual([]);
    expect(lossy).toBeGreaterThan(CUTS / 4);
  });

  it.each(['no-syncs', 'no-wal-syncs'] as const)(
    'is noticed on a disk with %s, so the rig is not blind',
    async (control) => {
      const { faults } = await cutPower(events, CONTROL_CUTS, 2, control);
      const what = faults.flatMap((fault) => fault.what);
      expect(what.some((text) => text.startsWith('lost: committed'))).toBe(true);
    },
  );
});
