import { createHash } from 'node:crypto';
import { type Budget, takeBudgets } from './budgets.ts';
import type { Condition } from './condition.ts';
import { readConditions, type Warn } from './constraints.ts';
import { DocumentReader, type Node, type ObjectNode, step } from './document.ts';
import { type Demand, type Duty, DutyReader } from './duties.ts';
import { parseJson } from './json.ts';
import { NodeReader, type PartyRef } from './parties.ts';
import { CONTEXT_AUTO, CONTEXT_ODRL, FOREIGN_ACTIONS, PROFILE } from './vocabulary.ts';

export type { Budget, Demand, Duty };

export type RuleKind = 'permission' | 'prohibition' | 'obligation';

/** One permission, prohibition or obligation. */
export interface Rule {
  readonly kind: RuleKind;
  /** `#p1` as written, else `#permission/0` after its place. */
  readonly uid: string;
  readonly pointer: string;
  /** `vss:` path of a signal or branch, or `dbc:` name. */
  readonly targets: readonly string[];
  readonly actions: readonly string[];
  /** All must hold. */
  readonly condition: Condition;
  /** Refinements by a transform, and duties to transform. */
  readonly demands: readonly Demand[];
  /** Other duties, and the acts of an obligation; one that cannot be met denies. */
  readonly duties: readonly Duty[];
  /** Of a permission: how often or how much, counted by the store. */
  readonly budgets: readonly Budget[];
  /** Of a prohibition: what would fall due if it were violated. The gate never violates one. */
  readonly remedies: readonly Duty[];
}

/** Who laid a policy down; where several prohibit, the strongest is named (law pack > owner > fleet > recipient). */
export const LAYERS = ['law', 'owner', 'fleet', 'recipient'] as const;
export type Layer = (typeof LAYERS)[number];

/** What a data owner allows (an Agreement), what one lays down for all (a Set), or what is proposed (an Offer). */
export interface Agreement {
  readonly file: string;
  /** An Offer is read and opens and closes nothing: it is not in force until both sides agree. */
  readonly type: 'Agreement' | 'Set' | 'Offer';
  readonly layer: Layer;
  readonly uid: string;
  readonly version: number;
  /** The data owner; null only in a Set or Offer. */
  readonly assigner: string | null;
  /** The recipient whom the rules bind; null only in a Set or Offer: they bind everyone. */
  readonly assignee: string | null;
  readonly permissions: readonly Rule[];
  readonly prohibitions: readonly Rule[];
  readonly obligations: readonly Rule[];
  /** SHA-256 of the document's bytes. */
  readonly hash: Uint8Array;
  /** What is understood but may not be meant, with its place. */
  readonly warnings: readonly string[];
}

const POLICY_KEYS = [
  '@context',
  '@type',
  'uid',
  'profile',
  'conflict',
  'auto:version',
  'auto:layer',
  'assigner',
  'assignee',
  'permission',
  'prohibition',
  'obligation',
] as const;
/** Keys of ODRL that this version knows but does not enforce; ignoring one would open or close what it should not. */
const UNENFORCED_KEYS: readonly string[] = ['relation', 'function', 'output', 'failure', 'inheritFrom'];
/** Keys that a rule of each kind takes beside those of all. */
const OWN_KEYS: Readonly<Record<RuleKind, readonly string[]>> = {
  permission: ['duty'],
  prohibition: ['remedy'],
  obligation: ['consequence'],
};
const RULE_UID = /^\S{1,128}$/;
const MICRO = 1_000_000;
const MAX_VERSION = Number.MAX_SAFE_INTEGER;

/**
 * Reads one policy of the profile `auto-odrl/1`: ODRL 2.2 as compacted JSON-LD under a pinned context. What is not
 * understood is refused with its place; a policy is never partly applied.
 *
 * @throws {TollgateError} `TG_POLICY_…` with file, line, column, JSON pointer and, where a word is unknown, the nearest
 */
