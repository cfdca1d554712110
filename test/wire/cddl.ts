import { CborFloat, type CborKey, type CborValue, decodeCbor } from '#wire/cbor';

/**
 * A checker for the part of CDDL (RFC 8610) that `wire/*.cddl` uses: named rules and groups, arrays, maps, choices,
 * ranges, literals, `?` `*` `+`, `.size` `.le` `.cbor`. What it does not know it refuses to read.
 */
type Node =
  | { readonly is: 'choice'; readonly of: readonly Node[] }
  | { readonly is: 'literal'; readonly value: number | string }
  | { readonly is: 'name'; readonly name: string }
  | { readonly is: 'range'; readonly low: number; readonly high: number }
  | { readonly is: 'array' | 'map' | 'group'; readonly members: readonly Member[] }
  | { readonly is: 'control'; readonly inner: Node; readonly operator: string; readonly argument: Node };

interface Member {
  readonly least: number;
  readonly most: number;
  readonly label: string;
  /** Key in a map; in an array it only names. */
  readonly key: Node | null;
  readonly value: Node;
}

const TOKEN = /;[^\n]*|\s+|("[^"]*"|-?\d+|\.\.|\.[a-z]+|=>|[A-Za-z_][\w-]*|[=:,/[\]{}()*+?])/gy;
const OCCURRENCES: Readonly<Record<string, readonly [number, number]>> = {
  '?': [0, 1],
  '*': [0, Infinity],
  '+': [1, Infinity],
};
const CLOSING = { '[': ']', '{': '}', '(': ')' } as const;

export class Cddl {
  readonly rules = new Map<string, Node>();
  /** Rules that a check has used: one that no example reaches says nothing. */
  readonly reached = new Set<string>();
  readonly #tokens: string[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokens(text);
    while (this.#at < this.#tokens.length) {
      const name = this.#next();
      this.#expect('=');
      this.rules.set(name, this.#type());
    }
  }

  /** Where and why a value is not of the rule; null where it is. */
  mismatch(rule: string, value: CborValue): string | null {
    return this.#match({ is: 'name', name: rule }, value, rule);
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error('the CDDL ends inside a rule');
    return token;
  }

