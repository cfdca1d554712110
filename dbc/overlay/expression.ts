/** Arithmetic of KUKSA's `transform.math`: numbers, `x`, `+ - * / % ^`, parentheses and some functions. No code is made from it. */

/** A function of `x`. */
export interface Expression {
  /** As written. */
  readonly text: string;
  evaluate(x: number): number;
  /** Where it is `factor · x + offset`; null else. `x / 5` has the factor 0.2, so its last bit may differ from `evaluate`. */
  readonly linear: { readonly factor: number; readonly offset: number } | null;
}

/** A part of an expression: its value, and its line where it has one. */
interface Term {
  readonly value: (x: number) => number;
  readonly line: { readonly factor: number; readonly offset: number } | null;
}

const LONGEST = 1000;
const DEEPEST = 100;
const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/%^(),]))/y;
const CONSTANTS: ReadonlyMap<string, number> = new Map([
  ['PI', Math.PI],
  ['E', Math.E],
]);
const FUNCTIONS: ReadonlyMap<string, (...values: number[]) => number> = new Map([
  ['abs', Math.abs],
  ['ceil', Math.ceil],
  ['floor', Math.floor],
  ['round', roundHalfEven],
  ['sqrt', Math.sqrt],
  ['exp', Math.exp],
  ['log', Math.log],
  ['sin', Math.sin],
  ['cos', Math.cos],
  ['tan', Math.tan],
  ['min', Math.min],
  ['max', Math.max],
  ['pow', (base = Number.NaN, power = Number.NaN) => base ** power],
]);
const OF_TWO: ReadonlySet<string> = new Set(['min', 'max', 'pow']);

/**
 * Reads an expression.
 *
 * @throws {SyntaxError} with what was expected and where
 */
export function parseExpression(text: string): Expression {
  if (text.length > LONGEST) throw new SyntaxError(`expected at most ${LONGEST} characters, found ${text.length}`);
  const { value, line } = new Reader(text).read();
  return { text, evaluate: value, linear: line };
}

/** Python rounds halves to the even neighbour. */
function roundHalfEven(value = Number.NaN): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest === 0.5) return low % 2 === 0 ? low : low + 1;
  return rest < 0.5 ? low : low + 1;
}

