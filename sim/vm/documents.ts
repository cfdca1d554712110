import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));
const RECIPIENT = 'did:web:battery.example';
const DRIVE_SECONDS = 12;

/** What the guest's agent is configured with, made on the host. */
export interface GuestDocuments {
  /** Files of the guest: path there → path here. */
  readonly files: Readonly<Record<string, string>>;
  /** The recipient's keys, for a receiver on the host. */
  readonly recipient: string;
}

/** @param broker as the guest sees it, null where it has none */
export function guestDocuments(folder: string, broker: string | null): GuestDocuments {
  const command = (...args: string[]) => {
    const done = spawnSync(
      process.execPath,
      ['--disallow-code-generation-from-strings', join(project, 'cli', 'tollgate.mjs'), ...args],
      { encoding: 'utf8' },
    );
    if (done.status !== 0) throw new Error(`tollgate ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  };
  const example = join(project, 'policies', 'examples', 'battery');
  const vehicle = join(project, 'dbc', 'databases', 'tollgate-vehicle');
  const keys = join(folder, 'keys');
  mkdirSync(keys, { recursive: true });
  command('enroll', '--local', keys, '--recipient', RECIPIENT, '--trust', join(example, 'agreement.json'));
  const log = join(folder, 'drive.log');
  command('sim', 'drive', '--seconds', String(DRIVE_SECONDS), '--seed', '1', '--out', log);
  const write = (name: string, state: string, keys: string, uplink: string) => {
    const file = join(folder, name);
    writeFileSync(file, config(state, keys, uplink));
    return file;
  };
  const uplink = broker === null ? '' : `uplink: { url: "${broker}", protocol: 5, tenant: vm }\n`;
  return {
    recipient: join(keys, 'recipient'),
    files: {
      'etc/tollgate/tollgate.yaml': write('tollgate.yaml', '/tmp/state', 'keys/unit', ''),
      'etc/tollgate/power-cut.yaml': write('power-cut.yaml', '/data/state', '/data/keys', uplink),
      'etc/tollgate/keys/unit': join(keys, 'unit'),
      'etc/tollgate/can0.dbc': `${vehicle}.dbc`,
      'etc/tollgate/can0.mapping.yaml': `${vehicle}.mapping.yaml`,
      'etc/tollgate/campaign.yaml': join(example, 'campaign.yaml'),
      'etc/tollgate/agreement.json': join(example, 'agreement.json'),
      'guest/drive.log': log,
    },
  };
}

/** The simulated drive is played onto can0; the agent hears it on can1, over the bus. */
function config(state: string, keys: string, uplink: string): string {
  return `version: 1
unit: { state: ${state}, keys: ${keys} }
sources: [{ name: can1, type: can, dbc: can0.dbc, mapping: can0.mapping.yaml }]
context: { ignition: assume-on, position: none }
documents: { campaigns: [campaign.yaml], agreements: [agreement.json] }
${uplink}`;
}
