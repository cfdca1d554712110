import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, loadConfig } from '#agent/config/load';
import { trustAgreements, writeEnrolment } from '#agent/keys';
import { enrolment } from '#trust';
import { documentsFor, vehicleDocuments } from './documents.ts';

/** A fleet of one, ready to drive: configuration, keys, and the folders of the recipients. */
export interface DemoSetup {
  readonly config: Config;
  readonly recipients: readonly { readonly did: string; readonly folder: string }[];
  /** Key folder of the unit. */
  readonly keys: string;
  readonly state: string;
}

const VEHICLE = fileURLToPath(new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url));
const MAPPING = fileURLToPath(new URL('../../dbc/databases/tollgate-vehicle.mapping.yaml', import.meta.url));

/** @param folder empty folder of this demo */
export async function prepare(
  folder: string,
  broker: string,
  { source }: { readonly source: { readonly log: string; readonly dbc: string } | null },
): Promise<DemoSetup> {
  const documents = source === null ? vehicleDocuments() : await documentsFor(source.dbc, folder);
  const keys = join(folder, 'keys');
  await writeEnrolment(keys, enrolment({ recipients: documents.recipients, random: (size) => randomBytes(size) }));
  const hashes = await Promise.all(
    documents.agreements.map(async (file) =>
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    ),
  );
  await trustAgreements(join(keys, 'unit'), hashes);
  const bus =
    source === null
      ? { name: 'can0', type: 'simulator', dbc: VEHICLE, mapping: MAPPING }
      : { name: 'can0', type: 'candump', path: source.log, dbc: source.dbc };
  const file = join(folder, 'tollgate.yaml');
  // JSON is YAML: the demo's configuration goes the way of every other one.
  const text = {
    version: 1,
    unit: { role: 'vehicle', state: './state', keys: './keys/unit' },
    sources: [source === null ? bus : { ...bus, path: resolve(source.log), dbc: resolve(source.dbc) }],
    context: documents.context,
    documents: { campaigns: documents.campaigns, agreements: documents.agreements },
    uplink: { url: broker, protocol: 4, tenant: 'demo' },
  };
  await writeFile(file, JSON.stringify(text, null, 1));
  return {
    config: await loadConfig(file),
    recipients: documents.recipients.map((did, i) => ({
      did,
      folder: join(keys, i === 0 ? 'recipient' : `recipient-${i + 1}`),
    })),
    keys: join(keys, 'unit'),
    state: join(folder, 'state'),
  };
}
