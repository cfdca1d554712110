import type { Graph, Term } from './graph.ts';
import { ODRL, RDF } from './terms.ts';

/** A constraint or refinement (IM §2.5). */
export interface OdrlConstraint {
  readonly id: string;
  readonly logic: 'atom' | 'and' | 'or' | 'xone';
  readonly parts: readonly OdrlConstraint[];
  readonly leftOperand: string;
  readonly operator: string;
  readonly right: readonly Term[];
  /** `unit`, or null. */
  readonly unit: string | null;
}

/** An asset, a party or an action, with what narrows it. */
export interface OdrlNode {
  /** IRI of the node; of an action, the action. */
  readonly id: string;
  /** What else names the same collection: its `uid` and `source`. */
  readonly aliases: readonly string[];
  readonly collection: boolean;
  readonly refinements: readonly OdrlConstraint[];
}

export type OdrlRuleKind = 'permission' | 'prohibition' | 'obligation' | 'duty';

export interface OdrlRule {
  readonly id: string;
  readonly kind: OdrlRuleKind;
  readonly targets: readonly OdrlNode[];
  readonly assignees: readonly OdrlNode[];
  readonly actions: readonly OdrlNode[];
  readonly constraints: readonly OdrlConstraint[];
  /** Of a permission: what must be done first. */
  readonly duties: readonly OdrlRule[];
  /** Of a prohibition: what must be done where it was violated. */
  readonly remedies: readonly OdrlRule[];
  /** Of a duty or obligation: what must be done where it was not fulfilled in time. */
  readonly consequences: readonly OdrlRule[];
}

export interface OdrlPolicy {
  readonly id: string;
  readonly rules: readonly OdrlRule[];
}

const MAX_DEPTH = 32;
const LOGIC = { and: 'and', andSequence: 'and', or: 'or', xone: 'xone' } as const;

/** Policies of a graph: the subjects that have a rule. */
export function policyIds(graph: Graph): readonly string[] {
  const ids = ['permission', 'prohibition', 'obligation'].flatMap((name) => graph.subjects(ODRL + name));
  return [...new Set(ids)];
}

/** Reads one policy; shared properties of the policy hold for each of its rules (compact policies, IM §2.7.1). */
export function readPolicy(graph: Graph, id: string): OdrlPolicy {
  const kinds = ['permission', 'prohibition', 'obligation'] as const;
  const rules = kinds.flatMap((kind) => graph.nodes(id, ODRL + kind).map((rule) => readRule(graph, rule, kind, id, 0)));
  return { id, rules };
}

function readRule(graph: Graph, id: string, kind: OdrlRuleKind, policy: string, depth: number): OdrlRule {
  const shared = (name: string) => {
    const own = graph.objects(id, ODRL + name);
    // The assignee of a permission does its duties; a duty without a target has none.
    return own.length > 0 || kind === 'duty' ? own : graph.objects(policy, ODRL + name);
  };
  const nodes = (name: string) =>
    shared(name).flatMap((term) => (term.kind === 'literal' ? [] : [readNode(graph, term.value, depth)]));
  const more = (name: string) =>
    depth >= MAX_DEPTH
      ? []
      : graph.nodes(id, ODRL + name).map((rule) => readRule(graph, rule, 'duty', policy, depth + 1));
  return {
    id,
    kind,
    targets: nodes('target'),
    assignees: nodes('assignee'),
    actions: nodes('action').map((node) => actionOf(graph, node)),
    constraints: readConstraints(graph, id, 'constraint', depth),
    duties: more('duty'),
    remedies: more('remedy'),
    consequences: more('consequence'),
  };
}

function readNode(graph: Graph, id: string, depth: number): OdrlNode {
  const aliases = [...graph.nodes(id, `${ODRL}source`), ...graph.nodes(id, `${ODRL}uid`)];
  const collection =
    graph.isA(id, `${ODRL}AssetCollection`) ||
    graph.isA(id, `${ODRL}PartyCollection`) ||
    aliases.some((at) => at !== id);
  return { id, aliases, collection, refinements: readConstraints(graph, id, 'refinement', depth) };
}

/** A refined action is a node whose `rdf:value` is the action. */
function actionOf(graph: Graph, node: OdrlNode): OdrlNode {
  return { ...node, id: graph.nodes(node.id, `${RDF}value`)[0] ?? node.id };
}

function readConstraints(graph: Graph, id: string, name: 'constraint' | 'refinement', depth: number): OdrlConstraint[] {
  if (depth >= MAX_DEPTH) return [];
  return graph
    .items(id, ODRL + name)
    .flatMap((term) => (term.kind === 'literal' ? [] : [readConstraint(graph, term.value, depth + 1)]));
}

/** One constraint by its node. */
export function readConstraint(graph: Graph, id: string, depth = 0): OdrlConstraint {
  for (const [word, logic] of Object.entries(LOGIC)) {
    const parts = graph.items(id, ODRL + word);
    if (parts.length === 0) continue;
    const nodes = parts.flatMap((term) => (term.kind === 'literal' ? [] : [term.value]));
    return {
      id,
      logic,
      parts: depth >= MAX_DEPTH ? [] : nodes.map((part) => readConstraint(graph, part, depth + 1)),
      leftOperand: '',
      operator: '',
      right: [],
      unit: null,
    };
  }
  const right = graph.items(id, `${ODRL}rightOperand`);
  return {
    id,
    logic: 'atom',
    parts: [],
    leftOperand: graph.nodes(id, `${ODRL}leftOperand`)[0] ?? '',
    operator: graph.nodes(id, `${ODRL}operator`)[0] ?? '',
    right: right.length > 0 ? right : graph.items(id, `${ODRL}rightOperandReference`),
    unit: graph.nodes(id, `${ODRL}unit`)[0] ?? null,
  };
}
