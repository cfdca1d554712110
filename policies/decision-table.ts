import type { SignalInfo } from '#contracts';
import type { Agreement, Budget, Rule } from './agreement.ts';
import type { PlanInput } from './compile.ts';
import { type Atom, atomsOf, type Condition, FALSE, reduce, TRUE, type Truth, UNKNOWN } from './condition.ts';
import { decideAtom, type Known } from './decide.ts';
import { canBeMet } from './duties.ts';
import { contextAtom, timeAtom } from './gate-atoms.ts';
import { ATOM_FIELDS, AtomTable, CODE_KNOWN, emit } from './gate-program.ts';
import { combined } from './gate-table.ts';
import { sensitivityOf } from './sensitivity.ts';
import { ruleReaches } from './targets.ts';
import { includesAction, OPERANDS, type Operator } from './vocabulary.ts';

/*
 * The answer to one question about one signal, whatever the campaigns: for `policy why`, for receivers, for comparison
 * with other engines. Same rules as the plan: closed world, any prohibition that may be active wins, unknown fails
 * closed. What depends on signal, action, recipient and purpose is folded once into a cell; the rest is flat rows of
 * numbers, so a decision makes no object and costs what the rules of its cell cost, however many others there are.
 */

export interface DecisionRequest {
  /** Any name of the signal. */
  readonly signal: string;
  readonly action: string;
  /** DID. */
  readonly recipient: string;
  readonly purpose: string;
  /** ms since 1970 UTC; null: unknown. */
  readonly utcMs: number | null;
  /** Bound of the clock's error, ms; absent: 0. */
  readonly utcErrorMs?: number;
  /**
   * Values by operand: `auto:vehicleSpeed`, switches as 0 and 1, `auto:recipientCredit` in place of the known facts,
   * `auto:position latitude` and `auto:position longitude`, transforms as they would run (`auto:aggregationWindow` in ms),
   * counters as used so far. A transform that is not given is none; all else is unknown.
   */
  readonly context?: Readonly<Record<string, number>>;
}

export interface Decision {
  readonly permitted: boolean;
  readonly reason: 'permitted' | 'prohibited' | 'constraint' | 'transform' | 'no-permission' | 'unknown-signal';
  /** The rule that decides, or the permission that came closest; null where none speaks of it. */
  readonly agreement: string | null;
  readonly rule: string | null;
  /** The constraint that failed, in words; of a permission that was granted, null. */
  readonly constraint: string | null;
}

export type DecisionInput = Pick<
  PlanInput,
  'agreements' | 'lawPacks' | 'signals' | 'recipients' | 'unit' | 'sensitivity'
>;

/** What an action needs done before it; a prohibition of any of them prohibits it. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  read: ['read'],
  derive: ['read', 'derive'],
  aggregate: ['read', 'derive', 'aggregate'],
  anonymize: ['read', 'derive', 'anonymize'],
  train: ['read', 'derive', 'train'],
  display: ['read', 'display'],
  store: ['read', 'derive', 'store'],
  distribute: ['read', 'derive', 'store', 'distribute'],
  use: ['read', 'derive', 'store', 'distribute', 'use'],
};
/** Without a transform these are without end. */
const UNLIMITED: readonly string[] = ['auto:rate', 'auto:epsilon', 'auto:pseudonymPeriod'];
/** Cells are made when first asked for; at this many all are dropped: requests of strangers must not fill the memory. */
const MAX_CELLS = 65_536;
const UNKNOWN_SIGNAL: Decision = {
  permitted: false,
  reason: 'unknown-signal',
  agreement: null,
  rule: null,
  constraint: null,
};

/** One test that must hold: an atom (`code` null) or the postfix code of a condition. */
interface Test {
  readonly atom: number;
  readonly time: boolean;
  readonly code: Int32Array | null;
  /** What is answered where it decides: false, and unknown. */
  readonly failed: Decision;
  readonly unknown: Decision;
}

