import { TollgateError } from '#contracts';
import { NO_TIMING, type Schema, type Table } from '../schema.ts';
import { type Extent, readCells, refuse, writeCells } from './cells.ts';
import { BitCoder, malformed } from './coder.ts';
import { ColumnCodec } from './column.ts';
import { FLOAT_COUNTERS } from './floats.ts';
import { DICTIONARY_COUNTERS } from './forms.ts';
import { codeNumber, HEAD, HEAD_SLOTS, startHead, TREE } from './head.ts';
import { MODEL_COUNTERS, NODES } from './residuals.ts';
import { codeTimes, growTimes, TIME_LIMIT, type TimeColumn } from './times.ts';

/**
 * Longest columns of a record, bytes: with all around them a message stays below the 128 KiB that brokers take, and a
 * receiver's memory is bounded.
 */
export const MAX_RECORD_BYTES = 128 * 1024 - 512;
/** Most rows of one group in a record. */
export const MAX_ROWS = 65_536;
/** Most cells (rows × columns, times included) of a record; caps what a few hostile bytes can unfold to. */
export const MAX_CELLS = 262_144;
/** Counters that the largest kind of column needs. */
export const COLUMN_COUNTERS = Math.max(MODEL_COUNTERS, FLOAT_COUNTERS, DICTIONARY_COUNTERS);
/** The span of a record is told in steps of 100 ms. */
const SPAN_STEP = 100;

/** A walk is synchronous and starts from nothing, so all codecs share one coder and one buffer to write into. */
const CODER = new BitCoder(COLUMN_COUNTERS, NODES, HEAD_SLOTS);
const OUTPUT = new Uint8Array(MAX_RECORD_BYTES);

/** The columns of a record, written or read, with the working memory that the next one of its stream uses again. */
export class RecordCodec {
  private readonly schema: Schema;
  private readonly coder: BitCoder;
  private readonly columns: ColumnCodec;
  private readonly times: TimeColumn[];
  private readonly ticksPerMs: number;
  private samples = 0;
  private cells = 0;
  private presentBefore: Uint8Array | null = null;

  constructor(schema: Schema, coder: BitCoder = CODER) {
    this.schema = schema;
    this.coder = coder;
    this.ticksPerMs = (schema.timing ?? NO_TIMING).ticksPerMs;
    this.times = schema.groups.map(() => ({ rows: 0, times: new Int32Array(64), errors: new Int32Array(64) }));
    this.columns = new ColumnCodec(coder, this.times);
  }

  /** The columns of `tables`, a view that the next call of any codec overwrites, and the number of values. */
  write(t0Ms: number, tables: readonly Table[]): { bytes: Uint8Array; samples: number } {
    const { groups } = this.schema;
    if (tables.length !== groups.length) {
      refuse(`the schema has ${groups.length} groups, the record ${tables.length}`);
    }
    this.start();
    this.coder.startWriting(OUTPUT);
    let last = 0;
    for (let g = 0; g < groups.length; g++) last = Math.max(last, this.takeTimes(g, t0Ms, tables[g]!));
    const step = SPAN_STEP * this.ticksPerMs;
    const steps = codeNumber(this.coder, Math.floor(last / step), HEAD.span);
    for (let g = 0; g < groups.length; g++) this.writeGroup(g, (steps + 1) * step, tables[g]!);
    return { bytes: OUTPUT.subarray(0, this.coder.finish()), samples: this.samples };
  }

  /** The tables that `write` made the bytes of. */
  read(t0Ms: number, bytes: Uint8Array): { tables: Table[]; samples: number } {
    this.start();
    this.coder.startReading(bytes);
    const step = SPAN_STEP * this.ticksPerMs;
    const steps = codeNumber(this.coder, 0, HEAD.span);
    if (steps > TIME_LIMIT / step) malformed('the span of the record lies outside its range');
    const tables = this.schema.groups.map((_, g) => this.readGroup(g, (steps + 1) * step, t0Ms));
    this.coder.expectEnd();
    return { tables, samples: this.samples };
  }

  private start(): void {
    startHead(this.coder);
    this.columns.startRecord();
    this.samples = 0;
    this.cells = 0;
  }

