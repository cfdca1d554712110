import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { createOperation, grid, type OperationSpec } from '#privacy';
import { info, operation, resources, rowsOf, run } from './parts.ts';

const RADIANS = Math.PI / 180;
/** WGS 84 (NIMA TR8350.2 table 3.1). */
const A = 6_378_137;
const E2 = 0.006_694_379_990_14;
/** Metres a degree along the meridian, and along the parallel, of a latitude. */
const meridian = (latitude: number) => (RADIANS * A * (1 - E2)) / (1 - E2 * Math.sin(latitude * RADIANS) ** 2) ** 1.5;
const parallel = (latitude: number) =>
  (RADIANS * A * Math.cos(latitude * RADIANS)) / Math.sqrt(1 - E2 * Math.sin(latitude * RADIANS) ** 2);

const axes = (cellMetres: number, periodMs = 0) => {
  const spec = (axis: 'latitude' | 'longitude'): OperationSpec => ({ kind: 'cloak', cellMetres, axis, periodMs });
  return [
    { info: info({ f: 1e-7 }), operation: spec('longitude') },
    { info: info({ f: 1e-7 }), operation: spec('latitude') },
  ];
};
const cloak = (cellMetres: number, periodMs = 0) =>
  createOperation(axes(cellMetres, periodMs)[0]!.operation, axes(cellMetres, periodMs), resources());

describe('the grid', () => {
  it('has cells of at least the agreed side, in both directions, everywhere', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 100_000 }),
        fc.double({ min: -90, max: 90, noNaN: true }),
        (metres, latitude) => {
          const cells = grid(metres);
          const row = cells.rowOf(latitude);
          const height = 180 / cells.rows;
          const [south, north] = [row * height - 90, (row + 1) * height - 90];
          const narrowest = Math.min(parallel(south), parallel(north)) * (360 / cells.cellsOf(row));
          const shortest = Math.min(meridian(south), meridian(north)) * height;
          expect(shortest).toBeGreaterThanOrEqual(metres);
          // One cell around the pole has no neighbour in its row.
          if (cells.cellsOf(row) > 1) expect(narrowest).toBeGreaterThanOrEqual(metres);
        },
      ),
      { numRuns: 2000, seed: 8 },
    );
  });

  it('gives every point of a cell one and the same centre, which lies in it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 50, max: 50_000 }),
        fc.double({ min: -90, max: 90, noNaN: true }),
        fc.double({ min: -180, max: 180, noNaN: true }),
        (metres, latitude, longitude) => {
          const cells = grid(metres);
          const row = cells.rowOf(latitude);
          const [lat, lon] = [cells.latitudeOf(row), cells.longitudeOf(row, longitude)];
          expect(cells.rowOf(lat / 1e7)).toBe(row);
          expect(cells.longitudeOf(row, lon / 1e7)).toBe(lon);
          expect(Math.abs(lat / 1e7 - latitude)).toBeLessThanOrEqual(90 / cells.rows + 1e-7);
          expect([lat, lon].every(Number.isInteger)).toBe(true);
        },
      ),
      { numRuns: 2000, seed: 9 },
    );
  });

  it('has few centres over a town, each a cell apart', () => {
    const cells = grid(1000);
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 100; j++) {
        const row = cells.rowOf(52 + i * 1e-4);
        seen.add(`${row} ${cells.longitudeOf(row, 13 + j * 1e-4)}`);
      }
    }
    // 1.1 km by 0.7 km: at most 3 rows of 2 cells.
    expect(seen.size).toBeLessThanOrEqual(6);
  });
});

describe('cloak', () => {
  it('sends the centre of the cell, in the columns of its inputs, 1e-7 degrees', () => {
    const [row] = run(cloak(1000), rowsOf([0, 134_050_000, 525_200_000]));
    const [longitude, latitude] = row!.cells as [number, number];
    expect(latitude).not.toBe(525_200_000);
    expect(Math.abs(latitude - 525_200_000) / 1e7).toBeLessThan(0.0046);
    expect(Math.abs(longitude - 134_050_000) / 1e7).toBeLessThan(0.0076);
  });

  it('sends both axes or nothing', () => {
    expect(run(cloak(1000), rowsOf([0, null, 1], [1, 1, null]))).toEqual([]);
  });

  it('takes "no fix" for no position', () => {
    expect(
      run(cloak(1000), rowsOf([0, 0, 900_000_001], [1, 1_800_000_001, 0], [2, Number.NaN, 0], [3, 0, Number.NaN])),
    ).toEqual([]);
  });

  it('sends at most one position a period', () => {
    const times = run(
      cloak(1000, 2000),
      rowsOf([100, 1, 1], [1999, 1, 1], [2000, 1, 1], [3999, 1, 1], [9000, 1, 1]),
    ).map(({ timeNs }) => timeNs / 1e6);
    expect(times).toEqual([100, 2000, 9000]);
  });

  it('is not made of one axis', () => {
    expect(() => operation({ kind: 'cloak', cellMetres: 10, axis: 'latitude', periodMs: 0 })).toThrow(TollgateError);
  });
});
