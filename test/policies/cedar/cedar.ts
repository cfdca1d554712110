import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import type { Condition, PolicySpec, RuleSpec } from './spec.ts';

/*
 * Cedar as judge. What is three-valued with us is written out: `holds` is true where a condition is surely true, `fails`
 * where it is surely false; a permit wants the first, a forbid all but the second. The trees of actions and purposes are
 * written down here a second time, so that a slip in ours shows.
 */

/** Requests that a permission for an action opens. */
const OPENS: Readonly<Record<string, readonly string[]>> = {
  use: ['use', 'read', 'derive', 'aggregate', 'anonymize', 'train', 'store', 'distribute', 'display'],
  derive: ['derive', 'aggregate', 'anonymize', 'train'],
};
/** Requests that need the action that is prohibited, or lie below it. */
const CLOSES: Readonly<Record<string, readonly string[]>> = {
  use: OPENS.use!,
  read: OPENS.use!,
  derive: ['use', 'derive', 'aggregate', 'anonymize', 'train', 'store', 'distribute'],
  store: ['use', 'store', 'distribute'],
  distribute: ['use', 'distribute'],
  aggregate: ['aggregate'],
  anonymize: ['anonymize'],
};
export const PURPOSE_KINDS: Readonly<Record<string, readonly string[]>> = {
  'auto:Insurance': ['auto:Insurance', 'auto:UbiInsurance', 'auto:ClaimsHandling'],
  'auto:UbiInsurance': ['auto:UbiInsurance'],
  'auto:ClaimsHandling': ['auto:ClaimsHandling'],
  'auto:Research': ['auto:Research', 'auto:ModelTraining'],
  'auto:ModelTraining': ['auto:ModelTraining'],
};
export const REGION_PARTS: Readonly<Record<string, readonly string[]>> = {
  'auto:EU': ['DE', 'DE-BY', 'FR'],
  DE: ['DE', 'DE-BY'],
  'DE-BY': ['DE-BY'],
  FR: ['FR'],
  CN: ['CN', 'CN-BJ'],
  'CN-BJ': ['CN-BJ'],
};
const LEVELS: Readonly<Record<string, readonly string[]>> = {
  'auto:attestation': ['none', 'software', 'secureBoot', 'tpm', 'tee'],
  'auto:sensitivity': ['public', 'vehicle', 'personal', 'sensitive', 'important'],
};
const ORDER: Readonly<Record<string, string>> = { eq: '==', neq: '!=', lt: '<', lteq: '<=', gt: '>', gteq: '>=' };

export const attribute = (operand: string) => operand.replace(/\W/g, '_');
const set = (words: readonly string[]) => `[${words.map((word) => JSON.stringify(word)).join(', ')}]`;
const all = (parts: readonly string[]) => (parts.length === 0 ? 'true' : `(${parts.join(' && ')})`);
const any = (parts: readonly string[]) => (parts.length === 0 ? 'false' : `(${parts.join(' || ')})`);

/** Cedar's text of every policy. */
export function cedarText(policies: readonly PolicySpec[], reached: (target: string) => readonly string[]): string {
  return policies
    .filter(({ type }) => type !== 'Offer')
    .flatMap((policy) => policy.rules.map((rule) => ruleText(policy, rule, reached(rule.target))))
    .join('\n');
}

function ruleText(policy: PolicySpec, rule: RuleSpec, signals: readonly string[]): string {
  if (
    signals.length === 0 ||
    (rule.kind === 'permission' && (policy.type !== 'Agreement' || policy.law || rule.unmetDuty))
  )
    return '';
  const effect = rule.kind === 'permission' ? 'permit' : 'forbid';
  const principal = policy.assignee === null ? 'principal' : `principal == Party::${JSON.stringify(policy.assignee)}`;
  const opened = rule.kind === 'permission' ? (OPENS[rule.action] ?? [rule.action]) : CLOSES[rule.action]!;
  const actions =
    rule.kind === 'obligation' ? 'action' : `action in [${opened.map((name) => `Action::"${name}"`).join(', ')}]`;
  const resources = `[${signals.map((name) => `Signal::"${name}"`).join(', ')}].contains(resource)`;
  const members = rule.members === null ? [] : [any(rule.members.map((did) => `principal == Party::"${did}"`))];
  const met = rule.demand === null ? [] : [`context.${attribute(rule.demand.operand)} >= ${rule.demand.atLeast}`];
  if (effect === 'permit') {
    const budget = rule.budget === null ? [] : ['context has count', `context.count < ${rule.budget}`];
    const when = all([resources, ...members, ...rule.conditions.map(holds), ...met, ...budget]);
    return `permit(${principal}, ${actions}, resource) when { ${when} };`;
  }
  const apart = any([...rule.conditions.map(fails), ...members.map((one) => `!${one}`), ...met]);
  return `forbid(${principal}, ${actions}, resource) when { ${resources} } unless { ${apart} };`;
}

function holds(condition: Condition): string {
  if (condition.op === 'atom') return all([known(condition), test(condition)]);
  const parts = condition.parts;
  if (condition.op === 'and' || condition.op === 'andSequence') return all(parts.map(holds));
  if (condition.op === 'or') return any(parts.map(holds));
  return any(parts.map((part, i) => all([holds(part), ...parts.filter((_, j) => j !== i).map(fails)])));
}

