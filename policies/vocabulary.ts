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
  | 'duration';

/**
 * When an operand has a value: `stream`: known for a recipient and campaign when the plan is made; `time`, `context`:
 * the gate asks again and again; `transform`: a parameter of the operation, so a refinement by it is a demand.
 */
export type OperandPhase = 'stream' | 'time' | 'context' | 'transform';

export interface OperandInfo {
  readonly type: OperandType;
  readonly phase: OperandPhase;
  readonly operators: readonly Operator[];
  /** Key of the configuration's `context:`, for phase `context`. */
  readonly context?: string;
}

export const OPERANDS: Readonly<Record<string, OperandInfo>> = {
  purpose: { type: 'purpose', phase: 'stream', operators: ['eq', 'neq', ...SETS] },
  recipient: { type: 'party', phase: 'stream', operators: ['eq', 'neq', ...SETS] },
  dateTime: { type: 'dateTime', phase: 'time', operators: ORDER },
  'auto:timeOfDay': { type: 'timeOfDay', phase: 'time', operators: ORDER },
  'auto:dayOfWeek': { type: 'day', phase: 'time', operators: ['eq', 'neq', 'isAnyOf', 'isNoneOf'] },
  'auto:vehicleSpeed': { type: 'number', phase: 'context', operators: ['eq', 'neq', ...ORDER], context: 'speed' },
  'auto:ignition': { type: 'switch', phase: 'context', operators: ['eq', 'neq'], context: 'ignition' },
  'auto:gear': {
    type: 'number',
    phase: 'context',
    operators: ['eq', 'neq', ...ORDER, 'isAnyOf', 'isNoneOf'],
    context: 'gear',
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
};

/** Known words that this version cannot enforce, with the reason that the refusal gives. */
export const UNENFORCED_OPERANDS: Readonly<Record<string, string>> = {
  count: 'counters are not yet kept with the outbox',
  elapsedTime: 'there is no scheduler for duties yet',
  delayPeriod: 'there is no scheduler for duties yet',
  timeInterval: 'recurring intervals are not evaluated yet; auto:timeOfDay and auto:dayOfWeek are',
  'auto:rate': 'counters are not yet kept with the outbox',
  'auto:bytes': 'counters are not yet kept with the outbox',
  'auto:budget': 'privacy budgets are not yet kept with the outbox',
  'auto:kMin': 'it counts subjects, which one unit cannot know; auto:minSamples counts samples of a window',
  'auto:recipientRole': 'credentials of recipients are not read yet',
  'auto:recipientCredit': 'credentials of recipients are not read yet',
  'auto:recipientRegion': 'credentials of recipients are not read yet',
  'auto:region': 'regions are not evaluated yet; auto:position with a polygon is',
  'auto:driveMode': 'there is no source of the drive mode',
  'auto:sensitivity': 'signals carry no class yet; name the signals or their branch',
  'auto:consentScope': 'consent is not yet scoped; withdraw the agreement instead',
  'auto:consentState': 'consent is not yet scoped; withdraw the agreement instead',
  'auto:attestation': 'there is no attestation yet',
  'auto:maxStatusAge': 'there is no status list yet',
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
