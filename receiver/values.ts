import type { SchemaColumn, Table, TableColumn } from '#wire';
import type { OpenedRecord } from './contract.ts';

/** One row of a record: the values of one message at one time, or of one window. */
export interface Row {
  /** Boottime of the unit, ms; the start of a window. */
  readonly timeMs: number;
  /** UTC of the same, ms; null where the unit did not know it. */
  readonly utcMs: number | null;
  /** 0: samples at their own times. */
  readonly windowMs: number;
  /** The window had not ended when the unit stopped. */
  readonly partial: boolean;
  readonly cells: readonly Cell[];
}

export interface Cell {
  readonly column: SchemaColumn;
  /** Physical value: a double. */
  readonly value: number;
}

const WORD = 2 ** 32;

/** The rows of a record in physical units; absent cells are left out. */
export function* rowsOf({ schema, tables, t0Ms, utcMs }: OpenedRecord): Generator<Row> {
  const offsetMs = utcMs === null ? null : utcMs - t0Ms;
  for (const [g, table] of tables.entries()) {
    const group = schema.groups[g]!;
    for (let row = 0; row < table.rows; row++) {
      const timeMs = table.timesMs[row]!;
      const cells = cellsOf(table, group.columns, row);
      if (cells.length === 0) continue;
      const partial = table.partial === true && row === table.rows - 1;
      yield { timeMs, utcMs: offsetMs === null ? null : timeMs + offsetMs, windowMs: group.windowMs, partial, cells };
    }
  }
}

function cellsOf(table: Table, columns: readonly SchemaColumn[], row: number): Cell[] {
  const cells: Cell[] = [];
  for (const [c, cell] of table.columns.entries()) {
    if (cell.present !== null && cell.present[row] === 0) continue;
    cells.push({ column: columns[c]!, value: physical(columns[c]!, raw(cell, columns[c]!, row)) });
  }
  return cells;
}

/** One column of a record in physical units; absent cells are left out. */
export interface ColumnValues {
  /** Number of the column in the schema, counted group by group. */
  readonly index: number;
  readonly count: number;
  /** Boottime, ms, and value of the first `count` cells; both are used again for the next column. */
  readonly times: Float64Array;
  readonly values: Float64Array;
}

/** The same numbers as `rowsOf`, column by column: for stores that keep columns. Nothing is made per value. */
export function* columnsOf({ schema, tables }: OpenedRecord): Generator<ColumnValues> {
  const most = tables.reduce((rows, table) => Math.max(rows, table.rows), 0);
  const times = new Float64Array(most);
  const values = new Float64Array(most);
  let index = 0;
  for (const [g, table] of tables.entries()) {
    const { columns } = schema.groups[g]!;
    for (const [c, cell] of table.columns.entries()) {
      const column = columns[c]!;
      let count = 0;
      for (let row = 0; row < table.rows; row++) {
        if (cell.present !== null && cell.present[row] === 0) continue;
        times[count] = table.timesMs[row]!;
        values[count++] = physical(column, raw(cell, column, row));
      }
      if (count > 0) yield { index: index + c, count, times, values };
    }
    index += columns.length;
  }
}

/** The number in the column. Beyond 53 bits it becomes the nearest double, as in the decoder. */
function raw(cell: TableColumn, column: SchemaColumn, row: number): number {
  if (column.type !== 'wide' || cell.low === undefined) return cell.values[row]!;
  return Number(BigInt(cell.values[row]!) * BigInt(WORD) + BigInt(cell.low[row]!));
}

/** (raw · f + o) · factor + offset in four IEEE steps, wire/*.cddl. */
export function physical({ f, o, factor, offset }: SchemaColumn, value: number): number {
  return (value * f + o) * factor + offset;
}
