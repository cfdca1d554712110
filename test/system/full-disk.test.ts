import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { anyBroker } from './brokers.ts';
import { unitFacts } from './examine.ts';
import { tollgate } from './processes.ts';
import { quickReceiver } from './quick-receiver.ts';
import { keptLog, never, openService } from './service-parts.ts';
import { logText, type UnitFolder, unitFolder } from './unit-folder.ts';

const DISK = '2m';
const FILLED_MS = 1_500;

/** A small file system for the state folder; null where this user may not mount one. */
function smallDisk(unit: UnitFolder): { fill(): void; free(): void; unmount(): void } | null {
  mkdirSync(unit.state, { mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=700`, 'none', unit.state], { stdio: 'ignore' });
  } catch {
    return null;
  }
  const filler = join(unit.state, 'filler');
  return {
    fill() {
      const { bavail, bsize } = statfsSync(unit.state);
      try {
        writeFileSync(filler, Buffer.alloc(bavail * bsize));
      } catch {
        // The last page may be gone by now: full is full.
      }
    },
    free: () => rmSync(filler, { force: true }),
    unmount: () => void execFileSync('umount', [unit.state]),
  };
}

const MANY = [
  { name: 'speed', record: '50ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  {
    name: 'windows',
    record: '50ms',
    signals: ['{ signal: "dbc:Motion.Throttle", operation: aggregate, window: 50ms, results: [count] }'],
  },
];

/** Raw samples, and samples that windows counted, at the receiver. */
function valuesOf(file: string): { samples: number; counted: number } {
  const db = new Database(file, { readonly: true });
  const one = (sql: string) => db.prepare(sql).pluck().get() as number;
  const samples = one("SELECT count(*) FROM samples WHERE signal = 'dbc:Motion.Speed'");
  const counted = one("SELECT sum(value) FROM samples WHERE result = 'count'");
  db.close();
  return { samples, counted };
}

describe('a disk that is full', () => {
  it('stops nothing but the commits, and everything goes on when there is room again', async (context) => {
    const { url, protocol, stop } = await anyBroker();
    const unit = await unitFolder({ campaigns: MANY, seconds: 4 });
    const disk = smallDisk(unit);
    if (disk === null) {
      await stop();
      unit.remove();
      return context.skip('mounting a small file system takes root');
    }
    const receiver = await quickReceiver(unit, url, protocol);
    const log = keptLog();
    const service = await openService(unit.config({ url, protocol, realtime: true }), { log });
    try {
      const played = service.play(never());
      await expect.poll(() => receiver.facts().records.length).toBeGreaterThan(5);
      disk.fill();
      await expect
        .poll(async () => (await service.unit.store.stats()).fault, { timeout: 10_000 })
        .toBe('TG_STORE_FULL');
      const { records: before } = receiver.facts();
      const framesBefore = service.unit.counts.frames;
      await sleep(FILLED_MS);
      expect((await service.unit.store.stats()).fault).toBe('TG_STORE_FULL');
      // The bus is read on: what it brings waits in memory, and then the source waits.
      expect(service.unit.counts.frames).toBeGreaterThan(framesBefore);
      expect(receiver.facts().records).toEqual(expect.arrayContaining([...before]));

      disk.free();
      await played;
      expect(await service.settle(never())).toBe(true);
      expect((await service.unit.store.stats()).fault).toBeNull();
      await service.end();
      expect(await receiver.proven()).toBe(true);
      const facts = await unitFacts(unit);
      expect(facts.audit.findings).toEqual([]);
      expect(facts.waiting).toBe(0);
      expect(facts.metered).toBe(facts.records.length);
      // 100 frames a second over the whole log: each is a sample of one stream and counted in a window of the other.
      expect(service.unit.counts.frames).toBe(400);
      expect(valuesOf(join(unit.recipients[0]!, 'receiver.sqlite'))).toEqual({ samples: 400, counted: 400 });
      expect(receiver.facts().records).toEqual([...facts.records].sort());
      expect(receiver.alarms).toEqual([]);
    } finally {
      await receiver.close();
      await stop();
      disk.unmount();
      unit.remove();
    }
  });

  it('from the start is said plainly, with what to do', async (context) => {
    const unit = await unitFolder();
    const disk = smallDisk(unit);
    if (disk === null) {
      unit.remove();
      return context.skip('mounting a small file system takes root');
    }
    disk.fill();
    const agent = tollgate(['run', '--config', unit.config({})]);
    expect(await agent.exited).toBe(2);
    expect(agent.stderr()).toContain('TG_STORE_FULL');
    expect(agent.stderr()).toContain('Free space on the disk');
    disk.unmount();
    unit.remove();
  });

  it('holds nobody up who asks the agent to stop; what was committed goes at the next start', async (context) => {
    const { url, protocol, stop } = await anyBroker();
    const unit = await unitFolder({ campaigns: MANY, seconds: 20 });
    const disk = smallDisk(unit);
    if (disk === null) {
      await stop();
      unit.remove();
      return context.skip('mounting a small file system takes root');
    }
    const receiver = await quickReceiver(unit, url, protocol);
    try {
      const agent = tollgate(['run', '--config', unit.config({ url, protocol, realtime: true })]);
      await expect.poll(() => receiver.facts().records.length, { timeout: 20_000 }).toBeGreaterThan(5);
      disk.fill();
      await sleep(FILLED_MS);
      agent.child.kill('SIGTERM');
      expect(await agent.exited).toBe(2);
      expect(agent.stderr()).toContain('TG_STORE_FULL');
      disk.free();
      writeFileSync(unit.file('short.log'), logText(0.3));
      const again = tollgate(['run', '--config', unit.config({ url, protocol, log: 'short.log' })]);
      expect(await again.exited).toBe(0);
      expect(await receiver.proven()).toBe(true);
      const facts = await unitFacts(unit);
      expect(facts.audit.findings).toEqual([]);
      expect(facts.metered).toBe(facts.records.length);
      expect(receiver.facts().records).toEqual([...facts.records].sort());
      expect(receiver.alarms).toEqual([]);
    } finally {
      await receiver.close();
      await stop();
      disk.unmount();
      unit.remove();
    }
  });
});
