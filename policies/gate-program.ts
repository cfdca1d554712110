import type { Atom, Condition, Place } from './condition.ts';
import { atomsOf, conditionText } from './condition.ts';
import type { ContextSource, GateRule, Plan, SlotRules } from './plan.ts';
import { OPERATORS } from './vocabulary.ts';

/** Kinds of atoms the gate evaluates; the number stands in the first field of an atom row. */
export const ATOM_NUMBER = 0;
export const ATOM_SWITCH = 1;
export const ATOM_INSTANT = 2;
export const ATOM_TIME_OF_DAY = 3;
export const ATOM_DAYS = 4;
export const ATOM_PLACE = 5;

/**
 * A row of the atom table, doubles:
 *
 * | field | meaning                                                                     |
 * |------:|-----------------------------------------------------------------------------|
 * |     0 | kind, `ATOM_…`                                                              |
 * |     1 | operator, index into `OPERATORS`                                            |
 * |     2 | number wanted; instant or time of day, ms; mask of days                     |
 * |     3 | time of day: ms of the zone east of UTC; place: value slot of the longitude |
 * |     4 | value slot of the context                                                   |
 * |     5 | first double of the pool                                                    |
 * |     6 | doubles of the pool: numbers of a list, or places                           |
 */
export const ATOM_FIELDS = 7;

/** A place in the pool: 0, latitude, longitude, radius; or 1, n, n pairs of latitude and longitude. */
export const POOL_CIRCLE = 0;
export const POOL_POLYGON = 1;

/** Code of a condition in postfix: an atom number from 0, or one of these and its argument. */
export const CODE_AND = -1;
export const CODE_OR = -2;
export const CODE_XONE = -3;
export const CODE_KNOWN = -4;

/** Index ranges: the members of item i are `items[starts[i] … starts[i + 1])`. */
export interface Ranges {
  readonly starts: Int32Array;
  readonly items: Int32Array;
}

/** The plan as flat tables. A slot is one signal of one stream. */
export interface GateProgram {
  readonly atoms: Float64Array;
  readonly atomCount: number;
  readonly pool: Float64Array;
  /** Code of each rule. */
  readonly code: Ranges;
  readonly ruleCount: number;
  /** First slot of each stream. */
  readonly streamSlots: Int32Array;
  readonly slotCount: number;
  readonly permissions: Ranges;
  readonly prohibitions: Ranges;
  /** Slots that, when they admit, take the sample instead. */
  readonly instead: Ranges;
  /** For each entry of `permissions.items` and `prohibitions.items`: its first cause. */
  readonly permissionCauses: Int32Array;
  readonly prohibitionCauses: Int32Array;
  readonly causes: readonly Cause[];
  /** Value slots with a value of their own (assumed), NaN where there is none. */
  readonly values: Float64Array;
  /** For each context signal: value slots that it fills, and the scale of each. */
  readonly fills: Ranges;
  readonly scales: Float64Array;
  /** For each value slot: the atoms that read it. */
  readonly readers: Ranges;
  readonly timeAtoms: Int32Array;
  /** For each atom the rules that ask it and the slots that these govern, for each slot those that yield to it. */
  readonly atomRules: Ranges;
  readonly atomSlots: Ranges;
  readonly dependents: Ranges;
  /** For each value slot the numbers at which an atom may change, ascending; none where a place reads it. */
  readonly edges: { readonly starts: Int32Array; readonly items: Float64Array };
  /** Deepest stack that a rule needs. */
  readonly stack: number;
}

/** What a denial names. */
export interface Cause {
  readonly stream: number;
  readonly signal: number;
  readonly rule: string;
  readonly constraint: string;
}

export function ranges(lists: readonly (readonly number[])[]): Ranges {
  const starts = new Int32Array(lists.length + 1);
  lists.forEach((list, i) => {
    starts[i + 1] = starts[i]! + list.length;
  });
  return { starts, items: Int32Array.from(lists.flat()) };
}

