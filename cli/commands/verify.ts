import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readLedger } from '#agent/store/read-ledger';
import { TollgateError } from '#contracts';
import {
  type Audit,
  auditLedger,
  formatVerifierKey,
  nodeCrypto,
  parseExport,
  parseReceipt,
  parseVerifierKey,
  type VerifierKey,
  verifyExport,
  verifyLeaf,
} from '#ledger';
import type { Command, Io } from '../command.ts';
import { beginningOf, fileError, isDatabase, keysOf, textOf } from '../ledgers.ts';
import { bold, count, table } from '../text.ts';

const RECEIPT_MAGIC = 'c2sp.org/tlog-proof';
/** A person waits for a line after this time, and sees one this often. */
const PROGRESS_MS = 2000;
const SHOWN_FINDINGS = 20;

export const command: Command = {
  name: 'verify',
  summary: 'verify a ledger, an export or a receipt offline',
  package: 'unit',
  help: `
Usage: tollgate verify FILE [--key VKEY …] [--keys FILE|DIR …] [--checkpoint FILE …] [--json]

FILE is a ledger export, a receipt (.tlog-proof), a unit's database, or the state folder that holds it.
Recomputes the whole tree, compares every stored node and every checkpoint, checks the signatures, follows the chain of
each stream, and tells the first wrong leaf. Exits 0 when everything agrees, 1 when something does not, 2 on bad input.

  --key VKEY          verifier key of the unit's ledger (name+id+key), as \`tollgate enroll\` prints it
  --keys FILE|DIR     the same from a recipient's units.json, a unit's key folder, or its ledger.jwk
  --checkpoint FILE   a checkpoint of this ledger that was kept elsewhere: shows a ledger that was cut or rolled back
  --json              the answer as one JSON object

An export names its own key. Without --key it is checked under that one, which shows that it is whole, not whose it is.

Example:
  tollgate verify ./state --keys ./keys/unit
`,
  run,
};

interface Options {
  readonly keys: readonly VerifierKey[];
  readonly outside: readonly string[];
  readonly json: boolean;
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      key: { type: 'string', multiple: true, default: [] },
      keys: { type: 'string', multiple: true, default: [] },
      checkpoint: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  });
  const file = positionals[0];
  if (file === undefined || positionals.length > 1)
    throw usage('one FILE is needed: an export, a receipt, a state folder');
  const keys = values.key.map((text) => parseVerifierKey(text, nodeCrypto));
  for (const path of values.keys) keys.push(...(await keysOf(path)));
  const outside = await Promise.all(values.checkpoint.map(textOf));
  const options: Options = { keys, outside, json: values.json };
  if (!existsSync(file)) throw fileError(file, 'there is no such file or folder');
  if (isDatabase(file)) return await verifyDatabase(file, options, io);
  if (beginningOf(file)?.startsWith(RECEIPT_MAGIC)) return await verifyReceipt(file, options, io);
  return await verifyExportFile(file, options, io);
}

async function verifyDatabase(path: string, { keys, outside, json }: Options, io: Io): Promise<number> {
  if (keys.length === 0)
    throw usage('a database does not hold the key that its checkpoints are checked with: give --keys');
  const ledger = readLedger(path);
  try {
    const source = { ...ledger, keepsAllNodes: true, outside };
    const audit = await auditLedger(source, keys, nodeCrypto, { progress: progress(ledger.size, io) });
    return report(audit, ledger.file, keys, null, json, io);
  } finally {
    ledger.close();
  }
}

async function verifyExportFile(file: string, { keys, outside, json }: Options, io: Io): Promise<number> {
  const exported = parseExport(await textOf(file), file);
  const ownKey = keys.length === 0;
  const trusted = ownKey ? [parseVerifierKey(exported.key, nodeCrypto)] : keys;
  const reports = { outside, progress: progress(exported.leaves.length, io) };
  const audit = await verifyExport(exported, trusted, nodeCrypto, reports);
  const warning = ownKey ? 'checked under the key that the export names itself: compare it, or give --key' : null;
  return report(audit, file, trusted, warning, json, io);
}

async function verifyReceipt(file: string, { keys, json }: Options, io: Io): Promise<number> {
  if (keys.length === 0) throw usage('a receipt is checked under a key that you trust: give --key or --keys');
  const receipt = parseReceipt(await textOf(file));
  if (receipt.extra === null) throw usage('this receipt does not carry its leaf: there is nothing to verify it for');
  const verdict = await verifyLeaf({ ...receipt, leaf: receipt.extra }, keys, nodeCrypto);
  if (json) io.out(`${JSON.stringify(verdict.ok ? { ok: true, index: receipt.index } : verdict)}\n`);
  else if (verdict.ok) {
    io.out(
      `leaf ${count(receipt.index)} is one of the ${count(verdict.head.size)} leaves that ${verdict.head.origin} signed\n`,
    );
  } else io.out(`${bold('NOT VERIFIED', io)}: ${verdict.message}\n`);
  return verdict.ok ? 0 : 1;
}

function report(
  audit: Audit,
  file: string,
  keys: readonly VerifierKey[],
  warning: string | null,
  json: boolean,
  io: Io,
): number {
  const root = Buffer.from(audit.root).toString('base64');
  if (json) {
    io.out(`${JSON.stringify({ ...audit, root, file, keys: keys.map(formatVerifierKey), warning })}\n`);
    return audit.ok ? 0 : 1;
  }
  const unsigned = audit.leaves - audit.signedSize;
  const kinds = Object.entries(audit.kinds)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, leaves]) => `${count(leaves)} ${kind}`)
    .join(', ');
  io.out(`${file}\n`);
  io.out(
    table([
      ['leaves', `${count(audit.leaves)}${kinds === '' ? '' : `: ${kinds}`}`],
      ['streams', count(audit.streams)],
      ['root', root],
      ['checkpoints', `${count(audit.checkpoints.agreed)} of ${count(audit.checkpoints.total)} agree and are signed`],
      [
        'signed',
        `${count(audit.signedSize)} leaves${audit.ok && unsigned > 0 ? `, ${count(unsigned)} newer ones not yet` : ''}`,
      ],
      ['key', keys.map(({ name }) => name).join(', ')],
    ]),
  );
  if (warning !== null) io.out(`note: ${warning}\n`);
  for (const { message } of audit.findings.slice(0, SHOWN_FINDINGS)) io.out(`  wrong: ${message}\n`);
  const more = audit.findings.length - SHOWN_FINDINGS;
  if (more > 0) io.out(`  … and ${more} more\n`);
  const first = audit.firstWrongLeaf === null ? '' : `; first wrong leaf: ${audit.firstWrongLeaf}`;
  io.out(audit.ok ? `${bold('VERIFIED', io)}\n` : `${bold('NOT VERIFIED', io)}${first}\n`);
  return audit.ok ? 0 : 1;
}

/** One line every two seconds on anything that takes longer. */
function progress(total: number, io: Io): (done: number) => void {
  let last = performance.now();
  return (done) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    io.err(`verified ${count(done)} of ${count(total)} leaves\n`);
  };
}

function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message, { remedy: 'tollgate verify --help shows usage and an example.' });
}
