import type { TollgateError } from '#contracts';
import type { Atom, Condition } from './condition.ts';
import { OPERANDS } from './vocabulary.ts';

/** How much of what may leave under a permission. The store counts in the transaction that queues a record. */
export interface Budget {
  /** `count`: records; `bytes`: bytes of sealed records; `epsilon`: privacy loss of a signal, millionths. */
  readonly counts: 'count' | 'bytes' | 'epsilon';
  /** The most that may leave, ever or in each period. */
  readonly limit: number;
  /** The budget is a new one in each `[k · P, (k + 1) · P)` of UTC; absent: never. */
  readonly periodMs?: number;
  /** As the document says it. */
  readonly text: string;
}

/**
 * Takes the counters out of the constraints that must all hold: they are no test but a limit.
 *
 * @param parts changed in place
 * @param misplaced the error for a counter below `or` or `xone`, where a limit would mean nothing that can be kept
 */
export function takeBudgets(parts: Condition[], misplaced: (text: string) => TollgateError): Budget[] {
  const budgets: Budget[] = [];
  const kept = parts.flatMap((part) => withoutBudgets(part, budgets, misplaced));
  parts.splice(0, parts.length, ...kept);
  const period = takePeriod(parts);
  if (period === null) return budgets;
  if (!budgets.some(({ counts }) => counts === 'epsilon') || period.value.type !== 'numbers')
    throw misplaced(period.text);
  const periodMs = period.value.numbers[0]!;
  if (periodMs === 0) throw misplaced(period.text);
  return budgets.map((budget) => (budget.counts === 'epsilon' ? { ...budget, periodMs } : budget));
}

const PERIOD = 'auto:budgetPeriod';
const MICRO = 1_000_000;
const COUNTS: Readonly<Record<string, Budget['counts']>> = {
  count: 'count',
  'auto:bytes': 'bytes',
  'auto:budget': 'epsilon',
};

/** Takes the period of a privacy budget out of the constraints that must all hold. */
function takePeriod(parts: Condition[]): Atom | null {
  for (const [i, part] of parts.entries()) {
    if (part.op === 'atom' && part.operand === PERIOD) {
      parts.splice(i, 1);
      return part;
    }
    if (part.op !== 'and') continue;
    const inner = [...part.parts];
    const found = takePeriod(inner);
    if (found === null) continue;
    parts[i] = { op: 'and', parts: inner };
    return found;
  }
  return null;
}

function withoutBudgets(
  condition: Condition,
  budgets: Budget[],
  misplaced: (text: string) => TollgateError,
): Condition[] {
  if (condition.op === 'known') return [condition];
  if (condition.op === 'atom') {
    if (OPERANDS[condition.operand]?.phase !== 'counter') return [condition];
    const { operand, operator, text, value } = condition;
    if (operand === PERIOD) return [condition];
    const scale = operand === 'auto:budget' ? MICRO : 1;
    const wanted = value.type === 'numbers' ? value.numbers[0]! * scale : 0;
    // Whole numbers leave: fewer than 2.5 are at most 2.
    const most = operator === 'lt' ? Math.ceil(wanted) - 1 : Math.floor(wanted);
    const limit = Math.min(Math.max(0, most), Number.MAX_SAFE_INTEGER);
    budgets.push({ counts: COUNTS[operand]!, limit, text });
    return [];
  }
  if (condition.op === 'and') {
    return [{ op: 'and', parts: condition.parts.flatMap((part) => withoutBudgets(part, budgets, misplaced)) }];
  }
  const inside = condition.parts.flatMap(counters);
  if (inside.length > 0) throw misplaced(inside[0]!);
  return [condition];
}

function counters(condition: Condition): readonly string[] {
  if (condition.op === 'atom') return OPERANDS[condition.operand]?.phase === 'counter' ? [condition.text] : [];
  return condition.op === 'known' ? [] : condition.parts.flatMap(counters);
}
