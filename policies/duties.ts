import { type Condition, conditionText } from './condition.ts';
import { readConditions, readDuration, type Warn } from './constraints.ts';
import type { DocumentReader, Node, ObjectNode } from './document.ts';
import { MS_PER_DAY } from './time.ts';
import { ACTIONS, DUTY_ACTIONS, OPERANDS } from './vocabulary.ts';

/** A transform that the operation must carry, and at least this strongly. */
export interface Demand {
  readonly operand: (typeof DEMANDS)[number];
  /** ms, metres, units of the signal, samples or subjects; the operation's parameter must not be lower. */
  readonly atLeast: number;
  /** `auto:epsilon`, `auto:pseudonymPeriod` (ms): the parameter must not be higher; `atLeast` is 0. */
  readonly atMost?: number;
  /** As the document says it. */
  readonly text: string;
}

/** A duty that is no transform. */
export interface Duty {
  readonly action: string;
  /** `delete`: how long the recipient may keep the data, ms; null: the duty names no time. */
  readonly withinMs: number | null;
  readonly text: string;
  /** What falls due where it was not done in time (ODRL IM §2.6.3). */
  readonly consequences: readonly Duty[];
}

/** What duties of a rule come to. */
export interface Obliged {
  readonly demands: Demand[];
  readonly duties: Duty[];
}

/** A recipient may be told to keep nothing longer than this; longer is no limit that a person would notice. */
const MAX_RETENTION_MS = 36_525 * MS_PER_DAY;
const DEMANDS = [
  'auto:aggregationWindow',
  'auto:sampling',
  'auto:precision',
  'auto:minSamples',
  'auto:kMin',
  'auto:epsilon',
  'auto:pseudonymPeriod',
  'auto:tripEndTime',
  'auto:tripEndDistance',
] as const;
/** Demands of a parameter that is stricter the smaller it is. */
const SMALLER: readonly string[] = ['auto:epsilon', 'auto:pseudonymPeriod', 'auto:rate'];
const MS_PER_S = 1000;
const MAX_CONSEQUENCES = 8;

/** Whether the unit, or the recipient with a receipt, carries a duty out; any other cannot be met, so it denies. */
export function canBeMet({ action, withinMs }: Duty): boolean {
  return action === 'delete' && withinMs !== null;
}

/** Reads what actions and duties demand. */
export class DutyReader {
  readonly #reader: DocumentReader;
  readonly #warn: Warn;

  constructor(reader: DocumentReader, warn: Warn) {
    this.#reader = reader;
    this.#warn = warn;
  }

  /** An action's name and its refinement. */
  action(node: Node, known: readonly string[] = ACTIONS): { action: string; refinement: Node | undefined } {
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
    if (!known.includes(action)) {
      throw reader.unknown('TG_POLICY_UNKNOWN_ACTION', name, action, 'an action of auto-odrl/1', known);
    }
    return { action, refinement: object === null ? undefined : reader.get(object, 'refinement') };
  }

