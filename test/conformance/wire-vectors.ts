import { join } from 'node:path';
import { cborCases } from './wire/cbor-cases.ts';
import { coseCases } from './wire/cose-cases.ts';
import { coseHpkeCases, rfc9180Cases } from './wire/hpke-cases.ts';
import { Report, type WireReport } from './wire/report.ts';
import { wycheproofCases } from './wire/wycheproof-cases.ts';

/**
 * Compares what `wire/` encodes, signs and seals with the vectors of the standards.
 *
 * @param dir root of the material, the folder that holds `ledger/`; files that are not there are not compared
 */
export async function checkWireVectors(dir: string): Promise<WireReport> {
  const folder = join(dir, 'ledger');
  const report = new Report();
  await cborCases(folder, report);
  await coseCases(folder, report);
  await rfc9180Cases(folder, report);
  await coseHpkeCases(folder, report);
  await wycheproofCases(folder, report);
  return report.result();
}
