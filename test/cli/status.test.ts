import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HealthMonitor } from '#agent/health/health';
import { type ServiceStatus, serviceStatus } from '#agent/status';
import { statusText } from '#cli/commands/status';
import type { FrameSource } from '#contracts';
import { FAST, openUnit } from '../agent/unit-parts.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';

const IO = {
  out: () => undefined,
  err: () => undefined,
  interactive: false,
  stdin: Readable.from([]),
  signal: new AbortController().signal,
};

let folder: UnitFolder;
beforeEach(async () => {
  folder = await unitFolder(FAST);
});
afterEach(() => folder.remove());

/** The status of a unit with one live bus that tells this of itself. */
async function statusOf(more: { filteredBy: string; filters: number; skipped: number }): Promise<ServiceStatus> {
  const unit = await openUnit(folder);
  const counts = { received: 1_200, queueLost: 0, overruns: 0, shed: 0, errorFrames: 0, restarts: 0 };
  const bus: FrameSource & { status(): object } = {
    name: 'can0',
    open: async () => undefined,
    refilter: () => undefined,
    ended: Promise.resolve(),
    dropped: () => ({ count: 0, exact: true }),
    skipped: () => more.skipped,
    malformed: () => 0,
    close: async () => undefined,
    status: () => ({ health: 'ok', ...counts, ...more }),
  };
  const health = new HealthMonitor({ sources: [bus], clock: null });
  try {
    return await serviceStatus({ unit, uplink: null, health });
  } finally {
    health.close();
    await unit.close();
  }
}

describe('the text of a status', () => {
  it('says who leaves out what the plan does not want, and how much came all the same', async () => {
    const kernel = await statusOf({ filteredBy: 'kernel', filters: 14, skipped: 0 });
    expect(statusText(kernel, IO)).toContain('can0: ok, 1,200 frames, filtered by the kernel (14 ids and masks)\n');
    const receiver = await statusOf({ filteredBy: 'receiver', filters: 600, skipped: 300 });
    expect(statusText(receiver, IO)).toContain(
      'can0: ok, 1,200 frames, filtered by the receiver (600 ids and masks), 300 thrown away unread\n',
    );
    const nobody = await statusOf({ filteredBy: 'nobody', filters: 0, skipped: 0 });
    expect(statusText(nobody, IO)).toContain('can0: ok, 1,200 frames, not filtered\n');
  });

  it('says of each transport what became whole and what did not, and nothing where the plan needs none', async () => {
    const status = await statusOf({ filteredBy: 'kernel', filters: 1, skipped: 0 });
    expect(statusText(status, IO)).not.toMatch(/J1939|ISO-TP|OBD|withheld/);
    const j1939 = {
      complete: 20,
      timeout: 2,
      aborted: 1,
      missing: 0,
      replaced: 0,
      noRoom: 3,
      unfinished: 0,
      duplicate: 0,
      stray: 4,
      malformed: 5,
    };
    const isotp = {
      complete: 7,
      timeout: 0,
      sequence: 2,
      replaced: 0,
      overflow: 1,
      shortFrame: 1,
      tooLong: 0,
      unfinished: 0,
      stray: 0,
      malformed: 0,
    };
    const text = statusText(
      { ...status, unit: { ...status.unit, transports: { j1939, isotp, obd: null, withheld: 9 } } },
      IO,
    );
    expect(text).toMatch(
      /J1939 +20 messages, 3 incomplete \(2 timed out, 1 aborted\), 3 without room, 5 frames malformed, 4 stray/,
    );
    expect(text).toMatch(
      /ISO-TP +7 messages, 4 incomplete \(3 with a gap, 1 given up by the receiver\), 0 without room, 0 frames malformed, 0 stray/,
    );
    expect(text).toMatch(/values withheld +9 that say "not available" or "error"/);
  });
});
