import { EXTENDED_BIT } from './ids.ts';
import type {
  AttributeDefinition,
  AttributeObject,
  AttributeValue,
  Database,
  DatabaseExtras,
  EnvironmentVariable,
  Label,
  Message,
  RelationAttribute,
  Signal,
  SignalType,
} from './model.ts';
import { LONG_NAMES, NOBODY } from './resolve.ts';

const NO_EXTRAS: DatabaseExtras = {
  newSymbols: [],
  bitTiming: '',
  definitions: [],
  relations: [],
  variables: [],
  signalTypes: [],
  typeReferences: [],
  independent: null,
  verbatim: [],
};
const INDEPENDENT_ID = 0xc000_0000;
/** The enumeration that Vector's tools give to `VFrameFormat`. */
const FRAME_FORMATS = [
  'StandardCAN',
  'ExtendedCAN',
  'reserved',
  'J1939PG',
  ...Array<string>(10).fill('reserved'),
  'StandardCAN_FD',
  'ExtendedCAN_FD',
];

/**
 * A database as DBC text, `\n` lines, numbers in the shortest decimal form that reads back as the same double. Reading the text gives the same model:
 * what an attribute must say (long names, CAN FD of up to 8 bytes, J1939) and a definition that is missing are added.
 */
export function writeDatabase(database: Database): string {
  return new Writer(database).text();
}

interface Attribute {
  readonly name: string;
  readonly object: AttributeObject;
  /** `BO_ 256 ` or nothing. */
  readonly owner: string;
  readonly value: AttributeValue;
}

class Writer {
  readonly #database: Database;
  readonly #extras: DatabaseExtras;
  /** Messages that statements by id can mean: the first of each id. */
  readonly #meant: readonly Message[];
  readonly #nodes: ReadonlyMap<string, string>;

  constructor(database: Database) {
    this.#database = database;
    this.#extras = database.extras ?? NO_EXTRAS;
    const all = [...database.messages, ...(this.#extras.independent === null ? [] : [this.#extras.independent])];
    const first = new Map<number, Message>();
    for (const message of all) if (!first.has(idWord(message))) first.set(idWord(message), message);
    this.#meant = [...first.values()];
    this.#nodes = new Map(database.nodes.map((node) => [node.name, symbolOf(node)]));
  }

  text(): string {
    const { version, nodes, messages, valueTables } = this.#database;
    const { newSymbols, bitTiming, independent, variables, signalTypes, typeReferences, verbatim } = this.#extras;
    const attributes = this.#attributes();
    const sections: (readonly string[])[] = [
      [`VERSION ${quoted(version)}`],
      ['NS_ :', ...newSymbols.map((symbol) => `\t${symbol}`)],
      [bitTiming === '' ? 'BS_:' : `BS_: ${bitTiming}`],
      [`BU_:${nodes.map((node) => ` ${symbolOf(node)}`).join('')}`],
      [...valueTables].map(([name, labels]) => `VAL_TABLE_ ${name} ${labelText(labels)};`),
      ...messages.map((message) => this.#message(message, idWord(message))),
      independent === null ? [] : this.#message(independent, INDEPENDENT_ID),
      this.#meant
        .filter(({ senders }) => senders.length > 1)
        .map((message) => `BO_TX_BU_ ${idWord(message)} : ${this.#names(message.senders)};`),
      variables.map(variableText),
      variables
        .filter(({ dataBytes }) => dataBytes !== null)
        .map(({ name, dataBytes }) => `ENVVAR_DATA_ ${name}: ${dataBytes};`),
      signalTypes.map(signalTypeText),
      signalTypes
        .filter(({ valueType }) => valueType !== 'integer')
        .map(({ name, valueType }) => `SIGTYPE_VALTYPE_ ${name} : ${valueType === 'float32' ? 1 : 2};`),
      this.#comments(),
      ...this.#attributeSections(attributes),
      this.#ofSignals(({ labels }) => (labels.length === 0 ? null : labelText(labels)), 'VAL_', ';'),
      variables
        .filter(({ labels }) => labels.length > 0)
        .map(({ name, labels }) => `VAL_ ${name} ${labelText(labels)};`),
      typeReferences.map(({ id, signal, type }) => `SIG_TYPE_REF_ ${id} ${signal} : ${type};`),
      this.#meant.flatMap((message) =>
        message.groups.map(({ name, repetitions, signals }) => {
          const members = signals.map((member) => signalSymbol(message, member)).join(' ');
          return `SIG_GROUP_ ${idWord(message)} ${name} ${repetitions} : ${members};`;
        }),
      ),
      this.#ofSignals(
        ({ valueType }) => (valueType === 'integer' ? null : valueType === 'float32' ? ': 1' : ': 2'),
        'SIG_VALTYPE_',
        ';',
      ),
      this.#meant.flatMap(multiplexTexts),
      verbatim,
    ];
    return `${sections
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.join('\n'))
      .join('\n\n')}\n`;
  }

  /** Node names as the file writes them. */
  #names(names: readonly string[]): string {
    return names.length === 0 ? NOBODY : names.map((name) => this.#nodes.get(name) ?? name).join(',');
  }

  #message(message: Message, id: number): string[] {
    const [sender = NOBODY] = message.senders;
    const isSimple = isSimplyMultiplexed(message);
    return [
      `BO_ ${id} ${symbolOf(message)}: ${message.length} ${this.#names([sender])}`,
      ...message.signals.map((signal) => {
        const mark = multiplexMark(signal, isSimple);
        const { start, length, unit, receivers } = signal;
        return ` SG_ ${symbolOf(signal)} ${mark}: ${start}|${length}${orderText(signal)} ${scaleText(signal)} ${quoted(unit)} ${this.#names(receivers)}`;
      }),
    ];
  }

