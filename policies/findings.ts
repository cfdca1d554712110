import type { SignalInfo } from '#contracts';
import type { Agreement, Rule, RuleKind } from './agreement.ts';
import { atomsOf, conditionText } from './condition.ts';
import { sensitiveClass } from './consent/sensitive.ts';
import type { SignalCatalogue } from './context.ts';
import { createDecisionTable, type Decision, type DecisionTable } from './decision-table.ts';
import { canBeMet } from './duties.ts';
import { ANYONE, probeCatalogue, probePurposes, probeRecipients, probeSignals, rulesOf } from './probes.ts';
import { ruleReaches } from './targets.ts';
import { isPurpose, PURPOSES } from './vocabulary.ts';
import { type Moment, type Standing, type Worlds, worldsOf } from './worlds.ts';

/*
 * Rules that a unit would load and that cannot mean what their author meant. Found by decisions in every world that the
 * rules can tell apart; where there are too many worlds nothing is claimed.
 */

export interface PolicyFinding {
  readonly kind: 'shadowed' | 'contradictory' | 'never-true' | 'over-broad';
  readonly rule: string;
  /** JSON pointer of the rule. */
  readonly pointer: string;
  readonly message: string;
  readonly remedy: string;
}

interface Question {
  readonly signals: SignalCatalogue;
  readonly asked: readonly SignalInfo[];
  readonly recipients: readonly string[];
}

interface Request {
  readonly signal: string;
  readonly action: string;
  readonly recipient: string;
  readonly purpose: string;
}

const MOST_MOMENTS = 2_048;

/**
 * Shadowed, contradictory, never-true and over-broad rules of one policy.
 *
 * @param beside other policies in force, whose prohibitions count
 * @param signals signals of the databases; null: what the policies name
 */
export function findingsOf(
  policy: Agreement,
  {
    beside = [],
    signals = null,
  }: { readonly beside?: readonly Agreement[]; readonly signals?: SignalCatalogue | null } = {},
): readonly PolicyFinding[] {
  const policies = [policy, ...beside];
  const asked = probeSignals(policies, signals);
  const question = { signals: probeCatalogue(asked, signals), asked, recipients: probeRecipients([policy]) };
  return rulesOf(policy).flatMap((rule): PolicyFinding[] => {
    const never = neverTrue(rule, question);
    if (never !== null) return [never];
    const dead =
      rule.kind === 'permission'
        ? (contradictory(policy, rule, beside, question) ?? shadowedPermission(policy, rule, question))
        : shadowedBan(policy, rule, question);
    return [...(dead === null ? [] : [dead]), ...(rule.kind === 'permission' ? overBroad(rule, question) : [])];
  });
}

function finding(kind: PolicyFinding['kind'], rule: Rule, message: string, remedy: string): PolicyFinding {
  return { kind, rule: rule.uid, pointer: rule.pointer, message: `${rule.uid} ${message}`, remedy };
}

/** No value of anything makes its constraints true. */
function neverTrue(rule: Rule, question: Question): PolicyFinding | null {
  if (atomsOf(rule.condition).length === 0) return null;
  const bare: Rule = { ...rule, kind: 'permission', actions: ['use'], demands: [], duties: [], budgets: [] };
  const worlds = worldsOf([bare], MOST_MOMENTS);
  if (!worlds.complete) return null;
  const policy = only([bare]);
  if (some(policy, bare, worlds, question, ['use'], ({ permitted }) => permitted)) return null;
  // Nothing was asked where no signal is reached; that is another fault, and `compilePlan` names it.
  if (!question.asked.some((info) => ruleReaches(bare, info, question.signals.byName))) return null;
  const effect =
    rule.kind === 'permission' ? 'opens nothing' : rule.kind === 'prohibition' ? 'keeps nothing' : 'demands nothing';
  return finding(
    'never-true',
    rule,
    `${effect}: ${conditionText(rule.condition)} cannot hold`,
    'Constraints of a rule must all hold: correct the values, or write alternatives in "or" or as two rules.',
  );
}

