import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trustAgreements, writeEnrolment } from '#agent/keys';
import { enrolment } from '#trust';

/** A database of three messages: a recipient gets the first and the third, the owner keeps the second. */
export const DBC = `VERSION ""
NS_ :
BS_:
BU_: ECU

BO_ 256 Motion: 8 ECU
 SG_ Speed : 0|16@1+ (0.01,0) [0|655.35] "km/h" Vector__XXX
 SG_ Throttle : 16|8@1+ (0.5,0) [0|127.5] "%" Vector__XXX

BO_ 512 Steering: 4 ECU
 SG_ Angle : 0|16@1- (0.1,0) [-3276.8|3276.7] "deg" Vector__XXX

BO_ 768 Battery: 4 ECU
 SG_ Charge : 0|16@1+ (0.01,0) [0|655.35] "%" Vector__XXX
`;

export const INSURER = 'did:web:insurer.example';
export const WORKSHOP = 'did:web:workshop.example';

/** 2026-01-01T00:00:00Z, s. */
const LOG_START_S = 1_767_225_600;
const MOTION_MS = 10;
const STEERING_MS = 20;
const BATTERY_MS = 100;

const hex = (value: number, bytes: number) => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, bytes);
  return buffer.toString('hex').toUpperCase();
};

/** Raw integers of the log at a time, as their messages carry them. */
export const raw = {
  speed: (ms: number) => 5_000 + ((ms / MOTION_MS) % 4_001),
  throttle: (ms: number) => (ms / MOTION_MS) % 200,
  angle: (ms: number) => (ms / STEERING_MS) % 300,
  charge: (ms: number) => 8_000 - Math.floor(ms / BATTERY_MS),
};

function line(ms: number, id: string, data: string): string {
  const s = LOG_START_S + Math.floor(ms / 1_000);
  return `(${s}.${String(ms % 1_000).padStart(3, '0')}000) can0 ${id}#${data}\n`;
}

/** A log in the form of `candump -L`: Motion every 10 ms, Steering every 20 ms, Battery every 100 ms. */
export function logText(seconds: number): string {
  let text = '';
  for (let ms = 0; ms < seconds * 1_000; ms += MOTION_MS) {
    text += line(ms, '100', `${hex(raw.speed(ms), 2)}${hex(raw.throttle(ms), 1)}0000000000`);
    if (ms % STEERING_MS === 0) text += line(ms, '200', `${hex(raw.angle(ms), 2)}0000`);
    if (ms % BATTERY_MS === 0) text += line(ms, '300', `${hex(raw.charge(ms), 2)}0000`);
  }
  return text;
}

export interface CampaignText {
  readonly name: string;
  readonly recipient?: string;
  readonly priority?: number;
  /** `trigger.every`; absent: every sample. */
  readonly trigger?: string;
  /** `record.every`. */
  readonly record: string;
  /** Lines of `signals:` without the dash. */
  readonly signals: readonly string[];
}

export function campaignText({
  name,
  recipient = INSURER,
  priority = 3,
  trigger,
  record,
  signals,
}: CampaignText): string {
  return `campaign: ${name}
version: 1
recipient: ${recipient}
purpose: auto:UbiInsurance
priority: ${priority}
${trigger === undefined ? '' : `trigger: { every: ${trigger} }\n`}signals:
${signals.map((signal) => `  - ${signal}\n`).join('')}record: { every: ${record} }
`;
}

export interface AgreementText {
  readonly uid: string;
  readonly assignee?: string;
  readonly permit: readonly string[];
  readonly deny?: readonly string[];
  /** Constraints beside the purpose. */
  readonly constraints?: readonly Readonly<Record<string, unknown>>[];
}

export function agreementText({ uid, assignee = INSURER, permit, deny = [], constraints = [] }: AgreementText): string {
  const agreement = {
    '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
    '@type': 'Agreement',
    uid,
    profile: 'https://tollgate.example/ns/auto-odrl/1',
    conflict: 'prohibit',
    'auto:version': 1,
    assigner: 'did:key:zOwner',
    assignee,
    permission: [
      {
        uid: '#p1',
        target: permit,
        action: 'distribute',
        constraint: [{ leftOperand: 'purpose', operator: 'isA', rightOperand: 'auto:UbiInsurance' }, ...constraints],
      },
    ],
    ...(deny.length === 0
      ? {}
      : { prohibition: deny.map((target, i) => ({ uid: `#n${i + 1}`, target, action: 'use' })) }),
  };
  return JSON.stringify(agreement, null, 1);
}

