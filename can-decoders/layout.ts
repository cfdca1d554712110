import type { SignalInfo } from '#contracts';
import type { Field } from './field.ts';

/**
 * What a decoder leaves behind for one batch: rows in the order of the frames, in the module's own memory.
 *
 * | offset | size  | field                                                                                 |
 * |-------:|------:|---------------------------------------------------------------------------------------|
 * |      0 |     8 | boottime, ns (f64: exact up to 104 days)                                              |
 * |      8 |     2 | message: index into `RowLayout.messages` (u16)                                        |
 * |     10 |     2 | flags: bit 0 = short frame, only the cells that fit are present (u16)                 |
 * |     12 | 4 · p | presence bitmap, one bit a cell, p = ⌈cells / 32⌉ (u32 words, lowest bit first)       |
 * |     .. | 4 · n | cells (u32): the bits of a signal as they lie in its bytes, lowest byte first, all    |
 * |        |       | others 0; a signal over more than four bytes takes two cells, over nine it takes three |
 *
 * A row ends on 8 bytes and has at least 32. `cells.ts` makes numbers of cells: what nobody reads is not computed.
 */
export const ROW_TIME = 0;
export const ROW_MESSAGE = 8;
export const ROW_FLAGS = 10;
export const ROW_PRESENCE = 12;
export const ROW_FLAG_SHORT = 1;
export const CELL_BYTES = 4;
export const CELLS_PER_PRESENCE = 32;
const LEAST_ROW_BYTES = 32;
const ROW_ALIGNMENT = 8;
const MESSAGE_BITS = 0xffff;
const FLAG_SHIFT = 16;

/** One signal of a message in the plan, in the order of its cells. */
export interface CellLayout {
  readonly signal: SignalInfo;
  /** First cell, which has the lowest bits; a signal of several cells has the next ones too. */
  readonly cell: number;
  readonly cells: 1 | 2 | 3;
  /** Where its bits lie in the bytes of its cells, and what they are. */
  readonly field: Pick<Field, 'shift' | 'bits' | 'signed' | 'kind'>;
}

export interface MessageLayout {
  readonly name: string;
  readonly channel: number;
  /** Id word with the EFF bit. */
  readonly id: number;
  readonly cells: number;
  readonly signals: readonly CellLayout[];
  /** Bytes of a row of this message, and from its start to its first cell. */
  readonly rowBytes: number;
  readonly firstCell: number;
}

export interface RowLayout {
  readonly messages: readonly MessageLayout[];
}

/** Words of the presence bitmap. */
export function presenceWords(cells: number): number {
  return Math.ceil(cells / CELLS_PER_PRESENCE);
}

/** Size of a row with so many cells, and where the first of them is, bytes. */
export function rowSize(cells: number): Pick<MessageLayout, 'rowBytes' | 'firstCell'> {
  const firstCell = ROW_PRESENCE + presenceWords(cells) * 4;
  const bytes = Math.ceil((firstCell + cells * CELL_BYTES) / ROW_ALIGNMENT) * ROW_ALIGNMENT;
  return { firstCell, rowBytes: Math.max(LEAST_ROW_BYTES, bytes) };
}

/** Message index of the row at byte `at`. */
export function messageOf(u32: Uint32Array, at: number): number {
  return u32[(at + ROW_MESSAGE) >>> 2]! & MESSAGE_BITS;
}

export function isShort(u32: Uint32Array, at: number): boolean {
  return ((u32[(at + ROW_MESSAGE) >>> 2]! >>> FLAG_SHIFT) & ROW_FLAG_SHORT) !== 0;
}

/** Whether a cell of the row at byte `at` is there. */
export function isPresent(u32: Uint32Array, at: number, cell: number): boolean {
  return ((u32[((at + ROW_PRESENCE) >>> 2) + (cell >>> 5)]! >>> (cell & 31)) & 1) === 1;
}