/** A permission that prohibitions and obligations leave nothing of. */
function contradictory(
  policy: Agreement,
  rule: Rule,
  beside: readonly Agreement[],
  question: Question,
): PolicyFinding | null {
  const actions = leaving(rule);
  if (actions.length === 0) return null;
  const unmet = rule.duties.find((duty) => !canBeMet(duty));
  if (unmet !== undefined)
    return finding(
      'contradictory',
      rule,
      `opens nothing: its ${unmet.text} cannot be met`,
      'Drop the duty, or write a deletion with elapsedTime.',
    );
  const binding = [policy, ...beside].map((one) => ({ ...one, permissions: [] as Rule[] }));
  const bans = binding.flatMap(({ prohibitions, obligations }) => [...prohibitions, ...obligations]);
  const alone = { ...policy, permissions: [rule], prohibitions: [], obligations: [] };
  const whole = [{ ...policy, permissions: [rule] }, ...binding.slice(1)];
  for (const info of question.asked) {
    // A branch may have exceptions; what a rule names itself it means.
    if (!rule.targets.some((target) => names(target, info))) continue;
    const reaching = bans.filter((ban) => ruleReaches(ban, info, question.signals.byName));
    if (reaching.length === 0) continue;
    const worlds = worldsOf([rule, ...reaching], MOST_MOMENTS);
    if (!worlds.complete) continue;
    const here = { ...question, asked: [info] };
    if (!some([alone], rule, worlds, here, actions, ({ permitted }) => permitted)) continue;
    let by: Decision | null = null;
    const open = some(whole, rule, worlds, here, actions, (decision) => {
      if (decision.reason === 'prohibited') by ??= decision;
      return decision.permitted;
    });
    if (open || by === null) continue;
    const { rule: uid, agreement } = by as Decision;
    return finding(
      'contradictory',
      rule,
      `permits ${info.name}, and ${uid}${agreement === policy.uid ? '' : ` of ${agreement}`} always keeps it`,
      'A prohibition wins over every permission: remove one of the two, or narrow the prohibition.',
    );
  }
  return null;
}

/** Whether a target is this signal itself, not a branch above it. */
function names(target: string, info: SignalInfo): boolean {
  return target === `vss:${info.name}` || target === info.name || target === info.dbcName;
}

/** A permission without which nothing is closed. */
function shadowedPermission(policy: Agreement, rule: Rule, question: Question): PolicyFinding | null {
  const others = policy.permissions.filter((other) => other !== rule);
  const earlier = policy.permissions.slice(0, policy.permissions.indexOf(rule));
  const by = coverOf(rule, others, earlier, (rules) => only(rules), question, rule.actions);
  if (by === null) return null;
  return finding(
    'shadowed',
    rule,
    `opens nothing that ${by} does not open`,
    'Remove the rule, or the wider one if that was not meant.',
  );
}

/** A prohibition or obligation that others hold already. */
function shadowedBan(policy: Agreement, rule: Rule, question: Question): PolicyFinding | null {
  const bans = [...policy.prohibitions, ...policy.obligations];
  const others = bans.filter((other) => other !== rule);
  const earlier = bans.slice(0, bans.indexOf(rule));
  if (rule.duties.some(canBeMet)) return null;
  const everything = openFor(question);
  const make = (rules: readonly Rule[]) => [
    everything,
    { ...everything, type: 'Set' as const, uid: 'urn:bans', permissions: [], ...byKind(rules) },
  ];
  const actions = rule.kind === 'prohibition' ? rule.actions : ['distribute'];
  const by = coverOf(rule, others, earlier, make, question, actions);
  if (by === null) return null;
  return finding(
    'shadowed',
    rule,
    `keeps nothing that ${by} does not keep`,
    'Remove the rule, or narrow the wider one.',
  );
}

const byKind = (rules: readonly Rule[]) => ({
  prohibitions: rules.filter(({ kind }) => kind === 'prohibition'),
  obligations: rules.filter(({ kind }) => kind === 'obligation'),
});

/** The rule, or rules together, without which nothing changes; of two equal ones only the later is shadowed. */
function coverOf(
  rule: Rule,
  others: readonly Rule[],
  earlier: readonly Rule[],
  make: (rules: readonly Rule[]) => readonly Agreement[],
  question: Question,
  actions: readonly string[],
): string | null {
  const reached = question.asked.filter((info) => ruleReaches(rule, info, question.signals.byName));
  const near = others.filter((other) => reached.some((info) => ruleReaches(other, info, question.signals.byName)));
  if (near.length === 0 || reached.length === 0) return null;
  const worlds = worldsOf([rule, ...near], MOST_MOMENTS);
  if (!worlds.complete) return null;
  const same = (a: readonly Rule[], b: readonly Rule[]) =>
    alike(make(a), make(b), rule, worlds, { ...question, asked: reached }, actions);
  if (!same(near, [rule, ...near])) return null;
  for (const other of near) {
    if (!same([other], [rule, other])) continue;
    // Two that say the same cover each other.
    if (same([rule], [rule, other]) && !earlier.includes(other)) continue;
    return other.uid;
  }
  const equal = near.some((other) => !earlier.includes(other) && same([rule], [rule, other]));
  return equal ? null : near.map(({ uid }) => uid).join(', ');
}

