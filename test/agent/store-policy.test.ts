import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLeaf } from '#ledger';
import type { Budget, DocumentVersion, DurableStore } from '../../agent/store/contract.ts';
import { readLedger } from '../../agent/store/read-ledger.ts';
import { AGREEMENT, bootLeaf, fixedKey, folder, labels, open, TestStream } from './store-parts.ts';

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
const hashOf = (text: string) => new Uint8Array(createHash('sha256').update(text).digest());
const version = (number: number, text = `v${number}`): DocumentVersion => ({
  issuer: 'did:web:issuer',
  document: 'agreement urn:1',
  version: number,
  hash: hashOf(text),
});

describe('a budget', () => {
  const daily: Budget = { key: 'urn:1#p1 2026-11-25', add: 1, limit: 3 };

  it('refuses the record that would exceed it; its sequence number stays free', async () => {
    const store = await opened();
    const stream = new TestStream('s');
    store.begin(stream.entry);
    for (let i = 0; i < 3; i++) expect(store.append(stream.record(), [daily])).toBe('queued');
    const fourth = stream.record();
    expect(store.admits([daily])).toBe(false);
    expect(store.append(fourth, [daily])).toBe('refused');
    expect(store.append(fourth)).toBe('queued');
    await store.commit();
    expect(labels(await store.take(10))).toEqual(['session s', 's/0', 's/1', 's/2', 's/3']);
    expect(store.budget(daily.key)).toBe(3);
  });

  it('goes up with all the others or not at all', async () => {
    const store = await opened();
    const stream = new TestStream('s');
    store.begin(stream.entry);
    const bytes = (add: number): Budget => ({ key: 'bytes', add, limit: 100 });
    expect(store.append(stream.record(), [daily, bytes(101)])).toBe('refused');
    expect([store.budget(daily.key), store.budget('bytes')]).toEqual([0, 0]);
  });

  it('is what it was after a restart, and gone when its period was forgotten', async () => {
    let store = await opened();
    const stream = new TestStream('s');
    store.begin(stream.entry);
    store.append(stream.record(), [daily, { key: 'old', add: 7, limit: 10 }]);
    await store.commit();
    store.append(stream.record(), [daily, { key: 'old', add: 1, limit: 10 }]);
    store.forgetBudget('old');
    store.append(stream.record(), [{ key: 'old', add: 2, limit: 10 }]);
    await store.close();
    store = await opened();
    expect([store.budget(daily.key), store.budget('old')]).toEqual([2, 2]);
    expect(store.admits([{ ...daily, add: 2 }])).toBe(false);
  });
});

describe('a document', () => {
  it('never goes back to a lower version, also after a restart', async () => {
    let store = await opened();
    expect(store.version('did:web:issuer', 'agreement urn:1')).toBe(null);
    expect(await store.accept(version(2), bootLeaf(1))).toBe('accepted');
    expect(await store.accept(version(2), bootLeaf(2))).toBe('known');
    expect(await store.accept(version(2, 'another'), null)).toBe('stale');
    expect(await store.accept(version(1), null)).toBe('stale');
    expect((await store.head()).size).toBe(1);
    await store.close();
    store = await opened();
    expect(store.version('did:web:issuer', 'agreement urn:1')).toEqual(version(2));
    expect(await store.accept(version(1), null)).toBe('stale');
    expect(await store.accept(version(3), null)).toBe('accepted');
  });
});

describe('a withdrawal', () => {
  it('hands out no row of the agreement from the call on, not even what was asked for before', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 5);
    await new TestStream('t', { agreement: 'urn:other' }).fill(store, 1);
    await store.commit();
    const asked = store.take(10);
    const withdrawn = store.withdraw(AGREEMENT, bootLeaf(9));
    const after = store.take(10);
    expect(labels(await asked)).toEqual(['session t', 't/0']);
    expect(await after).toEqual([]);
    expect(await withdrawn).toBe(5);
    expect(labels(await store.take(10))).toEqual([]);
  });

  it('writes its leaf and one gap leaf a stream', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 2);
    await store.withdraw(AGREEMENT, bootLeaf(9));
    await store.close();
    const ledger = readLedger(place.file);
    const leaves = Array.from({ length: ledger.size }, (_, index) => readLeaf(ledger.leaf(index)!).kind);
    expect(leaves).toEqual([1, 1, 0, 6]);
    ledger.close();
  });

  it('ends the streams under it for ever; a new grant begins new ones', async () => {
    let store = await opened();
    const stream = await new TestStream('s').fill(store, 1);
    await store.withdraw(AGREEMENT);
    await stream.fill(store, 1);
    await new TestStream('again').fill(store, 1);
    await store.commit();
    expect(labels(await store.take(10))).toEqual(['session again', 'again/0']);
    await store.close();
    store = await opened({ spoolKeys: fixedKey });
    expect(labels(await store.take(10))).toEqual(['session again', 'again/0']);
  });

  it('takes effect on a full disk too', async () => {
    const store = await opened({ maxPages: 600, groupCommitRecords: 20 });
    const stream = new TestStream('s');
    store.begin(stream.entry);
    await expect(
      (async () => {
        for (;;) {
          for (let i = 0; i < 10; i++) void store.append(stream.record(1_000));
          await store.commit();
        }
      })(),
    ).rejects.toThrow(code('TG_STORE_FULL'));
    await store.withdraw(AGREEMENT);
    expect(labels(await store.take(1_000))).toEqual([]);
    await store.commit();
    expect(labels(await store.take(1_000))).toEqual([]);
  });
});

describe('the counters of budgets', () => {
  it('are what was committed, whatever is appended, refused and forgotten in which order', async () => {
    const step = fc.record({ key: fc.nat(3), add: fc.nat(5), what: fc.integer({ min: 0, max: 9 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const own = folder(true);
        try {
          let store = await open(own.file);
          let stream = new TestStream('s0');
          store.begin(stream.entry);
          const model = new Map<string, number>();
          for (const [number, { key, add, what }] of steps.entries()) {
            const name = `k${key}`;
            if (what === 0) {
              store.forgetBudget(name);
              model.delete(name);
            } else if (what === 1) await store.commit();
            else if (what === 2) {
              await store.close();
              store = await open(own.file);
              stream = new TestStream(`s${number + 1}`);
              store.begin(stream.entry);
            } else {
              const value = (model.get(name) ?? 0) + add;
              const budgets = [{ key: name, add, limit: 12 }];
              const fits = value <= 12;
              expect(store.admits(budgets)).toBe(fits);
              if (fits) model.set(name, value);
              if (fits) expect(store.append(stream.record(), budgets)).toBe('queued');
            }
            for (const [known, value] of model) expect(store.budget(known)).toBe(value);
          }
          await store.close();
        } finally {
          own.remove();
        }
      }),
      { numRuns: 25, seed: 20_261 },
    );
  });
});
