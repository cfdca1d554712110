import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { type ErrorCode, TollgateError } from '#contracts';
import { type Entry, MAX_DEPTH, MAX_DOCUMENT, type Node, positionAt, step } from './document.ts';

/**
 * Plain YAML 1.2 (core schema) with the place of each key and value. Anchors, aliases, tags and duplicate keys are
 * refused: a campaign reads the same for a person and for the unit.
 *
 * @throws {TollgateError} `code`, with line and column
 */
export function parseYaml(text: string, file: string, code: ErrorCode): Node {
  if (text.length > MAX_DOCUMENT) {
    throw new TollgateError(code, `the document has ${text.length} characters, at most ${MAX_DOCUMENT} are taken`, {
      place: { file },
    });
  }
  const fault = (at: number, message: string, cause?: unknown) =>
    new TollgateError(code, message, { place: { file, ...positionAt(text, at) }, cause });

  const parse = () => {
    try {
      return parseDocument(text, { prettyErrors: false, version: '1.2', logLevel: 'error' });
    } catch (cause) {
      // The library runs out of stack on absurd nesting; the document is to blame, not the unit.
      throw fault(0, 'the document cannot be read as YAML', cause);
    }
  };
  const document = parse();
  const trouble = document.errors[0] ?? document.warnings[0];
  if (trouble !== undefined) throw fault(trouble.pos[0], trouble.message, trouble);

  const convert = (node: unknown, pointer: string, depth: number, fallback: number): Node => {
    if (depth > MAX_DEPTH) throw fault(fallback, `the document has more than ${MAX_DEPTH} levels`);
    if (node === null || node === undefined) return { kind: 'scalar', at: fallback, pointer, value: null };
    if (isAlias(node)) throw fault(node.range?.[0] ?? fallback, 'an alias is not taken: write the value again');
    if (isMap(node)) {
      const at = plain(node, fallback);
      const entries = new Map<string, Entry>();
      for (const { key, value } of node.items) {
        const keyAt = (isScalar(key) ? key.range?.[0] : undefined) ?? at;
        if (!isScalar(key) || typeof key.value !== 'string') throw fault(keyAt, 'a key must be a text');
        entries.set(key.value, { keyAt, value: convert(value, step(pointer, key.value), depth + 1, keyAt) });
      }
      return { kind: 'object', at, pointer, entries };
    }
    if (isSeq(node)) {
      const at = plain(node, fallback);
      const items = node.items.map((item, i) => convert(item, step(pointer, i), depth + 1, at));
      return { kind: 'array', at, pointer, items };
    }
    if (isScalar(node)) {
      const at = plain(node, fallback);
      const { value } = node;
      if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
        return { kind: 'scalar', at, pointer, value };
      }
      throw fault(at, 'the value is of no plain kind');
    }
    throw fault(fallback, 'the document holds something that is no value');
  };
  const plain = (
    node: { range?: readonly number[] | null; tag?: string; anchor?: string },
    fallback: number,
  ): number => {
    const at = node.range?.[0] ?? fallback;
    if (node.anchor !== undefined) throw fault(at, `the anchor "&${node.anchor}" is not taken`);
    if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) {
      throw fault(at, `the tag "${node.tag}" is not taken`);
    }
    return at;
  };
  return convert(document.contents, '', 0, 0);
}
