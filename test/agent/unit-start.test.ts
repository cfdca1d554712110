import { afterEach, describe, expect, it } from 'vitest';
import { type OpeningStore, Unit } from '#agent/unit';
import { LEAF_BOOT } from '#wire/leaf';
import { kindsOf, unitFacts } from '../system/examine.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { FAST, frames, minutes, unitOptions } from './unit-parts.ts';

const RAW = { name: 'raw', record: '200ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] };

let folder: UnitFolder | null = null;
afterEach(() => folder?.remove());

/** A unit whose store is said to be open when the test says so. */
async function opening(): Promise<{ unit: Unit; store: OpeningStore['store']; gate: PromiseWithResolvers<void> }> {
  folder = await unitFolder({ ...FAST, campaigns: [RAW] });
  const options = await unitOptions(folder);
  const real = await Unit.openStore(options);
  const gate = Promise.withResolvers<void>();
  const opened = Promise.all([real.opened, gate.promise]).then(() => undefined);
  const unit = await Unit.begin(options, Promise.resolve({ ...real, opened }));
  return { unit, store: real.store, gate };
}

describe('a unit whose store is still opening', () => {
  it('decodes the first batch and lets nothing past the gate before the store is open', async () => {
    const { unit, gate } = await opening();
    const all = minutes(0, 2, 10);
    const given = [unit.frames(frames(all.slice(0, 100)), 0), unit.frames(frames(all.slice(100)), 0)];
    await unit.firstFrame;
    expect(unit.counts).toMatchObject({ frames: 100, rows: 100, admitted: 0 });
    gate.resolve();
    await Promise.all(given);
    expect(unit.counts).toMatchObject({ frames: 200, rows: 200, admitted: 200 });
    await unit.finish();
    await unit.close();
    const facts = await unitFacts(folder!);
    expect(facts.audit.findings).toEqual([]);
    expect(kindsOf(facts)[LEAF_BOOT]).toBe(1);
    expect(facts.records.length).toBeGreaterThan(5);
  });

  it('dates its start before the frames that waited', async () => {
    const { unit, gate } = await opening();
    const given = unit.frames(frames(minutes(60, 1, 10)), 0);
    gate.resolve();
    await given;
    await unit.finish();
    await unit.close();
    const facts = await unitFacts(folder!);
    const boot = facts.leaves.find(({ kind }) => kind === LEAF_BOOT);
    expect(boot).toMatchObject({ boottimeMs: 0 });
  });

  it('lets nothing past the gate where the store does not open', async () => {
    const { unit, store, gate } = await opening();
    const given = unit.frames(frames(minutes(0, 1, 10)), 0);
    gate.reject(new Error('a store that is damaged'));
    await expect(given).rejects.toThrow('a store that is damaged');
    await expect(unit.frames(frames(minutes(1, 1, 10)), 0)).rejects.toThrow('a store that is damaged');
    await expect(unit.finish()).rejects.toThrow('a store that is damaged');
    expect(unit.counts.admitted).toBe(0);
    expect((await store.head()).size).toBe(0);
    await store.close();
  });
});
