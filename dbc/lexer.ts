/** Tokens of DBC text with their places. Nothing here throws: what cannot be a token is a token of kind `junk`. */

export type TokenKind = 'word' | 'number' | 'string' | 'punctuation' | 'junk' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** As written; a string without its quotes. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** First token of its line. */
  readonly first: boolean;
}

const SPACE = /[ \t\f\v\r\u00a0\ufeff]+/y;
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w\u0080-\uffff])/y;
/** Identifiers may begin with a digit in real files, and hold letters beyond ASCII. */
const WORD = /[\w\u0080-\uffff]+/y;
const PUNCTUATION = /[:;,|@()[\]+-]/y;

/** Splits DBC text; strings may run over lines. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  let first = true;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0] ?? null;
  };
  const push = (kind: TokenKind, value: string, length: number) => {
    found.push({ kind, text: value, line, column: at - lineStart + 1, first });
    first = false;
    at += length;
  };
  while (at < text.length) {
    const character = text[at]!;
    if (character === '\n') {
      at++;
      line++;
      lineStart = at;
      first = true;
      continue;
    }
    const space = take(SPACE);
    if (space !== null) {
      at += space.length;
      continue;
    }
    if (text.startsWith('//', at)) {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
      continue;
    }
    if (character === '"') {
      const startLine = line;
      const column = at - lineStart + 1;
      const value = stringAt(text, at);
      found.push({
        kind: value === null ? 'junk' : 'string',
        text: value?.text ?? '"',
        line: startLine,
        column,
        first,
      });
      first = false;
      const end = at + (value?.length ?? 1);
      for (let i = at; i < end; i++) {
        if (text[i] === '\n') {
          line++;
          lineStart = i + 1;
        }
      }
      at = end;
      continue;
    }
    const number = take(NUMBER);
    if (number !== null) {
      push('number', number, number.length);
      continue;
    }
    const word = take(WORD);
    if (word !== null) {
      push('word', word, word.length);
      continue;
    }
    const punctuation = take(PUNCTUATION);
    if (punctuation !== null) push('punctuation', punctuation, 1);
    else push('junk', character, 1);
  }
  found.push({ kind: 'end', text: '', line, column: at - lineStart + 1, first: true });
  return found;
}

/** A string from its opening quote; `\"` stands for a quote. null where it never closes. */
function stringAt(text: string, start: number): { text: string; length: number } | null {
  let value = '';
  let from = start + 1;
  for (;;) {
    const end = text.indexOf('"', from);
    if (end < 0) return null;
    if (text[end - 1] === '\\' && end - 1 > start) {
      value += `${text.slice(from, end - 1)}"`;
      from = end + 1;
      continue;
    }
    value += text.slice(from, end);
    return { text: value, length: end + 1 - start };
  }
}
