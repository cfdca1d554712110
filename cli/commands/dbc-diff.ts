import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { diffDatabases } from '#dbc/diff';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'dbc diff',
  summary: 'Says in words what changed between two databases',
  package: 'tools',
  help: `
Usage: tollgate dbc diff OLD NEW [--meaning] [--encoding E] [--json]

Prints a line for everything that was added, removed, renamed or changed. The order in which a file tells things does not matter.

  --meaning      only what changes how a frame is read: ids, places, scales, branches, units, names and labels
  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)
  --json         one JSON object a difference

Exit code: 0 nothing differs, 1 something does, 2 a file cannot be read.

Example:
  tollgate dbc diff car-2025.dbc car-2026.dbc
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        meaning: { type: 'boolean', default: false },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [before, after, ...more] = positionals;
    if (before === undefined || after === undefined || more.length > 0) {
      throw new TollgateError('TG_CLI_USAGE', 'dbc diff takes two files: OLD NEW');
    }
    const [a, b] = [await readDatabase(before, values), await readDatabase(after, values)];
    io.err(mendedText(before, a.findings) + mendedText(after, b.findings));
    const differences = diffDatabases(a.database, b.database).filter(({ isMeaning }) => isMeaning || !values.meaning);
    for (const difference of differences) {
      io.out(`${values.json ? JSON.stringify(difference) : difference.text}\n`);
    }
    if (!values.json && differences.length === 0) io.out('Nothing differs.\n');
    return differences.length === 0 ? 0 : 1;
  },
};
