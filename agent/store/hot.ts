import { TollgateError } from '#contracts';
import type { Connection } from './database.ts';

/** Groups that wait for a fold at most … */
const SLOTS = 16;
/** … and bytes of each; a larger one is folded at once. */
const SLOT_BYTES = 8 * 1024;
const LENGTH_BYTES = 4;
const NUMBER_BYTES = 8;
const HEADER_BYTES = LENGTH_BYTES + NUMBER_BYTES;

/** A group as `hot` has it. */
export interface HotGroup {
  readonly number: number;
  readonly body: Uint8Array;
}

/**
 * Where a small group becomes durable: one row of a fixed size, overwritten in place, used in turn. SQLite then writes the
 * pages that differ and nothing else: no page is allocated, split or freed, which is most of what a commit of ten small
 * rows costs.
 *
 * A row: bytes of the group u32 · number of the group u64, little-endian · the group · what was there before.
 */
export class HotTable {
  readonly #statements;
  readonly #slots: (Uint8Array | null)[] = Array.from({ length: SLOTS }, () => null);
  /** The last group that was written, and the last that a fold took in. */
  number = 0;
  folded = 0;

  constructor(db: Connection) {
    this.#statements = {
      all: db.prepare('SELECT slot, body FROM hot').raw(),
      insert: db.prepare('INSERT INTO hot VALUES (?, ?)'),
      update: db.prepare('UPDATE hot SET body = ? WHERE slot = ?'),
      folded: db.prepare('SELECT folded FROM state').pluck(),
      fold: db.prepare('UPDATE state SET folded = ?, next_row = ?'),
    };
  }

  /** Groups that no fold took in, in their order. */
  load(file: string): HotGroup[] {
    this.#slots.fill(null);
    this.folded = this.#statements.folded.get() as number;
    const groups: HotGroup[] = [];
    for (const [slot, bytes] of this.#statements.all.all() as [number, Uint8Array][]) {
      this.#slots[slot] = new Uint8Array(bytes);
      const view = new DataView(this.#slots[slot]!.buffer);
      const number = Number(view.getBigUint64(LENGTH_BYTES, true));
      const length = view.getUint32(0, true);
      if (number > this.folded)
        groups.push({ number, body: this.#slots[slot]!.slice(HEADER_BYTES, HEADER_BYTES + length) });
    }
    groups.sort((a, b) => a.number - b.number);
    this.number = this.folded + groups.length;
    if (groups.some(({ number }, index) => number !== this.folded + index + 1)) {
      throw new TollgateError('TG_STORE_CORRUPT', 'a group between others is not there', { place: { file } });
    }
    return groups;
  }

  /** Groups that wait for a fold. */
  get waiting(): number {
    return this.number - this.folded;
  }

  /** Within a transaction. False: there is no place for it, the caller folds. */
  write(group: Uint8Array): boolean {
    if (group.length > SLOT_BYTES - HEADER_BYTES || this.waiting >= SLOTS) return false;
    const slot = ++this.number % SLOTS;
    let bytes = this.#slots[slot] ?? null;
    const fresh = bytes === null;
    bytes ??= new Uint8Array(SLOT_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, group.length, true);
    view.setBigUint64(LENGTH_BYTES, BigInt(this.number), true);
    bytes.set(group, HEADER_BYTES);
    this.#slots[slot] = bytes;
    if (fresh) this.#statements.insert.run(slot, bytes);
    else this.#statements.update.run(bytes, slot);
    return true;
  }

  /** Within a transaction, after all that a fold writes. */
  fold(nextRow: number): void {
    this.folded = this.number;
    this.#statements.fold.run(this.number, nextRow);
  }
}
