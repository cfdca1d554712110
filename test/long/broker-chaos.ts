import { MOSQUITTO } from '../firmware-bridge/mosquitto.ts';
import { type ChaosReport, chaos } from '../system/chaos.ts';
import type { LongResult } from './runner.ts';

/** Kills of mosquitto, in three runs: it forgets everything, it keeps its state on disk, it takes one message at a time. */
const KILLS = 200;

/** `--kills N`: so many instead. */
export async function run(args: readonly string[]): Promise<LongResult> {
  if (MOSQUITTO === null) return { ok: false, why: 'mosquitto is missing' };
  const at = args.indexOf('--kills');
  const kills = at < 0 ? KILLS : Number(args[at + 1]);
  const share = Math.ceil(kills / 3);
  const reports: ChaosReport[] = [];
  reports.push(await chaos({ kills: share, persistent: false, seed: 11 }));
  reports.push(await chaos({ kills: share, persistent: true, seed: 12 }));
  reports.push(await chaos({ kills: Math.max(1, kills - 2 * share), persistent: false, seed: 13, receiveMaximum: 1 }));
  const bad = (one: ChaosReport) =>
    one.lost + one.duplicates + one.strange + one.unproven + one.waiting + one.findings + one.alarms.length;
  return { ok: reports.every((one) => bad(one) === 0), kills, reports };
}
