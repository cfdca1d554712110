import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LEAF_TIME_JUMP } from '#wire/leaf';
import { EARLIEST_MS, TimeFloor } from '../../agent/time/floor.ts';
import { UnitClock } from '../../agent/time/unit-clock.ts';
import { unitFacts } from '../system/examine.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { FAST, frames, minutes, openUnit, type Recipient, recipientOf } from './unit-parts.ts';

const SECOND = 1_000_000_000n;
const HOUR = 3_600n * SECOND;
/** 2026-11-25T00:00:00Z at boottime 0, ns. */
const START = BigInt(Date.UTC(2026, 10, 25)) * 1_000_000n;
const RAW = { name: 'raw', record: '5s', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] };

let folder: UnitFolder;
let recipient: Recipient;
let state: string;
let boot: bigint;
let clock: UnitClock;
let floor: TimeFloor;

beforeEach(async () => {
  folder = await unitFolder({ ...FAST, campaigns: [RAW] });
  recipient = await recipientOf(folder);
  state = mkdtempSync(join(tmpdir(), 'tollgate-time-'));
  floor = await TimeFloor.read(join(state, 'time-floor'));
  boot = 0n;
  // A unit without a battery: its clock began in 1970 and nobody disciplines it.
  clock = new UnitClock({
    read: () => ({ bootNs: boot, realNs: boot }),
    timekeeping: () => ({ synchronised: false, errorNs: 16e9 }),
    floor,
  });
});
afterEach(async () => {
  await recipient.close();
  await floor.settled();
  folder.remove();
  rmSync(state, { recursive: true });
});

/** Drives second by second; each second's frames are mapped as the clock has it, as a live source does. */
async function drive(seconds: number, gnss: (bootNs: bigint) => bigint | null) {
  const unit = await openUnit(folder, { clock });
  for (let s = 0; s < seconds; s++) {
    boot = BigInt(s) * SECOND;
    const utcNs = gnss(boot);
    if (utcNs !== null) clock.hear('gnss', { bootNs: boot, utcNs, errorNs: 5e8 });
    clock.tick();
    await unit.frames(frames(minutes(s, 1, 100), clock.utc().offsetNs), 0);
  }
  await unit.finish();
  await recipient.take(unit);
  await unit.close();
  const { leaves, audit } = await unitFacts(folder);
  expect(audit.findings).toEqual([]);
  const jumps = leaves.filter(({ kind }) => kind === LEAF_TIME_JUMP).length;
  const samples = recipient.records.reduce((sum, { tables }) => sum + tables.reduce((n, { rows }) => n + rows, 0), 0);
  const streams = new Set(recipient.records.map(({ stream }) => Buffer.from(stream).toString('hex'))).size;
  return { jumps, samples, streams };
}

describe('a unit whose clock nobody keeps', () => {
  it('captures all the same in 1970, without a time of day', async () => {
    expect(await drive(12, () => null)).toEqual({ jumps: 0, samples: 120, streams: 1 });
    expect(clock.utcNowMs()).toBeNull();
    expect(clock.bounds()).toEqual({ lowestMs: EARLIEST_MS, highestMs: null });
  });

  it('knows the time from the first fix on', async () => {
    const { samples } = await drive(12, (bootNs) => (bootNs < 6n * SECOND ? null : START + bootNs));
    expect(samples).toBe(120);
    expect(clock.utcNowMs()).toBe(Number((START + boot) / 1_000_000n));
    // Within half a second of the word and a minute of slack.
    expect(clock.bounds().lowestMs).toBeGreaterThan(Number((START - 61n * SECOND) / 1_000_000n));
  });

  it.each([
    ['forward', HOUR],
    ['back', -HOUR],
  ])('that is set an hour %s within a record loses no sample', async (_, step) => {
    const { jumps, samples, streams } = await drive(
      22,
      (bootNs) => START + bootNs + (bootNs < 7n * SECOND ? 0n : step),
    );
    // It was said again and again: one leaf, new streams.
    expect({ jumps, streams }).toEqual({ jumps: 1, streams: 2 });
    expect(samples).toBe(220);
    expect(clock.utc()).toMatchObject({ source: 'gnss', offsetNs: START + step });
  });

  it('does not follow a spoofed jump of satellites that is over after four words', async () => {
    const spoofed = (bootNs: bigint) => bootNs >= 7n * SECOND && bootNs < 11n * SECOND;
    const result = await drive(15, (bootNs) => START + bootNs + (spoofed(bootNs) ? HOUR : 0n));
    expect(result).toEqual({ jumps: 0, samples: 150, streams: 1 });
    expect(clock.utc()).toMatchObject({ source: 'gnss', offsetNs: START });
    expect(floor.utcMs).toBeLessThan(Number((START + HOUR) / 1_000_000n));
  });
});

describe('the floor of a parked vehicle', () => {
  it('is kept before, raised in memory meanwhile, and kept after', async () => {
    const file = join(state, 'floor');
    const kept = await TimeFloor.read(file);
    const onDisk = async () => (await TimeFloor.read(file)).utcMs;
    kept.raise(EARLIEST_MS + 1_000_000);
    kept.hold(true);
    await kept.settled();
    expect(await onDisk()).toBe(EARLIEST_MS + 1_000_000);
    kept.raise(EARLIEST_MS + 2_000_000);
    await kept.settled();
    expect([await onDisk(), kept.utcMs]).toEqual([EARLIEST_MS + 1_000_000, EARLIEST_MS + 2_000_000]);
    kept.hold(false);
    await kept.settled();
    expect(await onDisk()).toBe(EARLIEST_MS + 2_000_000);
  });
});
