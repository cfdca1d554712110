import { OFFSET_TIME } from '#contracts';
import type { MultiplexRange } from '#dbc/model';
import type { CodeWriter, Local } from '#wasm';
import type { Field } from '../field.ts';
import { ROW_HEADER_BYTES } from '../layout.ts';
import { type MessagePlan, type PlanCell, type PlanGroup, type PlanSelector, presenceBytes } from '../plan.ts';
import { emitRaw, emitToCell, type Scratch } from './scalar.ts';
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
  /** The row has its header already. */
  readonly hasHeader?: boolean;
  /** Decode four signals at once where they allow it; absent in the scalar form. */
  readonly simd?: (Pick<VectorLocals, 'piece' | 'lanes'> & { readonly pool: VectorPool }) | undefined;
}

const PAYLOAD_BYTES = 64;
const CELL_BYTES = 8;
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
  readonly #firstCell: number;
  /** Presence bits that are known when the module is made, by word. */
  readonly #always: bigint[];

  constructor(code: CodeWriter, plan: MessagePlan, locals: RowLocals) {
    this.#code = code;
    this.#plan = plan;
    this.#locals = locals;
    this.#firstCell = ROW_HEADER_BYTES + presenceBytes(plan.layout.cells);
    this.#always = Array.from({ length: presenceBytes(plan.layout.cells) / 8 }, () => 0n);
  }

  row(index: number): void {
    const { short } = this.#locals;
    const dynamic = short !== undefined || this.#plan.root.selectors.length > 0;
    if (this.#locals.hasHeader !== true) this.#header(index);
    if (dynamic) {
      for (const word of this.#always.keys()) {
        this.#code.i64(0);
        this.#code.set(this.#locals.presence[word]!);
      }
      this.#clearCells();
    }
    this.#group(this.#plan.root, new Uint8Array(PAYLOAD_BYTES), 0, true);
    for (const [word, bits] of this.#always.entries()) {
      this.#code.get(this.#locals.out);
      if (dynamic) this.#code.get(this.#locals.presence[word]!);
      if (!dynamic || bits !== 0n) this.#code.i64(bits);
      if (dynamic && bits !== 0n) this.#code.op('i64.or');
      this.#code.memory('i64.store', ROW_HEADER_BYTES + word * 8);
    }
    if (short !== undefined) {
      this.#code.get(this.#locals.out);
      this.#code.get(short.flag);
      this.#code.memory('i32.store', 4);
    }
  }

  #header(index: number): void {
    const { out, slot } = this.#locals;
    this.#code.get(out);
    this.#code.i64(index);
    this.#code.memory('i64.store', 0);
    this.#code.get(out);
    this.#code.get(slot);
    this.#code.memory('i64.load', OFFSET_TIME);
    this.#code.op('f64.convert_i64_s');
    this.#code.memory('f64.store', 8);
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
    for (const cell of cells) {
      this.#code.get(this.#locals.out);
      this.#code.i64(0);
      this.#code.memory('i64.store', this.#firstCell + cell * CELL_BYTES);
    }
  }

  /** @param always whether this group is there in every frame */
  #group(group: PlanGroup, outer: Uint8Array, depth: number, always: boolean): void {
    const readable = readableIn(group, outer);
    if (this.#locals.short === undefined) {
      for (const cell of this.#vectors(group.cells)) this.#cell(cell, readable);
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

  /** @returns the cells that are left for the scalar form */
  #vectors(cells: readonly PlanCell[]): readonly PlanCell[] {
    const { simd } = this.#locals;
    if (simd === undefined) return cells;
    const need = Math.max(this.#plan.need, this.#plan.length);
    const { vectors, rest } = vectorsOf(cells, need);
    const locals = { ...this.#locals, ...simd };
    let window = -1;
    for (const vector of vectors) {
      if (vector.window !== window) emitPiece(this.#code, vector.window, need <= CLASSIC_BYTES, locals);
      window = vector.window;
      emitVector(this.#code, vector, simd.pool, locals, ({ layout }) => this.#firstCell + layout.cell * CELL_BYTES);
    }
    return rest;
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

  #cell({ field, layout }: PlanCell, readable: Uint8Array): void {
    const { out, t64 } = this.#locals;
    const at = this.#firstCell + layout.cell * CELL_BYTES;
    if (field.kind === 'wide') {
      this.#raw(field, readable, true);
      this.#code.set(t64);
      this.#wide(field, at, t64);
      return;
    }
    this.#code.get(out);
    const word = this.#raw(field, readable, false);
    emitToCell(this.#code, field, word);
    this.#code.memory('f64.store', at);
  }

  /** High word, signed where the signal is, then low word. */
  #wide(field: Field, at: number, raw: Local): void {
    const { out } = this.#locals;
    this.#code.get(out);
    this.#code.get(raw);
    this.#code.i64(32);
    this.#code.op(field.signed ? 'i64.shr_s' : 'i64.shr_u');
    this.#code.op('f64.convert_i64_s');
    this.#code.memory('f64.store', at);
    this.#code.get(out);
    this.#code.get(raw);
    this.#code.i64(0xffff_ffffn);
    this.#code.op('i64.and');
    this.#code.op('f64.convert_i64_s');
    this.#code.memory('f64.store', at + CELL_BYTES);
  }

  #raw(field: Field, readable: Uint8Array, widen: boolean): 'i32' | 'i64' {
    return emitRaw(this.#code, field, this.#locals.short === undefined ? readable : null, this.#locals, widen);
  }

  #selector({ field, cell, cases }: PlanSelector, readable: Uint8Array, depth: number, always: boolean): void {
    const raw = this.#locals.selectors[depth]!;
    this.#raw(field, readable, true);
    this.#code.set(raw);
    if (cell !== null) {
      const at = this.#firstCell + cell.layout.cell * CELL_BYTES;
      if (field.kind === 'wide') {
        this.#wide(field, at, raw);
      } else {
        this.#code.get(this.#locals.out);
        this.#code.get(raw);
        emitToCell(this.#code, field, 'i64');
        this.#code.memory('f64.store', at);
      }
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
    const bits = new Map<number, bigint>();
    for (const { layout } of cells) {
      for (let cell = layout.cell; cell < layout.cell + layout.cells; cell++) {
        const word = Math.floor(cell / 64);
        bits.set(word, (bits.get(word) ?? 0n) | (1n << BigInt(cell % 64)));
      }
    }
    for (const [word, mask] of bits) {
      if (always) {
        this.#always[word]! |= mask;
        continue;
      }
      const local = this.#locals.presence[word]!;
      this.#code.get(local);
      this.#code.i64(mask);
      this.#code.op('i64.or');
      this.#code.set(local);
    }
  }
}