  #ofSignals(text: (signal: Signal) => string | null, keyword: string, end: string): string[] {
    return this.#meant.flatMap((message) =>
      message.signals.flatMap((signal) => {
        const rest = text(signal);
        return rest === null ? [] : [`${keyword} ${idWord(message)} ${symbolOf(signal)} ${rest}${end}`];
      }),
    );
  }

  #comments(): string[] {
    const line = (owner: string, comment: string) => (comment === '' ? [] : [`CM_ ${owner}${quoted(comment)};`]);
    const { comment, nodes } = this.#database;
    return [
      ...line('', comment),
      ...nodes.flatMap((node) => line(`BU_ ${symbolOf(node)} `, node.comment)),
      ...this.#meant.flatMap((message) => [
        ...line(`BO_ ${idWord(message)} `, message.comment),
        ...message.signals.flatMap((signal) => line(`SG_ ${idWord(message)} ${symbolOf(signal)} `, signal.comment)),
      ]),
      ...this.#extras.variables.flatMap((variable) => line(`EV_ ${variable.name} `, variable.comment)),
    ];
  }

  #attributes(): Attribute[] {
    const { attributes, nodes } = this.#database;
    const of = (object: AttributeObject, owner: string, values: ReadonlyMap<string, AttributeValue>) =>
      [...values].map(([name, value]): Attribute => ({ name, object, owner, value }));
    return [
      ...of('', '', attributes),
      ...nodes.flatMap((node) => of('BU_', `BU_ ${symbolOf(node)} `, withLongName(node, LONG_NAMES.node))),
      ...this.#meant.flatMap((message) => [
        ...of('BO_', `BO_ ${idWord(message)} `, this.#messageAttributes(message)),
        ...message.signals.flatMap((signal) =>
          of('SG_', `SG_ ${idWord(message)} ${symbolOf(signal)} `, withLongName(signal, LONG_NAMES.signal)),
        ),
      ]),
      ...this.#extras.variables.flatMap((variable) => of('EV_', `EV_ ${variable.name} `, variable.attributes)),
    ];
  }

  /** A database that no file defined says by its own attribute what its flags mean. */
  #messageAttributes(message: Message): ReadonlyMap<string, AttributeValue> {
    const attributes = withLongName(message, LONG_NAMES.message);
    const isPlain = !message.j1939 && (!message.fd || message.length > 8);
    if (this.#database.extras !== undefined || (isPlain && !attributes.has('VFrameFormat'))) return attributes;
    const family = message.extended ? 'ExtendedCAN' : 'StandardCAN';
    const format = message.j1939 ? 'J1939PG' : message.fd ? `${family}_FD` : family;
    return new Map([...attributes, ['VFrameFormat', FRAME_FORMATS.indexOf(format)]]);
  }

  #attributeSections(attributes: readonly Attribute[]): string[][] {
    const { definitions, relations } = this.#extras;
    const known = new Set(definitions.map(({ name }) => name));
    const missing = new Map<string, AttributeDefinition>();
    for (const one of [...attributes, ...relations.map((relation) => ({ ...relation, object: relation.relation }))]) {
      if (!known.has(one.name) && this.#database.extras === undefined) missing.set(one.name, inferred(one));
    }
    const all = [...definitions, ...missing.values()];
    return [
      all.map(definitionText),
      all.filter(({ standard }) => standard !== null).map(standardText),
      attributes.map(({ name, owner, value }) => `BA_ ${quoted(name)} ${owner}${valueText(value)};`),
      relations.map(relationText),
    ];
  }
}

