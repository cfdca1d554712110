import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { nearest, type Place, TollgateError } from '#contracts';
import { parseExpression } from './overlay/expression.ts';

/** One line of a mapping: a DBC signal under a VSS path. value = (raw · f + o) · factor + offset. */
export interface MappingEntry {
  /** `dbc:<Message>.<Signal>` */
  readonly signal: string;
  /** `Vehicle.…` */
  readonly path: string;
  readonly factor: number;
  readonly offset: number;
  /** null: the unit of the database. */
  readonly unit: string | null;
  /** The entry says factor, offset or transform itself; without them a unit of its own converts. */
  readonly isScaled?: boolean;
  /** What stands for a value or a label of the database; other values have none. */
  readonly values?: readonly MappedValue[];
  /** Least time between two samples that are recorded, ms. */
  readonly minIntervalMs?: number;
  /** Samples that differ from the last by no more than this are left out; 0: those that are equal. In `unit`. */
  readonly deadband?: number;
  /** Where it stands. */
  readonly place?: Place;
}

export interface MappedValue {
  /** Label (VAL_) or physical value of the database. */
  readonly from: string | number;
  readonly to: number;
}

const KEYS = ['signal', 'path', 'factor', 'offset', 'unit', 'transform', 'minInterval', 'deadband'];
const TRANSFORM_KEYS = ['math', 'mapping'];
const VALUE_KEYS = ['from', 'to'];
const SIGNAL = /^dbc:([^/]+\/)?[^./]+\.[^./]+$/;
const PATH = /^Vehicle(\.[A-Za-z][A-Za-z0-9]*)+$/;
const INTERVAL = /^(\d+)(ms|s)$/;
const MS_PER_S = 1000;

/**
 * Reads `mapping.yaml`: a list of `{ signal, path, factor, offset, unit, transform, minInterval, deadband }`. A transform
 * is written as KUKSA's overlays write it: `{ math: "(x - 1) * 2" }`, which must be a factor and an offset, or
 * `{ mapping: [{ from: LABEL, to: 1 }] }`.
 *
 * @throws {TollgateError} TG_MAPPING_SYNTAX, TG_MAPPING_TRANSFORM with line, column and JSON pointer
 */
export function loadMapping(text: string, { file }: { file: string }): readonly MappingEntry[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (at: number, pointer: string): Place => {
    const { line, col } = lines.linePos(at);
    return { file, line, column: col, pointer };
  };
  const fault = document.errors[0];
  if (fault !== undefined) {
    throw new TollgateError('TG_MAPPING_SYNTAX', fault.message.split('\n')[0]!, { place: place(fault.pos[0], '') });
  }
  const { contents } = document;
  if (contents === null) return [];
  const list = new Fields(contents, '', 0, place);
  return list.items().map(entryOf);
}

/** A node of the document that knows its place, and what is read from it. */
class Fields {
  readonly #node: unknown;
  readonly #pointer: string;
  readonly #at: number;
  readonly #place: (at: number, pointer: string) => Place;

  constructor(node: unknown, pointer: string, parentAt: number, place: (at: number, pointer: string) => Place) {
    this.#node = node;
    this.#pointer = pointer;
    this.#at = (node as Node | null)?.range?.[0] ?? parentAt;
    this.#place = place;
  }

  get place(): Place {
    return this.#place(this.#at, this.#pointer);
  }

  get value(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined;
  }

  refuse(
    message: string,
    { remedy, code = 'TG_MAPPING_SYNTAX' }: { remedy?: string | undefined; code?: MappingCode } = {},
  ): never {
    throw new TollgateError(code, message, { place: this.place, remedy });
  }