function fails(condition: Condition): string {
  if (condition.op === 'atom') return all([known(condition), `!(${test(condition)})`]);
  const parts = condition.parts;
  if (condition.op === 'and' || condition.op === 'andSequence') return any(parts.map(fails));
  if (condition.op === 'or') return all(parts.map(fails));
  const pairs = parts.flatMap((part, i) => parts.slice(i + 1).map((other) => all([holds(part), holds(other)])));
  return any([all(parts.map(fails)), ...pairs]);
}

type Atom = Condition & { op: 'atom' };

function names({ operand, value }: Atom): readonly string[] {
  if (operand === 'auto:position') return ['latitude', 'longitude'];
  if (operand === 'auto:timeOfDay') return [value.type === 'time' && value.zoneMinutes === 60 ? 'time60' : 'time0'];
  return [attribute(operand)];
}

function known(atom: Atom): string {
  return all(names(atom).map((name) => `context has ${name}`));
}

function test(atom: Atom): string {
  const { operand, operator, value } = atom;
  const found = `context.${names(atom)[0]}`;
  const compared = (number: number) => `${found} ${ORDER[operator]} ${number}`;
  switch (value.type) {
    case 'switch':
      return compared(value.on ? 1 : 0);
    case 'instant':
    case 'time':
    case 'duration':
      return compared(value.ms);
    case 'boxes': {
      const inside = any(
        value.boxes.map(([south, west, north, east]) =>
          all([
            `context.latitude > ${south * 1e6}`,
            `context.latitude < ${north * 1e6}`,
            `context.longitude > ${west * 1e6}`,
            `context.longitude < ${east * 1e6}`,
          ]),
        ),
      );
      return operator === 'isNoneOf' ? `!${inside}` : inside;
    }
    case 'numbers': {
      const among = `[${value.numbers.join(', ')}].contains(${found})`;
      if (operator === 'isAnyOf') return among;
      return operator === 'isNoneOf' ? `!${among}` : compared(value.numbers[0]!);
    }
    case 'words':
      return words(operand, operator, value.words, found);
  }
}

function words(operand: string, operator: string, wanted: readonly string[], found: string): string {
  const levels = LEVELS[operand];
  if (levels !== undefined) return `${found} ${ORDER[operator]} ${levels.indexOf(wanted[0]!)}`;
  if (operand === 'auto:recipientRole') {
    if (operator === 'isAllOf') return `${found}.containsAll(${set(wanted)})`;
    const some = `${found}.containsAny(${set(wanted)})`;
    return operator === 'neq' || operator === 'isNoneOf' ? `!${some}` : some;
  }
  const tree = operand === 'purpose' ? PURPOSE_KINDS : operand === 'auto:recipientRegion' ? REGION_PARTS : {};
  const kinds = (word: string) => tree[word] ?? [word];
  const among = (word: string) => `${set(kinds(word))}.contains(${found})`;
  // The left has the right as a part: it is the right or something above it.
  const above = (word: string) => [word, ...Object.keys(tree).filter((one) => tree[one]!.includes(word))];
  switch (operator) {
    case 'eq':
      return `${found} == ${JSON.stringify(wanted[0])}`;
    case 'neq':
      return `${found} != ${JSON.stringify(wanted[0])}`;
    case 'hasPart':
      return `${set(above(wanted[0]!))}.contains(${found})`;
    case 'isNoneOf':
      return `!${any(wanted.map(among))}`;
    case 'isAllOf':
      return all(wanted.map(among));
    default:
      // Days have no kinds; `eq` and `neq` were answered above.
      return any(wanted.map(among));
  }
}

export interface CedarRequest {
  readonly recipient: string;
  readonly action: string;
  readonly signal: string;
  /** Attribute → value; what is absent is unknown. */
  readonly context: Readonly<Record<string, number | string | readonly string[]>>;
}

/** Parses a policy set under a name. */
export function preparse(name: string, text: string): void {
  const answer = cedar.preparsePolicySet(name, { staticPolicies: text });
  if (answer.type !== 'success') throw new Error(`Cedar: ${JSON.stringify(answer.errors).slice(0, 400)}`);
}

/** Cedar's answer; an error of evaluation is an error of the translation. */
export function cedarAllows(name: string, { recipient, action, signal, context }: CedarRequest): boolean {
  const answer = cedar.statefulIsAuthorized({
    principal: { type: 'Party', id: recipient },
    action: { type: 'Action', id: action },
    resource: { type: 'Signal', id: signal },
    context: context as cedar.Context,
    preparsedPolicySetId: name,
    entities: [],
  });
  if (answer.type !== 'success') throw new Error(`Cedar: ${JSON.stringify(answer.errors).slice(0, 400)}`);
  const { decision, diagnostics } = answer.response;
  if (diagnostics.errors.length > 0) throw new Error(`Cedar: ${JSON.stringify(diagnostics.errors).slice(0, 400)}`);
  return decision === 'allow';
}
