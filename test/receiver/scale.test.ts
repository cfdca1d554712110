import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ALARM_MS, type ReceiverStore, SqliteStore } from '#receiver';
import { PostgresStore } from '../../receiver/postgres-store.ts';
import { type Bench, benchOver, type Message, type TestStore, TestUnit } from './parts.ts';
import { POSTGRES, type Postgres, startPostgres } from './postgres.ts';

const PROCESSES = 3;

/** Numbers that follow no order a test could rely on, the same in each run. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((one) => [random(), one] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, one]) => one);
}

/** Several receivers with a connection each to one database, as processes have them. */
function specification(connect: () => Promise<() => Promise<TestStore>>): void {
  const opened: ReceiverStore[] = [];
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
  });

  async function receivers(units: readonly TestUnit[], count = PROCESSES): Promise<Bench<TestStore>[]> {
    const open = await connect();
    const all: Bench<TestStore>[] = [];
    for (let i = 0; i < count; i++) {
      const store = await open();
      opened.push(store);
      all.push(benchOver(store, units));
    }
    return all;
  }

  const sum = (all: readonly Bench<TestStore>[], what: 'opened' | 'proven' | 'alarms' | 'proofs') =>
    all.reduce((total, { receiver }) => total + receiver.status()[what], 0);

  it('store each record once, whichever of them gets it, and however often', async () => {
    const unit = new TestUnit();
    const streams = [await unit.stream(), await unit.stream(), await unit.stream()];
    const messages: Message[] = [];
    for (const stream of streams) messages.push(...(await stream.records(40)));
    const all = await receivers([unit]);
    const random = chance(7);
    // Each has all sessions; records and their repetitions go to anyone, at the same time.
    for (const made of all) for (const { session } of streams) await made.receiver.handle(session.topic, session.bytes);
    const share = shuffled([...messages, ...messages, ...messages.slice(0, 60)], random);
    await Promise.all(
      all.map(async (made, i) => {
        for (let k = i; k < share.length; k += all.length) {
          await made.receiver.handle(share[k]!.topic, share[k]!.bytes);
          if (random() < 0.1) await made.receiver.flush();
        }
        await made.receiver.flush();
      }),
    );
    const [{ store }] = all as [Bench<TestStore>];
    expect(await store.count('records')).toBe(120);
    expect(await store.count('value')).toBe(120 * 12);
    expect(sum(all, 'opened')).toBe(120);
    const written = all.flatMap((made) =>
      made.written.map(({ stream, seq }) => `${Buffer.from(stream).toString('hex')}/${seq}`),
    );
    expect(new Set(written).size).toBe(120);
    expect(written.length).toBe(120);
    // Each stream's last answer, from whomever, covers all of it.
    for (const { proof } of streams.map((stream) => ({ proof: stream }))) {
      await all[0]!.take(await proof.proof());
    }
    expect(sum(all, 'proven')).toBe(120);
    expect(sum(all, 'alarms')).toBe(0);
  });

  it('acknowledge what all of them stored: holes of one are records of another', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const records = await stream.records(9);
    const [one, two] = (await receivers([unit], 2)) as [Bench<TestStore>, Bench<TestStore>];
    await one.take(stream.session, records[0]!, records[2]!, records[4]!);
    expect(one.acks.at(-1)).toMatchObject({ uptoSeq: 4, missing: [1, 3] });
    await two.take(stream.session, records[1]!, records[6]!);
    expect(two.acks.at(-1)).toMatchObject({ uptoSeq: 6, missing: [3, 5] });
    await one.take(records[3]!, records[5]!, records[7]!);
    expect(one.acks.at(-1)).toMatchObject({ uptoSeq: 7, missing: [] });
    await two.take(records[8]!);
    expect(two.acks.at(-1)).toMatchObject({ uptoSeq: 8, missing: [] });
  });

  it('prove over each other’s records, and a proof that waits is taken up by whoever stores the last', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const records = await stream.records(6);
    const [one, two] = (await receivers([unit], 2)) as [Bench<TestStore>, Bench<TestStore>];
    await one.take(stream.session, records[0]!, records[2]!);
    await two.take(stream.session, records[1]!, records[3]!, await stream.proof());
    expect(sum([one, two], 'proven')).toBe(0);
    await one.take(records[4]!, records[5]!);
    expect(one.receiver.status()).toMatchObject({ proofs: 1, proven: 6 });
    expect(one.acks.at(-1)).toMatchObject({ state: 'proven', uptoSeq: 5 });
    // What one proved, the other goes on from.
    await two.take(await stream.record(), await stream.proof());
    expect(two.receiver.status()).toMatchObject({ proofs: 1, proven: 1, alarms: 0 });
    expect(two.acks.at(-1)).toMatchObject({ state: 'proven', uptoSeq: 6 });
  });

  it('prove once what they prove at the same time', async () => {
    const unit = new TestUnit();
    const streams = await Promise.all(Array.from({ length: 4 }, () => unit.stream()));
    const all = await receivers([unit]);
    for (const stream of streams) await all[0]!.take(stream.session, ...(await stream.records(5)));
    const proofs: Message[] = [];
    for (const stream of streams) proofs.push(await stream.proof());
    await Promise.all(all.map((made) => made.take(...proofs)));
    expect(sum(all, 'proven')).toBe(20);
    expect(sum(all, 'proofs')).toBe(4);
    expect(sum(all, 'alarms')).toBe(0);
  });

  it('open records whose session only another one got', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const [one, two] = (await receivers([unit], 2)) as [Bench<TestStore>, Bench<TestStore>];
    await two.take(...(await stream.records(3)));
    expect(two.receiver.status()).toMatchObject({ opened: 0, waiting: 3 });
    await one.take(stream.session);
    two.clock.ms += 1_000;
    await two.receiver.tick();
    await two.receiver.flush();
    expect(two.receiver.status()).toMatchObject({ opened: 3, waiting: 0 });
  });

  it('do not both tell what is not proven, nor tell it of what another proved', async () => {
    const unit = new TestUnit();
    const [lost, kept] = [await unit.stream(), await unit.stream()];
    const all = await receivers([unit]);
    for (const made of all) await made.take(lost.session, kept.session, await lost.record(), await kept.record());
    await all[1]!.take(await kept.proof());
    for (const made of all) {
      made.clock.ms += ALARM_MS;
      await made.receiver.tick();
    }
    const told = all.flatMap(({ alarms }) => alarms);
    expect(told.map(({ error, stream, seq }) => [error.code, stream, seq])).toEqual([
      ['TG_RECEIVER_UNPROVEN', Buffer.from(lost.stream).toString('base64url'), 0],
    ]);
  });

  it('take one of two sessions of one name, and nothing under the other', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const twin = await unit.stream({ stream: stream.stream });
    const [one, two] = (await receivers([unit], 2)) as [Bench<TestStore>, Bench<TestStore>];
    // Neither knows of the other's when it takes its own.
    await one.receiver.handle(stream.session.topic, stream.session.bytes);
    await two.receiver.handle(twin.session.topic, twin.session.bytes);
    const [a, b] = [await stream.record(), await twin.record()];
    await one.take(a);
    await two.take(b);
    expect(two.alarms.map(({ error }) => error.code)).toEqual(['TG_RECEIVER_SESSION']);
    expect(two.acks).toEqual([]);
    expect(await one.store.count('records')).toBe(1);
    await two.take(await stream.record());
    expect(two.acks.at(-1)).toMatchObject({ uptoSeq: 1, missing: [] });
  });

  it('let no two units have one pseudonym', async () => {
    const [unit, other] = [new TestUnit(1), new TestUnit(2)];
    const own = await unit.stream();
    const stolen = await other.stream({ pseudonym: unit.pseudonym });
    const [one, two] = (await receivers([unit, other], 2)) as [Bench<TestStore>, Bench<TestStore>];
    await one.receiver.handle(own.session.topic, own.session.bytes);
    await two.receiver.handle(stolen.session.topic, stolen.session.bytes);
    await one.take();
    await two.take(await stolen.record());
    expect(two.alarms.map(({ error }) => error.code)).toEqual(['TG_RECEIVER_SESSION']);
    expect(two.acks).toEqual([]);
  });
}

