import type { Condition } from './condition.ts';
import { readConditions, type Warn } from './constraints.ts';
import type { DocumentReader, Node } from './document.ts';
import { OPERANDS } from './vocabulary.ts';

const IRI = /^[A-Za-z][A-Za-z0-9+.-]*:\S+$/;
/** Sub-path of VSS; the root names the tree. Steps may have stars. */
const VSS_TARGET = /^vss:([A-Za-z][A-Za-z0-9_*]*|\*{1,2})(\.[A-Za-z0-9_*]+)*$/;
const DBC_TARGET = /^dbc:([^\s/]+\/)?[A-Za-z_*][A-Za-z0-9_*]*\.[A-Za-z_*][A-Za-z0-9_*]*$/;
/** More of them would make a target slow to match and nobody could say what it reaches. */
const MAX_STARS = 6;
const NODE_KEYS = ['@type', '@id', 'uid', 'source', 'auto:member', 'refinement'];

/** A party or collection of parties as a document writes it. */
export interface PartyRef {
  /** IRI of the party or collection. */
  readonly id: string;
  /** Members of a collection; null: one party. */
  readonly members: readonly string[] | null;
  /** What narrows it; operands of the recipient. */
  readonly refinement: readonly Condition[];
}

/** Reads parties and targets, collections and their refinements (ODRL IM §2.2, §2.3). */
export class NodeReader {
  readonly #reader: DocumentReader;
  readonly #warn: Warn;

  constructor(reader: DocumentReader, warn: Warn) {
    this.#reader = reader;
    this.#warn = warn;
  }

  iri(node: Node, what: string): string {
    const text = this.#reader.text(node, what);
    if (!IRI.test(text))
      throw this.#reader.wrong(node, `${what} must be an IRI like urn:uuid:… or did:…, is "${text}"`);
    return text;
  }

  party(node: Node, what: string): PartyRef {
    if (node.kind !== 'object') return { id: this.iri(node, what), members: null, refinement: [] };
    const { id, members, refinement } = this.#node(node, what, 'Party', (item) => this.iri(item, 'a member'));
    return { id: this.#named(node, id, what), members, refinement: this.#refinements(refinement, 'recipient') };
  }

  /** Targets that a node names, and what narrows them. */
  target(node: Node): { targets: readonly string[]; refinement: readonly Condition[] } {
    if (node.kind !== 'object') return { targets: [this.#target(node)], refinement: [] };
    const found = this.#node(node, 'target', 'Asset', (item) => this.#target(item));
    const targets = found.members ?? [this.#target(found.at ?? node)];
    return { targets, refinement: this.#refinements(found.refinement, 'signal') };
  }

  /** `{"@type": "AssetCollection", "source": …, "auto:member": […], "refinement": […]}` and its kin. */
  #node(node: Node, what: string, type: 'Party' | 'Asset', member: (node: Node) => string) {
    const reader = this.#reader;
    const object = reader.record(node, `"${what}"`, NODE_KEYS);
    const typeNode = reader.need(object, '@type', `"${what}"`);
    const name = reader.text(typeNode, '@type');
    const known = [type, `${type}Collection`];
    if (!known.includes(name)) throw reader.unknown('TG_POLICY_TYPE', typeNode, name, `a type of "${what}"`, known);
    const at = reader.get(object, 'uid') ?? reader.get(object, '@id') ?? reader.get(object, 'source');
    const list = reader.get(object, 'auto:member');
    const collection = name !== type;
    if (list !== undefined && !collection) throw reader.wrong(list, `"${what}" of type ${type} has no members`);
    // An asset collection without members is a branch or a glob, whose members are what it reaches.
    if (collection && list === undefined && type === 'Party')
      throw reader.wrong(node, 'a PartyCollection names its members in "auto:member": nothing is looked up');
    return {
      at,
      id: at,
      members: list === undefined ? null : reader.oneOrMany(list, 'auto:member').map(member),
      refinement: reader.get(object, 'refinement'),
    };
  }

  #named(node: Node, id: Node | undefined, what: string): string {
    if (id === undefined) throw this.#reader.wrong(node, `"${what}" needs "uid"`);
    return this.iri(id, what);
  }

  #refinements(node: Node | undefined, phase: 'recipient' | 'signal'): readonly Condition[] {
    if (node === undefined) return [];
    const conditions = readConditions(this.#reader, node, this.#warn);
    const foreign = conditions.flatMap(operandsOf).find((operand) => OPERANDS[operand]?.phase !== phase);
    if (foreign !== undefined) {
      const what = phase === 'recipient' ? 'a party' : 'a target';
      throw this.#reader.fault(
        'TG_POLICY_UNSUPPORTED',
        node,
        `"${foreign}" does not narrow ${what}: write it as a constraint`,
      );
    }
    return conditions;
  }

  #target(node: Node): string {
    const target = this.#reader.text(node, 'target');
    const stars = target.split('*').length - 1;
    if ((VSS_TARGET.test(target) || DBC_TARGET.test(target)) && stars <= MAX_STARS && !target.includes('***'))
      return target;
    const message =
      stars > MAX_STARS
        ? `"${target}" has more than ${MAX_STARS} stars`
        : `"${target}" is no target: write vss:<path of a signal or branch> or dbc:<Message>.<Signal>`;
    throw this.#reader.fault('TG_POLICY_VALUE', node, message);
  }
}

function operandsOf(condition: Condition): readonly string[] {
  if (condition.op === 'atom') return [condition.operand];
  return condition.op === 'known' ? [] : condition.parts.flatMap(operandsOf);
}
