import type { SignalInfo } from '#contracts';
import { createDecoder, type Decoder } from '#decoders';
import type { Plan } from '#policies';
import type { Channel } from './documents.ts';
import { type Route, routeTable } from './routes.ts';

/** A context signal in a row: the gate sees its value, nothing else does. */
export interface ContextCell {
  readonly index: number;
  readonly cell: number;
  readonly signal: SignalInfo;
}

/** What the plan makes of one source: its decoder, and for each message the context and the routes of its rows. */
export interface Lane {
  readonly decoder: Decoder;
  readonly context: readonly (readonly ContextCell[])[];
  readonly routes: readonly (readonly Route[])[];
}

/** One lane a channel, holding the signals with a decode right and no others. */
export function lanesOf(plan: Plan, channels: readonly Channel[]): Lane[] {
  const contextSignals = plan.rights.filter(({ right }) => right === 'context').map(({ signal }) => signal);
  return channels.map(({ database }, channel) => {
    const signals = [...new Set(plan.rights.map(({ signal }) => signal))].filter((one) => one.channel === channel);
    const decoder = createDecoder({ channel, database, signals });
    const context = decoder.layout.messages.map((message) =>
      message.signals.flatMap(({ signal, cell }) => {
        const index = contextSignals.findIndex(({ dbcName }) => dbcName === signal.dbcName);
        return index < 0 ? [] : [{ index, cell, signal }];
      }),
    );
    return { decoder, context, routes: routeTable(decoder.layout, plan.streams) };
  });
}

/** Id words with a decode right, for the sources' filters. */
export function idsOf(lane: Lane): number[] {
  return lane.decoder.layout.messages.map(({ id }) => id);
}

const BITS_PER_WORD = 32;

/** Whether a cell of a row is there; `presence` is the row's first word of the bitmap. */
export function isPresent(u32: Uint32Array, presence: number, cell: number): boolean {
  return ((u32[presence + Math.floor(cell / BITS_PER_WORD)]! >>> (cell % BITS_PER_WORD)) & 1) === 1;
}
