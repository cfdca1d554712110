import type { UtcReading } from '#contracts';
import { FALSE, TRUE, type Truth, UNKNOWN } from './condition.ts';
import type { Gate, GateDenial } from './gate.ts';
import { contextAtom, nextBoundary, timeAtom } from './gate-atoms.ts';
import { CODE_AND, CODE_KNOWN, CODE_OR, CODE_XONE, type GateProgram, gateProgram } from './gate-program.ts';
import type { Plan } from './plan.ts';

/** Context that was not heard of for so long is unknown: a silent bus must not keep a permission open. */
export const CONTEXT_MAX_AGE_NS = 10e9;
/** Edges are looked at this much early, ns: rounding of UTC in doubles must never make one late. */
const EDGE_MARGIN_NS = 1000;
const NS_PER_MS = 1e6;

/** The gate of a plan. Before its first `tick` and `context` everything that depends on them is unknown. */
export function createGate(plan: Plan): Gate {
  return new TableGate(gateProgram(plan));
}

class TableGate implements Gate {
  readonly #program: GateProgram;
  /** First slot of each stream, at hand for `admits`. */
  readonly #first: Int32Array;
  /** What atoms read: NaN where a value is unknown as of the row. */
  readonly #values: Float64Array;
  /** The newest value of each slot, whatever the time of the row. */
  readonly #heard: Float64Array;
  /** When a value slot was last filled, boottime ns; Infinity for assumed values: they do not age. */
  readonly #seenNs: Float64Array;
  readonly #atoms: Uint8Array;
  readonly #rules: Uint8Array;
  readonly #stack: Uint8Array;
  /** 1 where a slot admits. */
  readonly #admits: Uint8Array;
  /** Cause of each slot that denies; −1: another stream takes the sample. */
  readonly #cause: Int32Array;
  readonly #counts: Float64Array;
  /** Slots whose rules or forerunners changed and that are to be looked at again; `#marked` tells which they are. */
  readonly #work: Int32Array;
  readonly #marked: Uint8Array;
  #waiting = 0;
  /** Between these the atoms of a value slot stay as they are; NaN: they have to be read. */
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  #generation = 0;
  /** The time span in which no atom of time, no age and no lead of a value changes: [from, to). */
  #fromNs = Number.POSITIVE_INFINITY;
  #toNs = Number.NEGATIVE_INFINITY;
  /** The reading of the last tick: the same object says the same. */
  #utc: UtcReading | null = null;
  #offsetNs: bigint | null = null;
  #offsetMs = Number.NaN;
  #errorNs = Number.NaN;

  constructor(program: GateProgram) {
    this.#program = program;
    this.#first = program.streamSlots;
    this.#values = program.values.slice();
    this.#heard = program.values.slice();
    this.#seenNs = program.values.map((value) =>
      Number.isNaN(value) ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY,
    );
    this.#atoms = new Uint8Array(program.atomCount).fill(UNKNOWN);
    this.#rules = new Uint8Array(program.ruleCount);
    this.#stack = new Uint8Array(program.stack + 1);
    this.#admits = new Uint8Array(program.slotCount);
    this.#cause = new Int32Array(program.slotCount).fill(-1);
    this.#counts = new Float64Array(program.causes.length);
    this.#work = new Int32Array(program.slotCount);
    this.#marked = new Uint8Array(program.slotCount);
    this.#low = new Float64Array(this.#values.length).fill(Number.NaN);
    this.#high = new Float64Array(this.#values.length).fill(Number.NaN);
    for (let slot = 0; slot < this.#values.length; slot++) this.#readContext(slot);
    for (let rule = 0; rule < program.ruleCount; rule++) this.#rules[rule] = this.#run(rule);
    for (let slot = 0; slot < program.slotCount; slot++) this.#mark(slot);
    this.#settle();
  }

  get generation(): number {
    return this.#generation;
  }

