import { globSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TollgateError } from '#contracts';
import { loadDatabase } from '#dbc';
import { loadAgreement } from '#policies';

/** What the demo lets out of a log that it has never seen. */
export interface DemoDocuments {
  readonly campaigns: readonly string[];
  readonly agreements: readonly string[];
  readonly recipients: readonly string[];
  /** `context:` of the configuration. */
  readonly context: Readonly<Record<string, string>>;
}

const INSURER = 'did:web:insurer.example';
const ADVERTISER = 'did:web:adverts.example';
/** Names that speak of where and how a person drives: the made-up owner keeps them. */
const PRIVATE = /lat|lon|pos|gps|gnss|steer|phone|door|seat|belt/i;
const MOST_SIGNALS = 24;
const OWNER = 'did:key:zOwner';
const CONTEXT = ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }];
const PROFILE = 'https://tollgate.example/ns/auto-odrl/1';

/**
 * Documents for any database: an insurer gets 1 s aggregates of what is not private, an advertiser asks for everything and has no
 * agreement, the owner prohibits what is private.
 */
export async function documentsFor(dbc: string, folder: string): Promise<DemoDocuments> {
  const bytes = await readFile(dbc).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: dbc }, cause });
  });
  const { database } = loadDatabase(bytes, { file: dbc });
  const all = database.messages.flatMap(({ name, signals }) =>
    signals.filter(({ length }) => length <= 32).map((signal) => `dbc:${name}.${signal.name}`),
  );
  const kept = all.filter((name) => PRIVATE.test(name));
  // A database without a private name shows a prohibition all the same: its first signal stays in the vehicle.
  const denied = (kept.length > 0 ? kept : all.slice(0, 1)).slice(0, MOST_SIGNALS);
  const permitted = all.filter((name) => !denied.includes(name)).slice(0, MOST_SIGNALS);
  const agreement = {
    '@context': CONTEXT,
    '@type': 'Agreement',
    uid: 'urn:uuid:00000000-0000-4000-8000-00000000d001',
    profile: PROFILE,
    conflict: 'prohibit',
    'auto:version': 1,
    assigner: OWNER,
    assignee: INSURER,
    permission: [
      {
        uid: '#aggregates',
        target: permitted,
        action: [
          {
            value: 'distribute',
            refinement: [{ leftOperand: 'auto:aggregationWindow', operator: 'gteq', rightOperand: 'PT1S' }],
          },
        ],
        constraint: [{ leftOperand: 'purpose', operator: 'isA', rightOperand: 'auto:UbiInsurance' }],
      },
    ],
    prohibition: [{ uid: '#stays-in-the-vehicle', target: denied, action: 'use' }],
  };
  const files = {
    'agreement.json': JSON.stringify(agreement, null, 1),
    'insurer.yaml': campaign('insurer', INSURER, 'auto:UbiInsurance', [...permitted, ...denied]),
    'adverts.yaml': campaign('adverts', ADVERTISER, 'auto:Advertising', permitted.slice(0, 4)),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return {
    campaigns: [join(folder, 'insurer.yaml'), join(folder, 'adverts.yaml')],
    agreements: [join(folder, 'agreement.json')],
    recipients: [INSURER],
    context: { ignition: 'assume-on' },
  };
}

const EXAMPLES = fileURLToPath(new URL('../../policies/examples/', import.meta.url));

/** The example campaigns and agreements of the simulated vehicle. */
export function vehicleDocuments(): DemoDocuments {
  const agreements = globSync(`${EXAMPLES}*/agreement.json`).sort();
  const assignees = agreements.map((file) => loadAgreement(readFileSync(file), { file }).assignee);
  return {
    campaigns: globSync(`${EXAMPLES}*/campaign*.yaml`).sort(),
    agreements,
    recipients: [...new Set(assignees.filter((did) => did !== null))],
    context: { ignition: 'assume-on', speed: 'Vehicle.Speed' },
  };
}

function campaign(name: string, recipient: string, purpose: string, signals: readonly string[]): string {
  const lines = signals.map(
    (signal) => `  - { signal: "${signal}", operation: aggregate, window: 1s, results: [min, max, mean, count, last] }`,
  );
  return `campaign: ${name}
version: 1
recipient: ${recipient}
purpose: ${purpose}
priority: 3
signals:
${lines.join('\n')}
record: { every: 1s }
`;
}
