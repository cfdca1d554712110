import { type OperationSpec, rawRange, type Shaping, type SignalInfo } from '#contracts';
import type { Demand } from './agreement.ts';
import type { CampaignSignal } from './campaign.ts';
import { durationText } from './time.ts';

/** A demand and where it comes from. */
export interface SourcedDemand extends Demand {
  readonly rule: string;
  readonly agreement: string;
}

/** The parameters of an operation, all kinds in one; those that a kind lacks are 0 (`minSamples`: 1). */
export interface Parameters {
  readonly kind: CampaignSignal['operation'];
  readonly periodMs: number;
  readonly windowMs: number;
  readonly minSamples: number;
  readonly cellMetres: number;
  readonly step: number;
  readonly trimMs: number;
  readonly trimMetres: number;
  readonly epsilonMicro: number;
  readonly rotateMs: number;
}

export type ParameterName = Exclude<keyof Parameters, 'kind'>;
export const PARAMETER_NAMES: readonly ParameterName[] = [
  'periodMs',
  'windowMs',
  'minSamples',
  'cellMetres',
  'step',
  'trimMs',
  'trimMetres',
  'epsilonMicro',
  'rotateMs',
];
/** Less of these tells less; of all others more does. */
const SMALLER: readonly ParameterName[] = ['epsilonMicro', 'rotateMs'];

/** The stricter of two values of a parameter. */
export function stricter(name: ParameterName, a: number, b: number): number {
  return SMALLER.includes(name) ? Math.min(a, b) : Math.max(a, b);
}

type Carried = Partial<Record<Demand['operand'], ParameterName>>;
const TRIP_ENDS: Carried = { 'auto:tripEndTime': 'trimMs', 'auto:tripEndDistance': 'trimMetres' };
// One row a window: the window is the sampling period of what leaves.
const WINDOW: Carried = {
  'auto:aggregationWindow': 'windowMs',
  'auto:sampling': 'windowMs',
  'auto:minSamples': 'minSamples',
};

/** Which parameter of an operation carries a demand; absent: it cannot. */
const CARRIER: Readonly<Record<CampaignSignal['operation'], Carried>> = {
  raw: { 'auto:sampling': 'periodMs', 'auto:precision': 'step', ...TRIP_ENDS },
  decimate: { 'auto:sampling': 'periodMs', 'auto:precision': 'step', ...TRIP_ENDS },
  aggregate: { ...WINDOW, 'auto:precision': 'step', ...TRIP_ENDS },
  cloak: { 'auto:precision': 'cellMetres', 'auto:sampling': 'periodMs', ...TRIP_ENDS },
  pseudonymise: { 'auto:sampling': 'periodMs', 'auto:pseudonymPeriod': 'rotateMs', ...TRIP_ENDS },
  noise: { ...WINDOW, 'auto:precision': 'step', 'auto:epsilon': 'epsilonMicro', ...TRIP_ENDS },
};

/** Metres of precision are a cell of two axes; a step of one axis in degrees is another size at each latitude. */
function carrier(kind: CampaignSignal['operation'], operand: Demand['operand'], isAxis: boolean): ParameterName | null {
  const name = CARRIER[kind][operand] ?? null;
  return name === 'step' && isAxis ? null : name;
}

const MICRO = 1_000_000;

/** A demand in the measure of the parameter that carries it. */
function demanded({ operand, atLeast, atMost }: SourcedDemand): number {
  if (atMost === undefined) return atLeast;
  return operand === 'auto:epsilon' ? Math.max(1, Math.floor(atMost * MICRO)) : atMost;
}

/** Whether a demand asks for more than a kind of operation. */
export function hasMeasure({ atLeast, atMost }: Demand): boolean {
  return atLeast > 0 || atMost !== undefined;
}

/** What the campaign proposes, before any demand. */
export function proposed(entry: CampaignSignal, everyMs: number): Parameters {
  const { operation: kind, windowMs, cellMetres, step = 0, trim, epsilonMicro = 0, rotateMs = 0 } = entry;
  return {
    kind,
    periodMs: kind === 'aggregate' || kind === 'noise' ? 0 : (entry.everyMs ?? everyMs),
    windowMs,
    minSamples: 1,
    cellMetres,
    step,
    trimMs: trim?.timeMs ?? 0,
    trimMetres: trim?.metres ?? 0,
    epsilonMicro,
    rotateMs,
  };
}