  still(fromNs: number, toNs: number, utc: UtcReading): boolean {
    if (utc !== this.#utc && (utc.offsetNs !== this.#offsetNs || utc.errorNs !== this.#errorNs)) return false;
    return fromNs >= this.#fromNs && toNs < this.#toNs;
  }

  /** Small enough to be compiled into its caller: a time that is handed on as an argument would be made an object. */
  tick(timeNs: number, utc: UtcReading): void {
    if (utc !== this.#utc || timeNs < this.#fromNs || timeNs >= this.#toNs) this.#advance(timeNs, utc);
  }

  #advance(timeNs: number, utc: UtcReading): void {
    const sameClock = utc.offsetNs === this.#offsetNs && utc.errorNs === this.#errorNs;
    this.#utc = utc;
    if (sameClock && timeNs >= this.#fromNs && timeNs < this.#toNs) return;
    if (!sameClock) {
      this.#offsetNs = utc.offsetNs;
      this.#errorNs = utc.errorNs;
      // Whole microseconds, so that the double is exact.
      this.#offsetMs =
        utc.offsetNs === null || !Number.isFinite(utc.errorNs) ? Number.NaN : Number(utc.offsetNs / 1000n) / 1000;
    }
    this.#fromNs = timeNs;
    this.#toNs = Number.POSITIVE_INFINITY;
    this.#forget(timeNs);
    this.#readTime(timeNs);
    this.#settle();
  }

  context(index: number, timeNs: number, value: number): void {
    const { starts, items } = this.#program.fills;
    // A context right that a campaign asked for, and no rule, fills nothing.
    if (index + 1 >= starts.length) return;
    for (let i = starts[index]!; i < starts[index + 1]!; i++) {
      const slot = items[i]!;
      const scaled = value * this.#program.scales[i]!;
      this.#heard[slot] = scaled;
      this.#values[slot] = scaled;
      this.#seenNs[slot] = timeNs;
      // Most values lie where the one before lay: two comparisons, however many rules ask.
      if (!(scaled > this.#low[slot]! && scaled < this.#high[slot]!)) this.#readContext(slot);
    }
    // For a row before it the value is unknown.
    if (timeNs > this.#fromNs) this.#fromNs = timeNs;
    // The next look at ages must not come later than this value's.
    if (timeNs + CONTEXT_MAX_AGE_NS < this.#toNs) this.#toNs = timeNs + CONTEXT_MAX_AGE_NS;
    this.#settle();
  }

  admits(stream: number, signal: number): boolean {
    const slot = this.#first[stream]! + signal;
    if (this.#admits[slot] === 1) return true;
    const cause = this.#cause[slot]!;
    if (cause >= 0) this.#counts[cause]!++;
    return false;
  }

  opens(stream: number, signal: number): boolean {
    return this.#admits[this.#first[stream]! + signal] === 1;
  }

  drainDenials(): readonly GateDenial[] {
    const denials = this.#program.causes
      .map((cause, i) => ({ ...cause, count: this.#counts[i]! }))
      .filter(({ count }) => count > 0);
    this.#counts.fill(0);
    return denials;
  }

  /**
   * Values that are too old become unknown, and those dated after the row: a frame with a time far ahead must not keep
   * a permission open. Notes when the next value changes sides.
   */
  #forget(timeNs: number): void {
    for (let slot = 0; slot < this.#values.length; slot++) {
      const seenNs = this.#seenNs[slot]!;
      if (seenNs === Number.POSITIVE_INFINITY) continue;
      const dies = seenNs + CONTEXT_MAX_AGE_NS;
      const ahead = seenNs > timeNs;
      const edge = ahead ? seenNs : dies;
      if (edge > timeNs && edge < this.#toNs) this.#toNs = edge;
      const value = ahead || dies <= timeNs ? Number.NaN : this.#heard[slot]!;
      if (Object.is(value, this.#values[slot])) continue;
      this.#values[slot] = value;
      this.#readContext(slot);
    }
  }

  /** Reads the atoms of a value slot, and between which numbers they stay as they are. */
  #readContext(slot: number): void {
    const { starts, items } = this.#program.readers;
    for (let i = starts[slot]!; i < starts[slot + 1]!; i++) {
      const atom = items[i]!;
      this.#setAtom(atom, contextAtom(this.#program, atom, this.#values));
    }
    this.#bound(slot);
  }

  #bound(slot: number): void {
    const { starts, items } = this.#program.edges;
    const value = this.#values[slot]!;
    this.#low[slot] = Number.NaN;
    this.#high[slot] = Number.NaN;
    const [first, end] = [starts[slot]!, starts[slot + 1]!];
    // A place has no edges on one axis alone, and of an unknown value nothing is between.
    if (first === end || Number.isNaN(value)) return;
    let at = first;
    while (at < end && items[at]! < value) at++;
    if (at < end && items[at] === value) return;
    this.#low[slot] = at === first ? Number.NEGATIVE_INFINITY : items[at - 1]!;
    this.#high[slot] = at === end ? Number.POSITIVE_INFINITY : items[at]!;
  }

  /** A new state of an atom runs the rules that ask it and marks the slots that they govern. */
  #setAtom(atom: number, state: number): void {
    if (state === this.#atoms[atom]) return;
    this.#atoms[atom] = state;
    const { atomRules, atomSlots } = this.#program;
    for (let i = atomRules.starts[atom]!; i < atomRules.starts[atom + 1]!; i++) {
      const rule = atomRules.items[i]!;
      this.#rules[rule] = this.#run(rule);
    }
    // Even where the rule stays as it is, the constraint that a denial names may be another.
    for (let i = atomSlots.starts[atom]!; i < atomSlots.starts[atom + 1]!; i++) this.#mark(atomSlots.items[i]!);
  }

  #mark(slot: number): void {
    if (this.#marked[slot] === 1) return;
    this.#marked[slot] = 1;
    this.#work[this.#waiting++] = slot;
  }

  #readTime(timeNs: number): void {
    const { timeAtoms } = this.#program;
    const known = !Number.isNaN(this.#offsetMs);
    const nowMs = this.#offsetMs + timeNs / NS_PER_MS;
    const errorMs = this.#errorNs / NS_PER_MS;
    for (let i = 0; i < timeAtoms.length; i++) {
      const atom = timeAtoms[i]!;
      this.#setAtom(atom, known ? timeAtom(this.#program, atom, nowMs, errorMs) : UNKNOWN);
      if (!known) continue;
      // Either end of the clock's error may cross a boundary.
      const late = nextBoundary(this.#program, atom, nowMs + errorMs) - errorMs;
      const early = nextBoundary(this.#program, atom, nowMs - errorMs) + errorMs;
      const edgeNs = (Math.min(late, early) - this.#offsetMs) * NS_PER_MS - EDGE_MARGIN_NS;
      if (edgeNs < this.#toNs) this.#toNs = edgeNs;
    }
  }

  /**
   * Looks at each marked slot; one that changes marks those that yield to it. A slot yields only to slots before it, so
   * this ends. Runs when an atom changed, not per sample.
   */
  #settle(): void {
    if (this.#waiting === 0) return;
    const { dependents } = this.#program;
    let changed = false;
    while (this.#waiting > 0) {
      const slot = this.#work[--this.#waiting]!;
      this.#marked[slot] = 0;
      const before = this.#admits[slot]!;
      this.#evaluate(slot);
      if (this.#admits[slot] === before) continue;
      changed = true;
      for (let i = dependents.starts[slot]!; i < dependents.starts[slot + 1]!; i++) this.#mark(dependents.items[i]!);
    }
    if (changed) this.#generation++;
  }

  #evaluate(slot: number): void {
    const { permissions, prohibitions, instead, permissionCauses, prohibitionCauses } = this.#program;
    this.#admits[slot] = 0;
    this.#cause[slot] = -1;
    let cause = -1;
    for (let i = prohibitions.starts[slot]!; i < prohibitions.starts[slot + 1]! && cause < 0; i++) {
      const rule = prohibitions.items[i]!;
      if (this.#rules[rule] !== FALSE) cause = prohibitionCauses[i]! + this.#failing(rule, FALSE);
    }
    let permitted = false;
    for (let i = permissions.starts[slot]!; i < permissions.starts[slot + 1]! && cause < 0 && !permitted; i++) {
      permitted = this.#rules[permissions.items[i]!] === TRUE;
    }
    if (cause < 0 && !permitted) {
      const first = permissions.starts[slot]!;
      cause = permissionCauses[first]! + this.#failing(permissions.items[first]!, TRUE);
    }
    let elsewhere = false;
    for (let i = instead.starts[slot]!; i < instead.starts[slot + 1]!; i++) {
      if (this.#admits[instead.items[i]!] === 1) elsewhere = true;
    }
    if (cause < 0) this.#admits[slot] = elsewhere ? 0 : 1;
    else if (!elsewhere) this.#cause[slot] = cause;
  }

  /** Which of a rule's causes holds: the first atom whose state is not `good`, known or unknown, else the whole rule. */
  #failing(rule: number, good: number): number {
    const { starts, items } = this.#program.code;
    let atoms = 0;
    for (let i = starts[rule]!; i < starts[rule + 1]!; i++) {
      const word = items[i]!;
      if (word < 0) {
        i++;
        continue;
      }
      const state = this.#atoms[word]!;
      if (state !== good) return atoms * 2 + (state === UNKNOWN ? 1 : 0);
      atoms++;
    }
    return atoms * 2;
  }

  /** Kleene's logic on a stack of states. */
  #run(rule: number): number {
    const { starts, items } = this.#program.code;
    const stack = this.#stack;
    let top = 0;
    for (let i = starts[rule]!; i < starts[rule + 1]!; i++) {
      const word = items[i]!;
      if (word >= 0) {
        stack[top++] = this.#atoms[word]!;
        continue;
      }
      const argument = items[++i]!;
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
    return stack[0]!;
  }
}

/** Kleene's logic over counted states. */
export function combined(word: number, parts: number, trues: number, falses: number): Truth {
  const unknown = trues + falses < parts;
  if (word === CODE_AND) return falses > 0 ? FALSE : unknown ? UNKNOWN : TRUE;
  if (word === CODE_OR) return trues > 0 ? TRUE : unknown ? UNKNOWN : FALSE;
  if (word === CODE_XONE && trues > 1) return FALSE;
  return unknown ? UNKNOWN : trues === 1 ? TRUE : FALSE;
}
