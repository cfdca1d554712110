import { describe, expect, it } from 'vitest';
import { MOSQUITTO } from '../firmware-bridge/mosquitto.ts';
import { chaos } from './chaos.ts';

const WELL = { lost: 0, duplicates: 0, strange: 0, unproven: 0, waiting: 0, findings: 0, alarms: [] };

// Two hundred kills: `npm run long -- broker-chaos`.
describe.skipIf(MOSQUITTO === null)('mosquitto, killed at random, behind a wire that breaks anywhere', () => {
  it('forgets all sessions each time: every record arrives, once, proven', { timeout: 120_000 }, async () => {
    const report = await chaos({ kills: 15, persistent: false, seed: 1 });
    expect(report).toMatchObject(WELL);
    expect(report.records).toBeGreaterThan(500);
    // Else nothing was tried.
    expect(report.cuts).toBeGreaterThan(3);
    expect(report.doubled).toBeGreaterThan(10);
    expect(report.connects).toBeGreaterThan(10);
  });

  it('keeps them on disk: every record arrives, once, proven', { timeout: 120_000 }, async () => {
    const report = await chaos({ kills: 15, persistent: true, seed: 2 });
    expect(report).toMatchObject(WELL);
    expect(report.records).toBeGreaterThan(500);
  });

  it('takes one message at a time: every record arrives, once, proven', { timeout: 120_000 }, async () => {
    const report = await chaos({ kills: 10, persistent: false, seed: 3, receiveMaximum: 1 });
    expect(report).toMatchObject(WELL);
    expect(report.records).toBeGreaterThan(300);
  });
});
