import { parseArgs } from 'node:util';
import { readStore } from '#agent/store/index';
import { readLedger } from '#agent/store/read-ledger';
import { TollgateError } from '#contracts';
import { type Audit, auditLedger, KIND_RECORD, LEAF_KINDS, nodeCrypto } from '#ledger';
import type { Command } from '../command.ts';
import { keysOf } from '../ledgers.ts';
import { bold, count } from '../text.ts';

const SHOWN = 20;

export const command: Command = {
  name: 'ledger fsck',
  summary: "Checks a unit's store whole: pages, ledger, meter, outbox",
  package: 'unit',
  help: `
Usage: tollgate ledger fsck STATE --keys DIR [--json]

Reads all of the database and says what is wrong and where: damaged pages, leaves or nodes that are not what was signed, chains that
break, a meter that does not count what the ledger holds, messages in the outbox that no leaf covers. Nothing is changed, and the agent
may be running. What it finds is located, not mended: a ledger that was changed stays changed.

  STATE        state folder of the unit, or its database
  --keys DIR   key folder of the unit (or units.json of a recipient): the key that the checkpoints are signed with
  --json       the answer as one JSON object

Exit code: 0 all is well, 1 something is wrong, 2 bad usage, or a file that cannot be read at all.

Example:
  tollgate ledger fsck ./state --keys keys/unit
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { keys: { type: 'string' }, json: { type: 'boolean', default: false } },
    });
    const [path] = positionals;
    if (path === undefined || positionals.length > 1 || values.keys === undefined) {
      throw new TollgateError('TG_CLI_USAGE', 'ledger fsck takes STATE and --keys DIR');
    }
    const keys = await keysOf(values.keys);
    const ledger = readLedger(path);
    let audit: Audit;
    try {
      audit = await auditLedger({ ...ledger, keepsAllNodes: true, outside: [] }, keys, nodeCrypto);
    } finally {
      ledger.close();
    }
    const problems = [
      ...storeProblems(ledger.file, audit, ledger.prunedBelow),
      ...audit.findings.map(({ message }) => message),
    ];
    const { leaves, records, firstWrongLeaf } = audit;
    if (values.json) {
      const answer = {
        ok: problems.length === 0,
        leaves,
        records,
        prunedBelow: ledger.prunedBelow,
        firstWrongLeaf,
        problems,
      };
      io.out(`${JSON.stringify(answer)}\n`);
      return problems.length === 0 ? 0 : 1;
    }
    for (const problem of problems.slice(0, SHOWN)) io.out(`  wrong: ${problem}\n`);
    if (problems.length > SHOWN) io.out(`  … and ${count(problems.length - SHOWN)} more\n`);
    const verdict = problems.length === 0 ? 'WHOLE' : `NOT WHOLE, ${count(problems.length)} wrong`;
    io.out(`${bold(verdict, io)}: ${count(leaves)} leaves, ${count(records)} of records\n`);
    return problems.length === 0 ? 0 : 1;
  },
};

/** What the rest of the store says against its file or its ledger. */
function storeProblems(file: string, { kinds }: Audit, prunedBelow: number): string[] {
  let store: ReturnType<typeof readStore>;
  try {
    store = readStore(file);
  } catch (error) {
    // Damage that keeps the store from being read is one more finding: the ledger was read all the same.
    if (error instanceof TollgateError) return [`the store cannot be read: ${error.message}`];
    throw error;
  }
  try {
    const problems = store.damage().map((line) => `database: ${line}`);
    const metered = store.meter().reduce((sum, row) => sum + row.records, 0);
    const held = kinds[LEAF_KINDS[KIND_RECORD]] ?? 0;
    const wrong = prunedBelow === 0 ? metered !== held : metered < held;
    if (wrong) problems.push(`the meter counts ${metered} records, the ledger holds ${held}`);
    const { queued, pubacked, evicted, acked } = store.stats();
    if (prunedBelow === 0 && acked + evicted > held) {
      problems.push(`${acked + evicted} records were acknowledged or evicted, the ledger holds ${held}`);
    }
    if (held === 0 && queued + pubacked > 0) problems.push(`${queued + pubacked} messages wait that no leaf covers`);
    return problems;
  } catch (error) {
    if (error instanceof TollgateError) return [`the store cannot be read: ${error.message}`];
    throw error;
  } finally {
    store.close();
  }
}
