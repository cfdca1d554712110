import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Schema, Table } from '#wire';
import { createRecordEncoder } from '#wire/columns/index';
import * as parts from './parts.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const GROUPS = 6;
const COLUMNS = 3;
const ROWS = 400;
const RECORDS = 10;
const SAMPLES = GROUPS * COLUMNS * ROWS * RECORDS;
const schema: Schema = {
  ...parts.schema,
  groups: Array.from({ length: GROUPS }, () => ({
    windowMs: 0,
    columns: Array.from({ length: COLUMNS }, () => ({ ...parts.column, type: 'int' as const })),
  })),
};

/** Walks, noise, states and counters. */
const NEXT = [
  (i: number) => Math.round(1000 * Math.sin(i / 30)),
  (i: number) => (i * 7919) % 251,
  (i: number) => Math.floor(i / 40) % 3,
  (i: number) => i % 16,
];
const tables = (rows: number): Table[] =>
  Array.from({ length: GROUPS }, (_, g) => ({
    rows,
    timesMs: Float64Array.from({ length: rows }, (_, i) => 10 * i + ((i * g) % 3)),
    columns: Array.from({ length: COLUMNS }, (_, c) => ({
      values: Float64Array.from({ length: rows }, (_, i) => NEXT[(g + c) % NEXT.length]!(i + g)),
      present: null,
    })),
  }));

/** Bytes that the heap grows by while `work` runs, what is collected meanwhile not counted. */
function growth(work: () => void): number {
  collect();
  const before = process.memoryUsage().heapUsed;
  work();
  return process.memoryUsage().heapUsed - before;
}

describe('the encoder of records', () => {
  it('allocates nothing per sample: long records cost the heap what short ones do', () => {
    const encoder = createRecordEncoder(schema);
    const hash = new Uint8Array(8);
    const [long, short] = [tables(ROWS), tables(ROWS / 8)];
    const encode = (put: readonly Table[]) => () => {
      for (let i = 0; i < RECORDS; i++) encoder.encode(hash, 0, put);
    };
    // Until the compiler has done with it: numbers in interpreted code live on the heap.
    for (let warm = 0; warm < 60; warm++) encode(long)();
    const kept: object[] = [];
    const control = growth(() => {
      for (let i = 0; i < SAMPLES; i++) kept.push({ i });
    });
    expect(control / SAMPLES).toBeGreaterThan(8);
    const least = Math.min(...[1, 2, 3].map(() => growth(encode(long)) - growth(encode(short))));
    expect(least / SAMPLES).toBeLessThan(1);
  });
});
