import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MOSQUITTO, startMosquitto } from '../../test/firmware-bridge/mosquitto.ts';
import { buildStandIn } from '../../test/firmware-bridge/stand-in/rig.ts';
import { buildDist, canBuild, installInto } from '../../test/packaging/dist.ts';
import { bareNode, installedIn, placeIn, start, traffic } from '../../test/packaging/footprint.ts';

/**
 * What is flashed: the size of the package, the time from its installation into an empty root to the first consented record, the
 * start to the first decoded frame beside a bare Node of the same run, the memory on a full bus, and the exposure of the service.
 * Arguments: seconds on the bus (90), rounds of the start (15). With `fast` as third the package is compressed less.
 */
export const name = 'package';

const SECONDS = 90;
const ROUNDS = 15;
const GOALS = {
  debMB: 32,
  firstRecordMs: 10_000,
  startMs: 250,
  startOverBare: 4,
  rssMiB: 80,
  privateDirtyMiB: 40,
  exposure: 1.5,
};

export async function run(args: string[]): Promise<object> {
  if (!canBuild) return { skipped: 'needs dpkg-deb, g++ and strip: apt-get install g++ binutils' };
  const [seconds = SECONDS, rounds = ROUNDS] = args.slice(0, 2).map(Number);
  const fast = args[2] === 'fast';
  const dist = buildDist({ fast, sea: false });
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-package-'));
  const root = join(folder, 'root');
  try {
    const unit = await placeIn(made(folder, 'unit'), null);
    const begun = performance.now();
    installInto(root, [dist.deb]);
    const installMs = performance.now() - begun;
    const installed = installedIn(root);
    // "drained": what the log gave is committed to the outbox. Without a network it waits there.
    const first = start(installed, unit.log);
    await first.event('first-frame');
    await first.event('drained');
    const firstRecordMs = performance.now() - begun;
    await first.stop();
    const starts: number[] = [];
    const bares: number[] = [];
    const environment = { NODE_COMPILE_CACHE: join(folder, 'cache') };
    // The first two fill the cache of compiled code, as the unit's first start does.
    for (let i = -2; i < rounds; i++) {
      const bare = await bareNode(installed);
      const agent = start(installed, unit.log, environment);
      const ms = await agent.event('first-frame');
      await agent.stop();
      if (i < 0) continue;
      starts.push(ms);
      bares.push(bare);
    }
    const startMs = median(starts);
    const bareMs = median(bares);
    const memory = await onTheBus(seconds, made(folder, 'bus'), root);
    const debMB = round(statSync(dist.deb).size / 1e6);
    const exposure = exposureOf();
    const figures = {
      debMB,
      installedMB: round(bytesBelow(root) / 1e6),
      installMs: Math.round(installMs),
      firstRecordMs: Math.round(firstRecordMs),
      startMs: Math.round(startMs),
      bareNodeMs: Math.round(bareMs),
      startOverBare: round(startMs / bareMs),
      memory,
      exposure,
    };
    // A package that was compressed less says nothing about its size.
    const measured = {
      ...figures,
      ...(fast ? { debMB: null } : {}),
      ...(memory === null ? {} : memory.worst),
    } as Record<string, unknown>;
    const reached = Object.entries(GOALS).map(([key, most]) => {
      const value = measured[key];
      return [key, { goal: most, measured: value ?? null, reached: typeof value === 'number' ? value <= most : null }];
    });
    return { rounds, ...figures, goals: Object.fromEntries(reached) };
  } finally {
    dist.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function onTheBus(seconds: number, folder: string, root: string) {
  const standIn = buildStandIn();
  if (standIn === null || MOSQUITTO === null) return null;
  const broker = await startMosquitto();
  try {
    const { samples, ...rest } = await traffic(installedIn(root), await placeIn(folder, broker.url), standIn, seconds);
    return { ...rest, samples: samples.length, every10s: samples.filter((_, i) => i % 10 === 0) };
  } finally {
    await broker.stop();
  }
}

/** Of `systemd-analyze security`, 0 best to 10; null where systemd is not installed. */
function exposureOf(): number | null {
  const service = fileURLToPath(new URL('../../packaging/unit/tollgate.service', import.meta.url));
  const judged = spawnSync('systemd-analyze', ['security', '--offline=true', service], { encoding: 'utf8' });
  const found = /exposure level .*: (\d+\.\d)/.exec(judged.stdout ?? '');
  return found === null ? null : Number(found[1]);
}

function made(...path: string[]): string {
  const folder = join(...path);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function bytesBelow(folder: string): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sum += statSync(join(entry.parentPath, entry.name)).size;
  return sum;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const round = (value: number) => Math.round(value * 10) / 10;
