// `npm run long -- [NAME …] [--list]`: the tests that take minutes. A case is a file of test/long/ that exports
// `run(args)` and returns `{ ok, … }` with its figures; they are printed as JSON and written to docs/evidence/NAME.json
// (NAME-ARGUMENTS.json where there are some) with date, commit and command. Exit code 1: a case was not ok.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installParts } from './parts.mjs';
import { install, pinnedNode, root, run } from './run.mjs';

const cases = readdirSync(join(root, 'test/long'))
  .filter((file) => file.endsWith('.ts') && file !== 'runner.ts')
  .map((file) => file.slice(0, -3))
  .sort();
const words = process.argv.slice(2);
const names = words.filter((word) => !word.startsWith('-') && !/^\d+$/.test(word));
const options = words.filter((word) => !names.includes(word));
const unknown = names.filter((name) => !cases.includes(name));
if (unknown.length > 0 || options.includes('--list')) {
  process.stdout.write(
    `${unknown.length > 0 ? `there is no case ${unknown.join(', ')}; ` : ''}cases: ${cases.join(', ')}\n`,
  );
  process.exit(unknown.length > 0 ? 2 : 0);
}
install();
installParts();
// As the agent runs (cli/tollgate.mjs), so that figures of memory are the agent's.
const flags = ['--max-semi-space-size=1', '--optimize-for-size', '--max-lazy', '--no-sparkplug', '--expose-gc'];
let failed = 0;
for (const name of names.length > 0 ? names : cases) {
  if (run(pinnedNode(), [...flags, 'test/long/runner.ts', name, ...options]) !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
