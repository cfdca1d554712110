import type { TollgateError } from '#contracts';
import type { Node } from '../document.ts';
import { Graph } from '../odrl/graph.ts';
import { loadOdrlDocument, type OdrlDocument } from '../odrl/jsonld.ts';
import { type OdrlConstraint, type OdrlRule, policyIds, readConstraint, readPolicy } from '../odrl/policy.ts';
import { ODRL } from '../odrl/terms.ts';
import { localName } from '../odrl/world.ts';
import { CONTEXT_AUTO, CONTEXT_ODRL, PROFILE } from '../vocabulary.ts';
import { importAtom, type Json } from './operands.ts';

/*
 * Policies of data spaces (Catena-X `cx-policy`, agreements of EDC connectors, messages of the Dataspace Protocol)
 * become agreements of the profile auto-odrl/1, or are refused with the name of what cannot be held here. Nothing is
 * left out silently: what the unit cannot check holds only where the owner has agreed to it, and then a note says so.
 */

/** What a foreign policy does not say and the owner adds. */
export interface ImportTerms {
  /** IRI of the agreement. */
  readonly uid: string;
  readonly version: number;
  readonly assigner: string;
  readonly assignee: string;
  /** The signals or branches that the foreign asset stands for: `vss:…` or `dbc:…`. */
  readonly targets: readonly string[];
  /** Business partner numbers and the DID of each. */
  readonly partners?: Readonly<Record<string, string>>;
  /** Values of contract terms that both parties signed elsewhere, by left operand: `{ FrameworkAgreement: ['…:1.0'] }`. */
  readonly agreed?: Readonly<Record<string, readonly string[]>>;
  /** When the agreement was concluded, ms since 1970 UTC: what counts from that day needs it. */
  readonly agreedMs?: number;
  /**
   * EDC connectors want *every* permission to hold; ODRL opens what any permission opens.
   * `edc-all` makes one permission of all, `odrl-any` keeps them apart.
   */
  readonly mode: 'edc-all' | 'odrl-any';
}

export interface ImportedPolicy {
  /** The agreement as JSON-LD of the profile, ready for `loadAgreement`. */
  readonly text: string;
  /** What holds by agreement outside the unit, or asks nothing. */
  readonly notes: readonly string[];
}

/** Actions of data spaces and what they are here; `access` shows an offer, so it opens nothing. */
const ACTIONS: Readonly<Record<string, string>> = {
  use: 'use',
  USE: 'use',
  access: 'read',
  distribute: 'distribute',
  read: 'read',
};

/**
 * Imports one foreign policy.
 *
 * @throws {TollgateError} TG_POLICY_UNSUPPORTED with the left operand, action or rule that cannot be held, and its place;
 * TG_POLICY_SYNTAX, TG_POLICY_VALUE where the document cannot be read
 */
export function importPolicy(bytes: Uint8Array, terms: ImportTerms, name: { readonly file: string }): ImportedPolicy {
  return new Importer(loadOdrlDocument(bytes, name), terms).policy();
}

class Importer {
  readonly #document: OdrlDocument;
  readonly #graph: Graph;
  readonly #terms: ImportTerms;
  readonly #notes: string[] = [];

  constructor(document: OdrlDocument, terms: ImportTerms) {
    this.#document = document;
    this.#graph = new Graph(document.triples);
    this.#terms = terms;
  }

