import type { Graph, Term } from './graph.ts';
import { ODRL, RDF, RDFS, SKOS, XSD } from './terms.ts';

const DATE = /^(-?\d{4,})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(\.\d+)?)?)?(Z|[+-]\d{2}:\d{2})?$/;
const TIME = /^(\d{2}):(\d{2}):(\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})?$/;
const DURATION = /^(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const NUMERIC = new Set(
  'integer decimal double float long int short byte nonNegativeInteger positiveInteger unsignedInt unsignedLong'
    .split(' ')
    .map((name) => XSD + name),
);

/** A literal as a point on one line, so that orders mean something; null where it is none of these. */
interface Point {
  readonly line: 'time' | 'timeOfDay' | 'duration' | 'number';
  readonly at: number;
}

/** Dates are their first moment; what names no zone is read as UTC (XPath's implicit zone). */
function pointOf(term: Term): Point | null {
  if (term.kind !== 'literal') return null;
  const { value, datatype } = term;
  if (NUMERIC.has(datatype) || (datatype === `${XSD}string` && NUMBER.test(value))) {
    return NUMBER.test(value) ? { line: 'number', at: Number(value) } : null;
  }
  const date = DATE.exec(value);
  if (date !== null) return timePoint(date);
  const time = TIME.exec(value);
  if (time !== null) {
    const ms = (Number(time[1]) * 60 + Number(time[2])) * 60_000 + (Number(time[3]) + Number(time[4] ?? 0)) * 1000;
    return { line: 'timeOfDay', at: ms - zoneMs(time[5]) };
  }
  const duration = DURATION.exec(value);
  if (duration === null || /[PT]$/.test(value)) return null;
  const [years, months, weeks, days, hours, minutes, seconds] = duration.slice(2).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // Months have no fixed length: 30.436875 days, so that twelve are a Gregorian year.
  const wholeDays = years * 365.2425 + months * 30.436875 + weeks * 7 + days;
  const at = ((wholeDays * 24 + hours) * 60 + minutes) * 60 + seconds;
  return { line: 'duration', at: duration[1] === undefined ? at : -at };
}

function timePoint(date: RegExpExecArray): Point | null {
  const [year, month, day, hour, minute, second] = date.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60) return null;
  const at = Date.UTC(year, month - 1, day, hour, minute, second) + Number(date[7] ?? 0) * 1000;
  return { line: 'time', at: at - zoneMs(date[8]) };
}

function zoneMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const ms = Number(zone.slice(1, 3)) * 3_600_000 + Number(zone.slice(4)) * 60_000;
  return zone.startsWith('-') ? -ms : ms;
}

/** −1, 0 or 1; null where the two cannot be ordered. */
function order(a: Term, b: Term): number | null {
  const [left, right] = [pointOf(a), pointOf(b)];
  if (left === null || right === null || left.line !== right.line) return null;
  return Math.sign(left.at - right.at);
}

/** Equal as values: two spellings of one moment or number are one. IRIs and texts by their characters. */
export function equal(a: Term, b: Term): boolean {
  const ordered = order(a, b);
  return ordered === null ? a.value === b.value : ordered === 0;
}

/**
 * Whether `found operator wanted` holds, ODRL IM §2.5.2. With several values on the left, one that does is enough for
 * the comparisons and `isAnyOf`, none may for `isNoneOf`, and `isAllOf` wants each of the right on the left.
 *
 * @param facts where kinds (`rdf:type`, `skos:broader`, `rdfs:subClassOf`) and parts (`odrl:partOf`) stand
 */
export function holds(operator: string, found: readonly Term[], wanted: readonly Term[], facts: Graph): boolean {
  // What is not known satisfies nothing, a negative test included: fail closed.
  if (found.length === 0 || wanted.length === 0) return false;
  const some = (test: (a: Term, b: Term) => boolean) => found.some((a) => wanted.some((b) => test(a, b)));
  const ordered = (test: (sign: number) => boolean) =>
    some((a, b) => {
      const sign = order(a, b);
      return sign !== null && test(sign);
    });
  const like = (a: Term, b: Term) => equal(a, b) || isKind(a, b, facts);
  switch (operator.startsWith(ODRL) ? operator.slice(ODRL.length) : operator) {
    case 'eq':
      return some(equal);
    case 'neq':
      return !some(equal);
    case 'lt':
      return ordered((sign) => sign < 0);
    case 'lteq':
      return ordered((sign) => sign <= 0);
    case 'gt':
      return ordered((sign) => sign > 0);
    case 'gteq':
      return ordered((sign) => sign >= 0);
    case 'isA':
    case 'isAnyOf':
      return some(like);
    case 'isNoneOf':
      return !some(like);
    case 'isAllOf':
      return wanted.every((b) => found.some((a) => like(a, b)));
    case 'isPartOf':
      return some((a, b) => equal(a, b) || isPart(a.value, b.value, facts));
    case 'hasPart':
      return some((a, b) => equal(a, b) || isPart(b.value, a.value, facts));
    default:
      return false;
  }
}

const KIND_LINKS = [`${RDF}type`, `${SKOS}broader`, `${RDFS}subClassOf`, `${ODRL}includedIn`];
const PART_LINKS = [`${ODRL}partOf`];

function isKind(a: Term, b: Term, facts: Graph): boolean {
  return a.kind !== 'literal' && b.kind !== 'literal' && reaches(a.value, b.value, KIND_LINKS, facts);
}

/** Whether `part` is in `whole`, over any number of steps. */
export function isPart(part: string, whole: string, facts: Graph): boolean {
  return reaches(part, whole, PART_LINKS, facts);
}

function reaches(from: string, to: string, links: readonly string[], facts: Graph): boolean {
  const seen = new Set([from]);
  const open = [from];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const next of links.flatMap((link) => facts.nodes(at!, link))) {
      if (next === to) return true;
      if (!seen.has(next)) {
        seen.add(next);
        open.push(next);
      }
    }
  }
  return false;
}
