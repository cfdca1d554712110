import { EXTENDED_BIT, idWordOf, LARGEST_EXTENDED, LARGEST_STANDARD } from './ids.ts';
import type {
  AttributeDefinition,
  AttributeValue,
  Database,
  DatabaseExtras,
  EnvironmentVariable,
  Finding,
  Message,
  Node,
  Signal,
  SignalGroup,
} from './model.ts';
import type { OfSignal, Owner, RawMessage, RawSignal, Statements } from './parser/raw.ts';
import { checkAttributes, checkReferences } from './references.ts';

/** Signals without a message live in this pseudo-message of Vector's tools. */
const INDEPENDENT_SIGNALS = 'VECTOR__INDEPENDENT_SIG_MSG';
export const NOBODY = 'Vector__XXX';
const CLASSIC_BYTES = 8;
/** Levels of multiplexers. */
const DEEPEST = 64;
export const LONG_NAMES = {
  message: 'SystemMessageLongSymbol',
  signal: 'SystemSignalLongSymbol',
  node: 'SystemNodeLongSymbol',
} as const;
const FLOATS: readonly (Signal['valueType'] | undefined)[] = ['integer', 'float32', 'float64'];
const FLOAT_BITS = { integer: 0, float32: 32, float64: 64 } as const;

/** The key of what no statement speaks of. */
const NOTHING = '-';

type Attributes = ReadonlyMap<string, AttributeValue>;
const NO_ATTRIBUTES: Attributes = new Map();
/** What a `RawSignal` depends on. */
interface Link {
  readonly parent: string;
  readonly ranges: Signal['multiplexRanges'];
}

/** Where a statement about something belongs, as one key. */
export function ownerKey(owner: Owner): string {
  switch (owner.kind) {
    case 'network':
      return '';
    case 'node':
      return `BU_ ${owner.node}`;
    case 'message':
      return `BO_ ${idWordOf(owner.id)}`;
    case 'signal':
      return signalKey(owner.id, owner.signal);
    case 'variable':
      return `EV_ ${owner.variable}`;
  }
}

export function signalKey(id: number, signal: string): string {
  return `SG_ ${idWordOf(id)} ${signal}`;
}

/** Statements about one signal by their key; the last of several counts. */
function lastOf<T extends OfSignal>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((one) => [signalKey(one.id, one.signal), one]));
}

/**
 * Puts the statements together: names, multiplexers, texts and attributes to what they belong to. What does not fit is
 * added to the findings of the statements.
 *
 * @returns the database, and the columns of its messages and signals in the text
 */
export function resolve(
  file: string,
  raw: Statements,
): { database: Database; columns: ReadonlyMap<Message | Signal, number> } {
  const resolver = new Resolver(file, raw);
  return { database: resolver.database(), columns: resolver.columns };
}

class Resolver {
  readonly columns = new Map<Message | Signal, number>();
  readonly #file: string;
  readonly #raw: Statements;
  readonly #comments: ReadonlyMap<string, string>;
  readonly #attributes = new Map<string, Map<string, AttributeValue>>();
  readonly #labels: ReturnType<typeof lastOf<Statements['labels'][number]>>;
  readonly #valueTypes: ReturnType<typeof lastOf<Statements['valueTypes'][number]>>;
  readonly #links: ReturnType<typeof lastOf<Statements['multiplexers'][number]>>;
  readonly #senders: ReadonlyMap<number, readonly string[]>;
  readonly #groups: ReadonlyMap<number, Statements['groups']>;
  readonly #definitions: readonly AttributeDefinition[];
  readonly #longNodes = new Map<string, string>();
  /** Whom the statements about an id mean, where several messages have it. */
  readonly #meant = new Map<number, RawMessage>();

  constructor(file: string, raw: Statements) {
    this.#file = file;
    this.#raw = raw;
    this.#comments = new Map(raw.comments.map(({ owner, text }) => [ownerKey(owner), text]));
    this.#labels = lastOf(raw.labels);
    this.#valueTypes = lastOf(raw.valueTypes);
    this.#links = lastOf(raw.multiplexers);
    const idOf = ({ id }: { readonly id: number }) => idWordOf(id);
    const senders = [...Map.groupBy(raw.senders, idOf)];
    this.#senders = new Map(senders.map(([id, all]) => [id, all.flatMap(({ nodes }) => nodes)]));
    this.#groups = Map.groupBy(raw.groups, idOf);
    this.#definitions = definitionsOf(raw);
    for (const { name, owner, value } of raw.attributes) {
      const key = ownerKey(owner);
      const own = this.#attributes.get(key) ?? new Map<string, AttributeValue>();
      this.#attributes.set(key, own.set(name, value));
    }
  }