/** A permission that lets more out than anybody can have weighed. */
function overBroad(rule: Rule, question: Question): PolicyFinding[] {
  if (leaving(rule).length === 0) return [];
  const found: PolicyFinding[] = [];
  const purposes = probePurposes([rule]);
  const kinds = PURPOSES.filter((purpose) => purpose !== 'auto:AnyPurpose');
  const atoms = atomsOf(rule.condition).filter(({ operand }) => operand === 'purpose');
  const any = atoms.some(
    ({ value }) => value.type === 'ids' && kinds.every((kind) => value.ids.some((id) => isPurpose(kind, id))),
  );
  if (purposes.length === 1 || any) {
    found.push(
      finding(
        'over-broad',
        rule,
        'permits any purpose',
        'Add a constraint on purpose, such as purpose isA auto:UbiInsurance.',
      ),
    );
  }
  const wide = rule.targets.find((target) => target.includes('**') || /^vss:(Vehicle|\*)(\.\*)?$/.test(target));
  if (wide !== undefined) {
    found.push(
      finding(
        'over-broad',
        rule,
        `permits ${wide}: all that the vehicle knows, now and after an update`,
        'Name the branches or signals that the purpose needs.',
      ),
    );
  }
  const exact = rule.demands.every(({ operand }) => operand !== 'auto:precision');
  const place = question.asked.find(
    (info) => sensitiveClass(info.name) === 'trajectory' && ruleReaches(rule, info, question.signals.byName),
  );
  if (exact && place !== undefined) {
    found.push(
      finding(
        'over-broad',
        rule,
        `permits ${place.name} as exactly as it is measured`,
        'Refine the action by auto:precision gteq metres, or keep places out of it.',
      ),
    );
  }
  return found;
}

/** Actions of a rule under which something leaves. */
function leaving({ actions }: Rule): readonly string[] {
  return actions.some((action) => action === 'use' || action === 'distribute') ? ['distribute'] : [];
}

function only(rules: readonly Rule[]): readonly Agreement[] {
  return [{ ...EMPTY, permissions: rules.filter(({ kind }) => kind === 'permission'), ...byKind(rules) }];
}

const EMPTY: Agreement = {
  file: '',
  type: 'Agreement',
  layer: 'owner',
  uid: 'urn:checked',
  version: 1,
  assigner: null,
  // As a Set: binds everyone who is asked about.
  assignee: null,
  permissions: [],
  prohibitions: [],
  obligations: [],
  hash: new Uint8Array(32),
  warnings: [],
};

/** Permits everybody everything that is asked about. */
function openFor({ asked }: Question): Agreement {
  const everything: Rule = {
    kind: 'permission' satisfies RuleKind,
    uid: '#everything',
    pointer: '',
    targets: asked.map(({ name }) => (name.startsWith('dbc:') ? name : `vss:${name}`)),
    actions: ['use'],
    condition: { op: 'and', parts: [] },
    demands: [],
    duties: [],
    budgets: [],
    remedies: [],
  };
  return { ...EMPTY, uid: 'urn:everything', permissions: [everything] };
}

/** Whether some world gives a decision that fits. */
function some(
  policies: readonly Agreement[],
  rule: Rule,
  worlds: Worlds,
  question: Question,
  actions: readonly string[],
  fits: (decision: Decision) => boolean,
): boolean {
  for (const { request, table, moment } of every(policies, rule, worlds, question, actions)) {
    if (fits(decide(table, request, moment))) return true;
  }
  return false;
}

/** Whether two sets of policies permit the same in every world. */
function alike(
  a: readonly Agreement[],
  b: readonly Agreement[],
  rule: Rule,
  worlds: Worlds,
  question: Question,
  actions: readonly string[],
): boolean {
  const tables = new Map<Standing, DecisionTable>();
  for (const { request, table, moment, standing } of every(a, rule, worlds, question, actions)) {
    const other = tables.get(standing) ?? tableOf(b, standing, question);
    tables.set(standing, other);
    if (decide(table, request, moment).permitted !== decide(other, request, moment).permitted) return false;
  }
  return true;
}

const decide = (table: DecisionTable, request: Request, { utcMs, context }: Moment): Decision =>
  table.decide({ ...request, utcMs, context });

function* every(
  policies: readonly Agreement[],
  rule: Rule,
  { standings, moments }: Worlds,
  question: Question,
  actions: readonly string[],
) {
  const purposes = probePurposes([...policies.flatMap(rulesOf), rule]).map(({ stands }) => stands);
  for (const standing of standings) {
    const table = tableOf(policies, standing, question);
    for (const info of question.asked) {
      if (!ruleReaches(rule, info, question.signals.byName)) continue;
      for (const recipient of [...question.recipients, ANYONE]) {
        for (const purpose of purposes) {
          for (const action of actions) {
            const request = { signal: info.name, action, recipient, purpose };
            for (const moment of moments) yield { request, table, moment, standing };
          }
        }
      }
    }
  }
}

function tableOf(policies: readonly Agreement[], { facts, unit }: Standing, question: Question): DecisionTable {
  return createDecisionTable({
    agreements: policies.filter(({ type }) => type !== 'Set'),
    lawPacks: policies.filter(({ type }) => type === 'Set'),
    signals: question.signals,
    recipients: facts === null ? undefined : new Map([...question.recipients, ANYONE].map((did) => [did, facts])),
    unit,
  });
}
