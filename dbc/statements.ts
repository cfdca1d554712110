import { type Token, tokens } from './lexer.ts';
import type { AttributeValue, Finding, Label, MultiplexRange } from './model.ts';

/** The statements of a DBC file as written, before names are resolved. */

export interface RawSignal {
  readonly name: string;
  /** `''`, `M`, `m3`, `m3M`. */
  readonly multiplex: string;
  readonly start: number;
  readonly length: number;
  readonly intel: boolean;
  readonly signed: boolean;
  readonly factor: number;
  readonly offset: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: string;
  readonly receivers: readonly string[];
  readonly token: Token;
}

export interface RawMessage {
  /** As written, bit 31 included. */
  readonly id: number;
  readonly name: string;
  readonly length: number;
  readonly sender: string;
  readonly signals: RawSignal[];
  readonly token: Token;
}

/** What a comment or an attribute belongs to. */
export interface Owner {
  readonly kind: 'network' | 'node' | 'message' | 'signal' | 'variable';
  readonly node?: string;
  readonly id?: number;
  readonly signal?: string;
}

export interface AttributeDefinition {
  readonly name: string;
  readonly type: string;
  /** Values of an ENUM. */
  readonly values: readonly string[];
}

export interface Statements {
  version: string;
  readonly nodes: string[];
  readonly messages: RawMessage[];
  readonly valueTables: Map<string, Label[]>;
  readonly comments: { owner: Owner; text: string; token: Token }[];
  readonly definitions: AttributeDefinition[];
  readonly defaults: Map<string, AttributeValue>;
  readonly attributes: { name: string; owner: Owner; value: AttributeValue; token: Token }[];
  readonly labels: { id: number; signal: string; labels: Label[]; token: Token }[];
  readonly valueTypes: { id: number; signal: string; type: number; token: Token }[];
  readonly groups: { id: number; name: string; repetitions: number; signals: string[]; token: Token }[];
  readonly multiplexers: { id: number; signal: string; multiplexer: string; ranges: MultiplexRange[]; token: Token }[];
  readonly senders: { id: number; nodes: string[]; token: Token }[];
  readonly findings: Finding[];
  /** Statements that were understood. */
  understood: number;
}

const KEYWORDS = new Set(
  `VERSION NS_ BS_ BU_ VAL_TABLE_ BO_ SG_ BO_TX_BU_ EV_ EV_DATA_ ENVVAR_DATA_ SGTYPE_ SIG_GROUP_ CM_ BA_DEF_ BA_DEF_REL_ BA_DEF_DEF_
   BA_DEF_DEF_REL_ BA_ BA_REL_ BA_SGTYPE_ BA_DEF_SGTYPE_ VAL_ SIG_VALTYPE_ SIGTYPE_VALTYPE_ SG_MUL_VAL_ CAT_DEF_ CAT_ FILTER NS_DESC_
   SGTYPE_VAL_ SIG_TYPE_REF_ BU_SG_REL_ BU_EV_REL_ BU_BO_REL_`.split(/\s+/),
);

/** Thrown inside one statement, caught by the loop over statements; never leaves this file. */
class Misread extends Error {
  readonly token: Token;
  readonly fix: string;
  constructor(token: Token, expected: string, fix: string) {
    super(
      `expected ${expected}, found ${token.kind === 'end' ? 'the end of the file' : `"${token.text.slice(0, 40)}"`}`,
    );
    this.token = token;
    this.fix = fix;
  }
}

/** Reads every statement that can be read; the others are findings. */
export function readStatements(text: string): Statements {
  return new StatementReader(tokens(text)).read();
}

