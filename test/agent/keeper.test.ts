import { copyFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '#contracts';
import { parseCheckpoint, sha256Tree, verifyConsistency } from '#ledger';
import { decodeProof, type Proof } from '#wire';
import { Keeper } from '../../agent/keeper.ts';
import type { DurableStore } from '../../agent/store/contract.ts';
import { folder, open, SIGNER, TestStream } from './store-parts.ts';

const HOUR = 3_600_000;
let place: ReturnType<typeof folder>;
let store: DurableStore;
let now = 0;
const clock: Clock = {
  bootNs: () => BigInt(now) * 1_000_000n,
  monotonicMs: () => now,
  utc: () => ({ offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' }),
};

beforeEach(async () => {
  place = folder(true);
  now = 0;
  store = await open(place.file);
});
afterEach(async () => {
  await store.close().catch(() => {});
  place.remove();
});

const boot = () => new Keeper({ store, clock, signer: SIGNER, onSigned: () => {} });

/** Records of a stream, one publication, and the proofs that wait after it. */
async function publish(keeper: Keeper, ...streams: readonly TestStream[]): Promise<Proof[]> {
  for (const stream of streams) await stream.fill(store, 3);
  await store.commit();
  await keeper.checkpoint();
  await keeper.publish();
  return await proofs();
}

/** Everything that waits leaves, as if a broker had taken it. */
async function proofs(): Promise<Proof[]> {
  const rows = await store.take(1_000);
  await store.pubacked(rows.map(({ id }) => id));
  return rows.filter(({ kind }) => kind === 'proof').map(({ payload }) => decodeProof(payload));
}

async function reboot(): Promise<Keeper> {
  await store.close();
  store = await open(place.file);
  return boot();
}

const headOf = ({ checkpoint }: Proof) => parseCheckpoint(checkpoint);
function follows(later: Proof, earlier: Proof): boolean {
  const [a, b] = [headOf(earlier), headOf(later)];
  const { fromSize, nodes } = later.consistency!;
  expect(fromSize).toBe(a.size);
  return verifyConsistency(sha256Tree, a.size, b.size, a.root, b.root, nodes);
}

describe('a recipient', () => {
  it('is shown no growth with its first proof ever, nor with each one after', async () => {
    const keeper = boot();
    const stream = new TestStream('a');
    const [first] = await publish(keeper, stream);
    const [second] = await publish(keeper, stream);
    expect([first!.consistency, second!.consistency]).toEqual([null, null]);
  });

  it('is shown after a boot that the ledger only grew since it was last published to', async () => {
    const [before] = await publish(boot(), new TestStream('a'));
    const keeper = await reboot();
    const [after, other] = await publish(keeper, new TestStream('b'), new TestStream('c'));
    expect(follows(after!, before!)).toBe(true);
    expect(other!.consistency).toBeNull();
  });

  it('is shown it again after an hour, not before', async () => {
    const keeper = boot();
    const stream = new TestStream('a');
    await publish(keeper, stream);
    now = HOUR - 1;
    const [early] = await publish(keeper, stream);
    expect(early!.consistency).toBeNull();
    now = HOUR;
    const [late] = await publish(keeper, stream);
    expect(follows(late!, early!)).toBe(true);
  });

  it('is shown it by one proof that no later one replaces while nobody takes it', async () => {
    const [before] = await publish(boot(), new TestStream('a'));
    const keeper = await reboot();
    const stream = new TestStream('b');
    for (let minute = 0; minute < 3; minute++) {
      await stream.fill(store, 1);
      await store.commit();
      await keeper.checkpoint();
      await keeper.publish();
    }
    const waiting = await proofs();
    expect(waiting.map(({ consistency }) => consistency !== null)).toEqual([true, false]);
    expect(follows(waiting[0]!, before!)).toBe(true);
  });

  it('gets the proof that the next link starts from, also when a boot came in between', async () => {
    const stream = new TestStream('a');
    const keeper = boot();
    await stream.fill(store, 2);
    await store.commit();
    await keeper.checkpoint();
    await keeper.publish();
    await stream.fill(store, 2);
    await store.commit();
    const next = await reboot();
    const [before, last, fresh] = await publish(next, new TestStream('b'));
    expect(follows([last!, fresh!].find(({ consistency }) => consistency !== null)!, before!)).toBe(true);
  });

  it('learns of a copy of the disk that came back and grew beyond what it had seen', async () => {
    const keeper = boot();
    const stream = new TestStream('a');
    const [copied] = await publish(keeper, stream);
    await store.close();
    copyFileSync(place.file, `${place.file}.copy`);
    const [seen] = await publish(await reboot(), new TestStream('b'));
    await store.close();
    copyFileSync(`${place.file}.copy`, place.file);
    const [grown] = await publish(await reboot(), new TestStream('b'), new TestStream('c'));
    expect(headOf(grown!).size).toBeGreaterThan(headOf(seen!).size);
    // The unit says that it published nothing in between: what was seen lies there.
    expect(grown!.consistency!.fromSize).toBe(headOf(copied!).size);
    expect(grown!.consistency!.fromSize).toBeLessThan(headOf(seen!).size);
  });
});