interface CellRule {
  readonly tests: readonly Test[];
  /** Where all tests hold. */
  readonly decision: Decision;
}

interface Cell {
  readonly prohibitions: readonly CellRule[];
  readonly permissions: readonly CellRule[];
  /** Where no permission speaks of the request, or each is known to fail. */
  readonly otherwise: Decision;
}

/** Compiles policies once, for many decisions. */
export function createDecisionTable(input: DecisionInput): DecisionTable {
  return new DecisionTable(input);
}

export class DecisionTable {
  readonly #input: DecisionInput;
  readonly #policies: readonly { readonly agreement: Agreement; readonly licenses: boolean }[];
  readonly #atoms = new AtomTable([]);
  readonly #program: { atoms: Float64Array; pool: Float64Array };
  readonly #slots: ReadonlyMap<string, number>;
  readonly #blank: Float64Array;
  readonly #values: Float64Array;
  readonly #creditSlot: number;
  readonly #names = new Map<string, number>();
  readonly #recipients = new Map<string, number>();
  readonly #purposes = new Map<string, number>();
  readonly #actions: ReadonlyMap<string, number>;
  readonly #cells = new Map<number, Cell>();
  readonly #demands = new Map<Rule, Condition>();
  readonly #stack: Uint8Array;
  #nowMs = Number.NaN;
  #errorMs = 0;

  constructor(input: DecisionInput) {
    this.#input = input;
    const inForce = (documents: readonly Agreement[], licenses: boolean) =>
      documents
        .filter(({ type }) => type !== 'Offer')
        .map((agreement) => ({ agreement, licenses: licenses && agreement.type === 'Agreement' }));
    this.#policies = [...inForce(input.lawPacks, false), ...inForce(input.agreements, true)];
    input.signals.signals.forEach((signal, i) => {
      for (const name of [signal.name, signal.dbcName]) this.#names.set(name, i);
    });
    for (const [name, signal] of input.signals.byName) {
      if (!this.#names.has(name)) this.#names.set(name, input.signals.signals.indexOf(signal));
    }
    this.#actions = new Map(Object.keys(NEEDS).map((action, i) => [action, i]));
    let depth = 1;
    for (const { agreement } of this.#policies) {
      for (const rule of [...agreement.permissions, ...agreement.prohibitions, ...agreement.obligations]) {
        const demanded = this.#demanded(rule);
        // Every atom that a cell may have: rows are laid out once, here.
        const parts = [rule.condition, demanded, ...(rule.kind === 'obligation' ? [negated(demanded)] : [])];
        const whole: Condition = { op: 'and', parts };
        for (const atom of atomsOf(whole)) if (staysOpen(atom)) this.#atoms.index(atom);
        depth = Math.max(depth, atomsOf(whole).length + 1);
      }
    }
    const { atoms, pool, values } = this.#atoms.tables();
    this.#program = { atoms, pool };
    this.#slots = this.#atoms.slots();
    this.#blank = values;
    // What is not transformed has window, period and precision 0, and each sample is one.
    for (const [operand, slot] of this.#slots) {
      if (OPERANDS[operand]?.phase !== 'transform') continue;
      this.#blank[slot] = UNLIMITED.includes(operand)
        ? Number.POSITIVE_INFINITY
        : operand === 'auto:minSamples'
          ? 1
          : 0;
    }
    this.#values = this.#blank.slice();
    this.#creditSlot = this.#slots.get('auto:recipientCredit') ?? -1;
    this.#stack = new Uint8Array(depth + 1);
  }

  /** Decides one request; makes no object once the cell of its signal, action, recipient and purpose is made. */
  decide(request: DecisionRequest): Decision {
    const signal = this.#names.get(request.signal);
    if (signal === undefined) return UNKNOWN_SIGNAL;
    const cell = this.#cell(signal, request);
    this.#read(request);
    const { prohibitions, permissions } = cell;
    for (let i = 0; i < prohibitions.length; i++) {
      const rule = prohibitions[i]!;
      const stops = this.#mayHold(rule);
      if (stops !== null) return stops;
    }
    let closest: Decision = cell.otherwise;
    for (let i = 0; i < permissions.length; i++) {
      const found = this.#holds(permissions[i]!);
      if (found.permitted) return found;
      if (i === 0) closest = found;
    }
    return closest;
  }

  #read({ utcMs, utcErrorMs, context, recipient }: DecisionRequest): void {
    const values = this.#values;
    values.set(this.#blank);
    this.#nowMs = utcMs ?? Number.NaN;
    this.#errorMs = utcErrorMs ?? 0;
    if (this.#creditSlot >= 0) values[this.#creditSlot] = this.#input.recipients?.get(recipient)?.credit ?? Number.NaN;
    if (context === undefined) return;
    for (const operand in context) {
      const slot = this.#slots.get(operand);
      if (slot !== undefined) values[slot] = context[operand]!;
    }
  }

  #test({ atom, time, code }: Test): Truth {
    if (code !== null) return this.#run(code);
    return this.#atom(atom, time);
  }

  #atom(atom: number, time: boolean): Truth {
    if (!time) return contextAtom(this.#program, atom, this.#values);
    return Number.isNaN(this.#nowMs) ? UNKNOWN : timeAtom(this.#program, atom, this.#nowMs, this.#errorMs);
  }

  /** The decision that a prohibition makes; null where one of its tests is false. */
  #mayHold({ tests, decision }: CellRule): Decision | null {
    let unknown: Decision | null = null;
    for (let i = 0; i < tests.length; i++) {
      const state = this.#test(tests[i]!);
      if (state === FALSE) return null;
      if (state === UNKNOWN) unknown ??= tests[i]!.unknown;
    }
    return unknown ?? decision;
  }

  #holds({ tests, decision }: CellRule): Decision {
    for (let i = 0; i < tests.length; i++) {
      const state = this.#test(tests[i]!);
      if (state !== TRUE) return state === FALSE ? tests[i]!.failed : tests[i]!.unknown;
    }
    return decision;
  }

