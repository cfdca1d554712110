import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendLeaf, emptyRange, readLeaf, rootFromRange, sha256Tree } from '#ledger';
import type { DurableStore } from '../../agent/store/contract.ts';
import { readLedger } from '../../agent/store/read-ledger.ts';
import { PAGE_BYTES } from '../../agent/store/tables.ts';
import { checkpoint, folder, labels, open, TestStream } from './store-parts.ts';

let place: ReturnType<typeof folder>;
const stores: DurableStore[] = [];

beforeEach(() => {
  place = folder(true);
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close().catch(() => {});
  place.remove();
});

async function opened(more: Parameters<typeof open>[1] = {}): Promise<DurableStore> {
  const store = await open(place.file, more);
  stores.push(store);
  return store;
}

const code = (expected: string) => expect.objectContaining({ code: expected });

/** The ledger in the file: its root is that of its leaves. */
function ledgerStands(): boolean {
  const ledger = readLedger(place.file);
  const range = emptyRange();
  for (let index = 0; index < ledger.size; index++) {
    appendLeaf(range, sha256Tree.leaf(ledger.leaf(index)!), sha256Tree);
  }
  const whole = emptyRange();
  for (let index = 0; index < ledger.size; index++) appendLeaf(whole, ledger.node(0, index)!, sha256Tree);
  ledger.close();
  return Buffer.compare(rootFromRange(range, sha256Tree), rootFromRange(whole, sha256Tree)) === 0;
}

async function spooled(records: number): Promise<void> {
  const store = await open(place.file);
  await new TestStream('s').fill(store, records, 300);
  await store.commit();
  await checkpoint(store);
  await store.close();
}

describe('a disk that takes no writes any more', () => {
  it('is said in the status; what waits is still sent, what comes waits, and the ledger stays true', async () => {
    await spooled(20);
    const store = await opened({ readOnly: true });
    await new TestStream('t').fill(store, 2);
    await expect(store.commit()).rejects.toThrow(code('TG_STORE_READONLY'));
    expect(await store.stats()).toMatchObject({ fault: 'TG_STORE_READONLY', queued: 21 });
    const rows = await store.take(100);
    expect(labels(rows)).toHaveLength(21);
    await store.pubacked(rows.map(({ id }) => id));
    expect(await store.stats()).toMatchObject({ pubacked: 21 });
    expect((await store.head()).size).toBe(20);
    expect(ledgerStands()).toBe(true);
  });

  it('takes nothing back: after the repair all that was committed is there', async () => {
    await spooled(20);
    await (await opened({ readOnly: true })).close().catch(() => {});
    const store = await opened();
    expect(await store.stats()).toMatchObject({ fault: null, queued: 21 });
  });
});

describe('a full disk', () => {
  it('is said in the status, sends what waits, and leaves a true ledger when the agent dies on it', async () => {
    const store = await opened({ maxPages: 900, groupCommitRecords: 20 });
    const stream = new TestStream('s');
    store.begin(stream.entry);
    let durable = 0;
    await expect(
      (async () => {
        for (;;) {
          for (let i = 0; i < 10; i++) void store.append(stream.record(1_000));
          await store.commit();
          durable = stream.seq;
        }
      })(),
    ).rejects.toThrow(code('TG_STORE_FULL'));
    expect((await store.stats()).fault).toBe('TG_STORE_FULL');
    expect((await store.take(10)).length).toBe(10);
    expect((await store.head()).size).toBe(durable);
    await store.close().catch(() => {});
    expect(ledgerStands()).toBe(true);
    const again = await opened();
    expect((await again.head()).size).toBe(durable);
  });
});

describe('a page that is damaged while the agent runs', () => {
  it('ends the store with a code that the status keeps, and nothing wrong is handed out', async () => {
    await spooled(2_000);
    const store = await opened();
    const file = openSync(place.file, 'r+');
    const pages = Math.floor(statSync(place.file).size / PAGE_BYTES);
    for (let page = 40; page < pages; page++)
      writeSync(file, Buffer.alloc(PAGE_BYTES, 0xa5), 0, PAGE_BYTES, page * PAGE_BYTES);
    closeSync(file);
    const taken = await store.take(5_000).catch((error: unknown) => error);
    if (Array.isArray(taken)) {
      // The pages of payloads are garbage: none of them opens, and none goes out.
      expect(labels(taken).filter((label) => !/^(session s|s\/\d+)$/.test(label))).toEqual([]);
    } else expect(taken).toEqual(code('TG_STORE_CORRUPT'));
    await expect(store.recordsAbout({ limit: 10_000 })).rejects.toThrow(code('TG_STORE_CORRUPT'));
    expect((await store.stats()).fault).toBe('TG_STORE_CORRUPT');
    expect(() => store.leaf(new Uint8Array(1))).toThrow(code('TG_STORE_CORRUPT'));
    await store.close().catch(() => {});
    await expect(open(place.file)).rejects.toThrow(code('TG_STORE_CORRUPT'));
  });
});

describe('a record that is too old', () => {
  it('leaves unsent when its stream says so, as a gap leaf', async () => {
    const store = await opened();
    const stream = new TestStream('fresh', { ttlMs: 3_000 });
    await stream.fill(store, 2);
    await new TestStream('kept').fill(store, 2);
    await store.commit();
    await stream.fill(store, 4);
    await store.commit();
    expect(labels(await store.take(10))).toEqual([
      'session fresh',
      'session kept',
      'kept/0',
      'kept/1',
      'fresh/2',
      'fresh/3',
      'fresh/4',
      'fresh/5',
    ]);
    expect((await store.stats()).evicted).toBe(2);
    const { size } = await store.head();
    const ledger = readLedger(place.file);
    expect(readLeaf(ledger.leaf(size - 1)!).kind).toBe(6);
    ledger.close();
  });
});

describe('the spool of one recipient', () => {
  it('reaches its own cap and takes nothing from another', async () => {
    const store = await opened({ maxRecipientBytes: 3 * 116 });
    await new TestStream('low', { recipient: 'did:web:a', priority: 1 }).fill(store, 3, 100);
    await new TestStream('other', { recipient: 'did:web:b', priority: 0 }).fill(store, 3, 100);
    await store.commit();
    await new TestStream('high', { recipient: 'did:web:a', priority: 6 }).fill(store, 2, 100);
    await store.commit();
    const sent = labels(await store.take(20)).filter((label) => !label.startsWith('session'));
    expect(sent).toEqual(['high/0', 'high/1', 'low/2', 'other/0', 'other/1', 'other/2']);
    expect((await store.stats()).evicted).toBe(2);
  });
});
