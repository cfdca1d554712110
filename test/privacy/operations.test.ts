import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RowSink, TollgateError } from '#contracts';
import { createOperation, type OperationSpec } from '#privacy';
import { windowStart } from '#privacy/slots';
import { info, operation, type Row, resources, rowsOf, run } from './parts.ts';

const MS = 1e6;
const LIMIT = 2 ** 52;
const cell = fc.option(fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -LIMIT, max: LIMIT })), {
  nil: null,
});
/** Times of up to 100 days, close together, in order. */
const rows = (inputs: number): fc.Arbitrary<Row[]> =>
  fc
    .tuple(
      fc.integer({ min: 0, max: 8.64e15 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 3e8 }), fc.array(cell, { minLength: inputs, maxLength: inputs })), {
        maxLength: 60,
      }),
    )
    .map(([start, steps]) => {
      let timeNs = start;
      return steps.map(([step, cells]) => {
        timeNs += step;
        return { timeNs, cells };
      });
    });

describe('raw', () => {
  it('passes what is admitted and drops a row of which nothing is', () => {
    const passed = run(operation({ kind: 'raw' }, [info(), info()]), rowsOf([0, 1, null], [1, null, null], [2, 3, 4]));
    expect(passed).toEqual(rowsOf([0, 1, null], [2, 3, 4]));
  });
});

describe('decimate', () => {
  it('sends the first admitted sample of each period of each signal', () => {
    const spec = { kind: 'decimate', periodMs: 100 } as const;
    const sent = run(
      operation(spec, [info(), info()]),
      rowsOf([10, 1, null], [20, 2, 2], [99, 3, 3], [100, null, 4], [150, 5, 5], [310, 6, 6]),
    );
    expect(sent).toEqual(rowsOf([10, 1, null], [20, null, 2], [100, null, 4], [150, 5, null], [310, 6, 6]));
  });

  it('equals a naive reading, whatever comes', () => {
    fc.assert(
      fc.property(rows(1), fc.integer({ min: 1, max: 2000 }), (list, periodMs) => {
        const taken = new Set<bigint>();
        const wanted = list.filter(({ timeNs, cells }) => {
          const period = BigInt(timeNs) / BigInt(periodMs * MS);
          if (cells[0] === null || taken.has(period)) return false;
          taken.add(period);
          return true;
        });
        expect(run(operation({ kind: 'decimate', periodMs }), list)).toEqual(wanted);
      }),
      { numRuns: 200, seed: 3 },
    );
  });
});

describe('a window', () => {
  it('starts at a multiple of its length, exactly, up to 2^53 ns', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 0, max: 8e9 }),
        fc.integer({ min: -2, max: 2 }),
        (ms, k, near) => {
          const length = ms * MS;
          const timeNs = (k % Math.floor(2 ** 52 / length)) * length + near;
          if (timeNs < 0) return;
          const wanted = Number((BigInt(timeNs) / BigInt(length)) * BigInt(length));
          expect(windowStart(timeNs, length)).toBe(wanted);
        },
      ),
      { numRuns: 2000, seed: 4 },
    );
  });
});

