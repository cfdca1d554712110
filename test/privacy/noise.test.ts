import { describe, expect, it } from 'vitest';
import { rawRange, TollgateError } from '#contracts';
import { createOperation, type OperationSpec, recipientKey } from '#privacy';
import { info, operation, resources, rowsOf, run, seeded } from './parts.ts';

describe('noise', () => {
  const spec = (change: object = {}): OperationSpec => ({
    kind: 'noise',
    windowMs: 1000,
    epsilonMicro: 1_000_000,
    range: [0, 10],
    ...change,
  });
  const many = (op: OperationSpec, value: number, windows: number) =>
    run(operation(op), rowsOf(...Array.from({ length: windows + 1 }, (_, i) => [i * 1000, value] as const))).map(
      ({ cells }) => cells[0]!,
    );

  it('adds to the mean of a window what averages out over many', () => {
    const sent = many(spec(), 7, 4000);
    expect(new Set(sent).size).toBeGreaterThan(20);
    expect(sent.every(Number.isInteger)).toBe(true);
    const mean = sent.reduce((sum, value) => sum + value, 0) / sent.length;
    // Variance of the discrete Laplace of scale 10: about 2 · 10².
    expect(Math.abs(mean - 7)).toBeLessThan(5 * Math.sqrt(200 / sent.length));
  });

  it('lets two values differ by a factor of at most e^ε in what they lead to', () => {
    const share = (value: number) => many(spec(), value, 4000).filter((sent) => sent >= 5).length / 4000;
    const [low, high] = [share(0), share(10)];
    expect(high / low).toBeLessThan(Math.exp(1) * 1.15);
    expect(high / low).toBeGreaterThan(1.3);
  });

  it('clamps samples to the range before it adds them up', () => {
    const huge = many(spec({ epsilonMicro: 100_000_000 }), 1e12, 200);
    expect(Math.max(...huge)).toBeLessThan(15);
  });

  it('says nothing of a window that had not ended, nor of one with too few samples', () => {
    expect(run(operation(spec()), rowsOf([0, 5]))).toEqual([]);
    expect(run(operation(spec({ minSamples: 2 })), rowsOf([0, 5], [1000, 5], [1001, 5], [2000, 5]))).toHaveLength(1);
  });

  it('is refused where the range holds fewer than two raw units', () => {
    expect(rawRange(info({ f: 100 }), [100, 100])).toBeNull();
    expect(rawRange(info({ f: -0.5, o: 3 }), [0, 10])).toEqual({ least: -14, most: 6 });
    expect(() => operation(spec(), [info({ type: 'float64' })])).toThrow(TollgateError);
  });
});

describe('pseudonymise', () => {
  const DAY = 86_400_000;
  const spec: OperationSpec = { kind: 'pseudonymise', rotateMs: DAY, periodMs: 0 };
  const secret = new Uint8Array(32).fill(9);
  const of = (recipient: string, utcOffsetMs: number | null, one = info({ name: 'Vehicle.TripId' })) => {
    const given = resources({ pseudonymKey: recipientKey(secret, recipient), utcOffsetMs: () => utcOffsetMs });
    return createOperation(spec, [{ info: one, operation: spec }], given);
  };
  const sent = (recipient: string, ms: number, ...values: number[]) =>
    run(of(recipient, ms), rowsOf(...values.map((value, i) => [i, value] as const))).map(({ cells }) => cells[0]!);

  it('gives a value one pseudonym within a period, and other values others', () => {
    const [a, b, again] = sent('did:web:a', 0, 42, 43, 42);
    expect(a).toBe(again);
    expect(a).not.toBe(b);
    expect(sent('did:web:a', DAY - 10, 42)).toEqual([a]);
    expect(a).not.toBe(42);
    expect(Number.isSafeInteger(a)).toBe(true);
  });

  it('is another one in the next period, for another recipient, signal or unit', () => {
    const [first] = sent('did:web:a', 0, 42);
    const other = new Set([
      first,
      sent('did:web:a', DAY, 42)[0],
      sent('did:web:b', 0, 42)[0],
      run(of('did:web:a', 0, info({ dbcName: 'dbc:A.B' })), rowsOf([0, 42]))[0]!.cells[0],
    ]);
    expect(other.size).toBe(4);
  });

  it('changes in the middle of a stream when the period does', () => {
    const op = of('did:web:a', DAY - 2);
    const values = run(op, rowsOf([0, 42], [1, 42], [2, 42], [3, 42])).map(({ cells }) => cells[0]);
    expect(values[0]).toBe(values[1]);
    expect(values[2]).toBe(values[3]);
    expect(values[1]).not.toBe(values[2]);
  });

  it('lets nothing out while UTC is unknown', () => {
    expect(run(of('did:web:a', null), rowsOf([0, 42]))).toEqual([]);
  });

  it('makes one pseudonym of the two words of a wide signal', () => {
    const wide = info({ type: 'wide', bits: 64 });
    const inputs = [0, 1].map(() => ({ info: wide, operation: spec }));
    const op = createOperation(spec, inputs, resources());
    const rows = run(op, rowsOf([0, 1, 2], [1, 1, 3], [2, 1, 2]));
    expect(op.columns).toEqual([{ input: 0, result: 'pseudonym' }]);
    expect(rows[0]!.cells).toEqual(rows[2]!.cells);
    expect(rows[0]!.cells).not.toEqual(rows[1]!.cells);
  });
});

describe('precision', () => {
  it('rounds to steps of the unit, in raw integers, never finer than asked', () => {
    const speed = info({ f: 0.01 });
    const spec: OperationSpec = { kind: 'raw', step: 5 };
    const op = createOperation(spec, [{ info: speed, operation: spec }], resources({ random: seeded(2) }));
    // 5 km/h are 500 raw units.
    expect(run(op, rowsOf([0, 749], [1, 750], [2, -1], [3, 12_345]))).toEqual(
      rowsOf([0, 500], [1, 1000], [2, 0], [3, 12_500]),
    );
    const odd: OperationSpec = { kind: 'raw', step: 0.25 };
    const coarse = createOperation(odd, [{ info: info({ f: 0.1 }), operation: odd }], resources());
    expect(run(coarse, rowsOf([0, 4], [1, 5]))).toEqual(rowsOf([0, 3], [1, 6]));
  });

  it('rounds a mean as it rounds a sample, keeps counts, and takes no sum', () => {
    const spec: OperationSpec = { kind: 'aggregate', windowMs: 1000, results: ['mean', 'count', 'max'], step: 10 };
    expect(run(operation(spec), rowsOf([0, 12], [1, 17]))).toEqual(rowsOf([0, 10, 2, 20]));
    expect(() => operation({ ...spec, results: ['sum'] })).toThrow(TollgateError);
  });
});
