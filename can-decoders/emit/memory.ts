import { FD_SLOT_BYTES } from '#contracts';
import type { IdTable } from '../hash.ts';
import type { DecodePlan } from '../plan.ts';

/**
 * Where things lie in the memory of a decoder.
 *
 * | from      | what                                                                        |
 * |-----------|-----------------------------------------------------------------------------|
 * | 0         | counters of the last call (u32): unknown, ignored, short                    |
 * | `slots`   | id table: message index by slot (u16)                                       |
 * | `keys`    | id word by message index (u32)                                              |
 * | `sizes`   | bytes of a row by message index (u32)                                       |
 * | `ends`    | grouped form: frames of each message, then the end of its part of `order`   |
 * | `pool`    | SIMD forms: swizzles, masks and factors                                     |
 * | `list`    | message index of each frame of the part being decoded (u16)                 |
 * | `order`   | grouped form: slot and row address of each frame, grouped by message (u32)  |
 * | `input`   | slots of the part being decoded; zero before and after                      |
 * | `rows`    | what comes out; the only region that grows                                  |
 */
export interface MemoryMap extends TableMap {
  readonly list: number;
  readonly order: number;
  readonly input: number;
  readonly rows: number;
}

/** The part that is known before code is written. */
export interface TableMap {
  readonly slots: number;
  readonly keys: number;
  readonly sizes: number;
  readonly ends: number;
  readonly pool: number;
}

/**
 * - `scalar`: loads no byte of a payload but those of signals that are decoded: the strict form.
 * - `simd`: loads the payload whole and stores only what its masks let through; faster.
 * - `grouped`: the same, and the frames of a part are taken message by message; fastest for batches of many frames. The
 *   rows are in the order of the frames all the same.
 */
export type DecoderForm = 'scalar' | 'simd' | 'grouped';

export const COUNTER_UNKNOWN = 0;
export const COUNTER_IGNORED = 4;
export const COUNTER_SHORT = 8;
/** Beyond every offset into a slot, so that an inspection of the module tells loads of frames from loads of tables. */
const FIRST_TABLE = 128;
const ALIGNMENT = 16;
/** Slot and row address of one frame in `order`. */
export const ORDER_BYTES = 8;

export interface ModuleOptions {
  /** Slots of the input area, frames. */
  readonly maxFrames: number;
  /** Channel whose frames are decoded; null takes those of every channel. */
  readonly channel: number | null;
  readonly form: DecoderForm;
}

function after(start: number, bytes: number): number {
  return Math.ceil((start + bytes) / ALIGNMENT) * ALIGNMENT;
}

/** Tables of the ids, and where the pool starts. */
export function tableMap(plan: DecodePlan, table: IdTable): TableMap {
  const perMessage = plan.messages.length * 4;
  const slots = FIRST_TABLE;
  const keys = after(slots, table.slots.byteLength);
  const sizes = after(keys, perMessage);
  const ends = after(sizes, perMessage);
  return { slots, keys, sizes, ends, pool: after(ends, perMessage) };
}

/** @param poolBytes size of the pool, known when all code that uses it is written */
export function memoryMap(tables: TableMap, { maxFrames, form }: ModuleOptions, poolBytes: number): MemoryMap {
  const list = after(tables.pool, poolBytes);
  const order = after(list, maxFrames * 2);
  const input = after(order, form === 'grouped' ? maxFrames * ORDER_BYTES : 0);
  return { ...tables, list, order, input, rows: after(input, maxFrames * FD_SLOT_BYTES) };
}
