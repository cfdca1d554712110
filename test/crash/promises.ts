import { existsSync, readFileSync } from 'node:fs';
import { appendLeaf, emptyRange, readLeaf, rootFromRange, sha256Tree } from '#ledger';
import { Writer } from '../../agent/store/writer.ts';
import { BOOT_ID, fixedKey } from '../agent/store-parts.ts';

/**
 * What a store must say after it was cut off at any moment: everything that was promised, and that it agrees with itself.
 * A promise is a line: `committed <campaign> <seq>`, `acked <campaign> <seq>`, `checkpoint <size>`,
 * `budget <key> <value>`, `version <document> <number>`, `withdrawn <agreement>`.
 */
export function openWriter(file: string, maxBytes = 9_000): Writer {
  return new Writer({
    file,
    maxBytes,
    bootId: BOOT_ID,
    keepLeavesMs: Number.POSITIVE_INFINITY,
    maxRecipientBytes: Number.POSITIVE_INFINITY,
  });
}

export function promisesIn(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

interface Facts {
  readonly writer: Writer;
  readonly nextSeq: ReadonlyMap<string, number>;
  readonly waiting: ReadonlyMap<string, readonly number[]>;
  readonly checkpoints: ReadonlySet<number>;
  readonly budgets: ReadonlyMap<string, number>;
  readonly versions: ReadonlyMap<string, number>;
}

/** Opens every row that waits on the way. */
export async function storeFaults(writer: Writer, promised: string): Promise<string[]> {
  const all = <T>(sql: string) => writer.db.prepare(sql).raw().all() as T[];
  const opened = writer.opened();
  const streams = all<[string, string, number, string]>(
    `SELECT lower(hex(s.stream)), s.campaign, p.next_seq, s.agreement FROM stream s JOIN progress p ON p.stream = s.id`,
  );
  const campaigns = new Map(streams.map(([stream, campaign]) => [stream, campaign]));
  for (const agreement of new Set(streams.map(([, , , name]) => name))) {
    writer.key(agreement, await fixedKey(agreement));
  }
  const faults: string[] = [];
  const { queued, pubacked } = writer.stats();
  writer.requeue(0, Number.MAX_SAFE_INTEGER);
  const { rows } = writer.take(1_000_000, undefined);
  // A session goes again only with its records: what still has its PUBACK are sessions of none.
  if (rows.length + writer.stats().pubacked < queued + pubacked) faults.push('a row that waits does not open');
  const waiting = new Map<string, number[]>();
  for (const { kind, stream, seq } of rows) {
    if (kind !== 'record') continue;
    const campaign = campaigns.get(Buffer.from(stream).toString('hex'))!;
    waiting.set(campaign, [...(waiting.get(campaign) ?? []), seq]);
  }
  for (const [campaign, seqs] of waiting) {
    if (seqs.some((seq, index) => index > 0 && seq <= seqs[index - 1]!)) faults.push(`${campaign} goes out of order`);
  }
  const facts: Facts = {
    writer,
    nextSeq: new Map(streams.map(([, campaign, seq]) => [campaign, seq])),
    waiting,
    checkpoints: new Set(all<[number]>('SELECT size FROM checkpoint').map(([size]) => size)),
    budgets: new Map(opened.budgets),
    versions: new Map(opened.documents.map(({ document, version }) => [document, version])),
  };
  for (const line of promised.split('\n')) if (line !== '' && !kept(facts, line)) faults.push(`lost: ${line}`);
  return [...faults, ...agrees(facts, all), ...treeStands(writer)];
}

function kept(facts: Facts, line: string): boolean {
  const [what, name, number] = line.split(' ') as [string, string, string];
  const value = Number(number);
  switch (what) {
    case 'committed':
      return (facts.nextSeq.get(name) ?? 0) > value;
    case 'acked':
      return (facts.waiting.get(name) ?? []).every((seq) => seq > value);
    case 'checkpoint':
      return facts.checkpoints.has(Number(name));
    case 'budget':
      return (facts.budgets.get(name) ?? 0) >= value;
    case 'version':
      return (facts.versions.get(name) ?? -1) >= value;
    case 'withdrawn':
      return facts.writer.recordsAbout({ agreement: name, limit: 1_000_000 }).every(({ state }) => state !== 'spooled');
    default:
      return false;
  }
}

/** Each record of the ledger has one number, one fate and one count. */
function agrees({ writer, nextSeq, waiting, budgets }: Facts, all: <T>(sql: string) => T[]): string[] {
  const faults: string[] = [];
  const records = writer.recordsAbout({ limit: 1_000_000 });
  const seen = new Set(records.map(({ campaign, seq }) => `${campaign}/${seq}`));
  if (seen.size !== records.length) faults.push('a sequence number is used twice');
  const sealed = [...nextSeq.values()].reduce((sum, count) => sum + count, 0);
  if (records.length !== sealed) faults.push(`${records.length} records, ${sealed} sequence numbers`);
  const metered = writer.meter().reduce((sum, row) => sum + row.records, 0);
  if (metered !== records.length) faults.push(`the meter has ${metered} of ${records.length} records`);
  // The workload takes one of this budget for each record of its first stream.
  const counted = budgets.get('count');
  if (counted !== undefined && counted !== (nextSeq.get('c') ?? 0)) faults.push(`a budget stands at ${counted}`);
  const acks = new Map(all<[string, number]>('SELECT s.campaign, a.upto FROM ack a JOIN stream s ON s.id = a.stream'));
  for (const { campaign, seq, state } of records) {
    const spooled = waiting.get(campaign)?.includes(seq) ?? false;
    if (spooled !== (state === 'spooled')) faults.push(`${campaign}/${seq} is ${state}`);
    if (state === 'acked' && seq > (acks.get(campaign) ?? -1)) faults.push(`${campaign}/${seq} has no fate`);
  }
  return faults;
}

function treeStands(writer: Writer): string[] {
  const range = emptyRange();
  const { size, root } = writer.head();
  for (let index = 0; index < size; index++) {
    const bytes = writer.leaf(index);
    readLeaf(bytes);
    appendLeaf(range, sha256Tree.leaf(bytes), sha256Tree);
  }
  return Buffer.compare(root, rootFromRange(range, sha256Tree)) === 0 ? [] : ['the tree is not that of its leaves'];
}
