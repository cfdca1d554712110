import type { Json } from '../parts.ts';

/** A policy before it is written in any language: the same spec becomes ODRL for us and Cedar for the judge. */
export interface PolicySpec {
  readonly type: 'Agreement' | 'Set' | 'Offer';
  readonly law: boolean;
  readonly uid: string;
  /** Null: everyone. */
  readonly assignee: string | null;
  readonly rules: readonly RuleSpec[];
}

export interface RuleSpec {
  readonly kind: 'permission' | 'prohibition' | 'obligation';
  readonly uid: string;
  readonly target: string;
  readonly action: string;
  readonly conditions: readonly Condition[];
  /** Members of the party that the rule names; null: none. */
  readonly members: readonly string[] | null;
  /** `auto:aggregationWindow` and least ms, or another demand. */
  readonly demand: { readonly operand: string; readonly atLeast: number } | null;
  readonly unmetDuty: boolean;
  /** Least count at which it stops. */
  readonly budget: number | null;
}

export type Condition =
  | { readonly op: 'atom'; readonly operand: string; readonly operator: string; readonly value: Value }
  | { readonly op: 'and' | 'or' | 'xone' | 'andSequence'; readonly parts: readonly Condition[] };

export type Value =
  | { readonly type: 'words'; readonly words: readonly string[] }
  | { readonly type: 'numbers'; readonly numbers: readonly number[] }
  | { readonly type: 'switch'; readonly on: boolean }
  | { readonly type: 'instant'; readonly ms: number }
  | { readonly type: 'time'; readonly ms: number; readonly zoneMinutes: 0 | 60 }
  | { readonly type: 'duration'; readonly ms: number }
  | { readonly type: 'boxes'; readonly boxes: readonly Box[] };

/** Whole degrees: south, west, north, east. */
export type Box = readonly [number, number, number, number];

const two = (n: number) => String(n).padStart(2, '0');

/** The policy as compacted JSON-LD of the profile. */
export function odrl(policy: PolicySpec): string {
  const rules = (kind: RuleSpec['kind']) => policy.rules.filter((rule) => rule.kind === kind).map(ruleJson);
  const lists = (['permission', 'prohibition', 'obligation'] as const).map((kind) => [kind, rules(kind)] as const);
  return JSON.stringify({
    '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
    '@type': policy.type,
    uid: policy.uid,
    profile: 'https://tollgate.example/ns/auto-odrl/1',
    ...(policy.type === 'Agreement' ? { assigner: 'did:key:zOwner' } : {}),
    ...(policy.assignee === null ? {} : { assignee: policy.assignee }),
    ...Object.fromEntries(lists.filter(([, list]) => list.length > 0)),
  });
}

function ruleJson(rule: RuleSpec): Json {
  const constraints = [
    ...rule.conditions.map(conditionJson),
    ...(rule.budget === null ? [] : [{ leftOperand: 'count', operator: 'lteq', rightOperand: rule.budget }]),
  ];
  const { demand } = rule;
  const right = demand?.operand === 'auto:precision' ? demand.atLeast : `${demand?.atLeast}ms`;
  const refined = demand !== null && {
    value: rule.action,
    refinement: [{ leftOperand: demand.operand, operator: 'gteq', rightOperand: right }],
  };
  return {
    uid: rule.uid,
    target: rule.target,
    action: refined === false ? rule.action : [refined],
    ...(constraints.length === 0 ? {} : { constraint: constraints }),
    ...(rule.members === null
      ? {}
      : { assignee: { '@type': 'PartyCollection', uid: 'urn:x:some', 'auto:member': rule.members } }),
    ...(rule.unmetDuty ? { duty: [{ action: 'inform' }] } : {}),
  };
}

function conditionJson(condition: Condition): Json {
  if (condition.op !== 'atom') {
    const parts = condition.parts.map(conditionJson);
    return { [condition.op]: condition.op === 'andSequence' ? { '@list': parts } : parts };
  }
  const { operand, operator, value } = condition;
  return { leftOperand: operand, operator, rightOperand: valueJson(value) };
}

function valueJson(value: Value): Json {
  const oneOrMany = (list: readonly Json[]) => (list.length === 1 ? list[0]! : list);
  switch (value.type) {
    case 'words':
      return oneOrMany(value.words);
    case 'numbers':
      return oneOrMany(value.numbers);
    case 'switch':
      return value.on ? 'on' : 'off';
    case 'instant':
      return { '@value': new Date(value.ms).toISOString(), '@type': 'xsd:dateTime' };
    case 'time': {
      const minutes = value.ms / 60_000;
      return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:00${value.zoneMinutes === 0 ? 'Z' : '+01:00'}`;
    }
    case 'duration':
      return `${value.ms}ms`;
    case 'boxes':
      return oneOrMany(
        value.boxes.map(([south, west, north, east]) => ({
          '@type': 'auto:Polygon',
          'auto:points': [
            [south, west],
            [south, east],
            [north, east],
            [north, west],
          ],
        })),
      );
  }
}
