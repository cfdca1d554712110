import { Graph, type Triple } from './odrl/graph.ts';
import {
  type OdrlConstraint,
  type OdrlNode,
  type OdrlPolicy,
  type OdrlRule,
  type OdrlRuleKind,
  policyIds,
  readPolicy,
} from './odrl/policy.ts';
import { DCT, isIncludedIn, REPORT, XSD } from './odrl/terms.ts';
import { holds, isPart } from './odrl/values.ts';
import {
  type DeonticState,
  type OdrlRequest,
  type PerformanceState,
  readRequests,
  union,
  World,
} from './odrl/world.ts';

/*
 * Decisions as ODRL compliance reports: plain ODRL 2.2 (no profile), a request and a state of the world in, the states
 * of every rule out, as the ODRL Community Group's formal semantics draft has them. The gate never asks this evaluator:
 * it explains, compares with other engines and speaks to those who know ODRL only.
 */

export type Satisfaction = 'Satisfied' | 'Unsatisfied';
export type Activation = 'Active' | 'Inactive';

export interface ConstraintReport {
  readonly constraint: string;
  readonly satisfaction: Satisfaction;
}

export interface DutyReport {
  readonly rule: string;
  /** Whether it binds now: its own constraints hold. */
  readonly activation: Activation;
  readonly performance: PerformanceState;
  readonly deontic: DeonticState;
  readonly constraints: readonly ConstraintReport[];
}

export interface RuleReport {
  readonly kind: OdrlRuleKind;
  readonly rule: string;
  readonly request: string;
  readonly attempt: 'Attempted' | 'Unattempted';
  /** Of the target, the party and the action; null where the rule names none: it is for all. */
  readonly target: Satisfaction | null;
  readonly party: Satisfaction | null;
  readonly action: Satisfaction | null;
  /** Each constraint and each part of a logical one. */
  readonly constraints: readonly ConstraintReport[];
  /** Refinements of the action. */
  readonly refinements: readonly ConstraintReport[];
  readonly duties: readonly DutyReport[];
  readonly activation: Activation;
  /** What the rule says of the request; null where it says nothing. */
  readonly control: 'Permit' | 'Deny' | null;
  /** Of a prohibition and of an obligation. */
  readonly deontic: DeonticState | null;
}

export interface PolicyReport {
  readonly policy: string;
  readonly request: string;
  readonly rules: readonly RuleReport[];
  /** A prohibition that is active wins; without an active permission nothing is permitted (closed world). */
  readonly decision: 'Permit' | 'Deny';
}

export interface OdrlEvaluation {
  readonly policy: Iterable<Triple>;
  readonly request: Iterable<Triple>;
  readonly state: Iterable<Triple>;
  /**
   * Where no report of the state of the world names a duty of the policy: take the reports there are as speaking of it.
   * Off by default, as another duty's fulfilment proves nothing; the public suite needs it, whose states of the world
   * name the duty of another policy.
   */
  readonly anyDutyReport?: boolean;
}

/** One report for each policy and request. */
export function evaluateOdrl(input: OdrlEvaluation): readonly PolicyReport[] {
  const [policies, request, state] = [new Graph(input.policy), new Graph(input.request), new Graph(input.state)];
  const facts = union(state, request);
  return policyIds(policies).flatMap((id) => {
    const policy = readPolicy(policies, id);
    return group(readRequests(request)).map((asked) => {
      const rules = asked.flatMap((one) => {
        const evaluator = new Evaluator(new World(request, state, facts, one), one, input.anyDutyReport ?? false);
        return policy.rules.map((rule) => evaluator.rule(rule));
      });
      return { policy: policy.id, request: asked[0]!.id, rules, decision: decisionOf(policy, rules) };
    });
  });
}

function group(requests: readonly OdrlRequest[]): readonly (readonly OdrlRequest[])[] {
  const ids = [...new Set(requests.map(({ id }) => id))];
  return ids.map((id) => requests.filter((request) => request.id === id));
}

