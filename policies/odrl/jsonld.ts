import { DocumentReader, type Node } from '../document.ts';
import { parseJson } from '../json.ts';
import type { Term, Triple } from './graph.ts';
import { CC, DCT, DSPACE, ODRL, ODRL_FS, ODRL_PROPERTIES, RDF, RDFS, REPORT, SKOS, SOTW, XSD } from './terms.ts';

/*
 * Compacted JSON-LD under pinned contexts, as triples. No context is ever fetched: the terms of ODRL, of evaluation
 * requests and of states of the world stand here; prefixes that a document declares itself are read. A key that none of
 * these explains is refused.
 */

const PREFIXES: Readonly<Record<string, string>> = {
  odrl: ODRL,
  rdf: RDF,
  rdfs: RDFS,
  skos: SKOS,
  xsd: XSD,
  dct: DCT,
  cc: CC,
  sotw: SOTW,
  report: REPORT,
  'odrl-fs': ODRL_FS,
};
/** Terms of the contexts `evaluation_request.json` and `stow.json` of the formal semantics. */
const REQUEST_PROPERTIES: Readonly<Record<string, 'id' | 'value'>> = {
  evaluatedAction: 'id',
  evaluatedParty: 'id',
  evaluatedTarget: 'id',
  requestParameter: 'id',
  describesFeature: 'id',
  value: 'value',
  context: 'id',
  conditionId: 'id',
};
/** Terms of the Dataspace Protocol 2025-1 around an agreement or offer. */
const DSP_PROPERTIES: Readonly<Record<string, 'id' | 'value'>> = {
  agreement: 'id',
  offer: 'id',
  timestamp: 'value',
  providerPid: 'value',
  consumerPid: 'value',
  callbackAddress: 'value',
  participantId: 'value',
};
const RENAMED: Readonly<Record<string, string>> = { requestParameters: 'requestParameter' };
const REQUEST_TYPES = ['EvaluationRequest', 'RequestParameter', 'SotW'];
const MAX_NODES = 100_000;

class TripleReader {
  readonly #reader: DocumentReader;
  readonly #prefixes = new Map(Object.entries(PREFIXES));
  readonly #triples: Triple[] = [];
  /** Node of each subject, for the places of later faults. */
  readonly places = new Map<string, Node>();
  /** `@vocab` of the document. */
  #vocab: string | null = null;
  #blanks = 0;

  constructor(reader: DocumentReader) {
    this.#reader = reader;
  }

  read(root: Node): readonly Triple[] {
    const items = root.kind === 'array' ? root.items : [root];
    for (const item of items) this.#node(item);
    return this.#triples;
  }

  /** Prefixes that the document declares inline; contexts by address are the pinned ones or explain nothing. */
  #context(node: Node): void {
    if (node.kind === 'array') for (const item of node.items) this.#context(item);
    if (node.kind !== 'object') return;
    for (const [prefix, { value }] of node.entries) {
      if (value.kind !== 'scalar' || typeof value.value !== 'string') continue;
      if (prefix === '@vocab') this.#vocab = value.value;
      else if (!PREFIXES[prefix] && /[#/:]$/.test(value.value)) this.#prefixes.set(prefix, value.value);
    }
  }

  /** Writes a node and returns what names it. */
  #node(node: Node): string {
    const object = this.#reader.object(node, 'a node');
    if (this.#blanks > MAX_NODES) throw this.#reader.wrong(node, `a document has at most ${MAX_NODES} nodes`);
    const context = this.#reader.get(object, '@context');
    if (context !== undefined) this.#context(context);
    const named = this.#reader.get(object, '@id') ?? this.#reader.get(object, 'uid');
    const id = named === undefined ? `_:b${this.#blanks++}` : this.#iri(named, 'id');
    this.#blanks++;
    if (!this.places.has(id)) this.places.set(id, node);
    for (const [key, { value }] of object.entries) {
      if (key === '@context' || key === '@id') continue;
      if (key === '@type') {
        for (const item of listOf(value)) this.#add(id, `${RDF}type`, { kind: 'iri', value: this.#iri(item, 'type') });
      } else this.#property(id, key, value);
    }
    return id;
  }

  #property(subject: string, key: string, value: Node): void {
    const { predicate, as } = this.#predicate(key, value);
    if (value.kind === 'object' && value.entries.has('@list')) {
      this.#list(subject, predicate, listOf(value.entries.get('@list')!.value), as);
      return;
    }
    for (const item of listOf(value)) this.#add(subject, predicate, this.#term(item, as));
  }