export function loadAgreement(bytes: Uint8Array, { file }: { readonly file: string }): Agreement {
  const { text, root } = parseJson(bytes, file, 'TG_POLICY_SYNTAX');
  const reader = new DocumentReader(file, text, { unknownKey: 'TG_POLICY_UNKNOWN_KEY', value: 'TG_POLICY_VALUE' });
  const hash = new Uint8Array(createHash('sha256').update(bytes).digest());
  return new AgreementReader(reader, file).read(root, hash);
}

class AgreementReader {
  readonly #reader: DocumentReader;
  readonly #file: string;
  readonly #warnings: string[] = [];
  readonly #uids = new Set<string>();
  readonly #nodes: NodeReader;
  readonly #duties: DutyReader;
  #assigner: string | null = null;
  /** What narrows the party that the policy names: it holds for each of its rules. */
  #narrowed: readonly Condition[] = [];

  constructor(reader: DocumentReader, file: string) {
    this.#reader = reader;
    this.#file = file;
    this.#nodes = new NodeReader(reader, (node, message) => this.#warn(node, message));
    this.#duties = new DutyReader(reader, (node, message) => this.#warn(node, message));
  }

  read(root: Node, hash: Uint8Array): Agreement {
    const reader = this.#reader;
    const object = reader.object(root, 'a policy');
    // A foreign context or profile explains every other fault, so both are asked first.
    this.#context(reader.need(object, '@context', 'a policy'));
    const profile = reader.need(object, 'profile', 'a policy');
    if (profile.kind !== 'scalar' || profile.value !== PROFILE) {
      throw reader.fault('TG_POLICY_PROFILE', profile, `the profile must be ${PROFILE}`);
    }
    this.#known(object, 'a policy', POLICY_KEYS);
    const type = this.#type(reader.need(object, '@type', 'a policy'));
    const conflict = reader.get(object, 'conflict');
    if (conflict !== undefined && (conflict.kind !== 'scalar' || conflict.value !== 'prohibit')) {
      throw reader.fault('TG_POLICY_CONFLICT', conflict, 'the only conflict strategy is "prohibit"');
    }
    const version = reader.get(object, 'auto:version');
    const layer = reader.get(object, 'auto:layer');
    this.#assigner = this.#party(object, 'assigner', type)?.id ?? null;
    const assignee = this.#party(object, 'assignee', type);
    this.#narrowed = assignee?.refinement ?? [];
    const rules = (kind: RuleKind) => this.#rules(object, kind);
    const agreement: Agreement = {
      file: this.#file,
      type,
      layer: layer === undefined ? 'owner' : this.#layer(layer),
      uid: this.#nodes.iri(reader.need(object, 'uid', 'a policy'), 'uid'),
      version: version === undefined ? 1 : reader.integer(version, 'auto:version', 1, MAX_VERSION),
      assigner: this.#assigner,
      assignee: assignee?.id ?? null,
      permissions: rules('permission'),
      prohibitions: rules('prohibition'),
      obligations: rules('obligation'),
      hash,
      warnings: this.#warnings,
    };
    if (this.#uids.size === 0) throw reader.wrong(object, 'a policy needs at least one rule');
    return agreement;
  }

  readonly #warn: Warn = (node, message) => {
    const { place } = this.#reader.fault('TG_POLICY_VALUE', node, message);
    this.#warnings.push(`${place.file}:${place.line}:${place.column}  ${message} (at ${place.pointer})`);
  };

