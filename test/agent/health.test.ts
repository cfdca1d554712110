import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { flashBytes, HealthMonitor } from '../../agent/health/health.ts';
import { LoopLag } from '../../agent/health/loop-lag.ts';
import { Parked } from '../../agent/health/parked.ts';
import { type Progress, Watchdog } from '../../agent/health/watchdog.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { BATTERY, FAST, frames, MOTION, minutes, openUnit } from './unit-parts.ts';

const quiet = { info: () => undefined, warn: () => undefined };
const folders: UnitFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

describe('the watchdog', () => {
  const WITHIN_MS = 1_000_000;

  /** A watchdog whose looks the test takes; the first is its own. */
  async function watchdog(progress: Partial<Progress>) {
    const said: string[] = [];
    const dog = new Watchdog({
      withinMs: WITHIN_MS,
      progress: { turnedMs: 0, store: async () => null, ...progress },
      ping: () => said.push('ping'),
      nowMs: () => WITHIN_MS / 2,
      onWithheld: () => said.push('withheld'),
    });
    await sleep(0);
    return { dog, said };
  }

  it('is fed while the pipeline takes its turns', async () => {
    const { dog, said } = await watchdog({});
    await dog.look();
    expect(said).toEqual(['ping', 'ping']);
    dog.close();
  });

  it('is not fed by a timer alone: a turn that does not end withholds the ping, and says so once', async () => {
    const { dog, said } = await watchdog({ turnedMs: -1 });
    await dog.look();
    expect([said, dog.withheld]).toEqual([['withheld'], 2]);
    dog.close();
  });

  it('is not fed where the thread of the store answers nothing, or only errors', async () => {
    const silent = await watchdog({ store: () => new Promise(() => undefined) });
    await silent.dog.look();
    expect(silent.said).toEqual(['withheld']);
    silent.dog.close();
    const ended = await watchdog({ store: () => Promise.reject(new Error('closed')) });
    expect(ended.said).toEqual(['withheld']);
    ended.dog.close();
  });

  it('is fed where the store says why it takes nothing: a restart empties no disk', async () => {
    const { dog, said } = await watchdog({ turnedMs: -1, store: async () => 'TG_STORE_FULL' });
    expect(said).toEqual(['ping']);
    dog.close();
  });
});

describe('the lag of the event loop', () => {
  it('shows that something blocked it', async () => {
    const lag = new LoopLag();
    await sleep(250);
    const until = performance.now() + 400;
    while (performance.now() < until);
    await sleep(250);
    expect(lag.read().maxMs).toBeGreaterThan(250);
    lag.close();
  });
});

describe('bytes written to flash', () => {
  it('are what the kernel counted, less what it dropped before', () => {
    expect(flashBytes(() => 'rchar: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n')).toBe(4096);
  });

  it.each(['', 'write_bytes: many\n'])('are unknown where the kernel does not count: "%s"', (text) => {
    expect(flashBytes(() => text)).toBeNull();
  });
});

describe('health', () => {
  it('tells exact loss from a lower bound', () => {
    const counts = { received: 10, queueLost: 1, overruns: 2, shed: 3, errorFrames: 4, restarts: 0 };
    const can = {
      name: 'can0',
      open: async () => undefined,
      refilter: () => undefined,
      ended: Promise.resolve(),
      dropped: () => ({ count: 6, exact: false }),
      skipped: () => 7,
      malformed: () => 0,
      close: async () => undefined,
      status: () => ({ health: 'passive', ...counts, filteredBy: 'receiver', filters: 513 }),
    };
    const { status: _, ...log } = { ...can, name: 'log', dropped: () => ({ count: 0, exact: true }) };
    const monitor = new HealthMonitor({ sources: [can, log], clock: null });
    expect(monitor.read().sources).toEqual([
      {
        name: 'can0',
        health: 'passive',
        received: 10,
        queueLost: 1,
        overrunsAtLeast: 2,
        shed: 3,
        errorFrames: 4,
        restarts: 0,
        filteredBy: 'receiver',
        filters: 513,
        skipped: 7,
        dropped: 6,
        exact: false,
      },
      { name: 'log', health: 'ok', skipped: 7, dropped: 0, exact: true },
    ]);
    monitor.close();
  });
});

describe('an ignition that goes off', () => {
  /** The charge is the ignition of this car: 0 is off. */
  const CONTEXT = { ignition: 'dbc:Battery.Charge' };
  const CAMPAIGN = {
    name: 'windows',
    record: '60s',
    signals: ['{ signal: "dbc:Motion.Speed", operation: aggregate, window: 60s, results: [count] }'],
  };
  const AGREEMENT = {
    uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01',
    permit: ['dbc:Motion.Speed'],
    constraints: [{ leftOperand: 'auto:ignition', operator: 'eq', rightOperand: 'on' }],
  };
  const ignition = (ms: number, on: boolean) => frames([{ ms, id: BATTERY, raw: on ? 100 : 0 }]);

  async function drive() {
    const folder = await unitFolder({ ...FAST, campaigns: [CAMPAIGN], agreements: [AGREEMENT], context: CONTEXT });
    folders.push(folder);
    // No group is committed by time.
    const unit = await openUnit(folder, { live: true, groupCommitMs: 60_000 });
    const said: boolean[] = [];
    const parked = new Parked({ unit, uplink: null, still: (still) => said.push(still), log: quiet });
    await unit.frames(ignition(0, true), 0);
    await unit.frames(frames(minutes(0, 5, 100)), 0);
    return { folder, unit, parked, said };
  }

  it('commits what is open, signs it, and is idle within 2 s', async () => {
    const { unit, parked, said } = await drive();
    expect((await unit.status()).store.queued).toBe(0);
    const startMs = performance.now();
    await unit.frames(ignition(5_100, false), 0);
    while (!parked.idle && performance.now() - startMs < 2_000) await sleep(5);
    expect(parked.idle).toBe(true);
    const { store } = await unit.status();
    // The session, the partial window, and its proof.
    expect(store.queued).toBe(3);
    expect(store.checkpointSize).toBe(store.head.size);
    expect(said).toEqual([true]);
    await unit.close();
  });

  it('writes nothing while it stays off, and goes on when it is on again', async () => {
    const { unit, parked, said } = await drive();
    await unit.frames(ignition(5_100, false), 0);
    while (!parked.idle) await sleep(5);
    const { store: before } = await unit.status();
    const written = flashBytes();
    for (let ms = 5_200; ms < 6_200; ms += 200) {
      await unit.frames(frames([{ ms, id: MOTION, raw: 1 }]), 0);
      await sleep(200);
    }
    const { store: after } = await unit.status();
    expect(after.commits).toBe(before.commits);
    expect(after.head.size).toBe(before.head.size);
    expect(after.fileBytes).toBe(before.fileBytes);
    expect(parked.idle).toBe(true);
    if (written !== null) expect(readFileSync('/proc/self/io', 'latin1')).toContain('write_bytes');

    await unit.frames(ignition(7_000, true), 0);
    expect(parked.idle).toBe(false);
    await unit.frames(frames(minutes(7, 1, 100)), 0);
    await unit.frames(ignition(8_100, false), 0);
    while (!parked.idle) await sleep(5);
    // Another session, another window, its proof.
    expect((await unit.status()).store.queued).toBe(before.queued + 3);
    expect(said).toEqual([true, false, true]);
    await unit.close();
  });
});
