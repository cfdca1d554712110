import { nearest } from '#contracts';
import type { Atom, AtomValue, Condition, Place } from './condition.ts';
import type { DocumentReader, Node, ObjectNode } from './document.ts';
import { durationText, MAX_DURATION_MS, parseDateTime, parseDuration, parseTimeOfDay } from './time.ts';
import {
  DAYS,
  OPERANDS,
  OPERATORS,
  type OperandInfo,
  type Operator,
  PURPOSES,
  UNENFORCED_OPERANDS,
} from './vocabulary.ts';

const LOGICAL = ['and', 'or', 'xone', 'andSequence'] as const;
const CONSTRAINT_KEYS = ['leftOperand', 'operator', 'rightOperand'] as const;
/** Types of a literal that mean what the operand means. */
const LITERAL_TYPES: Readonly<Record<string, readonly string[]>> = {
  dateTime: ['xsd:dateTime'],
  timeOfDay: ['xsd:time'],
  duration: ['xsd:duration', 'xsd:dayTimeDuration'],
  number: ['xsd:integer', 'xsd:decimal', 'xsd:double'],
  switch: ['xsd:string'],
  day: ['xsd:string'],
};
const MAX_POINTS = 256;
const EARTH_HALF_TURN_M = 20_037_508;

/** Where a fault of the meaning, not of the form, is noted: `loadAgreement` keeps them as warnings. */
export type Warn = (node: Node, message: string) => void;

/** A list of constraints, all of which must hold. */
export function readConditions(reader: DocumentReader, node: Node, warn: Warn): Condition[] {
  return reader.oneOrMany(node, 'a constraint').map((item) => readCondition(reader, item, warn));
}

function readCondition(reader: DocumentReader, node: Node, warn: Warn): Condition {
  const object = reader.object(node, 'a constraint');
  const logical = LOGICAL.find((key) => object.entries.has(key));
  if (logical === undefined) return readAtom(reader, object, warn);
  reader.record(object, `a logical constraint of "${logical}"`, [logical]);
  const list = reader.need(object, logical, 'a logical constraint');
  const items = reader.oneOrMany(unwrapList(reader, list), `"${logical}"`);
  if (logical === 'andSequence') warn(list, 'andSequence is read as and: the order of its parts is not enforced');
  return {
    op: logical === 'andSequence' ? 'and' : logical,
    parts: items.map((item) => readCondition(reader, item, warn)),
  };
}

/** JSON-LD 1.1 §4.3.1: an ordered list may come as `{"@list": […]}`. */
function unwrapList(reader: DocumentReader, node: Node): Node {
  if (node.kind !== 'object' || !node.entries.has('@list')) return node;
  reader.record(node, 'a list', ['@list']);
  return reader.need(node, '@list', 'a list');
}

function readAtom(reader: DocumentReader, object: ObjectNode, warn: Warn): Atom {
  // The operand comes first: "unknown operand" is what a person needs to read, not "unknown key".
  const { operand, info } = readOperand(reader, reader.need(object, 'leftOperand', 'a constraint'));
  reader.record(object, 'a constraint', [...CONSTRAINT_KEYS]);
  const operator = readOperator(reader, reader.need(object, 'operator', 'a constraint'), operand, info);
  const right = reader.need(object, 'rightOperand', 'a constraint');
  const many = operator === 'isAnyOf' || operator === 'isNoneOf' || operator === 'isAllOf';
  if (!many && right.kind === 'array') throw reader.wrong(right, `"${operator}" takes one value, not a list`);
  const items = reader.oneOrMany(right, 'rightOperand');
  const { value, words } = readValue(reader, items, operand, info, warn);
  const shown = words.length === 1 ? words[0]! : `[${words.join(', ')}]`;
  return { op: 'atom', operand, operator, value, text: `${operand} ${operator} ${shown}`, pointer: object.pointer };
}

function readOperand(reader: DocumentReader, node: Node): { operand: string; info: OperandInfo } {
  const operand = reader.text(idOf(reader, node), 'leftOperand');
  if (Object.hasOwn(OPERANDS, operand)) return { operand, info: OPERANDS[operand]! };
  if (Object.hasOwn(UNENFORCED_OPERANDS, operand)) {
    const message = `this version cannot enforce "${operand}": ${UNENFORCED_OPERANDS[operand]}`;
    throw reader.fault('TG_POLICY_UNSUPPORTED', node, message);
  }
  const known = [...Object.keys(OPERANDS), ...Object.keys(UNENFORCED_OPERANDS)];
  throw reader.unknown('TG_POLICY_UNKNOWN_OPERAND', node, operand, 'a left operand of auto-odrl/1', known);
}

