import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { nearest, type Place, TollgateError } from '#contracts';

/** The part of JSON Schema 2020-12 that documents of this project use; read as data, no code is made from it. */
export interface JsonSchema {
  readonly type?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly (string | number | boolean)[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly title?: string;
  readonly description?: string;
}

/**
 * Reads a YAML document against a schema, filling in defaults.
 *
 * @returns the value; its shape is the schema's
 * @throws {TollgateError} TG_CONFIG_SYNTAX, TG_CONFIG_UNKNOWN_KEY, TG_CONFIG_VALUE with file, line, column and pointer
 */
export function readYaml(text: string, file: string, schema: JsonSchema): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: false, uniqueKeys: true });
  const fault = document.errors[0];
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw new TollgateError('TG_CONFIG_SYNTAX', fault.message.split('\n')[0]!.replace(/ at line \d+.*$/, ''), {
      place: { file, line, column: col },
    });
  }
  const place = (node: Node | null, pointer: string): Place => {
    const start = node?.range?.[0];
    if (start === undefined) return { file, pointer };
    const { line, col } = lines.linePos(start);
    return { file, line, column: col, pointer };
  };
  return new Reader(place).read(document.contents, schema, '');
}

const KINDS: Record<string, string> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
};

class Reader {
  readonly #place: (node: Node | null, pointer: string) => Place;

  constructor(place: (node: Node | null, pointer: string) => Place) {
    this.#place = place;
  }

  read(node: unknown, schema: JsonSchema, pointer: string): unknown {
    if (schema.type === 'object') return this.#map(node, schema, pointer);
    if (schema.type === 'array') return this.#list(node, schema, pointer);
    return this.#scalar(node, schema, pointer);
  }

  #wrong(node: unknown, pointer: string, message: string, remedy?: string): TollgateError {
    return new TollgateError('TG_CONFIG_VALUE', message, { place: this.#place(node as Node | null, pointer), remedy });
  }

  #map(node: unknown, schema: JsonSchema, pointer: string): Record<string, unknown> {
    if (!isMap(node)) throw this.#wrong(node, pointer, `expected ${KINDS.object}`);
    const properties = schema.properties ?? {};
    const known = Object.keys(properties);
    const result: Record<string, unknown> = {};
    for (const { key, value } of node.items) {
      const name = String(isScalar(key) ? key.value : key);
      const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const extra = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
      const property = Object.hasOwn(properties, name) ? properties[name] : extra;
      if (property === undefined) {
        const near = nearest(name, known);
        throw new TollgateError('TG_CONFIG_UNKNOWN_KEY', `"${name}" is not a key here`, {
          place: this.#place(key as Node, at),
          remedy: near === undefined ? `Keys here: ${known.join(', ')}.` : `Did you mean "${near}"?`,
        });
      }
      result[name] = this.read(value, property, at);
    }
    for (const name of schema.required ?? []) {
      if (!(name in result)) throw this.#wrong(node, pointer, `"${name}" is missing`, properties[name]?.description);
    }
    for (const [name, property] of Object.entries(properties)) {
      if (!(name in result) && property.default !== undefined) result[name] = this.#filled(property);
    }
    return result;
  }

  /** A default, and the defaults inside a default map. */
  #filled(schema: JsonSchema): unknown {
    if (schema.type !== 'object') return schema.default;
    const inner = Object.entries(schema.properties ?? {}).filter(([, property]) => property.default !== undefined);
    return Object.fromEntries(inner.map(([name, property]) => [name, this.#filled(property)]));
  }

  #list(node: unknown, schema: JsonSchema, pointer: string): unknown[] {
    if (!isSeq(node)) throw this.#wrong(node, pointer, `expected ${KINDS.array}`);
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
    if (node.items.length < minItems) throw this.#wrong(node, pointer, `expected at least ${minItems} entry`);
    if (node.items.length > maxItems) throw this.#wrong(node, pointer, `expected at most ${maxItems} entries`);
    return node.items.map((item, i) => this.read(item, schema.items ?? {}, `${pointer}/${i}`));
  }

  #scalar(node: unknown, schema: JsonSchema, pointer: string): string | number | boolean {
    const value = isScalar(node) ? node.value : undefined;
    const kind = KINDS[schema.type ?? 'string'];
    const fits = schema.type === 'integer' ? Number.isSafeInteger(value) : typeof value === (schema.type ?? 'string');
    if (!fits) throw this.#wrong(node, pointer, `expected ${kind}`);
    const scalar = value as string | number | boolean;
    if (schema.enum !== undefined && !schema.enum.includes(scalar)) {
      const near = nearest(String(scalar), schema.enum.map(String));
      const remedy = near === undefined ? undefined : `Did you mean "${near}"?`;
      throw this.#wrong(node, pointer, `"${scalar}" is not one of ${schema.enum.join(', ')}`, remedy);
    }
    if (typeof scalar === 'number') {
      const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
      if (scalar < minimum || scalar > maximum)
        throw this.#wrong(node, pointer, `${scalar} is outside ${minimum} … ${maximum}`);
    }
    if (typeof scalar === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(scalar)) {
      throw this.#wrong(node, pointer, `"${scalar}" does not have the form ${schema.pattern}`, schema.description);
    }
    return scalar;
  }
}