  /** Kleene's logic on a stack of states; the code is that of the gate. */
  #run(code: Int32Array): Truth {
    const stack = this.#stack;
    let top = 0;
    for (let i = 0; i < code.length; i++) {
      const word = code[i]!;
      if (word >= 0) {
        stack[top++] = this.#atom(word, this.#isTime(word));
        continue;
      }
      const argument = code[++i]!;
      if (word === CODE_KNOWN) {
        stack[top++] = argument;
        continue;
      }
      top -= argument;
      let trues = 0;
      let falses = 0;
      for (let j = top; j < top + argument; j++) {
        if (stack[j] === TRUE) trues++;
        else if (stack[j] === FALSE) falses++;
      }
      stack[top++] = combined(word, argument, trues, falses);
    }
    return stack[0] as Truth;
  }

  /** Atoms of time read no slot. */
  #isTime(atom: number): boolean {
    return this.#program.atoms[atom * ATOM_FIELDS + 4] === -1;
  }

  #cell(signal: number, { action, recipient, purpose }: DecisionRequest): Cell {
    const actionIndex = this.#actions.get(action) ?? -1;
    const r = indexOf(this.#recipients, recipient);
    const p = indexOf(this.#purposes, purpose);
    // Four small numbers in one: recipients and purposes are at most as many as cells.
    const key = ((signal * 16 + actionIndex + 1) * MAX_CELLS + r) * MAX_CELLS + p;
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    if (this.#cells.size >= MAX_CELLS || r >= MAX_CELLS - 1 || p >= MAX_CELLS - 1) {
      this.#cells.clear();
      this.#recipients.clear();
      this.#purposes.clear();
      return this.#cell(signal, { signal: '', action, recipient, purpose, utcMs: null });
    }
    const cell = this.#compile(this.#input.signals.signals[signal]!, action, recipient, purpose);
    this.#cells.set(key, cell);
    return cell;
  }

  #compile(info: SignalInfo, action: string, recipient: string, purpose: string): Cell {
    const { signals, recipients, unit, sensitivity } = this.#input;
    const known: Known = {
      recipient,
      purpose,
      nowUtcMs: null,
      parameters: null,
      facts: recipients?.get(recipient) ?? null,
      unit: unit ?? {},
      sensitivity: sensitivityOf(info, sensitivity ?? {}, signals.byName),
      binding: () => ({ kind: 'none' }),
    };
    const needs = NEEDS[action];
    const prohibitions: CellRule[] = [];
    const permissions: CellRule[] = [];
    let otherwise: Decision = { ...UNKNOWN_SIGNAL, reason: 'no-permission' };
    if (needs === undefined) return { prohibitions, permissions, otherwise };
    for (const { agreement, licenses } of this.#policies) {
      if (agreement.assignee !== null && agreement.assignee !== recipient) continue;
      const reached = (rules: readonly Rule[]) => rules.filter((rule) => ruleReaches(rule, info, signals.byName));
      for (const rule of reached(agreement.prohibitions)) {
        if (!rule.actions.some((one) => needs.some((need) => includesAction(one, need)))) continue;
        const made = this.#rule(agreement, rule, rule.condition, known, 'prohibited');
        if (made !== null) prohibitions.push(made);
      }
      for (const rule of reached(agreement.obligations)) {
        const made = this.#obligation(agreement, rule, known);
        if (made !== null) prohibitions.push(made);
      }
      if (!licenses) continue;
      for (const rule of reached(agreement.permissions)) {
        if (!rule.actions.some((one) => includesAction(one, action))) continue;
        const unmet = rule.duties.find((duty) => !canBeMet(duty));
        const fails = (constraint: string): Decision => ({
          permitted: false,
          reason: 'constraint',
          agreement: agreement.uid,
          rule: rule.uid,
          constraint,
        });
        if (unmet !== undefined) {
          otherwise = otherwise.rule === null ? fails(`${unmet.text}, which cannot be met here`) : otherwise;
          continue;
        }
        const whole: Condition = { op: 'and', parts: [rule.condition, this.#demanded(rule)] };
        const made = this.#rule(agreement, rule, whole, known, 'permitted');
        if (made === null || made.tests.some(neverTrue)) {
          const text = made?.tests.find(neverTrue)?.failed.constraint ?? rule.uid;
          if (otherwise.rule === null) otherwise = fails(text);
        } else permissions.push(made);
      }
    }
    return { prohibitions, permissions, otherwise };
  }

  /** An obligation is a prohibition of what does not meet it. */
  #obligation(agreement: Agreement, rule: Rule, known: Known): CellRule | null {
    const unmet = rule.duties.some((duty) => !canBeMet(duty));
    const demanded = this.#demanded(rule);
    if (!unmet && demanded.op === 'and' && demanded.parts.length === 0) return null;
    const broken: Condition = unmet ? { op: 'and', parts: [] } : negated(demanded);
    return this.#rule(agreement, rule, { op: 'and', parts: [rule.condition, broken] }, known, 'prohibited');
  }

  /** Demands and budgets of a rule as tests on the operation as it would run. */
  #demanded(rule: Rule): Condition {
    const before = this.#demands.get(rule);
    if (before !== undefined) return before;
    const parts: Condition[] = [
      ...rule.demands.map(({ operand, atLeast, atMost, text }) =>
        atMost === undefined
          ? numberAtom(operand, atLeast > 0 ? 'gteq' : 'gt', atLeast, text)
          : numberAtom(operand, 'lteq', atMost, text),
      ),
      ...rule.budgets.map(({ counts, limit, text }) => numberAtom(...counterOf(counts, limit), text)),
    ];
    const made: Condition = { op: 'and', parts };
    this.#demands.set(rule, made);
    return made;
  }

  /** A rule with what is known folded in; null where it is known to be false. */
  #rule(
    agreement: Agreement,
    rule: Rule,
    condition: Condition,
    known: Known,
    reason: 'permitted' | 'prohibited',
  ): CellRule | null {
    const open = reduce(condition, (atom, exclusive) => (staysOpen(atom) ? null : decideAtom(atom, known, exclusive)));
    if (reason === 'prohibited' && open.op === 'known' && open.state === FALSE) return null;
    const at = { agreement: agreement.uid, rule: rule.uid };
    const permitted = reason === 'permitted';
    const tests = conjuncts(open).map((part): Test => {
      const text = textOf(part);
      const why = permitted ? reasonOf(part) : 'prohibited';
      const failed: Decision = { permitted: false, reason: why, ...at, constraint: text };
      const suffix = part.op === 'known' ? '' : ', is unknown';
      const unknown: Decision = { permitted: false, reason: why, ...at, constraint: `${text}${suffix}` };
      if (part.op === 'atom') {
        const atom = this.#atoms.index(part);
        return { atom, time: this.#isTime(atom), code: null, failed, unknown };
      }
      const words: number[] = [];
      emit(part, this.#atoms, words);
      return { atom: -1, time: false, code: Int32Array.from(words), failed, unknown };
    });
    const words = conjuncts(open).map(textOf).join(' and ');
    const constraint = permitted || words === '' ? null : words;
    return { tests, decision: { permitted, reason, ...at, constraint } };
  }
}

/** What the request decides each time; all else is folded into the cell. */
function staysOpen({ operand, value }: Atom): boolean {
  if (value.type === 'ids') return false;
  const { phase } = OPERANDS[operand]!;
  return (
    phase === 'time' ||
    phase === 'context' ||
    phase === 'transform' ||
    phase === 'counter' ||
    operand === 'auto:recipientCredit'
  );
}

function numberAtom(operand: string, operator: 'gteq' | 'gt' | 'lt' | 'lteq', number: number, text: string): Atom {
  return { op: 'atom', operand, operator, value: { type: 'numbers', numbers: [number] }, text, pointer: '' };
}

const MICRO = 1_000_000;

/** What is used so far must be below the limit. */
function counterOf(counts: Budget['counts'], limit: number): [operand: string, operator: 'lt', limit: number] {
  if (counts === 'epsilon') return ['auto:budget', 'lt', limit / MICRO];
  return [counts === 'count' ? 'count' : 'auto:bytes', 'lt', limit];
}

const OPPOSITE: Partial<Record<Operator, Operator>> = { gt: 'lteq', lt: 'gteq', lteq: 'gt', gteq: 'lt' };

/** Not all of the demands: one that is not met is enough. */
function negated(condition: Condition): Condition {
  if (condition.op !== 'and') return condition;
  return {
    op: 'or',
    parts: condition.parts.map((part) =>
      part.op === 'atom' ? { ...part, operator: OPPOSITE[part.operator] ?? 'lt' } : part,
    ),
  };
}

function conjuncts(condition: Condition): readonly Condition[] {
  if (condition.op === 'and') return condition.parts.flatMap(conjuncts);
  return condition.op === 'known' && condition.state === TRUE ? [] : [condition];
}

function neverTrue({ code }: Test): boolean {
  return code !== null && code.length === 2 && code[0] === CODE_KNOWN && code[1] !== TRUE;
}

function textOf(condition: Condition): string {
  if (condition.op === 'known' || condition.op === 'atom') return condition.text;
  return `(${condition.parts.map(textOf).join(` ${condition.op} `)})`;
}

function reasonOf(condition: Condition): 'constraint' | 'transform' {
  const transforms = atomsOf(condition).every(({ operand }) => OPERANDS[operand]?.phase === 'transform');
  return transforms && condition.op !== 'known' ? 'transform' : 'constraint';
}

function indexOf(table: Map<string, number>, name: string): number {
  let index = table.get(name);
  if (index === undefined) {
    index = table.size;
    table.set(name, index);
  }
  return index;
}
