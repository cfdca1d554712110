import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootLeaf, checkpoint, open, TestStream } from '../agent/store-parts.ts';

// A short life of a store while every write is recorded. What the store promised is written to the file `promises` in
// the same folder, so that the promise has its place in the record: no clock, no race. Ends by SIGKILL: no clean close.
// Arguments: folder, rounds, ms until answers are on disk (0: at once, and only then they are promised), `off` for a
// store that syncs nothing.

/** A small WAL, so that it is copied into the database several times in the record. */
const WAL_PAGES = 120;
const LIMIT = 1_000_000;

const [folder, rounds, gather = '0', sync = 'full'] = process.argv.slice(2);
const gatherMs = Number(gather);
const promises = openSync(join(folder!, 'promises'), 'a');
const promise = (text: string) => writeSync(promises, `${text}\n`);

const store = await open(join(folder!, 'tollgate.sqlite'), {
  maxBytes: 9_000,
  walPages: WAL_PAGES,
  gatherMs,
  unsynced: sync === 'off',
});
store.leaf(bootLeaf());
const stream = new TestStream('c');
const low = new TestStream('low', { priority: 0 });
const gone = new TestStream('gone', { agreement: 'urn:gone' });
store.begin(stream.entry);
const budgets = [{ key: 'count', add: 1, limit: LIMIT }];
let acked = -1;
for (let round = 1; round <= Number(rounds); round++) {
  for (let i = 0; i < 2; i++) await store.append(stream.record(60), budgets);
  // Between rounds of large groups are some of small ones, which become durable another way.
  if (round % 3 === 0) await low.fill(store, 12, 300);
  if (round < 8) await gone.fill(store, 1, 60);
  await store.commit();
  promise(`committed c ${stream.seq - 1}`);
  promise(`budget count ${stream.seq}`);
  if (low.seq > 0) promise(`committed low ${low.seq - 1}`);
  if (round === 8) {
    await store.withdraw('urn:gone', bootLeaf(round));
    promise('withdrawn urn:gone');
  }
  if (round % 5 === 0) {
    const hash = new Uint8Array(32).fill(round);
    await store.accept({ issuer: 'did:web:i', document: 'd', version: round, hash }, bootLeaf(round));
    promise(`version d ${round}`);
  }
  if (round % 4 === 0) {
    const size = await checkpoint(store);
    promise(`checkpoint ${size}`);
    if (acked >= 0) promise(`acked c ${acked}`);
    for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
  }
  if (round % 2 === 0) {
    const rows = await store.take(6);
    await store.pubacked(rows.map(({ id }) => id));
    const uptoSeq = stream.seq - 2;
    await store.ack({ stream: stream.entry.stream, uptoSeq, missing: [], state: 'opened', signed: Buffer.from('ack') });
    acked = uptoSeq;
    if (gatherMs === 0) promise(`acked c ${acked}`);
  }
}
process.kill(process.pid, 'SIGKILL');
