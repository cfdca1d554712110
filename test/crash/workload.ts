import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootLeaf, checkpoint, open, TestStream } from '../agent/store-parts.ts';

// A short life of a store while every write is recorded. What the store promised is written to the file `promises` in
// the same folder, so that the promise has its place in the record: no clock, no race. Ends by SIGKILL: no clean close.
// Arguments: folder, rounds.

/** A small WAL, so that it is copied into the database several times in the record. */
const WAL_PAGES = 60;

const [folder, rounds] = process.argv.slice(2);
const promises = openSync(join(folder!, 'promises'), 'a');
const promise = (text: string) => writeSync(promises, `${text}\n`);

const store = await open(join(folder!, 'tollgate.sqlite'), { maxBytes: 9_000, walPages: WAL_PAGES });
store.leaf(bootLeaf());
const stream = new TestStream('c');
const low = new TestStream('low', { priority: 0 });
for (let round = 1; round <= Number(rounds); round++) {
  await stream.fill(store, 2, 60);
  await low.fill(store, 4, 300);
  await store.commit();
  promise(`committed ${round}`);
  if (round % 4 === 0) {
    const size = await checkpoint(store);
    promise(`checkpoint ${size}`);
    for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
  }
  if (round % 2 === 0) {
    const rows = await store.take(6);
    await store.pubacked(rows.map(({ id }) => id));
    const uptoSeq = stream.seq - 2;
    await store.ack({ stream: stream.entry.stream, uptoSeq, missing: [], state: 'opened', signed: Buffer.from('ack') });
    promise(`acked ${uptoSeq}`);
  }
}
process.kill(process.pid, 'SIGKILL');
