import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  type FrameBatch,
  type IdMask,
  OFFSET_CHANNEL,
  OFFSET_ID,
} from '#contracts';
import type { Database } from '#dbc/model';
import { isPdu2, matchKey, NULL_ADDRESS, sourceOf } from './id.ts';
import { without } from './masks.ts';

export interface PgnMatcherOptions {
  /** Match every 29-bit message by PGN, for databases that do not say that they are J1939. Default: false. */
  readonly every?: boolean;
}

const FLAGS = CAN_EFF_FLAG | CAN_RTR_FLAG | CAN_ERR_FLAG | 0;
const DATA_FRAME = CAN_EFF_FLAG | 0;
/** Of a mask: what makes a data frame with 29 bits, and the bits of group and source in its id (SAE J1939-21 §5.2, figure 1). */
const FORM_MASK = CAN_EFF_FLAG | CAN_RTR_FLAG;
const PDU1_MASK = 0x03ff_0000;
const PDU2_MASK = 0x03ff_ff00;
const SOURCE_MASK = 0xff;

/**
 * Finds the message of a database by the parameter group of a frame, so that decoders, which know a message by its
 * whole id, need not know J1939. Of several messages of one group the one with the frame's source counts, then one that
 * names no source (address 0xFE), then the first of the file.
 */
export class PgnMatcher {
  /** Group → id word. */
  readonly #byGroup = new Map<number, number>();
  /** Group and source → id word; 26 bits, so that a look-up makes no number object. */
  readonly #bySource = new Map<number, number>();
  /** 29-bit ids that the database has and that are not matched by group: they mean themselves. */
  readonly #exact = new Set<number>();

  constructor(database: Database, { every = false }: PgnMatcherOptions = {}) {
    for (const { id, extended, j1939 } of database.messages) {
      if (!extended) continue;
      if (!j1939 && !every) {
        this.#exact.add(id);
        continue;
      }
      const group = matchKey(id);
      const source = sourceOf(id);
      if (!this.#byGroup.has(group) || (source === NULL_ADDRESS && !this.#bySource.has(keyOf(group, source)))) {
        this.#byGroup.set(group, id);
      }
      if (!this.#bySource.has(keyOf(group, source))) this.#bySource.set(keyOf(group, source), id);
    }
  }

  /** Id (29 bits, no flag) of the message for this group and source, or -1 where the database has none. */
  idOf(pgn: number, source: number): number {
    return this.#bySource.get(keyOf(pgn, source)) ?? this.#byGroup.get(pgn) ?? -1;
  }

  /**
   * Gives each data frame with a 29-bit id the id of its message in the database, in place: the caller owns the batch.
   * Other frames stay as they are. Allocates nothing per frame.
   *
   * @param channel only frames of this source; null (default) where the batch has one source
   * @returns frames that found their message by group
   */
  rewrite({ bytes, slotBytes, count }: FrameBatch, channel: number | null = null): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    let found = 0;
    for (let slot = 0; slot < count * slotBytes; slot += slotBytes) {
      if (channel !== null && bytes[slot + OFFSET_CHANNEL] !== channel) continue;
      const known = this.match(view.getInt32(slot + OFFSET_ID, true));
      if (known === 0) continue;
      found++;
      view.setInt32(slot + OFFSET_ID, known, true);
    }
    return found;
  }

  /**
   * The frames that `match` gives to these messages, and no others, as pairs of id and mask. A group whose message takes every
   * source is one pair; each source that has a message of its own, and each whole id that means itself, is cut out of it.
   *
   * @param wanted id words (with EFF bit) of messages
   */
  masksOf(wanted: ReadonlySet<number>): IdMask[] {
    const masks: IdMask[] = [];
    const isWanted = (one: number) => wanted.has((one | DATA_FRAME) >>> 0);
    const sourcesOf = Map.groupBy(this.#bySource, ([key]) => key >>> 8);
    const exactOf = Map.groupBy(this.#exact, matchKey);
    for (const [group, id] of this.#byGroup) {
      const form = FORM_MASK | (isPdu2(group << 8) ? PDU2_MASK : PDU1_MASK);
      const every = { id: DATA_FRAME | (group << 8), mask: form };
      const sources = sourcesOf.get(group) ?? [];
      const ofSource = (key: number) => ({ id: every.id | (key & SOURCE_MASK), mask: form | SOURCE_MASK });
      const chosen = isWanted(id)
        ? without(
            [every],
            sources.filter(([, own]) => !isWanted(own)).map(([key]) => ofSource(key)),
          )
        : sources.filter(([, own]) => isWanted(own)).map(([key]) => ofSource(key));
      const exact = exactOf.get(group) ?? [];
      masks.push(
        ...without(
          chosen,
          exact.map((one) => ({ id: DATA_FRAME | one, mask: FORM_MASK | CAN_EFF_MASK })),
        ),
      );
    }
    return masks.map(({ id, mask }) => ({ id: id >>> 0, mask: mask >>> 0 }));
  }

  /**
   * @param word id word of a frame with its flags, as a signed number
   * @returns that of its message in the database, signed; 0 where the frame is no data frame of a group that it has
   */
  match(word: number): number {
    if ((word & FLAGS) !== DATA_FRAME) return 0;
    const id = word & CAN_EFF_MASK;
    if (this.#exact.has(id)) return 0;
    const known = this.idOf(matchKey(id), sourceOf(id));
    return known === -1 ? 0 : known | DATA_FRAME;
  }
}

function keyOf(group: number, source: number): number {
  return (group << 8) | source;
}
