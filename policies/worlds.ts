import type { Rule } from './agreement.ts';
import { type Atom, atomsOf, type Condition, type Place } from './condition.ts';
import type { UnitFacts } from './context.ts';
import type { RecipientFacts } from './decide.ts';
import { MS_PER_DAY } from './time.ts';
import { ATTESTATION, OPERANDS } from './vocabulary.ts';

/*
 * Two policies differ where some request gets another answer. Between two thresholds of its rules no operand changes an
 * answer, so one value in each piece stands for all of them: the product of the pieces is every world that the rules can
 * tell apart.
 */

/** What is known of recipient and unit. */
export interface Standing {
  readonly facts: RecipientFacts | null;
  readonly unit: UnitFacts;
}

/** One state of time, context, transforms and counters, as `DecisionRequest` takes it. */
export interface Moment {
  readonly utcMs: number | null;
  readonly context: Readonly<Record<string, number>>;
}

export interface Worlds {
  readonly standings: readonly Standing[];
  readonly moments: readonly Moment[];
  /** False: there are more than were asked for, and a fixed sample of them is given. */
  readonly complete: boolean;
}

type Choice = Readonly<Record<string, number>>;

/** Monday 2026-01-05T00:00:00Z: a day without meaning, for rules about times of day and days of the week. */
const SOME_MONDAY_MS = 1_767_571_200_000;
const METRES_A_DEGREE = 111_195;
const MOST_MOMENTS = 4_096;
const MOST_STANDINGS = 64;
/** Countries that stand for a group of them. */
const REGION_SAMPLES: Readonly<Record<string, string>> = { 'auto:EU': 'DE', 'auto:EEA': 'NO', 'auto:World': 'ZZ' };

/** The worlds that these rules can tell apart. */
export function worldsOf(rules: readonly Rule[], most: number = MOST_MOMENTS): Worlds {
  const atoms = rules.flatMap(atomsOfRule);
  const axes = [...contextAxes(atoms), ...transformAxes(atoms, rules)];
  const times = timesOf(atoms);
  const size = axes.reduce((product, axis) => product * axis.length, times.length);
  const complete = size <= most;
  const moments = Array.from({ length: Math.min(size, most) }, (_, i) =>
    momentAt(complete ? i : Math.floor(spread(i) * size), axes, times),
  );
  return { standings: standingsOf(atoms), moments, complete };
}

function momentAt(place: number, axes: readonly (readonly Choice[])[], times: readonly (number | null)[]): Moment {
  let rest = Math.floor(place / times.length);
  const context: Record<string, number> = {};
  for (const axis of axes) {
    Object.assign(context, axis[rest % axis.length]);
    rest = Math.floor(rest / axis.length);
  }
  return { utcMs: times[place % times.length]!, context };
}

/** The i-th of a sequence that fills [0, 1) evenly (Kronecker, golden ratio). */
const spread = (i: number): number => ((i + 1) * 0.618_033_988_749_894_9) % 1;

function atomsOfRule({ condition }: Rule): readonly Atom[] {
  return atomsOf(condition);
}

function contextAxes(atoms: readonly Atom[]): readonly (readonly Choice[])[] {
  const operands = new Set(atoms.map(({ operand }) => operand));
  return [...operands].flatMap((operand) => {
    const info = OPERANDS[operand]!;
    if (info.phase !== 'context' && operand !== 'auto:recipientCredit') return [];
    // A value that is not given is unknown.
    if (info.type === 'switch') return [[{}, { [operand]: 0 }, { [operand]: 1 }]];
    const own = atoms.filter((atom) => atom.operand === operand);
    if (info.type === 'place')
      return [[{}, ...pointsOf(own).map(([latitude, longitude]) => pointOf(latitude, longitude))]];
    const numbers = own.flatMap(({ value }) => (value.type === 'numbers' ? value.numbers : []));
    return [[{}, ...pieces(numbers).map((value) => ({ [operand]: value }))]];
  });
}

const pointOf = (latitude: number, longitude: number): Choice => ({
  'auto:position latitude': latitude,
  'auto:position longitude': longitude,
});

/** Transforms and counters: what demands, budgets and tests on the operation name. */
function transformAxes(atoms: readonly Atom[], rules: readonly Rule[]): readonly (readonly Choice[])[] {
  const named = new Map<string, number[]>();
  const add = (operand: string, numbers: readonly number[]) =>
    named.set(operand, [...(named.get(operand) ?? []), ...numbers]);
  for (const { operand, value } of atoms) {
    const { phase } = OPERANDS[operand]!;
    if (phase === 'transform' || phase === 'counter') add(operand, value.type === 'numbers' ? value.numbers : []);
  }
  for (const { demands, budgets } of rules) {
    for (const { operand, atLeast, atMost } of demands) add(operand, [atMost ?? atLeast]);
    for (const { counts, limit } of budgets) {
      if (counts === 'epsilon') add('auto:budget', [limit / 1e6]);
      else add(counts === 'count' ? 'count' : 'auto:bytes', [limit]);
    }
  }
  return [...named].map(([operand, numbers]) => {
    const most = ['auto:rate', 'auto:epsilon', 'auto:pseudonymPeriod'].includes(operand)
      ? [Number.POSITIVE_INFINITY]
      : [];
    const values = [...pieces(numbers), ...most].filter((value) => value >= 0);
    return [...new Set([0, ...values])].map((value) => ({ [operand]: value }));
  });
}

