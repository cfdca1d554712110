import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import { loadAgreement } from '#policies';
import type { TopicResult } from '../topic.ts';

export const topic = 'policy';

/** What the folder holds for later versions: counted, named, never compared. */
const WAITING: readonly { readonly feature: string; readonly count: (dir: string) => number }[] = [
  { feature: 'cx-policy import', count: (dir) => jsonFiles(join(dir, 'cx-odrl/samples')).length },
  {
    feature: 'ODRL evaluation report',
    count: (dir) => suiteCases(join(dir, 'odrl-test-suite/cases.json')) + formalRequests(dir),
  },
  {
    feature: 'dataspace protocol messages',
    count: (dir) => jsonFiles(join(dir, 'dsp-schemas')).filter((file) => file.includes('/example/')).length,
  },
];

/**
 * Foreign policies are not imported yet. Until they are, each must be refused whole: none may open anything by being
 * read in part.
 */
export async function run(root: string): Promise<TopicResult> {
  const dir = join(root, 'policy');
  const foreign = [...jsonFiles(join(dir, 'cx-odrl/samples')), ...jsonFiles(join(dir, 'odrl-formal-semantics'))];
  const problems = foreign.flatMap((file) => {
    const fault = refusalFault(file);
    return fault === null ? [] : [`${file.slice(dir.length + 1)}: ${fault}`];
  });
  const waiting = WAITING.map(({ feature, count }) => ({ feature, count: count(dir) })).filter(
    ({ count }) => count > 0,
  );
  const refused = foreign.length - problems.length;
  const parts = [
    `${refused} of ${foreign.length} foreign policies refused whole`,
    ...waiting.map(({ feature, count }) => `unsupported: ${feature} (${count})`),
  ];
  return {
    line: `policy: ${parts.join(', ')}`,
    passed: refused,
    failed: problems.length,
    skipped: waiting.reduce((sum, { count }) => sum + count, 0),
    problems,
  };
}

/** What is wrong with how a foreign document is taken; null where it is refused with its place. */
function refusalFault(file: string): string | null {
  try {
    loadAgreement(readFileSync(file), { file });
    return 'was loaded, wanted: refused (its profile is not auto-odrl/1)';
  } catch (error) {
    if (!(error instanceof TollgateError)) return `crashed: ${error}`;
    return error.place.line === undefined ? `${error.code} names no place` : null;
  }
}

function jsonFiles(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(dir, name))
    .sort();
}

function suiteCases(file: string): number {
  if (!existsSync(file)) return 0;
  const { cases }: { cases: readonly unknown[] } = JSON.parse(readFileSync(file, 'utf8'));
  return cases.length;
}

function formalRequests(dir: string): number {
  return jsonFiles(join(dir, 'odrl-formal-semantics')).filter((file) => /evaluationrequest/i.test(file)).length;
}
