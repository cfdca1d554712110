import { statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLeaf, rootAt, sha256Tree, verifyConsistency, verifyInclusion } from '#ledger';
import type { DurableStore } from '../../agent/store/contract.ts';
import { readLedger } from '../../agent/store/read-ledger.ts';
import { checkpoint, folder, open, TestStream } from './store-parts.ts';

let place: ReturnType<typeof folder>;
let store: DurableStore;
const DAYS = 10;

/** When the next stream begins. */
let nowMs = 0;

beforeEach(async () => {
  place = folder(true);
  nowMs = 0;
  store = await open(place.file, { keepLeavesMs: 400_000 });
});
afterEach(async () => {
  await store.close().catch(() => {});
  place.remove();
});

/** A stream whose records, one a second, are acknowledged and proven to its recipient. */
async function day(name: string, records: number, recipient = 'did:web:a'): Promise<TestStream> {
  const stream = new TestStream(name, { recipient });
  stream.startMs = nowMs;
  nowMs += records * 1_000;
  await stream.fill(store, records);
  await store.commit();
  const size = await checkpoint(store);
  for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
  await store.pubacked((await store.take(100_000)).map(({ id }) => id));
  const uptoSeq = stream.seq - 1;
  await store.ack({ stream: stream.entry.stream, uptoSeq, missing: [], state: 'opened', signed: Buffer.from('ack') });
  return stream;
}

describe('pruning', () => {
  it('lets old leaves under a checkpoint go, and proves every later one as before', async () => {
    await day('first', 1_000);
    await day('second', 1_200);
    const { size, root } = await store.head();
    expect(await store.prune()).toBe(1_792);
    const ledger = readLedger(place.file);
    expect([ledger.prunedBelow, ledger.size]).toEqual([1_792, size]);
    expect(ledger.leaf(1_791)).toBe(null);
    const node = (level: number, index: number) => ledger.node(level, index)!;
    expect(new Uint8Array(rootAt(size, node, sha256Tree))).toEqual(root);
    ledger.close();
    await store.close();
    store = await open(place.file, { keepLeavesMs: 400_000 });
    expect(await store.head()).toEqual({ size, root });
    const stream = new TestStream('third');
    stream.startMs = nowMs;
    await stream.fill(store, 5);
    await store.commit();
    const signed = await checkpoint(store);
    const [material] = await store.proofs(signed);
    const head = await store.head();
    const later = readLedger(place.file);
    const leaf = sha256Tree.leaf(later.leaf(material!.leafIndex)!);
    expect(readLeaf(later.leaf(material!.leafIndex)!).record!.seq).toBe(4);
    later.close();
    expect(verifyInclusion(sha256Tree, material!.leafIndex, head.size, leaf, material!.path, head.root)).toBe(true);
  });

  it('can still lead each recipient on from the tree that it was shown last', async () => {
    await day('of a', 700, 'did:web:a');
    const shown = await store.head();
    for (const name of ['x', 'y', 'z']) await day(name, 1_100, 'did:web:b');
    expect(await store.prune()).toBeGreaterThan(shown.size);
    await new TestStream('again', { recipient: 'did:web:a' }).fill(store, 1);
    await store.commit();
    const size = await checkpoint(store);
    const now = await store.head();
    const [material] = await store.proofs(size);
    const { fromSize, nodes } = material!.consistency!;
    expect(fromSize).toBe(shown.size);
    expect(verifyConsistency(sha256Tree, fromSize, size, shown.root, now.root, nodes)).toBe(true);
  });

  it('keeps the leaves of what waits and of what was not proved', async () => {
    const stream = new TestStream('waits');
    await stream.fill(store, 1);
    await store.commit();
    await day('old', 2_000);
    expect(await store.prune()).toBe(0);
    await store.ack({
      stream: stream.entry.stream,
      uptoSeq: 0,
      missing: [],
      state: 'opened',
      signed: Buffer.from('a'),
    });
    expect(await store.prune()).toBeGreaterThan(0);
  });

  it('stays flat from day to day, with the streams of the days forgotten and their counts kept', async () => {
    const bytes: number[] = [];
    for (let number = 1; number <= DAYS; number++) {
      await day(`day ${number}`, 1_000);
      await store.prune();
      await store.close();
      bytes.push(statSync(place.file).size);
      store = await open(place.file, { keepLeavesMs: 400_000 });
    }
    // What a day leaves for ever is a line of the meter and a few hashes.
    expect(bytes[DAYS - 1]! - bytes[5]!).toBeLessThanOrEqual(4 * 1_024);
    expect((await store.stats()).acked).toBe(1_000 * DAYS);
    expect((await store.meter()).reduce((sum, { records }) => sum + records, 0)).toBe(1_000 * DAYS);
    expect((await store.recordsAbout({ limit: 100_000 })).length).toBeLessThan(2_500);
  });

  it.each([
    ['were all evicted', 'low', 40],
    ['were evicted at its end', 'tail', 40],
    ['were evicted in longer runs than a proof names', 'run', 2_500],
  ])('does not wait for proofs of a stream whose records %s', async (_, how, count) => {
    await store.close();
    place.remove();
    place = folder(true);
    store = await open(place.file, { keepLeavesMs: 400_000, maxBytes: 20_000 });
    const gone = new TestStream('gone', { priority: 0 });
    await gone.fill(store, how === 'tail' ? 2 : count, 60);
    await store.commit();
    if (how === 'tail') {
      await store.pubacked((await store.take(100)).map(({ id }) => id));
      const { stream } = gone.entry;
      await store.ack({ stream, uptoSeq: 1, missing: [], state: 'opened', signed: Buffer.from('ack') });
      await gone.fill(store, count, 60);
      await store.commit();
    }
    // Of a higher priority, and more than fits: what waits of the other leaves.
    const loud = new TestStream('loud', { priority: 5, agreement: 'urn:uuid:loud', campaign: 'loud' });
    if (how !== 'run') await loud.fill(store, 300, 60);
    else await new TestStream('after', { campaign: 'gone' }).fill(store, 1);
    await store.commit();
    await store.close();
    // Its boot is over.
    store = await open(place.file, { keepLeavesMs: 400_000 });
    nowMs = 3_000_000;
    for (const material of await store.proofs(await checkpoint(store)))
      await store.proof(material, Buffer.from('proof'));
    await store.pubacked((await store.take(100_000)).map(({ id }) => id));
    for (const { entry, seq } of [gone, loud].filter((one) => one.seq > 0)) {
      const { stream } = entry;
      await store.ack({ stream, uptoSeq: seq - 1, missing: [], state: 'opened', signed: Buffer.from('ack') });
    }
    for (let i = 0; i < 2; i++) {
      for (const material of await store.proofs(await checkpoint(store))) {
        await store.proof(material, Buffer.from('proof'));
        await store.pubacked((await store.take(100_000)).map(({ id }) => id));
      }
    }
    await day(`later ${how}`, 1_000);
    expect(await store.prune()).toBeGreaterThanOrEqual(256);
  });
});
