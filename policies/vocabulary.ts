/** The words of the profile `auto-odrl/1`: what each operand is, and when the unit can tell its value. */

export const PROFILE = 'https://tollgate.example/ns/auto-odrl/1';
export const CONTEXT_ODRL = 'http://www.w3.org/ns/odrl.jsonld';
export const CONTEXT_AUTO = 'https://tollgate.example/ns/auto-odrl/1#';

/** ODRL 2.2 Information Model §2.5.2, all of them. */
export const OPERATORS = [
  'eq',
  'neq',
  'lt',
  'lteq',
  'gt',
  'gteq',
  'isA',
  'isAnyOf',
  'isNoneOf',
  'isAllOf',
  'isPartOf',
  'hasPart',
] as const;
export type Operator = (typeof OPERATORS)[number];

const ORDER = ['lt', 'lteq', 'gt', 'gteq'] as const;
const SETS = ['isA', 'isAnyOf', 'isNoneOf', 'isAllOf', 'isPartOf', 'hasPart'] as const;

/** The form of an operand's value. */
export type OperandType =
  | 'purpose'
  | 'party'
  | 'dateTime'
  | 'timeOfDay'
  | 'day'
  | 'number'
  | 'switch'
  | 'place'
  | 'duration'
  | 'id'
  | 'region'
  | 'level';

/**
 * When an operand has a value: `stream`: known for a recipient and campaign when the plan is made, so are `recipient`
 * (its credentials), `unit` and `signal`; `time`, `context`: the gate asks again and again; `transform`: a parameter of
 * the operation, so a refinement by it is a demand; `counter`: the store counts, in the transaction that queues a record.
 */
export type OperandPhase = 'stream' | 'recipient' | 'unit' | 'signal' | 'time' | 'context' | 'transform' | 'counter';

export interface OperandInfo {
  readonly type: OperandType;
  readonly phase: OperandPhase;
  readonly operators: readonly Operator[];
  /** Key of the configuration's `context:`, for phase `context`. */
  readonly context?: string;
  /** The longest that a `duration` may be, ms; a day without it. */
  readonly most?: number;
  /** Names of type `level`, lowest first. */
  readonly levels?: readonly string[];
}

/** How much a value tells of a person (reference: important outranks sensitive). */
export const SENSITIVITY = ['public', 'vehicle', 'personal', 'sensitive', 'important'] as const;
export type Sensitivity = (typeof SENSITIVITY)[number];
/** What vouches for the unit's software, weakest first. */
export const ATTESTATION = ['none', 'software', 'secureBoot', 'tpm', 'tee'] as const;
export type Attestation = (typeof ATTESTATION)[number];
const EQUAL = ['eq', 'neq'] as const;

