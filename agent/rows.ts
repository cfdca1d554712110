import type { RowSink } from '#contracts';
import type { Table, TableColumn } from '#wire';

const FIRST_CAPACITY = 256;
const NS_PER_MS = 1e6;

/** Columns of one group between two cuts of a record. Grows to the largest record seen, then allocates no more. */
export class RowBuffer implements RowSink {
  rows = 0;
  /** Where the cells of all buffers of a record are counted; times count as cells. */
  load = { cells: 0 };
  /** Present cells of each column since the last `clear`. */
  readonly counts: Float64Array;
  readonly #ticksPerMs: number;
  #times = new Float64Array(FIRST_CAPACITY);
  readonly #values: Float64Array[];
  readonly #present: Uint8Array[];

  /** @param ticksPerMs 1: times to 1 ms; 10: to 100 µs */
  constructor(columns: number, ticksPerMs: 1 | 10 = 1) {
    this.#ticksPerMs = ticksPerMs;
    this.counts = new Float64Array(columns);
    this.#values = Array.from({ length: columns }, () => new Float64Array(FIRST_CAPACITY));
    this.#present = Array.from({ length: columns }, () => new Uint8Array(FIRST_CAPACITY));
  }

  row(timeNs: number, cells: Float64Array, present: Uint8Array): void {
    const row = this.rows;
    if (row === this.#times.length) this.#grow();
    const time = Math.floor((timeNs * this.#ticksPerMs) / NS_PER_MS) / this.#ticksPerMs;
    // A log of several buses may step back by some microseconds: a record keeps the order of arrival.
    this.#times[row] = row > 0 && time < this.#times[row - 1]! ? this.#times[row - 1]! : time;
    for (let column = 0; column < this.#values.length; column++) {
      const there = present[column]!;
      this.#values[column]![row] = there === 1 ? cells[column]! : 0;
      this.#present[column]![row] = there;
      this.counts[column]! += there;
    }
    this.rows = row + 1;
    this.load.cells += this.#values.length + 1;
  }

  /** First time, whole ms; NaN where there is no row. */
  get firstMs(): number {
    return this.rows === 0 ? Number.NaN : Math.floor(this.#times[0]!);
  }

  /**
   * The rows as a table of a record; its arrays are this buffer's own, good until the next `row` or `clear`.
   *
   * @param lowOf column of the low words of each column of the table, −1 where it is not `wide`
   * @param columns columns of this buffer that are columns of the table
   * @param partial the last row is a window that had not ended
   */
  table(columns: readonly number[], lowOf: readonly number[], partial: boolean): Table {
    const tableColumn = (column: number, i: number): TableColumn => {
      const present = this.counts[column] === this.rows ? null : this.#present[column]!;
      const low = lowOf[i]!;
      return low < 0
        ? { values: this.#values[column]!, present }
        : { values: this.#values[column]!, low: this.#values[low]!, present };
    };
    return { rows: this.rows, timesMs: this.#times, columns: columns.map(tableColumn), partial };
  }

  clear(): void {
    this.rows = 0;
    this.counts.fill(0);
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const wider = <A extends Float64Array | Uint8Array>(from: A, to: A): A => {
      to.set(from);
      return to;
    };
    this.#times = wider(this.#times, new Float64Array(capacity));
    for (let i = 0; i < this.#values.length; i++) {
      this.#values[i] = wider(this.#values[i]!, new Float64Array(capacity));
      this.#present[i] = wider(this.#present[i]!, new Uint8Array(capacity));
    }
  }
}
