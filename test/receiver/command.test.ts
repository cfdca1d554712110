import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { SqliteStore } from '#receiver';
import { type Broker, startBroker } from '#sim/broker';
import { ACK, bench, HPKE, TestUnit } from './parts.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let broker: Broker;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-receive-'));
  broker = await startBroker();
});
afterEach(async () => {
  await broker.close();
  rmSync(folder, { recursive: true, force: true });
});

function keys(unit: TestUnit): string {
  const files = { 'hpke.jwk': HPKE, 'ack.jwk': ACK, 'units.json': [unit.verifierKey] };
  for (const [name, value] of Object.entries(files)) {
    const file = join(folder, 'keys', name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(value));
  }
  return join(folder, 'keys');
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function receive(...args: string[]): { readonly ended: Promise<Ended>; err(): string; kill(): void } {
  const command = ['--disallow-code-generation-from-strings', join(root, 'cli/tollgate.mjs'), 'receive', ...args];
  const child = spawn(process.execPath, command, { cwd: folder });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
  return { ended, err: () => err, kill: () => child.kill('SIGTERM') };
}

describe('tollgate receive', () => {
  it('writes what it opened, proves it, and ends when no more comes', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const acks: string[] = [];
    const link = await connectMqtt({
      ...{ url: broker.url, protocol: 4 as const, clientId: 'unit', keepalive: 30 },
      onMessage: (topic) => void acks.push(topic),
      onClose: () => {},
    });
    await link.subscribe([`v1/t1/${unit.pseudonym}/rx/ack`]);
    await link.publish(stream.session.topic, stream.session.bytes, { retain: true });
    const out = join(folder, 'out.jsonl');
    const running = receive(
      '--keys',
      keys(unit),
      '--broker',
      broker.url,
      '--protocol',
      '4',
      '--out',
      out,
      '--until-idle',
      '4',
      '--json',
    );
    // Subscribed, not only connected: the broker keeps no record for whoever comes later.
    await expect.poll(() => running.err(), { timeout: 20_000 }).toContain('"connected":true');
    for (const { topic, bytes } of [...(await stream.records(4)), await stream.proof()]) {
      await link.publish(topic, bytes, { retain: false });
    }
    const { code, out: text, err } = await running.ended;
    expect(err).not.toContain('TG_');
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ sessions: 1, opened: 4, proven: 4, refused: 0, alarms: 0 });
    expect(readFileSync(out, 'utf8').trim().split('\n').length).toBe(4 * 11);
    expect(acks.length).toBeGreaterThan(0);
    await link.end();
  });

  it('says what was refused, and ends with 1', async () => {
    const unit = new TestUnit();
    const stranger = new TestUnit(2);
    const link = await connectMqtt({
      ...{ url: broker.url, protocol: 4 as const, clientId: 'unit', keepalive: 30 },
      onMessage: () => {},
      onClose: () => {},
    });
    const { session } = await stranger.stream();
    await link.publish(session.topic, session.bytes, { retain: true });
    const { code, err } = await receive(
      '--keys',
      keys(unit),
      '--broker',
      broker.url,
      '--protocol',
      '4',
      '--until-idle',
      '1',
    ).ended;
    expect(code).toBe(1);
    expect(err).toContain('TG_RECEIVER_STRANGER');
    await link.end();
  });

  it('stops on SIGTERM with a summary', async () => {
    const running = receive('--keys', keys(new TestUnit()), '--broker', broker.url, '--protocol', '4');
    await expect.poll(() => broker.clients, { timeout: 20_000 }).toBe(1);
    // Connected is not yet subscribed.
    await new Promise((resolve) => setTimeout(resolve, 200));
    running.kill();
    const { code, out } = await running.ended;
    expect(code).toBe(0);
    expect(out).toContain('opened');
  });

  it('shows stored alarms with their evidence, and takes a unit back', async () => {
    const unit = new TestUnit();
    const folder = keys(unit);
    const store = new SqliteStore(join(folder, 'receiver.sqlite'));
    const made = bench([unit], { store });
    const one = await unit.stream();
    await made.take(one.session, ...(await one.records(3)), await one.proof());
    unit.rollBack(1);
    const two = await unit.stream();
    await made.take(two.session, ...(await two.records(3)), await two.proof());
    await store.close();
    const name = unit.verifierKey.split('+')[0]!;
    const shown = await receive('--keys', folder, '--alarms').ended;
    expect(shown.code).toBe(1);
    expect(shown.out).toContain('TG_RECEIVER_ROLLBACK  two different ledgers of 4 leaves were signed');
    expect(shown.out.match(new RegExp(`— ${name} `, 'g'))?.length).toBe(2);
    const [alarm] = (await receive('--keys', folder, '--alarms', '--json').ended).out.trim().split('\n');
    expect(JSON.parse(alarm!)).toMatchObject({ unit: name, seq: 2 });
    expect(await receive('--keys', folder, '--readmit', name).ended).toMatchObject({
      code: 0,
      out: `${name} begins anew\n`,
    });
    expect((await receive('--keys', folder, '--readmit', 'tollgate/nobody').ended).code).toBe(2);
  });

  it('refuses what it cannot do, with a remedy', async () => {
    const unit = keys(new TestUnit());
    const wrong = [
      { args: ['--keys', unit], says: 'TG_CLI_USAGE' },
      { args: ['--keys', unit, '--broker', 'localhost'], says: 'mqtt://host:port' },
      { args: ['--keys', unit, '--broker', broker.url], says: '--protocol 4' },
      { args: ['--keys', unit, '--broker', broker.url, '--group', 'a/b'], says: '--group' },
      { args: ['--keys', unit, '--broker', broker.url, '--store', 'mysql://x'], says: 'TG_RECEIVER_STORE' },
      { args: ['--keys', join(folder, 'none'), '--broker', broker.url], says: 'TG_RECEIVER_KEYS' },
      {
        args: ['--keys', unit, '--broker', broker.url, '--protocol', '4', '--out', '/no/such/place'],
        says: 'TG_RECEIVER_OUTPUT',
      },
    ];
    for (const { args, says } of wrong) {
      const { code, err } = await receive(...args).ended;
      expect(err).toContain(says);
      expect(code).toBe(2);
    }
  });
});
