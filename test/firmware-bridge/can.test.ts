import { constants } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_ERR_FLAG, filterPairs, IdMatcher } from '#contracts';
import { channelFilter, idWords } from '../contracts/filters.ts';
import { buildStandIn, filtered, misuse, transmit } from './stand-in/rig.ts';

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

  it('has a budget of its own for each id that a mask lets through', async () => {
    const env = { ID_BUDGET: '2000', COUNT_IDS: '1' };
    const group = { id: 0x100, mask: 0xc00007f0 };
    const flood = { frames: 60_000, rate: 60_000, ids: 16 };
    const seen = await transmit(standIn!, flood, { plan: [SENTINEL], masks: [group], env });
    expect(seen.frames + seen.shed).toBe(60_000);
    expect(seen.shed).toBeGreaterThan(0);
    // One budget for the group were 2,000 a second: some 6,000 for all.
    expect(seen.frames).toBeGreaterThanOrEqual(16 * 2_000);
    expect(Object.keys(seen.perId)).toHaveLength(16);
  });

  it('has the rule of the kernel for any filter, also for those that follow while it is open', async () => {
    const plan = fc.record({
      wanted: fc.option(channelFilter, { freq: 20 }),
      words: fc.array(idWords, { maxLength: 60 }),
    });
    const rounds = fc.sample(plan, { numRuns: 120, seed: 3 }).map(({ wanted, words }) => ({
      pairs: wanted === null ? null : [...filterPairs({ ids: [wanted.ids], masks: [wanted.masks] }, 0)!],
      words: [...words, ...(wanted?.ids ?? []), ...(wanted?.masks.map(({ id }) => id) ?? [])],
    }));
    const seen = await filtered(standIn!, rounds);
    expect(seen.map(({ kept, skipped }) => ({ kept, skipped }))).toEqual(
      rounds.map(({ pairs, words }) => {
        const matcher = new IdMatcher(pairs === null ? null : Uint32Array.from(pairs));
        const frames = words.filter((word) => (word & CAN_ERR_FLAG) === 0);
        const kept = frames.filter((word) => matcher.passes(word));
        return { kept, skipped: frames.length - kept.length };
      }),
    );
  });

  it('keeps a plan that is too large for the kernel in its own table, and says so', async () => {
    const words = [0x100, 0x17f, 0x2ff];
    const pairs = (ids: readonly number[]) => [...filterPairs({ ids: [ids] }, 0)!];
    const many = Array.from({ length: 513 }, (_, i) => 0x100 + i);
    expect(
      await filtered(standIn!, [
        { pairs: pairs(many.slice(1)), words },
        { pairs: pairs(many), words },
        { pairs: null, words },
        { pairs: [], words },
      ]),
    ).toEqual([
      { kept: [0x17f, 0x2ff], skipped: 1, filteredBy: 'kernel' },
      { kept: words, skipped: 0, filteredBy: 'receiver' },
      { kept: words, skipped: 0, filteredBy: 'nobody' },
      { kept: [], skipped: 3, filteredBy: 'kernel' },
    ]);
  });

  it('refuses slots that the kernel would write beyond, and outlives a handle and a thread that end in the wrong order', async () => {
    const { code, seen } = await misuse(standIn!);
    expect(code).toBe(0);
    // The last is another filter for a receiver that is closed.
    const refused = [...Array.from({ length: 11 }, () => constants.errno.EINVAL), constants.errno.EBADF];
    expect(seen.refused).toEqual(refused);
    // What says that it has 200 bytes has eight.
    expect(seen).toMatchObject({ count: 1, length: 8, rest: true });
  });
});
