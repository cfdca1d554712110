import { Graph, type Term } from './graph.ts';
import { readConstraint } from './policy.ts';
import { DCT, ODRL, ODRL_FS, REPORT, SOTW } from './terms.ts';

/** What someone asks to do. */
export interface OdrlRequest {
  readonly id: string;
  /** The rule of an `odrl:Request`; the request itself where it is an `EvaluationRequest`. */
  readonly rule: string;
  readonly party: string | null;
  readonly target: string | null;
  readonly action: string | null;
}

export type PerformanceState = 'Performed' | 'Unperformed' | 'Unknown';
export type DeonticState = 'Fulfilled' | 'Violated' | 'NonSet';

/** Requests of a graph: an `odrl:Request` with permissions, or an `EvaluationRequest` in either namespace. */
export function readRequests(graph: Graph): readonly OdrlRequest[] {
  const first = (subject: string, names: readonly string[]) =>
    names.flatMap((name) => graph.nodes(subject, name))[0] ?? null;
  const requests = graph.subjects(`${ODRL}permission`).flatMap((id) =>
    graph.nodes(id, `${ODRL}permission`).map((rule) => ({
      id,
      rule,
      party: first(rule, [`${ODRL}assignee`]) ?? first(id, [`${ODRL}assignee`]),
      target: first(rule, [`${ODRL}target`]) ?? first(id, [`${ODRL}target`]),
      action: first(rule, [`${ODRL}action`]) ?? first(id, [`${ODRL}action`]),
    })),
  );
  const names = {
    action: [`${SOTW}evaluatedAction`, `${ODRL_FS}requestedAction`],
    party: [`${SOTW}evaluatedParty`, `${ODRL_FS}requestingParty`],
    target: [`${SOTW}evaluatedTarget`, `${ODRL_FS}requestedTarget`],
  };
  const evaluated = new Set(Object.values(names).flatMap((list) => list.flatMap((name) => graph.subjects(name))));
  return [
    ...requests,
    ...[...evaluated].map((id) => ({
      id,
      rule: id,
      party: first(id, names.party),
      target: first(id, names.target),
      action: first(id, names.action),
    })),
  ];
}

/** Names under which a state of the world tells the value of a left operand itself. */
const TOLD_BY: Readonly<Record<string, readonly string[]>> = {
  [`${ODRL}dateTime`]: [`${ODRL_FS}currentTime`, `${SOTW}currentTime`, `${SOTW}CurrentXSDDateTime`],
  [`${ODRL}spatial`]: [`${ODRL_FS}currentLocation`, `${SOTW}currentLocation`],
  [`${ODRL}count`]: [`${ODRL_FS}count`, `${SOTW}count`],
  [`${ODRL}meteredTime`]: [`${ODRL_FS}accumulatedTime`, `${SOTW}accumulatedTime`],
  [`${ODRL}recipient`]: [`${ODRL_FS}recipient`, `${SOTW}recipient`],
  [`${ODRL}event`]: [`${ODRL_FS}event`, `${SOTW}event`],
  [`${ODRL}payAmount`]: [`${ODRL_FS}paidAmount`, `${SOTW}paidAmount`],
};

/** A request and the state of the world in which it is made. */
export class World {
  /** Both together: memberships and kinds may stand in either. */
  readonly facts: Graph;
  readonly #request: Graph;
  readonly #state: Graph;
  readonly #who: OdrlRequest;

  constructor(request: Graph, state: Graph, facts: Graph, who: OdrlRequest) {
    this.#request = request;
    this.#state = state;
    this.facts = facts;
    this.#who = who;
  }

