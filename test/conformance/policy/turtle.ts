import type { Term, Triple } from '#policies';

const RDF = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#';
const XSD = 'http://www.w3.org/2001/XMLSchema#';
const TOKEN =
  /\s+|#[^\n]*|<(?<iri>[^<>"{}|^`\\\s]*)>|"""(?<long>(?:[^"\\]|\\.|"(?!""))*)"""|"(?<text>(?:[^"\\\n]|\\.)*)"|'(?<single>(?:[^'\\\n]|\\.)*)'|@(?<at>[A-Za-z]+(?:-[A-Za-z0-9]+)*)|\^\^|_:(?<blank>[\w.-]*[\w-])|(?<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w:])|(?<name>[\w-]*(?:\.[\w-]+)*:(?:[\w%:-]|\\.|\.(?=[\w%:-]))*)|(?<word>[A-Za-z]+)|[.;,[\]()]/gy;
const ESCAPES: Record<string, string> = { t: '\t', n: '\n', r: '\r', b: '\b', f: '\f' };

interface Token {
  readonly text: string;
  readonly groups: Record<string, string | undefined>;
}

/** Turtle (W3C TR/turtle) as triples: enough for policies, requests and states of the world; throws where it is none. */
export function parseTurtle(text: string): readonly Triple[] {
  return new TurtleReader(tokens(text)).document();
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`Turtle: cannot read "${text.slice(at, at + 20)}" at ${at}`);
    if (/^[\s#]/.test(match[0])) continue;
    // A number takes the full stop of its sentence with it.
    if (match.groups!.number?.endsWith('.')) {
      const number = match.groups!.number.slice(0, -1);
      found.push({ text: number, groups: { number } }, { text: '.', groups: {} });
    } else found.push({ text: match[0], groups: match.groups! });
  }
  return found;
}

class TurtleReader {
  readonly #tokens: readonly Token[];
  readonly #prefixes = new Map<string, string>();
  readonly #triples: Triple[] = [];
  #base = '';
  #at = 0;
  #blanks = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  document(): readonly Triple[] {
    while (this.#at < this.#tokens.length) this.#statement();
    return this.#triples;
  }

  #peek(): string {
    return this.#tokens[this.#at]?.text ?? '';
  }

  #next(): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error('Turtle: the text ends within a sentence');
    return token;
  }

  #want(text: string): void {
    const found = this.#next().text;
    if (found !== text) throw new Error(`Turtle: wanted "${text}", found "${found}"`);
  }

  #statement(): void {
    const word = this.#peek().toLowerCase();
    if (word === '@prefix' || word === 'prefix') {
      this.#next();
      const name = this.#next().text;
      this.#prefixes.set(name.slice(0, -1), this.#iri());
      if (word === '@prefix') this.#want('.');
    } else if (word === '@base' || word === 'base') {
      this.#next();
      this.#base = this.#iri();
      if (word === '@base') this.#want('.');
    } else {
      const bracket = this.#peek() === '[';
      const subject = this.#term().value;
      if (!bracket || this.#peek() !== '.') this.#predicates(subject);
      this.#want('.');
    }
  }

  #predicates(subject: string): void {
    for (;;) {
      const predicate = this.#verb();
      do this.#triples.push({ subject, predicate, object: this.#term() });
      while (this.#peek() === ',' && this.#next());
      while (this.#peek() === ';') this.#next();
      if (this.#peek() === '.' || this.#peek() === ']') return;
    }
  }

  #verb(): string {
    if (this.#peek() !== 'a') return this.#iri();
    this.#next();
    return `${RDF}type`;
  }

  #iri(): string {
    const term = this.#term();
    if (term.kind !== 'iri') throw new Error(`Turtle: wanted an IRI, found "${term.value}"`);
    return term.value;
  }

  #term(): Term {
    const { text, groups } = this.#next();
    if (groups.iri !== undefined)
      return { kind: 'iri', value: /^[a-z][\w+.-]*:/i.test(groups.iri) ? groups.iri : this.#base + groups.iri };
    if (groups.blank !== undefined) return { kind: 'blank', value: `_:${groups.blank}` };
    if (groups.number !== undefined) return { kind: 'literal', value: text, datatype: numberType(text) };
    if (groups.name !== undefined) return { kind: 'iri', value: this.#expand(groups.name) };
    const literal = groups.long ?? groups.text ?? groups.single;
    if (literal !== undefined) return this.#literal(unescaped(literal));
    if (text === 'true' || text === 'false') return { kind: 'literal', value: text, datatype: `${XSD}boolean` };
    const blank = `_:t${this.#blanks++}`;
    if (text === '[') {
      if (this.#peek() !== ']') this.#predicates(blank);
      this.#want(']');
      return { kind: 'blank', value: blank };
    }
    if (text === '(') return this.#list();
    throw new Error(`Turtle: wanted a term, found "${text}"`);
  }

  #list(): Term {
    const items: Term[] = [];
    while (this.#peek() !== ')') items.push(this.#term());
    this.#next();
    let at: Term = { kind: 'iri', value: `${RDF}nil` };
    for (const object of items.reverse()) {
      const subject = `_:t${this.#blanks++}`;
      this.#triples.push(
        { subject, predicate: `${RDF}first`, object },
        { subject, predicate: `${RDF}rest`, object: at },
      );
      at = { kind: 'blank', value: subject };
    }
    return at;
  }

  #literal(value: string): Term {
    if (this.#peek() === '^^') {
      this.#next();
      return { kind: 'literal', value, datatype: this.#iri() };
    }
    if (this.#tokens[this.#at]?.groups.at !== undefined) {
      this.#next();
      return { kind: 'literal', value, datatype: `${RDF}langString` };
    }
    return { kind: 'literal', value, datatype: `${XSD}string` };
  }

  #expand(name: string): string {
    const colon = name.indexOf(':');
    const base = this.#prefixes.get(name.slice(0, colon));
    if (base === undefined) throw new Error(`Turtle: no prefix "${name.slice(0, colon)}"`);
    return base + name.slice(colon + 1).replaceAll('\\', '');
  }
}

function numberType(text: string): string {
  if (/[eE]/.test(text)) return `${XSD}double`;
  return XSD + (text.includes('.') ? 'decimal' : 'integer');
}

function unescaped(text: string): string {
  return text.replace(/\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)/gs, (_, code: string) =>
    code.length > 1 ? String.fromCodePoint(Number.parseInt(code.slice(1), 16)) : (ESCAPES[code] ?? code),
  );
}
