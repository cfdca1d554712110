import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { buildStandIn } from '../firmware-bridge/stand-in/rig.ts';
import { buildDist, canBuild, installInto } from '../packaging/dist.ts';
import { BUS_RATE, installedIn, placeIn, traffic } from '../packaging/footprint.ts';
import type { LongResult } from './runner.ts';

const SECONDS = 600;
const MOST_RSS_MIB = 80;
const MOST_PRIVATE_DIRTY_MIB = 40;
/** Between the first and the last quarter of the run: less than a second run would show, MiB. */
const MOST_GROWTH_MIB = 2;
const SAMPLE_MS = 5_000;

/** The installed package on a full bus with a broker for ten minutes (or the seconds that are given): what memory it takes. */
export async function run(args: readonly string[]): Promise<LongResult> {
  const standIn = buildStandIn();
  if (standIn === null || MOSQUITTO === null || !canBuild)
    return { ok: false, why: 'needs mosquitto, g++ and binutils' };
  const dist = buildDist({ fast: true, sea: false });
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-memory-'));
  const broker = await startMosquitto();
  try {
    const root = join(folder, 'root');
    installInto(root, [dist.deb]);
    mkdirSync(join(folder, 'unit'));
    const place = await placeIn(join(folder, 'unit'), broker.url);
    const result = await traffic(installedIn(root), place, standIn, Number(args[0] ?? SECONDS), SAMPLE_MS);
    const { worst, growthMiB, samples, ...rest } = result;
    return {
      ok:
        worst.rssMiB <= MOST_RSS_MIB &&
        worst.privateDirtyMiB <= MOST_PRIVATE_DIRTY_MIB &&
        growthMiB.privateDirty <= MOST_GROWTH_MIB,
      framesPerSecond: BUS_RATE,
      worst,
      growthMiB,
      goals: { rssMiB: MOST_RSS_MIB, privateDirtyMiB: MOST_PRIVATE_DIRTY_MIB, growthMiB: MOST_GROWTH_MIB },
      ...rest,
      everyMinute: samples.filter((_, i) => i % 12 === 0),
    };
  } finally {
    await broker.stop();
    dist.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