export interface UnitFolderOptions {
  readonly campaigns?: readonly CampaignText[];
  readonly agreements?: readonly AgreementText[];
  readonly recipients?: readonly string[];
  readonly context?: Readonly<Record<string, string>>;
  /** Length of the log, s. */
  readonly seconds?: number;
  /** Place of the folder; the system's temporary folder without it. */
  readonly place?: string;
}

export interface ConfigOptions {
  /** URL of the broker; without it the unit has no uplink. */
  readonly url?: string | undefined;
  readonly protocol?: 5 | 4;
  readonly realtime?: boolean;
  readonly log?: string;
  readonly maxBytes?: string;
  readonly groupCommit?: string;
  readonly window?: number;
  /** Name of the file, so that one unit has several. */
  readonly name?: string;
}

/** Everything that a unit and its recipients are made of, on disk. */
export interface UnitFolder {
  readonly path: string;
  readonly state: string;
  readonly keys: string;
  readonly log: string;
  /** Key folders of the recipients, in their order. */
  readonly recipients: readonly string[];
  file(name: string): string;
  /** Writes a configuration of this unit and returns its path. */
  config(options: ConfigOptions): string;
  remove(): void;
}

export const UBI: CampaignText = {
  name: 'ubi',
  record: '200ms',
  signals: ['{ signal: "dbc:Motion.Speed", operation: raw }', '{ signal: "dbc:Steering.Angle", operation: raw }'],
};

export const UBI_AGREEMENT: AgreementText = {
  uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01',
  permit: ['dbc:Motion.Speed', 'dbc:Motion.Throttle', 'dbc:Battery.Charge'],
  deny: ['dbc:Steering.Angle'],
};

export async function unitFolder(options: UnitFolderOptions = {}): Promise<UnitFolder> {
  const {
    campaigns = [UBI],
    agreements = [UBI_AGREEMENT],
    recipients = [INSURER],
    context = { ignition: 'assume-on' },
    seconds = 2,
  } = options;
  const path = mkdtempSync(join(options.place ?? tmpdir(), 'tollgate-unit-'));
  const file = (name: string) => join(path, name);
  for (const folder of ['campaigns', 'agreements']) mkdirSync(file(folder));
  writeFileSync(file('car.dbc'), DBC);
  writeFileSync(file('drive.log'), logText(seconds));
  for (const campaign of campaigns) writeFileSync(file(`campaigns/${campaign.name}.yaml`), campaignText(campaign));
  const names = agreements.map((agreement, i) => {
    const name = file(`agreements/a${i}.json`);
    writeFileSync(name, agreementText(agreement));
    return name;
  });
  const keys = file('keys');
  await writeEnrolment(keys, enrolment({ recipients, random: (bytes) => randomBytes(bytes) }));
  const hashes = names.map((name) => createHash('sha256').update(readFileSync(name)).digest('hex'));
  await trustAgreements(join(keys, 'unit'), hashes);
  const config = (settings: ConfigOptions): string => {
    const { url, protocol = 4, realtime = false, log = 'drive.log', window = 16, name = 'tollgate.yaml' } = settings;
    const text = {
      version: 1,
      unit: { role: 'vehicle', state: './state', keys: './keys/unit' },
      sources: [{ name: 'can0', type: 'candump', path: log, dbc: 'car.dbc', realtime }],
      context,
      documents: { campaigns: ['campaigns/*.yaml'], agreements: ['agreements/*.json'] },
      store: { maxBytes: settings.maxBytes ?? '64MiB', groupCommit: settings.groupCommit ?? '50ms' },
      ...(url === undefined ? {} : { uplink: { url, protocol, tenant: 't1', window } }),
    };
    // JSON is YAML.
    writeFileSync(file(name), JSON.stringify(text, null, 1));
    return file(name);
  };
  return {
    path,
    state: file('state'),
    keys: join(keys, 'unit'),
    log: file('drive.log'),
    recipients: recipients.map((_, i) => join(keys, i === 0 ? 'recipient' : `recipient-${i + 1}`)),
    file,
    config,
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
