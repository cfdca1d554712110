import { type ErrorCode, nearest, TollgateError } from '#contracts';

/**
 * A document as data with places: what the JSON and the YAML reader make, so that each fault is shown with line,
 * column and JSON pointer.
 */
export type Node = ObjectNode | ArrayNode | ScalarNode;

interface Located {
  /** Where the value begins, UTF-16 units from the start of the text. */
  readonly at: number;
  /** RFC 6901. */
  readonly pointer: string;
}

export interface Entry {
  readonly keyAt: number;
  readonly value: Node;
}

export interface ObjectNode extends Located {
  readonly kind: 'object';
  /** In the order of the text. */
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface ArrayNode extends Located {
  readonly kind: 'array';
  readonly items: readonly Node[];
}

export interface ScalarNode extends Located {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
}

/** Deeper documents are refused: no policy needs it and no reader may run out of stack. */
export const MAX_DEPTH = 64;
/** Longer documents are refused, bytes or characters. */
export const MAX_DOCUMENT = 1 << 20;

/** One step of a JSON pointer, RFC 6901 §3. */
export function step(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** Codes that a document's faults carry. */
export interface DocumentCodes {
  readonly unknownKey: ErrorCode;
  readonly value: ErrorCode;
}

/** Line and column of an offset, both from 1. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) {
    line++;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}

/** Reads typed values out of a document and refuses it at the first fault. */
export class DocumentReader {
  readonly file: string;
  readonly #text: string;
  readonly #codes: DocumentCodes;

  constructor(file: string, text: string, codes: DocumentCodes) {
    this.file = file;
    this.#text = text;
    this.#codes = codes;
  }

  /** The error for `node`, to be thrown by the caller. */
  fault(code: ErrorCode, node: Located, message: string, remedy?: string): TollgateError {
    const place = { file: this.file, ...positionAt(this.#text, node.at), pointer: node.pointer };
    return new TollgateError(code, message, { place, remedy });
  }

  /** A value of the wrong form. */
  wrong(node: Located, message: string): TollgateError {
    return this.fault(this.#codes.value, node, message);
  }

  /** A word that is not one of `known`, with the nearest of them. */
  unknown(code: ErrorCode, node: Located, word: string, what: string, known: readonly string[]): TollgateError {
    const near = nearest(word, known);
    const hint = near === undefined ? `known: ${known.join(', ')}.` : `did you mean "${near}"?`;
    return this.fault(
      code,
      node,
      `"${word}" is not ${what}`,
      `${hint} The document was not loaded; what was in force before stays in force.`,
    );
  }

  object(node: Node, what: string): ObjectNode {
    if (node.kind !== 'object') throw this.wrong(node, `${what} must be an object, is ${kindOf(node)}`);
    return node;
  }

  /** An object whose keys are all among `keys`. */
  record(node: Node, what: string, keys: readonly string[]): ObjectNode {
    const object = this.object(node, what);
    for (const [key, { keyAt }] of object.entries) {
      if (keys.includes(key)) continue;
      const place = { at: keyAt, pointer: step(object.pointer, key) };
      throw this.unknown(this.#codes.unknownKey, place, key, `a key of ${what}`, keys);
    }
    return object;
  }

  get(object: ObjectNode, key: string): Node | undefined {
    return object.entries.get(key)?.value;
  }

  need(object: ObjectNode, key: string, what: string): Node {
    const node = this.get(object, key);
    if (node === undefined) throw this.wrong(object, `${what} needs "${key}"`);
    return node;
  }

  text(node: Node, what: string): string {
    if (node.kind !== 'scalar' || typeof node.value !== 'string' || node.value === '') {
      throw this.wrong(node, `${what} must be a text that is not empty, is ${kindOf(node)}`);
    }
    return node.value;
  }

  number(node: Node, what: string): number {
    if (node.kind !== 'scalar' || typeof node.value !== 'number' || !Number.isFinite(node.value)) {
      throw this.wrong(node, `${what} must be a number, is ${kindOf(node)}`);
    }
    return node.value;
  }

  integer(node: Node, what: string, low: number, high: number): number {
    const value = this.number(node, what);
    if (!Number.isInteger(value) || value < low || value > high) {
      throw this.wrong(node, `${what} must be a whole number from ${low} to ${high}, is ${value}`);
    }
    return value;
  }

  array(node: Node, what: string): readonly Node[] {
    if (node.kind !== 'array') throw this.wrong(node, `${what} must be a list, is ${kindOf(node)}`);
    return node.items;
  }

  /** JSON-LD writes a list of one without its brackets. */
  oneOrMany(node: Node, what: string): readonly Node[] {
    if (node.kind !== 'array') return [node];
    if (node.items.length === 0) throw this.wrong(node, `${what} must not be an empty list`);
    return node.items;
  }
}

function kindOf(node: Node): string {
  if (node.kind !== 'scalar') return node.kind === 'array' ? 'a list' : 'an object';
  if (node.value === '') return 'an empty text';
  return node.value === null ? 'null' : `a ${typeof node.value === 'string' ? 'text' : typeof node.value}`;
}