/** Lays a plan out for the gate. */
export function gateProgram(plan: Plan): GateProgram {
  const atoms = new AtomTable(plan.context);
  const rules = new Map<string, number>();
  const code: number[][] = [];
  let stack = 1;
  /** Rules that ask the same are one, however many documents and signals they stand for. */
  const ruleOf = ({ condition }: { condition: Condition }): number => {
    const words: number[] = [];
    stack = Math.max(stack, emit(condition, atoms, words));
    const key = words.join(' ');
    const known = rules.get(key);
    if (known !== undefined) return known;
    rules.set(key, code.length);
    return code.push(words) - 1;
  };

  const slots = plan.streams.flatMap((stream, s) =>
    stream.signals.map(({ gate }, signal) => ({ stream: s, signal, gate })),
  );
  const streamSlots = new Int32Array(plan.streams.length + 1);
  plan.streams.forEach((stream, i) => {
    streamSlots[i + 1] = streamSlots[i]! + stream.signals.length;
  });
  const causes: Cause[] = [];
  const causesOf = (stream: number, signal: number, rule: GateRule): number => {
    const first = causes.length;
    const name = rule.agreement === '' ? rule.uid : `${rule.uid} of ${rule.agreement}`;
    for (const { text } of atomsOf(rule.condition)) {
      causes.push({ stream, signal, rule: name, constraint: text });
      causes.push({ stream, signal, rule: name, constraint: `${text}, is unknown` });
    }
    causes.push({ stream, signal, rule: name, constraint: conditionText(rule.condition) });
    return first;
  };
  const permissionCauses: number[] = [];
  const prohibitionCauses: number[] = [];
  const permissions = slots.map(({ stream, signal, gate }) =>
    gate.permissions.map((rule) => {
      permissionCauses.push(causesOf(stream, signal, rule));
      return ruleOf(rule);
    }),
  );
  const prohibitions = slots.map(({ stream, signal, gate }) =>
    [...gate.prohibitions, ...expiry(gate, plan.streams[stream]!.campaign)].map((rule) => {
      prohibitionCauses.push(causesOf(stream, signal, rule));
      return ruleOf(rule);
    }),
  );
  const instead = slots.map(({ gate }) => gate.instead.map(({ stream, signal }) => streamSlots[stream]! + signal));
  const tables = atoms.tables();
  const asked = code.map(atomsOfCode);
  const governs = slots.map((_, slot) => [...permissions[slot]!, ...prohibitions[slot]!]);
  return {
    ...tables,
    atomRules: inverted(tables.atomCount, asked),
    atomSlots: inverted(
      tables.atomCount,
      governs.map((own) => own.flatMap((rule) => asked[rule]!)),
    ),
    dependents: inverted(slots.length, instead),
    code: ranges(code),
    ruleCount: code.length,
    streamSlots,
    slotCount: slots.length,
    permissions: ranges(permissions),
    prohibitions: ranges(prohibitions),
    instead: ranges(instead),
    permissionCauses: Int32Array.from(permissionCauses),
    prohibitionCauses: Int32Array.from(prohibitionCauses),
    causes,
    stack,
  };
}

/** Numbers of the atoms in a code. */
function atomsOfCode(words: readonly number[]): readonly number[] {
  const found: number[] = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i]! >= 0) found.push(words[i]!);
    else i++;
  }
  return found;
}

/** For each of `count` items the lists that hold it, once. */
function inverted(count: number, lists: readonly (readonly number[])[]): Ranges {
  const found: number[][] = Array.from({ length: count }, () => []);
  lists.forEach((list, i) => {
    for (const item of new Set(list)) found[item]!.push(i);
  });
  return ranges(found);
}

/** The end of a campaign acts as a prohibition from then on: unknown time counts as past it. */
function expiry({ expiresMs }: SlotRules, campaign: string): GateRule[] {
  if (expiresMs === null) return [];
  const text = `expires ${new Date(expiresMs).toISOString()}`;
  const condition: Atom = {
    op: 'atom',
    operand: 'dateTime',
    operator: 'gteq',
    value: { type: 'instant', ms: expiresMs },
    text,
    pointer: '',
  };
  return [{ uid: `campaign ${campaign}`, agreement: '', condition }];
}

/** Writes the postfix code of a condition and returns the stack that it needs. */
export function emit(condition: Condition, atoms: AtomTable, words: number[]): number {
  if (condition.op === 'known') {
    words.push(CODE_KNOWN, condition.state);
    return 1;
  }
  if (condition.op === 'atom') {
    words.push(atoms.index(condition));
    return 1;
  }
  let deepest = 1;
  condition.parts.forEach((part, i) => {
    deepest = Math.max(deepest, i + emit(part, atoms, words));
  });
  words.push({ and: CODE_AND, or: CODE_OR, xone: CODE_XONE }[condition.op], condition.parts.length);
  return deepest;
}

/** Atoms, each once however many rules have it, and the value slots that they read. */
export class AtomTable {
  readonly #rows: number[][] = [];
  readonly #byText = new Map<string, number>();
  readonly #pool: number[] = [];
  readonly #slots = new Map<string, number>();
  readonly #values: number[] = [];
  readonly #fills: { index: number; slot: number; scale: number }[] = [];

