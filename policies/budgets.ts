import type { TollgateError } from '#contracts';
import type { Condition } from './condition.ts';
import { OPERANDS } from './vocabulary.ts';

/** How much of what may leave under a permission. The store counts in the transaction that queues a record. */
export interface Budget {
  /** `count`: records; `bytes`: bytes of sealed records. */
  readonly counts: 'count' | 'bytes';
  /** The most that may ever leave. */
  readonly limit: number;
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
  return budgets;
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
    const wanted = value.type === 'numbers' ? value.numbers[0]! : 0;
    // Whole numbers leave: fewer than 2.5 are at most 2.
    const most = operator === 'lt' ? Math.ceil(wanted) - 1 : Math.floor(wanted);
    const limit = Math.min(Math.max(0, most), Number.MAX_SAFE_INTEGER);
    budgets.push({ counts: operand === 'count' ? 'count' : 'bytes', limit, text });
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
