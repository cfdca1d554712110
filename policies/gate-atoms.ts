import { FALSE, TRUE, type Truth, UNKNOWN } from './condition.ts';
import {
  ATOM_DAYS,
  ATOM_FIELDS,
  ATOM_INSTANT,
  ATOM_PLACE,
  ATOM_SWITCH,
  ATOM_TIME_OF_DAY,
  type GateProgram,
  POOL_CIRCLE,
} from './gate-program.ts';
import { MS_PER_DAY } from './time.ts';
import { OPERATORS } from './vocabulary.ts';

/** The part of a program that atoms read. */
type AtomRows = Pick<GateProgram, 'atoms' | 'pool'>;

const [EQ, NEQ, LT, LTEQ, GT, GTEQ] = OPERATORS.slice(0, 6).map((_, i) => i) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const IS_ANY_OF = OPERATORS.indexOf('isAnyOf');
const IS_NONE_OF = OPERATORS.indexOf('isNoneOf');
/** With a worse clock the time of day and the day are unknown, ms. */
const WORST_DAY_ERROR_MS = 3_600_000;
/** Clocks resolve no less than this, ms; a boundary that includes its own moment ends right after it. */
const TICK_MS = 0.001;
/** 1970-01-01 was a Thursday, day 3 from Monday. */
const FIRST_DAY = 3;
/** WGS 84, degrees. */
const MAX_LATITUDE = 90;
const MAX_LONGITUDE = 180;
const EARTH_RADIUS_M = 6_371_008.8;
const RADIANS = Math.PI / 180;

/**
 * State of an atom that reads context; an unknown value (NaN) is unknown, and so is a position that lies nowhere on
 * Earth: receivers without a fix send such numbers. Allocates nothing.
 */
export function contextAtom(program: AtomRows, atom: number, values: Float64Array): Truth {
  const { atoms, pool } = program;
  const at = atom * ATOM_FIELDS;
  const value = values[atoms[at + 4]!]!;
  if (Number.isNaN(value)) return UNKNOWN;
  const op = atoms[at + 1]!;
  const start = atoms[at + 5]!;
  const end = start + atoms[at + 6]!;
  if (atoms[at] === ATOM_PLACE) {
    const longitude = values[atoms[at + 3]!]!;
    // Written so that NaN fails too.
    if (!(Math.abs(value) <= MAX_LATITUDE && Math.abs(longitude) <= MAX_LONGITUDE)) return UNKNOWN;
    return insideAny(pool, start, end, value, longitude) === (op !== IS_NONE_OF) ? TRUE : FALSE;
  }
  const found = atoms[at] === ATOM_SWITCH ? (value !== 0 ? 1 : 0) : value;
  if (op === IS_ANY_OF || op === IS_NONE_OF) {
    let among = false;
    for (let i = start; i < end; i++) among ||= pool[i] === found;
    return among === (op === IS_ANY_OF) ? TRUE : FALSE;
  }
  return ordered(op, found, atoms[at + 2]!) ? TRUE : FALSE;
}

function ordered(op: number, found: number, wanted: number): boolean {
  if (op === EQ) return found === wanted;
  if (op === NEQ) return found !== wanted;
  if (op === LT) return found < wanted;
  if (op === LTEQ) return found <= wanted;
  if (op === GT) return found > wanted;
  return op === GTEQ && found >= wanted;
}

/** State of an atom of time at UTC `nowMs` ± `errorMs`: unknown where the two ends of that span disagree. */
export function timeAtom(program: AtomRows, atom: number, nowMs: number, errorMs: number): Truth {
  const { atoms } = program;
  const at = atom * ATOM_FIELDS;
  if (atoms[at] !== ATOM_INSTANT && errorMs >= WORST_DAY_ERROR_MS) return UNKNOWN;
  const early = timeHolds(atoms, at, nowMs - errorMs);
  return early === timeHolds(atoms, at, nowMs + errorMs) ? (early ? TRUE : FALSE) : UNKNOWN;
}

function timeHolds(atoms: Float64Array, at: number, utcMs: number): boolean {
  const kind = atoms[at]!;
  const op = atoms[at + 1]!;
  const wanted = atoms[at + 2]!;
  if (kind === ATOM_INSTANT) return ordered(op, utcMs, wanted);
  if (kind === ATOM_TIME_OF_DAY) return ordered(op, modulo(utcMs + atoms[at + 3]!, MS_PER_DAY), wanted);
  const day = modulo(Math.floor(utcMs / MS_PER_DAY) + FIRST_DAY, 7);
  const among = ((wanted >>> day) & 1) === 1;
  return op === NEQ || op === IS_NONE_OF ? !among : among;
}

/** The next moment after `utcMs` at which an atom of time may change, ms; Infinity where none. */
export function nextBoundary(program: GateProgram, atom: number, utcMs: number): number {
  const { atoms } = program;
  const at = atom * ATOM_FIELDS;
  const wanted = atoms[at + 2]!;
  if (atoms[at] === ATOM_INSTANT) return after(wanted, utcMs);
  if (atoms[at] === ATOM_DAYS) return utcMs - modulo(utcMs, MS_PER_DAY) + MS_PER_DAY;
  const zone = atoms[at + 3]!;
  const midnight = utcMs + zone - modulo(utcMs + zone, MS_PER_DAY) - zone;
  const today = after(midnight + wanted, utcMs);
  return Math.min(today, midnight + MS_PER_DAY);
}

function after(boundary: number, utcMs: number): number {
  if (utcMs < boundary) return boundary;
  return utcMs === boundary ? boundary + TICK_MS : Number.POSITIVE_INFINITY;
}

function modulo(value: number, by: number): number {
  return value - Math.floor(value / by) * by;
}

/** Whether the point lies in one of the places of the pool from `start` to `end`. */
export function insideAny(
  pool: Float64Array,
  start: number,
  end: number,
  latitude: number,
  longitude: number,
): boolean {
  for (let at = start; at < end; ) {
    if (pool[at] === POOL_CIRCLE) {
      if (distance(pool[at + 1]!, pool[at + 2]!, latitude, longitude) <= pool[at + 3]!) return true;
      at += 4;
    } else {
      const points = pool[at + 1]!;
      if (insidePolygon(pool, at + 2, points, latitude, longitude)) return true;
      at += 2 + 2 * points;
    }
  }
  return false;
}

/** Great-circle distance on the mean sphere, m. */
function distance(latitude1: number, longitude1: number, latitude2: number, longitude2: number): number {
  const north = Math.sin(((latitude2 - latitude1) * RADIANS) / 2);
  const east = Math.sin(((longitude2 - longitude1) * RADIANS) / 2);
  const chord = north * north + Math.cos(latitude1 * RADIANS) * Math.cos(latitude2 * RADIANS) * east * east;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(chord)));
}

/** Even-odd rule on the plane of latitude and longitude. */
function insidePolygon(
  pool: Float64Array,
  start: number,
  points: number,
  latitude: number,
  longitude: number,
): boolean {
  let inside = false;
  for (let i = 0, j = points - 1; i < points; j = i++) {
    const aLat = pool[start + 2 * i]!;
    const aLon = pool[start + 2 * i + 1]!;
    const bLat = pool[start + 2 * j]!;
    const bLon = pool[start + 2 * j + 1]!;
    if (aLat > latitude === bLat > latitude) continue;
    if (longitude < ((bLon - aLon) * (latitude - aLat)) / (bLat - aLat) + aLon) inside = !inside;
  }
  return inside;
}
