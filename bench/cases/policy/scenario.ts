import type { SignalInfo } from '#contracts';
import { type DecisionRequest, loadAgreement } from '#policies';
import { type CedarRequest, cedarText } from '../../../test/policies/cedar/cedar.ts';
import { seeded } from '../../../test/policies/cedar/generate.ts';
import { type Condition, odrl, type PolicySpec, type RuleSpec } from '../../../test/policies/cedar/spec.ts';

export const SIGNALS = 200;
const PER_MESSAGE = 8;
const RECIPIENTS = Array.from({ length: 4 }, (_, i) => `did:web:r${i}.example`);
const PURPOSES = ['auto:UbiInsurance', 'auto:ClaimsHandling', 'auto:Research', 'auto:ModelTraining'];
const WANTED = ['auto:Insurance', 'auto:UbiInsurance', 'auto:Research', 'auto:ModelTraining'];
const T0 = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;

/** A database of messages with eight signals of a byte each. */
export function dbcText(): string {
  const messages = Array.from({ length: SIGNALS / PER_MESSAGE }, (_, m) => {
    const signals = Array.from({ length: PER_MESSAGE }, (__, s) => ` SG_ S${s} : ${s * 8}|8@1+ (1,0) [0|255] "km/h" R`);
    return [`BO_ ${256 + m} M${m}: 8 E`, ...signals].join('\n');
  });
  return ['VERSION ""', 'BU_: E R', ...messages].join('\n\n');
}

export const nameOf = (i: number) => `dbc:M${Math.floor(i / PER_MESSAGE)}.S${i % PER_MESSAGE}`;

/** Four permissions to one prohibition, each on a run of signals of one recipient, with four constraints. */
export function policies(rules: number, seed: number): readonly PolicySpec[] {
  const random = seeded(seed);
  const below = (n: number) => Math.floor(random() * n);
  const all = Array.from({ length: rules }, (_, i): { recipient: string; rule: RuleSpec } => {
    const prohibits = i % 5 === 4;
    const first = below(SIGNALS);
    // A prohibition reaches fewer signals, so that a fair part is permitted.
    const targets = Array.from({ length: prohibits ? 4 : 20 }, (__, j) => nameOf((first + j) % SIGNALS));
    return {
      recipient: RECIPIENTS[i % RECIPIENTS.length]!,
      rule: {
        kind: prohibits ? 'prohibition' : 'permission',
        uid: `#r${i}`,
        target: targets.join(' '),
        action: 'distribute',
        conditions: conditions(below),
        members: null,
        demand: null,
        unmetDuty: false,
        budget: null,
      },
    };
  });
  return RECIPIENTS.map((assignee, i) => ({
    type: 'Agreement',
    law: false,
    uid: `urn:x:${i}`,
    assignee,
    rules: all.filter(({ recipient }) => recipient === assignee).map(({ rule }) => rule),
  }));
}

function conditions(below: (n: number) => number): readonly Condition[] {
  const atom = (operand: string, operator: string, value: Extract<Condition, { op: 'atom' }>['value']): Condition => ({
    op: 'atom',
    operand,
    operator,
    value,
  });
  const south = below(20);
  return [
    atom('purpose', 'isA', { type: 'words', words: [WANTED[below(4)]!] }),
    atom('dateTime', 'lt', { type: 'instant', ms: T0 + (1 + below(40)) * DAY_MS }),
    atom('auto:recipientCredit', 'gteq', { type: 'numbers', numbers: [below(3)] }),
    {
      op: 'or',
      parts: [
        atom('auto:vehicleSpeed', 'lt', { type: 'numbers', numbers: [40 + 20 * below(6)] }),
        atom('auto:position', 'isPartOf', { type: 'boxes', boxes: [[south, 0, south + 20, 40]] }),
      ],
    },
  ];
}

export interface Scenario {
  readonly agreements: ReturnType<typeof loadAgreement>[];
  readonly cedar: string;
  readonly requests: readonly { readonly ours: DecisionRequest; readonly theirs: CedarRequest }[];
}

export function scenario(rules: number, requests: number): Scenario {
  const specs = policies(rules, 42);
  const agreements = specs
    .filter((spec) => spec.rules.length > 0)
    .map((spec) => loadAgreement(new TextEncoder().encode(withTargets(odrl(spec))), { file: `${spec.uid}.json` }));
  const random = seeded(7);
  const below = (n: number) => Math.floor(random() * n);
  return {
    agreements,
    cedar: cedarText(specs, (target) => target.split(' ')),
    requests: Array.from({ length: requests }, () => request(below)),
  };
}

/** The spec holds a list of targets in one text. */
function withTargets(text: string): string {
  const policy = JSON.parse(text);
  for (const kind of ['permission', 'prohibition']) {
    for (const rule of policy[kind] ?? []) rule.target = rule.target.split(' ');
  }
  return JSON.stringify(policy);
}

function request(below: (n: number) => number): { ours: DecisionRequest; theirs: CedarRequest } {
  const [recipient, purpose, signal] = [RECIPIENTS[below(4)]!, PURPOSES[below(4)]!, nameOf(below(SIGNALS))];
  const [utcMs, credit, speed] = [T0 + below(40 * 24) * 3_600_000, below(6), below(8) * 20];
  const [latitude, longitude] = [below(50) + 0.5, below(50) + 0.5];
  return {
    ours: {
      signal,
      action: 'distribute',
      recipient,
      purpose,
      utcMs,
      context: {
        'auto:recipientCredit': credit,
        'auto:vehicleSpeed': speed,
        'auto:position latitude': latitude,
        'auto:position longitude': longitude,
      },
    },
    theirs: {
      recipient,
      action: 'distribute',
      signal,
      context: {
        purpose,
        dateTime: utcMs,
        auto_recipientCredit: credit,
        auto_vehicleSpeed: speed,
        latitude: latitude * 1e6,
        longitude: longitude * 1e6,
      },
    },
  };
}

/** A campaign of one recipient for all signals, raw. */
export function campaignText(recipient: number, signals: readonly SignalInfo[]): string {
  return [
    `campaign: c${recipient}`,
    'version: 1',
    `recipient: ${RECIPIENTS[recipient]}`,
    'purpose: auto:UbiInsurance',
    'signals:',
    ...signals.map(({ dbcName }) => `  - { signal: "${dbcName}", operation: raw }`),
  ].join('\n');
}
