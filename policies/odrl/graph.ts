import { RDF } from './terms.ts';

/** An IRI, a blank node (`_:b0`) or a literal. */
export type Term =
  | { readonly kind: 'iri'; readonly value: string }
  | { readonly kind: 'blank'; readonly value: string }
  | { readonly kind: 'literal'; readonly value: string; readonly datatype: string };

export interface Triple {
  /** IRI or `_:` name. */
  readonly subject: string;
  readonly predicate: string;
  readonly object: Term;
}

/** Statements by subject and predicate. Any reader (Turtle, JSON-LD) that gives triples serves. */
export class Graph {
  readonly #out = new Map<string, Map<string, Term[]>>();
  readonly #subjects = new Map<string, string[]>();

  constructor(triples: Iterable<Triple> = []) {
    for (const triple of triples) this.add(triple);
  }

  add({ subject, predicate, object }: Triple): void {
    let out = this.#out.get(subject);
    if (out === undefined) {
      out = new Map();
      this.#out.set(subject, out);
    }
    const objects = out.get(predicate) ?? [];
    if (objects.some((known) => sameTerm(known, object))) return;
    objects.push(object);
    out.set(predicate, objects);
    const subjects = this.#subjects.get(predicate) ?? [];
    if (!subjects.includes(subject)) subjects.push(subject);
    this.#subjects.set(predicate, subjects);
  }

  objects(subject: string, predicate: string): readonly Term[] {
    return this.#out.get(subject)?.get(predicate) ?? [];
  }

  /** The IRIs and blank nodes among the objects. */
  nodes(subject: string, predicate: string): readonly string[] {
    return this.objects(subject, predicate).flatMap((term) => (term.kind === 'literal' ? [] : [term.value]));
  }

  /** The members of RDF lists among the objects, in order, and the objects that are no list. */
  items(subject: string, predicate: string): readonly Term[] {
    return this.objects(subject, predicate).flatMap((term) => this.#list(term));
  }

  /** Subjects that have a predicate. */
  subjects(predicate: string): readonly string[] {
    return this.#subjects.get(predicate) ?? [];
  }

  /** Every subject. */
  all(): readonly string[] {
    return [...this.#out.keys()];
  }

  predicates(subject: string): readonly string[] {
    return [...(this.#out.get(subject)?.keys() ?? [])];
  }

  isA(subject: string, type: string): boolean {
    return this.nodes(subject, `${RDF}type`).includes(type);
  }

  #list(term: Term): readonly Term[] {
    if (term.kind === 'literal') return [term];
    if (term.value === `${RDF}nil`) return [];
    if (this.objects(term.value, `${RDF}first`).length === 0) return [term];
    const items: Term[] = [];
    const seen = new Set<string>();
    for (let at: string | undefined = term.value; at !== undefined && at !== `${RDF}nil` && !seen.has(at); ) {
      seen.add(at);
      items.push(...this.objects(at, `${RDF}first`));
      at = this.nodes(at, `${RDF}rest`)[0];
    }
    return items;
  }
}

export function sameTerm(a: Term, b: Term): boolean {
  if (a.kind !== b.kind || a.value !== b.value) return false;
  return a.kind !== 'literal' || b.kind !== 'literal' || a.datatype === b.datatype;
}