describe('receivers that share one SQLite file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-scale-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let number = 0;
  specification(async () => {
    const file = join(folder, `${number++}.sqlite`);
    return async () => new SqliteStore(file);
  });
});

describe.skipIf(POSTGRES === null)('receivers that share one PostgreSQL database', () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());
  specification(async () => {
    const url = server.fresh();
    return () => PostgresStore.open(url);
  });

  it('find its tables made once, however many start at the same time', async () => {
    const url = server.fresh();
    const stores = await Promise.all(Array.from({ length: 8 }, () => PostgresStore.open(url)));
    expect(await stores[7]!.count('streams')).toBe(0);
    for (const store of stores) await store.close();
  });

  it('say what is wrong with a database, and never its password', async () => {
    const wrong = 'postgres://somebody:very-secret@127.0.0.1:9/none';
    const error = await PostgresStore.open(wrong).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'TG_RECEIVER_STORE', place: { file: 'postgres://127.0.0.1:9/none' } });
    expect(JSON.stringify(error)).not.toContain('very-secret');
  });

  it('stop when the server goes away', async () => {
    const url = server.fresh();
    const store = await PostgresStore.open(url);
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = benchOver(store, [unit]);
    await made.take(stream.session, await stream.record());
    server.kick();
    await expect(made.take(await stream.record())).rejects.toMatchObject({ code: 'TG_RECEIVER_STORE' });
    expect(made.acks.length).toBe(1);
    await store.close();
  });
});
