import { TollgateError } from '#contracts';
import { checkDatabase } from './lint.ts';
import type {
  AttributeValue,
  Database,
  Finding,
  Label,
  Message,
  MultiplexRange,
  Node,
  Signal,
  SignalGroup,
} from './model.ts';
import { type Owner, type RawMessage, type RawSignal, readStatements, type Statements } from './statements.ts';
import { type Encoding, textOf } from './text.ts';

export interface LoadOptions {
  /** For findings and errors. */
  readonly file: string;
  /** Refuses what the lenient loader mends. */
  readonly strict?: boolean;
  /** Detected where absent. */
  readonly encoding?: Encoding;
}

/** Bit 31 of an id marks 29 bits; the rest is the id. */
const EXTENDED_BIT = 0x8000_0000;
const LARGEST_STANDARD = 0x7ff;
const LARGEST_EXTENDED = 0x1fff_ffff;
/** Signals without a message live in this pseudo-message of Vector's tools. */
const INDEPENDENT_SIGNALS = 0xc000_0000;
const NOBODY = 'Vector__XXX';
const CLASSIC_BYTES = 8;
const LONG_MESSAGE = 'SystemMessageLongSymbol';
const LONG_SIGNAL = 'SystemSignalLongSymbol';
const LONG_NODE = 'SystemNodeLongSymbol';

/**
 * Reads a database. The lenient loader (default) reads what real files contain and reports each defect with its place and
 * its mend; a statement that cannot be read is skipped, never a file.
 *
 * @throws {TollgateError} TG_DBC_EMPTY where nothing reads as DBC; with `strict`, the first finding of severity error
 */
export function loadDatabase(
  source: string | Uint8Array,
  options: LoadOptions,
): { readonly database: Database; readonly findings: readonly Finding[] } {
  const { file, strict = false, encoding } = options;
  const text = textOf(source, encoding);
  const statements = readStatements(text);
  if (statements.understood === 0 && statements.findings.length > 0) {
    const { line, column, message } = statements.findings[0]!;
    throw new TollgateError('TG_DBC_EMPTY', message, { place: { file, line, column } });
  }
  const loader = new Loader(file, statements);
  const database = loader.database();
  const findings = [...loader.findings, ...checkDatabase(database)].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  );
  const fault = strict ? findings.find(({ severity }) => severity === 'error') : undefined;
  if (fault !== undefined) throw findingError(fault, file);
  return { database, findings };
}

/** A finding as an error; every code of a finding stands in the error table. */
export function findingError({ code, line, column, message, fix }: Finding, file: string): TollgateError {
  return new TollgateError(code, message, { place: { file, line, column }, remedy: fix });
}

class Loader {
  readonly findings: Finding[];
  readonly #file: string;
  readonly #raw: Statements;
  readonly #frameFormats: readonly string[];
  readonly #messageOf = new Map<number, RawMessage>();

  constructor(file: string, raw: Statements) {
    this.#file = file;
    this.#raw = raw;
    this.findings = [...raw.findings];
    this.#frameFormats = raw.definitions.find(({ name }) => name === 'VFrameFormat')?.values ?? [];
  }

  database(): Database {
    const { version, nodes, valueTables, messages } = this.#raw;
    for (const message of messages) {
      const first = this.#messageOf.get(message.id);
      if (first === undefined) this.#messageOf.set(message.id, message);
      else
        this.#find(
          'TG_DBC_DUPLICATE',
          'warning',
          message.token,
          `message id ${message.id} is that of ${first.name} too`,
          'Remove one of them.',
        );
    }
    this.#checkReferences();
    return {
      file: this.#file,
      version,
      nodes: nodes.map((name): Node => {
        const owner = (one: Owner) => one.kind === 'node' && one.node === name;
        const attributes = this.#attributes(owner);
        return { name: longName(name, attributes, LONG_NODE), comment: this.#comment(owner), attributes };
      }),
      messages: messages.filter(({ id }) => id !== INDEPENDENT_SIGNALS).map((message) => this.#message(message)),
      valueTables,
      comment: this.#comment(({ kind }) => kind === 'network'),
      attributes: this.#attributes(({ kind }) => kind === 'network'),
    };
  }

  #find(
    code: Finding['code'],
    severity: Finding['severity'],
    place: { line: number; column: number },
    message: string,
    fix: string,
  ): void {
    this.findings.push({ severity, code, line: place.line, column: place.column, message, fix });
  }