  #expect(wanted: string): void {
    const came = this.#next();
    if (came !== wanted) throw new Error(`CDDL: ${came} instead of ${wanted}`);
  }

  #eat(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #type(): Node {
    const of = [this.#single()];
    while (this.#eat('/')) of.push(this.#single());
    return of.length === 1 ? of[0]! : { is: 'choice', of };
  }

  #single(): Node {
    let node = this.#atom();
    if (node.is === 'literal' && typeof node.value === 'number' && this.#eat('..')) {
      node = { is: 'range', low: node.value, high: Number(this.#next()) };
    }
    for (const operator of ['.size', '.le', '.cbor']) {
      if (this.#eat(operator)) node = { is: 'control', inner: node, operator, argument: this.#argument() };
    }
    return node;
  }

  /** `(0..7)` is a range in parentheses here, not a group. */
  #argument(): Node {
    if (!this.#eat('(')) return this.#atom();
    const node = this.#single();
    this.#expect(')');
    return node;
  }

  #atom(): Node {
    const token = this.#next();
    if (token === '[') return { is: 'array', members: this.#members('[') };
    if (token === '{') return { is: 'map', members: this.#members('{') };
    if (token === '(') return { is: 'group', members: this.#members('(') };
    if (token.startsWith('"')) return { is: 'literal', value: token.slice(1, -1) };
    if (/^-?\d/.test(token)) return { is: 'literal', value: Number(token) };
    if (/^[A-Za-z_]/.test(token)) return { is: 'name', name: token };
    throw new Error(`CDDL: ${token} is no type`);
  }

  #members(open: keyof typeof CLOSING): Member[] {
    const members: Member[] = [];
    while (!this.#eat(CLOSING[open])) {
      const [least, most] = OCCURRENCES[this.#tokens[this.#at]!] ?? [1, 1];
      if (least !== 1 || most !== 1) this.#at++;
      const first = this.#type();
      if (this.#eat(':')) {
        const key: Node = first.is === 'name' ? { is: 'literal', value: first.name } : first;
        members.push({ least, most, label: labelOf(first), key, value: this.#type() });
      } else if (this.#eat('=>')) members.push({ least, most, label: labelOf(first), key: first, value: this.#type() });
      else members.push({ least, most, label: labelOf(first), key: null, value: first });
      if (!this.#eat(',') && this.#tokens[this.#at] !== CLOSING[open]) throw new Error('CDDL: a comma is missing');
    }
    return members;
  }

  #match(node: Node, value: CborValue, place: string): string | null {
    if (node.is === 'choice') {
      const reasons = node.of.map((one) => this.#match(one, value, place));
      return reasons.includes(null) ? null : reasons.join(' | ');
    }
    if (node.is === 'literal') return value === node.value ? null : `${place}: not ${node.value}`;
    if (node.is === 'range') {
      const inside = typeof value === 'number' && value >= node.low && value <= node.high;
      return inside ? null : `${place}: not in ${node.low}..${node.high}`;
    }
    if (node.is === 'name') return this.#named(node.name, value, place);
    if (node.is === 'control') return this.#control(node.inner, node.operator, node.argument, value, place);
    if (node.is === 'map') return this.#map(node.members, value, place);
    if (node.is === 'group') throw new Error('CDDL: a group is no type');
    return Array.isArray(value) ? this.#items(this.#flat(node.members), value, 0, place) : `${place}: no array`;
  }

  #named(name: string, value: CborValue, place: string): string | null {
    const rule = this.rules.get(name);
    if (rule !== undefined) {
      this.reached.add(name);
      return this.#match(rule, value, place);
    }
    const test = PRELUDE[name];
    if (test === undefined) throw new Error(`CDDL: there is no rule ${name}`);
    return test(value) ? null : `${place}: no ${name}`;
  }

  #control(inner: Node, operator: string, argument: Node, value: CborValue, place: string): string | null {
    const wrong = this.#match(inner, value, place);
    if (wrong !== null) return wrong;
    if (operator === '.cbor') {
      const decoded = decodedOrNull(value as Uint8Array);
      return decoded === null ? `${place}: no CBOR` : this.#match(argument, decoded.value, place);
    }
    const measured = operator === '.size' ? (value as Uint8Array).length : Number(value);
    const limit = argument.is === 'literal' ? Number(argument.value) : Number.NaN;
    if (operator === '.le') return measured <= limit ? null : `${place}: above ${limit}`;
    return this.#match(argument, measured, `${place}, bytes`);
  }

  /** Groups in place of their names. */
  #flat(members: readonly Member[]): Member[] {
    return members.flatMap((member) => {
      const rule = member.value.is === 'name' && member.key === null ? this.rules.get(member.value.name) : undefined;
      if (rule?.is !== 'group') return [member];
      this.reached.add(member.label);
      return this.#flat(rule.members);
    });
  }

  #items(members: readonly Member[], items: readonly CborValue[], from: number, place: string): string | null {
    const [member, ...others] = members;
    if (member === undefined) return from === items.length ? null : `${place}: ${items.length - from} items too many`;
    let reason: string | null = `${place}/${member.label}: missing`;
    for (let taken = 0; ; taken++) {
      if (taken >= member.least) {
        const rest = this.#items(others, items, from + taken, place);
        if (rest === null) return null;
        reason = rest;
      }
      if (taken === member.most || from + taken >= items.length) return reason;
      const wrong = this.#match(member.value, items[from + taken]!, `${place}/${member.label}`);
      if (wrong !== null)
        return taken >= member.least && member.most > 1 && reason !== null ? `${wrong} | ${reason}` : wrong;
    }
  }

  #map(members: readonly Member[], value: CborValue, place: string): string | null {
    if (!(value instanceof Map)) return `${place}: no map`;
    const seen = new Map<Member, number>();
    for (const [key, item] of value as ReadonlyMap<CborKey, CborValue>) {
      const member = members.find((one) => one.key !== null && this.#match(one.key, key, place) === null);
      if (member === undefined) return `${place}: an unknown key ${key}`;
      const wrong = this.#match(member.value, item, `${place}/${key}`);
      if (wrong !== null) return wrong;
      seen.set(member, (seen.get(member) ?? 0) + 1);
    }
    const short = members.find((member) => (seen.get(member) ?? 0) < member.least);
    return short === undefined ? null : `${place}/${short.label}: missing`;
  }
}

function tokens(text: string): string[] {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`CDDL: what is ${text.slice(at, at + 10)}`);
    if (match[1] !== undefined) found.push(match[1]);
  }
  return found;
}

function decodedOrNull(bytes: Uint8Array): { readonly value: CborValue } | null {
  try {
    return { value: decodeCbor(bytes) };
  } catch {
    return null;
  }
}

function labelOf(node: Node): string {
  if (node.is === 'name') return node.name;
  return node.is === 'literal' ? String(node.value) : 'item';
}

const isInteger = (value: CborValue) => typeof value === 'number' || typeof value === 'bigint';
/** RFC 8610 Appendix D. */
const PRELUDE: Readonly<Record<string, (value: CborValue) => boolean>> = {
  uint: (value) => isInteger(value) && Number(value) >= 0,
  int: isInteger,
  bstr: (value) => value instanceof Uint8Array,
  tstr: (value) => typeof value === 'string',
  bool: (value) => typeof value === 'boolean',
  float: (value) => value instanceof CborFloat,
  null: (value) => value === null,
};
