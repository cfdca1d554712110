import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { logSource } from '#agent/sources/log';
import { Service } from '../../agent/service.ts';
import type { ProtocolState } from '../../agent/store/contract.ts';
import { anyBroker } from './brokers.ts';
import { unitFacts } from './examine.ts';
import { type QuickReceiver, quickReceiver } from './quick-receiver.ts';
import { logText, type UnitFolder, unitFolder } from './unit-folder.ts';

/** Every named state of the protocol, in the order in which a record passes them. */
const STATES = [
  'sealed',
  'transaction-begun',
  'rows-written',
  'transaction-committed',
  'session-stored',
  'committed',
  'published',
  'puback-received',
  'puback-stored',
  'ack-received',
  'ack-stored',
  'checkpoint-signed',
  'checkpoint-stored',
  'proof-stored',
] as const satisfies readonly ProtocolState[];
const TIMES = 5;

// Five streams of two agreements, of different priority and rhythm: sessions, records and proofs lie across each other.
const CAMPAIGNS = [
  { name: 'speed', record: '100ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  { name: 'charge', record: '300ms', priority: 1, signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] },
  { name: 'throttle', record: '150ms', priority: 5, signals: ['{ signal: "dbc:Motion.Throttle", operation: raw }'] },
  {
    name: 'windows',
    record: '200ms',
    priority: 7,
    signals: ['{ signal: "dbc:Motion.Speed", operation: aggregate, window: 100ms, results: [min, max, mean] }'],
  },
  {
    name: 'samples',
    record: '250ms',
    priority: 0,
    trigger: '50ms',
    signals: ['{ signal: "dbc:Motion.Throttle", operation: decimate }'],
  },
];
const AGREEMENTS = [
  {
    uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01',
    permit: ['dbc:Motion.Speed', 'dbc:Motion.Throttle'],
    deny: ['dbc:Steering.Angle'],
  },
  { uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa02', permit: ['dbc:Battery.Charge'] },
];

const LIFE = fileURLToPath(new URL('life.ts', import.meta.url));
/** Compiled code of earlier lives: a process that is killed leaves none. */
const COMPILED = mkdtempSync(join(tmpdir(), 'tollgate-compiled-'));
/** Only a hang is longer, ms. */
const LONGEST_LIFE_MS = 20_000;

/** A SIGKILL takes nothing from the page cache (test/crash cuts the power): a disk would only make this slow. */
const PLACE = existsSync('/dev/shm') ? { place: '/dev/shm' } : {};

/** Resolves with the signal that ended the process, or with what it said. */
function live(config: string, promises: string, state: string, occurrence: number): Promise<string> {
  const child = spawn(process.execPath, [LIFE, config, promises, state, `${occurrence}`], {
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
  });
  const late = setTimeout(() => child.kill('SIGTERM'), LONGEST_LIFE_MS);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(late);
      resolve(signal ?? `ended with ${code}: ${said}`);
    });
  });
}

/** The agent starts again, drives a little more and ends in order. */
async function drain(config: string): Promise<boolean> {
  const service = await Service.open({
    config: await loadConfig(config),
    log: { info: () => undefined, warn: () => undefined },
    version: '0.0.0',
    publishMs: 100,
    source: async ({ name, path }, channel) => logSource({ name, path: path!, channel, bootId: new Uint8Array(8) }),
  });
  const { signal } = new AbortController();
  await service.play(signal);
  const settled = await service.settle(signal);
  await service.end();
  return settled;
}

/** What the receiver said it holds, it holds; what the unit said it holds, the receiver has, once, and proven. */
async function examine(unit: UnitFolder, receiver: QuickReceiver, promises: string): Promise<void> {
  expect(await receiver.proven()).toBe(true);
  const facts = await unitFacts(unit);
  expect(facts.audit.findings).toEqual([]);
  expect(facts.audit.signedSize).toBe(facts.leaves.length);
  expect(facts.metered).toBe(facts.records.length);
  expect(facts.waiting).toBe(0);
  expect(facts.evicted).toBe(0);
  for (const line of existsSync(promises) ? readFileSync(promises, 'utf8').trim().split('\n') : []) {
    const [size, root] = line.split(' ');
    expect(facts.root(Number(size)), `the ledger that was committed at ${size} leaves`).toBe(root);
  }
  const { records } = receiver.facts();
  expect(new Set(facts.records).size).toBe(facts.records.length);
  expect(records).toEqual([...facts.records].sort());
  const held = new Set(records);
  for (const { stream, uptoSeq, missing } of receiver.acks) {
    for (let seq = 0; seq <= uptoSeq; seq++) {
      const name = `${Buffer.from(stream).toString('hex')}/${seq}`;
      if (!missing.includes(seq)) expect(held.has(name), `${name} was acknowledged`).toBe(true);
    }
  }
}

beforeAll(async () => {
  const unit = await unitFolder({ ...PLACE, seconds: 1 });
  expect(await live(unit.config({}), unit.file('promises'), 'none', 0)).toMatch('lived to the end');
  unit.remove();
});
afterAll(() => rmSync(COMPILED, { recursive: true, force: true }));

describe.each(STATES)('a unit that is killed at "%s"', (state) => {
  it(`loses nothing and sends nothing twice, ${TIMES} times in a row`, async () => {
    const { url, protocol, stop } = await anyBroker();
    const unit = await unitFolder({ ...PLACE, campaigns: CAMPAIGNS, agreements: AGREEMENTS, seconds: 20 });
    writeFileSync(unit.file('short.log'), logText(0.5));
    const long = unit.config({ url, protocol, realtime: true, name: 'long.yaml' });
    const short = unit.config({ url, protocol, log: 'short.log', name: 'short.yaml' });
    const receiver = await quickReceiver(unit, url, protocol);
    try {
      for (let occurrence = 1; occurrence <= TIMES; occurrence++) {
        const promises = unit.file('promises');
        rmSync(promises, { force: true });
        expect(await live(long, promises, state, occurrence)).toBe('SIGKILL');
        expect(await drain(short)).toBe(true);
        await examine(unit, receiver, promises);
      }
      expect(receiver.acks.length).toBeGreaterThan(0);
      expect(receiver.alarms).toEqual([]);
    } finally {
      await receiver.close();
      await stop();
      unit.remove();
    }
  });
});
