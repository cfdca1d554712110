import type { AttributeValue, Database, DatabaseExtras, Label, Message, Node, Signal } from './model.ts';

/** One thing that differs between two databases. */
export interface Difference {
  readonly kind: 'added' | 'removed' | 'renamed' | 'changed';
  /** Whether a frame can mean something else: layout, scale, names. Comments, limits and attributes do not matter here. */
  readonly isMeaning: boolean;
  /** `Motor`, `Motor.Torque`, a node, or empty for the database itself; the name in the second where it has one. */
  readonly subject: string;
  /** A sentence for a person. */
  readonly text: string;
}

/**
 * What changed from `a` to `b`, in words. Messages are paired by id, the rest of them by name, signals by name;
 * what has another name and the same id, or the same bits, was renamed. The order of messages, signals and attributes says nothing.
 */
export function diffDatabases(a: Database, b: Database): Difference[] {
  return [
    ...changes('', 'the database', [
      ['version', quoted(a.version), quoted(b.version), false],
      ['comment', quoted(a.comment), quoted(b.comment), false],
    ]),
    ...attributes('', 'the database', a.attributes, b.attributes),
    ...nodes(a.nodes, b.nodes),
    ...tables(a.valueTables, b.valueTables),
    ...messages(a.messages, b.messages),
    ...extras(a.extras, b.extras),
  ];
}

type Field = readonly [name: string, before: string, after: string, isMeaning: boolean];

const PLURALS: ReadonlySet<string> = new Set(['senders', 'receivers', 'limits', 'signal groups']);

function changes(subject: string, where: string, fields: readonly Field[]): Difference[] {
  return fields
    .filter(([, before, after]) => before !== after)
    .map(([name, before, after, isMeaning]) => ({
      kind: 'changed',
      isMeaning,
      subject,
      text: PLURALS.has(name)
        ? `${where}: ${name} were ${before}, are ${after}`
        : `${where}: ${name} was ${before}, is ${after}`,
    }));
}

/** Pairs by a key; of several with one key only the first can be meant. */
function paired<T>(a: readonly T[], b: readonly T[], key: (item: T) => string) {
  const byKey = (items: readonly T[]) => {
    const found = new Map<string, T>();
    for (const item of items) if (!found.has(key(item))) found.set(key(item), item);
    return found;
  };
  const [before, after] = [byKey(a), byKey(b)];
  return {
    both: [...before].filter(([name]) => after.has(name)).map(([name, item]) => [item, after.get(name)!] as const),
    removed: [...before].filter(([name]) => !after.has(name)).map(([, item]) => item),
    added: [...after].filter(([name]) => !before.has(name)).map(([, item]) => item),
  };
}

function nodes(a: readonly Node[], b: readonly Node[]): Difference[] {
  const { both, removed, added } = paired(a, b, ({ name }) => name);
  const come = (kind: 'added' | 'removed', { name }: Node): Difference => ({
    kind,
    isMeaning: false,
    subject: name,
    text: `node ${name} was ${kind}`,
  });
  return [
    ...removed.map((node) => come('removed', node)),
    ...added.map((node) => come('added', node)),
    ...both.flatMap(([before, after]) => [
      ...changes(after.name, `node ${after.name}`, [['comment', quoted(before.comment), quoted(after.comment), false]]),
      ...attributes(after.name, `node ${after.name}`, before.attributes, after.attributes),
    ]),
  ];
}

function tables(a: Database['valueTables'], b: Database['valueTables']): Difference[] {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.flatMap((name): Difference[] => {
    const [before, after] = [a.get(name), b.get(name)];
    if (before === undefined || after === undefined) {
      const kind = before === undefined ? 'added' : 'removed';
      return [{ kind, isMeaning: false, subject: name, text: `value table ${name} was ${kind}` }];
    }
    return labels(name, `value table ${name}`, before, after, false);
  });
}

