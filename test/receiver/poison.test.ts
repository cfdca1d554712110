import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Schema } from '#wire';
import { bench, SCHEMA, type TestStream, TestUnit } from './parts.ts';
import { overEachStore } from './stores.ts';

const [samples, windows] = SCHEMA.groups as [Schema['groups'][number], Schema['groups'][number]];
const speed = samples.columns[0]!;
const groups = (change: Partial<typeof speed>): Partial<Schema> => ({
  groups: [{ windowMs: 0, columns: [{ ...speed, ...change }] }, windows],
});
const mean = windows.columns[0]!;

/** Schemas that a known unit signs, and that no honest one makes. */
const HOSTILE: [string, Partial<Schema>][] = [
  ['a signal with a NUL, which PostgreSQL has no text for', groups({ signal: 'Vehicle.\0Speed' })],
  ['a unit with a NUL', groups({ unit: 'km\0' })],
  ['a signal of 40 kB, which no index takes', groups({ signal: randomBytes(20_000).toString('hex') })],
  ['a unit of 60 kB', groups({ unit: randomBytes(30_000).toString('hex') })],
  ['quotes and statements in its names', groups({ signal: `x'); DROP TABLE records; --"`, unit: `'` })],
  ['one column twice', { groups: [samples, { windowMs: 1000, columns: [mean, mean] }] }],
  [
    'a length of windows at the end of the numbers',
    { groups: [samples, { ...windows, windowMs: Number.MAX_SAFE_INTEGER }] },
  ],
  ['a UTC offset at the end of the numbers', { utcOffsetMs: Number.MAX_SAFE_INTEGER }],
  ['a UTC offset at the other end', { utcOffsetMs: -Number.MAX_SAFE_INTEGER }],
  ['factors that are no numbers', groups({ f: Number.NaN, o: Number.POSITIVE_INFINITY, factor: Number.MAX_VALUE })],
];

overEachStore((fixture) => {
  it.each(HOSTILE)('a receiver does not end by %s', async (_, schema) => {
    const [honest, hostile] = [new TestUnit(1), new TestUnit(2)];
    const made = await fixture.bench([honest, hostile]);
    const bad: TestStream = await hostile.stream({ schema });
    await made.take(bad.session, await bad.record(), await bad.proof());
    const good = await honest.stream();
    await made.take(good.session, ...(await good.records(3)), await good.proof());
    expect(await made.store.count('records')).toBeGreaterThanOrEqual(3);
    expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 2, state: 'proven' });
  });
});

describe('a record of a kilobyte that unfolds to two megabytes', () => {
  it('is stored before hundreds of its kind are in memory', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = bench([unit]);
    await made.take(stream.session);
    const rows = 60_000;
    const timesMs = Float64Array.from({ length: rows }, (_, i) => i);
    const column = { values: new Float64Array(rows), present: null };
    let most = 0;
    for (let i = 0; i < 20; i++) {
      const record = await stream.record([
        { rows, timesMs: timesMs.map((ms) => ms + i * 1000), columns: [column] },
        { rows: 0, timesMs: new Float64Array(0), columns: [column, column] },
      ]);
      expect(record.bytes.length).toBeLessThan(1_000);
      await made.receiver.handle(record.topic, record.bytes);
      most = Math.max(most, made.receiver.status().unstored);
    }
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(10);
  });
});
