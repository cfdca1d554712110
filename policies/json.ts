import { type ErrorCode, TollgateError } from '#contracts';
import { type Entry, MAX_DEPTH, MAX_DOCUMENT, type Node, positionAt, step } from './document.ts';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPES: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const WORDS: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/**
 * JSON (RFC 8259) with the place of each key and value. Duplicate keys are refused: two readers of one agreement must
 * not see two agreements.
 *
 * @throws {TollgateError} `code`, with line and column
 */
export function parseJson(bytes: Uint8Array, file: string, code: ErrorCode): { text: string; root: Node } {
  if (bytes.length > MAX_DOCUMENT) {
    throw new TollgateError(code, `the document has ${bytes.length} bytes, at most ${MAX_DOCUMENT} are taken`, {
      place: { file },
    });
  }
  const text = decodeUtf8(bytes, file, code);
  return { text, root: new JsonReader(text, file, code).document() };
}

function decodeUtf8(bytes: Uint8Array, file: string, code: ErrorCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TollgateError(code, 'the document is not UTF-8', { place: { file }, cause });
  }
}

class JsonReader {
  readonly #text: string;
  readonly #file: string;
  readonly #code: ErrorCode;
  #at = 0;

  constructor(text: string, file: string, code: ErrorCode) {
    this.#text = text;
    this.#file = file;
    this.#code = code;
  }

  document(): Node {
    this.#space();
    const root = this.#value('', 0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#fault('the end of the document');
    return root;
  }

  #fault(wanted: string, pointer?: string): TollgateError {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : 'the end';
    const place = { file: this.#file, ...positionAt(this.#text, this.#at), pointer };
    return new TollgateError(this.#code, `found ${found}, wanted ${wanted}`, { place });
  }

  #space(): void {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? '-')) this.#at++;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #value(pointer: string, depth: number): Node {
    if (depth > MAX_DEPTH) throw this.#fault(`at most ${MAX_DEPTH} levels`, pointer);
    const at = this.#at;
    const first = this.#text[at];
    if (first === '{') return { kind: 'object', at, pointer, entries: this.#entries(pointer, depth) };
    if (first === '[') return { kind: 'array', at, pointer, items: this.#items(pointer, depth) };
    if (first === '"') return { kind: 'scalar', at, pointer, value: this.#string() };
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, at)) continue;
      this.#at += word.length;
      return { kind: 'scalar', at, pointer, value };
    }
    return { kind: 'scalar', at, pointer, value: this.#number(pointer) };
  }

  #number(pointer: string): number {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw this.#fault('a JSON value', pointer);
    const value = Number(match[0]);
    if (!Number.isFinite(value)) throw this.#fault('a number of the range of a double', pointer);
    this.#at += match[0].length;
    return value;
  }

  #string(): string {
    let value = '';
    for (this.#at++; ; ) {
      const start = this.#at;
      while (this.#at < this.#text.length && !'"\\'.includes(this.#text[this.#at]!) && this.#text[this.#at]! >= ' ') {
        this.#at++;
      }
      value += this.#text.slice(start, this.#at);
      if (this.#take('"')) return value;
      if (!this.#take('\\')) throw this.#fault('the closing quote of a text');
      value += this.#escape();
    }
  }

  #escape(): string {
    const kind = this.#text[this.#at] ?? '';
    if (kind === 'u') {
      const digits = this.#text.slice(this.#at + 1, this.#at + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#fault('four hex digits after \\u');
      this.#at += 5;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    if (!Object.hasOwn(ESCAPES, kind)) throw this.#fault('an escape of JSON');
    this.#at++;
    return ESCAPES[kind]!;
  }

  #items(pointer: string, depth: number): Node[] {
    const items: Node[] = [];
    this.#at++;
    this.#space();
    if (this.#take(']')) return items;
    for (;;) {
      this.#space();
      items.push(this.#value(step(pointer, items.length), depth + 1));
      this.#space();
      if (this.#take(']')) return items;
      if (!this.#take(',')) throw this.#fault('"," or "]"', pointer);
    }
  }

  #entries(pointer: string, depth: number): Map<string, Entry> {
    const entries = new Map<string, Entry>();
    this.#at++;
    this.#space();
    if (this.#take('}')) return entries;
    for (;;) {
      this.#space();
      const keyAt = this.#at;
      if (this.#text[keyAt] !== '"') throw this.#fault('a key in quotes', pointer);
      const key = this.#string();
      if (entries.has(key)) {
        this.#at = keyAt;
        throw this.#fault(`each key once ("${key}" came before)`, step(pointer, key));
      }
      this.#space();
      if (!this.#take(':')) throw this.#fault('":"', pointer);
      this.#space();
      entries.set(key, { keyAt, value: this.#value(step(pointer, key), depth + 1) });
      this.#space();
      if (this.#take('}')) return entries;
      if (!this.#take(',')) throw this.#fault('"," or "}"', pointer);
    }
  }
}
