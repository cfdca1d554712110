import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { databaseTypes } from '#dbc/types';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'dbc types',
  summary: 'Writes TypeScript types of the frames of a database',
  package: 'tools',
  help: `
Usage: tollgate dbc types FILE [--out FILE] [--encoding E]

Writes a .d.ts with an interface a message, so that code that reads decoded frames is checked by the name of the message.

  --out FILE     where to write (default: standard output)
  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)

Example:
  tollgate dbc types car.dbc --out car.d.ts
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { out: { type: 'string' }, encoding: { type: 'string' } },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new TollgateError('TG_CLI_USAGE', 'dbc types takes one FILE');
    const { database, findings } = await readDatabase(file, values);
    io.err(mendedText(file, findings));
    const text = databaseTypes(database);
    if (values.out === undefined) io.out(text);
    else await writeText(values.out, text);
    return 0;
  },
};

/** @throws {TollgateError} TG_CLI_FILE */
export async function writeText(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be written: ${cause.message}`, { place: { file: path }, cause });
  });
}
