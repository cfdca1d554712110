import { FD_SLOT_BYTES, HEADER_BYTES } from '#contracts';
import type { Rows } from '../decoder.ts';
import { writeRow } from '../interpret.ts';
import { isShort, messageOf, ROW_TIME } from '../layout.ts';
import type { DecodePlan } from '../plan.ts';
import type { TransportStage } from './stage.ts';

export const MOST_SLOT_BYTES = FD_SLOT_BYTES - HEADER_BYTES;

/**
 * Rows of messages that no slot holds (up to 1,785 bytes in J1939, 4,095 in ISO-TP). The module has written a row from
 * their first 64 bytes; it is written again, in its place, from the whole payload, one bit at a time. That is slow and
 * allocates, and there are a few such messages a second where there are thousands of frames.
 */
export class LongRows {
  readonly #plan: DecodePlan;
  /** Messages, by index and by id word, that the database makes longer than a slot. */
  readonly #isLong: readonly boolean[];
  readonly #words: ReadonlySet<number>;
  readonly #channel: number | null;

  /** @param channel the only one whose frames are decoded; null: all are */
  constructor(plan: DecodePlan, channel: number | null) {
    this.#plan = plan;
    this.#channel = channel;
    this.#isLong = plan.messages.map(({ length, need }) => Math.max(length, need) > MOST_SLOT_BYTES);
    this.#words = new Set(plan.messages.filter((_, i) => this.#isLong[i]).map(({ layout }) => layout.id));
  }

  /** Each slot of such a message, long or not, has made one row: the n-th slot the n-th row. */
  rewrite(rows: Rows, stage: TransportStage): void {
    const { u32, f64 } = rows;
    let at = 0;
    for (let slot = 0; slot < stage.count; slot++) {
      if (!this.#words.has(stage.word(slot))) continue;
      if (this.#channel !== null && stage.channel(slot) !== this.#channel) continue;
      while (!this.#isLong[messageOf(u32, at)]) at += this.#rowBytes(messageOf(u32, at));
      const index = messageOf(u32, at);
      const rowBytes = this.#rowBytes(index);
      if (stage.isLong(slot)) {
        const wasShort = isShort(u32, at);
        const row = new DataView(u32.buffer, u32.byteOffset + at, rowBytes);
        const timeNs = f64[(at + ROW_TIME) / 8]!;
        const isStillShort = writeRow(row, index, this.#plan.messages[index]!, timeNs, stage.payload(slot));
        rows.short += Number(isStillShort) - Number(wasShort);
      }
      at += rowBytes;
    }
  }

  #rowBytes(index: number): number {
    return this.#plan.messages[index]!.layout.rowBytes;
  }
}