function readOperator(reader: DocumentReader, node: Node, operand: string, info: OperandInfo): Operator {
  const word = reader.text(idOf(reader, node), 'operator');
  const operator = OPERATORS.find((known) => known === word);
  if (operator === undefined) {
    throw reader.unknown('TG_POLICY_UNKNOWN_OPERATOR', node, word, 'an operator of auto-odrl/1', OPERATORS);
  }
  if (!info.operators.includes(operator)) {
    const message = `"${operand}" does not take the operator "${operator}", it takes ${info.operators.join(', ')}`;
    throw reader.fault('TG_POLICY_UNKNOWN_OPERATOR', node, message);
  }
  return operator;
}

/** `{"@id": "x"}` is `"x"`. */
function idOf(reader: DocumentReader, node: Node): Node {
  if (node.kind !== 'object' || !node.entries.has('@id')) return node;
  reader.record(node, 'a reference', ['@id']);
  return reader.need(node, '@id', 'a reference');
}

/** `{"@value": v, "@type": t}` is `v` where the type fits the operand. */
function literalOf(reader: DocumentReader, node: Node, operand: string, info: OperandInfo): Node {
  if (node.kind !== 'object' || !node.entries.has('@value')) return idOf(reader, node);
  reader.record(node, 'a literal', ['@value', '@type']);
  const type = reader.get(node, '@type');
  if (type !== undefined) {
    const name = reader.text(type, '@type');
    const fitting = LITERAL_TYPES[info.type] ?? [];
    if (!fitting.includes(name)) {
      const wanted = fitting.length === 0 ? 'an untyped value' : fitting.join(' or ');
      throw reader.wrong(type, `"${operand}" takes ${wanted}, not ${name}`);
    }
  }
  return reader.need(node, '@value', 'a literal');
}

interface Read {
  readonly value: AtomValue;
  readonly words: readonly string[];
}

function readValue(
  reader: DocumentReader,
  items: readonly Node[],
  operand: string,
  info: OperandInfo,
  warn: Warn,
): Read {
  if (info.type === 'place') {
    return {
      value: { type: 'places', places: items.map((item) => readPlace(reader, item)) },
      words: items.map(placeText),
    };
  }
  const literals = items.map((item) => literalOf(reader, item, operand, info));
  const first = literals[0]!;
  const texts = () => literals.map((node) => reader.text(node, `the value of "${operand}"`));
  switch (info.type) {
    case 'purpose':
    case 'id':
    case 'region':
    case 'party': {
      const ids = texts();
      if (info.type === 'purpose') for (const [i, id] of ids.entries()) warnOfPurpose(literals[i]!, id, warn);
      return { value: { type: 'ids', ids }, words: ids };
    }
    case 'dateTime': {
      const text = reader.text(first, `the value of "${operand}"`);
      const ms = parseDateTime(text);
      if (ms === null)
        throw reader.wrong(first, `"${text}" is not a date and time with a zone, like 2027-01-01T00:00:00Z`);
      return { value: { type: 'instant', ms }, words: [text] };
    }
    case 'timeOfDay': {
      const text = reader.text(first, `the value of "${operand}"`);
      const time = parseTimeOfDay(text);
      if (time === null) throw reader.wrong(first, `"${text}" is not a time with a zone, like 22:00:00+01:00`);
      return { value: { type: 'timeOfDay', ...time }, words: [text] };
    }
    case 'day': {
      const days = texts().map((text, i) => {
        const day = (DAYS as readonly string[]).indexOf(text);
        if (day < 0) throw reader.unknown('TG_POLICY_VALUE', literals[i]!, text, 'a day of the week (UTC)', DAYS);
        return day;
      });
      return { value: { type: 'days', mask: days.reduce((mask, day) => mask | (1 << day), 0) }, words: texts() };
    }
    case 'switch': {
      const text = reader.text(first, `the value of "${operand}"`);
      if (text !== 'on' && text !== 'off') throw reader.wrong(first, `"${operand}" is "on" or "off", not "${text}"`);
      return { value: { type: 'numbers', numbers: [text === 'on' ? 1 : 0] }, words: [text] };
    }
    case 'duration': {
      const ms = readDuration(reader, first, `the value of "${operand}"`, info.most);
      return { value: { type: 'numbers', numbers: [ms] }, words: [reader.text(first, 'a duration')] };
    }
    case 'level': {
      const levels = info.levels ?? [];
      const text = reader.text(first, `the value of "${operand}"`);
      const level = levels.indexOf(text);
      if (level < 0) throw reader.unknown('TG_POLICY_VALUE', first, text, `a level of "${operand}"`, levels);
      return { value: { type: 'numbers', numbers: [level] }, words: [text] };
    }
    case 'number': {
      const numbers = literals.map((node) => reader.number(node, `the value of "${operand}"`));
      return { value: { type: 'numbers', numbers }, words: numbers.map(String) };
    }
  }
}