/** The strictest of proposal and demands; `refused` where the operation cannot carry one. */
export function strictest(
  start: Parameters,
  demands: readonly SourcedDemand[],
  isAxis: boolean,
): { readonly parameters: Parameters; readonly raised: readonly string[]; readonly refused: SourcedDemand | null } {
  const parameters = { ...start };
  const by = new Map<ParameterName, SourcedDemand>();
  for (const demand of demands) {
    const name = carrier(start.kind, demand.operand, isAxis);
    if (name === null || boundless(demand, demands)) return { parameters: start, raised: [], refused: demand };
    const value = stricter(name, parameters[name], demanded(demand));
    if (value === parameters[name]) continue;
    parameters[name] = value;
    by.set(name, demand);
  }
  const raised = [...by].map(([name, { rule, agreement }]) => {
    const [from, to] = [parameterText(name, start[name]), parameterText(name, parameters[name])];
    return `${LABEL[name]} ${SMALLER.includes(name) ? 'lowered' : 'raised'} from ${from} to ${to} by ${rule} of ${agreement}`;
  });
  return { parameters, raised, refused: null };
}

/**
 * A duty to aggregate or anonymize without a measure, where no other demand gives one: a window of 1 ms or a cell of 1 m
 * would meet its words and hide nothing.
 */
function boundless({ operand, atLeast }: SourcedDemand, demands: readonly SourcedDemand[]): boolean {
  if (atLeast > 0 || (operand !== 'auto:aggregationWindow' && operand !== 'auto:precision')) return false;
  const measures = operand === 'auto:precision' ? ['auto:precision'] : ['auto:aggregationWindow', 'auto:minSamples'];
  return !demands.some((other) => other.atLeast > 0 && measures.includes(other.operand));
}

/** Why an operation does not meet a demand, in words. */
export function refusalText(demand: SourcedDemand, demands: readonly SourcedDemand[], carrier: string): string {
  if (demand.operand === 'auto:kMin')
    return `${demand.text}, which counts subjects: only an aggregation service can hold it`;
  if (carrier !== 'last' && boundless(demand, demands))
    return `${demand.text}, which names no least measure: it could be met by hiding nothing`;
  return `${demand.text}, which ${carrier} cannot carry`;
}

/**
 * The demand that `last` of a window does not meet; null where it may leave. `last` is one sample as it came: it hides
 * nothing where a number of samples is demanded, nor where no least window is and the campaign may ask for 1 ms.
 */
export function withholdsLast(demands: readonly SourcedDemand[]): SourcedDemand | null {
  const samples = demands.find(({ operand }) => operand === 'auto:minSamples');
  if (samples !== undefined) return samples;
  const windows = demands.filter(({ operand }) => operand === 'auto:aggregationWindow');
  return windows.some(({ atLeast }) => atLeast > 0) ? null : (windows[0] ?? null);
}

const LABEL: Readonly<Record<ParameterName, string>> = {
  periodMs: 'sampling period',
  windowMs: 'window',
  minSamples: 'least samples of a window',
  cellMetres: 'grid cell',
  step: 'step of values',
  trimMs: 'trip end held back',
  trimMetres: 'trip end held back',
  epsilonMicro: 'privacy loss of a value',
  rotateMs: 'life of a pseudonym',
};

export function parameterText(name: ParameterName, value: number): string {
  if (name === 'minSamples') return String(value);
  if (name === 'step') return value === 0 ? 'the signal’s own' : String(value);
  if (name === 'epsilonMicro') return String(value / MICRO);
  if (name === 'cellMetres' || name === 'trimMetres') return `${value} m`;
  if (name === 'trimMs' && value === 0) return 'nothing';
  return value === 0 ? 'every sample' : durationText(value);
}

/** The plan of an operation for one signal. */
export function operationOf(
  parameters: Parameters,
  { results, range, deadband }: Pick<CampaignSignal, 'results' | 'range' | 'deadband'>,
  axis: 'latitude' | 'longitude' | null,
): OperationSpec {
  const { kind, periodMs, windowMs, cellMetres, rotateMs, epsilonMicro, step, trimMs, trimMetres } = parameters;
  const minSamples = parameters.minSamples > 1 ? { minSamples: parameters.minSamples } : {};
  const shaping: Shaping = {
    ...(step > 0 ? { step } : {}),
    ...(trimMs > 0 || trimMetres > 0 ? { trim: { timeMs: trimMs, metres: trimMetres, axis } } : {}),
    ...(deadband === undefined ? {} : { deadband }),
  };
  switch (kind) {
    case 'aggregate':
      return { kind, windowMs, results, ...minSamples, ...shaping };
    case 'cloak':
      return { kind, cellMetres, axis: axis!, periodMs, ...shaping };
    case 'pseudonymise':
      return { kind, rotateMs, periodMs, ...shaping };
    case 'noise':
      return { kind, windowMs, epsilonMicro, range: range!, ...minSamples, ...shaping };
    default:
      return periodMs === 0 ? { kind: 'raw', ...shaping } : { kind: 'decimate', periodMs, ...shaping };
  }
}

/** An operation in words: `min, max of each 1 s, in steps of 5`. */
export function operationText(operation: OperationSpec): string {
  return `${kindText(operation)}${shapingText(operation)}`;
}

