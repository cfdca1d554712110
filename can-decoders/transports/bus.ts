import { TollgateError } from '#contracts';
import type { IsoTpLink } from '../isotp/links.ts';
import { type IsoTpCounters, IsoTpListener } from '../isotp/listener.ts';
import { type J1939MessageHandler, J1939Transport, type J1939TransportCounters } from '../j1939/transport.ts';
import { ObdAnswers, type ObdCounters } from '../obd/answers.ts';
import { type IsoTpEntry, wordOfId } from './options.ts';

/** Takes the messages of one bus. */
export interface MessageSink {
  wantsGroup(pgn: number, source: number): boolean;
  readonly j1939: J1939MessageHandler;
  /** @param word of the message in the database; `bus` of the frames that carried it */
  isotp(word: number, bus: number, timeNs: number, bytes: Uint8Array, start: number, length: number): void;
}

/** Counters of the transports of all buses; null where there is no such transport. */
export interface TransportCounters {
  readonly j1939: J1939TransportCounters | null;
  readonly isotp: IsoTpCounters | null;
  readonly obd: ObdCounters | null;
}

/** The sessions of one bus. A listener takes links of one form of addressing and one kind of content. */
export class Bus {
  readonly #j1939: J1939Transport | null;
  readonly #listeners: readonly IsoTpListener[];
  readonly #answers: readonly ObdAnswers[];

  /** @throws {TollgateError} TG_TRANSPORT_LINK where links contradict */
  constructor(sink: MessageSink, { j1939, isotp }: { j1939: boolean; isotp: readonly IsoTpEntry[] }) {
    this.#j1939 = j1939
      ? new J1939Transport(sink.j1939, { wants: (pgn, source) => sink.wantsGroup(pgn, source) })
      : null;
    const answers: ObdAnswers[] = [];
    this.#answers = answers;
    this.#listeners = groupsOf(isotp).map((entries) => {
      const [{ content = 'message', lengthByte = false, address, dids = {} }] = entries as [IsoTpEntry];
      // A listener hands over the number of the link, so that links of one message are told apart.
      const links = entries.map((entry, i): IsoTpLink => ({ ...linkOf(entry), as: i }));
      const words = entries.map(({ id, message }) => ({ bus: wordOfId(id), word: wordOfId(message ?? id) }));
      const hand = (link: number, timeNs: number, bytes: Uint8Array, start: number, length: number) => {
        const { bus, word } = words[link]!;
        sink.isotp(word, bus, timeNs, bytes, start, length);
      };
      const options = { links, addressing: address === undefined ? 'normal' : 'extended' } as const;
      if (content === 'message') return new IsoTpListener(hand, options);
      const taken = new ObdAnswers(
        (link, timeNs, _service, _parameter, bytes, start, length) => hand(link, timeNs, bytes, start, length),
        { lengthByte, didBytes: didBytesOf(dids) },
      );
      answers.push(taken);
      return new IsoTpListener(
        (link, timeNs, bytes, start, length) => taken.push(link, timeNs, bytes, start, length),
        options,
      );
    });
  }

  /** One frame; whether it belongs to an ISO-TP link. */
  slot(view: DataView, bytes: Uint8Array, slot: number, slotBytes: number): boolean {
    this.#j1939?.slot(view, bytes, slot);
    let isCarrier = false;
    for (const listener of this.#listeners) {
      if (listener.slot(view, bytes, slot, slotBytes)) isCarrier = true;
    }
    return isCarrier;
  }

  reset(): void {
    this.#j1939?.reset();
    for (const listener of this.#listeners) listener.reset();
  }

  static sum(buses: readonly Bus[]): TransportCounters {
    return {
      j1939: added(buses.flatMap((bus) => (bus.#j1939 === null ? [] : [bus.#j1939.counters]))),
      isotp: added(buses.flatMap((bus) => bus.#listeners.map(({ counters }) => counters))),
      obd: added(buses.flatMap((bus) => bus.#answers.map(({ counters }) => counters))),
    };
  }
}

/** What several decoders have seen together. */
export function sumOfCounters(list: readonly TransportCounters[]): TransportCounters {
  return {
    j1939: added(list.flatMap(({ j1939 }) => j1939 ?? [])),
    isotp: added(list.flatMap(({ isotp }) => isotp ?? [])),
    obd: added(list.flatMap(({ obd }) => obd ?? [])),
  };
}

function linkOf({ id, flow, address, flowAddress }: IsoTpEntry): IsoTpLink {
  return {
    id: wordOfId(id),
    ...(flow === undefined ? {} : { flowId: wordOfId(flow) }),
    ...(address === undefined ? {} : { address }),
    ...(flowAddress === undefined ? {} : { flowAddress }),
  };
}

/** @throws {TollgateError} TG_TRANSPORT_LINK */
function didBytesOf(dids: Readonly<Record<string, number>>): ReadonlyMap<number, number> {
  return new Map(
    Object.entries(dids).map(([did, bytes]) => {
      const number = Number(did);
      if (Number.isInteger(number) && number >= 0 && number <= 0xffff) return [number, bytes] as const;
      throw new TollgateError('TG_TRANSPORT_LINK', `"${did}" is no data identifier: it is a number up to 0xFFFF`);
    }),
  );
}

function groupsOf(entries: readonly IsoTpEntry[]): IsoTpEntry[][] {
  const groups = new Map<string, IsoTpEntry[]>();
  for (const entry of entries) {
    const { address, content = 'message', lengthByte = false, dids = {} } = entry;
    const key = JSON.stringify([address !== undefined, content, lengthByte, dids]);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(entry);
  }
  return [...groups.values()];
}

function added<C extends { [K in keyof C]: number }>(list: readonly C[]): C | null {
  const [first, ...more] = list;
  if (first === undefined) return null;
  const sum = { ...first };
  for (const one of more)
    for (const key of Object.keys(sum) as (keyof C)[]) sum[key] = (sum[key] + one[key]) as C[keyof C];
  return sum;
}
