import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogFields } from '#agent/log';
import { startTappedBroker } from '#sim/broker';
import { tollgate } from '../system/processes.ts';
import { quickReceiver } from '../system/quick-receiver.ts';
import { logText, type UnitFolder, unitFolder } from '../system/unit-folder.ts';

let unit: UnitFolder;
beforeEach(async () => {
  unit = await unitFolder({ seconds: 1 });
});
afterEach(() => unit.remove());

/** Every field that `LogFields` has; a new one must be added here, and thought about. */
const FIELDS: Readonly<Record<keyof LogFields, true>> = {
  code: true,
  count: true,
  bytes: true,
  ms: true,
  size: true,
  source: true,
  line: true,
  campaign: true,
  up: true,
};
/** What every line has. */
const FRAME = ['level', 'time', 'msg'];
const PROTOCOL = 4;

const linesOf = (log: string): Record<string, unknown>[] =>
  log
    .trim()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line));

describe('tollgate run', () => {
  it('says nothing in its log and its status topic that is not a count, a code or a name of the project', async () => {
    const { broker, tap } = await startTappedBroker();
    const told: { topic: string; payload: string }[] = [];
    broker.onMessage((topic, payload) => {
      if (topic.endsWith('/st')) told.push({ topic, payload: Buffer.from(payload).toString() });
    });
    const receiver = await quickReceiver(unit, broker.url, PROTOCOL);
    // Things to talk about: a broker that refuses at first, a line that is none, a drive.
    broker.refuse = true;
    writeFileSync(unit.log, `${logText(1)}secret-of-the-driver 4711\n`);
    const agent = tollgate(['run', '--config', unit.config({ url: tap.url, protocol: PROTOCOL })]);
    await agent.shows(/TG_BROKER_REFUSED/);
    broker.refuse = false;
    expect(await agent.exited).toBe(0);
    const log = agent.stderr();
    expect(agent.stdout()).toBe('');
    for (const line of linesOf(log)) {
      for (const field of Object.keys(line)) expect([...FRAME, ...Object.keys(FIELDS)]).toContain(field);
      for (const value of Object.values(line)) expect(['string', 'number', 'boolean']).toContain(typeof value);
    }
    expect(linesOf(log).map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['started', 'malformed-line', 'uplink-error', 'uplink', 'sources-ended', 'drained']),
    );
    const pseudonym = readFileSync(join(unit.state, 'pseudonym'), 'utf8');
    const keys = readdirSync(unit.keys, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && file.name.endsWith('.jwk'))
      .map((file) => (JSON.parse(readFileSync(join(file.parentPath, file.name), 'utf8')) as { d: string }).d);
    const { records } = receiver.facts();
    const streams = records.flatMap((name) => {
      const bytes = Buffer.from(name.split('/')[0]!, 'hex');
      return [bytes.toString('hex'), bytes.toString('base64url')];
    });
    expect(records.length).toBeGreaterThan(0);
    expect(keys.length).toBeGreaterThan(0);
    for (const secret of [pseudonym, 'v1/t1/', 'secret-of-the-driver', '4711', 'Speed', 'Angle', ...keys, ...streams]) {
      expect(log).not.toContain(secret);
    }
    expect(new Set(told.map(({ payload }) => payload))).toEqual(
      new Set(['{"version":1,"state":"online"}', '{"version":1,"state":"offline"}']),
    );
    expect(new Set(told.map(({ topic }) => topic))).toEqual(new Set([`v1/t1/${pseudonym}/st`]));
    await receiver.close();
    await tap.close();
    await broker.close();
  });

  it('counts malformed lines and names them by number', async () => {
    appendFileSync(unit.log, 'garbage\n(1767225601.000000) can0 100#0\n');
    const agent = tollgate(['run', '--config', unit.config({})]);
    expect(await agent.exited).toBe(0);
    const lines = linesOf(agent.stderr());
    expect(lines.filter(({ msg }) => msg === 'malformed-line').map(({ line, source }) => [source, line])).toEqual([
      ['can0', 161],
      ['can0', 162],
    ]);
    expect(lines.find(({ msg }) => msg === 'malformed-input')).toMatchObject({ count: 2, source: 'can0' });
  });

  it('ends with 2 where a log is damaged, after what came before it was committed', async () => {
    const packed = gzipSync(readFileSync(unit.log));
    writeFileSync(unit.file('cut.log'), packed.subarray(0, packed.length >> 1));
    const agent = tollgate(['run', '--config', unit.config({ log: 'cut.log' })]);
    expect(await agent.exited).toBe(2);
    expect(agent.stderr()).toContain('TG_LOG_GZIP');
    // The store was closed in order: its lock is gone.
    expect(existsSync(join(unit.state, 'tollgate.sqlite'))).toBe(true);
    expect(existsSync(join(unit.state, 'tollgate.sqlite-lock'))).toBe(false);
  });

  it('answers status while it runs, and nobody does afterwards', async () => {
    writeFileSync(unit.file('long.log'), logText(20));
    const config = unit.config({ log: 'long.log', realtime: true });
    const none = tollgate(['status', '--config', config, '--json']);
    expect(await none.exited).toBe(1);
    expect(none.stdout()).toBe('null\n');
    const agent = tollgate(['run', '--config', config]);
    await agent.shows(/"first-frame"/);
    const status = tollgate(['status', '--config', config, '--json']);
    expect(await status.exited).toBe(0);
    const answer: unknown = JSON.parse(status.stdout());
    expect(answer).toMatchObject({ version: 1, unit: { path: { malformed: 0 } }, uplink: null });
    agent.child.kill('SIGTERM');
    expect(await agent.exited).toBe(0);
    const words = tollgate(['status', '--config', config]);
    expect(await words.exited).toBe(1);
    expect(words.stderr()).toContain('No agent answers');
  });
});