  constructor(sources: readonly ContextSource[]) {
    for (const source of sources) {
      const slot = this.#values.length;
      this.#slots.set(slotName(source.operand, source.kind === 'signal' ? source.axis : null), slot);
      this.#values.push(source.kind === 'assume' ? source.value : Number.NaN);
      if (source.kind === 'signal') this.#fills.push({ index: source.index, slot, scale: source.scale });
    }
  }

  index(atom: Atom): number {
    const key = JSON.stringify([atom.operand, atom.operator, atom.value]);
    const known = this.#byText.get(key);
    if (known !== undefined) return known;
    this.#byText.set(key, this.#rows.length);
    return this.#rows.push(this.#row(atom)) - 1;
  }

  #row({ operand, operator, value }: Atom): number[] {
    const op = OPERATORS.indexOf(operator);
    const start = this.#pool.length;
    switch (value.type) {
      case 'instant':
        return [ATOM_INSTANT, op, value.ms, 0, -1, 0, 0];
      case 'timeOfDay':
        return [ATOM_TIME_OF_DAY, op, value.ms, value.zoneMs, -1, 0, 0];
      case 'days':
        return [ATOM_DAYS, op, value.mask, 0, -1, 0, 0];
      case 'places': {
        for (const place of value.places) this.#pool.push(...poolOf(place));
        const [latitude, longitude] = [this.#slot(operand, 'latitude'), this.#slot(operand, 'longitude')];
        return [ATOM_PLACE, op, 0, longitude, latitude, start, this.#pool.length - start];
      }
      case 'numbers': {
        this.#pool.push(...value.numbers);
        const kind = operand === 'auto:ignition' || operand === 'auto:crash' ? ATOM_SWITCH : ATOM_NUMBER;
        return [kind, op, value.numbers[0]!, 0, this.#slot(operand, null), start, value.numbers.length];
      }
      case 'ids':
        throw new RangeError(`${operand} is decided when the plan is made`);
    }
  }

  /** A slot of its own, never filled, where the unit has no source for the operand. */
  #slot(operand: string, axis: 'latitude' | 'longitude' | null): number {
    const name = slotName(operand, axis);
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    this.#slots.set(name, this.#values.length);
    return this.#values.push(Number.NaN) - 1;
  }

  /** Between two neighbours of these no atom that reads the slot changes. */
  #edges(slot: number): number[] {
    const numbers = this.#rows.flatMap(([kind, , , , at, start, length]) => {
      if (at !== slot || (kind !== ATOM_NUMBER && kind !== ATOM_SWITCH)) return [];
      return kind === ATOM_SWITCH ? [0] : this.#pool.slice(start, start! + length!);
    });
    return [...new Set(numbers)].sort((a, b) => a - b);
  }

  /** Value slots by operand (`auto:position latitude` and `… longitude` for a place). */
  slots(): ReadonlyMap<string, number> {
    return this.#slots;
  }

  tables() {
    const contexts = Math.max(0, ...this.#fills.map(({ index }) => index + 1));
    const fills = Array.from({ length: contexts }, (_, i) => this.#fills.filter(({ index }) => index === i));
    const readers = this.#values.map((_, slot) =>
      this.#rows.flatMap(([kind, , , longitude, latitude], atom) =>
        latitude === slot || (kind === ATOM_PLACE && longitude === slot) ? [atom] : [],
      ),
    );
    const edges = this.#values.map((_, slot) => this.#edges(slot));
    return {
      edges: { starts: ranges(edges).starts, items: Float64Array.from(edges.flat()) },
      atoms: Float64Array.from(this.#rows.flat()),
      atomCount: this.#rows.length,
      pool: Float64Array.from(this.#pool),
      values: Float64Array.from(this.#values),
      fills: ranges(fills.map((list) => list.map(({ slot }) => slot))),
      scales: Float64Array.from(fills.flat(), ({ scale }) => scale),
      readers: ranges(readers),
      timeAtoms: Int32Array.from(this.#rows.flatMap(([, , , , slot], atom) => (slot === -1 ? [atom] : []))),
    };
  }
}

function slotName(operand: string, axis: 'latitude' | 'longitude' | null): string {
  return axis === null ? operand : `${operand} ${axis}`;
}

function poolOf(place: Place): number[] {
  if (place.shape === 'circle') return [POOL_CIRCLE, place.latitude, place.longitude, place.radius];
  return [POOL_POLYGON, place.points.length, ...place.points.flat()];
}
