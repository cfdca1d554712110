import type { SignalInfo } from '#contracts';

/**
 * What a decoder leaves behind for one batch: rows in the order of the frames, in the module's own memory.
 *
 * | offset | size  | field                                                                              |
 * |-------:|------:|------------------------------------------------------------------------------------|
 * |      0 |     4 | message: index into `RowLayout.messages` (u32)                                     |
 * |      4 |     4 | flags: bit 0 = short frame, only the cells that fit are present (u32)              |
 * |      8 |     8 | boottime, ns (f64: exact up to 104 days)                                           |
 * |     16 | 8 · p | presence bitmap, one bit a cell, p = ⌈cells / 64⌉ (u32 words, lowest bit first)    |
 * |     .. | 8 · n | cells (f64): the raw integer, or the value of a float signal; `wide` signals take  |
 * |        |       | two cells, high word (signed where the signal is) then low word (unsigned)         |
 */
export const ROW_HEADER_BYTES = 16;
export const ROW_FLAG_SHORT = 1;

/** One signal of a message in the plan, in the order of its cells. */
export interface CellLayout {
  readonly signal: SignalInfo;
  /** First cell; a `wide` signal also has the next one. */
  readonly cell: number;
  readonly cells: 1 | 2;
}

export interface MessageLayout {
  readonly name: string;
  readonly channel: number;
  /** Id word with the EFF bit. */
  readonly id: number;
  readonly cells: number;
  readonly signals: readonly CellLayout[];
  /** Bytes of a row of this message. */
  readonly rowBytes: number;
}

export interface RowLayout {
  readonly messages: readonly MessageLayout[];
}
