import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { formatError, TollgateError } from '#contracts';
import {
  checkMapping,
  type Database,
  loadMapping,
  loadOverlay,
  loadVss,
  mappingEntryText,
  mappingOfOverlay,
  missingPaths,
  proposalText,
  proposeMapping,
  SURE_CONFIDENCE,
  type VssTree,
} from '#dbc';
import type { Command, Io } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'dbc map',
  summary: 'Proposes VSS paths for the signals of a database, for a person to accept',
  package: 'tools',
  help: `
Usage: tollgate dbc map FILE --vss VSS.json [--sure C] [--encoding E] [--json]
       tollgate dbc map FILE --overlay OVERLAY [--vss VSS.json] [--encoding E] [--json]
       tollgate dbc map FILE --check MAPPING --vss VSS.json [--encoding E] [--json]

Compares names and units of the database with a tree of the COVESA Vehicle Signal Specification and writes a mapping.yaml: an entry a line,
its confidence and reason above it, units converted by factor and offset. Read each line before you use it: the names decide what an
agreement lets go. Entries that are less than sure stand behind a #.

With --overlay it proposes nothing: it writes the mapping that an overlay of KUKSA's CAN provider (dbc2vss) means for the database. What a
mapping cannot say is refused entry by entry on standard error, and so is a path that the tree lacks.

With --check it tells what does not fit between a mapping, the database and the tree: paths, units, texts, names that stand twice.

  --overlay FILE the overlay, JSON or YAML
  --check FILE   the mapping
  --vss FILE     the tree, JSON as the specification publishes it
  --sure C       entries of at least this confidence stand without a # (default: ${SURE_CONFIDENCE}; 1.1: none does)
  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)
  --json         one JSON object a proposal: signal, path, factor, offset, unit, confidence, comment

Exit code: 0 something was proposed (of an overlay: all was taken; of a mapping: all fits), 1 it was not, 2 a file cannot be read.

Example:
  tollgate dbc map car.dbc --vss vss.json > mapping.yaml
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        vss: { type: 'string' },
        overlay: { type: 'string' },
        check: { type: 'string' },
        sure: { type: 'string', default: String(SURE_CONFIDENCE) },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [file, ...more] = positionals;
    const sure = Number(values.sure);
    if (
      file === undefined ||
      more.length > 0 ||
      (values.vss === undefined && values.overlay === undefined && values.check === undefined)
    ) {
      throw new TollgateError('TG_CLI_USAGE', 'dbc map takes one FILE and --vss VSS.json or --overlay OVERLAY');
    }
    if (values.sure.trim() === '' || !Number.isFinite(sure)) {
      throw new TollgateError('TG_CLI_USAGE', `--sure takes a number from 0 to 1.1, not "${values.sure}"`);
    }
    const { database, findings } = await readDatabase(file, values);
    const { vss, overlay } = values;
    const tree = vss === undefined ? null : loadVss(await textOf(vss), { file: vss });
    io.err(mendedText(file, findings));
    if (overlay !== undefined) return await fromOverlay(overlay, database, tree, values.json, io);
    if (tree === null) throw new TollgateError('TG_CLI_USAGE', '--check takes --vss VSS.json too');
    if (values.check !== undefined) return await checked(values.check, database, tree, values.json, io);
    const proposals = proposeMapping(database, tree);
    if (values.json) io.out(proposals.map((proposal) => `${JSON.stringify(proposal)}\n`).join(''));
    else io.out(proposalText(proposals, { database: basename(file), tree: basename(vss!), sure }));
    const signals = database.messages.reduce((sum, message) => sum + message.signals.length, 0);
    io.err(`${proposals.length} of ${signals} signals have a proposal.\n`);
    return proposals.length > 0 ? 0 : 1;
  },
};

async function checked(file: string, database: Database, tree: VssTree, json: boolean, io: Io): Promise<number> {
  const mapping = loadMapping(await textOf(file), { file });
  const problems = checkMapping(mapping, database, tree);
  for (const problem of problems) io.out(json ? `${JSON.stringify(problem)}\n` : `${formatError(problem)}\n`);
  if (!json) io.out(`${mapping.length} entries, ${problems.length} problems\n`);
  return problems.length === 0 ? 0 : 1;
}

async function fromOverlay(
  overlay: string,
  database: Database,
  tree: VssTree | null,
  json: boolean,
  io: Io,
): Promise<number> {
  const { entries, refused: unread } = loadOverlay(await textOf(overlay), { file: overlay });
  const { mapping, refused } = mappingOfOverlay(entries, database);
  const gone =
    tree === null
      ? []
      : missingPaths(
          mapping.map(({ path }) => path),
          tree,
        );
  for (const { code, message, place, remedy } of [...unread, ...refused]) {
    io.err(`${overlay} at ${place.pointer ?? '/'}: ${code} ${message}${remedy === undefined ? '' : `. ${remedy}`}\n`);
  }
  for (const { path, near } of gone) {
    io.err(`${overlay}: ${path} is no leaf of the tree${near === undefined ? '' : `; did you mean ${near}?`}\n`);
  }
  io.out(mapping.map((entry) => (json ? `${JSON.stringify(entry)}\n` : `- ${mappingEntryText(entry)}\n`)).join(''));
  return unread.length + refused.length + gone.length === 0 ? 0 : 1;
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
  });
}