  database(): Database {
    const { version, nodes, valueTables, messages } = this.#raw;
    const isIndependent = ({ name }: RawMessage) => name === INDEPENDENT_SIGNALS;
    const known = messages.filter((message) => !isIndependent(message));
    const independent = messages.find(isIndependent);
    for (const message of [...known, ...(independent === undefined ? [] : [independent])]) {
      const word = idWordOf(message.id);
      if (!this.#meant.has(word)) this.#meant.set(word, message);
    }
    this.#checkDuplicates(known);
    checkReferences(this.#raw);
    checkAttributes(this.#raw, this.#definitions);
    const nodeList = [...new Set(nodes)].map((name) => this.#node(name));
    return {
      file: this.#file,
      version,
      nodes: nodeList,
      messages: known.map((message) => this.#message(message)),
      valueTables,
      comment: this.#comments.get('') ?? '',
      attributes: this.#attributesOf(''),
      extras: this.#extras(independent === undefined ? null : this.#message(independent)),
    };
  }

  #extras(independent: Message | null): DatabaseExtras {
    const { newSymbols, bitTiming, relations, signalTypes, signalTypeValues, typeReferences, verbatim } = this.#raw;
    return {
      newSymbols,
      bitTiming,
      definitions: this.#definitions,
      relations: relations.map(({ name, relation, node, id, of, value }) => ({
        name,
        relation,
        node,
        id: id === null ? null : idWordOf(id),
        of,
        value,
      })),
      variables: this.#raw.variables.map(
        (variable): EnvironmentVariable => ({
          ...variable,
          dataBytes: this.#raw.variableBytes.get(variable.name) ?? null,
          labels: this.#raw.variableLabels.get(variable.name) ?? [],
          comment: this.#comments.get(`EV_ ${variable.name}`) ?? '',
          attributes: this.#attributesOf(`EV_ ${variable.name}`),
        }),
      ),
      signalTypes: signalTypes.map((type) => ({
        ...type,
        valueType: FLOATS[signalTypeValues.get(type.name) ?? 0] ?? 'integer',
      })),
      typeReferences: typeReferences.map(({ id, signal, type }) => ({ id: idWordOf(id), signal, type })),
      independent,
      verbatim,
    };
  }

  #find(
    code: Finding['code'],
    severity: Finding['severity'],
    { line, column }: { line: number; column: number },
    message: string,
    fix: string,
  ): void {
    this.#raw.findings.push({ severity, code, line, column, message, fix });
  }

  #checkDuplicates(messages: readonly RawMessage[]): void {
    const ids = new Map<number, RawMessage>();
    const names = new Map<string, RawMessage>();
    for (const message of messages) {
      const word = idWordOf(message.id);
      const twin = ids.get(word);
      if (twin === undefined) ids.set(word, message);
      else {
        const text = `message ${message.name} has the id ${word}, as ${twin.name} of line ${twin.token.line} has`;
        this.#find(
          'TG_DBC_DUPLICATE',
          'warning',
          message.token,
          text,
          'Remove one of them; frames are read as the first.',
        );
      }
      const namesake = names.get(message.name);
      if (namesake === undefined) names.set(message.name, message);
      else if (twin === undefined) {
        const text = `a message ${message.name} is defined in line ${namesake.token.line} already`;
        this.#find('TG_DBC_DUPLICATE', 'warning', message.token, text, 'Rename one of them; the name means the first.');
      }
    }
  }

