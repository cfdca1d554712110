import { parseDocument } from 'yaml';
import { type ErrorCode, TollgateError } from '#contracts';
import { type Expression, parseExpression } from './expression.ts';

/** How a value changes between bus and tree. */
export type OverlayTransform =
  | { readonly kind: 'none' }
  | { readonly kind: 'math'; readonly expression: Expression }
  | { readonly kind: 'labels'; readonly pairs: readonly { readonly from: OverlayValue; readonly to: OverlayValue }[] };

export type OverlayValue = string | number | boolean;

/** One `dbc2vss` (or `dbc`) or `vss2dbc` of an overlay. */
export interface OverlayEntry {
  /** `Vehicle.…` */
  readonly path: string;
  readonly direction: 'dbc2vss' | 'vss2dbc';
  /** Name of the DBC signal; an overlay does not say of which message. */
  readonly signal: string;
  /** Least time between two values, ms. */
  readonly intervalMs: number;
  /** Only values that differ from the last one. */
  readonly onChange: boolean;
  readonly transform: OverlayTransform;
  /** It counts only while these signals of its message hold these values. */
  readonly conditions: readonly { readonly signal: string; readonly value: number }[];
  /** Where it stands, RFC 6901. */
  readonly pointer: string;
}

/** What the reference takes where neither interval nor change is asked for. */
const STANDARD_INTERVAL_MS = 1000;
const DEEPEST = 64;
const LEAVES: ReadonlySet<unknown> = new Set(['sensor', 'actuator', 'attribute']);
const KEYS: readonly string[] = ['signal', 'interval_ms', 'on_change', 'transform', 'multiplexer'];

type Json = { readonly [key: string]: unknown };

/**
 * Reads the overlay of KUKSA's CAN provider: a VSS tree (JSON, `children`), a flat map from path to leaf (YAML), or a list of
 * leaves with their `path`. An entry that is not understood is refused as a whole, the others are read.
 *
 * @throws {TollgateError} TG_MAPPING_SYNTAX where the text is neither JSON nor YAML
 */
export function loadOverlay(
  text: string,
  { file }: { file: string },
): { readonly entries: readonly OverlayEntry[]; readonly refused: readonly TollgateError[] } {
  const reader = new OverlayReader(file);
  reader.walk(dataOf(text, file), '', '', 0);
  return reader;
}

function dataOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const document = parseDocument(text);
    const fault = document.errors[0];
    if (fault === undefined) return document.toJS({ maxAliasCount: 100 });
    const [start] = fault.linePos ?? [];
    throw new TollgateError('TG_MAPPING_SYNTAX', fault.message.split('\n')[0]!, {
      place: { file, line: start?.line, column: start?.col },
    });
  }
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isValue(value: unknown): value is OverlayValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Inside one entry; becomes a `TollgateError` of the list. */
class Refusal extends Error {
  readonly code: ErrorCode;
  readonly pointer: string;
  constructor(pointer: string, message: string, code: ErrorCode = 'TG_MAPPING_SYNTAX') {
    super(message);
    this.pointer = pointer;
    this.code = code;
  }
}

class OverlayReader {
  readonly entries: OverlayEntry[] = [];
  readonly refused: TollgateError[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  walk(node: unknown, path: string, pointer: string, depth: number): void {
    if (depth > DEEPEST) {
      this.#attempt(() => {
        throw new Refusal(pointer, `expected at most ${DEEPEST} levels`);
      });
      return;
    }
    if (Array.isArray(node)) {
      for (const [i, item] of node.entries()) this.walk(item, path, `${pointer}/${i}`, depth + 1);
      return;
    }
    if (!isMap(node)) return;
    if (LEAVES.has(node.type)) {
      this.#leaf(node, typeof node.path === 'string' ? node.path : path, pointer);
      return;
    }
    const children = node.type === 'branch' && isMap(node.children) ? node.children : node;
    const at = children === node ? pointer : `${pointer}/children`;
    for (const [key, child] of Object.entries(children)) {
      // `entries` holds a list of leaves, each with its own path; every other key is a part of one.
      const name = Array.isArray(child) ? path : path === '' ? key : `${path}.${key}`;
      this.walk(child, name, `${at}/${escaped(key)}`, depth + 1);
    }
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message, pointer } = error;
      this.refused.push(new TollgateError(code, message, { place: { file: this.#file, pointer } }));
    }
  }

  #leaf(node: Json, path: string, pointer: string): void {
    if (node.dbc !== undefined && node.dbc2vss !== undefined) {
      this.#attempt(() => {
        throw new Refusal(pointer, 'expected dbc or dbc2vss, found both');
      });
      return;
    }
    for (const key of ['dbc', 'dbc2vss', 'vss2dbc'] as const) {
      const entry = node[key];
      if (entry === undefined) continue;
      const direction = key === 'vss2dbc' ? key : 'dbc2vss';
      this.#attempt(() => this.entries.push(entryOf(entry, path, direction, `${pointer}/${key}`)));
    }
  }
}