function idWord({ id, extended }: Message): number {
  return extended ? id + EXTENDED_BIT : id;
}

function symbolOf({ name, symbol = name }: { readonly name: string; readonly symbol?: string }): string {
  return symbol;
}

function signalSymbol({ signals }: Message, name: string): string {
  const found = signals.find((signal) => signal.name === name);
  return found === undefined ? name : symbolOf(found);
}

function withLongName(
  item: { readonly name: string; readonly symbol?: string; readonly attributes: ReadonlyMap<string, AttributeValue> },
  attribute: string,
): ReadonlyMap<string, AttributeValue> {
  if (item.symbol === undefined || item.attributes.has(attribute)) return item.attributes;
  return new Map([...item.attributes, [attribute, item.name]]);
}

/** A definition for an attribute that came without one. */
function inferred({
  name,
  object,
  value,
}: {
  name: string;
  object: AttributeObject;
  value: AttributeValue;
}): AttributeDefinition {
  const base = { name, object, minimum: null, maximum: null, values: [], standard: null };
  if (name === 'VFrameFormat') return { ...base, type: 'ENUM', values: FRAME_FORMATS, standard: 'StandardCAN' };
  if (typeof value === 'string') return { ...base, type: 'STRING', standard: '' };
  return { ...base, type: Number.isInteger(value) ? 'INT' : 'FLOAT', minimum: 0, maximum: 0, standard: 0 };
}

/** Text in quotes. A backslash at its end would hide the closing quote, so a space follows it. */
function quoted(text: string): string {
  const safe = text.endsWith('\\') ? `${text} ` : text;
  return `"${safe.replaceAll('"', '\\"')}"`;
}

function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function valueText(value: AttributeValue): string {
  return typeof value === 'string' ? quoted(value) : numberText(value);
}

function labelText(labels: readonly Label[]): string {
  return labels.map(({ value, text }) => `${value} ${quoted(text)} `).join('');
}

function orderText({ byteOrder, signed }: Pick<Signal, 'byteOrder' | 'signed'>): string {
  return `@${byteOrder === 'intel' ? 1 : 0}${signed ? '-' : '+'}`;
}

