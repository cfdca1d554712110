// `npm run check`: types, lint and format, import directions, the error table and its page, examples in the docs.
import { install, run } from './run.mjs';

install();
const steps = [
  ['types', 'tsc', ['-p', '.']],
  ['lint and format', 'biome', ['check', '--error-on-warnings', '.']],
  ['the house: import directions, error table, docs', 'vitest', ['run', 'test/house']],
];
let failed = 0;
for (const [what, command, args] of steps) {
  process.stdout.write(`\n— ${what}\n`);
  if (run(command, args) !== 0) failed++;
}
process.stdout.write(failed === 0 ? '\ncheck: all good\n' : `\ncheck: ${failed} of ${steps.length} steps failed\n`);
process.exit(failed === 0 ? 0 : 1);
