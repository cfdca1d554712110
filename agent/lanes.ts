import type { FrameFilter, SignalInfo, UtcReading } from '#contracts';
import { type BusDecoder, CellReader, createBusDecoder, type Rows } from '#decoders';
import type { Plan } from '#policies';
import type { Channel } from './documents.ts';
import { type Passage, passageOf } from './passages.ts';
import type { UnitResources } from './resources.ts';
import { type Route, routeTable } from './routes.ts';

/** A context signal in a row: the gate sees its value, nothing else does. */
export interface ContextCell {
  readonly index: number;
  readonly cells: readonly CellReader[];
  readonly signal: SignalInfo;
}

/** What is done with the rows of one message. */
export interface Step {
  /** Of a row, and of its first cell behind the row's start, bytes. */
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

/** One batch between its decoder and the gate. */
export interface Decoded {
  readonly rows: Rows;
  readonly lane: Lane;
  /** Receive time of the last frame, ns of boottime. */
  readonly lastNs: number;
  /** What the clock said before a time jump. */
  readonly jumped: UtcReading | null;
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
    const form = strict === true ? ('scalar' as const) : undefined;
    const same = old?.signals.length === signals.length && signals.every((signal) => old.signals.includes(signal));
    const decoder =
      old !== undefined && same ? old.decoder : createBusDecoder({ channel, database, signals, ...transports, form });
    const routes = routeTable(decoder.layout, plan.streams, resources);
    const steps = decoder.layout.messages.map((message, i) => ({
      rowBytes: message.rowBytes,
      firstCell: message.firstCell,
      context: message.signals.flatMap((cell) => {
        const { signal } = cell;
        const index = contextSignals.findIndex(({ dbcName }) => dbcName === signal.dbcName);
        return index < 0 ? [] : [{ index, cells: CellReader.of(cell), signal }];
      }),
      passages: routes[i]!.map(passageOf),
      generation: -1,
    }));
    return { signals, decoder, steps, routes };
  });
}

/** The frames with a decode right and those that carry such messages, channel by channel: what sources let through. */
export function filterOf(lanes: readonly Lane[]): FrameFilter {
  return { ids: lanes.map(({ decoder }) => decoder.ids), masks: lanes.map(({ decoder }) => decoder.masks) };
}