  #attributesOf(key: string): Attributes {
    return this.#attributes.get(key) ?? NO_ATTRIBUTES;
  }

  #node(name: string): Node {
    const attributes = this.#attributesOf(`BU_ ${name}`);
    const named = longName(name, attributes, LONG_NAMES.node);
    this.#longNodes.set(name, named.name);
    return { ...named, comment: this.#comments.get(`BU_ ${name}`) ?? '', attributes };
  }

  #nodeNames(names: readonly string[]): string[] {
    if (names.length === 1) {
      const [name] = names as [string];
      return name === '' || name === NOBODY ? [] : [this.#longNodes.get(name) ?? name];
    }
    const known = names.filter((name) => name !== '' && name !== NOBODY);
    return [...new Set(known.map((name) => this.#longNodes.get(name) ?? name))];
  }

  #message(raw: RawMessage): Message {
    const { id, extended } = this.#id(raw);
    const isMeant = this.#meant.get(idWordOf(raw.id)) === raw;
    const key = isMeant ? `BO_ ${idWordOf(raw.id)}` : NOTHING;
    const attributes = this.#attributesOf(key);
    const format = this.#enumText('VFrameFormat', attributes);
    const more = (isMeant ? this.#senders.get(idWordOf(raw.id)) : undefined) ?? [];
    const { signals, longNames } = this.#signals(raw, isMeant);
    const message: Message = {
      ...longName(raw.name, attributes, LONG_NAMES.message),
      id,
      extended,
      fd: raw.length > CLASSIC_BYTES || format.endsWith('_FD'),
      length: raw.length,
      senders: this.#nodeNames([raw.sender, ...more]),
      signals,
      groups: ((isMeant ? this.#groups.get(idWordOf(raw.id)) : undefined) ?? []).map(
        ({ name, repetitions, signals: members }): SignalGroup => ({
          name,
          repetitions,
          signals: members.map((member) => longNames.get(member) ?? member),
        }),
      ),
      comment: this.#comments.get(key) ?? '',
      attributes,
      j1939: this.#isJ1939(attributes, format, extended),
      line: raw.token.line,
    };
    this.columns.set(message, raw.token.column);
    return message;
  }

  /** J1939 needs 29 bits. What a message says of itself counts more than what the network says of all. */
  #isJ1939(attributes: Attributes, format: string, extended: boolean): boolean {
    if (!extended) return false;
    if (format === 'J1939PG' || attributes.has('VFrameFormat')) return format === 'J1939PG';
    return this.#enumText('ProtocolType', this.#attributesOf('')) === 'J1939';
  }

  #id({ id: written, name, token }: RawMessage): { id: number; extended: boolean } {
    const word = idWordOf(written);
    const id = word % EXTENDED_BIT;
    if (written >= EXTENDED_BIT ? written - EXTENDED_BIT > LARGEST_EXTENDED : written > LARGEST_EXTENDED) {
      if (name === INDEPENDENT_SIGNALS) return { id, extended: true };
      const text = `expected at most 29 bits in the id of ${name}, found ${written}`;
      this.#find('TG_DBC_ID', 'error', token, text, `Correct the id; it was read as ${id} with 29 bits.`);
    } else if (written > LARGEST_STANDARD && written < EXTENDED_BIT) {
      const text = `expected bit 31 in the 29-bit id of ${name}, found ${written}`;
      this.#find('TG_DBC_ID', 'error', token, text, `Write ${word}; it was read so.`);
    }
    return { id, extended: word >= EXTENDED_BIT };
  }

  #default(name: string): AttributeValue | undefined {
    return this.#definitions.find((one) => one.name === name)?.standard ?? undefined;
  }

  /** The text of an attribute, or of its default; a number is an index into its enumeration. */
  #enumText(name: string, attributes: Attributes): string {
    const value = attributes.get(name) ?? this.#default(name) ?? '';
    if (typeof value === 'string') return value;
    return this.#definitions.find((definition) => definition.name === name)?.values[value] ?? '';
  }

  #signals(raw: RawMessage, isMeant: boolean): { signals: Signal[]; longNames: ReadonlyMap<string, string> } {
    const kept = new Map<string, RawSignal>();
    for (const signal of raw.signals) {
      const first = kept.get(signal.name);
      if (first === undefined) kept.set(signal.name, signal);
      else {
        const text = `a signal ${signal.name} of ${raw.name} is defined in line ${first.token.line} already`;
        this.#find('TG_DBC_DUPLICATE', 'error', signal.token, text, 'Rename one of them; this one was left out.');
      }
    }
    // Most files say nothing of most signals: no key is made where nothing could be found with it.
    const isSaid = this.#comments.size + this.#attributes.size + this.#labels.size + this.#valueTypes.size > 0;
    const keyOf = (name: string) => (isMeant && (isSaid || this.#links.size > 0) ? signalKey(raw.id, name) : NOTHING);
    const links = this.#linksOf(raw, kept, keyOf);
    const rulers = new Set([...links.values()].map(({ parent }) => parent));
    const longNames = new Map<string, string>();
    const used = new Set(kept.keys());
    const named = new Map<string, { name: string; symbol?: string }>();
    for (const name of kept.keys()) {
      const long = longName(name, this.#attributesOf(keyOf(name)), LONG_NAMES.signal);
      const own = long.name !== name && used.has(long.name) ? { name } : long;
      used.add(own.name);
      named.set(name, own);
      longNames.set(name, own.name);
    }
    const signals = [...kept.values()].map((signal): Signal => {
      const key = keyOf(signal.name);
      const link = links.get(signal.name);
      const { start, length, factor, offset, minimum, maximum, unit, intel, signed } = signal;
      const made: Signal = {
        ...named.get(signal.name)!,
        start,
        length,
        byteOrder: intel ? 'intel' : 'motorola',
        signed,
        valueType: this.#valueType(signal, key),
        factor,
        offset,
        minimum,
        maximum,
        unit,
        receivers: this.#nodeNames(signal.receivers),
        isMultiplexer: signal.multiplex.endsWith('M') || rulers.has(signal.name),
        multiplexer: link === undefined ? null : longNames.get(link.parent)!,
        multiplexRanges: link?.ranges ?? [],
        labels: this.#labels.get(key)?.labels ?? [],
        comment: this.#comments.get(key) ?? '',
        attributes: this.#attributesOf(key),
        line: signal.token.line,
      };
      this.columns.set(made, signal.token.column);
      return made;
    });
    return { signals, longNames };
  }

  #valueType(signal: RawSignal, key: string): Signal['valueType'] {
    const stated = this.#valueTypes.get(key);
    if (stated === undefined) return 'integer';
    const type = FLOATS[stated.type];
    if (type === 'integer' || (type !== undefined && FLOAT_BITS[type] === signal.length)) return type;
    const wanted = type === undefined ? '0, 1 or 2' : `a signal of ${FLOAT_BITS[type]} bits for type ${stated.type}`;
    const came = type === undefined ? `${stated.type}` : `${signal.name} of ${signal.length} bits`;
    this.#find(
      'TG_DBC_TYPE',
      'warning',
      stated.token,
      `expected ${wanted}, found ${came}`,
      'Correct type or length; it was read as an integer.',
    );
    return 'integer';
  }

  /** Who depends on whom: SG_MUL_VAL_ says it, or there is one multiplexer, marked M. */
  #linksOf(
    raw: RawMessage,
    signals: ReadonlyMap<string, RawSignal>,
    keyOf: (name: string) => string,
  ): ReadonlyMap<string, Link> {
    const links = new Map<string, Link>();
    const isPlain = this.#links.size === 0 && raw.signals.every(({ multiplex }) => !multiplex.startsWith('m'));
    if (isPlain) return links;
    const roots = [...signals.values()].filter(({ multiplex }) => multiplex === 'M');
    for (const signal of signals.values()) {
      const stated = this.#links.get(keyOf(signal.name));
      if (stated !== undefined && signals.has(stated.multiplexer)) {
        links.set(signal.name, { parent: stated.multiplexer, ranges: stated.ranges });
        continue;
      }
      if (!signal.multiplex.startsWith('m')) continue;
      if (roots.length !== 1) this.#findRoots(raw, signal, roots.length);
      const root = roots[0];
      if (root === undefined) continue;
      const value = Number.parseInt(signal.multiplex.slice(1), 10);
      links.set(signal.name, { parent: root.name, ranges: [{ low: value, high: value }] });
    }
    for (const name of links.keys()) this.#breakCycle(signals.get(name)!, links);
    return links;
  }

  #findRoots(message: RawMessage, { name, token, multiplex }: RawSignal, roots: number): void {
    const found = roots === 0 ? 'none' : String(roots);
    this.#find(
      'TG_DBC_MULTIPLEX',
      'error',
      token,
      `expected one multiplexer (M) in ${message.name} for ${name} ${multiplex}, found ${found}`,
      `Mark one signal with M, or add SG_MUL_VAL_; it was read as ${roots === 0 ? 'always there' : 'a branch of the first'}.`,
    );
  }

  /** A multiplexer that depends on itself, or on more others than any frame has, depends on nothing. */
  #breakCycle(signal: RawSignal, links: Map<string, Link>): void {
    const seen = new Set<string>([signal.name]);
    for (let link = links.get(signal.name); link !== undefined; link = links.get(link.parent)) {
      const isCycle = link.parent === signal.name;
      if (isCycle || seen.size > DEEPEST) {
        links.delete(signal.name);
        const what = isCycle ? `${signal.name} itself` : `more than ${DEEPEST} others`;
        const text = `the multiplexer of ${signal.name} depends on ${what}`;
        this.#find(
          'TG_DBC_MULTIPLEX',
          'error',
          signal.token,
          text,
          'Correct SG_MUL_VAL_; it was read as always there.',
        );
        return;
      }
      // A cycle further up is broken at one of its own signals.
      if (seen.size === seen.add(link.parent).size) return;
    }
  }
}

/** Definitions with the defaults that stand elsewhere in the file. */
function definitionsOf({ definitions, defaults }: Statements): AttributeDefinition[] {
  return definitions.map(({ name, object, type, minimum, maximum, values }) => ({
    name,
    object,
    type,
    minimum,
    maximum,
    values,
    standard: defaults.get(name)?.value ?? null,
  }));
}

/** Names longer than 32 characters stand in an attribute, a short one in the statement. */
function longName(name: string, attributes: Attributes, attribute: string): { name: string; symbol?: string } {
  const long = attributes.get(attribute);
  return typeof long === 'string' && long !== '' && long !== name ? { name: long, symbol: name } : { name };
}
