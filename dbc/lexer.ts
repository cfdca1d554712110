/** Tokens of DBC text with their places. Nothing here throws: what cannot be a token is a token of kind `junk`. */

export type TokenKind = 'word' | 'number' | 'string' | 'punctuation' | 'junk' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** As written; a string without its quotes and with `\"` read as a quote. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** First token of its line. */
  readonly first: boolean;
  /** Offset of its first character in the text, and of the character after its last. */
  readonly start: number;
  readonly end: number;
}

const SPACE = ' \t\f\v\r\u00a0\ufeff';
const PUNCTUATION = ':;,|@()[]+-';
const MAY_BEGIN_NUMBER = '+-.0123456789';
/** Of a character of ASCII: what may begin there. */
const CLASS = new Uint8Array(128);
const IS_SPACE = 1;
const IS_PUNCTUATION = 2;
const IS_NUMBER = 4;
const IS_WORD = 8;
const DECIMAL = 16;
const POINT = 0x2e;
for (let code = 0; code < CLASS.length; code++) {
  const character = String.fromCharCode(code);
  if (SPACE.includes(character)) CLASS[code] |= IS_SPACE;
  if (PUNCTUATION.includes(character)) CLASS[code] |= IS_PUNCTUATION;
  if (MAY_BEGIN_NUMBER.includes(character)) CLASS[code] |= IS_NUMBER;
  if (/\w/.test(character)) CLASS[code] |= IS_WORD;
  if (/\d/.test(character)) CLASS[code] |= DECIMAL;
}
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w\u0080-\uffff])/y;
/** Identifiers may begin with a digit in real files, and hold letters beyond ASCII. */
const WORD = /[\w\u0080-\uffff]+/y;
/** A line inside a string that can only be a statement: the string was never closed. */
const STATEMENT_LINE =
  /\n[ \t]*(?:BO_ +\d+ +\w+ *:|SG_ +\w+ .*\||CM_ +(?:BO_|SG_|BU_|EV_|")|BA_(?:DEF_|DEF_DEF_)? +(?:"|\w+_ ")|VAL_ +\d+ +\w+ )/;
const AFTER_STRING = /[\s;,]/;
/** Suspicious strings are read twice; so many times the length of the text at most, whatever the text is made of. */
const MOST_READS = 8;

/** Splits DBC text; strings may run over lines. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  let first = true;
  /** Once a string has no end, no later one has: without this a file of quotes would take quadratic time. */
  let closes = true;
  let suspicious = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0] ?? null;
  };
  const push = (kind: TokenKind, value: string, length: number) => {
    found.push({ kind, text: value, line, column: at - lineStart + 1, first, start: at, end: at + length });
    first = false;
    at += length;
  };
  while (at < text.length) {
    const code = text.charCodeAt(at);
    const kind = code < CLASS.length ? CLASS[code]! : 0;
    if (kind === IS_SPACE) {
      at++;
      continue;
    }
    // What most of a file is made of, without a pattern: whole numbers and names of ASCII letters.
    const plain = (kind & (IS_WORD | DECIMAL)) === 0 ? 0 : plainAt(text, at);
    if (plain > 0) {
      push((kind & DECIMAL) === 0 ? 'word' : 'number', text.slice(at, at + plain), plain);
      continue;
    }
    const character = text[at]!;
    if (character === '\n') {
      at++;
      line++;
      lineStart = at;
      first = true;
      continue;
    }
    if (SPACE.includes(character)) {
      at++;
      continue;
    }
    if (character === '/' && text[at + 1] === '/') {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
      continue;
    }
    if (character === '"') {
      const start = at;
      const value: StringRead | null = closes ? stringAt(text, at) : null;
      closes &&= value !== null;
      if (value === null) {
        push('junk', '"', 1);
        continue;
      }
      if (suspicious < MOST_READS * text.length && swallows(text, start, value.length)) {
        suspicious += value.length;
        push('junk', '"', 1);
        const end = text.indexOf('\n', at);
        at = end < 0 ? text.length : end;
        continue;
      }
      push('string', value.text, value.length);
      for (let i = text.indexOf('\n', start); i >= 0 && i < at; i = text.indexOf('\n', i + 1)) {
        line++;
        lineStart = i + 1;
      }
      continue;
    }
    const number = (kind & IS_NUMBER) === 0 ? null : take(NUMBER);
    if (number !== null) {
      push('number', number, number.length);
      continue;
    }
    if ((kind & IS_PUNCTUATION) !== 0) {
      push('punctuation', character, 1);
      continue;
    }
    const word = take(WORD);
    if (word !== null) push('word', word, word.length);
    else push('junk', character, 1);
  }
  found.push({ kind: 'end', text: '', line, column: at - lineStart + 1, first: true, start: at, end: at });
  return found;
}

/**
 * Length of the whole number or the name that begins at `start`, 0 where a pattern has to look: a point, an exponent, a digit before
 * letters, a character beyond ASCII.
 */
function plainAt(text: string, start: number): number {
  const wanted = (CLASS[text.charCodeAt(start)]! & DECIMAL) === 0 ? IS_WORD : DECIMAL;
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= CLASS.length) return 0;
    const kind = CLASS[code]!;
    if ((kind & wanted) !== 0) continue;
    return wanted === DECIMAL && ((kind & IS_WORD) !== 0 || code === POINT) ? 0 : at - start;
  }
  return at - start;
}

interface StringRead {
  readonly text: string;
  /** In the source, with both quotes. */
  readonly length: number;
}

/** A string from its opening quote; `\"` stands for a quote. null where it never closes. */
function stringAt(text: string, start: number): StringRead | null {
  let value = '';
  let from = start + 1;
  for (;;) {
    const end = text.indexOf('"', from);
    if (end < 0) return null;
    if (text[end - 1] === '\\') {
      value += `${text.slice(from, end - 1)}"`;
      from = end + 1;
      continue;
    }
    value += text.slice(from, end);
    return { text: value, length: end + 1 - start };
  }
}

/**
 * A string that lost its closing quote ends at the opening quote of a later statement: it holds the beginning of that
 * statement, and what follows it is the text that should have been quoted. Comments that merely quote DBC lines do not.
 */
function swallows(text: string, start: number, length: number): boolean {
  const next = text[start + length];
  if (next === undefined || AFTER_STRING.test(next)) return false;
  return STATEMENT_LINE.test(text.slice(start, start + length));
}
