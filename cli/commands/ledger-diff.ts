import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { diffLedgers, LEAF_KINDS, type LedgerDiff, readLeaf } from '#ledger';
import type { Command } from '../command.ts';
import { type OpenLedger, openLedger } from '../ledgers.ts';
import { bold, count } from '../text.ts';

export const command: Command = {
  name: 'ledger diff',
  summary: 'Compares two copies of a ledger and says where they part',
  package: 'unit',
  help: `
Usage: tollgate ledger diff A B [--json]

A and B are state folders, databases or whole exports of one unit. Says whether they are the same, whether one is a beginning of the
other (a copy that was restored, or an older export), or at which leaf they part: then one of them is not the history that was signed.
Exits 0 when one is a beginning of the other, 1 when they part, 2 on bad input.

  --json   the answer as one JSON object

Example:
  tollgate ledger diff yesterday.jsonl ./state
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    const [pathA, pathB] = positionals;
    if (pathA === undefined || pathB === undefined || positionals.length > 2) {
      throw new TollgateError('TG_CLI_USAGE', 'ledger diff takes two ledgers', {
        remedy: 'tollgate ledger diff --help shows usage and an example.',
      });
    }
    const a = await openLedger(pathA);
    const b = await openLedger(pathB);
    try {
      const diff = diffLedgers(a, b);
      const apart = diff.relation === 'forked' || diff.relation === 'apart';
      if (values.json) {
        io.out(
          `${JSON.stringify({ ...diff, a: { file: a.file, size: a.size }, b: { file: b.file, size: b.size } })}\n`,
        );
      } else {
        io.out(`${bold(sentence(diff, a, b), io)}\n`);
        if (diff.comparedFrom > 0) {
          io.out(`  leaves below ${count(diff.comparedFrom)} are pruned: their subtrees were compared\n`);
        }
        const at = diff.firstDifferent;
        if (at !== null && at >= diff.comparedFrom)
          io.out(`  A has ${leafWords(a, at)}\n  B has ${leafWords(b, at)}\n`);
      }
      return apart ? 1 : 0;
    } finally {
      a.close();
      b.close();
    }
  },
};

function sentence(
  { relation, common, firstDifferent, comparedFrom }: LedgerDiff,
  a: OpenLedger,
  b: OpenLedger,
): string {
  switch (relation) {
    case 'same':
      return `SAME: ${count(common)} leaves`;
    case 'behind':
      return `A IS A BEGINNING OF B: ${count(a.size)} leaves of ${count(b.size)}`;
    case 'ahead':
      return `B IS A BEGINNING OF A: ${count(b.size)} leaves of ${count(a.size)}`;
    case 'forked':
      return firstDifferent! < comparedFrom
        ? `THEY PART among the ${count(comparedFrom)} oldest leaves, which one of them has pruned`
        : `THEY PART at leaf ${firstDifferent}`;
    case 'apart':
      return common > 0
        ? `NOT ALL CAN BE COMPARED: the first ${count(common)} leaves are the same, then one of them lost a leaf`
        : 'NOTHING TO COMPARE: one has pruned more leaves than the other has, or lost some';
  }
}

/** A leaf in words, from its own fields: what it hashes is not in it. */
function leafWords(ledger: OpenLedger, index: number): string {
  const leaf = ledger.leaf(index);
  if (leaf === null) return 'no such leaf any more';
  try {
    const { kind, boottimeMs, utcMs, record } = readLeaf(leaf);
    const name = LEAF_KINDS[kind] ?? `kind ${kind}`;
    const when = utcMs === null ? `${boottimeMs} ms after its boot` : new Date(utcMs).toISOString();
    const which = record === null ? '' : ` ${record.seq} of stream ${Buffer.from(record.stream).toString('base64url')}`;
    return `${name}${which}, ${when}`;
  } catch {
    return 'bytes that are no leaf';
  }
}