  items(): Fields[] {
    if (!isSeq(this.#node)) return this.refuse('expected a list of entries');
    return this.#node.items.map((item, i) => new Fields(item, `${this.#pointer}/${i}`, this.#at, this.#place));
  }

  /** The values of a map; a key that is none of `keys` is refused with the nearest one. */
  map(keys: readonly string[]): (name: string) => Fields | null {
    if (!isMap(this.#node)) return this.refuse('expected a map');
    const map: YAMLMap = this.#node;
    const fields = new Map<string, Fields>();
    for (const { key, value } of map.items) {
      const name = String(isScalar(key) ? key.value : key);
      const field = new Fields(
        value,
        `${this.#pointer}/${name}`,
        (key as Node | null)?.range?.[0] ?? this.#at,
        this.#place,
      );
      if (!keys.includes(name)) {
        const near = nearest(name, keys);
        const remedy = near === undefined ? undefined : `Did you mean "${near}"?`;
        new Fields(key, `${this.#pointer}/${name}`, this.#at, this.#place).refuse(`"${name}" is not a key here`, {
          remedy,
        });
      }
      fields.set(name, field);
    }
    return (name) => fields.get(name) ?? null;
  }

  /** The place of a key that lacks is that of its map. */
  missing(name: string): Fields {
    return new Fields(null, `${this.#pointer}/${name}`, this.#at, this.#place);
  }
}

type MappingCode = 'TG_MAPPING_SYNTAX' | 'TG_MAPPING_TRANSFORM';

function entryOf(entry: Fields): MappingEntry {
  const get = entry.map(KEYS);
  const text = (name: string, form: RegExp, wanted: string): string => {
    const field = get(name) ?? entry.missing(name);
    return typeof field.value === 'string' && form.test(field.value)
      ? field.value
      : field.refuse(`"${name}" is not ${wanted}`);
  };
  const number = (name: string, standard: number): number => {
    const field = get(name);
    if (field === null) return standard;
    return typeof field.value === 'number' && Number.isFinite(field.value)
      ? field.value
      : field.refuse(`"${name}" is not a number`);
  };
  const signal = text('signal', SIGNAL, 'dbc:<Message>.<Signal>');
  const path = text('path', PATH, 'a VSS path (Vehicle.…)');
  const transform = get('transform');
  const isScaled = get('factor') !== null || get('offset') !== null || transform !== null;
  if (transform !== null && (get('factor') !== null || get('offset') !== null)) {
    transform.refuse('an entry has a transform, or a factor and an offset: not both');
  }
  const { factor, offset, values } =
    transform === null ? { factor: number('factor', 1), offset: number('offset', 0) } : transformOf(transform);
  const deadband = get('deadband');
  if (deadband !== null && !(number('deadband', 0) >= 0)) deadband.refuse('"deadband" is not a number from 0 on');
  const interval = get('minInterval');
  return {
    signal,
    path,
    factor,
    offset,
    unit: get('unit') === null ? null : text('unit', /^.*$/, 'text'),
    ...(isScaled ? { isScaled } : {}),
    ...(values === undefined ? {} : { values }),
    ...(interval === null ? {} : { minIntervalMs: milliseconds(interval) }),
    ...(deadband === null ? {} : { deadband: number('deadband', 0) }),
    place: entry.place,
  };
}

function milliseconds(field: Fields): number {
  const [, count, unit] =
    INTERVAL.exec(String(field.value)) ?? field.refuse('"minInterval" is not a time such as 100ms or 2s');
  return Number(count) * (unit === 's' ? MS_PER_S : 1);
}

function transformOf(transform: Fields): Pick<MappingEntry, 'factor' | 'offset' | 'values'> {
  const get = transform.map(TRANSFORM_KEYS);
  const math = get('math');
  const mapping = get('mapping');
  if ((math === null) === (mapping === null)) return transform.refuse('a transform has "math" or "mapping"');
  if (math !== null) return lineOf(math);
  const pairs = mapping!.items().map((item): MappedValue => {
    const pair = item.map(VALUE_KEYS);
    const from = pair('from') ?? item.missing('from');
    const to = pair('to') ?? item.missing('to');
    const key = typeof from.value === 'boolean' ? Number(from.value) : from.value;
    if (typeof key !== 'string' && typeof key !== 'number') return from.refuse('"from" is a label or a number');
    return { from: key, to: numberOf(to) };
  });
  if (pairs.length === 0) mapping!.refuse('a mapping of values has at least one');
  const twice = pairs.find(({ from }, i) => pairs.findIndex((other) => other.from === from) !== i);
  if (twice !== undefined) mapping!.refuse(`"${twice.from}" is mapped twice`);
  return { factor: 1, offset: 0, values: pairs };
}

/** true is 1: records carry numbers. */
function numberOf(field: Fields): number {
  const { value } = field;
  if (typeof value === 'boolean') return Number(value);
  if (Number.isSafeInteger(value)) return value as number;
  return field.refuse('"to" is not a whole number, true or false', {
    code: 'TG_MAPPING_TRANSFORM',
    remedy: 'Records carry numbers: give each text the number that your recipients read as it.',
  });
}

function lineOf(math: Fields): { factor: number; offset: number } {
  if (typeof math.value !== 'string') return math.refuse('"math" is not an expression in x');
  try {
    const { linear, text } = parseExpression(math.value);
    if (linear !== null) return linear;
    return math.refuse(`"${text}" is no factor and offset`, { code: 'TG_MAPPING_TRANSFORM' });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return math.refuse(error.message, { code: 'TG_MAPPING_TRANSFORM' });
  }
}
