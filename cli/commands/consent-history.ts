import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/config/load';
import { readLedger } from '#agent/store/read-ledger';
import { decodeLeaf, leafEvent } from '#wire';
import type { Command } from '../command.ts';
import { table } from '../text.ts';

interface Entry {
  readonly leaf: number;
  /** ISO 8601; null where the unit did not know the time. */
  readonly time: string | null;
  readonly act: string;
  readonly agreement: string | null;
  /** SHA-256 of the credential, hex. */
  readonly document: string | null;
}

export const command: Command = {
  name: 'consent history',
  summary: 'Shows from the ledger when consents were given, narrowed and taken back',
  package: 'unit',
  help: `
Usage: tollgate consent history [AGREEMENT] [--config FILE] [--json]

One line a leaf: its number, the time, what happened to which agreement, and the hash of the credential that said so; and when spool keys were
destroyed. \`tollgate verify\` checks the ledger itself, \`tollgate ledger prove\` proves one leaf to others.

  AGREEMENT       only this uid
  --config FILE   configuration (default: tollgate.yaml)
  --json          the answer as one JSON object

Example:
  tollgate consent history urn:uuid:00000000-0000-4000-8000-000000000001
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: 'string', default: 'tollgate.yaml' }, json: { type: 'boolean', default: false } },
    });
    const config = await loadConfig(values.config);
    const [only] = positionals;
    const entries = consents(config.unit.state).filter(({ agreement }) => only === undefined || agreement === only);
    if (values.json) io.out(`${JSON.stringify({ entries })}\n`);
    else if (entries.length === 0) io.out('The ledger has no consent.\n');
    else
      io.out(
        table(
          entries.map((one) => [
            String(one.leaf),
            one.time ?? 'time unknown',
            one.act,
            one.agreement ?? '',
            one.document?.slice(0, 16) ?? '',
          ]),
        ),
      );
    return 0;
  },
};

function consents(state: string): Entry[] {
  const ledger = readLedger(state);
  try {
    const entries: Entry[] = [];
    for (let leaf = ledger.prunedBelow; leaf < ledger.size; leaf++) {
      const bytes = ledger.leaf(leaf);
      if (bytes === null) continue;
      const decoded = decodeLeaf(bytes);
      const event = leafEvent(decoded);
      const time = decoded.utcMs === null ? null : new Date(decoded.utcMs).toISOString();
      if (event.kind === 'consent') {
        const document = Buffer.from(decoded.bodyHash).toString('hex');
        entries.push({ leaf, time, act: event.act, agreement: event.agreement, document });
      } else if (event.kind === 'key' && event.use === 'spool') {
        entries.push({ leaf, time, act: `spool key ${event.act}`, agreement: null, document: null });
      }
    }
    return entries;
  } finally {
    ledger.close();
  }
}
