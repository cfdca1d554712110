import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { nearest, TollgateError } from '#contracts';

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
}

const KEYS = ['signal', 'path', 'factor', 'offset', 'unit'];
const SIGNAL = /^dbc:([^/]+\/)?[^./]+\.[^./]+$/;
const PATH = /^Vehicle(\.[A-Za-z][A-Za-z0-9]*)+$/;

/**
 * Reads `mapping.yaml`: a list of `{ signal, path, factor, offset, unit }`.
 *
 * @throws {TollgateError} TG_MAPPING_SYNTAX with line, column and JSON pointer
 */
export function loadMapping(text: string, { file }: { file: string }): readonly MappingEntry[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const refuse = (at: number, pointer: string, message: string, remedy?: string): never => {
    const { line, col } = lines.linePos(at);
    throw new TollgateError('TG_MAPPING_SYNTAX', message, { place: { file, line, column: col, pointer }, remedy });
  };
  const fault = document.errors[0];
  if (fault !== undefined) refuse(fault.pos[0], '', fault.message.split('\n')[0]!);
  const { contents } = document;
  if (contents === null) return [];
  if (!isSeq(contents)) return refuse(contents.range?.[0] ?? 0, '', 'expected a list of entries');
  return contents.items.map((item, i) => {
    if (!isMap(item)) return refuse(contents.range?.[0] ?? 0, `/${i}`, 'expected a map');
    return entryOf(item, `/${i}`, refuse);
  });
}

function entryOf(
  map: YAMLMap,
  pointer: string,
  refuse: (at: number, pointer: string, message: string, remedy?: string) => never,
): MappingEntry {
  const values = new Map<string, { value: unknown; at: number }>();
  for (const { key, value } of map.items) {
    const name = String(isScalar(key) ? key.value : key);
    const at = (isScalar(key) ? key.range?.[0] : undefined) ?? 0;
    if (!KEYS.includes(name)) {
      const near = nearest(name, KEYS);
      refuse(
        at,
        `${pointer}/${name}`,
        `"${name}" is not a key here`,
        near === undefined ? undefined : `Did you mean "${near}"?`,
      );
    }
    values.set(name, {
      value: isScalar(value) ? value.value : undefined,
      at: (isScalar(value) ? value.range?.[0] : undefined) ?? at,
    });
  }
  const start = map.range?.[0] ?? 0;
  const text = (name: string, form: RegExp, wanted: string): string => {
    const found = values.get(name);
    if (typeof found?.value === 'string' && form.test(found.value)) return found.value;
    return refuse(found?.at ?? start, `${pointer}/${name}`, `"${name}" is not ${wanted}`);
  };
  const number = (name: string, standard: number): number => {
    const found = values.get(name);
    if (found === undefined) return standard;
    if (typeof found.value === 'number' && Number.isFinite(found.value)) return found.value;
    return refuse(found.at, `${pointer}/${name}`, `"${name}" is not a number`);
  };
  return {
    signal: text('signal', SIGNAL, 'dbc:<Message>.<Signal>'),
    path: text('path', PATH, 'a VSS path (Vehicle.…)'),
    factor: number('factor', 1),
    offset: number('offset', 0),
    unit: values.has('unit') ? text('unit', /^.*$/, 'text') : null,
  };
}
