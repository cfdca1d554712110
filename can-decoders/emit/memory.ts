import { FD_SLOT_BYTES } from '#contracts';
import type { IdTable } from '../hash.ts';
import type { RowLayout } from '../layout.ts';
import type { DecodePlan } from '../plan.ts';
import { type ChangeMap, changeMap } from './changes.ts';
import { type Shape, shapeBytes } from './shapes.ts';

/**
 * Where things lie in the memory of a decoder.
 *
 * | from      | what                                                                              |
 * |-----------|-----------------------------------------------------------------------------------|
 * | 0         | counters of the last call (u32): unknown, ignored, short; bytes of `touched` used |
 * | `slots`   | id table: message index by slot (u16)                                             |
 * | `keys`    | scalar form: id word by message index (u32)                                       |
 * | `sizes`   | scalar form: bytes of a row by message index (u32)                                |
 * | `list`    | scalar form: message index of each frame of the part being decoded (u16)          |
 * | `records` | SIMD forms: `RECORD_…` of each message, then one for frames without message        |
 * | `shapes`  | SIMD forms: see `shapes.ts`                                                       |
 * | `chains`  | grouped form: first slot of each chain, 0 where there is none (u32)               |
 * | `lasts`   | grouped form: for each cell of a shape the last byte that its signal needs (u8)   |
 * | `later`   | simd form: slot and row of each frame that is not done after the first pass (u32) |
 * | `changes` | SIMD forms: see `changes.ts`                                                      |
 * | `pool`    | SIMD forms: swizzles and masks of messages that need code of their own    |
 * | `input`   | slots of the part being decoded; zero before and after                            |
 * | `rows`    | what comes out; the only region that grows                                        |
 */
export interface MemoryMap {
  readonly slots: number;
  readonly input: number;
  readonly rows: number;
  /** Null where changes are not told. */
  readonly changes: ChangeMap | null;
}

export interface ScalarMap extends MemoryMap {
  readonly keys: number;
  readonly sizes: number;
  readonly list: number;
}

/** What is known before code is written; the rest follows when the pool is whole. */
export interface SimdMap {
  readonly slots: number;
  readonly records: number;
  /** Offset from `records` of the record of frames without message. */
  readonly nobody: number;
  /** Address of the shape of each message. */
  readonly shapes: readonly number[];
  /** Address of the shape that takes nothing. */
  readonly noShape: number;
  readonly chains: number;
  /** Address of the last bytes of the cells of each message. */
  readonly lasts: readonly number[];
  readonly later: number;
  readonly changes: ChangeMap | null;
  readonly pool: number;
}

/**
 * - `scalar`: loads no byte of a payload but those of signals that are decoded: the strict form.
 * - `simd`: loads the payload whole and stores only what its masks let through; takes frame by frame, without a jump that
 *   depends on what a frame is.
 * - `grouped`: the same, and takes the frames of a part by the size of their messages: fastest for batches of some
 *   hundred frames. The rows are in the order of the frames all the same.
 */
export type DecoderForm = 'scalar' | 'simd' | 'grouped';

export const COUNTER_UNKNOWN = 0;
export const COUNTER_IGNORED = 4;
export const COUNTER_SHORT = 8;
/** Beyond every offset into a slot, so that an inspection of the module tells loads of frames from loads of tables. */
const FIRST_TABLE = 128;
const ALIGNMENT = 64;

/**
 * What the SIMD forms know of a message, u32 and one u64: id word, bytes of a row, `LATER_BYTES` or 0 where the first pass
 * is enough (grouped: address of the chain), 1 for a message and 0 for frames without (grouped: address of the last bytes
 * of its cells), second half of a row's header, address of the shape, bytes that a frame has at least.
 */
export const RECORD_KEY = 0;
export const RECORD_SIZE = 4;
export const RECORD_WAY = 8;
export const RECORD_ROWS = 12;
export const RECORD_LASTS = 12;
export const RECORD_HEAD = 16;
export const RECORD_SHAPE = 24;
export const RECORD_NEED = 28;
export const RECORD_BITS = 5;
export const RECORD_BYTES = 1 << RECORD_BITS;
/** Slot and row of one frame. */
export const LATER_BYTES = 8;

export interface ModuleOptions {
  /** Slots of the input area, frames. */
  readonly maxFrames: number;
  /** Channel whose frames are decoded; null takes those of every channel. */
  readonly channel: number | null;
  /** Default: the faster of the SIMD forms for these messages. */
  readonly form?: DecoderForm | undefined;
  /** Tell which cells differ from those of the row before; not in the scalar form. */
  readonly changes?: boolean;
}

function after(start: number, bytes: number): number {
  return Math.ceil((start + bytes) / ALIGNMENT) * ALIGNMENT;
}

export function scalarMap(plan: DecodePlan, table: IdTable, maxFrames: number): ScalarMap {
  const perMessage = plan.messages.length * 4;
  const slots = FIRST_TABLE;
  const keys = after(slots, table.slots.byteLength);
  const sizes = after(keys, perMessage);
  const list = after(sizes, perMessage);
  const input = after(list, maxFrames * 2);
  return { slots, keys, sizes, list, input, rows: after(input, maxFrames * FD_SLOT_BYTES), changes: null };
}

/**
 * @param quads first cells of the quads of each shape; of a message without shape the quads of the shape that takes nothing
 * @param chains number of chains; 0 in the `simd` form
 * @param layout null where changes are not told
 */
export function simdMap(
  table: IdTable,
  shapes: readonly (Shape | null)[],
  quads: readonly (readonly number[])[],
  nothing: readonly number[],
  chains: number,
  maxFrames: number,
  layout: RowLayout | null,
): SimdMap {
  const slots = FIRST_TABLE;
  const records = after(slots, table.slots.byteLength);
  const nobody = shapes.length * RECORD_BYTES;
  const noShape = after(records, nobody + RECORD_BYTES);
  let next = noShape + shapeBytes(nothing);
  const addresses = shapes.map((shape, index) => {
    if (shape === null) return noShape;
    const address = next;
    next += shapeBytes(quads[index]!);
    return address;
  });
  const start = after(next, 0);
  let last = after(start, chains * 4);
  const lasts = shapes.map((shape) => {
    const address = last;
    last += chains > 0 ? (shape?.cells ?? 0) : 0;
    return address;
  });
  const later = after(last, 0);
  // The place behind the last frame is written too, before it is known that nothing goes there.
  const list = after(later, chains === 0 ? (maxFrames + 1) * LATER_BYTES : 0);
  const changes = layout === null ? null : changeMap(layout, list);
  const pool = after(changes?.end ?? list, 0);
  return { slots, records, nobody, shapes: addresses, noShape, chains: start, lasts, later, changes, pool };
}

/** @param poolBytes size of the pool, known when all code that uses it is written */
export function behindPool({ slots, pool, changes }: SimdMap, maxFrames: number, poolBytes: number): MemoryMap {
  const input = after(pool, poolBytes);
  return { slots, input, rows: after(input, maxFrames * FD_SLOT_BYTES), changes };
}
