import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OpenedRecord } from '#receiver';
import { rowsOf } from '#receiver';
import { decisionBody, LEAF_BOOT, LEAF_DECISION, LEAF_DOCUMENT, LEAF_RECORD, LEAF_TIME_JUMP } from '#wire/leaf';
import { kindsOf, unitFacts } from '../system/examine.ts';
import { type UnitFolder, type UnitFolderOptions, unitFolder } from '../system/unit-folder.ts';
import {
  BATTERY,
  FAST,
  frames,
  MOTION,
  minutes,
  openUnit,
  type Recipient,
  recipientOf,
  UTC_OFFSET_NS,
} from './unit-parts.ts';

const AGGREGATE = {
  name: 'windows',
  record: '1s',
  signals: ['{ signal: "dbc:Motion.Speed", operation: aggregate, window: 1s, results: [count, last] }'],
};
const RAW = { name: 'raw', record: '200ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] };
/** Two looks of a unit at the time, ms. */
const TICKS_MS = 450;
const HOUR_S = 3_600;

let folders: UnitFolder[];
let ends: Recipient[];
beforeEach(() => {
  folders = [];
  ends = [];
});
afterEach(async () => {
  for (const end of ends) await end.close();
  for (const folder of folders) folder.remove();
});

async function place(options: UnitFolderOptions): Promise<{ folder: UnitFolder; recipient: Recipient }> {
  const folder = await unitFolder({ ...FAST, ...options });
  const recipient = await recipientOf(folder);
  folders.push(folder);
  ends.push(recipient);
  return { folder, recipient };
}

/** Records by stream, each in its order. */
function byStream(records: readonly OpenedRecord[]): OpenedRecord[][] {
  const streams = new Map<string, OpenedRecord[]>();
  for (const record of records) {
    const key = Buffer.from(record.stream).toString('hex');
    streams.set(key, [...(streams.get(key) ?? []), record]);
  }
  return [...streams.values()];
}

const times = (record: OpenedRecord): number[] =>
  record.tables.flatMap(({ rows, timesMs }) => [...timesMs.subarray(0, rows)]);

describe('a unit', () => {
  it('marks the window that had not ended, and no other', async () => {
    const { folder, recipient } = await place({ campaigns: [AGGREGATE] });
    const unit = await openUnit(folder);
    // Frames until 2.59 s: two whole windows and a part of the third.
    await unit.frames(frames(minutes(0, 2.6, 10)), 0);
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    const opened = recipient.records.map(({ t0Ms, tables }) => ({
      t0Ms,
      partial: tables.map((table) => table.partial === true),
      values: tables.map(({ columns }) => columns.map(({ values }) => values[0])),
    }));
    expect(opened).toEqual([
      { t0Ms: 0, partial: [false], values: [[100, 99]] },
      { t0Ms: 1_000, partial: [false], values: [[100, 199]] },
      { t0Ms: 2_000, partial: [true], values: [[60, 259]] },
    ]);
    const rows = recipient.records.flatMap((record) => [...rowsOf(record)]);
    expect(rows.map(({ partial }) => partial)).toEqual([false, false, true]);
  });

  it('ends a record where its time does, whatever the batches are', async () => {
    const { folder, recipient } = await place({ campaigns: [RAW] });
    const unit = await openUnit(folder);
    const all = minutes(0, 1, 10);
    for (let at = 0; at < all.length; at += 7) await unit.frames(frames(all.slice(at, at + 7)), 0);
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    expect(recipient.records.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
    for (const [k, record] of recipient.records.entries()) {
      expect(times(record)).toEqual(Array.from({ length: 20 }, (_, i) => k * 200 + i * 10));
    }
    expect(recipient.alarms).toEqual([]);
  });

  it('begins a new stream after an hour of boottime', async () => {
    const { folder, recipient } = await place({ campaigns: [{ ...RAW, record: '60s' }] });
    const unit = await openUnit(folder);
    for (let minute = 0; minute <= 61; minute++) await unit.frames(frames(minutes(minute * 60, 60, 1_000)), 0);
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    const streams = byStream(recipient.records);
    expect(streams.map((records) => records.map(({ seq }) => seq))).toEqual([
      Array.from({ length: 60 }, (_, i) => i),
      [0, 1],
    ]);
    expect(streams[1]![0]!.t0Ms).toBe(HOUR_S * 1_000);
    expect(recipient.receiver.status()).toMatchObject({ sessions: 2, proven: 62, alarms: 0 });
  });

  it('cuts a record before it outgrows its form, however long it should be', async () => {
    const signals = ['{ signal: "dbc:Motion.Speed", operation: raw }'];
    const { folder, recipient } = await place({ campaigns: [{ name: 'long', record: '1200s', signals }] });
    const unit = await openUnit(folder);
    await unit.frames(frames(minutes(0, 400, 10)), 0);
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    expect(recipient.records.length).toBeGreaterThan(4);
    expect(recipient.records.reduce((sum, { samples }) => sum + samples, 0)).toBe(40_000);
  });

  it('takes many small steps of UTC for the jump that they are', async () => {
    const { folder } = await place({ campaigns: [RAW] });
    const unit = await openUnit(folder);
    for (let step = 0; step < 5; step++) {
      await unit.frames(frames(minutes(step, 1, 100), UTC_OFFSET_NS + BigInt(step) * 300_000_000n), 0);
    }
    await unit.finish();
    expect(unit.counts.timeJumps).toBe(2);
    await unit.close();
  });

  it('begins a new stream when UTC jumps, with a leaf that names both offsets', async () => {
    const { folder, recipient } = await place({ campaigns: [AGGREGATE] });
    const unit = await openUnit(folder);
    await unit.frames(frames(minutes(0, 1.5, 100)), 0);
    const later = UTC_OFFSET_NS + 3_600_000_000_000n;
    await unit.frames(frames(minutes(1.5, 1.5, 100), later), 0);
    // Half a second is no jump.
    await unit.frames(frames(minutes(3, 1, 100), later + 500_000_000n), 0);
    await unit.finish();
    await recipient.take(unit);
    expect(unit.counts.timeJumps).toBe(1);
    await unit.close();
    const facts = await unitFacts(folder);
    const jumps = facts.leaves.filter(({ kind }) => kind === LEAF_TIME_JUMP);
    expect(jumps.map(({ extra }) => extra)).toEqual([[Number(UTC_OFFSET_NS / 1_000_000n), Number(later / 1_000_000n)]]);
    const [before, after] = byStream(recipient.records);
    expect(before!.map(({ utcMs, t0Ms }) => utcMs! - t0Ms)).toEqual(
      before!.map(() => Number(UTC_OFFSET_NS / 1_000_000n)),
    );
    expect(after!.map(({ utcMs, t0Ms }) => utcMs! - t0Ms)).toEqual(after!.map(() => Number(later / 1_000_000n)));
    // The jump cuts no window: the one it falls into goes whole, under the session in which it ends.
    expect(before!.filter(({ tables }) => tables[0]!.partial === true)).toEqual([]);
    expect(facts.audit.findings).toEqual([]);
  });

  it('says once a rule and minute how many samples the gate kept back', async () => {
    const { folder, recipient } = await place({
      campaigns: [{ name: 'charge', record: '1s', signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] }],
      agreements: [
        {
          uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01',
          permit: ['dbc:Battery.Charge'],
          constraints: [{ leftOperand: 'auto:vehicleSpeed', operator: 'gt', rightOperand: 20 }],
        },
      ],
      context: { speed: 'dbc:Motion.Speed' },
    });
    const unit = await openUnit(folder);
    const slow = { id: MOTION, raw: 1_000 };
    const fast = { id: MOTION, raw: 5_000 };
    const charge = (ms: number) => ({ ms, id: BATTERY, raw: 7_777 });
    // Before the speed is known nothing leaves; at 10 km/h neither; at 50 km/h it does.
    await unit.frames(frames([charge(0), charge(1_000), { ms: 2_000, ...slow }, charge(3_000), charge(4_000)]), 0);
    await unit.frames(frames([{ ms: 5_000, ...fast }, charge(6_000), { ms: 7_000, ...slow }, charge(61_000)]), 0);
    await sleep(TICKS_MS);
    await unit.frames(frames([charge(62_000), charge(63_000), charge(125_000)]), 0);
    await sleep(TICKS_MS);
    await unit.finish();
    await recipient.take(unit);
    const { denied } = await unit.status();
    await unit.close();
    const facts = await unitFacts(folder);
    const decisions = facts.leaves.filter(({ kind }) => kind === LEAF_DECISION).map(decisionBody);
    for (const decision of decisions) {
      expect(decision).toMatchObject({ signal: 'dbc:Battery.Charge', reason: 'constraint' });
      expect(decision.rule).toMatch(/^#p1/);
      expect(decision.constraint).toContain('auto:vehicleSpeed');
    }
    expect(decisions.reduce((sum, { count }) => sum + count, 0)).toBe(8);
    expect([...denied.values()].reduce((sum, count) => sum + count, 0)).toBe(8);
    // Far fewer leaves than samples: one a rule, constraint and minute.
    expect(decisions.length).toBeLessThanOrEqual(4);
    expect(recipient.records.flatMap(times)).toEqual([6_000]);
    expect(unit.counts).toMatchObject({ admitted: 1, denied: 8 });
  });

  it('keeps late frames of a live source in the window in which they were received', async () => {
    const { folder, recipient } = await place({
      campaigns: [{ ...AGGREGATE, record: '200ms', signals: [AGGREGATE.signals[0]!.replace('1s', '200ms')] }],
    });
    const unit = await openUnit(folder, { live: true });
    const all = minutes(0, 0.6, 10);
    // The unit looks at the time while a batch is on its way: the window of the one before has ended by the clock.
    for (const [from, to] of [
      [0, 15],
      [15, 35],
      [35, 60],
    ] as const) {
      await unit.frames(frames(all.slice(from, to)), 0);
      await sleep(TICKS_MS);
    }
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    expect(recipient.records.map(({ tables }) => tables[0]!.columns[0]!.values[0])).toEqual([20, 20, 20]);
  });

  it('closes windows and records although no frame comes any more', async () => {
    const { folder, recipient } = await place({
      campaigns: [{ ...AGGREGATE, record: '200ms', signals: [AGGREGATE.signals[0]!.replace('1s', '200ms')] }],
    });
    const unit = await openUnit(folder, { live: true });
    await unit.frames(frames(minutes(0, 0.15, 10)), 0);
    await expect
      .poll(
        async () => {
          await recipient.take(unit);
          return recipient.records.map(({ t0Ms, tables }) => [t0Ms, tables[0]!.partial === true]);
        },
        { timeout: 10_000 },
      )
      .toEqual([[0, false]]);
    await unit.finish();
    await unit.close();
  });

  it('counts what it could not use: unknown ids, short frames', async () => {
    const { folder, recipient } = await place({ campaigns: [RAW] });
    const unit = await openUnit(folder);
    await unit.frames(
      frames([
        { ms: 0, id: 0x7ff, raw: 1 },
        { ms: 10, id: MOTION, raw: 2, length: 1 },
        { ms: 20, id: MOTION, raw: 3 },
      ]),
      0,
    );
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    expect(unit.counts).toMatchObject({ frames: 3, unknown: 1, short: 1, admitted: 1 });
    expect(recipient.records.flatMap(times)).toEqual([20]);
  });

  it('writes what it is made of into its first leaves', async () => {
    const { folder } = await place({});
    const unit = await openUnit(folder);
    await unit.finish();
    await unit.close();
    const facts = await unitFacts(folder);
    // One boot; one campaign, one agreement, one decoder; the denied signal.
    expect(kindsOf(facts)).toEqual({ [LEAF_BOOT]: 1, [LEAF_DOCUMENT]: 3, [LEAF_DECISION]: 1 });
    expect(facts.records).toEqual([]);
    expect(facts.audit.signedSize).toBe(5);
  });

  it('never starts half: a recipient without a key', async () => {
    const { folder } = await place({
      campaigns: [{ ...RAW, recipient: 'did:web:stranger.example' }],
      agreements: [
        {
          uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa09',
          assignee: 'did:web:stranger.example',
          permit: ['dbc:Motion.Speed'],
        },
      ],
    });
    await expect(openUnit(folder)).rejects.toMatchObject({ code: 'TG_RECIPIENT_UNKNOWN' });
  });
});

describe('two units in one process', () => {
  it('share nothing', async () => {
    const one = await place({ campaigns: [RAW] });
    const two = await place({ campaigns: [AGGREGATE] });
    const [first, second] = await Promise.all([openUnit(one.folder), openUnit(two.folder)]);
    expect(first.pseudonym).not.toBe(second.pseudonym);
    const all = minutes(0, 2, 10);
    for (let at = 0; at < all.length; at += 20) {
      await Promise.all([
        first.frames(frames(all.slice(at, at + 20)), 0),
        second.frames(frames(all.slice(at, at + 20)), 0),
      ]);
    }
    // The one that ends early takes nothing from the other.
    await first.finish();
    await one.recipient.take(first);
    await first.close();
    await second.frames(frames(minutes(2, 1, 10)), 0);
    await second.finish();
    await two.recipient.take(second);
    await second.close();
    expect(one.recipient.records.flatMap(times)).toHaveLength(200);
    expect(two.recipient.records.map(({ tables }) => tables[0]!.columns[0]!.values[0])).toEqual([100, 100, 100]);
    for (const { folder, recipient } of [one, two]) {
      const facts = await unitFacts(folder);
      expect(facts.audit.findings).toEqual([]);
      expect(facts.records).toHaveLength(recipient.records.length);
      expect(kindsOf(facts)[LEAF_RECORD]).toBe(recipient.records.length);
      expect(recipient.alarms).toEqual([]);
    }
  });
});