  policy(): ImportedPolicy {
    const ids = policyIds(this.#graph);
    if (ids.length > 1) throw this.#refuse(ids[1]!, 'a document with several policies: import each by itself');
    const rules = ids.length === 1 ? readPolicy(this.#graph, ids[0]!).rules : [this.#bareConstraint()];
    const permissions = rules.filter(({ kind }) => kind === 'permission').map((rule) => this.#rule(rule));
    const prohibitions = rules
      .filter((rule) => rule.kind === 'prohibition' && !this.#agreedOutside(rule))
      .map((rule) => this.#rule(rule));
    // An obligation to stop providing at a moment binds each permission.
    const limits = rules
      .filter(({ kind }) => kind === 'obligation')
      .flatMap((rule) => this.#constraints(rule.constraints, false));
    for (const rule of rules) this.#noDuties(rule);
    if (permissions.length === 0) throw this.#refuse(ids[0] ?? '', 'a policy without a permission opens nothing');
    const joined = this.#terms.mode === 'edc-all' ? [this.#join(permissions)] : permissions;
    const { uid, version, assigner, assignee } = this.#terms;
    const agreement = {
      '@context': [CONTEXT_ODRL, { auto: CONTEXT_AUTO }],
      '@type': 'Agreement',
      uid,
      profile: PROFILE,
      conflict: 'prohibit',
      'auto:version': version,
      assigner,
      assignee,
      permission: joined.map((rule, i) => this.#written(rule, `#p${i + 1}`, limits)),
      ...(prohibitions.length === 0
        ? {}
        : { prohibition: prohibitions.map((rule, i) => this.#written(rule, `#n${i + 1}`, [])) }),
    };
    return { text: `${JSON.stringify(agreement, null, 1)}\n`, notes: this.#notes };
  }

  /** A document that is one constraint reads as a permission to use under it: the samples of the profile are such. */
  #bareConstraint(): OdrlRule {
    const constraints = this.#graph.subjects(`${ODRL}leftOperand`).map((id) => readConstraint(this.#graph, id));
    if (constraints.length !== 1) throw this.#refuse('', 'a document without a policy');
    const use = { id: `${ODRL}use`, aliases: [], collection: false, refinements: [] };
    return {
      id: '',
      kind: 'permission',
      targets: [],
      assignees: [],
      actions: [use],
      constraints,
      duties: [],
      remedies: [],
      consequences: [],
    };
  }

  #rule(rule: OdrlRule): { actions: readonly string[]; constraints: readonly Json[] } {
    const actions = rule.actions.map(({ id, refinements }) => {
      if (refinements.length > 0)
        throw this.#refuse(rule.id, `a refined action (${localName(refinements[0]!.leftOperand)})`);
      const action = ACTIONS[localName(id)];
      if (action === undefined) throw this.#refuse(rule.id, `the action "${localName(id)}"`);
      return action;
    });
    return {
      actions: actions.length === 0 ? ['use'] : actions,
      constraints: this.#constraints(rule.constraints, rule.kind === 'prohibition'),
    };
  }

  /** A prohibition of what happens at the recipient, to which both parties agreed elsewhere: it closes nothing here. */
  #agreedOutside({ constraints }: OdrlRule): boolean {
    const atoms = constraints.flatMap(atomsOf);
    const agreed = atoms.map((atom) => importAtom(atom, this.#terms));
    if (atoms.length === 0 || agreed.some(({ kind }) => kind !== 'holds')) return false;
    this.#notes.push(...agreed.flatMap((one) => (one.kind === 'holds' ? [`prohibition: ${one.note}`] : [])));
    return true;
  }

  /** What holds is left out of a conjunction, not of a choice: there it makes the whole true. */
  #constraints(list: readonly OdrlConstraint[], prohibits: boolean): readonly Json[] {
    return list.flatMap((constraint) => {
      const made = this.#constraint(constraint, prohibits);
      return made === true ? [] : [made];
    });
  }

  #constraint(constraint: OdrlConstraint, prohibits: boolean): Json | true {
    if (constraint.logic === 'atom') {
      const imported = importAtom(constraint, this.#terms);
      if (imported.kind === 'refused') throw this.#refuse(constraint.id, imported.why);
      if (imported.kind === 'constraint') return imported.json;
      this.#notes.push(imported.note);
      return true;
    }
    const parts = constraint.parts.map((part) => this.#constraint(part, prohibits));
    const open = parts.filter((part) => part !== true);
    if (constraint.logic === 'and') return open.length === 0 ? true : { and: open };
    if (open.length === parts.length && parts.length > 0) return { [constraint.logic]: open };
    if (constraint.logic === 'or' && parts.length > 0) return true;
    throw this.#refuse(constraint.id, `"${constraint.logic}" over what the unit cannot check`);
  }

  #join(permissions: readonly { actions: readonly string[]; constraints: readonly Json[] }[]) {
    const actions = [...new Set(permissions.flatMap((rule) => rule.actions))];
    // What every permission opens: the narrowest of the actions, where they differ.
    const narrow = actions.includes('read') ? ['read'] : actions.includes('distribute') ? ['distribute'] : actions;
    return { actions: narrow, constraints: permissions.flatMap(({ constraints }) => constraints) };
  }

  #written(
    rule: { actions: readonly string[]; constraints: readonly Json[] },
    uid: string,
    limits: readonly Json[],
  ): object {
    const constraint = [...rule.constraints, ...limits];
    return {
      uid,
      target: this.#terms.targets,
      action: rule.actions,
      ...(constraint.length === 0 ? {} : { constraint }),
    };
  }

  #noDuties({ id, duties, remedies, consequences }: OdrlRule): void {
    const first = [...duties, ...remedies, ...consequences][0];
    if (first !== undefined) {
      throw this.#refuse(
        first.id || id,
        `the duty "${first.actions.map((action) => localName(action.id)).join(', ')}"`,
      );
    }
  }

  #refuse(id: string, why: string): TollgateError {
    const node: Node = this.#document.places.get(id) ?? this.#document.root;
    return this.#document.reader.fault('TG_POLICY_UNSUPPORTED', node, `cannot be imported: ${why}`);
  }
}

function atomsOf(constraint: OdrlConstraint): readonly OdrlConstraint[] {
  return constraint.logic === 'atom' ? [constraint] : constraint.parts.flatMap(atomsOf);
}
