import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { buildStandIn, misuse, transmit } from './stand-in/rig.ts';

const standIn = buildStandIn();
const all = (ids: number) => Array.from({ length: ids }, (_, i) => 0x100 + i);
const SENTINEL = 0x7ff;

describe.skipIf(standIn === null)('our CAN receiver (needs the package g++)', () => {
  it('takes frames in order, each with the time it came, many a call', async () => {
    const seen = await transmit(standIn!, { frames: 60_000, rate: 20_000 });
    expect(seen).toMatchObject({ sent: 60_000, frames: 60_000, queueLost: 0, disorder: 0, unknownTimes: 0 });
    expect(seen.batches).toBeLessThan(6_000);
  });

  it('counts exactly what the kernel had no room for while it was busy', async () => {
    const seen = await transmit(standIn!, { frames: 300_000, rate: 200_000 }, { busy: 40 });
    expect(seen.queueLost).toBeGreaterThan(10_000);
    // The sentinel is one more frame received.
    expect(seen.received - 1 + seen.queueLost).toBe(seen.sent);
    expect(seen.disorder).toBe(0);
  });

  it('keeps CAN FD frames whole, with their flags', async () => {
    const seen = await transmit(standIn!, { frames: 20_000, rate: 50_000, bytes: 64 }, { fd: true });
    expect(seen).toMatchObject({ sent: 20_000, frames: 20_000, queueLost: 0, flags: 0b101 });
  });

  it('leaves out what the plan does not name where the kernel did not', async () => {
    const seen = await transmit(standIn!, { frames: 10_000, rate: 50_000, ids: 20 }, { plan: [...all(5), SENTINEL] });
    expect(seen).toMatchObject({ frames: 2_500, skipped: 7_500, shed: 0 });
  });

  it('sheds the flood of one id and keeps the others', async () => {
    const flood = { frames: 60_000, rate: 60_000, ids: 2 };
    const env = { ID_BUDGET: '2000', COUNT_IDS: '1' };
    const seen = await transmit(standIn!, flood, { plan: [0x100, 0x101, SENTINEL], env });
    // One second touches two seconds of the clock: at most two budgets an id.
    expect(seen.frames).toBeLessThanOrEqual(8_000);
    expect(seen.frames + seen.shed).toBe(60_000);
    expect(Object.keys(seen.perId)).toEqual(['256', '257']);
  });

  it('refuses slots that the kernel would write beyond, and outlives a handle and a thread that end in the wrong order', async () => {
    const { code, seen } = await misuse(standIn!);
    expect(code).toBe(0);
    expect(seen.refused).toEqual(Array.from({ length: 11 }, () => constants.errno.EINVAL));
    // What says that it has 200 bytes has eight.
    expect(seen).toMatchObject({ count: 1, length: 8, rest: true });
  });
});
