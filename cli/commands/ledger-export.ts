import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { exportWhole, formatVerifierKey } from '#ledger';
import type { Command } from '../command.ts';
import { keysOf, openLedger } from '../ledgers.ts';
import { count } from '../text.ts';

export const command: Command = {
  name: 'ledger export',
  summary: "Writes a unit's ledger to a file that anybody can verify offline",
  package: 'unit',
  help: `
Usage: tollgate ledger export STATE --keys DIR [--out FILE]

Writes leaves, hashes and signed checkpoints as JSON lines. The file holds no signal value: a leaf has the salted hash of its record.

  STATE        state folder of the unit, or its database; the agent may be running
  --keys DIR   key folder of the unit (or units.json of a recipient): the key that the checkpoints are signed with
  --out FILE   where to write (default: standard output)

Example:
  tollgate ledger export ./state --keys keys/unit --out ledger.jsonl && tollgate verify ledger.jsonl --keys keys/unit
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { keys: { type: 'string' }, out: { type: 'string' } },
    });
    const [state] = positionals;
    if (state === undefined || values.keys === undefined) {
      throw new TollgateError('TG_CLI_USAGE', 'ledger export takes STATE and --keys DIR');
    }
    const [key] = await keysOf(values.keys);
    if (key === undefined) throw new TollgateError('TG_CLI_USAGE', `${values.keys} holds no verifier key`);
    const ledger = await openLedger(state);
    try {
      const present = <T>(value: T | null, what: string): T => {
        if (value === null)
          throw new TollgateError('TG_LEDGER_DATABASE', `${what} is gone`, { place: { file: ledger.file } });
        return value;
      };
      const lines = exportWhole({
        key: formatVerifierKey(key),
        size: ledger.size,
        prunedBelow: ledger.prunedBelow,
        checkpoints: ledger.checkpoints,
        leaf: (index) => present(ledger.leaf(index), `leaf ${index}`),
        node: (level, index) => present(ledger.node(level, index), `node ${level}/${index}`),
      });
      if (values.out === undefined) {
        for (const line of lines) io.out(line);
        return 0;
      }
      await write(values.out, lines);
      io.out(`${count(ledger.size)} leaves, ${count(ledger.checkpoints.length)} checkpoints: ${values.out}\n`);
      return 0;
    } finally {
      ledger.close();
    }
  },
};

async function write(path: string, lines: Iterable<string>): Promise<void> {
  try {
    const file = await open(path, 'w');
    try {
      for (const line of lines) await file.write(line);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TollgateError('TG_CLI_FILE', `cannot be written: ${reason}`, { place: { file: path }, cause });
  }
}