function decisionOf(_: OdrlPolicy, rules: readonly RuleReport[]): 'Permit' | 'Deny' {
  const denied = rules.some(({ kind, control }) => kind === 'prohibition' && control === 'Deny');
  return !denied && rules.some(({ control }) => control === 'Permit') ? 'Permit' : 'Deny';
}

class Evaluator {
  readonly #world: World;
  readonly #request: OdrlRequest;
  readonly #anyDutyReport: boolean;

  constructor(world: World, request: OdrlRequest, anyDutyReport: boolean) {
    this.#world = world;
    this.#request = request;
    this.#anyDutyReport = anyDutyReport;
  }

  rule(rule: OdrlRule): RuleReport {
    const { party, target, action } = this.#request;
    const premises = {
      target: this.#premise(rule.targets, (node) => this.#member(node, target)),
      party: this.#premise(rule.assignees, (node) => this.#member(node, party)),
      action: this.#premise(rule.actions, (node) => action !== null && isIncludedIn(action, node.id)),
    };
    const about = [this.#request.rule];
    const constraints = this.#all(rule.constraints, about);
    // Only the action that was asked for carries its refinements; the suite of another action is not asked.
    const matched = rule.actions.filter(({ id }) => action !== null && isIncludedIn(action, id));
    const refinements = this.#all(
      (matched.length > 0 ? matched : rule.actions).flatMap((node) => node.refinements),
      about,
    );
    const duties = rule.duties.map((duty) => this.#duty(duty));
    const met = duties.every(({ activation, deontic }) => activation === 'Inactive' || deontic === 'Fulfilled');
    const active = allHold(Object.values(premises), constraints.tops) && (rule.kind !== 'permission' || met);
    // A refined action that was not asked for so narrowly: the rule is in force, but not for this request.
    const narrow = active && refinements.tops.every(Boolean);
    return {
      kind: rule.kind,
      rule: rule.id,
      request: this.#request.rule,
      attempt: 'Attempted',
      ...premises,
      constraints: constraints.reports,
      refinements: refinements.reports,
      duties,
      activation: active ? 'Active' : 'Inactive',
      control: controlOf(rule.kind, narrow),
      deontic: rule.kind === 'permission' ? null : this.#deontic(rule, narrow),
    };
  }

  #premise(nodes: readonly OdrlNode[], test: (node: OdrlNode) => boolean): Satisfaction | null {
    return nodes.length === 0 ? null : satisfaction(nodes.some(test));
  }

