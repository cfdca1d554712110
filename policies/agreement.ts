import { createHash } from 'node:crypto';
import type { ErrorCode } from '#contracts';
import { type Condition, conditionText } from './condition.ts';
import { readConditions, type Warn } from './constraints.ts';
import { DocumentReader, type Node, type ObjectNode, step } from './document.ts';
import { parseJson } from './json.ts';
import { ACTIONS, CONTEXT_AUTO, CONTEXT_ODRL, FOREIGN_ACTIONS, OPERANDS, PROFILE } from './vocabulary.ts';

/** A transform that the operation must carry, and at least this strongly. */
export interface Demand {
  readonly operand: 'auto:aggregationWindow' | 'auto:sampling' | 'auto:precision' | 'auto:minSamples';
  /** ms, metres or samples; the operation's parameter must not be lower. */
  readonly atLeast: number;
  /** As the document says it. */
  readonly text: string;
}

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
}

/** What a data owner allows (an Agreement), or what a jurisdiction or owner lays down for all (a Set). */
export interface Agreement {
  readonly file: string;
  readonly type: 'Agreement' | 'Set';
  readonly uid: string;
  readonly version: number;
  /** The data owner; null only in a Set. */
  readonly assigner: string | null;
  /** The recipient whom the rules bind; null only in a Set: they bind everyone. */
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
  'assigner',
  'assignee',
  'permission',
  'prohibition',
  'obligation',
] as const;
const DEMANDS: readonly Demand['operand'][] = [
  'auto:aggregationWindow',
  'auto:sampling',
  'auto:precision',
  'auto:minSamples',
];
/** Keys of ODRL that this version knows but does not enforce; ignoring one would open or close what it should not. */
const UNENFORCED_KEYS: readonly string[] = [
  'assigner',
  'assignee',
  'remedy',
  'consequence',
  'relation',
  'function',
  'output',
  'failure',
  'inheritFrom',
];
/** Sub-path of VSS; the root names the tree. */
const VSS_TARGET = /^vss:[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$/;
const DBC_TARGET = /^dbc:([^\s/]+\/)?[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$/;
const IRI = /^[A-Za-z][A-Za-z0-9+.-]*:\S+$/;
const RULE_UID = /^\S{1,128}$/;
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

  constructor(reader: DocumentReader, file: string) {
    this.#reader = reader;
    this.#file = file;
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
    const rules = (kind: RuleKind) => this.#rules(object, kind);
    const agreement: Agreement = {
      file: this.#file,
      type,
      uid: this.#iri(reader.need(object, 'uid', 'a policy'), 'uid'),
      version: version === undefined ? 1 : reader.integer(version, 'auto:version', 1, MAX_VERSION),
      assigner: this.#party(object, 'assigner', type),
      assignee: this.#party(object, 'assignee', type),
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

  #type(node: Node): 'Agreement' | 'Set' {
    const type = this.#reader.text(node, '@type');
    if (type === 'Agreement' || type === 'Set') return type;
    if (type === 'Offer')
      throw this.#reader.fault('TG_POLICY_TYPE', node, 'an Offer is not in force until both sides agree');
    throw this.#reader.unknown('TG_POLICY_TYPE', node, type, 'a type of policy', ['Agreement', 'Set', 'Offer']);
  }

  #party(object: ObjectNode, key: 'assigner' | 'assignee', type: string): string | null {
    const node = this.#reader.get(object, key);
    if (node !== undefined) return this.#iri(node, key);
    if (type === 'Agreement') throw this.#reader.wrong(object, `an Agreement needs "${key}"`);
    return null;
  }

  #iri(node: Node, what: string): string {
    const text = this.#reader.text(node, what);
    if (!IRI.test(text))
      throw this.#reader.wrong(node, `${what} must be an IRI like urn:uuid:… or did:…, is "${text}"`);
    return text;
  }

  #rules(object: ObjectNode, kind: RuleKind): Rule[] {
    const node = this.#reader.get(object, kind);
    if (node === undefined) return [];
    return this.#reader.oneOrMany(node, `"${kind}"`).map((item, i) => this.#rule(item, kind, i));
  }

  #rule(node: Node, kind: RuleKind, index: number): Rule {
    const reader = this.#reader;
    const object = reader.object(node, `a ${kind}`);
    const keys = ['uid', 'target', 'action', 'constraint', ...(kind === 'permission' ? ['duty'] : [])];
    this.#known(object, `a ${kind}`, keys);
    const uidNode = reader.get(object, 'uid');
    const uid = uidNode === undefined ? `#${kind}/${index}` : reader.text(uidNode, 'uid');
    if (!RULE_UID.test(uid))
      throw reader.wrong(uidNode ?? object, 'the uid of a rule has at most 128 characters and no space');
    if (this.#uids.has(uid)) throw reader.wrong(uidNode ?? object, `two rules have the uid "${uid}"`);
    this.#uids.add(uid);
    const targetNode = reader.need(object, 'target', `a ${kind}`);
    const targets = reader.oneOrMany(targetNode, 'target').map((item) => this.#target(item));
    const constraint = reader.get(object, 'constraint');
    const parts = constraint === undefined ? [] : readConditions(reader, constraint, this.#warn);
    const demands: Demand[] = [];
    const actionNode = reader.need(object, 'action', `a ${kind}`);
    const actions = reader
      .oneOrMany(actionNode, 'action')
      .map((item) =>
        kind === 'obligation'
          ? this.#transform(item, 'an obligation', demands)
          : this.#action(item, kind, parts, demands),
      );
    const refined = parts.length > 0 || demands.length > 0;
    if (kind !== 'obligation' && actions.length > 1 && refined && this.#refines(actionNode)) {
      throw reader.fault(
        'TG_POLICY_UNSUPPORTED',
        actionNode,
        'refined actions in one list: write one rule for each action',
      );
    }
    const duty = reader.get(object, 'duty');
    if (duty !== undefined) for (const item of reader.oneOrMany(duty, 'duty')) this.#duty(item, demands);
    return { kind, uid, pointer: object.pointer, targets, actions, condition: { op: 'and', parts }, demands };
  }

  #refines(node: Node): boolean {
    return node.kind === 'array' && node.items.some((item) => item.kind === 'object' && item.entries.has('refinement'));
  }

  #target(node: Node): string {
    const target = this.#reader.text(node, 'target');
    if (VSS_TARGET.test(target) || DBC_TARGET.test(target)) return target;
    const message = /[*?]/.test(target)
      ? `"${target}" has a wildcard: this version takes branches, which cover all below them`
      : `"${target}" is no target: write vss:<path of a signal or branch> or dbc:<Message>.<Signal>`;
    throw this.#reader.fault(/[*?]/.test(target) ? 'TG_POLICY_UNSUPPORTED' : 'TG_POLICY_VALUE', node, message);
  }

  /** An action, whose refinements become conditions of the rule or, by a transform, demands of a permission. */
  #action(node: Node, kind: RuleKind, parts: Condition[], demands: Demand[]): string {
    const { action, refinement } = this.#actionParts(node);
    if (kind === 'prohibition' && FOREIGN_ACTIONS.includes(action)) {
      const message = `this version cannot enforce a prohibition of "${action}": it happens at the recipient; prohibit "distribute"`;
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', node, message);
    }
    if (refinement === undefined) return action;
    for (const item of this.#reader.oneOrMany(refinement, 'refinement')) {
      const [condition] = readConditions(this.#reader, item, this.#warn) as [Condition];
      if (kind === 'prohibition') parts.push(condition);
      else this.#refine(item, condition, parts, demands);
    }
    return action;
  }

  #refine(node: Node, condition: Condition, parts: Condition[], demands: Demand[]): void {
    if (condition.op === 'and') for (const part of condition.parts) this.#refine(node, part, parts, demands);
    else if (condition.op === 'atom' && OPERANDS[condition.operand]?.phase === 'transform')
      demands.push(this.#demand(node, condition));
    else if (hasTransform(condition)) {
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', node, 'a demanded transform cannot stand in "or" or "xone"');
    } else parts.push(condition);
  }

  #demand(node: Node, condition: Condition & { op: 'atom' }): Demand {
    if (condition.operator !== 'gteq') {
      const code: ErrorCode = 'TG_POLICY_UNKNOWN_OPERATOR';
      throw this.#reader.fault(
        code,
        node,
        `a demand is written with "gteq", not "${condition.operator}" (${condition.text})`,
      );
    }
    const operand = DEMANDS.find((known) => known === condition.operand)!;
    const atLeast = condition.value.type === 'numbers' ? condition.value.numbers[0]! : 0;
    if (atLeast < 0) throw this.#reader.wrong(node, `a demand must not be negative (${condition.text})`);
    return { operand, atLeast, text: condition.text };
  }

  #actionParts(node: Node): { action: string; refinement: Node | undefined } {
    const reader = this.#reader;
    const object = node.kind === 'object' ? reader.record(node, 'an action', ['value', 'refinement']) : null;
    const name = object === null ? node : reader.need(object, 'value', 'an action');
    const action = reader.text(name, 'action');
    if (action === 'actuate')
      throw reader.fault(
        'TG_POLICY_UNSUPPORTED',
        name,
        'the agent only reads the vehicle: "actuate" is never permitted',
      );
    if (!ACTIONS.includes(action)) {
      throw reader.unknown('TG_POLICY_UNKNOWN_ACTION', name, action, 'an action of auto-odrl/1', ACTIONS);
    }
    return { action, refinement: object === null ? undefined : reader.get(object, 'refinement') };
  }

  #duty(node: Node, demands: Demand[]): void {
    const object = this.#reader.object(node, 'a duty');
    this.#known(object, 'a duty', ['uid', 'action', 'constraint']);
    const constraint = this.#reader.get(object, 'constraint');
    const action = this.#reader.need(object, 'action', 'a duty');
    for (const item of this.#reader.oneOrMany(action, 'action')) this.#transform(item, 'a duty', demands);
    if (constraint !== undefined)
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', constraint, 'a duty with a constraint cannot be enforced yet');
  }

  /** A duty that the unit can carry out: to aggregate or to anonymize (cloak). Any other cannot be met, so it is refused. */
  #transform(node: Node, what: string, demands: Demand[]): string {
    const { value } = dutyAction(node);
    if (value === 'delete' || value === 'inform' || value === 'compensate') {
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', node, `this version cannot carry out the duty "${value}"`);
    }
    const { action, refinement } = this.#actionParts(node);
    const operand =
      action === 'aggregate' ? 'auto:aggregationWindow' : action === 'anonymize' ? 'auto:precision' : null;
    if (operand === null) {
      throw this.#reader.fault(
        'TG_POLICY_UNSUPPORTED',
        node,
        `${what} is to aggregate or to anonymize, "${action}" cannot be carried out`,
      );
    }
    demands.push({ operand, atLeast: 0, text: `duty ${action}` });
    if (refinement === undefined) return action;
    const rest: Condition[] = [];
    for (const item of this.#reader.oneOrMany(refinement, 'refinement')) {
      const [condition] = readConditions(this.#reader, item, this.#warn) as [Condition];
      this.#refine(item, condition, rest, demands);
    }
    if (rest.length > 0) {
      const message = `${what} is refined by transforms only, not by ${conditionText(rest[0]!)}`;
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', refinement, message);
    }
    return action;
  }
}

function dutyAction(node: Node): { value: string | null } {
  const name = node.kind === 'object' ? node.entries.get('value')?.value : node;
  return { value: name?.kind === 'scalar' && typeof name.value === 'string' ? name.value : null };
}

function hasTransform(condition: Condition): boolean {
  if (condition.op === 'atom') return OPERANDS[condition.operand]?.phase === 'transform';
  return condition.op !== 'known' && condition.parts.some(hasTransform);
}
