import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import { type ImportTerms, importPolicy, loadAgreement } from '#policies';
import { jsonFiles, note, type Tally } from './odrl-suite.ts';

/** What an owner adds to a sample; every partner number of it has a DID, nothing is agreed outside. */
function terms(text: string): ImportTerms {
  const numbers = [...new Set(text.match(/BPNL[0-9A-Z]{12}/g) ?? [])];
  return {
    uid: 'urn:uuid:00000000-0000-4000-8000-00000000c0de',
    version: 1,
    assigner: 'did:key:zOwner',
    assignee: 'did:web:partner.example',
    targets: ['vss:Vehicle.Powertrain'],
    partners: Object.fromEntries(numbers.map((number) => [number, `did:web:${number.toLowerCase()}.example`])),
    mode: 'edc-all',
  };
}

/** Each sample is imported into an agreement that loads, or refused with a left operand of it named. */
export function catenaX(dir: string): Tally & { imported: number; refused: string[] } {
  const tally = { passed: 0, failed: 0, problems: [] as string[], imported: 0, refused: [] as string[] };
  for (const file of jsonFiles(join(dir, 'cx-odrl/samples'))) {
    note(tally, file.slice(dir.length + 1), () => {
      const bytes = readFileSync(file);
      const text = bytes.toString('utf8');
      try {
        const { text: agreement } = importPolicy(bytes, terms(text), { file });
        loadAgreement(new TextEncoder().encode(agreement), { file });
        tally.imported++;
        return [];
      } catch (error) {
        if (!(error instanceof TollgateError)) throw error;
        const operands = [...text.matchAll(/"leftOperand":\s*"([^"]+)"/g)].map(([, operand]) => operand!);
        const named = operands.find((operand) => error.message.includes(`${operand}:`));
        if (error.code !== 'TG_POLICY_UNSUPPORTED' || named === undefined) return [`${error.code} ${error.message}`];
        if (error.place.pointer === undefined) return ['refused without a place'];
        tally.refused.push(named);
        return [];
      }
    });
  }
  return tally;
}
