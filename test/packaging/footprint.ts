import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { trustAgreements, writeEnrolment } from '#agent/keys';
import { enrolment } from '#trust';
import type { StandIn } from '../firmware-bridge/stand-in/rig.ts';
import { agreementText, campaignText, INSURER } from '../system/unit-folder.ts';
import { launchArgs, launchEnv } from './dist.ts';

/** What is asked of a unit's traffic: a bus of 64 messages with eight signals each, of which a recipient gets eight. */
const MESSAGES = 64;
const SIGNALS = 8;
const ADMITTED = 8;
const FIRST_ID = 0x100;
/** Frames that a log of the start has. */
const LOG_FRAMES = 400;
const LOG_START_S = 1_767_225_600;

/** The installed package, as the launcher starts it. */
export interface Installed {
  readonly node: string;
  readonly flags: readonly string[];
  readonly main: string;
  /** What the launcher sets. */
  readonly env: Readonly<Record<string, string>>;
}

export function installedIn(root: string): Installed {
  const lib = join(root, 'usr', 'lib', 'tollgate');
  const launcher = readFileSync(join(root, 'usr', 'bin', 'tollgate'), 'utf8');
  return {
    node: join(lib, 'node'),
    flags: launchArgs(launcher),
    main: join(lib, 'tollgate.js'),
    env: launchEnv(launcher),
  };
}

export interface Place {
  readonly folder: string;
  /** Configuration with the source `can0`. */
  readonly bus: string;
  /** Configuration whose source is a log. */
  readonly log: string;
}

function database(): string {
  const lines = ['VERSION ""', 'NS_ :', 'BS_:', 'BU_: ECU', ''];
  for (let i = 0; i < MESSAGES; i++) {
    lines.push(`BO_ ${FIRST_ID + i} Message${i}: 8 ECU`);
    for (let k = 0; k < SIGNALS; k++) lines.push(` SG_ S${k} : ${k * 8}|8@1+ (0.5,0) [0|127.5] "" Vector__XXX`);
    lines.push('');
  }
  return lines.join('\n');
}

/** Everything a unit needs to run, in a folder. @param url of the broker; without it the unit has no uplink */
export async function placeIn(folder: string, url: string | null): Promise<Place> {
  const file = (name: string) => join(folder, name);
  for (const part of ['campaigns', 'agreements']) mkdirSync(file(part), { recursive: true });
  writeFileSync(file('bus.dbc'), database());
  const names = Array.from({ length: ADMITTED }, (_, i) => `dbc:Message${i * 2}.S${i % SIGNALS}`);
  const signals = names.map((signal) => `{ signal: "${signal}", operation: raw }`);
  writeFileSync(file('campaigns/traffic.yaml'), campaignText({ name: 'traffic', record: '1s', signals }));
  const agreement = agreementText({ uid: 'urn:uuid:00000000-0000-4000-8000-00000000cc01', permit: names });
  writeFileSync(file('agreements/owner.json'), agreement);
  await writeEnrolment(file('keys'), enrolment({ recipients: [INSURER], random: (bytes) => randomBytes(bytes) }));
  await trustAgreements(file('keys/unit'), [createHash('sha256').update(agreement).digest('hex')]);
  const frames = Array.from({ length: LOG_FRAMES }, (_, i) => {
    const us = String((i * 250) % 1_000_000).padStart(6, '0');
    return `(${LOG_START_S}.${us}) can0 ${(FIRST_ID + (i % MESSAGES)).toString(16)}#${'0A'.repeat(8)}\n`;
  });
  writeFileSync(file('drive.log'), frames.join(''));
  const configuration = (name: string, source: string) => {
    const text = [
      'version: 1',
      `unit: { role: vehicle, state: ${file(`state-${name}`)}, keys: ${file('keys/unit')} }`,
      `sources: [{ name: can0, ${source}, dbc: ${file('bus.dbc')} }]`,
      'context: { ignition: assume-on, position: none }',
      'documents: { campaigns: [campaigns/*.yaml], agreements: [agreements/*.json], lawPacks: [] }',
      'store: { maxBytes: 64MiB, groupCommit: 1s }',
      ...(url === null ? [] : [`uplink: { url: "${url}", tenant: t1 }`]),
    ];
    writeFileSync(file(`${name}.yaml`), `${text.join('\n')}\n`);
    return file(`${name}.yaml`);
  };
  return {
    folder,
    bus: configuration('bus', 'type: can'),
    log: configuration('log', `type: candump, path: ${file('drive.log')}`),
  };
}

/** A started agent; its log lines are looked through. */
export interface Started {
  readonly child: ChildProcess;
  /** Resolves with the milliseconds from the start of the process to the line with this event. */
  event(name: string): Promise<number>;
  stop(): Promise<void>;
}

