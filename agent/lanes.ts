import type { SignalInfo } from '#contracts';
import { type BusDecoder, createBusDecoder } from '#decoders';
import type { Plan } from '#policies';
import type { Channel, Documents } from './documents.ts';
import { type Passage, passageOf } from './passages.ts';
import type { UnitResources } from './resources.ts';
import { type Route, routeTable } from './routes.ts';

/** A context signal in a row: the gate sees its value, nothing else does. */
export interface ContextCell {
  readonly index: number;
  readonly cell: number;
  readonly signal: SignalInfo;
}

/** What is done with the rows of one message. */
export interface Step {
  /** Of a row, bytes; and of its first cell behind the row's start, doubles. */
  readonly rowBytes: number;
  readonly firstCell: number;
  readonly context: readonly ContextCell[];
  readonly passages: readonly Passage[];
  /** Generation of the gate as of which the passages stand; −1 before the first. */
  generation: number;
}

/** What the plan makes of one source: its decoder, and for each message the context and the routes of its rows. */
export interface Lane {
  /** The signals with a decode right. */
  readonly signals: readonly SignalInfo[];
  readonly decoder: BusDecoder;
  readonly steps: readonly Step[];
  readonly routes: readonly (readonly Route[])[];
}

/** Signals with the right `context`, in the order in which the gate numbers them. */
export function contextSignalsOf(plan: Plan): SignalInfo[] {
  return plan.rights.filter(({ right }) => right === 'context').map(({ signal }) => signal);
}

/**
 * One lane a channel, holding the signals with a decode right and no others.
 *
 * @param before lanes of the plan before: a decoder of the same signals is used on
 */
export function lanesOf(
  plan: Plan,
  channels: readonly Channel[],
  before: readonly Lane[],
  resources: UnitResources,
): Lane[] {
  const contextSignals = contextSignalsOf(plan);
  return channels.map(({ database, transports, strict }, channel) => {
    const signals = [...new Set(plan.rights.map(({ signal }) => signal))].filter((one) => one.channel === channel);
    const old = before[channel];
    const form = strict === true ? 'scalar' : 'grouped';
    const same = old?.signals.length === signals.length && signals.every((signal) => old.signals.includes(signal));
    const decoder =
      old !== undefined && same ? old.decoder : createBusDecoder({ channel, database, signals, ...transports, form });
    const routes = routeTable(decoder.layout, plan.streams, resources);
    const steps = decoder.layout.messages.map((message, i) => ({
      rowBytes: message.rowBytes,
      firstCell: message.rowBytes / 8 - message.cells,
      context: message.signals.flatMap(({ signal, cell }) => {
        const index = contextSignals.findIndex(({ dbcName }) => dbcName === signal.dbcName);
        return index < 0 ? [] : [{ index, cell, signal }];
      }),
      passages: routes[i]!.map(passageOf),
      generation: -1,
    }));
    return { signals, decoder, steps, routes };
  });
}

/**
 * Id words with a decode right and those of the frames that carry such messages, for the sources' filters; null where any
 * frame may be of a parameter group that is decoded.
 */
export function idsOf(lane: Lane): readonly number[] | null {
  return lane.decoder.ids;
}

/**
 * Ids that some consent could open: of every signal that a campaign asks for or that is context. Where consents come while
 * the unit runs, sources must not drop them for good; what has no right is not decoded all the same.
 */
export function reachable({ channels, campaigns, byName, context }: Reachable): (readonly number[] | null)[] {
  const names = [
    ...campaigns.flatMap((campaign) => [...campaign.signals.map(({ signal }) => signal), ...campaign.context]),
    ...Object.values(context),
  ];
  const found = new Set(names.flatMap((name) => byName.get(name) ?? []));
  return channels.map(({ database, transports }, channel) => {
    const signals = [...found].filter((signal) => signal.channel === channel);
    return createBusDecoder({ channel, database, signals, ...transports }).ids;
  });
}

type Reachable = Pick<Documents, 'channels' | 'campaigns' | 'byName' | 'context'>;
