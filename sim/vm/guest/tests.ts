import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { CanDriver } from '#firmware-bridge/can/driver';
import { socketcanDriver } from '#firmware-bridge/can/socketcan';
import { nativeAddon } from '#firmware-bridge/native';
import { generate, ip, Listener, run, start } from './bus.ts';
import { attempt, sleep, until } from './report.ts';

/** Frames of one direction at the load of a full 500 kbit/s bus, and their distance in both directions together, ms. */
const LOAD_FRAMES = 6_000;
const LOAD_ROUNDS = 4;
const LOAD_GAP_MS = 0.5;
const FLOOD_FRAMES = 20_000;
/** Where the host may have put npm's socketcan. */
const SOCKETCAN = '/usr/lib/node_modules/socketcan';

export async function testBus(): Promise<void> {
  await attempt('two controllers at full load', fullLoad);
  await attempt('a flood: sent = received + counted loss', flood);
  await attempt('CAN FD, whole and with flags', canFd);
  await attempt('the kernel filters what the plan does not name', kernelFilter);
  await attempt('the kernel filters groups by masks, and the filter of an open socket follows', filterFollows);
  await attempt('the bit rate, without a program that asks', bitRate);
  await attempt('bus-off, restart, and a storm of error frames', errorFrames);
  await attempt('an interface that goes down and comes up', downAndUp);
  await attempt('an interface that is unplugged and comes back', unplugged);
  if (existsSync(SOCKETCAN)) await attempt("npm's socketcan as the driver, and what each costs", secondDriver);
}

/**
 * Both controllers send and hear at once. The emulator stops now and then for longer than a controller's queue is long: then
 * frames are the controller's loss, and known. So one round of several must lose nothing, and none may lose a frame silently.
 */
async function fullLoad() {
  const rounds = [];
  for (let round = 0; round < LOAD_ROUNDS; round++) {
    const one = await loadRound();
    rounds.push(one);
    if (one.lost === 0) break;
  }
  const known = rounds.every(({ lost, overruns, queueLost }) => queueLost === 0 && (lost === 0 || overruns > 0));
  return { ok: known && rounds.at(-1)!.lost === 0, sent: 4 * LOAD_FRAMES, rounds };
}

async function loadRound() {
  const [a, b] = [await Listener.on('can0'), await Listener.on('can1')];
  const begun = performance.now();
  await Promise.all([
    generate('can0', '123', LOAD_FRAMES, LOAD_GAP_MS),
    generate('can1', '456', LOAD_FRAMES, LOAD_GAP_MS),
  ]);
  const seconds = (performance.now() - begun) / 1000;
  // Each hears the other's frames and, looped back by the kernel, its own.
  await until(() => a.frames >= 2 * LOAD_FRAMES && b.frames >= 2 * LOAD_FRAMES, 2_000);
  const [one, other] = [a.source.status(), b.source.status()];
  await a.source.close();
  await b.source.close();
  return {
    lost: 4 * LOAD_FRAMES - a.frames - b.frames,
    overruns: one.overruns + other.overruns,
    queueLost: one.queueLost + other.queueLost,
    wrongTimes: a.wrongTimes + b.wrongTimes,
    framesASecond: Math.round((2 * LOAD_FRAMES) / seconds),
  };
}

async function flood() {
  const listener = await Listener.on('can1', { ids: [0x123] });
  await generate('can0', '123', FLOOD_FRAMES, 0);
  await until(() => listener.frames >= FLOOD_FRAMES, 3_000);
  const { queueLost, overruns, received } = listener.source.status();
  await listener.source.close();
  // Exact for the queue; the controller says only that it lost at least so many.
  const exact = received + queueLost === FLOOD_FRAMES;
  return {
    ok: exact || (overruns > 0 && received + queueLost < FLOOD_FRAMES),
    sent: FLOOD_FRAMES,
    received,
    queueLost,
    overruns,
    disorder: listener.disorder,
  };
}

async function canFd() {
  const listener = await Listener.on('vcan0', { fd: true });
  await run('cangen', 'vcan0', '-f', '-b', '-I', '123', '-L', '64', '-D', 'i', '-g', '0', '-n', '2000');
  await until(() => listener.frames >= 2_000, 3_000);
  const { frames, lengths, flags } = listener;
  await listener.source.close();
  return {
    ok: frames === 2_000 && [...lengths].join() === '64' && [...flags].join() === '5',
    frames,
    lengths: [...lengths],
    flags: [...flags],
  };
}