/** Python's remainder has the sign of the divisor. */
function remainder(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

class Reader {
  readonly #tokens: { readonly text: string; readonly column: number }[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    let at = 0;
    const end = text.trimEnd().length;
    while (at < end) {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(text);
      if (found === null) throw new SyntaxError(`expected a number, x or an operator at character ${at + 1}`);
      const [whole, number, word, sign] = found;
      this.#tokens.push({ text: number ?? word ?? sign!, column: at + whole.length });
      at += whole.length;
    }
  }

  read(): Term {
    const term = this.#sum();
    if (this.#at < this.#tokens.length) throw this.#fault('an operator');
    return term;
  }

  #peek(): string {
    return this.#tokens[this.#at]?.text ?? '';
  }

  #accept(text: string): boolean {
    const found = this.#peek() === text;
    if (found) this.#at++;
    return found;
  }

  #fault(wanted: string): SyntaxError {
    const token = this.#tokens[this.#at];
    if (token === undefined) return new SyntaxError(`expected ${wanted}, found the end`);
    return new SyntaxError(`expected ${wanted} at character ${token.column}, found "${token.text}"`);
  }

  #sum(): Term {
    if (++this.#depth > DEEPEST) throw new SyntaxError(`expected at most ${DEEPEST} nested parentheses`);
    let term = this.#product();
    for (;;) {
      if (this.#accept('+')) term = plus(term, this.#product());
      else if (this.#accept('-')) term = plus(term, negated(this.#product()));
      else break;
    }
    this.#depth--;
    return term;
  }

  #product(): Term {
    let term = this.#signed();
    for (;;) {
      if (this.#accept('*')) term = times(term, this.#signed());
      else if (this.#accept('/')) term = over(term, this.#signed());
      else if (this.#accept('%')) term = combined(remainder, term, this.#signed());
      else return term;
    }
  }

  #signed(): Term {
    let isNegative = false;
    while (this.#peek() === '-' || this.#peek() === '+')
      if (this.#tokens[this.#at++]!.text === '-') isNegative = !isNegative;
    const term = this.#power();
    return isNegative ? negated(term) : term;
  }

  /** Binds to the right: 2^3^2 is 2^9. */
  #power(): Term {
    const bases = [this.#primary()];
    const signs: boolean[] = [];
    while (this.#accept('^') || this.#accept('**')) {
      signs.push(this.#accept('-'));
      bases.push(this.#primary());
    }
    let term = bases.pop()!;
    while (bases.length > 0)
      term = combined((a, b) => a ** b, bases.pop()!, signs.pop() === true ? negated(term) : term);
    return term;
  }

  #primary(): Term {
    const text = this.#peek();
    if (text === '') throw this.#fault('a number, x or "("');
    if (this.#accept('(')) {
      const term = this.#sum();
      if (!this.#accept(')')) throw this.#fault('")"');
      return term;
    }
    if (/^[\d.]/.test(text)) {
      this.#at++;
      return constant(Number(text));
    }
    if (this.#accept('x')) return { value: (x) => x, line: { factor: 1, offset: 0 } };
    const named = CONSTANTS.get(text);
    if (named !== undefined) {
      this.#at++;
      return constant(named);
    }
    return this.#call(text);
  }

  #call(name: string): Term {
    const called = FUNCTIONS.get(name);
    if (called === undefined) throw this.#fault('a number, x, "(" or a function');
    this.#at++;
    if (!this.#accept('(')) throw this.#fault('"("');
    const values = [this.#sum()];
    while (this.#accept(',')) values.push(this.#sum());
    if (!this.#accept(')')) throw this.#fault('")"');
    const wanted = OF_TWO.has(name) ? 2 : 1;
    if (values.length !== wanted)
      throw new SyntaxError(`expected ${wanted} value${wanted === 1 ? '' : 's'} for ${name}, found ${values.length}`);
    const [a, b] = values;
    if (b === undefined) return folded([a!], (x) => called(a!.value(x)));
    return folded(values, (x) => called(a!.value(x), b.value(x)));
  }
}

function constant(value: number): Term {
  return { value: () => value, line: { factor: 0, offset: value } };
}

/** A constant where all its parts are; a curve else. */
function folded(parts: readonly Term[], value: (x: number) => number): Term {
  return parts.every(({ line }) => line?.factor === 0) ? constant(value(0)) : { value, line: null };
}

function combined(join: (a: number, b: number) => number, a: Term, b: Term): Term {
  return folded([a, b], (x) => join(a.value(x), b.value(x)));
}

function plus(a: Term, b: Term): Term {
  const line =
    a.line === null || b.line === null
      ? null
      : { factor: a.line.factor + b.line.factor, offset: a.line.offset + b.line.offset };
  return { value: (x) => a.value(x) + b.value(x), line };
}

function negated(a: Term): Term {
  const line = a.line === null ? null : { factor: a.line.factor === 0 ? 0 : -a.line.factor, offset: -a.line.offset };
  return { value: (x) => -a.value(x), line };
}

function scaled(line: Term['line'], by: number): Term['line'] {
  return line === null ? null : { factor: line.factor * by, offset: line.offset * by };
}

function times(a: Term, b: Term): Term {
  const line =
    b.line?.factor === 0 ? scaled(a.line, b.line.offset) : a.line?.factor === 0 ? scaled(b.line, a.line.offset) : null;
  return { value: (x) => a.value(x) * b.value(x), line };
}

function over(a: Term, b: Term): Term {
  const divisor = b.line?.factor === 0 ? b.line.offset : 0;
  const line =
    divisor === 0 || a.line === null ? null : { factor: a.line.factor / divisor, offset: a.line.offset / divisor };
  return { value: (x) => a.value(x) / b.value(x), line };
}
