import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Event } from './replay.ts';
import { cutPower, missing, recordLife, selfCheck } from './rig.ts';

const CUTS = 300;
const CONTROL_CUTS = 60;
const ROUNDS = 40;
const RUN = fileURLToPath(new URL('run.ts', import.meta.url));

const reason = missing();
if (reason !== null) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== null)('a power cut at any write', () => {
  let events: Event[];
  let left: ReadonlyMap<string, Buffer>;
  let lazy: Event[];

  beforeAll(() => {
    ({ events, left } = recordLife(ROUNDS));
    lazy = recordLife(ROUNDS, { lazy: true }).events;
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

  it('loses nothing either when answers become durable later', async () => {
    const { faults, lossy } = await cutPower(lazy, CUTS, 3);
    expect(faults).toEqual([]);
    expect(lossy).toBeGreaterThan(CUTS / 4);
  });

  it('shows as losses where the store runs with synchronous=OFF: the control bites', () => {
    const control = spawnSync(process.execPath, [RUN, '--n', `${CONTROL_CUTS}`, '--control'], { encoding: 'utf8' });
    expect(control.status).toBe(1);
    expect(control.stdout).toMatch(/, [1-9]\d* with a loss/);
    expect(control.stdout).toContain('lost: committed');
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
