import type { Operator } from './vocabulary.ts';

/** A place of `auto:position`; degrees WGS 84, metres. Polygons do not cross the 180th meridian. */
export type Place =
  | { readonly shape: 'circle'; readonly latitude: number; readonly longitude: number; readonly radius: number }
  | { readonly shape: 'polygon'; readonly points: readonly (readonly [latitude: number, longitude: number])[] };

export type AtomValue =
  | { readonly type: 'ids'; readonly ids: readonly string[] }
  | { readonly type: 'numbers'; readonly numbers: readonly number[] }
  | { readonly type: 'instant'; readonly ms: number }
  | { readonly type: 'timeOfDay'; readonly ms: number; readonly zoneMs: number }
  /** Bit i is day i of `DAYS`. */
  | { readonly type: 'days'; readonly mask: number }
  | { readonly type: 'places'; readonly places: readonly Place[] };

/** One constraint of a rule. */
export interface Atom {
  readonly op: 'atom';
  readonly operand: string;
  readonly operator: Operator;
  readonly value: AtomValue;
  /** As the document says it: `auto:vehicleSpeed gt 20`. */
  readonly text: string;
  readonly pointer: string;
}

/** A constraint or a logical one (ODRL IM §2.5.3); `andSequence` reads as `and`. */
export type Condition =
  | Atom
  | { readonly op: 'and' | 'or' | 'xone'; readonly parts: readonly Condition[] }
  /** What the plan already knows; `text` is the constraint that made it so, with what was found. */
  | { readonly op: 'known'; readonly state: Truth; readonly text: string };

/** Three values: what is not known is neither true nor false, and fails closed. */
export type Truth = 0 | 1 | 2;
export const FALSE = 0;
export const TRUE = 1;
export const UNKNOWN = 2;

export const ALWAYS: Condition = { op: 'and', parts: [] };

/** Kleene's logic over the parts; `xone` is exactly one. */
export function combine(op: 'and' | 'or' | 'xone', states: readonly Truth[]): Truth {
  const trues = states.filter((state) => state === TRUE).length;
  const unknowns = states.filter((state) => state === UNKNOWN).length;
  if (op === 'and') {
    if (states.includes(FALSE)) return FALSE;
    return unknowns > 0 ? UNKNOWN : TRUE;
  }
  if (op === 'or') {
    if (trues > 0) return TRUE;
    return unknowns > 0 ? UNKNOWN : FALSE;
  }
  if (trues > 1) return FALSE;
  if (unknowns > 0) return UNKNOWN;
  return trues === 1 ? TRUE : FALSE;
}

/**
 * Replaces each atom by what `decide` knows of it and folds what follows. An atom for which `decide` returns null stays
 * for the gate. `exclusive` tells that the atom stands somewhere below a `xone`, where false may make the whole true.
 */
export function reduce(
  condition: Condition,
  decide: (atom: Atom, exclusive: boolean) => { readonly state: Truth; readonly text: string } | null,
  exclusive = false,
): Condition {
  if (condition.op === 'known') return condition;
  if (condition.op === 'atom') {
    const known = decide(condition, exclusive);
    return known === null ? condition : { op: 'known', ...known };
  }
  const parts = condition.parts.map((part) => reduce(part, decide, exclusive || condition.op === 'xone'));
  const known = parts.filter((part) => part.op === 'known');
  if (condition.op === 'and') {
    const never = known.find(({ state }) => state === FALSE);
    if (never !== undefined) return never;
    const open = parts.filter((part) => part.op !== 'known' || part.state === UNKNOWN);
    return open.length === 1 ? open[0]! : { op: 'and', parts: open };
  }
  if (condition.op === 'or') {
    const always = known.find(({ state }) => state === TRUE);
    if (always !== undefined) return always;
    const open = parts.filter((part) => part.op !== 'known' || part.state === UNKNOWN);
    if (open.length === 0) return known[0] ?? { op: 'known', state: FALSE, text: 'an empty "or"' };
    return open.length === 1 ? open[0]! : { op: 'or', parts: open };
  }
  if (known.length < parts.length) return { op: 'xone', parts };
  const state = combine(
    'xone',
    known.map((part) => part.state),
  );
  return { op: 'known', state, text: `exactly one of (${known.map(({ text }) => text).join('; ')})` };
}

/** True where nothing is left to ask and everything held. */
export function isAlways(condition: Condition): boolean {
  return (
    (condition.op === 'and' && condition.parts.length === 0) || (condition.op === 'known' && condition.state === TRUE)
  );
}

/** The text of the first part that is known to fail, for explanations. */
export function failing(condition: Condition): string | null {
  if (condition.op === 'known') return condition.state === TRUE ? null : condition.text;
  if (condition.op === 'atom') return null;
  for (const part of condition.parts) {
    const text = failing(part);
    if (text !== null) return text;
  }
  return null;
}

/** The condition in words, as `explain` prints it. */
export function conditionText(condition: Condition): string {
  if (condition.op === 'known') return condition.text;
  if (condition.op === 'atom') return condition.text;
  if (condition.parts.length === 0) return 'always';
  const parts = condition.parts.map((part) =>
    part.op === 'atom' || part.op === 'known' ? conditionText(part) : `(${conditionText(part)})`,
  );
  return condition.op === 'xone' ? `exactly one of: ${parts.join('; ')}` : parts.join(` ${condition.op} `);
}

/** Every atom of a condition, in order. */
export function atomsOf(condition: Condition): readonly Atom[] {
  if (condition.op === 'atom') return [condition];
  return condition.op === 'known' ? [] : condition.parts.flatMap(atomsOf);
}

/** Whether a condition may still become true; what rests on something unknown for good cannot. */
export function canHold(condition: Condition): boolean {
  if (condition.op === 'known') return condition.state === TRUE;
  if (condition.op === 'atom') return true;
  if (condition.op === 'or') return condition.parts.some(canHold);
  if (condition.op === 'and') return condition.parts.every(canHold);
  return (
    !condition.parts.some((part) => part.op === 'known' && part.state === UNKNOWN) && condition.parts.some(canHold)
  );
}

/** Whether a condition may still become false. */
export function canFail(condition: Condition): boolean {
  if (condition.op === 'known') return condition.state === FALSE;
  if (condition.op === 'atom') return true;
  return condition.op === 'or'
    ? condition.parts.every(canFail)
    : condition.op === 'xone' || condition.parts.some(canFail);
}
