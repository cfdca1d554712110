import { part } from '../parts.ts';
import { noBypass } from '../system/no-bypass.ts';
import type { LongResult } from './runner.ts';

const REQUESTS = 1_000_000;
const ROUNDS = 10;

/** A million frames under ten random plans: no marker of a denied signal in any byte that is left. */
export async function run(): Promise<LongResult> {
  const mosquitto = part('mosquitto');
  if (mosquitto === null) return { ok: false, why: 'mosquitto is missing' };
  const report = await noBypass(REQUESTS, ROUNDS, 2026, mosquitto);
  const bad = report.leaks.length + report.missed.length + report.failures.length;
  return { ok: bad === 0 && report.received > 0, ...report };
}