/** Each threshold, and one value in each piece that they leave. */
export function pieces(thresholds: readonly number[]): readonly number[] {
  const sorted = [...new Set(thresholds)].sort((a, b) => a - b);
  if (sorted.length === 0) return [0];
  const between = sorted.slice(1).map((value, i) => (value + sorted[i]!) / 2);
  return [sorted[0]! - 1, ...sorted, ...between, sorted.at(-1)! + 1];
}

/** UTC moments, unknown among them, where a rule asks the time. */
function timesOf(atoms: readonly Atom[]): readonly (number | null)[] {
  const instants = atoms.flatMap(({ value }) => (value.type === 'instant' ? [value.ms] : []));
  const edges = atoms.flatMap(({ value }) =>
    value.type === 'timeOfDay' ? [(value.ms - value.zoneMs + MS_PER_DAY) % MS_PER_DAY] : [],
  );
  const daily = atoms.some(({ value }) => value.type === 'days');
  if (instants.length === 0 && edges.length === 0 && !daily) return [SOME_MONDAY_MS];
  const days = instants.length === 0 ? [SOME_MONDAY_MS] : pieces(instants).map((ms) => dayAround(ms, instants));
  const hours = edges.length === 0 ? [MS_PER_DAY / 2] : pieces(edges).filter((ms) => ms >= 0 && ms < MS_PER_DAY);
  const week = daily ? [0, 1, 2, 3, 4, 5, 6] : [0];
  const periodic =
    edges.length === 0 && !daily
      ? []
      : days.flatMap((day) => week.flatMap((add) => hours.map((hour) => day + add * MS_PER_DAY + Math.floor(hour))));
  const exact = instants.length === 0 ? [] : pieces(instants).map(Math.floor);
  return [null, ...new Set([...periodic, ...exact])];
}

/** Midnight of a day on the same side of every instant, where there is one. */
function dayAround(ms: number, instants: readonly number[]): number {
  const least = Math.min(...instants);
  const side = ms < least ? -8 * MS_PER_DAY : MS_PER_DAY;
  return Math.floor((ms + side) / MS_PER_DAY) * MS_PER_DAY;
}

function pointsOf(atoms: readonly Atom[]): readonly (readonly [number, number])[] {
  const places = atoms.flatMap(({ value }) => (value.type === 'places' ? value.places : []));
  return places.flatMap((place): (readonly [number, number])[] => {
    const [latitude, longitude] = centreOf(place);
    return [[latitude, longitude], ...borderOf(place, latitude, longitude), [-latitude, wrapped(longitude + 180)]];
  });
}

const wrapped = (longitude: number) => (longitude > 180 ? longitude - 360 : longitude);

function centreOf(place: Place): readonly [number, number] {
  if (place.shape === 'circle') return [place.latitude, place.longitude];
  const sum = (axis: 0 | 1) => place.points.reduce((total, point) => total + point[axis], 0) / place.points.length;
  return [sum(0), sum(1)];
}

/** Points a little within and a little beyond the border. */
function borderOf(place: Place, latitude: number, longitude: number): readonly (readonly [number, number])[] {
  const scales = [0.99, 1.01];
  if (place.shape === 'circle') {
    const sign = latitude > 0 ? -1 : 1;
    return scales.map((scale) => [latitude + (sign * scale * place.radius) / METRES_A_DEGREE, longitude] as const);
  }
  return scales.flatMap((scale) =>
    place.points.map(([a, b]) => [latitude + (a - latitude) * scale, longitude + (b - longitude) * scale] as const),
  );
}

/** What credentials and the unit may say, so far as rules ask. */
function standingsOf(atoms: readonly Atom[]): readonly Standing[] {
  const idsOf = (operand: string) => [
    ...new Set(atoms.flatMap((atom) => (atom.operand === operand && atom.value.type === 'ids' ? atom.value.ids : []))),
  ];
  const asked = (operand: string) => atoms.some((atom) => atom.operand === operand);
  const roles = idsOf('auto:recipientRole');
  const roleSets = [roles, [], ...(roles.length > 1 ? roles.map((role) => [role]) : [])];
  const regions = (operand: string) =>
    asked(operand) ? [...new Set([...idsOf(operand).map((id) => REGION_SAMPLES[id] ?? id), 'ZZ'])] : [null];
  const facts: RecipientFacts[] = (roles.length === 0 ? [[]] : roleSets).flatMap((set) =>
    regions('auto:recipientRegion').map((region) => ({ credit: 5, roles: set, region })),
  );
  const none = asked('auto:recipientRole') || asked('auto:recipientRegion') ? [null] : [];
  const levels = asked('auto:attestation') ? [...ATTESTATION].reverse() : [undefined];
  const units = regions('auto:region').flatMap((region) =>
    levels.map((attestation) => ({
      ...(region === null ? {} : { region }),
      ...(attestation === undefined ? {} : { attestation }),
    })),
  );
  const all = [...facts, ...none].flatMap((one) => units.map((unit): Standing => ({ facts: one, unit })));
  return all.slice(0, MOST_STANDINGS);
}

/** A world in words: `auto:vehicleSpeed 21, 2026-01-05T12:00:00.000Z`. Rules' own numbers, never a value of a vehicle. */
export function worldText({ utcMs, context }: Moment, conditions: readonly Condition[]): string {
  const asked = new Set(conditions.flatMap(atomsOf).map(({ operand }) => operand));
  const time = [...asked].some((operand) => OPERANDS[operand]?.phase === 'time');
  const parts = Object.entries(context)
    .filter(([operand]) => asked.has(operand.split(' ')[0]!) && !operand.startsWith('auto:position'))
    .map(([operand, value]) => `${operand} ${value}`);
  return [...(time && utcMs !== null ? [new Date(utcMs).toISOString()] : []), ...parts].join(', ');
}
