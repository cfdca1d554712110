import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { appendLeaf, emptyRange, rootFromRange, sha256Tree } from '#ledger';
import type { Connection } from '../../agent/store/database.ts';
import { GroupBuilder } from '../../agent/store/group.ts';
import { Writer } from '../../agent/store/writer.ts';
import { AGREEMENT, BOOT_ID, bootLeaf, fixedKey, TestStream } from '../agent/store-parts.ts';

/** Records a round of the workload commits, by stream. */
const A_ROUND = { c: 2, low: 4 } as const;

/** The next boot's group: the store must go on. */
function nextGroup() {
  const builder = new GroupBuilder();
  const stream = new TestStream('next');
  builder.leaf(bootLeaf(1));
  builder.stream(1, stream.entry);
  builder.record(1, stream.record());
  return builder.take();
}

/**
 * Starts the store's own recovery on what a cut left, and holds it to every promise made before.
 *
 * @returns what is wrong; empty when nothing is
 */
export async function examine(folder: string, files: ReadonlyMap<string, Buffer>, promised: string): Promise<string[]> {
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  let writer: Writer;
  try {
    writer = new Writer({ file: join(folder, 'tollgate.sqlite'), maxBytes: 9_000, bootId: BOOT_ID });
  } catch (error) {
    return [`no start: ${error instanceof Error ? error.message : error}`];
  }
  try {
    const faults = [...promisesKept(writer.db, promised), ...agrees(writer.db), ...treeStands(writer)];
    writer.key(AGREEMENT, await fixedKey(AGREEMENT));
    const queued = writer.queued;
    if (writer.take(100_000, undefined).rows.length !== queued) faults.push('a queued row does not open');
    writer.commit(nextGroup());
    return faults;
  } catch (error) {
    return [`fails: ${error instanceof Error ? error.message : error}`];
  } finally {
    writer.close();
  }
}

const one = (db: Connection, sql: string, ...values: unknown[]) =>
  (db
    .prepare(sql)
    .pluck()
    .get(...values) ?? 0) as number;
const seqOf = (db: Connection, campaign: string) =>
  one(db, 'SELECT next_seq FROM progress p JOIN stream s ON s.id = p.stream WHERE campaign = ?', campaign);

function promisesKept(db: Connection, promised: string): string[] {
  const faults: string[] = [];
  for (const line of promised.split('\n').filter((text) => text !== '')) {
    const [what, number] = line.split(' ');
    const value = Number(number);
    const waiting = `SELECT count(*) FROM outbox o JOIN stream s ON s.id = o.stream
      WHERE s.campaign = 'c' AND o.kind = 1 AND o.seq <= ?`;
    const kept =
      what === 'committed'
        ? seqOf(db, 'c') >= A_ROUND.c * value && seqOf(db, 'low') >= A_ROUND.low * value
        : what === 'checkpoint'
          ? one(db, 'SELECT count(*) FROM checkpoint WHERE size = ?', value) === 1
          : one(db, waiting, value) === 0;
    if (!kept) faults.push(`lost: ${line}`);
  }
  return faults;
}

/** The tables say the same: groups are whole, each record has one fate, the meter counts them. */
function agrees(db: Connection): string[] {
  const faults: string[] = [];
  const expectZero = (what: string, sql: string) => {
    if (one(db, sql) !== 0) faults.push(what);
  };
  if (seqOf(db, 'c') * A_ROUND.low !== seqOf(db, 'low') * A_ROUND.c) faults.push('a group is there in part');
  expectZero(
    'a record has no fate',
    `SELECT count(*) FROM record r WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.leaf = r.leaf)
     AND NOT EXISTS (SELECT 1 FROM evicted e WHERE e.stream = r.stream AND e.seq = r.seq)
     AND r.seq > ifnull((SELECT upto FROM ack a WHERE a.stream = r.stream), -1)`,
  );
  expectZero('a sequence number is used twice', 'SELECT count(*) - count(DISTINCT stream || seq) FROM record');
  expectZero(
    'records and sequence numbers differ',
    'SELECT (SELECT count(*) FROM record) - (SELECT ifnull(sum(next_seq), 0) FROM progress)',
  );
  expectZero('the meter differs', 'SELECT (SELECT count(*) FROM record) - (SELECT ifnull(sum(records), 0) FROM meter)');
  expectZero('a row has no payload', 'SELECT count(*) FROM (SELECT id FROM outbox EXCEPT SELECT id FROM payload)');
  expectZero('a payload has no row', 'SELECT count(*) FROM (SELECT id FROM payload EXCEPT SELECT id FROM outbox)');
  return faults;
}

function treeStands(writer: Writer): string[] {
  const range = emptyRange();
  let nodes = 0;
  const leaves = writer.db.prepare('SELECT leaf FROM leaf ORDER BY idx').pluck().all() as Uint8Array[];
  for (const leaf of leaves) appendLeaf(range, sha256Tree.leaf(leaf), sha256Tree, () => nodes++);
  const { size, root } = writer.head();
  const same = size === leaves.length && Buffer.compare(root, rootFromRange(range, sha256Tree)) === 0;
  return same && one(writer.db, 'SELECT count(*) FROM node') === nodes ? [] : ['the tree is not that of its leaves'];
}
