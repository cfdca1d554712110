import type { Token } from '../lexer.ts';
import type { Finding } from '../model.ts';

export const KEYWORDS: ReadonlySet<string> = new Set(
  `VERSION NS_ BS_ BU_ VAL_TABLE_ BO_ SG_ BO_TX_BU_ EV_ EV_DATA_ ENVVAR_DATA_ SGTYPE_ SIG_GROUP_ CM_ BA_DEF_ BA_DEF_REL_ BA_DEF_DEF_
   BA_DEF_DEF_REL_ BA_ BA_REL_ BA_SGTYPE_ BA_DEF_SGTYPE_ VAL_ SIG_VALTYPE_ SIGTYPE_VALTYPE_ SG_MUL_VAL_ CAT_DEF_ CAT_ FILTER NS_DESC_
   SGTYPE_VAL_ SIG_TYPE_REF_ BU_SG_REL_ BU_EV_REL_ BU_BO_REL_`.split(/\s+/),
);
const SHOWN = 40;

/** Thrown inside one statement, caught by the loop over statements; never leaves the parser. */
export class Misread extends Error {
  readonly token: Token;
  readonly fix: string;
  constructor(token: Token, expected: string, fix: string) {
    super(`expected ${expected}, found ${shown(token)}`);
    this.token = token;
    this.fix = fix;
  }
}

/** A token in the words of a finding. */
export function shown(token: Token): string {
  if (token.kind === 'end') return 'the end of the file';
  if (token.kind === 'junk' && token.text === '"') return 'a quote that is not closed';
  return `"${token.text.slice(0, SHOWN)}"`;
}

/** Reads tokens one after the other; what is missing is a `Misread`, what can be mended a finding. */
export class Cursor {
  readonly #tokens: readonly Token[];
  readonly #findings: Finding[];
  readonly #text: string;
  #at = 0;

  constructor(text: string, tokens: readonly Token[], findings: Finding[]) {
    this.#text = text;
    this.#tokens = tokens;
    this.#findings = findings;
  }

  get peek(): Token {
    return this.#tokens[this.#at]!;
  }

  /** The token after `peek`. */
  get afterPeek(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)]!;
  }

  get at(): number {
    return this.#at;
  }

  /** Moves on at least to token `at`. */
  forwardTo(at: number): void {
    this.#at = Math.min(Math.max(this.#at, at), this.#tokens.length - 1);
  }

  /** The token `more` places behind `peek`. */
  ahead(more: number): Token {
    return this.#tokens[Math.min(this.#at + more, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  find(
    code: Finding['code'],
    token: Token,
    message: string,
    fix: string,
    severity: Finding['severity'] = 'error',
  ): void {
    this.#findings.push({ severity, code, line: token.line, column: token.column, message, fix });
  }

  /** A keyword begins a line; a word inside a statement that looks like one does not. */
  get atStatement(): boolean {
    const token = this.peek;
    return token.kind === 'end' || (token.first && token.kind === 'word' && KEYWORDS.has(token.text));
  }

  skipToStatement(): void {
    while (!this.atStatement) this.#at++;
  }

  /** To the end of the statement that begins at `from`. @returns its text as written */
  restAsWritten(from: Token): string {
    while (!this.atStatement && !this.is(';')) this.#at++;
    if (this.is(';')) this.#at++;
    return this.#text.slice(from.start, this.#tokens[Math.max(this.#at - 1, 0)]!.end);
  }

  is(text: string): boolean {
    return this.peek.kind === 'punctuation' && this.peek.text === text;
  }

  /** Takes the token where it is `text`. */
  accept(text: string): boolean {
    const found = this.is(text);
    if (found) this.#at++;
    return found;
  }

  expect(text: string): Token {
    if (!this.is(text)) throw new Misread(this.peek, `"${text}"`, `Write "${text}" here.`);
    return this.next();
  }

  name(what: string): string {
    const token = this.peek;
    if (token.kind !== 'word' && !(token.kind === 'number' && /^\d+$/.test(token.text))) {
      throw new Misread(token, what, `Write ${what} here: letters, digits and underscores.`);
    }
    this.#at++;
    if (/^[0-9]/.test(token.text)) {
      this.find(
        'TG_DBC_NAME',
        token,
        `expected a name that begins with a letter, found "${token.text}"`,
        `Write _${token.text}; it was read as it stands.`,
      );
    } else if (!/^\w+$/.test(token.text)) {
      this.find(
        'TG_DBC_NAME',
        token,
        `expected a name of ASCII letters, found "${token.text}"`,
        'Rename it; it was read as it stands.',
      );
    }
    return token.text;
  }

  number(what: string): number {
    const token = this.peek;
    const isHex = token.kind === 'word' && /^0x[0-9a-f]{1,13}$/i.test(token.text);
    if (token.kind !== 'number' && !isHex) throw new Misread(token, what, `Write ${what} here.`);
    this.#at++;
    const value = Number(token.text);
    if (isHex) this.#mended(token, `expected a decimal number, found "${token.text}"`, String(value));
    else if (/^[+-]?\./.test(token.text)) {
      const message = `expected a digit before the point, found "${token.text}"`;
      this.#mended(token, message, token.text.replace('.', '0.'));
    }
    if (Number.isFinite(value)) return value;
    const largest = Math.sign(value) * Number.MAX_VALUE;
    this.#mended(token, `the number "${token.text.slice(0, SHOWN)}" is beyond a double`, String(largest));
    return largest;
  }

  #mended(token: Token, message: string, written: string): void {
    this.find('TG_DBC_NUMBER', token, message, `Write ${written}; it was read so.`);
  }

  /** A whole number from 0. */
  integer(what: string): number {
    const token = this.peek;
    const value = this.number(what);
    if (!Number.isSafeInteger(value) || value < 0) throw new Misread(token, what, 'Write a whole number from 0.');
    return value;
  }

  string(what: string): string {
    const token = this.peek;
    if (token.kind !== 'string') throw new Misread(token, what, 'Put the text in double quotes.');
    this.#at++;
    return token.text;
  }

  /** Words up to what is not one, with or without commas between them. */
  names(what: string, onOneLine = false): string[] {
    const list: string[] = [];
    while (this.peek.kind === 'word' && !this.atStatement && !(onOneLine && this.peek.first)) {
      list.push(this.name(what));
      this.accept(',');
    }
    return list;
  }

  /** The semicolon; where it is missing the next statement begins on its line all the same. */
  end(): void {
    if (this.accept(';')) {
      while (this.accept(';'));
      return;
    }
    const isNext = this.atStatement;
    this.find(
      'TG_DBC_SYNTAX',
      this.peek,
      `expected ";", found ${shown(this.peek)}`,
      'End the statement with ";".',
      isNext ? 'warning' : 'error',
    );
    this.skipToStatement();
  }
}
