import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import { loadAgreement } from '#policies';
import { catenaX } from '../policy/catena-x.ts';
import { dataspaceAgreements } from '../policy/dataspace.ts';
import { formalSemantics, jsonFiles, note, odrlSuite, type Tally } from '../policy/odrl-suite.ts';
import type { TopicResult } from '../topic.ts';

export const topic = 'policy';

/**
 * Plain ODRL is evaluated and compared state by state; data space policies are imported or refused by name; and what is
 * not of the profile never reaches the gate by itself.
 */
export async function run(root: string): Promise<TopicResult> {
  const dir = join(root, 'policy');
  const samples = catenaX(dir);
  const suites: readonly (readonly [string, Tally])[] = [
    ['test-suite cases', odrlSuite(dir)],
    ['formal-semantics requests', formalSemantics(dir)],
    [`Catena-X samples imported (${samples.imported}) or refused by name (${samples.refused.length})`, samples],
    ['dataspace agreements imported or refused by name', dataspaceAgreements(dir)],
    ['foreign policies refused at the gate', refusals(dir)],
  ];
  const messages = jsonFiles(join(dir, 'dsp-schemas')).filter(
    (file) => file.includes('/example/') && !file.includes('contract-agreement-message'),
  ).length;
  const parts = suites.flatMap(([name, { passed, failed }]) =>
    passed + failed === 0 ? [] : [`${passed} of ${passed + failed} ${name}`],
  );
  if (messages > 0) parts.push(`unsupported: dataspace protocol messages (${messages})`);
  return {
    line: `policy: ${parts.join(', ')}`,
    passed: suites.reduce((sum, [, { passed }]) => sum + passed, 0),
    failed: suites.reduce((sum, [, { failed }]) => sum + failed, 0),
    skipped: messages,
    problems: suites.flatMap(([, { problems }]) => problems),
  };
}

/** A foreign document is refused whole with its place: none may open anything by being read in part. */
function refusals(dir: string): Tally {
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  const foreign = [...jsonFiles(join(dir, 'cx-odrl/samples')), ...jsonFiles(join(dir, 'odrl-formal-semantics'))];
  for (const file of foreign) {
    note(tally, file.slice(dir.length + 1), () => {
      try {
        loadAgreement(readFileSync(file), { file });
        return ['was loaded, wanted: refused (its profile is not auto-odrl/1)'];
      } catch (error) {
        if (!(error instanceof TollgateError)) throw error;
        return error.place.line === undefined ? [`${error.code} names no place`] : [];
      }
    });
  }
  return tally;
}