  /** Checks a table's shape and times and takes the times over; returns the last, ticks after `t0Ms`. */
  private takeTimes(g: number, t0Ms: number, { rows, timesMs, columns }: Table): number {
    const wanted = this.schema.groups[g]!.columns.length;
    if (columns.length !== wanted) {
      refuse(`group ${g} has ${wanted} columns in the schema, ${columns.length} in the record`);
    }
    if (rows > MAX_ROWS) tooLarge(`group ${g} has ${rows} rows, a record takes ${MAX_ROWS}`);
    this.countCells(rows, wanted);
    const clock = this.times[g]!;
    growTimes(clock, rows);
    clock.rows = rows;
    let before = -TIME_LIMIT;
    const { ticksPerMs } = this;
    const start = t0Ms * ticksPerMs;
    for (let i = 0; i < rows; i++) {
      const at = Math.round(timesMs[i]! * ticksPerMs);
      const time = at - start;
      if (!(time >= before && time <= TIME_LIMIT && Number.isSafeInteger(at) && at / ticksPerMs === timesMs[i])) {
        refuse(`time ${i} of group ${g} is not a whole tick at or after the one before it`);
      }
      clock.times[i] = time;
      before = time;
    }
    return before;
  }

  private countCells(rows: number, columns: number): void {
    this.cells += rows * (columns + 1);
    if (this.cells > MAX_CELLS) tooLarge(`a record takes ${MAX_CELLS} cells`);
  }

  private writeGroup(g: number, span: number, table: Table): void {
    codeTimes(this.coder, this.times, g, span, MAX_ROWS, this.ticksPerMs);
    const { rows } = table;
    if (rows === 0) return;
    this.columns.startGroup(g, rows);
    this.presentBefore = null;
    this.schema.groups[g]!.columns.forEach(({ type, signed }, c) => {
      const column = table.columns[c]!;
      const { present } = column;
      const count = this.codePresence(rows, present, present);
      this.samples += count;
      if (count === 0) return;
      const extent: Extent = { type, signed, rows, count, present, place: `column ${c} of group ${g}` };
      writeCells(this.columns, extent, column);
    });
  }

  private readGroup(g: number, span: number, t0Ms: number): Table {
    const { columns } = this.schema.groups[g]!;
    const limit = Math.min(MAX_ROWS, Math.floor((MAX_CELLS - this.cells) / (columns.length + 1)));
    codeTimes(this.coder, this.times, g, span, limit, this.ticksPerMs);
    const { rows, times } = this.times[g]!;
    this.countCells(rows, columns.length);
    this.columns.startGroup(g, rows);
    this.presentBefore = null;
    const start = t0Ms * this.ticksPerMs;
    return {
      rows,
      timesMs: Float64Array.from({ length: rows }, (_, i) => (times[i]! + start) / this.ticksPerMs),
      columns: columns.map(({ type, signed }, c) => {
        const values = new Float64Array(rows);
        const flags = new Uint8Array(rows).fill(1);
        const count = rows === 0 ? 0 : this.codePresence(rows, null, flags);
        this.samples += count;
        const present = count < rows ? flags : null;
        const column = type === 'wide' ? { values, low: new Float64Array(rows), present } : { values, present };
        const extent: Extent = { type, signed, rows, count, present, place: `column ${c} of group ${g}` };
        if (count > 0) readCells(this.columns, extent, column);
        return column;
      }),
    };
  }

  /** Which rows of a column are present; returns how many. A reader's answer goes to `flags`. */
  private codePresence(rows: number, given: Uint8Array | null, flags: Uint8Array | null): number {
    const { coder } = this;
    let gaps = 0;
    if (given !== null) for (let i = 0; i < rows; i++) if (given[i] === 0) gaps = 1;
    if (coder.single(gaps, TREE.gaps) === 0) {
      this.presentBefore = null;
      return rows;
    }
    let count = 0;
    let past = 3;
    const before = this.presentBefore;
    for (let i = 0; i < rows; i++) {
      const slot = TREE.present + past + (before !== null && before[i] === 0 ? 4 : 0);
      const bit = coder.single(flags![i] === 0 ? 0 : 1, slot);
      if (coder.decoding) flags![i] = bit;
      past = ((past << 1) | bit) & 3;
      count += bit;
    }
    if (coder.decoding && count === rows) malformed('a column without gaps says that it has some');
    this.presentBefore = flags;
    return count;
  }
}

function tooLarge(what: string): never {
  throw new TollgateError('TG_WIRE_RECORD_TOO_LARGE', what);
}