/** What no frame depends on: definitions of attributes, variables, relations, types. Each is told whole. */
function extras(a: DatabaseExtras | undefined, b: DatabaseExtras | undefined): Difference[] {
  const things = (what: string, list: readonly object[] | undefined, name: (one: never) => string) =>
    (list ?? []).map((one) => ({ subject: `${what} ${name(one as never)}`, text: JSON.stringify(one, plain) }));
  const all = (of: DatabaseExtras | undefined) => [
    ...things('attribute definition', of?.definitions, ({ name, object }: { name: string; object: string }) =>
      object === '' ? name : `${name} of ${object}`,
    ),
    ...things('environment variable', of?.variables, ({ name }: { name: string }) => name),
    ...things('signal type', of?.signalTypes, ({ name }: { name: string }) => name),
    ...things('type of the signal', of?.typeReferences, ({ signal }: { signal: string }) => signal),
    ...things('relation attribute', of?.relations, (one: DatabaseExtras['relations'][number]) =>
      [one.name, one.node, one.id ?? '', one.of ?? ''].join(' ').trim(),
    ),
    ...(of?.verbatim ?? []).map((text) => ({ subject: `statement ${text}`, text })),
  ];
  const { both, removed, added } = paired(all(a), all(b), ({ subject }) => subject);
  const come = (kind: 'added' | 'removed', { subject }: { subject: string }): Difference => ({
    kind,
    isMeaning: false,
    subject: '',
    text: `${subject} was ${kind}`,
  });
  return [
    ...removed.map((one) => come('removed', one)),
    ...added.map((one) => come('added', one)),
    ...both
      .filter(([before, after]) => before.text !== after.text)
      .map(
        ([before, after]): Difference => ({
          kind: 'changed',
          isMeaning: false,
          subject: '',
          text: `${after.subject} was ${before.text}, is ${after.text}`,
        }),
      ),
  ];
}

function plain(_: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  return typeof value === 'bigint' ? String(value) : value;
}

function messages(a: readonly Message[], b: readonly Message[]): Difference[] {
  const { both, removed, added } = paired(a, b, idText);
  const moved = paired(removed, added, ({ name }) => name);
  return [
    ...moved.removed.map((message) => existence('removed', message)),
    ...moved.added.map((message) => existence('added', message)),
    ...[...both, ...moved.both].flatMap(([before, after]) => messageChanges(before, after)),
  ];
}

function existence(kind: 'added' | 'removed', message: Message): Difference {
  const { name, signals, length } = message;
  const size = `${length} byte${length === 1 ? '' : 's'}, ${signals.length} signal${signals.length === 1 ? '' : 's'}`;
  return { kind, isMeaning: true, subject: name, text: `message ${name} (${idText(message)}, ${size}) was ${kind}` };
}

function messageChanges(before: Message, after: Message): Difference[] {
  const { name } = after;
  const where = `message ${name}`;
  const renamed: Difference[] =
    before.name === name
      ? []
      : [
          {
            kind: 'renamed',
            isMeaning: true,
            subject: name,
            text: `message ${before.name} (${idText(after)}) was renamed ${name}`,
          },
        ];
  return [
    ...renamed,
    ...changes(name, where, [
      ['id', idText(before), idText(after), true],
      ['length', `${before.length} bytes`, `${after.length} bytes`, true],
      ['frame format', formatText(before), formatText(after), true],
      ['senders', listText(before.senders), listText(after.senders), false],
      ['signal groups', groupText(before), groupText(after), false],
      ['comment', quoted(before.comment), quoted(after.comment), false],
    ]),
    ...attributes(name, where, before.attributes, after.attributes),
    ...signals(before, after),
  ];
}

function signals(a: Message, b: Message): Difference[] {
  const { both, removed, added } = paired(a.signals, b.signals, ({ name }) => name);
  const differences: Difference[] = [];
  const pairs: (readonly [Signal, Signal])[] = [...both];
  const fresh = new Set(added);
  for (const before of removed) {
    const after = [...fresh].find((one) => place(one) === place(before));
    if (after === undefined) {
      differences.push(signalExistence('removed', b, before));
      continue;
    }
    fresh.delete(after);
    pairs.push([before, after]);
    differences.push({
      kind: 'renamed',
      isMeaning: true,
      subject: `${b.name}.${after.name}`,
      text: `signal ${b.name}.${before.name} was renamed ${after.name}`,
    });
  }
  differences.push(...[...fresh].map((signal) => signalExistence('added', b, signal)));
  return [...differences, ...pairs.flatMap(([before, after]) => signalChanges(b.name, before, after))];
}