async function kernelFilter() {
  const listener = await Listener.on('vcan0', { ids: [0x100, 0x12345678 + 0x80000000] });
  await generate('vcan0', '200', 3_000, 0);
  await generate('vcan0', '100', 100, 0);
  await generate('vcan0', '12345678', 100, 0, '-e');
  await until(() => listener.frames >= 200, 3_000);
  // What the kernel lets through counts as received, also where nobody wants it.
  const { received } = listener.source.status();
  const ids = [...listener.ids];
  await listener.source.close();
  return { ok: received === 200 && ids.length === 2, received, unwanted: 3_000, ids };
}

/** A group of J1939 from any source; then another one, and another id; then more than the kernel takes. */
async function filterFollows() {
  const ids = ['100', '200'];
  const groups = ['18FEF103', '0CFEF155', '18FECA03'];
  const round = async () => {
    for (const id of ids) await generate('vcan0', id, 10, 0);
    for (const id of groups) await generate('vcan0', id, 10, 0, '-e');
  };
  const group = (pgn: number) => ({ id: 0x80000000 + pgn * 0x100, mask: 0xc3ffff00 });
  const listener = await Listener.on('vcan0', { ids: [0x100], masks: [group(0xfef1)] });
  const seen = [];
  const steps = [
    null,
    { ids: [[0x200]], masks: [[group(0xfeca)]] },
    { ids: [[]], masks: [[]] },
    { ids: [Array.from({ length: 600 }, (_, i) => i)], masks: [[]] },
    { ids: [[0x100]], masks: [[group(0xfef1)]] },
  ];
  for (const step of steps) {
    if (step !== null) listener.source.refilter(step);
    const { received: before, skipped: thrown } = listener.source.status();
    listener.ids.clear();
    await round();
    await sleep(300);
    const { received, skipped, filteredBy } = listener.source.status();
    const heard = [...listener.ids].map((id) => id.toString(16)).sort();
    seen.push({ filteredBy, received: received - before, skipped: skipped - thrown, heard });
  }
  await listener.source.close();
  const first = { filteredBy: 'kernel', received: 30, skipped: 0, heard: ['100', '8cfef155', '98fef103'] };
  const expected = [
    first,
    { filteredBy: 'kernel', received: 20, skipped: 0, heard: ['200', '98feca03'] },
    { filteredBy: 'kernel', received: 0, skipped: 0, heard: [] },
    { filteredBy: 'receiver', received: 50, skipped: 30, heard: ['100', '200'] },
    first,
  ];
  return { ok: JSON.stringify(seen) === JSON.stringify(expected), seen };
}

async function bitRate() {
  const rates = new Float64Array(2);
  nativeAddon().bitrates('can0', rates);
  const [can] = rates;
  nativeAddon().bitrates('vcan0', rates);
  return { ok: can === 500_000 && rates[0] === 0, can0: can, vcan0: rates[0] };
}

async function errorFrames() {
  const listener = await Listener.on('vcan0');
  await run('cansend', 'vcan0', '20000040#0000000000000000');
  const off = await until(() => listener.health.includes('bus-off'), 3_000);
  await run('cansend', 'vcan0', '20000100#0000000000000000');
  const back = await until(() => listener.health.at(-1) === 'ok', 3_000);
  const before = listener.batches;
  for (let i = 0; i < 50; i++) await run('cansend', 'vcan0', '20000004#0001000000000000');
  await sleep(200);
  const { errorFrames, overruns, restarts } = listener.source.status();
  const batches = listener.batches - before;
  await listener.source.close();
  return {
    ok: off && back && restarts === 1 && errorFrames === 52 && overruns === 50 && batches === 0,
    errorFrames,
    overruns,
    restarts,
    batches,
  };
}

async function downAndUp() {
  const listener = await Listener.on('can1');
  ip('link', 'set', 'can1', 'down');
  const down = await until(() => listener.health.includes('down'), 4_000);
  ip('link', 'set', 'can1', 'up');
  await generate('can0', '123', 100, 1);
  const up = await until(() => listener.health.at(-1) === 'ok' && listener.frames >= 100, 4_000);
  const { frames, health } = listener;
  await listener.source.close();
  return { ok: down && up, frames, health };
}