export const OPERANDS: Readonly<Record<string, OperandInfo>> = {
  purpose: { type: 'purpose', phase: 'stream', operators: ['eq', 'neq', ...SETS] },
  recipient: { type: 'party', phase: 'stream', operators: ['eq', 'neq', ...SETS] },
  dateTime: { type: 'dateTime', phase: 'time', operators: [...EQUAL, ...ORDER] },
  'auto:timeOfDay': { type: 'timeOfDay', phase: 'time', operators: ORDER },
  'auto:dayOfWeek': { type: 'day', phase: 'time', operators: ['eq', 'neq', 'isAnyOf', 'isNoneOf'] },
  'auto:recipientRole': { type: 'id', phase: 'recipient', operators: [...EQUAL, ...SETS] },
  'auto:recipientCredit': { type: 'number', phase: 'recipient', operators: [...EQUAL, ...ORDER] },
  'auto:recipientRegion': { type: 'region', phase: 'recipient', operators: [...EQUAL, ...SETS] },
  'auto:region': { type: 'region', phase: 'unit', operators: [...EQUAL, ...SETS] },
  'auto:attestation': { type: 'level', phase: 'unit', operators: [...EQUAL, ...ORDER], levels: ATTESTATION },
  'auto:sensitivity': { type: 'level', phase: 'signal', operators: [...EQUAL, ...ORDER], levels: SENSITIVITY },
  'auto:vehicleSpeed': { type: 'number', phase: 'context', operators: ['eq', 'neq', ...ORDER], context: 'speed' },
  'auto:ignition': { type: 'switch', phase: 'context', operators: ['eq', 'neq'], context: 'ignition' },
  'auto:gear': {
    type: 'number',
    phase: 'context',
    operators: ['eq', 'neq', ...ORDER, 'isAnyOf', 'isNoneOf'],
    context: 'gear',
  },
  'auto:driveMode': {
    type: 'number',
    phase: 'context',
    operators: [...EQUAL, 'isAnyOf', 'isNoneOf'],
    context: 'driveMode',
  },
  'auto:occupants': { type: 'number', phase: 'context', operators: ['eq', 'neq', ...ORDER], context: 'occupants' },
  'auto:crash': { type: 'switch', phase: 'context', operators: ['eq', 'neq'], context: 'crash' },
  'auto:position': {
    type: 'place',
    phase: 'context',
    operators: ['isPartOf', 'isAnyOf', 'isNoneOf'],
    context: 'position',
  },
  'auto:aggregationWindow': { type: 'duration', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:sampling': { type: 'duration', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:precision': { type: 'number', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:minSamples': { type: 'number', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:kMin': { type: 'number', phase: 'transform', operators: ['gteq'] },
  'auto:rate': { type: 'number', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  /** Privacy loss of one value: noise is demanded, and at least so much. */
  'auto:epsilon': { type: 'number', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  /** A pseudonym is demanded, and that it changes at least so often. */
  'auto:pseudonymPeriod': { type: 'duration', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:tripEndTime': { type: 'duration', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  'auto:tripEndDistance': { type: 'number', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  timeInterval: { type: 'duration', phase: 'transform', operators: ['eq', 'neq', ...ORDER] },
  count: { type: 'number', phase: 'counter', operators: ['lt', 'lteq'] },
  'auto:bytes': { type: 'number', phase: 'counter', operators: ['lt', 'lteq'] },
  /** Privacy loss of all values of a signal together. */
  'auto:budget': { type: 'number', phase: 'counter', operators: ['lt', 'lteq'] },
  /** After so much of UTC the budget is a new one; without it there is one for ever. */
  'auto:budgetPeriod': { type: 'duration', phase: 'counter', operators: ['eq', 'gteq'], most: 366 * 86_400_000 },
};

/** Role of a recipient that adds up many subjects before anyone sees a value: only it can hold `auto:kMin`. */
export const AGGREGATION_SERVICE = 'auto:AggregationService';

/** Known words that this version cannot enforce, with the reason that the refusal gives. */
export const UNENFORCED_OPERANDS: Readonly<Record<string, string>> = {
  elapsedTime: 'it stands in the constraint of a duty to delete, and only there',
  delayPeriod: 'it stands in the constraint of a duty to delete, and only there',
  'auto:consentScope': 'the consent that carries the agreement has a scope of its own',
  'auto:consentState': 'an agreement is in force as long as the consent that carries it is',
  'auto:maxStatusAge': 'the limit of the unit holds for every status list',
};

/** What the unit does with a value; each includes those that point to it. `use` is the root (ODRL Vocabulary §4.6.35). */
const ACTION_PARENT: Readonly<Record<string, string | null>> = {
  use: null,
  read: 'use',
  derive: 'use',
  store: 'use',
  distribute: 'use',
  aggregate: 'derive',
  anonymize: 'derive',
  train: 'derive',
  display: 'use',
};
export const ACTIONS = Object.keys(ACTION_PARENT);

/** Actions that happen at the recipient: a permission for one opens nothing here, a prohibition cannot be enforced here. */
export const FOREIGN_ACTIONS: readonly string[] = ['train', 'display'];

/**
 * What a duty may ask beside a transform. `delete` is done by the recipient, who answers with a deletion receipt; the
 * others nobody here can do, so what stands under them does not leave.
 */
export const DUTY_ACTIONS: readonly string[] = ['delete', 'inform', 'compensate', 'obtainConsent', 'attribute'];

/** Whether `action` is `of` or lies below it. */
export function includesAction(of: string, action: string): boolean {
  for (let at: string | null = action; at !== null; at = ACTION_PARENT[at] ?? null) if (at === of) return true;
  return false;
}

/** Known purposes and what each is a kind of; any other id is a purpose without kin. */
const PURPOSE_PARENT: Readonly<Record<string, string | null>> = {
  'auto:AnyPurpose': null,
  'auto:Insurance': 'auto:AnyPurpose',
  'auto:UbiInsurance': 'auto:Insurance',
  'auto:ClaimsHandling': 'auto:Insurance',
  'auto:BatteryPassport': 'auto:AnyPurpose',
  'auto:BatteryHealth': 'auto:BatteryPassport',
  'auto:Navigation': 'auto:AnyPurpose',
  'auto:TrafficInformation': 'auto:Navigation',
  'auto:Maintenance': 'auto:AnyPurpose',
  'auto:PredictiveMaintenance': 'auto:Maintenance',
  'auto:RoadSafety': 'auto:AnyPurpose',
  'auto:FleetManagement': 'auto:AnyPurpose',
  'auto:Research': 'auto:AnyPurpose',
  'auto:ModelTraining': 'auto:Research',
  'auto:Advertising': 'auto:AnyPurpose',
  'auto:TargetedAdvertising': 'auto:Advertising',
};
export const PURPOSES = Object.keys(PURPOSE_PARENT);

/** Whether `purpose` is `of` or a kind of it. */
export function isPurpose(purpose: string, of: string): boolean {
  if (of === 'auto:AnyPurpose') return true;
  for (let at: string | null = purpose; at !== null; at = PURPOSE_PARENT[at] ?? null) if (at === of) return true;
  return false;
}

/** Bit i stands for day i of the week. */
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const EU = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' ');
/** Groups of countries (ISO 3166-1), as places above them. */
const REGION_GROUPS: Readonly<Record<string, readonly string[]>> = {
  'auto:EU': EU,
  'auto:EEA': [...EU, 'IS', 'LI', 'NO'],
};

/** Whether `region` is `of` or lies in it: `DE-BY` in `DE` (ISO 3166-2) in `auto:EU` in `auto:World`. */
export function isRegion(region: string, of: string): boolean {
  if (of === 'auto:World' || region === of || region.startsWith(`${of}-`)) return true;
  return REGION_GROUPS[of]?.includes(region.split('-')[0]!) ?? false;
}
