import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** `case.json` of a drive folder: what is permitted and denied, and the window of the aggregates. */
export interface DriveCase {
  readonly log: string;
  readonly dbc: string;
  /** `Message.Signal` */
  readonly permit: readonly string[];
  readonly windowS: number;
  readonly deny: readonly string[];
}

export const RECIPIENT = 'did:web:insurer.example';
export const RESULTS = ['min', 'max', 'mean', 'count', 'last'] as const;
const AGREEMENT_UID = 'urn:uuid:00000000-0000-4000-8000-0000000000d1';

export function readCase(folder: string): DriveCase {
  const raw: { log: string; dbc: string; permit: string[]; window_s: number; deny: string[] } = JSON.parse(
    readFileSync(join(folder, 'case.json'), 'utf8'),
  );
  return {
    log: join(folder, raw.log),
    dbc: join(folder, raw.dbc),
    permit: raw.permit,
    windowS: raw.window_s,
    deny: raw.deny,
  };
}

/** The insurer asks for all of it, the denied signals too: the agreement must hold them back. */
export function campaignText({ permit, deny, windowS }: DriveCase): string {
  const lines = [...permit, ...deny].map(
    (signal) =>
      `  - { signal: "dbc:${signal}", operation: aggregate, window: ${windowS}s, results: [${RESULTS.join(', ')}] }`,
  );
  return `campaign: insurer-ubi
version: 1
recipient: ${RECIPIENT}
purpose: auto:UbiInsurance
priority: 3
signals:
${lines.join('\n')}
record: { every: ${windowS}s }
`;
}

export function agreementText({ permit, deny, windowS }: DriveCase): string {
  return JSON.stringify({
    '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
    '@type': 'Agreement',
    uid: AGREEMENT_UID,
    profile: 'https://tollgate.example/ns/auto-odrl/1',
    conflict: 'prohibit',
    'auto:version': 1,
    assigner: 'did:key:zOwner',
    assignee: RECIPIENT,
    permission: [
      {
        uid: '#p1',
        target: permit.map((signal) => `dbc:${signal}`),
        action: [
          {
            value: 'distribute',
            refinement: [{ leftOperand: 'auto:aggregationWindow', operator: 'gteq', rightOperand: `PT${windowS}S` }],
          },
        ],
        constraint: [{ leftOperand: 'purpose', operator: 'isA', rightOperand: 'auto:UbiInsurance' }],
      },
    ],
    prohibition: deny.map((signal, i) => ({ uid: `#n${i + 1}`, target: `dbc:${signal}`, action: 'use' })),
  });
}

export function configText(drive: DriveCase, broker: string): string {
  return `version: 1
unit: { role: vehicle, state: ./state, keys: ./keys/unit }
sources: [{ name: can0, type: candump, path: ${JSON.stringify(drive.log)}, dbc: ${JSON.stringify(drive.dbc)} }]
context: { ignition: assume-on, position: none }
documents: { campaigns: [campaign.yaml], agreements: [agreement.json] }
uplink: { url: "${broker}", protocol: 5, tenant: t1 }
`;
}
