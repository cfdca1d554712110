import type { DecisionRequest } from '#policies';
import { attribute, type CedarRequest, PURPOSE_KINDS, REGION_PARTS } from './cedar.ts';
import type { Box, Condition, PolicySpec, RuleSpec, Value } from './spec.ts';

export const SIGNAL_NAMES = [
  'Vehicle.Speed',
  'Vehicle.Chassis.Brake.PedalPosition',
  'Vehicle.Chassis.SteeringWheel.Angle',
  'Vehicle.CurrentLocation.Latitude',
  'Vehicle.CurrentLocation.Longitude',
  'Vehicle.Current',
] as const;
/** Targets, and the signals of each, told by hand. */
export const TARGETS: Readonly<Record<string, readonly string[]>> = {
  'vss:Vehicle': SIGNAL_NAMES,
  'vss:Vehicle.Speed': ['Vehicle.Speed'],
  'dbc:Motion.Speed': ['Vehicle.Speed'],
  'vss:Vehicle.Chassis': ['Vehicle.Chassis.Brake.PedalPosition', 'Vehicle.Chassis.SteeringWheel.Angle'],
  'vss:Vehicle.Chassis.*.Angle': ['Vehicle.Chassis.SteeringWheel.Angle'],
  'vss:**.PedalPosition': ['Vehicle.Chassis.Brake.PedalPosition'],
  'vss:Vehicle.CurrentLocation': ['Vehicle.CurrentLocation.Latitude', 'Vehicle.CurrentLocation.Longitude'],
  'vss:Vehicle.Cur*': ['Vehicle.CurrentLocation.Latitude', 'Vehicle.CurrentLocation.Longitude', 'Vehicle.Current'],
  'vss:Vehicle.Nothing': [],
};
export const RECIPIENTS = ['did:web:a.example', 'did:web:b.example'] as const;
const ACTIONS = ['use', 'distribute', 'read', 'derive', 'store', 'aggregate', 'anonymize'] as const;
const REQUESTED = [
  'distribute',
  'distribute',
  'distribute',
  'read',
  'derive',
  'store',
  'aggregate',
  'display',
  'use',
] as const;
const PURPOSES = Object.keys(PURPOSE_KINDS);
const REGIONS = Object.keys(REGION_PARTS);
const ROLES = ['x:insurer', 'x:repair', 'x:bank'];
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const SETS = ['isA', 'isAnyOf', 'isNoneOf', 'isAllOf', 'isPartOf', 'hasPart'];
const EQUAL = ['eq', 'neq'];
const ORDER = ['lt', 'lteq', 'gt', 'gteq'];
const BOXES: readonly Box[] = [
  [0, 0, 40, 40],
  [20, 20, 60, 60],
  [-30, 100, 10, 120],
];
const T0 = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;

/** Operators that each operand takes; the whole table of the profile, as far as another engine can say it. */
export const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  purpose: [...EQUAL, ...SETS],
  recipient: [...EQUAL, ...SETS],
  'auto:recipientRole': [...EQUAL, ...SETS],
  'auto:recipientRegion': [...EQUAL, ...SETS],
  'auto:recipientCredit': [...EQUAL, ...ORDER],
  'auto:attestation': [...EQUAL, ...ORDER],
  'auto:sensitivity': [...EQUAL, ...ORDER],
  dateTime: [...EQUAL, ...ORDER],
  'auto:timeOfDay': ORDER,
  'auto:dayOfWeek': [...EQUAL, 'isAnyOf', 'isNoneOf'],
  'auto:vehicleSpeed': [...EQUAL, ...ORDER],
  'auto:gear': [...EQUAL, ...ORDER, 'isAnyOf', 'isNoneOf'],
  'auto:driveMode': [...EQUAL, 'isAnyOf', 'isNoneOf'],
  'auto:occupants': [...EQUAL, ...ORDER],
  'auto:ignition': EQUAL,
  'auto:crash': EQUAL,
  'auto:position': ['isPartOf', 'isAnyOf', 'isNoneOf'],
  'auto:aggregationWindow': [...EQUAL, ...ORDER],
  'auto:sampling': [...EQUAL, ...ORDER],
  'auto:precision': [...EQUAL, ...ORDER],
  'auto:minSamples': [...EQUAL, ...ORDER],
};
const TRANSFORMS = ['auto:aggregationWindow', 'auto:sampling', 'auto:precision', 'auto:minSamples'];

/** Random numbers in [0, 1) that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What the unit and its recipients are, for one set of policies. */
export interface Facts {
  /** Roles, rating, region; null: no credentials. */
  readonly recipients: Readonly<
    Record<string, { roles: string[]; credit: number | null; region: string | null } | null>
  >;
  readonly attestation: 'none' | 'software' | 'secureBoot' | 'tpm' | 'tee' | null;
}

export interface Case {
  readonly policies: readonly PolicySpec[];
  readonly facts: Facts;
}

