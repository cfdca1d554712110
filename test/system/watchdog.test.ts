import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceStatus } from '#agent/status';
import { buildAddon } from '../../scripts/addons.mjs';
import { buildStandIn } from '../firmware-bridge/stand-in/rig.ts';
import { part } from '../parts.ts';
import { unitFacts } from './examine.ts';
import { type Running, tollgate } from './processes.ts';
import { logText, type UnitFolder, unitFolder } from './unit-folder.ts';

const python = part('python3');
const WITHIN_MS = 3_000;
/** A datagram socket as a service manager has it; prints each message as a line. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)
`;

let unit: UnitFolder;
const closers: (() => void)[] = [];
beforeEach(async () => {
  unit = await unitFolder({ seconds: 1 });
});
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  unit.remove();
});

async function statusOf(config: string): Promise<ServiceStatus> {
  const asked = tollgate(['status', '--config', config, '--json']);
  await asked.exited;
  return JSON.parse(asked.stdout());
}

/** Kills what does not ping in its time, as a service manager does. */
async function supervise(socket: string, agent: () => Running) {
  const child = spawn(python!, ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => child.kill());
  const said: string[] = [];
  const ready = Promise.withResolvers<void>();
  let pingedMs = Number.POSITIVE_INFINITY;
  const lines = createInterface({ input: child.stdout });
  await new Promise<void>((resolve) => lines.once('line', () => resolve()));
  lines.on('line', (line) => {
    said.push(line);
    if (line === 'READY=1') ready.resolve();
    if (line === 'WATCHDOG=1' || line === 'READY=1') pingedMs = performance.now();
  });
  const running = agent();
  const timer = setInterval(() => {
    if (performance.now() - pingedMs > WITHIN_MS) running.child.kill('SIGKILL');
  }, 100);
  closers.push(() => clearInterval(timer));
  await Promise.race([ready.promise, running.exited]);
  return { running, said };
}

describe.skipIf(python === null || buildAddon(process.arch) === null)(
  'an agent under a watchdog (needs the packages python3 and g++)',
  () => {
    /** Blocks the event loop for good when it is asked to. */
    const blocker = (): string => {
      const file = unit.file('block.mjs');
      writeFileSync(file, "process.on('SIGUSR2', () => { for (;;); });\n");
      return `--import=${pathToFileURL(file).href}`;
    };

    it('is killed when its loop is blocked, starts again, and has lost nothing that was committed', async () => {
      writeFileSync(unit.file('long.log'), logText(60));
      const config = unit.config({ log: 'long.log', realtime: true });
      const socket = unit.file('notify');
      const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: String(WITHIN_MS * 1_000), NODE_OPTIONS: blocker() };
      const { running, said } = await supervise(socket, () => tollgate(['run', '--config', config], env));
      await running.shows(/"first-frame"/);
      // Longer than the watchdog waits: it is the pings that keep the agent alive.
      await sleep(WITHIN_MS + 1_500);
      expect(running.child.exitCode).toBeNull();
      const { health, unit: before } = await statusOf(config);
      expect(health?.watchdog).toEqual({ withinMs: WITHIN_MS, withheld: 0 });
      expect(before.store.head.size).toBeGreaterThan(5);
      running.child.kill('SIGUSR2');
      expect(await running.exited).toBeNull();
      expect(said[0]).toBe('READY=1');
      expect(said.filter((one) => one === 'WATCHDOG=1').length).toBeGreaterThan(1);

      expect(await tollgate(['run', '--config', unit.config({ name: 'again.yaml' })]).exited).toBe(0);
      const facts = await unitFacts(unit);
      expect(facts.audit.findings).toEqual([]);
      const root = Buffer.from(before.store.head.root, 'base64').toString('hex');
      expect(facts.root(before.store.head.size)).toBe(root);
      expect(facts.metered).toBe(facts.records.length);
    }, 60_000);
  },
);

const standIn = buildStandIn();