export function start(
  { node, flags, main, env: own }: Installed,
  config: string,
  env: Record<string, string> = {},
): Started {
  const begun = performance.now();
  const child = spawn(node, [...flags, main, 'run', '--config', config], {
    env: { ...process.env, NODE_OPTIONS: '', ...own, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const seen = new Map<string, number>();
  const waiting: { name: string; resolve: (ms: number) => void; reject: (error: Error) => void }[] = [];
  const lines: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lines.push(line);
    const name = /"msg":"([\w-]+)"/.exec(line)?.[1];
    if (name === undefined) return;
    const ms = performance.now() - begun;
    if (!seen.has(name)) seen.set(name, ms);
    for (const waiter of waiting) if (waiter.name === name) waiter.resolve(ms);
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void gone.then(() => {
    for (const { name, reject } of waiting) reject(new Error(`it ended before "${name}": ${lines.join('\n')}`));
  });
  return {
    child,
    event: (name) =>
      new Promise((resolve, reject) => {
        const ms = seen.get(name);
        if (ms !== undefined) resolve(ms);
        else waiting.push({ name, resolve, reject });
      }),
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** Milliseconds of one bare `node -e 0`, from start to end. */
export async function bareNode({ node }: Installed): Promise<number> {
  const begun = performance.now();
  const child = spawn(node, ['-e', '0'], { env: { ...process.env, NODE_OPTIONS: '' }, stdio: 'ignore' });
  await new Promise((resolve) => child.once('exit', resolve));
  return performance.now() - begun;
}

const MIB = 1024;

export interface Memory {
  readonly rssMiB: number;
  readonly privateDirtyMiB: number;
}

/** Of a process, from `smaps_rollup`. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (key: string) => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(text)![1]) / MIB;
  const round = (value: number) => Math.round(value * 10) / 10;
  return { rssMiB: round(of('Rss')), privateDirtyMiB: round(of('Private_Dirty')) };
}

/** Frames a second of a full 500 kbit/s bus. */
export const BUS_RATE = 4_000;

export interface Traffic {
  readonly seconds: number;
  /** A sample a `sampleMs`, from the first one after `settleMs` on. */
  readonly samples: readonly Memory[];
  readonly worst: Memory;
  /** Means of the first and the last quarter: what a further run of the same length would add. */
  readonly growthMiB: { readonly rss: number; readonly privateDirty: number };
  readonly sent: number;
}

/** Code is compiled and pages are first touched until then, ms. */
const SETTLE_MS = 20_000;
let port = 41_000 + (process.pid % 10_000);

/** The agent on a full bus (the stand-in for CAN sockets) that sends to a broker, and what memory it takes. */
export async function traffic(
  installed: Installed,
  place: Place,
  standIn: StandIn,
  seconds: number,
  sampleMs = 1_000,
  extra: Readonly<Record<string, string>> = {},
): Promise<Traffic> {
  port += 10;
  const own = String(port);
  const env = {
    ...serviceEnvironment(),
    LD_PRELOAD: standIn.shim,
    STAND_IN_PORT: own,
    NODE_COMPILE_CACHE: join(place.folder, 'cache'),
    ...extra,
  };
  const agent = start(installed, place.bus, env);
  await agent.event('started');
  await isBound(port);
  const frames = String(seconds * BUS_RATE);
  const sender = spawn(standIn.sender, [own, frames, String(BUS_RATE), String(MESSAGES), '8'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let sent = '';
  sender.stdout!.on('data', (chunk) => (sent += chunk));
  const over = new Promise<number | null>((resolve) => sender.once('exit', resolve));
  const samples: Memory[] = [];
  const settle = Math.min(SETTLE_MS, (seconds * 1_000) / 4);
  const begun = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - begun > settle) samples.push(memoryOf(agent.child.pid!));
  }, sampleMs);
  const code = await over;
  clearInterval(timer);
  await agent.stop();
  if (code !== 0 || samples.length === 0) throw new Error(`the sender of frames ended with ${code}`);
  const quarter = Math.max(1, samples.length >> 2);
  const mean = (part: readonly Memory[], key: keyof Memory) =>
    part.reduce((sum, one) => sum + one[key], 0) / part.length;
  const growth = (key: keyof Memory) =>
    Math.round((mean(samples.slice(-quarter), key) - mean(samples.slice(0, quarter), key)) * 10) / 10;
  return {
    seconds,
    samples,
    worst: {
      rssMiB: Math.max(...samples.map(({ rssMiB }) => rssMiB)),
      privateDirtyMiB: Math.max(...samples.map(({ privateDirtyMiB }) => privateDirtyMiB)),
    },
    growthMiB: { rss: growth('rssMiB'), privateDirty: growth('privateDirtyMiB') },
    sent: Number(sent),
  };
}

/** The agent's socket is there: a sender without one learns that nobody listens, and ends. */
async function isBound(number: number): Promise<void> {
  const listed = `:${number.toString(16).toUpperCase().padStart(4, '0')} `;
  while (!readFileSync('/proc/net/udp', 'utf8').includes(listed)) await sleep(20);
}

/** What the unit's service sets, as `Environment=` lines. */
function serviceEnvironment(): Record<string, string> {
  const service = readFileSync(new URL('../../packaging/unit/tollgate.service', import.meta.url), 'utf8');
  return Object.fromEntries(
    [...service.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]),
  );
}
