import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { type Database, writeDatabase } from '#dbc';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';
import { writeText } from './dbc-types.ts';

const FORMS = ['dbc', 'json'] as const;

export const command: Command = {
  name: 'dbc convert',
  summary: 'Writes a database anew, as DBC or as JSON',
  package: 'tools',
  help: `
Usage: tollgate dbc convert IN OUT [--to dbc|json] [--encoding E]

Reads a DBC file leniently and writes what was understood: as DBC a file that strict readers take too where the defects were of the text
only, as JSON the whole model. The output is UTF-8.

  --to FORM      dbc or json (default: the ending of OUT)
  --encoding E   of IN: utf-8, windows-1252 or gb18030 (default: detected)

OUT may be - for standard output; then --to is needed.

Example:
  tollgate dbc convert car.dbc car.json
  tollgate dbc convert old.dbc clean.dbc --encoding gb18030
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { to: { type: 'string' }, encoding: { type: 'string' } },
    });
    const [from, to, ...more] = positionals;
    if (from === undefined || to === undefined || more.length > 0) {
      throw new TollgateError('TG_CLI_USAGE', 'dbc convert takes two files: IN OUT');
    }
    const wanted = values.to ?? to.split('.').at(-1)!.toLowerCase();
    const form = FORMS.find((one) => one === wanted);
    if (form === undefined) {
      throw new TollgateError('TG_CLI_USAGE', `dbc convert writes ${FORMS.join(' or ')}, not "${wanted}"`);
    }
    const { database, findings } = await readDatabase(from, values);
    io.err(mendedText(from, findings));
    const text = form === 'dbc' ? writeDatabase(database) : jsonText(database);
    if (to === '-') io.out(text);
    else await writeText(to, text);
    return 0;
  },
};

/** The model as it is: maps as objects, label values (which may exceed 2^53) as decimal strings. */
function jsonText(database: Database): string {
  const plain = (_: string, value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries(value);
    return typeof value === 'bigint' ? String(value) : value;
  };
  return `${JSON.stringify(database, plain, 2)}\n`;
}