  #message(raw: RawMessage): Message {
    const { id, extended } = this.#id(raw);
    const owner = (one: Owner) => one.kind === 'message' && one.id === raw.id;
    const attributes = this.#attributes(owner);
    const format = this.#frameFormat(attributes);
    const senders = [raw.sender, ...this.#raw.senders.filter((one) => one.id === raw.id).flatMap(({ nodes }) => nodes)];
    return {
      name: longName(raw.name, attributes, LONG_MESSAGE),
      id,
      extended,
      fd: raw.length > CLASSIC_BYTES || format.endsWith('_FD'),
      length: raw.length,
      senders: [...new Set(senders)].filter((name) => name !== '' && name !== NOBODY),
      signals: this.#signals(raw),
      groups: this.#raw.groups
        .filter((group) => group.id === raw.id)
        .map(({ name, repetitions, signals }): SignalGroup => ({ name, repetitions, signals })),
      comment: this.#comment(owner),
      attributes,
      j1939: format === 'J1939PG',
      line: raw.token.line,
    };
  }

  #id({ id: written, name, token }: RawMessage): { id: number; extended: boolean } {
    if (written >= EXTENDED_BIT) {
      const id = (written - EXTENDED_BIT) % EXTENDED_BIT;
      if (written >= 2 * EXTENDED_BIT || id > LARGEST_EXTENDED) {
        this.#find(
          'TG_DBC_ID',
          'error',
          token,
          `the id of ${name} has more than 29 bits`,
          `Read as ${id % (LARGEST_EXTENDED + 1)}.`,
        );
      }
      return { id: id % (LARGEST_EXTENDED + 1), extended: true };
    }
    if (written <= LARGEST_STANDARD) return { id: written, extended: false };
    const id = written % (LARGEST_EXTENDED + 1);
    this.#find(
      'TG_DBC_ID',
      'error',
      token,
      `the id of ${name} has more than 11 bits and no bit 31`,
      `Write ${id + EXTENDED_BIT} for a 29-bit id.`,
    );
    return { id, extended: true };
  }

  /** The name that the enumeration of `VFrameFormat` gives to the value, or to the default. */
  #frameFormat(attributes: ReadonlyMap<string, AttributeValue>): string {
    const value = attributes.get('VFrameFormat') ?? this.#raw.defaults.get('VFrameFormat') ?? '';
    return typeof value === 'number' ? (this.#frameFormats[value] ?? '') : value;
  }

  #signals(raw: RawMessage): Signal[] {
    const names = new Set<string>();
    const kept = raw.signals.filter((signal) => {
      const again = names.has(signal.name);
      if (again)
        this.#find(
          'TG_DBC_DUPLICATE',
          'warning',
          signal.token,
          `signal ${signal.name} is defined twice in ${raw.name}`,
          'Rename one of them.',
        );
      names.add(signal.name);
      return !again;
    });
    const multiplexers = kept.filter(({ multiplex }) => multiplex.endsWith('M'));
    const named = this.#raw.multiplexers.filter(({ id }) => id === raw.id);
    const longNames = new Map(
      kept.map(({ name }) => [name, longName(name, this.#signalAttributes(raw.id, name), LONG_SIGNAL)]),
    );
    return kept.map((signal) => {
      const link = named.find((one) => one.signal === signal.name);
      const explicit = link !== undefined && names.has(link.multiplexer) ? link : undefined;
      const parent = explicit?.multiplexer ?? this.#multiplexerOf(raw, signal, multiplexers);
      return this.#signal(raw, signal, longNames, parent === null ? null : parent, explicit?.ranges);
    });
  }

  /** Without SG_MUL_VAL_ there is one multiplexer, marked M. */
  #multiplexerOf(
    raw: RawMessage,
    { multiplex, name, token }: RawSignal,
    multiplexers: readonly RawSignal[],
  ): string | null {
    if (!multiplex.startsWith('m')) return null;
    const roots = multiplexers.filter((one) => one.multiplex === 'M');
    if (roots.length === 1) return roots[0]!.name;
    const what = roots.length === 0 ? 'no multiplexer' : `${roots.length} multiplexers`;
    this.#find(
      'TG_DBC_MULTIPLEX',
      'error',
      token,
      `${name} is multiplexed and ${raw.name} has ${what}`,
      'Mark one signal with M, or name it with SG_MUL_VAL_.',
    );
    return roots[0]?.name ?? null;
  }

  #signal(
    message: RawMessage,
    raw: RawSignal,
    longNames: ReadonlyMap<string, string>,
    parent: string | null,
    ranges: readonly MultiplexRange[] | undefined,
  ): Signal {
    const { name, multiplex, start, length, intel, signed, factor, offset, minimum, maximum, unit, receivers, token } =
      raw;
    const own = (one: Owner) => one.kind === 'signal' && one.id === message.id && one.signal === name;
    const type = this.#raw.valueTypes.find((one) => one.id === message.id && one.signal === name)?.type ?? 0;
    const value = Number.parseInt(multiplex.slice(1), 10);
    return {
      name: longNames.get(name)!,
      start,
      length,
      byteOrder: intel ? 'intel' : 'motorola',
      signed,
      valueType: type === 1 && length === 32 ? 'float32' : type === 2 && length === 64 ? 'float64' : 'integer',
      factor,
      offset,
      minimum,
      maximum,
      unit,
      receivers: receivers.filter((receiver) => receiver !== NOBODY),
      isMultiplexer: multiplex.endsWith('M'),
      multiplexer: parent === null ? null : longNames.get(parent)!,
      multiplexRanges: parent === null ? [] : (ranges ?? [{ low: value, high: value }]),
      labels: this.#labels(message.id, name),
      comment: this.#comment(own),
      attributes: this.#signalAttributes(message.id, name),
      line: token.line,
    };
  }

  #labels(id: number, signal: string): readonly Label[] {
    return this.#raw.labels.findLast((one) => one.id === id && one.signal === signal)?.labels ?? [];
  }

  #comment(owner: (one: Owner) => boolean): string {
    return this.#raw.comments.findLast((comment) => owner(comment.owner))?.text ?? '';
  }

  #signalAttributes(id: number, signal: string): ReadonlyMap<string, AttributeValue> {
    return this.#attributes((one) => one.kind === 'signal' && one.id === id && one.signal === signal);
  }

  #attributes(owner: (one: Owner) => boolean): ReadonlyMap<string, AttributeValue> {
    return new Map(
      this.#raw.attributes.filter((attribute) => owner(attribute.owner)).map(({ name, value }) => [name, value]),
    );
  }

  /** Statements about messages and signals that are not there. */
  #checkReferences(): void {
    const { comments, attributes, labels, valueTypes, multiplexers, groups } = this.#raw;
    const has = (id: number, signal: string) =>
      this.#messageOf.get(id)?.signals.some(({ name }) => name === signal) ?? false;
    const owned = [...comments, ...attributes].map(({ owner, token }) => ({
      id: owner.id,
      signal: owner.signal,
      token,
    }));
    for (const { id, signal, token } of [...owned, ...labels, ...valueTypes, ...multiplexers]) {
      if (id === undefined || id === INDEPENDENT_SIGNALS) continue;
      if (!this.#messageOf.has(id))
        this.#find('TG_DBC_REFERENCE', 'warning', token, `no message has the id ${id}`, 'Correct the id.');
      else if (signal !== undefined && !has(id, signal)) {
        this.#find(
          'TG_DBC_REFERENCE',
          'warning',
          token,
          `message ${this.#messageOf.get(id)!.name} has no signal ${signal}`,
          'Correct the name.',
        );
      }
    }
    for (const { id, signals, token } of groups) {
      const missing = signals.filter((signal) => !has(id, signal));
      if (missing.length > 0)
        this.#find(
          'TG_DBC_REFERENCE',
          'warning',
          token,
          `the group names ${missing.join(', ')}, not in its message`,
          'Correct the names.',
        );
    }
  }
}

/** Names longer than 32 characters stand in an attribute. */
function longName(name: string, attributes: ReadonlyMap<string, AttributeValue>, attribute: string): string {
  const long = attributes.get(attribute);
  return typeof long === 'string' && long !== '' ? long : name;
}
