import { type Operation, type ResultColumn, type RowSink, type SignalInfo, TollgateError } from '#contracts';
import type { OperationDriver } from '../contract.ts';
import { type Grid, grid } from '../grid.ts';
import { nanoseconds, windowStart } from '../slots.ts';

/**
 * A position becomes the centre of its grid cell, whose sides are at least the agreed length. Both axes go or neither:
 * the east–west side depends on the latitude. Output: integers of 1e-7 degree.
 */
export const cloak: OperationDriver<'cloak'> = {
  kind: 'cloak',
  create: ({ cellMetres, periodMs }, inputs) => {
    const at = (axis: 'latitude' | 'longitude') =>
      inputs.findIndex(({ operation }) => operation.kind === 'cloak' && operation.axis === axis);
    const [latitude, longitude] = [at('latitude'), at('longitude')];
    if (inputs.length !== 2 || latitude < 0 || longitude < 0) {
      throw new TollgateError('TG_OPERATION_INPUT', 'cloak takes one latitude and one longitude of one message');
    }
    return new Cloak(
      grid(cellMetres),
      nanoseconds(periodMs),
      latitude,
      inputs[latitude]!.info,
      inputs[longitude]!.info,
    );
  },
};

class Cloak implements Operation {
  readonly name = 'cloak';
  readonly columns: readonly ResultColumn[] = [
    { input: 0, result: 'cell' },
    { input: 1, result: 'cell' },
  ];
  readonly #grid: Grid;
  readonly #periodNs: number;
  readonly #latitude: number;
  readonly #longitude: number;
  readonly #latitudeInfo: SignalInfo;
  readonly #longitudeInfo: SignalInfo;
  readonly #cells = new Float64Array(2);
  readonly #present = new Uint8Array([1, 1]);
  #nextNs = Number.NEGATIVE_INFINITY;

  constructor(cells: Grid, periodNs: number, latitude: number, latitudeInfo: SignalInfo, longitudeInfo: SignalInfo) {
    this.#grid = cells;
    this.#periodNs = periodNs;
    this.#latitude = latitude;
    this.#longitude = 1 - latitude;
    this.#latitudeInfo = latitudeInfo;
    this.#longitudeInfo = longitudeInfo;
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    if (admitted[0] !== 1 || admitted[1] !== 1 || timeNs < this.#nextNs) return;
    const latitude = degrees(this.#latitudeInfo, cells[this.#latitude]!);
    const longitude = degrees(this.#longitudeInfo, cells[this.#longitude]!);
    // "No fix" is often sent as a value out of range (NaN fails both tests): no position, no cell.
    if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return;
    const row = this.#grid.rowOf(latitude);
    this.#cells[this.#latitude] = this.#grid.latitudeOf(row);
    this.#cells[this.#longitude] = this.#grid.longitudeOf(row, longitude);
    if (this.#periodNs > 0) this.#nextNs = windowStart(timeNs, this.#periodNs) + this.#periodNs;
    out.row(timeNs, this.#cells, this.#present);
  }

  advance(): void {}

  finish(): void {}
}

/** The physical value in four IEEE steps, as everywhere. */
function degrees({ f, o, factor, offset }: SignalInfo, raw: number): number {
  return (raw * f + o) * factor + offset;
}
