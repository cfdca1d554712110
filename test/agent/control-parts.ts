import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '#agent/config/load';
import { Control } from '#agent/control/index';
import { documentFiles, loadDocuments, planned } from '#agent/documents';
import { loadUnitKeys, type UnitKeys } from '#agent/keys';
import { nodeCrypto, parseVerifierKey } from '#ledger';
import { coseSigner, Unit } from '../../agent/unit.ts';
import { OWNER, RATER } from '../policies/consent-parts.ts';
import type { UnitFolder } from '../system/unit-folder.ts';

/** A clock that a test sets. */
export interface TestClock {
  ms: number | null;
}

export interface Controlled {
  readonly unit: Unit;
  readonly control: Control;
  readonly keys: UnitKeys;
  /** What the log was told. */
  readonly events: string[];
  close(): Promise<void>;
}

/** Pins an owner and a rating body on the unit of a folder. */
export function pinIssuers(folder: UnitFolder, owner: string = OWNER.did): void {
  const issuers = { owner, standing: [RATER.did], documents: {} };
  writeFileSync(join(folder.keys, 'issuers.json'), JSON.stringify(issuers));
}

export interface ControlledOptions {
  readonly clock: TestClock;
  readonly anchor?: UnitKeys['anchor'];
  readonly state?: string;
}

/** A unit that takes consents, without sockets. */
export async function openControlled(
  folder: UnitFolder,
  { clock, anchor, state }: ControlledOptions,
): Promise<Controlled> {
  const config = await loadConfig(folder.config({ name: 'unit.yaml' }));
  const loaded = await loadUnitKeys(folder.keys);
  const keys = anchor === undefined ? loaded : { ...loaded, anchor };
  const { documents, problems } = await loadDocuments(documentFiles(config), keys.trusted, clock.ms, keys.issuers);
  if (documents === null || problems.length > 0) throw problems[0];
  const events: string[] = [];
  const unit = await Unit.open({
    documents: planned(documents, [], new Map(), null),
    awaitsDocuments: true,
    keys,
    state: state ?? folder.state,
    tenant: 't1',
    version: '0.0.0',
    live: false,
    maxBytes: 2 ** 30,
    groupCommitMs: 50,
  });
  const key = parseVerifierKey(keys.verifierKey, nodeCrypto);
  const control = await Control.open({
    unit,
    documents,
    issuers: keys.issuers!,
    anchor: keys.anchor,
    name: key.name,
    signer: { ...coseSigner(key), sign: (message) => keys.anchor.sign(message) },
    folder: join(state ?? folder.state, 'consent'),
    utcMs: () => clock.ms,
    log: { info: (event) => void events.push(event), warn: (event) => void events.push(event) },
  });
  return {
    unit,
    control,
    keys,
    events,
    close: async () => {
      await control.close();
      await unit.close();
    },
  };
}