export class Generator {
  readonly #random: () => number;
  /** `operand operator kind` → how often it was written. */
  readonly written = new Map<string, number>();
  #rules = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #some<T>(list: readonly T[], most: number): readonly T[] {
    const from = this.#below(list.length);
    return Array.from({ length: 1 + this.#below(most) }, (_, i) => list[(from + i) % list.length]!);
  }

  /**
   * Policies of several parties: agreements, sets of a fleet, law packs, offers.
   *
   * @param plain without what only a plan knows: transforms, counters
   */
  case(plain: boolean): Case {
    const count = 1 + this.#below(4);
    const policies = Array.from({ length: count }, (_, i): PolicySpec => {
      const type = i === 0 ? 'Agreement' : this.pick(['Agreement', 'Agreement', 'Set', 'Offer'] as const);
      const law = type === 'Set' && this.#chance(0.5);
      const assignee = type === 'Agreement' || this.#chance(0.3) ? this.pick(RECIPIENTS) : null;
      const rules = Array.from({ length: 1 + this.#below(4) }, (_, j) => this.#rule(i === 0 && j === 0, law, plain));
      return { type, law, uid: `urn:x:${i}`, assignee, rules };
    });
    const credentials = () =>
      this.#chance(0.2)
        ? null
        : {
            roles: [...this.#some(ROLES, 2)],
            credit: this.#chance(0.2) ? null : this.#below(6),
            region: this.#chance(0.2) ? null : this.pick(REGIONS.filter((region) => !region.startsWith('auto:'))),
          };
    const facts: Facts = {
      recipients: Object.fromEntries(RECIPIENTS.map((did) => [did, credentials()])),
      attestation: this.#chance(0.3) ? null : this.pick(['none', 'software', 'tpm', 'tee'] as const),
    };
    return { policies, facts };
  }

  #rule(first: boolean, law: boolean, plain: boolean): RuleSpec {
    const kind = first
      ? 'permission'
      : this.pick([
          'permission',
          'permission',
          'permission',
          'prohibition',
          ...(plain ? [] : (['obligation'] as const)),
        ] as const);
    const wide = first || (kind === 'permission' && this.#chance(0.5));
    // A law pack whose prohibition reaches nothing is refused as a whole.
    const targets = Object.keys(TARGETS).filter((target) => !law || TARGETS[target]!.length > 0);
    const depth = kind === 'permission' ? 0.6 : 1.6;
    const conditions = Array.from({ length: Math.floor(this.#random() * 2 + depth) }, () =>
      this.#condition(kind, 0, plain),
    );
    const demands = kind === 'obligation' || (kind === 'permission' && !plain && this.#chance(0.15));
    const [operand, atLeast] = this.pick([
      ['auto:aggregationWindow', 5000],
      ['auto:precision', 100],
    ] as const);
    return {
      kind,
      uid: `#r${this.#rules++}`,
      target: wide ? 'vss:Vehicle' : this.pick(targets),
      action:
        kind === 'obligation'
          ? operand === 'auto:precision'
            ? 'anonymize'
            : 'aggregate'
          : wide
            ? this.pick(['use', 'distribute'])
            : this.pick(ACTIONS),
      conditions,
      members: this.#chance(0.15) ? this.#some(RECIPIENTS, 2) : null,
      demand: demands ? { operand, atLeast } : null,
      unmetDuty: kind === 'permission' && !first && this.#chance(0.08),
      budget: kind === 'permission' && !plain && this.#chance(0.1) ? 1 + this.#below(20) : null,
    };
  }

  #condition(kind: string, depth: number, plain: boolean): Condition {
    if (depth < 2 && this.#chance(0.3)) {
      const op = this.pick(['and', 'or', 'or', 'xone', 'andSequence'] as const);
      this.#note(op, '', kind);
      return { op, parts: Array.from({ length: 2 + this.#below(2) }, () => this.#condition(kind, depth + 1, plain)) };
    }
    const operands = Object.keys(OPERATORS).filter((operand) => !plain || !TRANSFORMS.includes(operand));
    const operand = this.pick(operands);
    const operator = this.pick(OPERATORS[operand]!);
    this.#note(operand, operator, kind);
    return { op: 'atom', operand, operator, value: this.#value(operand, operator) };
  }

  #note(operand: string, operator: string, kind: string): void {
    const key = `${operand} ${operator} ${kind}`;
    this.written.set(key, (this.written.get(key) ?? 0) + 1);
  }

  #value(operand: string, operator: string): Value {
    const many = ['isAnyOf', 'isNoneOf', 'isAllOf'].includes(operator) ? 3 : 1;
    const words = (list: readonly string[]): Value => ({ type: 'words', words: this.#some(list, many) });
    const numbers = (below: number): Value => ({
      type: 'numbers',
      numbers: this.#some(
        Array.from({ length: below }, (_, i) => i),
        many,
      ),
    });
    switch (operand) {
      case 'purpose':
        return words(PURPOSES);
      case 'recipient':
        return words([...RECIPIENTS, 'did:web:nobody.example']);
      case 'auto:recipientRole':
        return words(ROLES);
      case 'auto:recipientRegion':
        return words(REGIONS);
      case 'auto:recipientCredit':
        return numbers(6);
      case 'auto:attestation':
        return words(['none', 'software', 'secureBoot', 'tpm', 'tee']);
      case 'auto:sensitivity':
        return words(['public', 'vehicle', 'personal', 'sensitive', 'important']);
      case 'dateTime':
        return { type: 'instant', ms: T0 + this.#below(4) * DAY_MS };
      case 'auto:timeOfDay':
        return { type: 'time', ms: this.#below(24) * 3_600_000, zoneMinutes: this.#chance(0.5) ? 0 : 60 };
      case 'auto:dayOfWeek':
        return words(DAYS);
      case 'auto:vehicleSpeed':
        return { type: 'numbers', numbers: [this.#below(8) * 20] };
      case 'auto:gear':
      case 'auto:occupants':
      case 'auto:driveMode':
        return numbers(5);
      case 'auto:ignition':
      case 'auto:crash':
        return { type: 'switch', on: this.#chance(0.5) };
      case 'auto:position':
        return { type: 'boxes', boxes: this.#some(BOXES, operator === 'isPartOf' ? 1 : 2) };
      case 'auto:precision':
        return { type: 'numbers', numbers: [this.#below(4) * 100] };
      case 'auto:minSamples':
        return { type: 'numbers', numbers: [1 + this.#below(4)] };
      default:
        return { type: 'duration', ms: this.#below(4) * 5000 };
    }
  }

  /** One request, for us and for the judge. */
  request(facts: Facts, plain: boolean): { ours: DecisionRequest; theirs: CedarRequest } {
    const recipient = this.pick(RECIPIENTS);
    const purpose = this.pick(PURPOSES);
    const signal = this.pick(SIGNAL_NAMES);
    const action = plain ? 'distribute' : this.pick(REQUESTED);
    const context: Record<string, number> = {};
    const theirs: Record<string, number | string | readonly string[]> = { purpose, recipient };
    const maybe = (operand: string, value: number) => {
      if (this.#chance(0.1)) return;
      context[operand] = value;
      theirs[attribute(operand)] = value;
    };
    maybe('auto:vehicleSpeed', this.#below(8) * 20);
    maybe('auto:gear', this.#below(5));
    maybe('auto:occupants', this.#below(5));
    maybe('auto:driveMode', this.#below(5));
    maybe('auto:ignition', this.#below(2));
    maybe('auto:crash', this.#below(2));
    maybe('count', this.#below(20));
    this.#transforms(context, theirs, plain);
    const utcMs = this.#chance(0.1) ? null : T0 + this.#below(5 * 24) * 3_600_000;
    if (utcMs !== null) {
      theirs.dateTime = utcMs;
      theirs.time0 = utcMs % DAY_MS;
      theirs.time60 = (utcMs + 3_600_000) % DAY_MS;
      theirs.auto_dayOfWeek = DAYS[(new Date(utcMs).getUTCDay() + 6) % 7]!;
    }
    if (!this.#chance(0.1)) {
      // Half a degree off the edges of every box.
      const [latitude, longitude] = [this.#below(90) - 29.5, this.#below(120) + 0.5];
      context['auto:position latitude'] = latitude;
      context['auto:position longitude'] = longitude;
      theirs.latitude = latitude * 1e6;
      theirs.longitude = longitude * 1e6;
    }
    this.#standing(theirs, recipient, signal, facts);
    return {
      ours: { signal, action, recipient, purpose, utcMs, context },
      theirs: { signal, action, recipient, context: theirs },
    };
  }

  #transforms(context: Record<string, number>, theirs: Record<string, unknown>, plain: boolean): void {
    const none = plain || this.#chance(0.3);
    for (const [operand, value] of [
      ['auto:aggregationWindow', this.#below(4) * 5000],
      ['auto:sampling', this.#below(4) * 5000],
      ['auto:precision', this.#below(4) * 100],
      ['auto:minSamples', 1 + this.#below(4)],
    ] as const) {
      const least = operand === 'auto:minSamples' ? 1 : 0;
      if (!none) context[operand] = value;
      theirs[attribute(operand)] = none ? least : value;
    }
  }

  #standing(theirs: Record<string, unknown>, recipient: string, signal: string, facts: Facts): void {
    const about = facts.recipients[recipient] ?? null;
    if (about !== null) {
      theirs.auto_recipientRole = about.roles;
      if (about.credit !== null) theirs.auto_recipientCredit = about.credit;
      if (about.region !== null) theirs.auto_recipientRegion = about.region;
    }
    const levels = ['none', 'software', 'secureBoot', 'tpm', 'tee'];
    if (facts.attestation !== null) theirs.auto_attestation = levels.indexOf(facts.attestation);
    theirs.auto_sensitivity = signal.startsWith('Vehicle.CurrentLocation') ? 3 : 2;
  }
}
