import { OFFSET_TIME } from '#contracts';
import type { MultiplexRange } from '#dbc/model';
import type { CodeWriter, Local } from '#wasm';
import type { Field } from '../field.ts';
import {
  CELL_BYTES,
  CELLS_PER_PRESENCE,
  presenceWords,
  ROW_FLAGS,
  ROW_MESSAGE,
  ROW_PRESENCE,
  ROW_TIME,
} from '../layout.ts';
import type { MessagePlan, PlanCell, PlanGroup, PlanSelector } from '../plan.ts';
import { emitCut, emitRaw, type Scratch } from './scalar.ts';
import { emitPiece, emitVector, type VectorLocals, type VectorPool, vectorsOf } from './simd.ts';

/** Locals of a function that writes rows. */
export interface RowLocals extends Scratch {
  /** Address of the row. */
  readonly out: Local;
  /** Presence words of the message being written. */
  readonly presence: readonly Local[];
  /** Raw values of multiplexers, one for each depth of a cascade. */
  readonly selectors: readonly Local[];
  /** Where frames may be short: length of the payload and the flag; absent where every signal fits. */
  readonly short?: { readonly length: Local; readonly flag: Local } | undefined;
  /** The row has its time and its message already. */
  readonly hasHeader?: boolean;
  /** Decode four signals at once where they allow it; absent in the scalar form. */
  readonly simd?: (Pick<VectorLocals, 'piece'> & { readonly pool: VectorPool }) | undefined;
}

const PAYLOAD_BYTES = 64;
const CLASSIC_BYTES = 8;

/** Bytes that a group's own cells and multiplexers occupy, added to those of the groups around it. */
function readableIn(group: PlanGroup, outer: Uint8Array): Uint8Array {
  const readable = outer.slice();
  for (const { field } of group.cells) mark(readable, field);
  for (const { field } of group.selectors) mark(readable, field);
  return readable;
}

function mark(readable: Uint8Array, { first, last }: Field): void {
  for (let byte = first; byte <= last && byte < PAYLOAD_BYTES; byte++) readable[byte] = 1;
}

/** Deepest cascade of multiplexers below a group. */
export function cascade(group: PlanGroup): number {
  const below = group.selectors.flatMap(({ cases }) => cases.map((one) => cascade(one.group)));
  return group.selectors.length === 0 ? 0 : 1 + Math.max(0, ...below);
}

/** Writes header, presence and cells of one row at `out`. */
export function emitRow(code: CodeWriter, index: number, plan: MessagePlan, locals: RowLocals): void {
  new RowEmitter(code, plan, locals).row(index);
}

class RowEmitter {
  readonly #code: CodeWriter;
  readonly #plan: MessagePlan;
  readonly #locals: RowLocals;
  /** Presence bits that are known when the module is made, by word. */
  readonly #always: number[];

  constructor(code: CodeWriter, plan: MessagePlan, locals: RowLocals) {
    this.#code = code;
    this.#plan = plan;
    this.#locals = locals;
    this.#always = Array.from({ length: presenceWords(plan.layout.cells) }, () => 0);
  }

  row(index: number): void {
    const { short } = this.#locals;
    const dynamic = short !== undefined || this.#plan.root.selectors.length > 0;
    if (this.#locals.hasHeader !== true) this.#header(index);
    if (dynamic) {
      for (const word of this.#always.keys()) {
        this.#code.i32(0);
        this.#code.set(this.#locals.presence[word]!);
      }
      this.#clearCells();
    }
    this.#clearEnd();
    this.#group(this.#plan.root, new Uint8Array(PAYLOAD_BYTES), 0, true);
    for (const [word, bits] of this.#always.entries()) {
      this.#code.get(this.#locals.out);
      if (dynamic) this.#code.get(this.#locals.presence[word]!);
      if (!dynamic || bits !== 0) this.#code.i32(bits);
      if (dynamic && bits !== 0) this.#code.op('i32.or');
      this.#code.memory('i32.store', ROW_PRESENCE + word * 4);
    }
    if (short !== undefined) {
      this.#code.get(this.#locals.out);
      this.#code.get(short.flag);
      this.#code.memory('i32.store16', ROW_FLAGS);
    }
  }

  #header(index: number): void {
    const { out, slot } = this.#locals;
    this.#code.get(out);
    this.#code.get(slot);
    this.#code.memory('i64.load', OFFSET_TIME);
    this.#code.op('f64.convert_i64_s');
    this.#code.memory('f64.store', ROW_TIME);
    this.#code.get(out);
    this.#code.i32(index);
    this.#code.memory('i32.store', ROW_MESSAGE);
  }

  /** What lies behind the last cell. */
  #clearEnd(): void {
    const { cells, rowBytes } = this.#plan.layout;
    for (let at = this.#address(cells); at < rowBytes; at += CELL_BYTES) this.#clear(at);
  }

