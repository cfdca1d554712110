import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  OFFSET_CHANNEL,
  OFFSET_ID,
  type SlotBytes,
} from './frames.ts';

/**
 * Some ids at once, as `struct can_filter` of `linux/can.h` has them: an id word belongs to them where
 * `(word & mask) === (id & mask)`. A mask has the EFF and RTR bits, so that a remote frame or one of the other length of id is
 * not meant by accident, and never the ERR bit: the kernel takes that for a filter of error frames.
 */
export interface IdMask {
  readonly id: number;
  readonly mask: number;
}

/** Ids that have a decode right, so that a source (or the kernel) can drop the rest early. */
export interface FrameFilter {
  /** Id words (with EFF bit) per channel; null lets every frame through (diagnosis, `decode`). */
  readonly ids: readonly (readonly number[] | null)[];
  /** Beside the ids, per channel: groups whose ids differ in priority, source or destination (J1939). Absent: none. */
  readonly masks?: readonly (readonly IdMask[])[];
}

const FORM = CAN_EFF_FLAG | CAN_RTR_FLAG;

/** The bits that make an id word of a data frame one id: all of its 11 or 29, and what tells the two and a remote frame apart. */
export function wholeMask(word: number): number {
  return (((word & CAN_EFF_FLAG) !== 0 ? CAN_EFF_MASK : CAN_SFF_MASK) | FORM) >>> 0;
}

/**
 * What a filter wants of one channel as pairs of id and mask, one after the other, unsigned: the form in which the kernel and
 * our receiver take it. An id that one of the masks has already is left out.
 *
 * @returns null where every frame is wanted
 */
export function filterPairs({ ids, masks = [] }: FrameFilter, channel: number): Uint32Array | null {
  const own = ids[channel];
  if (own === null || own === undefined) return null;
  const pairs = (masks[channel] ?? []).flatMap(({ id, mask }) => [(id & mask) >>> 0, mask >>> 0]);
  const wide = pairs.length;
  for (const word of own) {
    let covered = false;
    for (let at = 0; at < wide && !covered; at += 2) covered = ((word & pairs[at + 1]!) ^ pairs[at]!) === 0;
    if (!covered) pairs.push((word & wholeMask(word)) >>> 0, wholeMask(word));
  }
  return Uint32Array.from(pairs);
}

/**
 * The same rule where no kernel helps: logs, simulation, drivers that cannot filter. Error frames pass no filter but the one that
 * wants everything, as in the kernel, which has a list of their own for them. Allocates nothing per frame.
 */
export class IdMatcher {
  /** By distinct mask, the masked words, both signed: as such a look-up makes no number object. Null: every frame passes. */
  readonly #masks: Int32Array | null;
  readonly #words: readonly ReadonlySet<number>[];

  /** @param pairs as `filterPairs` makes them; those of several channels may stand one after the other */
  constructor(pairs: Uint32Array | null) {
    const sets = new Map<number, Set<number>>();
    for (let at = 0; pairs !== null && at < pairs.length; at += 2) {
      const mask = pairs[at + 1]! | 0;
      const words = sets.get(mask) ?? new Set();
      sets.set(mask, words);
      words.add(pairs[at]! & mask);
    }
    this.#masks = pairs === null ? null : Int32Array.from(sets.keys());
    this.#words = [...sets.values()];
  }

  static of(filter: FrameFilter, channel: number): IdMatcher {
    return new IdMatcher(filterPairs(filter, channel));
  }

  /** What any channel wants: for a source that serves all of them. */
  static ofAny(filter: FrameFilter): IdMatcher {
    const all = filter.ids.map((_, channel) => filterPairs(filter, channel));
    return new IdMatcher(all.includes(null) ? null : Uint32Array.from(all.flatMap((pairs) => [...(pairs ?? [])])));
  }

  /** @param word id word, signed or unsigned */
  passes(word: number): boolean {
    const masks = this.#masks;
    if (masks === null) return true;
    if ((word & CAN_ERR_FLAG) !== 0) return false;
    for (let i = 0; i < masks.length; i++) if (this.#words[i]!.has(word & masks[i]!)) return true;
    return false;
  }
}

/**
 * Moves the slots that pass to the front, in place: the bytes are the caller's own. For sources that filter when frames are due.
 *
 * @param matcherOf of the channel that stands in a slot
 * @returns how many there are
 */
export function keepWanted(
  bytes: Uint8Array,
  slotBytes: SlotBytes,
  count: number,
  matcherOf: (channel: number) => IdMatcher,
): number {
  let kept = 0;
  for (let from = 0; from < count * slotBytes; from += slotBytes) {
    const at = from + OFFSET_ID;
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    if (!matcherOf(bytes[from + OFFSET_CHANNEL]!).passes(word)) continue;
    const to = slotBytes * kept++;
    if (to !== from) bytes.copyWithin(to, from, from + slotBytes);
  }
  return kept;
}
