import type { Agreement, Duty, Rule } from '../agreement.ts';
import type { Atom, AtomValue, Condition } from '../condition.ts';
import type { SignalCatalogue } from '../context.ts';
import { targetReaches } from '../targets.ts';
import { includesAction } from '../vocabulary.ts';

/**
 * What a later agreement opens that an earlier one kept closed, in words; null where it surely opens nothing.
 *
 * It is a proof and no search: each permission must lie wholly within one that was there, each prohibition and obligation
 * must be kept, so what cannot be compared counts as opened. The owner may grant it, and `policy diff` shows what it is.
 */
export function widened(before: Agreement, after: Agreement, catalogue: SignalCatalogue): string | null {
  if (after.assignee !== before.assignee) return 'it has another recipient';
  if (after.layer !== before.layer) return 'it speaks for another layer';
  for (const rule of after.permissions) {
    const found = before.permissions.map((one) => opened(one, rule, catalogue));
    if (!found.includes(null)) return found.length === 1 ? found[0]! : `${rule.uid} lies within no permission before`;
  }
  for (const rule of before.prohibitions) {
    const kept = after.prohibitions.some(
      (one) =>
        rule.targets.every((target) => covers(one.targets, target, catalogue, true)) &&
        rule.actions.every((action) => one.actions.some((own) => includesAction(own, action))) &&
        implies(rule.condition, one.condition),
    );
    if (!kept) return `the prohibition ${rule.uid} is gone or changed`;
  }
  for (const rule of before.obligations) {
    const same = after.obligations.some((one) => text(withoutPlace(one)) === text(withoutPlace(rule)));
    if (!same) return `the obligation ${rule.uid} is gone or changed`;
  }
  return null;
}

/** What of a permission goes beyond one that was there; null where nothing does. */
function opened(before: Rule, after: Rule, catalogue: SignalCatalogue): string | null {
  const strange = after.targets.find((target) => !covers(before.targets, target, catalogue, false));
  if (strange !== undefined) return `${strange} was not permitted before`;
  const act = after.actions.find((action) => !before.actions.some((own) => includesAction(own, action)));
  if (act !== undefined) return `${act} was not permitted before`;
  if (!implies(after.condition, before.condition)) return `${after.uid} holds where it did not before`;
  const demand = before.demands.find(
    ({ operand, atLeast }) => !after.demands.some((one) => one.operand === operand && one.atLeast >= atLeast),
  );
  if (demand !== undefined) return `${demand.text} is demanded no longer`;
  const duty = before.duties.find((one) => !after.duties.some((own) => asStrict(own, one)));
  if (duty !== undefined) return `the duty ${duty.text} is gone or changed`;
  // What was used up is counted under the uid of the rule: another uid would begin anew.
  const budget = before.budgets.find(
    ({ counts, limit }) =>
      after.uid !== before.uid || !after.budgets.some((one) => one.counts === counts && one.limit <= limit),
  );
  return budget === undefined ? null : `the limit ${budget.text} is gone, looser or counted anew`;
}

/** A longer keeping is looser; whatever else differs is another duty. */
function asStrict(after: Duty, before: Duty): boolean {
  const { withinMs } = before;
  const sooner = withinMs === null || (after.withinMs !== null && after.withinMs <= withinMs);
  return after.action === before.action && sooner && text(after.consequences) === text(before.consequences);
}

/** Whether what a target reaches was reached before: by its own words, or as far as the databases tell. */
function covers(targets: readonly string[], target: string, catalogue: SignalCatalogue, wide: boolean): boolean {
  if (targets.includes(target)) return true;
  if (target.startsWith('vss:') && !target.includes('*')) {
    const branches = targets.filter((one) => one.startsWith('vss:') && !one.includes('*'));
    if (branches.some((one) => target.startsWith(`${one}.`))) return true;
  }
  const reached = catalogue.signals.filter((signal) => targetReaches(target, signal, catalogue.byName, wide));
  // A branch or a glob may reach more with the next database.
  if (reached.length === 0 || target.startsWith('vss:') || target.includes('*')) return false;
  return reached.every((signal) => targets.some((one) => targetReaches(one, signal, catalogue.byName, wide)));
}

/** Whether one condition surely holds only where another does. */
function implies(one: Condition, other: Condition): boolean {
  if (text(bare(one)) === text(bare(other))) return true;
  if (other.op === 'and') return other.parts.every((part) => implies(one, part));
  if (one.op === 'or') return one.parts.length > 0 && one.parts.every((part) => implies(part, other));
  if (one.op === 'and') return one.parts.some((part) => implies(part, other));
  if (other.op === 'or') return other.parts.some((part) => implies(one, part));
  return one.op === 'atom' && other.op === 'atom' && atomImplies(one, other);
}

const BELOW = ['lt', 'lteq'];
const ABOVE = ['gt', 'gteq'];

function atomImplies(one: Atom, other: Atom): boolean {
  if (one.operand !== other.operand) return false;
  const sets = [one, other].map(({ value }) => (value.type === 'ids' ? value.ids : null));
  const [narrow, wide] = sets as [readonly string[] | null, readonly string[] | null];
  if (narrow !== null && wide !== null) {
    if (one.operator !== other.operator && !(one.operator === 'eq' && other.operator === 'isAnyOf')) return false;
    if (other.operator === 'isAnyOf') return narrow.every((id) => wide.includes(id));
    if (other.operator === 'isNoneOf') return wide.every((id) => narrow.includes(id));
    return false;
  }
  const [low, high] = [bound(one.value), bound(other.value)];
  if (low === null || high === null) return false;
  for (const [side, sign] of [
    [BELOW, 1],
    [ABOVE, -1],
  ] as const) {
    if (!side.includes(other.operator)) continue;
    const apart = sign * (high - low);
    if (one.operator === 'eq') return apart > 0 || (apart === 0 && other.operator.endsWith('eq'));
    if (!side.includes(one.operator)) return false;
    return apart > 0 || (apart === 0 && (other.operator.endsWith('eq') || !one.operator.endsWith('eq')));
  }
  return false;
}

/** A value that lies on a line; times of day and places do not. */
function bound(value: AtomValue): number | null {
  if (value.type === 'instant') return value.ms;
  return value.type === 'numbers' && value.numbers.length === 1 ? value.numbers[0]! : null;
}

/** A condition without the words and places of its parts in the text. */
function bare(condition: Condition): unknown {
  if (condition.op === 'known') return condition;
  if (condition.op !== 'atom') return { op: condition.op, parts: condition.parts.map(bare) };
  const { operand, operator, value } = condition;
  return { operand, operator, value };
}

function withoutPlace({ pointer: _, condition, ...rule }: Rule): unknown {
  return { ...rule, condition: bare(condition) };
}

const text = (value: unknown): string => JSON.stringify(value);