/** A duration from 0 to `most`, ms; without it at most a day. */
export function readDuration(reader: DocumentReader, node: Node, what: string, most = MAX_DURATION_MS): number {
  const text = reader.text(node, what);
  const ms = parseDuration(text);
  if (ms === null) throw reader.wrong(node, `${what} must be a duration like 1s, 100ms or PT1S, is "${text}"`);
  if (ms > most) throw reader.wrong(node, `${what} must be at most ${durationText(most)}, is "${text}"`);
  return ms;
}

function warnOfPurpose(node: Node, id: string, warn: Warn): void {
  if (!id.startsWith('auto:') || PURPOSES.includes(id)) return;
  const near = nearest(id, PURPOSES);
  warn(
    node,
    `"${id}" is no purpose that auto-odrl/1 knows, so it equals only itself${near === undefined ? '' : `; did you mean "${near}"?`}`,
  );
}

function readPlace(reader: DocumentReader, node: Node): Place {
  const object = reader.object(node, 'a place');
  const type = reader.text(reader.need(object, '@type', 'a place'), '@type');
  const degrees = (item: Node, what: string, limit: number) => {
    const value = reader.number(item, what);
    if (Math.abs(value) > limit) throw reader.wrong(item, `${what} must lie within ${limit} degrees, is ${value}`);
    return value;
  };
  if (type === 'auto:Circle') {
    reader.record(object, 'a circle', ['@type', 'auto:latitude', 'auto:longitude', 'auto:radius']);
    const radiusNode = reader.need(object, 'auto:radius', 'a circle');
    const radius = reader.number(radiusNode, 'auto:radius');
    if (radius <= 0 || radius > EARTH_HALF_TURN_M)
      throw reader.wrong(radiusNode, `auto:radius must be metres above 0, is ${radius}`);
    return {
      shape: 'circle',
      latitude: degrees(reader.need(object, 'auto:latitude', 'a circle'), 'auto:latitude', 90),
      longitude: degrees(reader.need(object, 'auto:longitude', 'a circle'), 'auto:longitude', 180),
      radius,
    };
  }
  if (type === 'auto:Polygon') {
    reader.record(object, 'a polygon', ['@type', 'auto:points']);
    const list = reader.need(object, 'auto:points', 'a polygon');
    const items = reader.array(list, 'auto:points');
    if (items.length < 3 || items.length > MAX_POINTS)
      throw reader.wrong(list, `a polygon has 3 to ${MAX_POINTS} points`);
    const points = items.map((item) => {
      const pair = reader.array(item, 'a point');
      if (pair.length !== 2) throw reader.wrong(item, 'a point is [latitude, longitude]');
      return [degrees(pair[0]!, 'latitude', 90), degrees(pair[1]!, 'longitude', 180)] as const;
    });
    const longitudes = points.map(([, longitude]) => longitude);
    if (Math.max(...longitudes) - Math.min(...longitudes) > 180) {
      throw reader.wrong(list, 'a polygon must not be wider than 180 degrees or cross the 180th meridian: write two');
    }
    return { shape: 'polygon', points };
  }
  throw reader.unknown('TG_POLICY_VALUE', object, type, 'a kind of place', ['auto:Circle', 'auto:Polygon']);
}

/** Rules name places by kind only: a coordinate of an agreement has no business in a log. */
function placeText(node: Node): string {
  const type = node.kind === 'object' ? node.entries.get('@type')?.value : undefined;
  return type?.kind === 'scalar' ? `${type.value} at ${node.pointer}` : node.pointer;
}
