import type { SignalInfo } from '#contracts';
import type { Demand } from './agreement.ts';
import type { CampaignSignal } from './campaign.ts';
import type { OperationPlan } from './plan.ts';
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
}

export type ParameterName = 'periodMs' | 'windowMs' | 'minSamples' | 'cellMetres';

/** Which parameter of an operation carries a demand; absent: it cannot. */
const CARRIER: Readonly<Record<CampaignSignal['operation'], Partial<Record<Demand['operand'], ParameterName>>>> = {
  raw: { 'auto:sampling': 'periodMs' },
  decimate: { 'auto:sampling': 'periodMs' },
  // One row a window: the window is the sampling period of what leaves.
  aggregate: { 'auto:aggregationWindow': 'windowMs', 'auto:sampling': 'windowMs', 'auto:minSamples': 'minSamples' },
  cloak: { 'auto:precision': 'cellMetres', 'auto:sampling': 'periodMs' },
};

/** What the campaign proposes, before any demand. */
export function proposed(entry: CampaignSignal, everyMs: number): Parameters {
  const { operation: kind, windowMs, cellMetres } = entry;
  return { kind, periodMs: kind === 'aggregate' ? 0 : everyMs, windowMs, minSamples: 1, cellMetres };
}

/** The strictest of proposal and demands; `refused` where the operation cannot carry one. */
export function strictest(
  start: Parameters,
  demands: readonly SourcedDemand[],
): { readonly parameters: Parameters; readonly raised: readonly string[]; readonly refused: SourcedDemand | null } {
  const parameters = { ...start };
  const by = new Map<ParameterName, SourcedDemand>();
  for (const demand of demands) {
    const name = CARRIER[start.kind][demand.operand];
    if (name === undefined || boundless(demand, demands)) return { parameters: start, raised: [], refused: demand };
    if (demand.atLeast <= parameters[name]) continue;
    parameters[name] = demand.atLeast;
    by.set(name, demand);
  }
  const raised = [...by].map(([name, { rule, agreement }]) => {
    const [from, to] = [parameterText(name, start[name]), parameterText(name, parameters[name])];
    return `${LABEL[name]} raised from ${from} to ${to} by ${rule} of ${agreement}`;
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
};

export function parameterText(name: ParameterName, value: number): string {
  if (name === 'minSamples') return String(value);
  if (name === 'cellMetres') return `${value} m`;
  return value === 0 ? 'every sample' : durationText(value);
}

/** The plan of an operation for one signal. */
export function operationOf(
  parameters: Parameters,
  results: CampaignSignal['results'],
  axis: 'latitude' | 'longitude' | null,
): OperationPlan {
  const { kind, periodMs, windowMs, minSamples, cellMetres } = parameters;
  if (kind === 'aggregate') return { kind, windowMs, results, ...(minSamples > 1 ? { minSamples } : {}) };
  if (kind === 'cloak') return { kind, cellMetres, axis: axis!, periodMs };
  return periodMs === 0 ? { kind: 'raw' } : { kind: 'decimate', periodMs };
}

/** An operation in words: `aggregate 1 s (min, max)`. */
export function operationText(operation: OperationPlan): string {
  if (operation.kind === 'raw') return 'raw, every sample';
  if (operation.kind === 'decimate') return `one sample each ${durationText(operation.periodMs)}`;
  if (operation.kind === 'aggregate')
    return `${operation.results.join(', ')} of each ${durationText(operation.windowMs)}`;
  return `grid cell of at least ${operation.cellMetres} m`;
}

/** What a test on a transform sees: the operation as it will run. What is not transformed has window 0 and precision 0. */
export function transformValue(operand: string, parameters: Parameters): number {
  switch (operand) {
    case 'auto:aggregationWindow':
      return parameters.windowMs;
    case 'auto:rate': {
      const periodMs = parameters.kind === 'aggregate' ? parameters.windowMs : parameters.periodMs;
      return periodMs === 0 ? Number.POSITIVE_INFINITY : MS_PER_S / periodMs;
    }
    case 'auto:sampling':
    case 'timeInterval':
      return parameters.kind === 'aggregate' ? parameters.windowMs : parameters.periodMs;
    case 'auto:precision':
      return parameters.cellMetres;
    default:
      return parameters.minSamples;
  }
}

const MS_PER_S = 1000;
const ANGLE_UNITS = ['', 'deg', 'degree', 'degrees', '°'];

/** Why a signal cannot take an operation at all, in words; null where it can. */
export function unfit(kind: CampaignSignal['operation'], signal: SignalInfo): string | null {
  if (signal.type === 'wide' && (kind === 'aggregate' || kind === 'cloak')) {
    return `a signal of ${signal.bits} bits takes raw or decimate only, not ${kind}`;
  }
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