async function unplugged() {
  const listener = await Listener.on('vcan0');
  ip('link', 'del', 'vcan0');
  const gone = await until(() => listener.health.includes('absent'), 4_000);
  ip('link', 'add', 'vcan0', 'type', 'vcan');
  ip('link', 'set', 'vcan0', 'mtu', '72');
  ip('link', 'set', 'vcan0', 'up');
  const there = await until(() => listener.health.at(-1) === 'ok', 4_000);
  await generate('vcan0', '123', 100, 1);
  const heard = await until(() => listener.frames >= 100, 4_000);
  const { frames, health } = listener;
  await listener.source.close();
  return { ok: gone && there && heard, frames, health };
}

/** CPU µs a frame of both drivers, the same load one after the other, three rounds. */
async function secondDriver() {
  const socketcan = socketcanDriver(createRequire('/usr/lib/node_modules/')(SOCKETCAN));
  const costs: Record<string, number[]> = { native: [], socketcan: [] };
  const frames: Record<string, number[]> = { native: [], socketcan: [] };
  for (let round = 0; round < 3; round++) {
    for (const [name, driver] of [
      ['native', undefined],
      ['socketcan', socketcan],
    ] as [string, CanDriver | undefined][]) {
      const listener = await Listener.on('can1', driver === undefined ? {} : { driver });
      const before = process.cpuUsage();
      await generate('can0', '123', 4_000, 0.25);
      await until(() => listener.frames >= 4_000, 2_000);
      const { user, system } = process.cpuUsage(before);
      costs[name]!.push(Math.round((user + system) / Math.max(1, listener.frames)));
      frames[name]!.push(listener.frames);
      await listener.source.close();
    }
  }
  const median = (values: number[]) => [...values].sort((x, y) => x - y)[1]!;
  const ratio = median(costs.native!) / median(costs.socketcan!);
  return {
    ok: frames.native!.every((n) => n === 4_000) && frames.socketcan!.some((n) => n > 0),
    cpuUsAFrame: costs,
    frames,
    ratio: Math.round(ratio * 1000) / 1000,
  };
}

/** The device answers: TPM2_GetRandom of 16 bytes (TPM 2.0 Part 3 §16.1), by hand. */
export async function testTpm(): Promise<void> {
  await attempt('the TPM answers', async () => {
    const file = openSync('/dev/tpmrm0', 'r+');
    try {
      writeSync(file, Buffer.from('80010000000c0000017b0010', 'hex'));
      const answer = Buffer.alloc(64);
      const length = readSync(file, answer, 0, answer.length, null);
      return { ok: answer.readUInt32BE(6) === 0 && length === 28, bytes: length };
    } finally {
      closeSync(file);
    }
  });
}

const AGENT = ['--disallow-code-generation-from-strings', '/usr/lib/tollgate/tollgate.js'];

/** The installed agent on a live bus: records committed, ledger verified. */
export async function testAgent(): Promise<void> {
  await attempt('the installed agent, live', async () => {
    const agent = start('/usr/lib/tollgate/node', ...AGENT, 'run', '--config', '/etc/tollgate/tollgate.yaml');
    await sleep(3_000);
    await run('canplayer', '-I', '/guest/drive.log', 'can0=vcan0');
    await sleep(1_500);
    const status = spawnSync(
      '/usr/lib/tollgate/node',
      [...AGENT, 'status', '--json', '--config', '/etc/tollgate/tollgate.yaml'],
      { encoding: 'utf8' },
    );
    agent.kill('SIGTERM');
    await until(() => agent.exitCode !== null || agent.signalCode !== null, 5_000);
    const verified = spawnSync(
      '/usr/lib/tollgate/node',
      [...AGENT, 'verify', '/tmp/state', '--keys', '/etc/tollgate/keys/unit', '--json'],
      { encoding: 'utf8' },
    );
    const audit = JSON.parse(verified.stdout);
    const { unit } = JSON.parse(status.stdout);
    return {
      ok: agent.exitCode === 0 && audit.ok && audit.records > 0,
      exit: agent.exitCode,
      records: audit.records,
      leaves: audit.leaves,
      frames: unit?.path.frames,
    };
  });
}
