import { type Atom, type Condition, FALSE, reduce, TRUE, type Truth, UNKNOWN } from './condition.ts';
import type { ContextBinding } from './context.ts';
import { type Parameters, transformValue } from './transforms.ts';
import { isPurpose, OPERANDS, type Operator } from './vocabulary.ts';

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
  /** What the configuration says of a context operand, after prohibitions on its signals. */
  readonly binding: (operand: string) => ContextBinding | 'prohibited';
}

/** Replaces what is known in a condition and leaves the rest to the gate. */
export function decide(condition: Condition, known: Known): Condition {
  return reduce(condition, (atom, exclusive) => decideAtom(atom, known, exclusive));
}

function decideAtom(atom: Atom, known: Known, exclusive: boolean): { state: Truth; text: string } | null {
  const { phase, type } = OPERANDS[atom.operand]!;
  if (phase === 'stream') {
    const id = atom.operand === 'purpose' ? known.purpose : known.recipient;
    return { state: truth(idHolds(atom, id)), text: `${atom.text}, is ${id}` };
  }
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

const truth = (holds: boolean): Truth => (holds ? TRUE : FALSE);

/** A moment that has passed does not come again; only this direction may be decided once. */
function overForEver(atom: Atom, nowUtcMs: number | null): boolean {
  if (atom.value.type !== 'instant' || nowUtcMs === null) return false;
  if (atom.operator === 'lt') return nowUtcMs >= atom.value.ms;
  return atom.operator === 'lteq' && nowUtcMs > atom.value.ms;
}

function idHolds({ operand, operator, value }: Atom, id: string): boolean {
  const ids = value.type === 'ids' ? value.ids : [];
  const isKind = operand === 'purpose' ? isPurpose : (one: string, of: string) => one === of;
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
