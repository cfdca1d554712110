/** Units of databases and of the VSS, and the factor and offset from one to the other. */

/** value in the base unit of the kind = value · over / under + offset; a fraction, so that 3.6 stays 3.6. */
interface Unit {
  readonly kind: string;
  readonly over: number;
  readonly under: number;
  readonly offset: number;
}

const DEGREE = 180;
const TURN = 2 * Math.PI;
/** Standard gravity, m/s² (3rd CGPM, 1901). */
const GRAVITY = 9.80665;
/** ISO 80000-5 */
const KELVIN_AT_0_CELSIUS = 273.15;

/** Kind, then spelling(s) (in lower case, or exact where the case tells), over, under, offset. */
const TABLE: readonly (readonly [kind: string, names: string, over?: number, under?: number, offset?: number])[] = [
  ['speed', 'm/s mps'],
  ['speed', 'km/h kmh kph kmph km/hr', 10, 36],
  ['speed', 'mph mi/h', 1609344, 3600000],
  ['length', 'm meter meters metre'],
  ['length', 'mm', 1, 1000],
  ['length', 'cm', 1, 100],
  ['length', 'km', 1000],
  ['length', 'inch in', 254, 10000],
  ['length', 'mi mile miles', 1609344, 1000],
  ['angle', 'rad', DEGREE, Math.PI],
  ['angle', 'degrees degree deg °'],
  ['rotation', 'rad/s', DEGREE, Math.PI],
  ['rotation', 'degrees/s degree/s deg/s °/s'],
  ['engine speed', 'rpm 1/min u/min r/min min-1 rev/min'],
  ['engine speed', '1/s rps', 60],
  ['acceleration', 'm/s^2 m/s2 m/s² m/s/s m/(s^2)'],
  ['acceleration', 'g', GRAVITY],
  ['temperature', 'celsius c °c degc deg_c degcelsius'],
  ['temperature', 'k kelvin', 1, 1, -KELVIN_AT_0_CELSIUS],
  ['temperature', 'fahrenheit f °f degf deg_f', 5, 9, -160 / 9],
  ['ratio', 'percent % pct'],
  ['ratio', '‰ promille', 1, 10],
  ['voltage', 'v volt volts'],
  ['voltage', 'mv', 1, 1000],
  ['current', 'a amp amps ampere'],
  ['current', 'ma', 1, 1000],
  ['power', 'w watt'],
  ['power', 'kw', 1000],
  ['power', 'hp', 745.6998715822702],
  ['energy', 'wh'],
  ['energy', 'kwh', 1000],
  ['energy', 'j', 1, 3600],
  ['energy', 'kj', 1000, 3600],
  ['charge', 'ah'],
  ['charge', 'mah', 1, 1000],
  ['pressure', 'pa'],
  ['pressure', 'hpa mbar', 100],
  ['pressure', 'kpa', 1000],
  ['pressure', 'bar', 100000],
  ['pressure', 'psi', 6894.757293168361],
  ['torque', 'nm n·m n.m n*m newtonmeter'],
  ['force', 'n'],
  ['force', 'kn', 1000],
  ['mass', 'kg'],
  ['mass', 't', 1000],
  ['time', 's sec second seconds'],
  ['time', 'ms msec', 1, 1000],
  ['time', 'min minutes', 60],
  ['time', 'h hr hours', 3600],
  ['volume', 'l litre liter'],
  ['volume', 'ml', 1, 1000],
  ['volume', 'cm^3 cm3 ccm', 1, 1000],
  ['mass flow', 'g/s'],
  ['mass flow', 'kg/h', 1000, 3600],
  ['beats', 'bpm cpm'],
  ['consumption', 'l/100km'],
  ['electric consumption', 'kwh/100km'],
  ['emission', 'g/km'],
  ['range of a litre', 'km/l'],
];

const UNITS: ReadonlyMap<string, Unit> = new Map(
  TABLE.flatMap(([kind, names, over = 1, under = 1, offset = 0]) =>
    names.split(' ').map((name) => [name, { kind, over, under, offset }] as const),
  ),
);

/** Mega would read as milli where the case is dropped. */
const MEGA = /^M(W|V|A|Pa|J)$/;

function unitOf(name: string): Unit | undefined {
  const trimmed = name.trim();
  return MEGA.test(trimmed) ? undefined : UNITS.get(trimmed.toLowerCase().replaceAll(' ', ''));
}

/** What two units have to do with one another. */
export type UnitMatch =
  | { readonly kind: 'same' }
  /** to = from · factor + offset */
  | { readonly kind: 'convertible'; readonly factor: number; readonly offset: number }
  /** Of different quantities: no factor leads from one to the other. */
  | { readonly kind: 'different' }
  /** One of them is not in the table. */
  | { readonly kind: 'unknown' };

/** How a value in the unit `from` becomes one in `to`. */
export function matchUnits(from: string, to: string): UnitMatch {
  if (from.trim() === to.trim()) return { kind: 'same' };
  const [a, b] = [unitOf(from), unitOf(to)];
  if (a === undefined || b === undefined) return { kind: 'unknown' };
  if (a.kind !== b.kind) {
    const turning = turningFactor(a, b);
    return turning === null ? { kind: 'different' } : { kind: 'convertible', factor: turning, offset: 0 };
  }
  const factor = (a.over * b.under) / (a.under * b.over);
  const offset = ((a.offset - b.offset) * b.under) / b.over;
  return factor === 1 && offset === 0 ? { kind: 'same' } : { kind: 'convertible', factor, offset };
}

/** Revolutions a minute are a rotation too, though nobody gives a yaw rate so. */
function turningFactor(a: Unit, b: Unit): number | null {
  const kinds = `${a.kind}>${b.kind}`;
  // 1 rpm = 6 °/s.
  if (kinds === 'engine speed>rotation') return ((a.over / a.under) * 6 * b.under) / b.over;
  if (kinds === 'rotation>engine speed')
    return a.over === DEGREE ? (60 / TURN) * (b.under / b.over) : (a.over / a.under / 6) * (b.under / b.over);
  return null;
}