function entryOf(node: unknown, path: string, direction: OverlayEntry['direction'], pointer: string): OverlayEntry {
  if (!isMap(node)) throw new Refusal(pointer, 'expected a map');
  const unknown = Object.keys(node).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Refusal(`${pointer}/${escaped(unknown)}`, `"${unknown}" is not a key here`);
  const { signal, interval_ms: interval, on_change: onChange = false } = node;
  if (typeof signal !== 'string' || signal === '')
    throw new Refusal(`${pointer}/signal`, 'expected the name of a DBC signal');
  if (typeof onChange !== 'boolean') throw new Refusal(`${pointer}/on_change`, 'expected true or false');
  const isInterval = typeof interval === 'number' && Number.isSafeInteger(interval) && interval >= 0;
  if (interval !== undefined && !isInterval) throw new Refusal(`${pointer}/interval_ms`, 'expected whole milliseconds');
  return {
    path,
    direction,
    signal,
    intervalMs: isInterval ? interval : onChange || direction === 'vss2dbc' ? 0 : STANDARD_INTERVAL_MS,
    onChange,
    transform: transformOf(node.transform, `${pointer}/transform`),
    conditions: conditionsOf(node.multiplexer, `${pointer}/multiplexer`),
    pointer,
  };
}

function transformOf(node: unknown, pointer: string): OverlayTransform {
  if (node === undefined) return { kind: 'none' };
  if (!isMap(node)) throw new Refusal(pointer, 'expected a map with math or mapping');
  const { math, mapping, ...rest } = node;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw new Refusal(`${pointer}/${escaped(unknown)}`, `"${unknown}" is not a transform`, 'TG_MAPPING_TRANSFORM');
  if ((math === undefined) === (mapping === undefined)) throw new Refusal(pointer, 'expected either math or mapping');
  if (math !== undefined) return { kind: 'math', expression: expressionOf(math, `${pointer}/math`) };
  if (!Array.isArray(mapping)) throw new Refusal(`${pointer}/mapping`, 'expected a list of { from, to }');
  const pairs = mapping.map((pair: unknown, i) => {
    if (!isMap(pair) || !isValue(pair.from) || !isValue(pair.to))
      throw new Refusal(`${pointer}/mapping/${i}`, 'expected { from, to }');
    return { from: pair.from, to: pair.to };
  });
  return { kind: 'labels', pairs };
}

function expressionOf(math: unknown, pointer: string): Expression {
  if (typeof math !== 'string') throw new Refusal(pointer, 'expected an expression as text');
  try {
    return parseExpression(math);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Refusal(pointer, `"${math.slice(0, 60)}": ${error.message}`, 'TG_MAPPING_TRANSFORM');
  }
}

function conditionsOf(node: unknown, pointer: string): OverlayEntry['conditions'] {
  if (node === undefined) return [];
  if (!Array.isArray(node)) throw new Refusal(pointer, 'expected a list of { signal, value }');
  return node.map((item: unknown, i) => {
    if (!isMap(item) || typeof item.signal !== 'string' || !Number.isSafeInteger(item.value)) {
      throw new Refusal(`${pointer}/${i}`, 'expected { signal, value } with a whole number');
    }
    return { signal: item.signal, value: Number(item.value) };
  });
}