function kindText(operation: OperationSpec): string {
  switch (operation.kind) {
    case 'raw':
      return 'raw, every sample';
    case 'decimate':
      return `one sample each ${durationText(operation.periodMs)}`;
    case 'aggregate':
      return `${operation.results.join(', ')} of each ${durationText(operation.windowMs)}`;
    case 'cloak':
      return `grid cell of at least ${operation.cellMetres} m`;
    case 'pseudonymise':
      return `pseudonym that changes each ${durationText(operation.rotateMs)}`;
    case 'noise':
      return `mean of each ${durationText(operation.windowMs)} with noise, ε ${operation.epsilonMicro / MICRO} a value`;
  }
}

/** What an operation does beside its kind, in words; empty where it does nothing. */
export function shapingText({ step, trim, deadband }: Shaping): string {
  const ends = [
    ...(trim === undefined || trim.timeMs === 0 ? [] : [durationText(trim.timeMs)]),
    ...(trim === undefined || trim.metres === 0 ? [] : [`${trim.metres} m`]),
  ];
  return [
    ...(step === undefined ? [] : [`, in steps of ${step}`]),
    ...(deadband === undefined ? [] : [`, changes above ${deadband}`]),
    ...(ends.length === 0 ? [] : [`, without the first and last ${ends.join(' and ')} of a trip`]),
  ].join('');
}

/** What a test on a transform sees: the operation as it will run. What is not transformed has window 0 and precision 0. */
export function transformValue(operand: string, parameters: Parameters): number {
  switch (operand) {
    case 'auto:aggregationWindow':
      return parameters.windowMs;
    case 'auto:rate': {
      const periodMs = Math.max(parameters.windowMs, parameters.periodMs);
      return periodMs === 0 ? Number.POSITIVE_INFINITY : MS_PER_S / periodMs;
    }
    case 'auto:sampling':
    case 'timeInterval':
      return Math.max(parameters.windowMs, parameters.periodMs);
    case 'auto:precision':
      return parameters.kind === 'cloak' ? parameters.cellMetres : parameters.step;
    case 'auto:epsilon':
      return parameters.kind === 'noise' ? parameters.epsilonMicro / MICRO : Number.POSITIVE_INFINITY;
    case 'auto:pseudonymPeriod':
      return parameters.kind === 'pseudonymise' ? parameters.rotateMs : Number.POSITIVE_INFINITY;
    case 'auto:tripEndTime':
      return parameters.trimMs;
    case 'auto:tripEndDistance':
      return parameters.trimMetres;
    default:
      return parameters.minSamples;
  }
}

const MS_PER_S = 1000;
const ANGLE_UNITS = ['', 'deg', 'degree', 'degrees', '°'];

/** Why a signal cannot take an operation at all, in words; null where it can. */
export function unfit(entry: CampaignSignal, signal: SignalInfo, { step }: Parameters): string | null {
  const { operation: kind, range } = entry;
  if (signal.type === 'wide' && (kind === 'aggregate' || kind === 'cloak' || kind === 'noise')) {
    return `a signal of ${signal.bits} bits takes raw, decimate or pseudonymise only, not ${kind}`;
  }
  if (step > 0 && (signal.type === 'wide' || signal.values !== undefined))
    return 'precision takes a number of at most 53 bits, no code of a table';
  if (kind === 'pseudonymise' && signal.type !== 'int' && signal.type !== 'wide')
    return 'pseudonymise takes whole numbers, this signal is floating point';
  if (kind === 'noise' && (signal.type !== 'int' || signal.values !== undefined))
    return 'noise takes whole numbers that mean an amount';
  if (kind === 'noise' && rawRange(signal, range!) === null)
    return 'noise takes a range of at least one raw unit of the signal, and at most 2^40';
  if (kind !== 'cloak') return null;
  if (axisOf(signal) === null) return 'cloak takes the Latitude and Longitude of one VSS branch';
  if (!ANGLE_UNITS.includes(signal.unit.toLowerCase())) return `cloak takes degrees, the unit is "${signal.unit}"`;
  return null;
}

/** Which axis of a position a VSS leaf is. */
export function axisOf(signal: SignalInfo): 'latitude' | 'longitude' | null {
  if (signal.name.startsWith('dbc:')) return null;
  if (signal.name.endsWith('.Latitude')) return 'latitude';
  return signal.name.endsWith('.Longitude') ? 'longitude' : null;
}

/** Name of the other axis of the same branch. */
export function otherAxis(signal: SignalInfo): string {
  return signal.name.endsWith('.Latitude')
    ? `${signal.name.slice(0, -'Latitude'.length)}Longitude`
    : `${signal.name.slice(0, -'Longitude'.length)}Latitude`;
}