  #predicate(key: string, at: Node): { predicate: string; as: 'id' | 'vocab' | 'value' } {
    const name = RENAMED[key] ?? key;
    if (Object.hasOwn(ODRL_PROPERTIES, name)) return { predicate: ODRL + name, as: ODRL_PROPERTIES[name]! };
    if (Object.hasOwn(REQUEST_PROPERTIES, name)) return { predicate: SOTW + name, as: REQUEST_PROPERTIES[name]! };
    if (Object.hasOwn(DSP_PROPERTIES, name)) return { predicate: DSPACE + name, as: DSP_PROPERTIES[name]! };
    const predicate = this.#expand(key) ?? (this.#vocab === null ? null : this.#vocab + key);
    if (predicate === null) throw this.#reader.wrong(at, `"${key}" is no term of the pinned contexts`);
    const local = predicate.startsWith(ODRL) ? ODRL_PROPERTIES[predicate.slice(ODRL.length)] : undefined;
    return { predicate, as: local ?? 'value' };
  }

  #list(subject: string, predicate: string, items: readonly Node[], as: 'id' | 'vocab' | 'value'): void {
    let at: Term = { kind: 'iri', value: `${RDF}nil` };
    for (const item of [...items].reverse()) {
      const cell = `_:b${this.#blanks++}`;
      this.#add(cell, `${RDF}first`, this.#term(item, as));
      this.#add(cell, `${RDF}rest`, at);
      at = { kind: 'blank', value: cell };
    }
    this.#add(subject, predicate, at);
  }

  #term(node: Node, as: 'id' | 'vocab' | 'value'): Term {
    if (node.kind === 'object') {
      const type = this.#reader.get(node, '@type');
      const literal = this.#reader.get(node, '@value') ?? this.#oddLiteral(node);
      if (literal !== undefined) {
        const datatype = type === undefined ? undefined : this.#iri(type, 'type');
        return this.#literal(literal, datatype);
      }
      return termOf(this.#reference(node) ?? this.#node(node));
    }
    if (node.kind !== 'scalar') throw this.#reader.wrong(node, 'lists of lists are not read');
    if (as === 'value' || typeof node.value !== 'string') return this.#literal(node, undefined);
    return termOf(this.#iri(node, as));
  }

  /** `{"@id": "1000", "@type": "xsd:integer"}`, as the examples of the formal semantics have it, means the literal. */
  #oddLiteral(node: Node & { kind: 'object' }): Node | undefined {
    const type = node.entries.get('@type')?.value;
    const isXsd = type?.kind === 'scalar' && typeof type.value === 'string' && type.value.startsWith('xsd:');
    return isXsd ? node.entries.get('@id')?.value : undefined;
  }

  #reference(node: Node & { kind: 'object' }): string | null {
    const id = node.entries.get('@id')?.value;
    return id !== undefined && node.entries.size === 1 ? this.#iri(id, 'vocab') : null;
  }

  #literal(node: Node, datatype: string | undefined): Term {
    if (node.kind !== 'scalar' || node.value === null)
      throw this.#reader.wrong(node, 'a literal is a text, number or truth');
    const { value } = node;
    const own =
      typeof value === 'number'
        ? Number.isInteger(value)
          ? `${XSD}integer`
          : `${XSD}double`
        : typeof value === 'boolean'
          ? `${XSD}boolean`
          : `${XSD}string`;
    return { kind: 'literal', value: String(value), datatype: datatype ?? own };
  }

  #iri(node: Node, as: 'id' | 'vocab' | 'value' | 'type'): string {
    const text = this.#reader.text(node, 'an identifier');
    if (as === 'type' && REQUEST_TYPES.includes(text)) return SOTW + text;
    const iri = this.#expand(text);
    if (iri !== null) return iri;
    if (text.startsWith('_:')) return text;
    // A bare word where the context says `@vocab` (or a type) is a term of ODRL; elsewhere it is a relative IRI.
    return as === 'vocab' || as === 'type' ? ODRL + text : text;
  }

  /** An absolute IRI, or a known prefix and its rest; null where it is neither. */
  #expand(text: string): string | null {
    const colon = text.indexOf(':');
    if (colon <= 0 || text.startsWith('_:')) return null;
    const base = this.#prefixes.get(text.slice(0, colon));
    return base === undefined || text.startsWith('//', colon + 1) ? text : base + text.slice(colon + 1);
  }

  #add(subject: string, predicate: string, object: Term): void {
    this.#triples.push({ subject, predicate, object });
  }
}

function termOf(name: string): Term {
  return name.startsWith('_:') ? { kind: 'blank', value: name } : { kind: 'iri', value: name };
}

function listOf(node: Node): readonly Node[] {
  return node.kind === 'array' ? node.items : [node];
}

/** A document as statements, with the place of each node. */
export interface OdrlDocument {
  readonly triples: readonly Triple[];
  readonly reader: DocumentReader;
  readonly root: Node;
  /** By the IRI or blank name of a node. */
  readonly places: ReadonlyMap<string, Node>;
}

/**
 * A JSON-LD document of plain ODRL: a policy, a request, a state of the world, a message that carries a policy.
 *
 * @throws {TollgateError} TG_POLICY_SYNTAX, TG_POLICY_VALUE with file, line, column and pointer: a key, prefix or value
 * that the pinned contexts lack
 */
export function loadOdrlDocument(bytes: Uint8Array, { file }: { readonly file: string }): OdrlDocument {
  const { text, root } = parseJson(bytes, file, 'TG_POLICY_SYNTAX');
  const reader = new DocumentReader(file, text, { unknownKey: 'TG_POLICY_UNKNOWN_KEY', value: 'TG_POLICY_VALUE' });
  const triples = new TripleReader(reader);
  return { triples: triples.read(root), reader, root, places: triples.places };
}

/** The statements of `loadOdrlDocument`. */
export function loadOdrlTriples(bytes: Uint8Array, name: { readonly file: string }): readonly Triple[] {
  return loadOdrlDocument(bytes, name).triples;
}
