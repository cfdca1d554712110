import type { FrameBatch, IdMask, SignalInfo } from '#contracts';
import type { Database, Message } from '#dbc/model';
import { createDecoder, type Decoder, type DecoderInput, type Rows } from '../decoder.ts';
import { PgnMatcher } from '../j1939/match.ts';
import { hasSpnStatus } from '../j1939/status.ts';
import { TRANSPORT_MASKS } from '../j1939/transport.ts';
import type { RowLayout } from '../layout.ts';
import { decodePlan } from '../plan.ts';
import { idWord } from '../signals.ts';
import type { TransportCounters } from './bus.ts';
import { LongRows, MOST_SLOT_BYTES } from './long.ts';
import { type TransportOptions, wordOfId } from './options.ts';
import { RowRules, type SignalRules } from './rules.ts';
import { SlotKind, TransportStage } from './stage.ts';

export interface BusDecoderInput extends DecoderInput, TransportOptions {
  /**
   * Raw values of J1939 that are "not available", "error" or another indicator: `drop` makes them absent, `keep` leaves
   * them to `RowReader`, which names them. Default: drop.
   */
  readonly statuses?: 'drop' | 'keep';
  /** Also puts messages together that the decoder does not know, for those who list all of a bus. Default: false. */
  readonly all?: boolean;
}

/** A decoder of what a bus carries: frames, and the messages of its transports. */
export interface BusDecoder extends Decoder {
  /** Id words that sources must let through: of the messages, and of the links that carry them. With `all` of no use. */
  readonly ids: readonly number[];
  /** Beside them, the frames of parameter groups, whatever their priority, source and destination. */
  readonly masks: readonly IdMask[];
  /**
   * With `all`, the slots that the last `decode` read; else they are zero by then. Null where a bus carries nothing but
   * frames: there they are the batch's.
   */
  readonly stage: TransportStage | null;
  /** Values made absent because they were a status of J1939, or had no place in the mapping's `values`. */
  readonly withheld: number;
  counters(): TransportCounters;
}

const NO_COUNTERS: TransportCounters = { j1939: null, isotp: null, obd: null };

/**
 * The decoder of a bus. Where the signals need no transport and no rule it is `createDecoder` and costs nothing more.
 *
 * @throws {TollgateError} as `createDecoder`, and TG_TRANSPORT_LINK
 */
export function createBusDecoder(input: BusDecoderInput): BusDecoder {
  const { database, signals, isotp = [], j1939 = 'declared', statuses = 'drop', all = false } = input;
  const decoder = createDecoder(input);
  const words = new Set(decoder.layout.messages.map(({ id }) => id));
  const every = j1939 === 'every';
  const groups = messagesOf(database, words).filter((one) => one.extended && (one.j1939 || every));
  const isJ1939 = j1939 !== 'off' && (groups.length > 0 || (all && every));
  const rules = new RowRules(decoder.layout, (info) => rulesOf(info, database, isJ1939 && statuses === 'drop', every));
  if (!isJ1939 && isotp.length === 0 && rules.isEmpty) {
    const ids = decoder.layout.messages.map(({ id }) => id);
    return {
      layout: decoder.layout,
      module: decoder.module,
      get memory() {
        return decoder.memory;
      },
      ids,
      masks: [],
      changes: decoder.changes,
      stage: null,
      withheld: 0,
      decode: (batch) => decoder.decode(batch),
      counters: () => NO_COUNTERS,
    };
  }
  const matcher = isJ1939 ? new PgnMatcher(database, { every }) : null;
  const stage =
    isJ1939 || isotp.length > 0
      ? new TransportStage({ matcher, isotp, wanted: all ? null : words, channel: input.channel })
      : null;
  const isLong = messagesOf(database, words).some(({ length }) => length > MOST_SLOT_BYTES);
  const long =
    isLong && stage !== null
      ? new LongRows(decodePlan(database, input.channel, signals), input.matchChannel === true ? input.channel : null)
      : null;
  // A group's own ids stand in its masks: of two messages of one group and source only the first is ever met.
  const grouped = new Set(isJ1939 ? groups.map(idWord) : []);
  const links = isotp.filter(({ id, message }) => words.has(wordOfId(message ?? id)));
  const carriers = links.flatMap(({ id, flow }) => (flow === undefined ? [id] : [id, flow]));
  const own = [...words].filter((word) => !grouped.has(word));
  const filter = {
    ids: [...new Set([...own, ...carriers.map(wordOfId)])],
    masks: matcher === null ? [] : [...matcher.masksOf(words), ...TRANSPORT_MASKS],
  };
  return new Composed(decoder, filter, stage, long, rules, all);
}

/** What sources must let through. */
type Wanted = Pick<BusDecoder, 'ids' | 'masks'>;

class Composed implements BusDecoder {
  /** Rows change after the module has written them. */
  readonly changes = null;
  readonly ids: readonly number[];
  readonly masks: readonly IdMask[];
  readonly stage: TransportStage | null;
  readonly #decoder: Decoder;
  readonly #long: LongRows | null;
  readonly #rules: RowRules;
  /** The slots are read after `decode`. */
  readonly #showsAll: boolean;

  constructor(
    decoder: Decoder,
    { ids, masks }: Wanted,
    stage: TransportStage | null,
    long: LongRows | null,
    rules: RowRules,
    showsAll: boolean,
  ) {
    this.#decoder = decoder;
    this.ids = ids;
    this.masks = masks;
    this.stage = stage;
    this.#long = long;
    this.#rules = rules;
    this.#showsAll = showsAll;
  }

  get layout(): RowLayout {
    return this.#decoder.layout;
  }
  get module(): Uint8Array {
    return this.#decoder.module;
  }
  get memory(): ArrayBufferLike {
    return this.#decoder.memory;
  }
  get withheld(): number {
    return this.#rules.withheld;
  }

  decode(batch: FrameBatch): Rows {
    const { stage } = this;
    if (stage === null) {
      const rows = this.#decoder.decode(batch);
      this.#rules.apply(rows);
      return rows;
    }
    const rows = this.#decoder.decode(stage.expand(batch));
    if (stage.longs > 0) this.#long?.rewrite(rows, stage);
    this.#rules.apply(rows);
    rows.unknown += stage.unknown;
    rows.ignored += stage.ignored;
    if (this.#showsAll) {
      // A carrier is neither a remote nor an error frame; it only must not be taken for a message.
      for (let slot = 0; slot < stage.count; slot++) if (stage.kind(slot) === SlotKind.Carrier) rows.ignored--;
    } else {
      stage.clear();
    }
    return rows;
  }

  counters(): TransportCounters {
    return this.stage === null ? NO_COUNTERS : this.stage.counters();
  }
}

/** Of two messages of one id the later one, as decoders read it. */
function messagesOf(database: Database, words: ReadonlySet<number>): Message[] {
  return database.messages.filter((message) => words.has(idWord(message)));
}

function rulesOf(info: SignalInfo, database: Database, statuses: boolean, every: boolean): SignalRules {
  const message = database.messages.find((one) => idWord(one) === info.id && one.name === info.message);
  const signal = message?.signals.find(({ name }) => name === info.signal);
  const hasStatus =
    statuses && message !== undefined && signal !== undefined && hasSpnStatus(database, message, signal, every);
  return { statusBits: hasStatus ? info.bits : 0, values: info.values ?? null };
}
