import { appendFileSync } from 'node:fs';
import type { ProtocolState } from '../../agent/store/contract.ts';
import { readStore } from '../../agent/store/index.ts';
import { bootLeaf, checkpoint, open, TestStream } from './store-parts.ts';

// A short life of an agent's store, in a process that may be killed at a state. What was promised to be durable is
// written to a file first: `committed <campaign> <seq>`, `acked <seq>`, `checkpoint <size>`.
// Arguments: store, file of promises or "-", occurrence, rounds, and the state to die at.

const [file, promises, occurrence, rounds, state] = process.argv.slice(2);

function promise(text: string): void {
  if (promises !== '-') appendFileSync(promises!, `${text}\n`);
}

const faultAt =
  state === undefined ? {} : { faultAt: { state: state as ProtocolState, occurrence: Number(occurrence) } };
const store = await open(file!, { ...faultAt, maxBytes: 6_000 });
store.leaf(bootLeaf());
const campaign = `c${process.pid}`;
const stream = new TestStream(campaign);
const other = new TestStream(`${campaign}-low`, { priority: 0 });
for (let round = 0; round < Number(rounds); round++) {
  await stream.fill(store, 4, 60);
  await other.fill(store, 8, 200);
  await new TestStream(`${campaign}-r${round}`, { priority: 5 }).fill(store, 1, 60);
  await store.commit();
  promise(`committed ${campaign} ${stream.seq - 1}`);
  const size = await checkpoint(store);
  promise(`checkpoint ${size}`);
  for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
  const rows = await store.take(8);
  await store.pubacked(rows.map(({ id }) => id));
  const uptoSeq = stream.seq - 3;
  await store.ack({ stream: stream.entry.stream, uptoSeq, missing: [], state: 'opened', signed: Buffer.from('ack') });
  promise(`acked ${campaign} ${uptoSeq}`);
}
const reader = readStore(file!);
reader.stats();
reader.meter();
reader.recordsAbout({});
reader.close();
await store.meter();
await store.recordsAbout({ field: 'dbc:A.B' });
await store.stats();
await store.close();
process.stdout.write('done\n');
