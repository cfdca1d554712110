// Writes docs/errors.md from the error table. `node scripts/errors-page.mjs --check` compares instead.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERRORS } from '../contracts/errors.ts';

const page = new URL('../docs/errors.md', import.meta.url);
const rows = Object.entries(ERRORS)
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([code, { cause, remedy }]) => `## ${code}\n${cause}\n\n**Remedy:** ${remedy}\n`);
const text = `# Error codes
Generated from \`contracts/errors/\` by \`npm run errors\`. Every error names its place; \`--json\` gives the same as fields.

${rows.join('\n')}`;

if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text) {
    process.stderr.write('docs/errors.md is not what the error table says: run `npm run errors`\n');
    process.exit(1);
  }
} else writeFileSync(page, text);
