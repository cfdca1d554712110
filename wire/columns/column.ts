import type { BitCoder } from './coder.ts';
import { codeDictionary, codePacked, dictionaryCost, rangeOf } from './forms.ts';
import { codeTree, TREE } from './head.ts';
import {
  chooseInteger,
  codeInteger,
  type IntegerColumn,
  type IntegerPlan,
  orderlessCost,
  type RowMap,
} from './integers.ts';
import { codeRamp, findRamp, type Ramp, rampCost } from './ramp.ts';
import { roomFor, type TimeColumn } from './times.ts';

/** How a column of whole numbers stands in a record. */
const FORM = { predicted: 0, constant: 1, dictionary: 2, packed: 3 } as const;

/**
 * The columns of whole numbers of one record: every typed column becomes one to three of them. Keeps what later
 * columns refer to, and the memory of it all from record to record.
 */
export class ColumnCodec {
  readonly coder: BitCoder;
  readonly times: readonly TimeColumn[];
  private readonly pool: IntegerColumn[] = [];
  private used = 0;
  private readonly earlier: IntegerColumn[] = [];
  private readonly maps: Int32Array[] = [];
  private readonly mapOf: number[] = [];
  private group = -1;
  private quiet: Int32Array = new Int32Array(0);
  private beside: Int32Array = this.quiet;
  private beside2: Int32Array = this.quiet;
  private readonly plan: IntegerPlan = { reference: 0, predictor: 0, level: 0 };
  private readonly ramp: Ramp = { step: 0, modulus: 0 };
  private readonly mapTo = (group: number): RowMap => this.rowMap(group);

  constructor(coder: BitCoder, times: readonly TimeColumn[]) {
    this.coder = coder;
    this.times = times;
  }

  startRecord(): void {
    this.used = 0;
    this.earlier.length = 0;
    this.mapOf.fill(-1);
  }

  startGroup(group: number, rows: number): void {
    this.group = group;
    if (this.quiet.length < rows) this.quiet = new Int32Array(roomFor(rows));
    this.beside = this.quiet;
    this.beside2 = this.quiet;
  }

  /** A column to fill; it lives until the next record. */
  next(rows: number): IntegerColumn {
    if (this.used === this.pool.length) {
      const size = roomFor(rows);
      this.pool.push({ group: 0, values: new Int32Array(size), residuals: new Int32Array(size) });
    }
    const column = this.pool[this.used++]!;
    if (column.values.length < rows) {
      column.values = new Int32Array(roomFor(rows));
      column.residuals = new Int32Array(column.values.length);
    }
    column.group = this.group;
    return column;
  }

  /** Gives back the newest `count` columns of `next`. */
  drop(count: number): void {
    this.used -= count;
  }

  /** Writes or reads a column; `count` ≥ 1 of its rows are present. */
  code(column: IntegerColumn, rows: number, count: number, present: Uint8Array | null): void {
    const { coder } = this;
    let form: number = FORM.constant;
    if (count > 1) {
      if (!coder.decoding) form = this.choose(column.values, rows, count, present);
      form = codeTree(coder, form, 2, TREE.columnForm);
    }
    if (form === FORM.constant) {
      codeRamp(coder, this.ramp, column.values, rows, count, present);
      return;
    }
    if (form === FORM.dictionary) codeDictionary(coder, column, rows, present);
    else if (form === FORM.packed) codePacked(coder, column, rows, present);
    else {
      codeInteger(coder, this.plan, column, rows, present, this.earlier, this.mapTo, this.beside, this.beside2);
      this.beside2 = this.beside;
      this.beside = column.residuals;
    }
    this.earlier.push(column);
  }

  /** About what a column that is not constant would cost, bits. */
  estimate(column: IntegerColumn, rows: number, count: number, present: Uint8Array | null): number {
    const { values } = column;
    if (isConstant(values, rows, present)) return 0;
    if (present !== null) hold(values, rows, present);
    const bits = chooseInteger(this.plan, values, rows, present, count, this.earlier, this.mapTo);
    return bits + 1.5 * Math.min(bits, count);
  }

  private choose(values: Int32Array, rows: number, count: number, present: Uint8Array | null): number {
    this.ramp.step = 0;
    if (isConstant(values, rows, present)) return FORM.constant;
    if (present !== null) hold(values, rows, present);
    const counts = count >= RAMP_WORTH && findRamp(this.ramp, values, rows, present);
    const bits = chooseInteger(this.plan, values, rows, present, count, this.earlier, this.mapTo);
    // The length of a residual is what it costs but for its sign and for how sure the length itself is.
    const predicted = bits + 1.5 * Math.min(bits, count);
    if (counts && rampCost(this.ramp) < predicted) return FORM.constant;
    if (bits > 2 * count) {
      const packed = rangeOf(values, rows, present).width * count;
      if (
        bits + PACKED_WORTH * count > packed &&
        orderlessCost(this.plan, values, rows, present, this.earlier, this.mapTo) > packed
      ) {
        return FORM.packed;
      }
    }
    if (predicted > DICTIONARY_WORTH && dictionaryCost(values, rows, present) < predicted) return FORM.dictionary;
    return FORM.predicted;
  }

  /** For each row of the group in work, the last row of `group` at or before its time; null where it is the same group. */
  private rowMap(group: number): RowMap {
    if (group === this.group) return null;
    const { rows, times } = this.times[this.group]!;
    let map = this.maps[group];
    if (map !== undefined && this.mapOf[group] === this.group) return map;
    if (map === undefined || map.length < rows) {
      map = new Int32Array(roomFor(rows));
      this.maps[group] = map;
    }
    this.mapOf[group] = this.group;
    const other = this.times[group]!;
    let at = 0;
    for (let i = 0; i < rows; i++) {
      while (at + 1 < other.rows && other.times[at + 1]! <= times[i]!) at++;
      map[i] = at;
    }
    return map;
  }
}

/** Bits a row that sign and length of a residual may take beyond its length; less, and packing is not looked at. */
const PACKED_WORTH = 2.6;
/** Rows from which a counter is looked for: fewer rise by chance. */
const RAMP_WORTH = 4;
/** Below so many bits no dictionary is tried: its words alone cost as much. */
const DICTIONARY_WORTH = 60;

function isConstant(values: Int32Array, rows: number, present: Uint8Array | null): boolean {
  let first = 0;
  if (present !== null) while (present[first] === 0) first++;
  const value = values[first]!;
  for (let i = first + 1; i < rows; i++) {
    if (values[i] !== value && (present === null || present[i] !== 0)) return false;
  }
  return true;
}

/** Absent rows hold the value before them (0 before the first), as they will for the reader. */
function hold(values: Int32Array, rows: number, present: Uint8Array): void {
  let value = 0;
  for (let i = 0; i < rows; i++) {
    if (present[i] === 0) values[i] = value;
    else value = values[i]!;
  }
}
