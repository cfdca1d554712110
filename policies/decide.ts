import { type Atom, type Condition, FALSE, reduce, TRUE, type Truth, UNKNOWN } from './condition.ts';
import type { ContextBinding, UnitFacts } from './context.ts';
import { type Parameters, transformValue } from './transforms.ts';
import type { Sensitivity } from './vocabulary.ts';
import { ATTESTATION, isPurpose, isRegion, OPERANDS, type Operator, SENSITIVITY } from './vocabulary.ts';

/** What the unit knows of a recipient by credentials that hold now. A recipient without facts is unknown: fails closed. */
export interface RecipientFacts {
  /** 0 to 5; null: no rating holds. */
  readonly credit: number | null;
  readonly roles: readonly string[];
  /** ISO 3166 code; absent or null: unknown. */
  readonly region?: string | null;
}

/** What is known when the plan is made, for one campaign. */
export interface Known {
  readonly recipient: string;
  readonly purpose: string;
  /**
   * ms since 1970 UTC by the clock of the unit, to drop a permission that is over; null where unknown, and for
   * prohibitions and obligations: a clock that runs ahead must not lift one, so the gate asks the time of each row.
   */
  readonly nowUtcMs: number | null;
  /** The operation as it will run; null while demands are still gathered. */
  readonly parameters: Parameters | null;
  /** Null: unknown. */
  readonly facts: RecipientFacts | null;
  readonly unit: UnitFacts;
  /** Class of a signal. */
  readonly sensitivity: Sensitivity;
  /** What the configuration says of a context operand, after prohibitions on its signals. */
  readonly binding: (operand: string) => ContextBinding | 'prohibited';
}

/** Replaces what is known in a condition and leaves the rest to the gate. */
export function decide(condition: Condition, known: Known): Condition {
  return reduce(condition, (atom, exclusive) => decideAtom(atom, known, exclusive));
}

/** What is known of one atom; null: the gate has to ask. */
export function decideAtom(atom: Atom, known: Known, exclusive: boolean): { state: Truth; text: string } | null {
  const { phase, type } = OPERANDS[atom.operand]!;
  if (phase === 'stream') {
    const id = atom.operand === 'purpose' ? known.purpose : known.recipient;
    return { state: truth(idHolds(atom, id)), text: `${atom.text}, is ${id}` };
  }
  if (phase === 'recipient' || phase === 'unit' || phase === 'signal') return standing(atom, known);
  if (phase === 'counter') return { state: UNKNOWN, text: `${atom.text}, is counted, not tested` };
  if (phase === 'transform') {
    if (known.parameters === null) return null;
    const value = transformValue(atom.operand, known.parameters);
    const shown = type === 'duration' ? `${value} ms` : String(value);
    return { state: truth(numbersHold(atom, value)), text: `${atom.text}, is ${shown}` };
  }
  if (phase === 'time') {
    // Of alternatives that exclude each other, one that is over opens the other: the gate decides those.
    const over = !exclusive && overForEver(atom, known.nowUtcMs);
    return over ? { state: FALSE, text: `${atom.text}, is over` } : null;
  }
  const binding = known.binding(atom.operand);
  if (binding === 'prohibited') return { state: UNKNOWN, text: `${atom.text}, is unknown: its signal may not be read` };
  if (binding.kind === 'none')
    return { state: UNKNOWN, text: `${atom.text}, is unknown: the unit has no such context` };
  if (binding.kind === 'signals') return null;
  return { state: truth(numbersHold(atom, binding.value)), text: `${atom.text}, is assumed ${binding.value}` };
}

/** What credentials, the unit and the class of a signal say; no word of them is unknown. */
function standing(atom: Atom, { facts, unit, sensitivity }: Known): { state: Truth; text: string } {
  const told = (state: Truth, found: string | number) => ({ state, text: `${atom.text}, is ${found}` });
  const unknown: { state: Truth; text: string } = { state: UNKNOWN, text: `${atom.text}, is unknown` };
  const level = (levels: readonly string[], found: string | undefined) =>
    found === undefined ? unknown : told(truth(numbersHold(atom, levels.indexOf(found))), found);
  const region = (found: string | null | undefined) =>
    found === undefined || found === null ? unknown : told(truth(idHolds(atom, found)), found);
  switch (atom.operand) {
    case 'auto:recipientRole':
      return facts === null ? unknown : told(truth(rolesHold(atom, facts.roles)), facts.roles.join(', ') || 'none');
    case 'auto:recipientCredit': {
      const credit = facts?.credit ?? null;
      return credit === null ? unknown : told(truth(numbersHold(atom, credit)), credit);
    }
    case 'auto:recipientRegion':
      return region(facts?.region);
    case 'auto:region':
      return region(unit.region);
    case 'auto:attestation':
      return level(ATTESTATION, unit.attestation);
    default:
      return level(SENSITIVITY, sensitivity);
  }
}

/** A recipient has several roles: one that fits is enough, none may where none is wanted, `isAllOf` wants each. */
function rolesHold({ operator, value }: Atom, roles: readonly string[]): boolean {
  const ids = value.type === 'ids' ? value.ids : [];
  const some = ids.some((id) => roles.includes(id));
  if (operator === 'neq' || operator === 'isNoneOf') return !some;
  return operator === 'isAllOf' ? ids.every((id) => roles.includes(id)) : some;
}

const truth = (holds: boolean): Truth => (holds ? TRUE : FALSE);

/** A moment that has passed does not come again; only this direction may be decided once. */
function overForEver(atom: Atom, nowUtcMs: number | null): boolean {
  if (atom.value.type !== 'instant' || nowUtcMs === null) return false;
  if (atom.operator === 'lt') return nowUtcMs >= atom.value.ms;
  return atom.operator === 'lteq' && nowUtcMs > atom.value.ms;
}

function idHolds({ operand, operator, value }: Atom, id: string): boolean {
  const ids = value.type === 'ids' ? value.ids : [];
  const type = OPERANDS[operand]?.type;
  const same = (one: string, of: string) => one === of;
  const isKind = type === 'purpose' ? isPurpose : type === 'region' ? isRegion : same;
  switch (operator) {
    case 'eq':
      return ids[0] === id;
    case 'neq':
      return ids[0] !== id;
    case 'isNoneOf':
      return !ids.some((of) => isKind(id, of));
    case 'isAllOf':
      return ids.every((of) => isKind(id, of));
    case 'hasPart':
      return isKind(ids[0]!, id);
    default:
      return ids.some((of) => isKind(id, of));
  }
}

function numbersHold({ operator, value }: Atom, found: number): boolean {
  const numbers = value.type === 'numbers' ? value.numbers : [];
  if (operator === 'isAnyOf') return numbers.includes(found);
  if (operator === 'isNoneOf') return !numbers.includes(found);
  return compare(operator, found, numbers[0]!);
}

/** The six orders of ODRL on numbers; anything with NaN is false. */
export function compare(operator: Operator, found: number, wanted: number): boolean {
  switch (operator) {
    case 'eq':
      return found === wanted;
    case 'neq':
      return found < wanted || found > wanted;
    case 'lt':
      return found < wanted;
    case 'lteq':
      return found <= wanted;
    case 'gt':
      return found > wanted;
    case 'gteq':
      return found >= wanted;
    default:
      return false;
  }
}
