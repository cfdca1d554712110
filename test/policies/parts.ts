import type { SignalInfo } from '#contracts';
import {
  type Agreement,
  type Campaign,
  loadAgreement,
  loadCampaign,
  type PlanInput,
  type SignalCatalogue,
} from '#policies';

export const CONTEXT = [
  'http://www.w3.org/ns/odrl.jsonld',
  { auto: 'https://tollgate.example/ns/auto-odrl/1#' },
] as const;
export const PROFILE = 'https://tollgate.example/ns/auto-odrl/1';
export const INSURER = 'did:web:insurer.example';
export const OTHER = 'did:web:other.example';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** An agreement of the insurer with the fields of `change` in place of its own. */
export function agreementJson(change: Record<string, Json> = {}): Record<string, Json> {
  return {
    '@context': CONTEXT as unknown as Json,
    '@type': 'Agreement',
    uid: 'urn:uuid:00000000-0000-4000-8000-000000000001',
    profile: PROFILE,
    conflict: 'prohibit',
    'auto:version': 1,
    assigner: 'did:key:zOwner',
    assignee: INSURER,
    ...change,
  };
}

export function agreement(change: Record<string, Json> = {}): Agreement {
  return agreementOf(JSON.stringify(agreementJson(change), null, 1));
}

export function agreementOf(text: string): Agreement {
  return loadAgreement(new TextEncoder().encode(text), { file: 'agreement.json' });
}

export function lawPack(change: Record<string, Json>): Agreement {
  const { assigner: _, assignee: __, ...rest } = agreementJson({ '@type': 'Set', uid: 'urn:law:test', ...change });
  return agreementOf(JSON.stringify(rest));
}

export function atom(leftOperand: string, operator: string, rightOperand: Json): Json {
  return { leftOperand, operator, rightOperand };
}

export function permit(
  uid: string,
  target: Json,
  constraint: readonly Json[] = [],
  refinement: readonly Json[] = [],
): Json {
  return {
    uid,
    target,
    action: refinement.length === 0 ? 'distribute' : [{ value: 'distribute', refinement }],
    ...(constraint.length === 0 ? {} : { constraint }),
  };
}

export function prohibit(uid: string, target: Json, constraint: readonly Json[] = [], action = 'use'): Json {
  return { uid, target, action, ...(constraint.length === 0 ? {} : { constraint }) };
}

export interface CampaignChange {
  readonly name?: string;
  readonly recipient?: string;
  readonly purpose?: string;
  readonly every?: string;
  readonly expires?: string;
  readonly context?: readonly string[];
  /** `Vehicle.Speed raw`, or whole entries. */
  readonly signals: readonly string[];
}

export function campaign({ name, recipient, purpose, every, expires, context, signals }: CampaignChange): Campaign {
  const entries = signals.map((entry) =>
    entry.startsWith('{') ? entry : `{ signal: "${entry.split(' ')[0]}", operation: ${entry.split(' ')[1] ?? 'raw'} }`,
  );
  const text = [
    `campaign: ${name ?? 'ubi'}`,
    'version: 1',
    `recipient: ${recipient ?? INSURER}`,
    `purpose: ${purpose ?? 'auto:UbiInsurance'}`,
    ...(expires === undefined ? [] : [`expires: ${expires}`]),
    ...(every === undefined ? [] : [`trigger: { every: ${every} }`]),
    'signals:',
    ...entries.map((entry) => `  - ${entry}`),
    ...(context === undefined ? [] : [`context: [${context.join(', ')}]`]),
  ].join('\n');
  return loadCampaign(text, { file: 'campaign.yaml' });
}

export function signal(name: string, dbc: string, change: Partial<SignalInfo> = {}): SignalInfo {
  const [message, field] = dbc.split('.') as [string, string];
  return {
    name,
    dbcName: `dbc:${dbc}`,
    channel: 0,
    message,
    signal: field,
    id: message.length,
    unit: '',
    f: 1,
    o: 0,
    factor: 1,
    offset: 0,
    type: 'int',
    signed: false,
    bits: 16,
    ...change,
  };
}

export function catalogueOf(signals: readonly SignalInfo[]): SignalCatalogue {
  const byName = new Map(
    signals.flatMap(
      (info) =>
        [
          [info.name, info],
          [info.dbcName, info],
        ] as const,
    ),
  );
  return { signals, byName };
}

export const SIGNALS = catalogueOf([
  signal('Vehicle.Speed', 'Motion.Speed', { unit: 'km/h' }),
  signal('Vehicle.Chassis.Brake.PedalPosition', 'Pedals.Brake'),
  signal('Vehicle.Chassis.SteeringWheel.Angle', 'Steering.Angle', { signed: true }),
  signal('Vehicle.CurrentLocation.Latitude', 'Position.Lat', { unit: 'degrees', f: 1e-7, signed: true, bits: 32 }),
  signal('Vehicle.CurrentLocation.Longitude', 'Position.Lon', { unit: 'degrees', f: 1e-7, signed: true, bits: 32 }),
  signal('Vehicle.CurrentLocation.Heading', 'Course.Heading', { unit: 'degrees' }),
  signal('Vehicle.Ignition', 'Body.Ignition', { bits: 1 }),
  signal('Vehicle.Current', 'Battery.Current', { factor: -1 }),
  signal('dbc:Raw.THROTTLE', 'Raw.THROTTLE'),
  signal('dbc:Raw.SERIAL', 'Raw.SERIAL', { type: 'wide', bits: 64 }),
]);

export function input(change: Partial<PlanInput>): PlanInput {
  return {
    campaigns: [],
    agreements: [],
    lawPacks: [],
    signals: SIGNALS,
    context: {},
    nowUtcMs: Date.UTC(2026, 0, 1),
    ...change,
  };
}
