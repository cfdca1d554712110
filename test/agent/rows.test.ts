import { describe, expect, it } from 'vitest';
import { RowBuffer } from '#agent/rows';

describe('times of a record', () => {
  const times = (ticksPerMs?: 1 | 10) => {
    const rows = new RowBuffer(1, ticksPerMs);
    for (const ns of [1_234_567, 1_299_999, 5_000_000_000_050]) rows.row(ns, Float64Array.of(1), Uint8Array.of(1));
    const { timesMs } = rows.table([0], [-1], false);
    return { times: [...timesMs.subarray(0, rows.rows)], firstMs: rows.firstMs };
  };

  it('are whole ms, or tenths where the campaign asks for 100 µs; a record begins at a whole ms', () => {
    expect(times()).toEqual({ times: [1, 1, 5_000_000], firstMs: 1 });
    expect(times(10)).toEqual({ times: [1.2, 1.2, 5_000_000], firstMs: 1 });
  });
});
