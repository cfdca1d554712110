import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AnyBroker, anyBroker } from './brokers.ts';
import { unitFacts } from './examine.ts';
import { freePort, tollgate } from './processes.ts';
import { quickReceiver } from './quick-receiver.ts';
import { logText, type UnitFolder, unitFolder } from './unit-folder.ts';

/** Far above the 300 ms that the agent gives itself: only a goodbye that hangs is longer. */
const LONGEST_STOP_MS = 5_000;
/** No group is committed by time: what is committed, SIGTERM committed. */
const groupCommit = '60s';
const DRIVE_MS = 800;

let broker: AnyBroker;
beforeEach(async () => {
  broker = await anyBroker();
});
afterEach(() => broker.stop());

/** Events of the agent's log, in their order. */
function events(log: string): string[] {
  return log
    .trim()
    .split('\n')
    .map((line): string => JSON.parse(line).msg);
}

/** Drives for a while, then asks the agent to stop. */
async function driveAndStop(unit: UnitFolder, url: string, protocol: 4 | 5) {
  writeFileSync(unit.file('long.log'), logText(30));
  const config = unit.config({ url, protocol, realtime: true, log: 'long.log', groupCommit });
  const agent = tollgate(['run', '--config', config]);
  await agent.shows(/"first-frame"/);
  await sleep(DRIVE_MS);
  const askedMs = performance.now();
  agent.child.kill('SIGTERM');
  const exit = await agent.exited;
  return { exit, agent, tookMs: performance.now() - askedMs };
}

/** A start that plays nothing new but a short log, and drains. */
async function drain(unit: UnitFolder): Promise<number | null> {
  writeFileSync(unit.file('short.log'), logText(0.3));
  const { url, protocol } = broker;
  return await tollgate(['run', '--config', unit.config({ url, protocol, log: 'short.log', name: 'drain.yaml' })])
    .exited;
}

describe('SIGTERM', () => {
  it('commits what is open, signs it, sends it, and ends with 0', async () => {
    const unit = await unitFolder();
    const receiver = await quickReceiver(unit, broker.url, broker.protocol);
    const { exit, agent, tookMs } = await driveAndStop(unit, broker.url, broker.protocol);
    console.log(`SIGTERM with a broker: ${tookMs.toFixed(0)} ms from the signal to the end of the process`);
    expect(exit).toBe(0);
    expect(tookMs).toBeLessThan(LONGEST_STOP_MS);
    expect(agent.stdout()).toBe('');
    const log = events(agent.stderr());
    expect(log).toEqual(expect.arrayContaining(['started', 'uplink', 'first-frame']));
    expect(log.at(-1)).toBe('stopped');

    const facts = await unitFacts(unit);
    expect(facts.records.length).toBeGreaterThan(2);
    expect(facts.metered).toBe(facts.records.length);
    expect(facts.audit.findings).toEqual([]);
    expect(facts.audit.signedSize).toBe(facts.leaves.length);
    // What was committed is at the receiver, or waits for the next start.
    expect(receiver.facts().records.length + facts.waiting).toBeGreaterThanOrEqual(facts.records.length);

    expect(await drain(unit)).toBe(0);
    expect(await receiver.proven()).toBe(true);
    expect(receiver.facts().records).toEqual([...(await unitFacts(unit)).records].sort());
    expect(receiver.facts().records).toEqual(expect.arrayContaining([...facts.records]));
    expect(receiver.alarms).toEqual([]);
    await receiver.close();
    unit.remove();
  });

  it('keeps everything for the next start where no broker answers', async () => {
    const unit = await unitFolder();
    const { exit, agent, tookMs } = await driveAndStop(unit, `mqtt://127.0.0.1:${await freePort()}`, broker.protocol);
    console.log(`SIGTERM without a broker: ${tookMs.toFixed(0)} ms from the signal to the end of the process`);
    expect(exit).toBe(0);
    expect(tookMs).toBeLessThan(LONGEST_STOP_MS);
    expect(events(agent.stderr()).at(-1)).toBe('stopped');
    const facts = await unitFacts(unit);
    expect(facts.records.length).toBeGreaterThan(2);
    // A session and a proof beside the records.
    expect(facts.waiting).toBe(facts.records.length + 2);

    const receiver = await quickReceiver(unit, broker.url, broker.protocol);
    expect(await drain(unit)).toBe(0);
    expect(await receiver.proven()).toBe(true);
    expect(receiver.facts().records).toEqual(expect.arrayContaining([...facts.records]));
    expect(receiver.alarms).toEqual([]);
    await receiver.close();
    unit.remove();
  });
});
