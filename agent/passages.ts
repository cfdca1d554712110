import { isPresent } from '#decoders';
import type { Gate } from '#policies';
import type { Route } from './routes.ts';

/**
 * A route as the gate stands: its inputs with those first that may pass. What the gate says of them holds until its
 * generation changes, so a sample costs no question; what it keeps back is asked sample by sample, for the gate counts it.
 */
export interface Passage {
  readonly route: Route;
  /** Numbers of the route's inputs: `passing` that are open, then the others. */
  readonly order: Int32Array;
  passing: number;
}

export function passageOf(route: Route): Passage {
  return { route, order: Int32Array.from(route.cells, (_, input) => input), passing: 0 };
}

/** Sorts the inputs by what the gate says now. */
export function sortPassages(passages: readonly Passage[], gate: Gate): void {
  for (const passage of passages) {
    const { route, order } = passage;
    const { stream, signals } = route;
    let from = 0;
    let to = order.length;
    for (let input = 0; input < order.length; input++) {
      if (gate.opens(stream, signals[input]!)) order[from++] = input;
      else order[--to] = input;
    }
    passage.passing = from;
  }
}

/**
 * Fills the route's scratch with the cells of a row that are there and may pass.
 *
 * @param at start of the row, bytes; `first`: place of its first cell in `u32`
 * @returns how many passed
 */
export function admit(
  { route, order, passing }: Passage,
  gate: Gate,
  u32: Uint32Array,
  at: number,
  first: number,
): number {
  const { stream, cells, signals, values, admitted } = route;
  let passed = 0;
  for (let i = 0; i < order.length; i++) {
    const input = order[i]!;
    const reader = cells[input]!;
    const pass = isPresent(u32, at, reader.cell) && (i < passing || gate.admits(stream, signals[input]!));
    values[input] = pass ? reader.read(u32, first) : 0;
    admitted[input] = pass ? 1 : 0;
    if (pass) passed++;
  }
  return passed;
}