function scaleText({
  factor,
  offset,
  minimum,
  maximum,
}: Pick<Signal, 'factor' | 'offset' | 'minimum' | 'maximum'>): string {
  return `(${numberText(factor)},${numberText(offset)}) [${numberText(minimum)}|${numberText(maximum)}]`;
}

/** One multiplexer, one value a branch: the marks say it all. */
function isSimplyMultiplexed({ signals }: Message): boolean {
  const roots = signals.filter(({ isMultiplexer, multiplexer }) => isMultiplexer && multiplexer === null);
  return signals.every(({ multiplexer, multiplexRanges: [range, ...more] }) => {
    if (multiplexer === null) return true;
    const isOneValue = range !== undefined && more.length === 0 && range.low === range.high;
    return roots.length === 1 && multiplexer === roots[0]!.name && isOneValue;
  });
}

function multiplexMark({ isMultiplexer, multiplexer, multiplexRanges }: Signal, isSimple: boolean): string {
  const ruler = isMultiplexer ? 'M' : '';
  if (multiplexer === null) return ruler === '' ? '' : `${ruler} `;
  const value = multiplexRanges[0]?.low ?? 0;
  return `m${isSimple || Number.isSafeInteger(value) ? value : 0}${ruler} `;
}

function multiplexTexts(message: Message): string[] {
  if (isSimplyMultiplexed(message)) return [];
  return message.signals
    .filter(({ multiplexer }) => multiplexer !== null)
    .map((signal) => {
      const ranges = signal.multiplexRanges.map(({ low, high }) => `${low}-${high}`).join(', ');
      const ruler = signalSymbol(message, signal.multiplexer!);
      return `SG_MUL_VAL_ ${idWord(message)} ${symbolOf(signal)} ${ruler} ${ranges};`;
    });
}

function variableText(variable: EnvironmentVariable): string {
  const { name, type, minimum, maximum, unit, initial, id, access, nodes } = variable;
  const isMarked = /^DUMMY_NODE_VECTOR8/.test(access);
  const number = type === 'float' ? 1 : type === 'string' && !isMarked ? 2 : 0;
  const limits = `[${numberText(minimum)}|${numberText(maximum)}]`;
  return `EV_ ${name}: ${number} ${limits} ${quoted(unit)} ${numberText(initial)} ${id} ${access} ${nodes.join(',')};`;
}

function signalTypeText(type: SignalType): string {
  const { name, length, unit, standard, table } = type;
  const rest = table === '' ? '' : `, ${table}`;
  return `SGTYPE_ ${name} : ${length}${orderText(type)} ${scaleText(type)} ${quoted(unit)} ${numberText(standard)}${rest};`;
}

function isRelation(object: AttributeObject): boolean {
  return object.endsWith('_REL_');
}

function definitionText({ name, object, type, minimum, maximum, values }: AttributeDefinition): string {
  const keyword = isRelation(object) ? 'BA_DEF_REL_' : object === 'SGTYPE_' ? 'BA_DEF_SGTYPE_' : 'BA_DEF_';
  const of = object === '' || object === 'SGTYPE_' ? '' : `${object} `;
  const limits = [minimum, maximum].filter((limit) => limit !== null).map(numberText);
  const rest = [limits.join(' '), values.map(quoted).join(',')].filter((part) => part !== '').join(' ');
  return `${keyword} ${of}${quoted(name)} ${type}${rest === '' ? '' : ` ${rest}`};`;
}

function standardText({ name, object, standard }: AttributeDefinition): string {
  return `${isRelation(object) ? 'BA_DEF_DEF_REL_' : 'BA_DEF_DEF_'} ${quoted(name)} ${valueText(standard!)};`;
}

function relationText({ name, relation, node, id, of, value }: RelationAttribute): string {
  const target = relation === 'BU_EV_REL_' ? of : relation === 'BU_SG_REL_' ? `SG_ ${id} ${of}` : id;
  return `BA_REL_ ${quoted(name)} ${relation} ${node} ${target} ${valueText(value)};`;
}
