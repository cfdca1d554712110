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
 * @param first place of the row's first cell in `f64`, `presence` that of its bitmap in `u32`
 * @returns how many passed
 */
export function admit(
  { route, order, passing }: Passage,
  gate: Gate,
  f64: Float64Array,
  first: number,
  u32: Uint32Array,
  presence: number,
): number {
  const { stream, cells, signals, values, admitted } = route;
  let passed = 0;
  for (let i = 0; i < order.length; i++) {
    const input = order[i]!;
    const cell = cells[input]!;
    const pass = isPresent(u32, presence, cell) && (i < passing || gate.admits(stream, signals[input]!));
    values[input] = pass ? f64[first + cell]! : 0;
    admitted[input] = pass ? 1 : 0;
    if (pass) passed++;
  }
  return passed;
}

/** Whether a cell of a row is there; `presence` is the row's first word of the bitmap. */
export function isPresent(u32: Uint32Array, presence: number, cell: number): boolean {
  return ((u32[presence + (cell >>> 5)]! >>> (cell & 31)) & 1) === 1;
}
