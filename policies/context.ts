import { nearest, type SignalInfo, TollgateError } from '#contracts';
import { ATTESTATION, type Attestation, OPERANDS } from './vocabulary.ts';

/** Every signal that the databases know, by each of its names. */
export interface SignalCatalogue {
  readonly signals: readonly SignalInfo[];
  readonly byName: ReadonlyMap<string, SignalInfo>;
}

/** What is known of the unit itself; absent: unknown. */
export interface UnitFacts {
  readonly region?: string;
  readonly attestation?: Attestation;
}

/** What the configuration says of one operand. */
export type ContextBinding =
  | { readonly kind: 'none' }
  | { readonly kind: 'assume'; readonly value: number }
  | { readonly kind: 'signals'; readonly signals: readonly BoundSignal[] };

export interface BoundSignal {
  readonly signal: SignalInfo;
  /** Value of the operand = value of the signal · scale. */
  readonly scale: number;
  readonly axis: 'latitude' | 'longitude' | null;
}

const ASSUME = 'assume-';
/** `auto:vehicleSpeed` is km/h as in VSS; what else a database may use, in km/h a unit. */
const SPEED_UNITS: Readonly<Record<string, number>> = {
  'km/h': 1,
  kmh: 1,
  kph: 1,
  'kilometer per hour': 1,
  'm/s': 3.6,
  mph: 1.609344,
  'mi/h': 1.609344,
};

const CONTEXT_OPERANDS = Object.entries(OPERANDS).flatMap(([operand, info]) =>
  info.context === undefined ? [] : [{ operand, key: info.context, type: info.type }],
);

/**
 * Reads the `context:` keys of the configuration: operand names without `auto:` (`speed` for auto:vehicleSpeed), each a
 * signal, `assume-<value>` or `none`. An operand that is not named is unknown.
 *
 * @throws {TollgateError} TG_POLICY_CONTEXT_SOURCE
 */
export function bindContext(
  context: Readonly<Record<string, string>>,
  catalogue: SignalCatalogue,
): Map<string, ContextBinding> {
  const bindings = new Map<string, ContextBinding>();
  const keys = [...CONTEXT_OPERANDS.map(({ key }) => key), ...UNIT_KEYS];
  for (const [key, value] of Object.entries(context)) {
    if (UNIT_KEYS.includes(key)) continue;
    const found = CONTEXT_OPERANDS.find((one) => one.key === key);
    if (found === undefined)
      throw fault(key, `"${key}" is no operand that has a context`, nearest(key, keys) ?? keys.join(', '));
    bindings.set(found.operand, bind(key, value, found.type, catalogue));
  }
  return bindings;
}

/** What the configuration says of the unit itself: no signal tells it, so it is assumed, or unknown. */
const UNIT_KEYS: readonly string[] = ['region', 'attestation'];
const REGION = /^[A-Z]{2}(-[A-Z0-9]{1,3})?$/;

/**
 * Reads `region: assume-CN-BJ` (ISO 3166) and `attestation: assume-tpm`.
 *
 * @throws {TollgateError} TG_POLICY_CONTEXT_SOURCE
 */
export function bindUnit(context: Readonly<Record<string, string>>): UnitFacts {
  const said = (key: string) => {
    const text = context[key];
    if (text === undefined || text === 'none') return undefined;
    if (!text.startsWith(ASSUME)) throw fault(key, `the context "${key}" takes assume-<value> or none, not "${text}"`);
    return text.slice(ASSUME.length);
  };
  const region = said('region');
  if (region !== undefined && !REGION.test(region))
    throw fault('region', `"${region}" is no country or part of one as ISO 3166 writes it, like CN or CN-BJ`);
  const word = said('attestation');
  const attestation = ATTESTATION.find((level) => level === word);
  if (word !== undefined && attestation === undefined)
    throw fault(
      'attestation',
      `"${word}" is no level of attestation`,
      nearest(word, ATTESTATION) ?? ATTESTATION.join(', '),
    );
  return { ...(region === undefined ? {} : { region }), ...(attestation === undefined ? {} : { attestation }) };
}

function fault(key: string, message: string, near?: string): TollgateError {
  const remedy = near === undefined ? undefined : `Did you mean "${near}"? Nothing was started.`;
  return new TollgateError('TG_POLICY_CONTEXT_SOURCE', message, { place: { pointer: `/context/${key}` }, remedy });
}

function bind(key: string, value: string, type: string, catalogue: SignalCatalogue): ContextBinding {
  if (value === 'none') return { kind: 'none' };
  if (value.startsWith(ASSUME)) return { kind: 'assume', value: assumed(key, value.slice(ASSUME.length), type) };
  if (type === 'place') return { kind: 'signals', signals: positionSignals(key, value, catalogue) };
  const signal = catalogue.byName.get(value);
  if (signal === undefined) throw unknownSignal(key, value, catalogue);
  return { kind: 'signals', signals: [{ signal, scale: key === 'speed' ? speedScale(key, signal) : 1, axis: null }] };
}

function unknownSignal(key: string, name: string, catalogue: SignalCatalogue): TollgateError {
  const message = `the databases have no signal "${name}" for the context "${key}"`;
  return fault(key, message, nearest(name, [...catalogue.byName.keys()]));
}

function assumed(key: string, text: string, type: string): number {
  if (type === 'switch' && (text === 'on' || text === 'off')) return text === 'on' ? 1 : 0;
  if (type === 'number' && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  const wanted =
    type === 'switch'
      ? 'assume-on or assume-off'
      : type === 'number'
        ? 'assume-<number>'
        : 'a branch with Latitude and Longitude';
  throw fault(key, `the context "${key}" takes ${wanted}, not "${ASSUME}${text}"`);
}

function speedScale(key: string, signal: SignalInfo): number {
  const unit = signal.unit.toLowerCase();
  if (Object.hasOwn(SPEED_UNITS, unit)) return SPEED_UNITS[unit]!;
  throw fault(
    key,
    `"${signal.name}" has the unit "${signal.unit}", which is no speed; name the unit in the mapping (km/h, m/s, mph)`,
  );
}

function positionSignals(key: string, branch: string, catalogue: SignalCatalogue): BoundSignal[] {
  return (['Latitude', 'Longitude'] as const).map((leaf) => {
    const signal = catalogue.byName.get(`${branch}.${leaf}`);
    if (signal === undefined) throw unknownSignal(key, `${branch}.${leaf}`, catalogue);
    return { signal, scale: 1, axis: leaf === 'Latitude' ? 'latitude' : 'longitude' };
  });
}