  /**
   * Values of a left operand: of the request's own constraints and parameters, then of the state of the world. A
   * parameter may name the operand, or the unit in which a constraint wants it.
   *
   * @param about the asset, party or action that a refinement narrows; its own property comes first
   */
  values(leftOperand: string, unit: string | null, about: readonly string[]): readonly Term[] {
    const names = [leftOperand, ...(TOLD_BY[leftOperand] ?? []), ...(unit === null ? [] : [unit])];
    const own = about.flatMap((node) =>
      [leftOperand, ...(TOLD_BY[leftOperand] ?? [])].flatMap((name) => this.facts.objects(node, name)),
    );
    if (own.length > 0) return own;
    const asked = [...this.#constraints(this.#request, leftOperand), ...this.#parameters(this.#request, names)];
    if (asked.length > 0) return asked;
    if (leftOperand === `${ODRL}dateTime`) {
      const now = this.#now();
      if (now.length > 0) return now;
    }
    const told = names.flatMap((name) => this.#state.subjects(name).flatMap((at) => this.#state.objects(at, name)));
    if (told.length > 0) return told;
    const stated = [...this.#constraints(this.#state, leftOperand), ...this.#parameters(this.#state, names)];
    if (stated.length > 0) return stated;
    // A purpose or recipient of the request may be its plain property.
    return [this.#who.id, this.#who.rule].flatMap((at) => this.#request.objects(at, leftOperand));
  }

  /** What is known of a duty: reports of earlier evaluations, and payments that name the condition they meet. */
  duty(id: string, anyReport: boolean): { performance: PerformanceState; deontic: DeonticState } {
    const all = this.facts.subjects(`${REPORT}deonticState`);
    const own = all.filter((report) => this.facts.nodes(report, `${REPORT}rule`).includes(id));
    const reports = own.length > 0 || !anyReport ? own : all;
    const states = reports.flatMap((report) => this.facts.nodes(report, `${REPORT}deonticState`).map(localName));
    const performed = reports.flatMap((report) => this.facts.nodes(report, `${REPORT}performanceState`).map(localName));
    if (states.includes('Violated')) return { performance: performance(performed), deontic: 'Violated' };
    if (states.includes('Fulfilled')) return { performance: performance(performed), deontic: 'Fulfilled' };
    const paid = this.facts
      .subjects(`${SOTW}conditionId`)
      .some((at) => this.facts.nodes(at, `${SOTW}conditionId`).includes(id));
    if (paid) return { performance: 'Performed', deontic: 'Fulfilled' };
    return { performance: reports.length > 0 ? performance(performed) : 'Unperformed', deontic: 'NonSet' };
  }

  #now(): readonly Term[] {
    const issued = this.#state
      .subjects(`${DCT}issued`)
      .filter((at) => /currentTime$/i.test(at))
      .flatMap((at) => this.#state.objects(at, `${DCT}issued`));
    if (issued.length > 0) return issued;
    return (TOLD_BY[`${ODRL}dateTime`] ?? []).flatMap((name) =>
      this.#state.subjects(name).flatMap((at) => this.#state.objects(at, name)),
    );
  }

  /** A constraint of a request or a state (`leftOperand eq value`) says what is so. */
  #constraints(graph: Graph, leftOperand: string): readonly Term[] {
    return graph.subjects(`${ODRL}leftOperand`).flatMap((at) => {
      if (!graph.nodes(at, `${ODRL}leftOperand`).includes(leftOperand)) return [];
      const { operator, right } = readConstraint(graph, at);
      const plain = operator === '' || ['eq', 'isA', 'isAnyOf', 'isAllOf', 'isPartOf'].includes(localName(operator));
      return plain ? right : [];
    });
  }

  #parameters(graph: Graph, names: readonly string[]): readonly Term[] {
    const describes = `${SOTW}describesFeature`;
    return graph.subjects(describes).flatMap((at) => {
      if (!graph.nodes(at, describes).some((feature) => names.includes(feature))) return [];
      return graph.objects(at, `${SOTW}value`);
    });
  }
}

/** One graph of several. */
export function union(...graphs: readonly Graph[]): Graph {
  const all = new Graph();
  for (const graph of graphs) {
    for (const subject of graph.all()) {
      for (const predicate of graph.predicates(subject)) {
        for (const object of graph.objects(subject, predicate)) all.add({ subject, predicate, object });
      }
    }
  }
  return all;
}

function performance(states: readonly string[]): PerformanceState {
  if (states.includes('Performed')) return 'Performed';
  return states.includes('Unperformed') ? 'Unperformed' : 'Unknown';
}

/** What stands after the last `#`, `/` or `:`. */
export function localName(iri: string): string {
  return iri.slice(Math.max(iri.lastIndexOf('#'), iri.lastIndexOf('/'), iri.lastIndexOf(':')) + 1);
}
