import { readFileSync } from 'node:fs';
import { TollgateError } from '#contracts';
import { importPolicy, loadAgreement } from '#policies';
import { jsonFiles, note, type Tally } from './odrl-suite.ts';

/** Messages of the Dataspace Protocol that carry an agreement or offer: imported, or refused with what is foreign named. */
export function dataspaceAgreements(dir: string): Tally {
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  const files = jsonFiles(`${dir}/dsp-schemas`).filter((file) => /\/example\/contract-agreement-message/.test(file));
  for (const file of files) {
    note(tally, file.slice(dir.length + 1), () => {
      const bytes = readFileSync(file);
      try {
        const terms = {
          uid: 'urn:uuid:00000000-0000-4000-8000-0000000000d5',
          version: 1,
          assigner: 'did:key:zOwner',
          assignee: 'did:web:partner.example',
          targets: ['vss:Vehicle.Speed'],
          mode: 'edc-all',
        } as const;
        loadAgreement(new TextEncoder().encode(importPolicy(bytes, terms, { file }).text), { file });
        return [];
      } catch (error) {
        if (!(error instanceof TollgateError)) throw error;
        return error.code === 'TG_POLICY_UNSUPPORTED' && error.place.pointer !== undefined
          ? []
          : [`${error.code} ${error.message}`];
      }
    });
  }
  return tally;
}
