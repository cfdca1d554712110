import { join } from 'node:path';
import type { Config } from '#agent/config/load';
import { DocumentFolder, type Recovered, recover } from '#agent/control/index';
import { type Documents, planned } from '#agent/documents';
import type { UnitKeys } from '#agent/keys';
import { TollgateError } from '#contracts';
import { nodeCrypto, parseVerifierKey } from '#ledger';
import { accept, type ConsentState, type InForce, inForce, readConsentDocument } from '#policies/consent/index';

/** What the owner of a unit has said, by the documents that the unit keeps and those of its configuration. */
export interface Consents extends Omit<Recovered, 'state'> {
  readonly state: ConsentState;
  readonly now: InForce;
}

/** Reads only: an agent may be running. null for a unit that was enrolled without an owner. */
export async function consentsOf(config: Config, keys: UnitKeys, documents: Documents): Promise<Consents | null> {
  const { issuers, verifierKey } = keys;
  if (issuers === null) return null;
  const nowMs = Date.now();
  const unit = parseVerifierKey(verifierKey, nodeCrypto).name;
  const judge = { unit, standing: new Set(issuers.standing), catalogue: documents };
  const kept = await new DocumentFolder(join(config.unit.state, 'consent')).read();
  const recovered = recover(kept, { issuers, judge, bare: documents.bare.map(({ uid }) => uid) });
  let { state } = recovered;
  for (const { file, bytes } of documents.credentials) {
    try {
      ({ state } = accept(state, readConsentDocument(bytes, file, issuers.pinned), { ...judge, nowMs }));
    } catch (error) {
      // The unit took it, or a later one, before.
      if (!(error instanceof TollgateError)) throw error;
    }
  }
  return { ...recovered, state, now: inForce(state, nowMs) };
}

/** The documents with the plan that the consents make now. */
export function documentsNow(documents: Documents, consents: Consents | null): Documents {
  if (consents === null) return documents;
  const { state, withdrawn, sold, now } = consents;
  const bare = sold ? [] : documents.bare;
  const others = bare.filter(({ uid }) => !withdrawn.has(uid) && !state.ended.has(uid) && !state.agreements.has(uid));
  return planned(documents, [...others, ...now.agreements], now.recipients, Date.now());
}
