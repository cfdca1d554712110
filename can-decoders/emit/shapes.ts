import { type Field, maskOf } from '../field.ts';
import { CELL_BYTES, CELLS_PER_PRESENCE } from '../layout.ts';
import type { MessagePlan } from '../plan.ts';

/**
 * What the SIMD forms need to know of a message, as data: the same few instructions decode every message, so the code
 * stays in the first-level cache however large the database is, and no jump depends on what a frame is. Four cells are
 * one swizzle, which brings the bytes of each in order (that turns Motorola signals for free), and one mask.
 *
 * | offset | size   | field                                                                      |
 * |-------:|-------:|----------------------------------------------------------------------------|
 * |      0 | 32 · n | quads of neighbouring cells: bytes to take and mask, 16 bytes each         |
 * | 32 · n |      4 | second word of the presence bitmap, where there is one (grouped form only) |
 */
export interface Shape {
  /** What lies in each cell. */
  readonly words: readonly Field[];
  /** Last byte of the payload that each cell's signal needs. */
  readonly lasts: readonly number[];
  /** Cells up to the end of the row, of which those beyond `words` stay 0. */
  readonly cells: number;
}

export const QUAD_BYTES = 32;
export const QUAD_CELLS = 4;
/** Bytes of the cells of a quad. */
export const QUAD_STORE = QUAD_CELLS * CELL_BYTES;
/** Behind the quads of a shape. */
export const SHAPE_PRESENCE_BYTES = 16;

const VECTOR_BYTES = 16;
const CLASSIC_BYTES = 8;
/** An index that swizzle answers with 0. */
const NOTHING = 0x80;
/** Cells with one presence word, and with two. */
export const ONE_WORD_CELLS = CELLS_PER_PRESENCE;
export const TWO_WORD_CELLS = 2 * CELLS_PER_PRESENCE;

/**
 * @param mostCells cells of the largest message that has a shape
 * @returns null where the message has multiplexers, more than a classic payload or more cells, and needs code of its own
 */
export function shapeOf({ layout, root, need, length }: MessagePlan, mostCells: number): Shape | null {
  if (root.selectors.length > 0 || layout.cells > mostCells || Math.max(need, length) > CLASSIC_BYTES) return null;
  const words = new Array<Field>(layout.cells);
  const lasts = new Array<number>(layout.cells);
  for (const { field, words: own, layout: place } of root.cells) {
    for (const [i, word] of own.entries()) {
      words[place.cell + i] = word;
      lasts[place.cell + i] = field.last;
    }
  }
  return { words, lasts, cells: (layout.rowBytes - layout.firstCell) / CELL_BYTES };
}

/** Blocks of `block` quads behind the front one. */
export function backBlocks(cells: number, block: number): number {
  return Math.max(0, Math.ceil(cells / (QUAD_CELLS * block)) - 1);
}

/**
 * First cells of the quads of the `simd` form: a block from the first cell on, in which quads beyond the last cell take
 * nothing, then a block that ends with the last cell, one that ends where that one starts, and so on until all are taken.
 */
export function blockQuads(cells: number, block: number): number[] {
  const starts = [0];
  for (let i = 1; i <= backBlocks(cells, block); i++) starts.push(cells - QUAD_CELLS * block * i);
  return starts.flatMap((start) => Array.from({ length: block }, (_, i) => start + QUAD_CELLS * i));
}

/** First cells of the quads of the `grouped` form: the last four cells, some of which may be of the quad before, then all before. */
export function exactQuads(cells: number): number[] {
  const before = Math.ceil(cells / QUAD_CELLS) - 1;
  return [cells - QUAD_CELLS, ...Array.from({ length: before }, (_, i) => QUAD_CELLS * i)];
}

export function shapeBytes(quads: readonly number[]): number {
  return quads.length * QUAD_BYTES + SHAPE_PRESENCE_BYTES;
}

/** Writes a shape, null for one that takes nothing, at the start of `bytes`. */
export function writeShape(shape: Shape | null, quads: readonly number[], bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, shapeBytes(quads));
  for (const [i, cell] of quads.entries()) {
    const at = i * QUAD_BYTES;
    bytes.fill(NOTHING, at, at + VECTOR_BYTES);
    for (let lane = 0; lane < QUAD_CELLS; lane++) {
      const word = shape?.words[cell + lane];
      if (word === undefined) continue;
      const { first, last, bigEndian } = word;
      const from = at + lane * CELL_BYTES;
      for (let byte = 0; byte <= last - first; byte++) bytes[from + byte] = bigEndian ? last - byte : first + byte;
      view.setUint32(from + VECTOR_BYTES, maskOf(word), true);
    }
  }
  const more = (shape?.words.length ?? 0) - CELLS_PER_PRESENCE;
  if (more > 0) view.setUint32(quads.length * QUAD_BYTES, 2 ** more - 1, true);
}

/** Most quads that one block holds; more would push constants out of the first-level cache. */
const MOST_BLOCK = 12;
/** What it costs to come back to a frame for another block, in quads (measured). */
const RETURN_COST = 8;

/** Quads of a block so that frames spread evenly over the messages cost least. */
export function bestBlock(shapes: readonly (Shape | null)[]): number {
  const costs = Array.from({ length: MOST_BLOCK }, (_, i) => {
    const block = i + 1;
    return shapes.reduce((sum, shape) => sum + block + backBlocks(shape?.cells ?? 0, block) * (RETURN_COST + block), 0);
  });
  return 1 + costs.indexOf(Math.min(...costs));
}
