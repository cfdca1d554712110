/** How a module finds the message of an id: a table of indices, and keys to compare with. */
export interface IdTable {
  /** Slot of an id: `imul(id, multiplier) >>> shift`. */
  readonly multiplier: number;
  readonly shift: number;
  /** Message index by slot; `NO_MESSAGE` where the slot is empty. */
  readonly slots: Uint16Array;
  /** No two ids share a slot. Otherwise an id stands in the first free slot from its own on, and the search goes on. */
  readonly perfect: boolean;
}

export const NO_MESSAGE = 0xffff;
/** Messages of one decoder; `NO_MESSAGE` is taken. */
export const MOST_MESSAGES = 0xfffe;

const SMALLEST_BITS = 4;
/** 32 KiB of indices: larger tables would push frames out of the first-level cache. */
const LARGEST_PERFECT_BITS = 14;
const TRIALS = 300;

/**
 * Looks for a multiplier that gives each id a slot of its own, in the smallest table where one is found soon; else
 * makes an open-addressing table at most half full. Same ids, same table.
 */
export function idTable(ids: readonly number[]): IdTable {
  const least = Math.max(SMALLEST_BITS, Math.ceil(Math.log2(ids.length * 2 || 1)));
  for (let bits = least; bits <= LARGEST_PERFECT_BITS; bits++) {
    const multiplier = perfectMultiplier(ids, bits);
    if (multiplier !== null) return fill(ids, bits, multiplier, true);
  }
  return fill(ids, least, FIRST_MULTIPLIER, false);
}

/** 2^32 / golden ratio, odd: Knuth, The Art of Computer Programming 3, 6.4. */
const FIRST_MULTIPLIER = 0x9e37_79b1;
/** Step of a Weyl sequence through the odd numbers. */
const MULTIPLIER_STEP = 0x6d2b_79f4;

function perfectMultiplier(ids: readonly number[], bits: number): number | null {
  const taken = new Uint16Array(1 << bits);
  const shift = 32 - bits;
  let multiplier = FIRST_MULTIPLIER;
  for (let trial = 1; trial <= TRIALS; trial++) {
    if (
      ids.every((id) => {
        const slot = Math.imul(id, multiplier) >>> shift;
        if (taken[slot] === trial) return false;
        taken[slot] = trial;
        return true;
      })
    )
      return multiplier;
    multiplier = (multiplier + MULTIPLIER_STEP) >>> 0;
  }
  return null;
}

function fill(ids: readonly number[], bits: number, multiplier: number, perfect: boolean): IdTable {
  const slots = new Uint16Array(1 << bits).fill(NO_MESSAGE);
  const shift = 32 - bits;
  for (const [index, id] of ids.entries()) {
    let slot = Math.imul(id, multiplier) >>> shift;
    while (slots[slot] !== NO_MESSAGE) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = index;
  }
  return { multiplier, shift, slots, perfect };
}
