import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { IdMask } from '#contracts';
import { buildAddon } from '../../../scripts/addons.mjs';
import type { Round, RoundSeen } from './filter.ts';

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** The stand-in for CAN sockets: see shim.c. Null where there is no C compiler. */
export interface StandIn {
  readonly shim: string;
  readonly sender: string;
}

export function buildStandIn(): StandIn | null {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-stand-in-'));
  const shim = join(folder, 'shim.so');
  const sender = join(folder, 'sender');
  const cc = (...args: string[]) => spawnSync('gcc', ['-O2', '-Wall', ...args], { encoding: 'utf8' });
  const built = cc('-shared', '-fPIC', here('shim.c'), '-o', shim, '-ldl');
  if (built.error !== undefined || buildAddon(process.arch) === null) return null;
  if (built.status !== 0 || cc(here('sender.c'), '-o', sender).status !== 0) throw new Error(built.stderr);
  return { shim, sender };
}

export interface Sending {
  readonly frames: number;
  readonly rate: number;
  readonly ids?: number;
  readonly bytes?: number;
}

export interface Receiving {
  /** `native`, or the folder of npm's socketcan. */
  readonly driver?: string;
  readonly plan?: readonly number[] | null;
  readonly masks?: readonly IdMask[];
  readonly fd?: boolean;
  /** ms of blocked event loop a batch. */
  readonly busy?: number;
  readonly env?: Record<string, string>;
}

export interface Received {
  readonly sent: number;
  readonly frames: number;
  readonly batches: number;
  readonly disorder: number;
  readonly unknownTimes: number;
  readonly flags: number;
  readonly perId: Readonly<Record<string, number>>;
  readonly cpuUs: number;
  readonly received: number;
  readonly queueLost: number;
  readonly shed: number;
  readonly skipped: number;
}

let port = 20_000 + (process.pid % 20_000);

/** One receiver, one sender, and what both counted. */
export async function transmit(
  standIn: StandIn,
  { frames, rate, ids = 16, bytes = 8 }: Sending,
  { driver = 'native', plan = null, masks = [], fd = false, busy = 0, env = {} }: Receiving = {},
): Promise<Received> {
  port += 10;
  const receiver = spawn(
    process.execPath,
    [here('receive.ts'), driver, JSON.stringify({ ids: plan, masks }), fd ? '1' : '0', String(busy)],
    {
      env: { ...process.env, ...env, LD_PRELOAD: standIn.shim, STAND_IN_PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface({ input: receiver.stdout! })[Symbol.asyncIterator]();
  await lines.next();
  const sent = await run(standIn.sender, [port, frames, rate, ids, bytes].map(String));
  const { value } = await lines.next();
  await exited(receiver);
  return { sent: Number(sent), ...JSON.parse(value!) };
}

/** Runs misuse.ts; `code` is null where a signal ended it. */
export async function misuse(
  standIn: StandIn,
): Promise<{ code: number | null; seen: { refused: unknown[]; count: number; length: number; rest: boolean } }> {
  port += 10;
  const child = spawn(process.execPath, [here('misuse.ts')], {
    env: { ...process.env, LD_PRELOAD: standIn.shim, STAND_IN_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout!.on('data', (chunk) => (out += chunk));
  await exited(child);
  return { code: child.exitCode, seen: JSON.parse(out || '{}') };
}

/** Runs filter.ts: what the receiver handed over under each filter. */
export async function filtered(standIn: StandIn, rounds: readonly Round[]): Promise<readonly RoundSeen[]> {
  port += 10;
  const file = join(mkdtempSync(join(tmpdir(), 'tollgate-filter-')), 'rounds.json');
  writeFileSync(file, JSON.stringify(rounds));
  const child = spawn(process.execPath, [here('filter.ts'), file], {
    env: { ...process.env, LD_PRELOAD: standIn.shim, STAND_IN_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout!.on('data', (chunk) => (out += chunk));
  await exited(child);
  return JSON.parse(out);
}

async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout!.on('data', (chunk) => (out += chunk));
  await exited(child);
  return out;
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null) await once(child, 'exit');
}