class StatementReader {
  readonly #tokens: readonly Token[];
  #at = 0;
  readonly #out: Statements = {
    version: '',
    nodes: [],
    messages: [],
    valueTables: new Map(),
    comments: [],
    definitions: [],
    defaults: new Map(),
    attributes: [],
    labels: [],
    valueTypes: [],
    groups: [],
    multiplexers: [],
    senders: [],
    findings: [],
    understood: 0,
  };

  constructor(list: readonly Token[]) {
    this.#tokens = list;
  }

  read(): Statements {
    while (this.#peek.kind !== 'end') {
      const start = this.#at;
      const keyword = this.#next();
      try {
        this.#statement(keyword);
        this.#out.understood++;
      } catch (error) {
        if (!(error instanceof Misread)) throw error;
        this.#find('TG_DBC_SYNTAX', error.token, error.message, error.fix);
        this.#at = Math.max(this.#at, start + 1);
        this.#skipToKeyword();
      }
    }
    return this.#out;
  }

  #statement(keyword: Token): void {
    switch (keyword.text) {
      case 'VERSION':
        this.#out.version = this.#string('the version in quotes');
        return;
      case 'NS_':
        this.#newSymbols();
        return;
      case 'BS_':
        this.#bitTiming();
        return;
      case 'BU_':
        this.#nodes();
        return;
      case 'VAL_TABLE_': {
        const name = this.#name('the name of the table');
        this.#out.valueTables.set(name, this.#labels());
        return;
      }
      case 'BO_':
        this.#message(keyword);
        return;
      case 'SG_':
        this.#signal(keyword);
        return;
      case 'CM_':
        this.#comment(keyword);
        return;
      case 'BA_DEF_':
        this.#definition();
        return;
      case 'BA_DEF_DEF_':
        this.#default();
        return;
      case 'BA_':
        this.#attribute(keyword);
        return;
      case 'VAL_':
        this.#values(keyword);
        return;
      case 'SIG_VALTYPE_':
        this.#valueType(keyword);
        return;
      case 'SIG_GROUP_':
        this.#group(keyword);
        return;
      case 'SG_MUL_VAL_':
        this.#multiplexer(keyword);
        return;
      case 'BO_TX_BU_':
        this.#senders(keyword);
        return;
      default:
        if (!KEYWORDS.has(keyword.text))
          throw new Misread(keyword, 'a keyword of the DBC language', 'Remove the line or mend its first word.');
        // Environment variables, signal types and relations do not change what a frame means: passed over as written.
        this.#skipStatement();
    }
  }

  get #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  #next(): Token {
    const token = this.#peek;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  #find(
    code: Finding['code'],
    token: Token,
    message: string,
    fix: string,
    severity: Finding['severity'] = 'error',
  ): void {
    this.#out.findings.push({ severity, code, line: token.line, column: token.column, message, fix });
  }

  /** A keyword begins a line; a word inside a statement that looks like one does not. */
  #skipToKeyword(): void {
    while (this.#peek.kind !== 'end' && !(this.#peek.first && KEYWORDS.has(this.#peek.text))) this.#at++;
  }

  #skipStatement(): void {
    while (this.#peek.kind !== 'end' && this.#peek.text !== ';' && !(this.#peek.first && KEYWORDS.has(this.#peek.text)))
      this.#at++;
    if (this.#peek.text === ';' && this.#peek.kind === 'punctuation') this.#at++;
  }

  #is(text: string): boolean {
    return this.#peek.kind === 'punctuation' && this.#peek.text === text;
  }

  #expect(text: string): Token {
    if (!this.#is(text)) throw new Misread(this.#peek, `"${text}"`, `Write "${text}" here.`);
    return this.#next();
  }

  #name(what: string): string {
    const token = this.#peek;
    if (token.kind !== 'word' && token.kind !== 'number') throw new Misread(token, what, `Write ${what} here.`);
    this.#at++;
    if (/^[0-9]/.test(token.text)) {
      this.#find(
        'TG_DBC_NAME',
        token,
        `the name "${token.text}" begins with a digit`,
        'Put a letter or an underscore first.',
      );
    }
    return token.text;
  }

  #number(what: string): number {
    const token = this.#peek;
    if (token.kind !== 'number') throw new Misread(token, what, `Write ${what} here.`);
    this.#at++;
    if (/^[+-]?\./.test(token.text)) {
      const mended = token.text.replace('.', '0.');
      this.#find(
        'TG_DBC_NUMBER',
        token,
        `the number "${token.text}" has no digit before its point`,
        `Write ${mended}.`,
      );
    }
    return Number(token.text);
  }

  #integer(what: string): number {
    const token = this.#peek;
    const value = this.#number(what);
    if (!Number.isSafeInteger(value) || value < 0) throw new Misread(token, what, 'Write a whole number from 0.');
    return value;
  }

  #string(what: string): string {
    const token = this.#peek;
    if (token.kind !== 'string') throw new Misread(token, what, 'Put the text in double quotes.');
    this.#at++;
    return token.text;
  }

  #end(): void {
    if (this.#is(';')) {
      while (this.#is(';')) this.#at++;
      return;
    }
    this.#find(
      'TG_DBC_SYNTAX',
      this.#peek,
      `expected ";", found "${this.#peek.text.slice(0, 40)}"`,
      'End the statement with ";".',
      'warning',
    );
    this.#skipToKeyword();
  }

  /** The keywords of the block stand alone on their lines; `BS_:` and what follows do not. */
  #newSymbols(): void {
    if (this.#is(':')) this.#at++;
    while (this.#peek.kind === 'word' && this.#tokens[this.#at + 1]!.first) this.#at++;
  }

  #bitTiming(): void {
    this.#expect(':');
    while (!this.#peek.first && this.#peek.kind !== 'end') this.#at++;
  }

  #nodes(): void {
    this.#expect(':');
    while (this.#peek.kind === 'word' && !(this.#peek.first && KEYWORDS.has(this.#peek.text)))
      this.#out.nodes.push(this.#name('a node'));
  }

  #message(token: Token): void {
    const id = this.#integer('the id of the message');
    const name = this.#name('the name of the message');
    this.#expect(':');
    const length = this.#integer('the length of the message in bytes');
    const sender = this.#peek.kind === 'word' && !this.#peek.first ? this.#name('the sender') : '';
    this.#out.messages.push({ id, name, length, sender, signals: [], token });
  }

  #signal(token: Token): void {
    const message = this.#out.messages.at(-1);
    if (message === undefined)
      throw new Misread(token, 'a message (BO_) before its signals', 'Move the signal below its message.');
    const name = this.#name('the name of the signal');
    const multiplex = this.#is(':') ? '' : this.#multiplexWord();
    this.#expect(':');
    const start = this.#integer('the start bit');
    this.#expect('|');
    const length = this.#integer('the length in bits');
    this.#expect('@');
    const order = this.#peek;
    const intel = this.#integer('the byte order, 0 or 1');
    if (intel > 1) throw new Misread(order, 'the byte order, 0 (Motorola) or 1 (Intel)', 'Write 0 or 1 after "@".');
    const sign = this.#next();
    if (sign.text !== '+' && sign.text !== '-')
      throw new Misread(sign, '"+" (unsigned) or "-" (signed)', 'Write + or - after the byte order.');
    this.#expect('(');
    const factor = this.#number('the factor');
    this.#expect(',');
    const offset = this.#number('the offset');
    this.#expect(')');
    this.#expect('[');
    const minimum = this.#number('the minimum');
    this.#expect('|');
    const maximum = this.#number('the maximum');
    this.#expect(']');
    const unit = this.#string('the unit in quotes');
    const receivers: string[] = [];
    while (this.#peek.kind === 'word' && !this.#peek.first) {
      receivers.push(this.#name('a receiver'));
      if (this.#is(',')) this.#at++;
    }
    message.signals.push({
      name,
      multiplex,
      start,
      length,
      intel: intel === 1,
      signed: sign.text === '-',
      factor,
      offset,
      minimum,
      maximum,
      unit,
      receivers,
      token,
    });
  }

  #multiplexWord(): string {
    const token = this.#next();
    if (token.kind !== 'word' || !/^(M|m\d+M?)$/.test(token.text))
      throw new Misread(token, '":" or a multiplexer mark (M, m3, m3M)', 'Write M, m3 or m3M, or nothing.');
    return token.text;
  }

  #owner(): Owner {
    const token = this.#peek;
    if (token.kind !== 'word') return { kind: 'network' };
    switch (token.text) {
      case 'BU_':
        this.#at++;
        return { kind: 'node', node: this.#name('the node') };
      case 'BO_':
        this.#at++;
        return { kind: 'message', id: this.#integer('the id of the message') };
      case 'SG_': {
        this.#at++;
        const id = this.#integer('the id of the message');
        if (this.#peek.kind !== 'word' && this.#peek.kind !== 'number') {
          this.#find(
            'TG_DBC_SYNTAX',
            this.#peek,
            'expected the name of the signal',
            'Name the signal after the id, or write BO_.',
          );
          return { kind: 'message', id };
        }
        return { kind: 'signal', id, signal: this.#name('the signal') };
      }
      case 'EV_':
        this.#at++;
        return { kind: 'variable', node: this.#name('the variable') };
      default:
        return { kind: 'network' };
    }
  }

  #comment(token: Token): void {
    let owner = this.#owner();
    if (owner.kind === 'network' && this.#peek.kind === 'number') {
      const id = this.#peek;
      const missing = this.#tokens[this.#at + 1]!.kind === 'string' ? 'BO_' : 'SG_';
      this.#find(
        'TG_DBC_SYNTAX',
        id,
        `expected ${missing} before the id "${id.text}"`,
        `Write CM_ ${missing} ${id.text} ….`,
      );
      owner = { kind: 'message', id: this.#integer('the id') };
      if (missing === 'SG_') owner = { kind: 'signal', id: owner.id!, signal: this.#name('the signal') };
    }
    const text = this.#string('the comment in quotes');
    this.#end();
    this.#out.comments.push({ owner, text, token });
  }

  #definition(): void {
    if (this.#peek.kind === 'word') this.#next();
    const name = this.#string('the name of the attribute in quotes');
    const type = this.#next().text;
    const values: string[] = [];
    while (!this.#is(';') && this.#peek.kind !== 'end' && !(this.#peek.first && KEYWORDS.has(this.#peek.text))) {
      const token = this.#next();
      if (token.kind === 'string') values.push(token.text);
    }
    this.#end();
    this.#out.definitions.push({ name, type, values });
  }

  #value(): AttributeValue {
    if (this.#peek.kind === 'string') return this.#string('a value');
    return this.#number('a number or a text in quotes');
  }

  #default(): void {
    const name = this.#string('the name of the attribute in quotes');
    this.#out.defaults.set(name, this.#value());
    this.#end();
  }

  #attribute(token: Token): void {
    const name = this.#string('the name of the attribute in quotes');
    const owner = this.#owner();
    const value = this.#value();
    this.#end();
    this.#out.attributes.push({ name, owner, value, token });
  }

  #labels(): Label[] {
    const labels: Label[] = [];
    while (this.#peek.kind === 'number') {
      const { text } = this.#peek;
      const number = this.#number('a value');
      labels.push({
        value: /^[+-]?\d+$/.test(text) ? BigInt(text.replace('+', '')) : BigInt(Math.trunc(number)),
        text: this.#string('a label in quotes'),
      });
    }
    this.#end();
    return labels;
  }

  #values(token: Token): void {
    // `VAL_ variable 0 "off" …` labels an environment variable.
    if (this.#peek.kind === 'word') {
      this.#skipStatement();
      return;
    }
    const id = this.#integer('the id of the message');
    const signal = this.#name('the signal');
    this.#out.labels.push({ id, signal, labels: this.#labels(), token });
  }

  #valueType(token: Token): void {
    const id = this.#integer('the id of the message');
    const signal = this.#name('the signal');
    if (this.#is(':')) this.#at++;
    const type = this.#integer('the type: 0 integer, 1 float, 2 double');
    this.#end();
    this.#out.valueTypes.push({ id, signal, type, token });
  }

  #group(token: Token): void {
    const id = this.#integer('the id of the message');
    const name = this.#name('the name of the group');
    const repetitions = this.#integer('the repetitions');
    this.#expect(':');
    const signals: string[] = [];
    while (this.#peek.kind === 'word') signals.push(this.#name('a signal'));
    this.#end();
    this.#out.groups.push({ id, name, repetitions, signals, token });
  }

  #multiplexer(token: Token): void {
    const id = this.#integer('the id of the message');
    const signal = this.#name('the signal');
    const multiplexer = this.#name('the multiplexer');
    const ranges: MultiplexRange[] = [];
    while (this.#peek.kind === 'number') {
      const low = this.#integer('the first value of a range');
      // `0-3` lexes as 0 and -3.
      if (this.#is('-')) this.#at++;
      const high = Math.abs(this.#number('the last value of a range'));
      ranges.push({ low, high });
      if (this.#is(',')) this.#at++;
    }
    this.#end();
    this.#out.multiplexers.push({ id, signal, multiplexer, ranges, token });
  }

  #senders(token: Token): void {
    const id = this.#integer('the id of the message');
    this.#expect(':');
    const nodes: string[] = [];
    while (this.#peek.kind === 'word') {
      nodes.push(this.#name('a node'));
      if (this.#is(',')) this.#at++;
    }
    this.#end();
    this.#out.senders.push({ id, nodes, token });
  }
}