  /** Whether an asset or party is the node, or a member of the collection that meets its refinements. */
  #member(node: OdrlNode, asked: string | null): boolean {
    if (asked === null) return false;
    const names = [node.id, ...node.aliases];
    if (!names.some((name) => name === asked || isPart(asked, name, this.#world.facts))) return false;
    return node.refinements.every((refinement) => this.#holds(refinement, [asked], []));
  }

  #duty(duty: OdrlRule): DutyReport {
    const constraints = this.#all(duty.constraints, [duty.id]);
    const known = this.#world.duty(duty.id, this.#anyDutyReport);
    const fulfilled = known.deontic === 'Fulfilled';
    // A duty that was not fulfilled is made good by its consequences, all of them.
    const amended =
      !fulfilled &&
      duty.consequences.length > 0 &&
      duty.consequences.every(({ id }) => this.#world.duty(id, false).deontic === 'Fulfilled') &&
      known.performance === 'Performed';
    return {
      rule: duty.id,
      activation: constraints.tops.every(Boolean) ? 'Active' : 'Inactive',
      performance: known.performance,
      deontic: amended ? 'Fulfilled' : known.deontic,
      constraints: constraints.reports,
    };
  }

  /** A prohibition is violated by what it prohibits being done, unless every remedy was carried out. */
  #deontic(rule: OdrlRule, active: boolean): DeonticState {
    const known = this.#world.duty(rule.id, rule.kind !== 'prohibition' && this.#anyDutyReport);
    if (rule.kind !== 'prohibition') return known.deontic;
    const remedied =
      rule.remedies.length > 0 && rule.remedies.every(({ id }) => this.#world.duty(id, false).deontic === 'Fulfilled');
    if (active && known.performance === 'Performed') return remedied ? 'Fulfilled' : 'Violated';
    return known.deontic;
  }

  /** Reports of constraints and of all their parts, and whether each of the outermost holds. */
  #all(constraints: readonly OdrlConstraint[], about: readonly string[]) {
    const reports: ConstraintReport[] = [];
    const tops = constraints.map((constraint) => this.#holds(constraint, about, reports));
    return { reports, tops };
  }

  #holds(constraint: OdrlConstraint, about: readonly string[], reports: ConstraintReport[]): boolean {
    const state = this.#state(constraint, about, reports);
    reports.push({ constraint: constraint.id, satisfaction: satisfaction(state) });
    return state;
  }

  #state(constraint: OdrlConstraint, about: readonly string[], reports: ConstraintReport[]): boolean {
    if (constraint.logic === 'atom') {
      const { leftOperand, operator, right, unit } = constraint;
      return holds(operator, this.#world.values(leftOperand, unit, about), right, this.#world.facts);
    }
    const parts = constraint.parts.map((part) => this.#holds(part, about, reports));
    if (constraint.logic === 'and') return parts.length > 0 && parts.every(Boolean);
    const trues = parts.filter(Boolean).length;
    return constraint.logic === 'or' ? trues > 0 : trues === 1;
  }
}

function allHold(premises: readonly (Satisfaction | null)[], tops: readonly boolean[]): boolean {
  return premises.every((state) => state !== 'Unsatisfied') && tops.every(Boolean);
}

function controlOf(kind: OdrlRuleKind, active: boolean): 'Permit' | 'Deny' | null {
  if (kind === 'permission') return active ? 'Permit' : 'Deny';
  return kind === 'prohibition' && active ? 'Deny' : null;
}

function satisfaction(state: boolean): Satisfaction {
  return state ? 'Satisfied' : 'Unsatisfied';
}

const RULE_TYPES: Readonly<Record<OdrlRuleKind, string>> = {
  permission: 'report:PermissionReport',
  prohibition: 'report:ProhibitionReport',
  obligation: 'report:ObligationReport',
  duty: 'report:DutyReport',
};

/**
 * A report as JSON-LD in the vocabulary of the compliance reports, its context written out.
 *
 * @param created xsd:dateTime of the evaluation
 */
export function reportJsonLd({ policy, request, rules }: PolicyReport, created: string): object {
  const state = (name: string) => ({ '@id': `report:${name}` });
  const premise = (type: string, found: Satisfaction | null) =>
    found === null ? [] : [{ '@type': `report:${type}`, 'report:satisfactionState': state(found) }];
  const constraint = ({ constraint: id, satisfaction: found }: ConstraintReport) => ({
    '@type': 'report:ConstraintReport',
    'report:constraint': { '@id': id },
    'report:satisfactionState': state(found),
  });
  return {
    '@context': { report: REPORT, dct: DCT, xsd: XSD },
    '@type': 'report:PolicyReport',
    'dct:created': { '@value': created, '@type': 'xsd:dateTime' },
    'report:policy': { '@id': policy },
    'report:policyRequest': { '@id': request },
    'report:ruleReport': rules.map((rule) => ({
      '@type': RULE_TYPES[rule.kind],
      'report:attemptState': state(rule.attempt),
      'report:rule': { '@id': rule.rule },
      'report:ruleRequest': { '@id': rule.request },
      'report:premiseReport': [
        ...premise('TargetReport', rule.target),
        ...premise('PartyReport', rule.party),
        ...premise('ActionReport', rule.action),
        ...[...rule.constraints, ...rule.refinements].map(constraint),
      ],
      'report:conditionReport': rule.duties.map((duty) => ({
        '@type': 'report:DutyReport',
        'report:rule': { '@id': duty.rule },
        'report:activationState': state(duty.activation),
        'report:performanceState': state(duty.performance),
        'report:deonticState': state(duty.deontic),
        'report:premiseReport': duty.constraints.map(constraint),
      })),
      'report:activationState': state(rule.activation),
      ...(rule.control === null ? {} : { 'report:controlState': state(rule.control) }),
      ...(rule.deontic === null ? {} : { 'report:deonticState': state(rule.deontic) }),
    })),
  };
}