describe.skipIf(standIn === null)('an agent on a hostile bus (needs the package g++)', () => {
  const KNOWN = 0x100;
  const QUIET = 0x300;
  const UNKNOWN = 0x600;
  /** CAN_ERR_FLAG, CAN_ERR_CRTL of linux/can/error.h; data[1] 1: CAN_ERR_CRTL_RX_OVERFLOW. */
  const OVERFLOW = 0x2000_0004;
  const ROUNDS = 40;
  const FLOOD = 500;

  function frame(id: number, data: readonly number[]): Buffer {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(id, 0);
    bytes[4] = 8;
    bytes.set(data, 8);
    return bytes;
  }

  it('sheds and counts, grows nothing, and never starves the gate', async () => {
    const port = 21_000 + (process.pid % 20_000);
    const text = {
      version: 1,
      unit: { state: './state', keys: './keys/unit' },
      sources: [{ name: 'can0', type: 'can', dbc: 'car.dbc', idBudget: 1_000 }],
      context: { ignition: 'assume-on' },
      documents: { campaigns: ['campaigns/*.yaml'], agreements: ['agreements/*.json'] },
      store: { groupCommit: '50ms' },
    };
    const config = unit.file('live.yaml');
    writeFileSync(config, JSON.stringify(text));
    writeFileSync(
      unit.file('campaigns/ubi.yaml'),
      `campaign: ubi
version: 1
recipient: did:web:insurer.example
purpose: auto:UbiInsurance
priority: 3
signals:
  - { signal: "dbc:Motion.Speed", operation: aggregate, window: 1s, results: [count] }
  - { signal: "dbc:Battery.Charge", operation: raw }
record: { every: 1s }
`,
    );
    const agent = tollgate(['run', '--config', config], { LD_PRELOAD: standIn!.shim, STAND_IN_PORT: String(port) });
    closers.push(() => agent.child.kill('SIGKILL'));
    await agent.shows(/"started"/);
    const udp = createSocket('udp4');
    closers.push(() => udp.close());
    const send = (bytes: Buffer) => new Promise<void>((resolve) => udp.send(bytes, port, '127.0.0.1', () => resolve()));
    while (!agent.stderr().includes('"first-frame"')) {
      await send(frame(KNOWN, [1]));
      await sleep(50);
    }
    const before = await statusOf(config);
    const source = (status: ServiceStatus) => status.health!.sources[0]!;
    for (let round = 0; round < ROUNDS; round++) {
      await send(frame(QUIET, [round]));
      for (let i = 0; i < FLOOD; i++) {
        await send(frame(KNOWN, [i & 255]));
        await send(frame(UNKNOWN + (i & 255), [i & 255]));
        if (i % 5 === 0) await send(frame(OVERFLOW, [0, 1]));
      }
      await sleep(20);
    }
    const charges = (status: ServiceStatus) =>
      status.meter.reduce((sum, { fields }) => sum + (fields['dbc:Battery.Charge'] ?? 0), 0);
    let after = await statusOf(config);
    // Every frame of the quiet id came through, but for those that the kernel had no room for.
    while (charges(after) < ROUNDS - (source(after).queueLost ?? 0)) {
      await sleep(200);
      after = await statusOf(config);
    }
    const { shed = 0, errorFrames, overrunsAtLeast, exact, queueLost = 0, health } = source(after);
    console.log(`hostile bus: ${shed} shed, ${queueLost} lost, ${errorFrames} error frames, ${health}`);
    expect(shed).toBeGreaterThan(1_000);
    expect(errorFrames).toBeGreaterThan(100);
    expect(overrunsAtLeast).toBeGreaterThan(100);
    expect(exact).toBe(false);
    expect(after.unit.path.skipped - before.unit.path.skipped).toBeGreaterThan(ROUNDS * FLOOD - queueLost - 1);
    expect(after.memory.rss - before.memory.rss).toBeLessThan(48 * 2 ** 20);
    expect(after.unit.store.head.size - before.unit.store.head.size).toBeLessThan(200);
    agent.child.kill('SIGTERM');
    expect(await agent.exited).toBe(0);
    expect((await unitFacts(unit)).audit.findings).toEqual([]);
  }, 90_000);
});
