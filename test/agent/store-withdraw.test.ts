import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DurableStore } from '../../agent/store/contract.ts';
import { AGREEMENT, checkpoint, folder, labels, open, TestStream } from './store-parts.ts';

let place: ReturnType<typeof folder>;
let store: DurableStore;
const spoolKeys = async () => new Uint8Array(32).fill(1);

beforeEach(async () => {
  place = folder(true);
  store = await open(place.file, { spoolKeys, keepLeavesMs: 400_000 });
});
afterEach(async () => {
  await store.close().catch(() => {});
  place.remove();
});

/** All of its records are published and acknowledged: the store has nothing more to do for it but to take the next one. */
async function published(name: string): Promise<TestStream> {
  const stream = new TestStream(name);
  await stream.fill(store, 3);
  await store.commit();
  const size = await checkpoint(store);
  for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
  await store.pubacked((await store.take(100)).map(({ id }) => id));
  await store.ack({
    stream: stream.entry.stream,
    uptoSeq: 2,
    missing: [],
    state: 'opened',
    signed: Buffer.from('ack'),
  });
  return stream;
}

describe('a record that is appended while its agreement is being withdrawn', () => {
  it('becomes a leaf without a row, and the store goes on', async () => {
    const stream = await published('late');
    const withdrawn = store.withdraw(AGREEMENT);
    store.append(stream.record());
    await withdrawn;
    await store.commit();
    expect(await store.stats()).toMatchObject({ queued: 0, evicted: 1, fault: null });
    const other = new TestStream('other', { agreement: 'urn:uuid:other' });
    await other.fill(store, 1);
    await store.commit();
    expect(labels(await store.take(10))).toEqual(['session other', 'other/0']);
  });

  it('does not come back under the key of an agreement that was given anew', async () => {
    const stream = await published('late');
    const withdrawn = store.withdraw(AGREEMENT);
    store.append(stream.record());
    await withdrawn;
    const again = new TestStream('again');
    await again.fill(store, 1);
    store.append(stream.record());
    await store.commit();
    expect(labels(await store.take(10))).toEqual(['session again', 'again/0']);
    expect((await store.stats()).evicted).toBe(2);
  });
});

describe('a withdrawal', () => {
  it('does not keep old leaves for ever: nobody is proved the records that were dropped', async () => {
    await new TestStream('dropped').fill(store, 10);
    await store.commit();
    await store.withdraw(AGREEMENT);
    const kept = new TestStream('kept', { agreement: 'urn:uuid:kept' });
    kept.startMs = 10_000;
    await kept.fill(store, 2_000);
    await store.commit();
    const size = await checkpoint(store);
    const materials = await store.proofs(size);
    expect(materials.map(({ stream }) => Buffer.from(stream))).toEqual([Buffer.from(kept.entry.stream)]);
    for (const material of materials) await store.proof(material, Buffer.from('proof'));
    await store.pubacked((await store.take(100_000)).map(({ id }) => id));
    await store.ack({
      stream: kept.entry.stream,
      uptoSeq: 1_999,
      missing: [],
      state: 'opened',
      signed: Buffer.from('a'),
    });
    expect(await store.prune()).toBe(1_536);
  });

  it('stays one over a restart that finds the same key', async () => {
    const stream = new TestStream('dropped');
    await stream.fill(store, 3);
    await store.commit();
    await store.withdraw(AGREEMENT);
    await store.close();
    store = await open(place.file, { spoolKeys });
    expect(await store.take(10)).toEqual([]);
    expect(await store.proofs(await checkpoint(store))).toEqual([]);
    expect(await store.stats()).toMatchObject({ queued: 0, evicted: 3 });
  });
});