describe('aggregate', () => {
  const all = ['min', 'max', 'mean', 'count', 'last', 'sum'] as const;
  const spec = (windowMs: number, change: object = {}): OperationSpec => ({
    kind: 'aggregate',
    windowMs,
    results: [...all],
    ...change,
  });

  it('gives the statistics of each window at its start, none for an empty one, the last one partial', () => {
    const sent = run(operation(spec(1000)), rowsOf([100, 3], [999, 5], [1000, -7], [5500, 1], [5600, null]));
    expect(sent).toEqual(rowsOf([0, 3, 5, 4, 2, 5, 8], [1000, -7, -7, -7, 1, -7, -7], [5000, 1, 1, 1, 1, 1, 1]));
  });

  it('keeps a window open until its end has passed', () => {
    const op = operation(spec(1000));
    const out: number[] = [];
    const sink: RowSink = { row: (timeNs) => out.push(timeNs / MS) };
    op.push(100 * MS, Float64Array.of(1), Uint8Array.of(1), sink);
    op.advance(999 * MS, sink);
    expect(out).toEqual([]);
    op.advance(1000 * MS, sink);
    op.advance(1500 * MS, sink);
    op.finish(sink);
    expect(out).toEqual([0]);
  });

  it('leaves out what comes after its window has gone', () => {
    const op = operation({ kind: 'aggregate', windowMs: 1000, results: ['sum'] });
    expect(run(op, rowsOf([1100, 1], [900, 50], [1200, 2]))).toEqual(rowsOf([1000, 3]));
    expect(op).toMatchObject({ late: 1 });
  });

  it('says nothing of a signal with fewer samples than demanded, the last window included', () => {
    const op = operation({ kind: 'aggregate', windowMs: 1000, results: ['max'], minSamples: 2 }, [info(), info()]);
    expect(run(op, rowsOf([0, 1, 1], [10, 2, null], [1000, 5, 5], [2000, 1, 1]))).toEqual(rowsOf([0, 2, null]));
  });

  it('means by min the least physical value, also under a negative factor', () => {
    const op = operation({ kind: 'aggregate', windowMs: 1000, results: ['min', 'max'] }, [
      info({ factor: -1 }),
      info({ f: -2, factor: -1 }),
    ]);
    expect(run(op, rowsOf([0, 1, 1], [1, 9, 9]))).toEqual(rowsOf([0, 9, 1, 1, 9]));
  });

  it('sums integers exactly, and withholds a sum that no double holds', () => {
    const big = 2 ** 52 - 1;
    const sums = (...cells: number[]) =>
      run(
        operation({ kind: 'aggregate', windowMs: 1000, results: ['sum', 'mean'] }),
        rowsOf(...cells.map((value, i) => [i, value] as const)),
      )[0]!.cells;
    // A running double would lose the ones: 2^53 + 1 is no double.
    expect(sums(big, big, 1, 1, 1, -big, -big)).toEqual([3, 3 / 7]);
    expect(sums(big, big, 3)).toEqual([null, Number(2n * BigInt(big) + 3n) / 3]);
  });

  it('equals a naive reading with unbounded integers, whatever comes', () => {
    fc.assert(
      fc.property(rows(2), fc.integer({ min: 1, max: 2000 }), (list, windowMs) => {
        const windows = new Map<bigint, bigint[][]>();
        for (const { timeNs, cells } of list) {
          const k = BigInt(timeNs) / BigInt(windowMs * MS);
          const columns = windows.get(k) ?? [[], []];
          cells.forEach((value, i) => {
            if (value !== null) columns[i]!.push(BigInt(value));
          });
          windows.set(k, columns);
        }
        const wanted = [...windows]
          .filter(([, columns]) => columns.some((column) => column.length > 0))
          .map(([k, columns]) => ({
            timeNs: Number(k * BigInt(windowMs * MS)),
            cells: columns.flatMap((column) => {
              if (column.length === 0) return all.map(() => null);
              const sorted = [...column].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
              const sum = column.reduce((a, b) => a + b, 0n);
              const exact = Number.isSafeInteger(Number(sum)) ? Number(sum) : null;
              return [
                Number(sorted[0]),
                Number(sorted.at(-1)),
                Number(sum) / column.length,
                column.length,
                Number(column.at(-1)),
                exact,
              ];
            }),
          }));
        // toEqual tells −0 from 0, which no raw integer does.
        const sent = run(operation(spec(windowMs), [info(), info()]), list);
        const plain = (one: Row[]) =>
          one.map(({ timeNs, cells }) => ({
            timeNs,
            cells: cells.map((value) => (value === null ? null : value + 0)),
          }));
        expect(plain(sent)).toEqual(plain(wanted));
      }),
      { numRuns: 300, seed: 6 },
    );
  });

  it('adds floats with compensation and takes no NaN', () => {
    const op = operation({ kind: 'aggregate', windowMs: 1000, results: ['sum', 'count', 'max'] }, [
      info({ type: 'float64' }),
    ]);
    expect(run(op, rowsOf([0, 1e16], [1, 1], [2, Number.NaN], [3, -1e16]))).toEqual(rowsOf([0, 1, 3, 1e16]));
  });

  it('takes no signal of two cells', () => {
    expect(() => operation(spec(1000), [info({ type: 'wide', bits: 64 })])).toThrow(TollgateError);
  });
});

describe('every operation', () => {
  const position = (axis: 'latitude' | 'longitude'): OperationSpec => ({
    kind: 'cloak',
    cellMetres: 100,
    axis,
    periodMs: 0,
  });
  const make = () => [
    operation({ kind: 'raw' }, [info(), info()]),
    operation({ kind: 'decimate', periodMs: 1 }, [info(), info()]),
    operation({ kind: 'aggregate', windowMs: 1, results: ['min', 'sum'] }, [info(), info()]),
    createOperation(
      position('latitude'),
      [
        { info: info(), operation: position('latitude') },
        { info: info(), operation: position('longitude') },
      ],
      resources(),
    ),
  ];

  it('hands out the same arrays for every row: it makes none', () => {
    for (const op of make()) {
      const seen = new Set<object>();
      const cells = Float64Array.of(1, 2);
      const admitted = Uint8Array.of(1, 1);
      const sink: RowSink = {
        row: (_, values, present) => {
          seen.add(values);
          seen.add(present);
        },
      };
      for (let i = 0; i < 100; i++) op.push(i * 2 * MS, cells, admitted, sink);
      expect([op.name, seen.size]).toEqual([op.name, 2]);
    }
  });

  it('never shows a cell that is not admitted', () => {
    for (const op of make()) {
      const out = run(op, rowsOf([1e6, null, 7], [1e6 + 1, null, 8], [1e6 + 2, null, 9]));
      const leaked = out.flatMap(({ cells }) =>
        op.columns.flatMap(({ input }, i) => (input === 0 && cells[i] !== null ? [cells[i]] : [])),
      );
      expect([op.name, leaked]).toEqual([op.name, []]);
    }
  });
});
