import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { formatReceipt, inclusionProof, parseCheckpoint, readLeaf, sha256Tree } from '#ledger';
import type { Command } from '../command.ts';
import { fileError, type OpenLedger, openLedger } from '../ledgers.ts';
import { count } from '../text.ts';

const STREAM_BYTES = 8;

export const command: Command = {
  name: 'ledger prove',
  summary: 'Writes the receipt of one leaf: proof and checkpoint, for a third party to verify offline',
  package: 'unit',
  help: `
Usage: tollgate ledger prove LEDGER (--leaf N | --record STREAM:SEQ) [--out FILE]

LEDGER is a unit's state folder, its database (the agent may be running), or a whole export. The receipt is C2SP tlog-proof text: the
leaf, its inclusion proof and the newest signed checkpoint. It reveals nothing of the record: the leaf has a salted hash of it.

  --leaf N             leaf by its number, from 0
  --record STREAM:SEQ  the leaf of a record: its stream as 16 hex digits or 11 characters of base64url, and its number in the stream
  --out FILE           where to write (default: standard output)

Example:
  tollgate ledger prove ./state --leaf 12 --out leaf.tlog-proof && tollgate verify leaf.tlog-proof --keys keys/unit
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { leaf: { type: 'string' }, record: { type: 'string' }, out: { type: 'string' } },
    });
    const [path] = positionals;
    if (path === undefined || positionals.length > 1 || (values.leaf === undefined) === (values.record === undefined)) {
      throw usage('one LEDGER and either --leaf or --record is needed');
    }
    const ledger = await openLedger(path);
    try {
      const index = values.leaf === undefined ? recordLeaf(ledger, values.record!) : leafNumber(values.leaf);
      const receipt = receiptOf(ledger, index);
      if (values.out === undefined) io.out(receipt);
      else {
        const out = values.out;
        await writeFile(out, receipt).catch((cause: Error) => {
          throw fileError(out, `cannot be written: ${cause.message}`);
        });
        io.out(`receipt of leaf ${count(index)}: ${out}\n`);
      }
      return 0;
    } finally {
      ledger.close();
    }
  },
};

function receiptOf(ledger: OpenLedger, index: number): string {
  const heads = ledger.checkpoints.map((note) => ({ note, size: parseCheckpoint(note).size }));
  const newest = heads.reduce((best, head) => (head.size > best.size ? head : best), { note: '', size: 0 });
  if (index < ledger.prunedBelow) throw notHere(ledger, `leaf ${index} was pruned`);
  if (index >= newest.size) {
    throw notHere(ledger, `no checkpoint covers leaf ${index} yet: the newest is of ${newest.size} leaves`);
  }
  const leaf = ledger.leaf(index);
  if (leaf === null) throw notHere(ledger, `leaf ${index} is gone`);
  const node = (level: number, at: number) => {
    const hash = ledger.node(level, at);
    if (hash === null) throw notHere(ledger, `the stored node (level ${level}, index ${at}) is gone`);
    return hash;
  };
  const proof = inclusionProof(index, newest.size, node, sha256Tree);
  return formatReceipt({ extra: leaf, index, path: proof, checkpoint: newest.note });
}

function leafNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usage(`"${text}" is no number of a leaf`);
  return Number(text);
}

function recordLeaf(ledger: OpenLedger, text: string): number {
  const [, name, digits] = /^([^:]+):(\d{1,15})$/.exec(text) ?? [];
  const stream = Buffer.from(name ?? '', /^[0-9a-f]{16}$/i.test(name ?? '') ? 'hex' : 'base64url');
  if (stream.length !== STREAM_BYTES) throw usage(`"${text}" is not STREAM:SEQ`);
  const seq = Number(digits);
  for (let index = ledger.prunedBelow; index < ledger.size; index++) {
    const leaf = ledger.leaf(index);
    const record = leaf === null ? null : readLeaf(leaf).record;
    if (record !== null && record.seq === seq && stream.equals(record.stream)) return index;
  }
  throw notHere(ledger, 'this ledger has no leaf of that record');
}

function notHere(ledger: OpenLedger, message: string): TollgateError {
  return new TollgateError('TG_LEDGER_NO_PROOF', message, { place: { file: ledger.file } });
}

function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message, {
    remedy: 'tollgate ledger prove --help shows usage and an example.',
  });
}