function signalExistence(kind: 'added' | 'removed', { name }: Message, signal: Signal): Difference {
  const subject = `${name}.${signal.name}`;
  return { kind, isMeaning: true, subject, text: `signal ${subject} (${bitsText(signal)}) was ${kind}` };
}

function signalChanges(message: string, before: Signal, after: Signal): Difference[] {
  const subject = `${message}.${after.name}`;
  const where = `signal ${subject}`;
  return [
    ...changes(subject, where, [
      ['place', bitsText(before), bitsText(after), true],
      ['sign', before.signed ? 'signed' : 'unsigned', after.signed ? 'signed' : 'unsigned', true],
      ['type', before.valueType, after.valueType, true],
      ['factor', `${before.factor}`, `${after.factor}`, true],
      ['offset', `${before.offset}`, `${after.offset}`, true],
      ['unit', quoted(before.unit), quoted(after.unit), true],
      ['branch', branchText(before), branchText(after), true],
      ['multiplexer', before.isMultiplexer ? 'yes' : 'no', after.isMultiplexer ? 'yes' : 'no', false],
      ['limits', limitText(before), limitText(after), false],
      ['receivers', listText(before.receivers), listText(after.receivers), false],
      ['comment', quoted(before.comment), quoted(after.comment), false],
    ]),
    ...labels(subject, where, before.labels, after.labels, true),
    ...attributes(subject, where, before.attributes, after.attributes),
  ];
}

function labels(
  subject: string,
  where: string,
  a: readonly Label[],
  b: readonly Label[],
  isMeaning: boolean,
): Difference[] {
  const { both, removed, added } = paired(a, b, ({ value }) => `${value}`);
  const told = (text: string): Difference => ({ kind: 'changed', isMeaning, subject, text: `${where}: ${text}` });
  return [
    ...removed.map(({ value, text }) => told(`the label ${quoted(text)} of ${value} was removed`)),
    ...added.map(({ value, text }) => told(`the label ${quoted(text)} of ${value} was added`)),
    ...both
      .filter(([before, after]) => before.text !== after.text)
      .map(([before, after]) =>
        told(`the label of ${after.value} was ${quoted(before.text)}, is ${quoted(after.text)}`),
      ),
  ];
}

function attributes(
  subject: string,
  where: string,
  a: ReadonlyMap<string, AttributeValue>,
  b: ReadonlyMap<string, AttributeValue>,
): Difference[] {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  const text = (value: AttributeValue | undefined) =>
    value === undefined ? 'not set' : typeof value === 'number' ? `${value}` : quoted(value);
  return changes(
    subject,
    where,
    names.map((name): Field => [`attribute ${name}`, text(a.get(name)), text(b.get(name)), false]),
  );
}

/** Equal for signals of the same bits and branch, whatever their names. */
function place(signal: Signal): string {
  return `${bitsText(signal)} ${branchText(signal)}`;
}

function quoted(text: string): string {
  return `"${text}"`;
}

function listText(names: readonly string[]): string {
  return names.length === 0 ? 'nobody' : names.toSorted().join(', ');
}

function idText({ id, extended }: Message): string {
  return `0x${id
    .toString(16)
    .toUpperCase()
    .padStart(extended ? 8 : 3, '0')}`;
}

function formatText({ fd, j1939 }: Message): string {
  return `${fd ? 'CAN FD' : 'classic'}${j1939 ? ', J1939' : ''}`;
}

function groupText({ groups }: Message): string {
  if (groups.length === 0) return 'none';
  return groups.map(({ name, repetitions, signals }) => `${name} ×${repetitions} (${listText(signals)})`).join(', ');
}

function bitsText({ start, length, byteOrder }: Signal): string {
  return `${length} bit${length === 1 ? '' : 's'} from ${start}, ${byteOrder === 'intel' ? 'Intel' : 'Motorola'}`;
}

function limitText({ minimum, maximum }: Signal): string {
  return `${minimum} to ${maximum}`;
}

function branchText({ multiplexer, multiplexRanges }: Signal): string {
  if (multiplexer === null) return 'always there';
  const ranges = multiplexRanges.map(({ low, high }) => (low === high ? `${low}` : `${low} to ${high}`));
  return `${multiplexer} is ${ranges.join(' or ')}`;
}