  #clear(at: number): void {
    this.#code.get(this.#locals.out);
    this.#code.i32(0);
    this.#code.memory('i32.store', at);
  }

  /** Offset of a cell from the row. */
  #address(cell: number): number {
    return this.#plan.layout.firstCell + cell * CELL_BYTES;
  }

  /** A cell that is absent in this row holds 0, never what an earlier row left there. */
  #clearCells(): void {
    const cells = new Set<number>();
    const collect = (group: PlanGroup, conditional: boolean) => {
      const own = [...group.cells, ...group.selectors.flatMap(({ cell }) => (cell === null ? [] : [cell]))];
      for (const { layout } of conditional ? own : []) {
        for (let i = 0; i < layout.cells; i++) cells.add(layout.cell + i);
      }
      for (const one of group.selectors.flatMap(({ cases }) => cases)) collect(one.group, true);
    };
    collect(this.#plan.root, this.#locals.short !== undefined);
    for (const cell of cells) this.#clear(this.#address(cell));
  }

  /** @param always whether this group is there in every frame */
  #group(group: PlanGroup, outer: Uint8Array, depth: number, always: boolean): void {
    const readable = readableIn(group, outer);
    if (this.#locals.short === undefined) {
      this.#cells(group.cells, readable);
      this.#present(group.cells, always);
      for (const selector of group.selectors) this.#selector(selector, readable, depth, always);
      return;
    }
    for (const cell of group.cells) {
      this.#fitting(cell.field, this.#locals.short, () => {
        this.#cell(cell, readable);
        this.#present([cell], false);
      });
    }
    for (const selector of group.selectors) {
      this.#fitting(selector.field, this.#locals.short, () => this.#selector(selector, readable, depth, false));
    }
  }

  #cells(cells: readonly PlanCell[], readable: Uint8Array): void {
    const { simd } = this.#locals;
    if (simd === undefined) {
      for (const cell of cells) this.#cell(cell, readable);
      return;
    }
    const isClassic = Math.max(this.#plan.need, this.#plan.length) <= CLASSIC_BYTES;
    const locals = { ...this.#locals, ...simd };
    let window = -1;
    for (const vector of vectorsOf(cells, isClassic)) {
      if (vector.window !== window) emitPiece(this.#code, vector.window, isClassic, locals);
      window = vector.window;
      emitVector(this.#code, vector, simd.pool, locals, this.#address(vector.cell));
    }
  }

  /** Writes what a frame long enough for the field gets; a field beyond every frame is never there. */
  #fitting(field: Field, short: NonNullable<RowLocals['short']>, write: () => void): void {
    const possible = field.last < PAYLOAD_BYTES;
    if (possible) {
      this.#code.get(short.length);
      this.#code.i32(field.last);
      this.#code.op('i32.gt_u');
      this.#code.if();
      write();
      this.#code.else();
    }
    this.#code.i32(1);
    this.#code.set(short.flag);
    if (possible) this.#code.end();
  }

  #cell({ words, layout }: PlanCell, readable: Uint8Array): void {
    const bytes = this.#locals.short === undefined ? readable : null;
    for (const [i, word] of words.entries()) {
      this.#code.get(this.#locals.out);
      emitCut(this.#code, word, bytes, this.#locals);
      this.#code.memory('i32.store', this.#address(layout.cell + i));
    }
  }

  #selector({ field, cell, cases }: PlanSelector, readable: Uint8Array, depth: number, always: boolean): void {
    const raw = this.#locals.selectors[depth]!;
    emitRaw(this.#code, field, this.#locals.short === undefined ? readable : null, this.#locals);
    this.#code.set(raw);
    if (cell !== null) {
      this.#cell(cell, readable);
      this.#present([cell], always);
    }
    for (const { ranges, group } of cases) {
      if (!this.#condition(raw, ranges)) continue;
      this.#code.if();
      this.#group(group, readable, depth + 1, false);
      this.#code.end();
    }
  }

  /** Whether the raw value lies in one of the ranges, as i32; false where there is none. */
  #condition(raw: Local, ranges: readonly MultiplexRange[]): boolean {
    for (const [i, { low, high }] of ranges.entries()) {
      this.#code.get(raw);
      this.#code.i64(low);
      if (low === high) {
        this.#code.op('i64.eq');
      } else {
        // One comparison for both ends: below `low` the difference wraps to a large unsigned number.
        this.#code.op('i64.sub');
        this.#code.i64(high - low);
        this.#code.op('i64.le_u');
      }
      if (i > 0) this.#code.op('i32.or');
    }
    return ranges.length > 0;
  }

  /** Sets presence bits; as constants where the cells are there in every frame. */
  #present(cells: readonly PlanCell[], always: boolean): void {
    const bits = new Map<number, number>();
    for (const { layout } of cells) {
      for (let cell = layout.cell; cell < layout.cell + layout.cells; cell++) {
        const word = Math.floor(cell / CELLS_PER_PRESENCE);
        bits.set(word, (bits.get(word) ?? 0) | (1 << (cell % CELLS_PER_PRESENCE)));
      }
    }
    for (const [word, mask] of bits) {
      if (always) {
        this.#always[word]! |= mask;
        continue;
      }
      const local = this.#locals.presence[word]!;
      this.#code.get(local);
      this.#code.i32(mask);
      this.#code.op('i32.or');
      this.#code.set(local);
    }
  }
}