  /** Refuses unknown keys, and by another name those that ODRL has and this version lacks. */
  #known(object: ObjectNode, what: string, keys: readonly string[]): void {
    for (const [key, { keyAt }] of object.entries) {
      if (keys.includes(key) || !UNENFORCED_KEYS.includes(key)) continue;
      const place = { at: keyAt, pointer: step(object.pointer, key) };
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', place, `this version cannot enforce "${key}" of ${what}`);
    }
    this.#reader.record(object, what, keys);
  }

  #context(node: Node): void {
    const wrong = (at: Node) =>
      this.#reader.fault(
        'TG_POLICY_CONTEXT',
        at,
        `the context must be exactly ["${CONTEXT_ODRL}", {"auto": "${CONTEXT_AUTO}"}]`,
      );
    if (node.kind !== 'array' || node.items.length !== 2) throw wrong(node);
    const [odrl, terms] = node.items as [Node, Node];
    if (odrl.kind !== 'scalar' || odrl.value !== CONTEXT_ODRL) throw wrong(odrl);
    const auto = terms.kind === 'object' && terms.entries.size === 1 ? terms.entries.get('auto')?.value : undefined;
    if (auto?.kind !== 'scalar' || auto.value !== CONTEXT_AUTO) throw wrong(terms);
  }

  #type(node: Node): Agreement['type'] {
    const type = this.#reader.text(node, '@type');
    if (type === 'Agreement' || type === 'Set') return type;
    if (type === 'Offer') {
      this.#warn(node, 'an Offer is not in force until both sides agree: it opens and closes nothing');
      return type;
    }
    throw this.#reader.unknown('TG_POLICY_TYPE', node, type, 'a type of policy', ['Agreement', 'Set', 'Offer']);
  }

  #layer(node: Node): Layer {
    const word = this.#reader.text(node, 'auto:layer');
    const known = LAYERS.filter((layer) => layer !== 'law');
    const layer = known.find((one) => one === word);
    // A document does not make itself law: the configuration names the law packs.
    if (layer === undefined) throw this.#reader.unknown('TG_POLICY_VALUE', node, word, 'a layer', known);
    return layer;
  }

  #party(object: ObjectNode, key: 'assigner' | 'assignee', type: string): PartyRef | null {
    const node = this.#reader.get(object, key);
    if (node !== undefined) {
      const party = this.#nodes.party(node, key);
      if (party.members !== null)
        throw this.#reader.fault(
          'TG_POLICY_UNSUPPORTED',
          node,
          `"${key}" of a policy is one party: name a collection in its rules`,
        );
      return party;
    }
    if (type === 'Agreement') throw this.#reader.wrong(object, `an Agreement needs "${key}"`);
    return null;
  }

  #rules(object: ObjectNode, kind: RuleKind): Rule[] {
    const node = this.#reader.get(object, kind);
    if (node === undefined) return [];
    return this.#reader.oneOrMany(node, `"${kind}"`).map((item, i) => this.#rule(item, kind, i));
  }

  #rule(node: Node, kind: RuleKind, index: number): Rule {
    const reader = this.#reader;
    const object = reader.object(node, `a ${kind}`);
    this.#known(object, `a ${kind}`, [
      'uid',
      'target',
      'action',
      'constraint',
      'assigner',
      'assignee',
      ...OWN_KEYS[kind],
    ]);
    const uidNode = reader.get(object, 'uid');
    const uid = uidNode === undefined ? `#${kind}/${index}` : reader.text(uidNode, 'uid');
    if (!RULE_UID.test(uid))
      throw reader.wrong(uidNode ?? object, 'the uid of a rule has at most 128 characters and no space');
    if (this.#uids.has(uid)) throw reader.wrong(uidNode ?? object, `two rules have the uid "${uid}"`);
    this.#uids.add(uid);
    const constraint = reader.get(object, 'constraint');
    const { targets, narrowed } = this.#targets(reader.need(object, 'target', `a ${kind}`));
    const parts = [
      ...this.#narrowed,
      ...this.#parties(object),
      ...narrowed,
      ...(constraint === undefined ? [] : readConditions(reader, constraint, this.#warn)),
    ];
    const obliged = { demands: [] as Demand[], duties: [] as Duty[] };
    const actionNode = reader.need(object, 'action', `a ${kind}`);
    const items = reader.oneOrMany(actionNode, 'action');
    const consequences = kind === 'obligation' ? this.#duties.below(object, 'consequence') : [];
    const actions = items.map((item) =>
      kind === 'obligation'
        ? this.#duties.act(item, 'an obligation', object, consequences, obliged)
        : this.#action(item, kind, parts, obliged.demands),
    );
    const refined = parts.length > 0 || obliged.demands.length > 0;
    if (kind !== 'obligation' && actions.length > 1 && refined && this.#refines(actionNode)) {
      throw reader.fault(
        'TG_POLICY_UNSUPPORTED',
        actionNode,
        'refined actions in one list: write one rule for each action',
      );
    }
    const duty = reader.get(object, 'duty');
    if (duty !== undefined) for (const item of reader.oneOrMany(duty, 'duty')) this.#duties.duty(item, obliged);
    const remedies = kind === 'prohibition' ? this.#duties.below(object, 'remedy') : [];
    const budgets = takeBudgets(parts, (text) =>
      reader.fault(
        'TG_POLICY_UNSUPPORTED',
        constraint ?? object,
        `${text} limits a permission only, and not in "or" or "xone"`,
      ),
    );
    if (budgets.length > 0 && kind !== 'permission')
      throw reader.fault('TG_POLICY_UNSUPPORTED', constraint ?? object, `${budgets[0]!.text} limits a permission only`);
    for (const { counts, limit, text } of budgets) {
      if (counts !== 'epsilon') continue;
      if (limit < 1)
        throw reader.fault('TG_POLICY_VALUE', constraint ?? object, `${text} lets nothing leave: prohibit it`);
      // Without noise every value costs without end, so the budget demands it.
      obliged.demands.push({ operand: 'auto:epsilon', atLeast: 0, atMost: limit / MICRO, text });
    }
    const condition: Condition = { op: 'and', parts };
    return { kind, uid, pointer: object.pointer, targets, actions, condition, ...obliged, budgets, remedies };
  }

  /** Targets of a rule, and what narrows them all alike. */
  #targets(node: Node): { targets: readonly string[]; narrowed: readonly Condition[] } {
    const items = this.#reader.oneOrMany(node, 'target');
    const found = items.map((item) => this.#nodes.target(item));
    const refined = found.findIndex(({ refinement }) => refinement.length > 0);
    if (refined >= 0 && found.length > 1)
      throw this.#reader.fault(
        'TG_POLICY_UNSUPPORTED',
        items[refined]!,
        'a refined target in a list: write one rule for each',
      );
    return { targets: found.flatMap(({ targets }) => targets), narrowed: found[0]!.refinement };
  }

  /** Parties of a rule as conditions on the recipient; the assigner is the policy's own. */
  #parties(object: ObjectNode): readonly Condition[] {
    const assigner = this.#reader.get(object, 'assigner');
    if (assigner !== undefined && this.#nodes.party(assigner, 'assigner').id !== this.#assigner)
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', assigner, 'a rule has the assigner of its policy, no other');
    const node = this.#reader.get(object, 'assignee');
    if (node === undefined) return [];
    const { id, members, refinement } = this.#nodes.party(node, 'assignee');
    const ids = members ?? [id];
    return [
      {
        op: 'atom',
        operand: 'recipient',
        operator: 'isAnyOf',
        value: { type: 'ids', ids },
        text: `recipient isAnyOf ${members === null ? id : `the members of ${id}`}`,
        pointer: node.pointer,
      },
      ...refinement,
    ];
  }

  #refines(node: Node): boolean {
    return node.kind === 'array' && node.items.some((item) => item.kind === 'object' && item.entries.has('refinement'));
  }

  /** An action, whose refinements become conditions of the rule or, by a transform, demands of a permission. */
  #action(node: Node, kind: RuleKind, parts: Condition[], demands: Demand[]): string {
    const { action, refinement } = this.#duties.action(node);
    if (kind === 'prohibition' && FOREIGN_ACTIONS.includes(action)) {
      const message = `this version cannot enforce a prohibition of "${action}": it happens at the recipient; prohibit "distribute"`;
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', node, message);
    }
    if (refinement === undefined) return action;
    for (const item of this.#reader.oneOrMany(refinement, 'refinement')) {
      const [condition] = readConditions(this.#reader, item, this.#warn) as [Condition];
      if (kind === 'prohibition') parts.push(condition);
      else this.#duties.refine(item, condition, parts, demands);
    }
    return action;
  }
}
