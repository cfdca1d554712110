import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { type Finding, findingError, lintDatabase } from '#dbc';
import type { Command } from '../command.ts';
import { findingText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'dbc lint',
  summary: 'Finds what is wrong in a database, with its place and its fix',
  package: 'tools',
  help: `
Usage: tollgate dbc lint FILE… [--strict] [--encoding E] [--json]

Reads each file leniently and prints every finding: file, line, column, severity, code, what was found, and how to mend it.

  --strict       warnings count as errors
  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)
  --json         one JSON object a finding

Exit code: 0 no errors, 1 errors were found, 2 a file cannot be read at all.

Example:
  tollgate dbc lint car.dbc
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        strict: { type: 'boolean', default: false },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    if (positionals.length === 0) throw new TollgateError('TG_CLI_USAGE', 'dbc lint takes at least one FILE');
    const sum = { error: 0, warning: 0 };
    for (const file of positionals) {
      const { database, findings } = await readDatabase(file, { encoding: values.encoding });
      for (const finding of merged(findings, lintDatabase(database))) {
        sum[finding.severity]++;
        const { severity } = finding;
        if (values.json) io.out(`${JSON.stringify({ severity, ...findingError(finding, file).toJSON() })}\n`);
        else io.out(findingText(file, finding));
      }
    }
    const words = (['error', 'warning'] as const).map((kind) => `${sum[kind]} ${kind}${sum[kind] === 1 ? '' : 's'}`);
    io.err(`${words.join(', ')}\n`);
    return sum.error > 0 || (values.strict && sum.warning > 0) ? 1 : 0;
  },
};

/** The loader finds what lint finds too: each once, with the loader's better place, in the order of the file. */
function merged(loaded: readonly Finding[], linted: readonly Finding[]): Finding[] {
  const key = ({ line, code, message }: Finding) => `${line} ${code} ${message}`;
  const known = new Set(loaded.map(key));
  return [...loaded, ...linted.filter((finding) => !known.has(key(finding)))].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  );
}
