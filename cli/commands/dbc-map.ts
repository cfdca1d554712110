import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { loadVss, proposalText, proposeMapping, SURE_CONFIDENCE } from '#dbc';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'dbc map',
  summary: 'Proposes VSS paths for the signals of a database, for a person to accept',
  package: 'tools',
  help: `
Usage: tollgate dbc map FILE --vss VSS.json [--sure C] [--encoding E] [--json]

Compares names and units of the database with a tree of the COVESA Vehicle Signal Specification and writes a mapping.yaml: an entry a line,
its confidence and reason above it, units converted by factor and offset. Read each line before you use it: the names decide what an
agreement lets go. Entries that are less than sure stand behind a #.

  --vss FILE     the tree, JSON as the specification publishes it
  --sure C       entries of at least this confidence stand without a # (default: ${SURE_CONFIDENCE}; 1.1: none does)
  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)
  --json         one JSON object a proposal: signal, path, factor, offset, unit, confidence, comment

Exit code: 0 something was proposed, 1 nothing, 2 a file cannot be read.

Example:
  tollgate dbc map car.dbc --vss vss.json > mapping.yaml
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        vss: { type: 'string' },
        sure: { type: 'string', default: String(SURE_CONFIDENCE) },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [file, ...more] = positionals;
    const sure = Number(values.sure);
    if (file === undefined || more.length > 0 || values.vss === undefined) {
      throw new TollgateError('TG_CLI_USAGE', 'dbc map takes one FILE and --vss VSS.json');
    }
    if (values.sure.trim() === '' || !Number.isFinite(sure)) {
      throw new TollgateError('TG_CLI_USAGE', `--sure takes a number from 0 to 1.1, not "${values.sure}"`);
    }
    const { database, findings } = await readDatabase(file, values);
    const tree = loadVss(await textOf(values.vss), { file: values.vss });
    io.err(mendedText(file, findings));
    const proposals = proposeMapping(database, tree);
    if (values.json) io.out(proposals.map((proposal) => `${JSON.stringify(proposal)}\n`).join(''));
    else io.out(proposalText(proposals, { database: basename(file), tree: basename(values.vss), sure }));
    const signals = database.messages.reduce((sum, message) => sum + message.signals.length, 0);
    io.err(`${proposals.length} of ${signals} signals have a proposal.\n`);
    return proposals.length > 0 ? 0 : 1;
  },
};

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
  });
}