  /** Transforms of a refinement become demands, the rest conditions. */
  refine(node: Node, condition: Condition, parts: Condition[], demands: Demand[]): void {
    if (condition.op === 'and') for (const part of condition.parts) this.refine(node, part, parts, demands);
    else if (condition.op === 'atom' && OPERANDS[condition.operand]?.phase === 'transform')
      demands.push(this.#demand(node, condition));
    else if (hasTransform(condition)) {
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', node, 'a demanded transform cannot stand in "or" or "xone"');
    } else parts.push(condition);
  }

  /** One demand. A rate is a sampling period the other way round, and so is the interval between two uses. */
  #demand(node: Node, condition: Condition & { op: 'atom' }): Demand {
    const { operand, operator, text, value } = condition;
    const wanted = SMALLER.includes(operand) ? ['lteq'] : operand === 'timeInterval' ? ['gteq', 'eq'] : ['gteq'];
    if (!wanted.includes(operator)) {
      const words = wanted.map((word) => `"${word}"`).join(' or ');
      throw this.#reader.fault(
        'TG_POLICY_UNKNOWN_OPERATOR',
        node,
        `a demand of "${operand}" is written with ${words}, not "${operator}" (${text})`,
      );
    }
    const number = value.type === 'numbers' ? value.numbers[0]! : 0;
    if (number < 0) throw this.#reader.wrong(node, `a demand must not be negative (${text})`);
    if (operand === 'auto:rate') {
      if (number === 0) throw this.#reader.wrong(node, `a rate of 0 lets nothing leave: prohibit it (${text})`);
      return { operand: 'auto:sampling', atLeast: Math.ceil(MS_PER_S / number), text };
    }
    if (operand === 'timeInterval') return { operand: 'auto:sampling', atLeast: number, text };
    const known = DEMANDS.find((one) => one === operand)!;
    if (!SMALLER.includes(operand)) return { operand: known, atLeast: number, text };
    // Less than a millionth is no parameter that an operation has.
    if (operand === 'auto:epsilon' ? number < 1e-6 : number === 0)
      throw this.#reader.wrong(node, `so strict a demand lets nothing leave: prohibit it (${text})`);
    return { operand: known, atLeast: 0, atMost: number, text };
  }

  /** A duty of a permission. */
  duty(node: Node, into: Obliged): void {
    const reader = this.#reader;
    const object = reader.record(node, 'a duty', ['uid', 'action', 'constraint', 'consequence']);
    const uid = reader.get(object, 'uid');
    if (uid !== undefined) reader.text(uid, 'uid');
    const action = reader.need(object, 'action', 'a duty');
    const consequences = this.#consequences(object);
    for (const item of reader.oneOrMany(action, 'action')) this.act(item, 'a duty', object, consequences, into);
  }

  /** What one action of a duty or obligation asks: a transform, or an act of the recipient. */
  act(node: Node, what: string, object: ObjectNode, consequences: readonly Duty[], into: Obliged): string {
    const reader = this.#reader;
    const { action, refinement } = this.action(node, [...ACTIONS, ...DUTY_ACTIONS]);
    const constraint = what === 'a duty' ? reader.get(object, 'constraint') : undefined;
    const operand =
      action === 'aggregate' ? 'auto:aggregationWindow' : action === 'anonymize' ? 'auto:precision' : null;
    if (operand === null) {
      // The time of a deletion stands in the duty's constraint or narrows its action; an obligation has the second only.
      if (refinement !== undefined && (constraint !== undefined || action !== 'delete'))
        throw reader.fault(
          'TG_POLICY_UNSUPPORTED',
          refinement,
          `the action "${action}" of ${what} takes no refinement here`,
        );
      into.duties.push(this.#act(node, action, constraint ?? refinement, consequences));
      return action;
    }
    if (constraint !== undefined)
      throw reader.fault(
        'TG_POLICY_UNSUPPORTED',
        constraint,
        'a duty to transform holds always: it takes no constraint',
      );
    into.demands.push({ operand, atLeast: 0, text: `duty ${action}` });
    if (refinement === undefined) return action;
    const rest: Condition[] = [];
    for (const item of reader.oneOrMany(refinement, 'refinement')) {
      const [condition] = readConditions(reader, item, this.#warn) as [Condition];
      this.refine(item, condition, rest, into.demands);
    }
    if (rest.length > 0) {
      const message = `${what} is refined by transforms only, not by ${conditionText(rest[0]!)}`;
      throw reader.fault('TG_POLICY_UNSUPPORTED', refinement, message);
    }
    return action;
  }

  /** Duties below a key of a rule: consequences of a duty, remedies of a prohibition. */
  #consequences(object: ObjectNode, depth = 0): Duty[] {
    return this.below(object, 'consequence', depth);
  }

  below(object: ObjectNode, key: 'consequence' | 'remedy', depth = 0): Duty[] {
    const node = this.#reader.get(object, key);
    if (node === undefined) return [];
    if (depth >= MAX_CONSEQUENCES) throw this.#reader.wrong(node, 'consequences of consequences are too deep');
    return this.#reader.oneOrMany(node, `"${key}"`).flatMap((item) => {
      const duty = this.#reader.record(item, `a ${key}`, ['uid', 'action', 'constraint', 'consequence']);
      const further = this.#consequences(duty, depth + 1);
      const actions = this.#reader.oneOrMany(this.#reader.need(duty, 'action', `a ${key}`), 'action');
      return actions.map((one) => {
        const { action } = this.action(one, [...ACTIONS, ...DUTY_ACTIONS]);
        return this.#act(one, action, this.#reader.get(duty, 'constraint'), further);
      });
    });
  }

  #act(node: Node, action: string, constraint: Node | undefined, consequences: readonly Duty[]): Duty {
    const withinMs = constraint === undefined ? null : this.#time(constraint);
    if (withinMs !== null && action !== 'delete')
      throw this.#reader.fault('TG_POLICY_UNSUPPORTED', constraint!, `the duty "${action}" takes no time`);
    const text = `duty ${action}${withinMs === null ? '' : ` within ${Math.ceil(withinMs / MS_PER_S)} s`}`;
    if (!canBeMet({ action, withinMs, text, consequences })) {
      this.#warn(
        node,
        `the duty "${action}" cannot be met here${action === 'delete' ? ' without elapsedTime' : ''}: what stands under it does not leave`,
      );
    }
    return { action, withinMs, text, consequences };
  }

  /** `elapsedTime lteq P30D`: the only constraint that a duty of the recipient takes. */
  #time(node: Node): number {
    const reader = this.#reader;
    const items = reader.oneOrMany(node, 'constraint');
    const object = reader.object(items[0]!, 'a constraint');
    const word = (key: string) => reader.text(reader.need(object, key, 'a constraint'), key);
    const operand = word('leftOperand');
    const fits = items.length === 1 && (operand === 'elapsedTime' || operand === 'delayPeriod');
    if (!fits || !['lt', 'lteq', 'eq'].includes(word('operator'))) {
      throw reader.fault('TG_POLICY_UNSUPPORTED', node, 'a duty takes one constraint: elapsedTime lteq a duration');
    }
    reader.record(object, 'a constraint', ['leftOperand', 'operator', 'rightOperand']);
    const right = reader.need(object, 'rightOperand', 'a constraint');
    const value =
      right.kind === 'object' && right.entries.has('@value') ? reader.need(right, '@value', 'a literal') : right;
    return readDuration(reader, value, `the value of "${operand}"`, MAX_RETENTION_MS);
  }
}

function hasTransform(condition: Condition): boolean {
  if (condition.op === 'atom') return OPERANDS[condition.operand]?.phase === 'transform';
  return condition.op !== 'known' && condition.parts.some(hasTransform);
}
