import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLeaf, sha256Tree, verifyInclusion } from '#ledger';
import type { Appended, DurableStore } from '../../agent/store/contract.ts';
import { readStore } from '../../agent/store/index.ts';
import { packLeaves, unpackLeaves } from '../../agent/store/leaf-blocks.ts';
import { readLedger } from '../../agent/store/read-ledger.ts';
import { AGREEMENT, bootLeaf, checkpoint, fixedKey, folder, labels, open, TestStream } from './store-parts.ts';

let place: ReturnType<typeof folder>;
const stores: DurableStore[] = [];

beforeEach(() => {
  place = folder();
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

async function reopened(store: DurableStore, more: Parameters<typeof open>[1] = {}): Promise<DurableStore> {
  await store.close();
  return await opened(more);
}

const code = (expected: string) => expect.objectContaining({ code: expected });
const opened1 = (stream: TestStream, uptoSeq: number, missing: number[] = []) => ({
  stream: stream.entry.stream,
  uptoSeq,
  missing,
  state: 'opened' as const,
  signed: Buffer.from(`ack ${uptoSeq}`),
});

describe('a committed record', () => {
  it('is in the outbox, the ledger and the meter, also after the process ended', async () => {
    let store = await opened();
    store.leaf(bootLeaf());
    await new TestStream('s').fill(store, 3);
    await store.commit();
    const head = await store.head();
    expect(head.size).toBe(4);
    store = await reopened(store);
    expect(await store.head()).toEqual(head);
    expect(labels(await store.take(10))).toEqual(['session s', 's/0', 's/1', 's/2']);
    expect(await store.meter()).toEqual([
      expect.objectContaining({
        agreement: AGREEMENT,
        records: 3,
        samples: 9,
        bytes: 300,
        fields: { 'Vehicle.Speed': 6, 'dbc:A.B': 3 },
      }),
    ]);
  });

  it('is found by recipient, signal and time, whatever became of it', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 5);
    await new TestStream('other', { recipient: 'did:web:b' }).fill(store, 2);
    await store.commit();
    await store.ack(opened1(stream, 1));
    const records = await store.recordsAbout({ field: 'dbc:A.B', recipient: 'did:web:a', fromMs: 1_728_000_001_000 });
    expect(records.map(({ seq, state }) => `${seq} ${state}`)).toEqual([
      '4 spooled',
      '3 spooled',
      '2 spooled',
      '1 acked',
    ]);
    expect(records[0]).toMatchObject({
      leafIndex: 4,
      boottimeMs: 4_000,
      fields: ['Vehicle.Speed', 'dbc:A.B'],
      proven: false,
    });
    expect(await store.recordsAbout({ field: 'Vehicle.Door' })).toEqual([]);
  });

  it('needs no group to be full: time commits it', async () => {
    const store = await opened({ groupCommitMs: 5 });
    const ready = store.ready();
    await new TestStream('s').fill(store, 1);
    await ready;
    expect((await store.stats()).commits).toBe(1);
  });

  it('is not stored twice, and never out of order', async () => {
    const store = await opened();
    const stream = new TestStream('s');
    store.begin(stream.entry);
    const first = stream.record();
    store.append(first);
    expect(() => store.append(first)).toThrow(code('TG_STORE_SEQUENCE'));
    stream.record();
    expect(() => store.append(stream.record())).toThrow(code('TG_STORE_SEQUENCE'));
    expect(() => store.begin(stream.entry)).toThrow(code('TG_STORE_SEQUENCE'));
  });

  it('makes the writer wait when the disk is behind', async () => {
    const store = await opened({ groupCommitRecords: 10 });
    const stream = new TestStream('s');
    store.begin(stream.entry);
    const answers: Appended[] = [];
    for (let i = 0; i < 100; i++) answers.push(store.append(stream.record()));
    expect(answers.some((answer) => answer instanceof Promise)).toBe(true);
    await Promise.all(answers);
    await store.commit();
    expect((await store.stats()).queued).toBe(101);
  });
});

describe('sending', () => {
  it('goes session first, then by priority, then by age, proofs after the records of their priority', async () => {
    const store = await opened();
    const low = await new TestStream('low', { priority: 0 }).fill(store, 2);
    const high = await new TestStream('high', { priority: 7 }).fill(store, 2);
    await low.fill(store, 1);
    await store.commit();
    const size = await checkpoint(store);
    for (const material of await store.proofs(size)) await store.proof(material, Buffer.from('proof'));
    await high.fill(store, 1);
    await store.commit();
    const rows = await store.take(100);
    expect(labels(rows)).toEqual([
      'session low',
      'session high',
      'high/0',
      'high/1',
      'high/2',
      'proof',
      'low/0',
      'low/1',
      'low/2',
      'proof',
    ]);
    expect(rows[0]).toMatchObject({ retain: true, topic: `${low.entry.topic}/s` });
    expect(rows[5]).toMatchObject({ retain: false, topic: `${high.entry.topic}/p`, seq: -1 });
  });

  it('keeps a row inflight until its PUBACK or a requeue', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 3);
    await store.commit();
    const first = await store.take(2);
    expect(labels(await store.take(10))).toEqual(['s/1', 's/2']);
    await store.pubacked([first[0]!.id]);
    expect(await store.requeue(60_000)).toBe(3);
    expect(labels(await store.take(10))).toEqual(['s/0', 's/1', 's/2']);
    expect(await store.stats()).toMatchObject({ queued: 0, inflight: 3, pubacked: 1 });
  });

  it('sends again what has a PUBACK but no acknowledgement, with its session', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 3);
    await store.commit();
    await store.pubacked((await store.take(10)).map(({ id }) => id));
    await store.ack(opened1(stream, 1));
    expect(await store.requeue(60_000)).toBe(0);
    expect(await store.requeue(0)).toBe(2);
    expect(labels(await store.take(10))).toEqual(['session s', 's/2']);
  });

  it('sends to the newest pseudonym and the oldest that has rows, or to the one asked for', async () => {
    const store = await opened();
    for (const name of ['p1', 'p2', 'p3']) await new TestStream(name, { pseudonym: name }).fill(store, 1);
    await store.commit();
    expect(labels(await store.take(1, 'p2'))).toEqual(['session p2']);
    expect(labels(await store.take(10))).toEqual(['session p1', 'session p3', 'p1/0', 'p3/0']);
    expect(labels(await store.take(10))).toEqual(['p2/0']);
    expect(await store.take(10, 'nobody')).toEqual([]);
  });

  it('rings when a row becomes ready', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 1);
    await store.commit();
    await store.take(10);
    const ready = store.ready();
    await stream.fill(store, 1);
    await store.commit();
    await ready;
  });

  it('sends the session of an open stream again on a new connection, even after all was acknowledged', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 1);
    await store.commit();
    await store.pubacked((await store.take(10)).map(({ id }) => id));
    await store.ack(opened1(stream, 0));
    expect(await store.stats()).toMatchObject({ queued: 0, inflight: 0, pubacked: 0, acked: 1 });
    await stream.fill(store, 1);
    await store.commit();
    const rows = await store.take(10);
    await store.pubacked(rows.map(({ id }) => id));
    expect(await store.resendSessions()).toBe(1);
    expect(labels(await store.take(10))).toEqual(['session s']);
  });

  it('works on after a restart as if everything were queued that no broker took', async () => {
    let store = await opened();
    await new TestStream('s').fill(store, 3);
    await store.commit();
    const rows = await store.take(10);
    await store.pubacked([rows[0]!.id, rows[1]!.id]);
    store = await reopened(store);
    expect(await store.stats()).toMatchObject({ queued: 2, inflight: 0, pubacked: 2 });
    expect(labels(await store.take(10))).toEqual(['s/1', 's/2']);
  });
});

describe('an acknowledgement', () => {
  it('deletes rows up to its number but for the holes, which go again', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 6);
    await store.commit();
    await store.pubacked((await store.take(10)).map(({ id }) => id));
    await store.ack(opened1(stream, 4, [1, 3]));
    expect(labels(await store.take(10))).toEqual(['s/1', 's/3']);
    expect((await store.stats()).acked).toBe(3);
  });

  it('is harmless when it comes twice or late', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 6);
    await store.commit();
    await store.pubacked((await store.take(10)).map(({ id }) => id));
    await store.ack(opened1(stream, 3, [1]));
    await store.pubacked((await store.take(10)).map(({ id }) => id));
    await store.ack(opened1(stream, 5));
    await store.ack(opened1(stream, 5));
    await store.ack(opened1(stream, 3, [1]));
    await store.ack({ ...opened1(stream, 3), stream: new Uint8Array(8) });
    expect(await store.stats()).toMatchObject({ queued: 0, inflight: 0, pubacked: 0, acked: 6, bytes: 0 });
  });

  it('that says "proven" deletes nothing and is remembered', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 2);
    await store.commit();
    await store.ack({ ...opened1(stream, 0), state: 'proven' });
    expect((await store.stats()).queued).toBe(3);
    expect((await store.recordsAbout({})).map(({ proven }) => proven)).toEqual([false, true]);
  });
});

describe('an acknowledgement of what was never sealed', () => {
  it('deletes nothing and proves nothing', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 2);
    await store.commit();
    await store.ack(opened1(stream, 2 ** 40));
    await store.ack({ ...opened1(stream, 2 ** 40), state: 'proven' });
    expect((await store.stats()).queued).toBe(3);
    expect((await store.recordsAbout({})).map(({ proven }) => proven)).toEqual([false, false]);
  });
});

describe('a checkpoint', () => {
  it('is refused when it signs another tree', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 2);
    await store.commit();
    await checkpoint(store);
    const { signCheckpoint } = await import('#ledger');
    const { SIGNER } = await import('./store-parts.ts');
    const note = await signCheckpoint(2, new Uint8Array(32), SIGNER);
    await expect(store.checkpoint(2, note)).rejects.toThrow(code('TG_STORE_LEDGER'));
    expect((await store.stats()).checkpointSize).toBe(2);
  });

  it('is proved to one record a stream, the newest, until its proof is queued', async () => {
    const store = await opened();
    store.leaf(bootLeaf());
    const streams = [await new TestStream('a').fill(store, 3), await new TestStream('b').fill(store, 1)];
    await store.commit();
    const { size, root } = await store.head();
    await checkpoint(store);
    await streams[0]!.fill(store, 1);
    await store.commit();
    const materials = await store.proofs(size);
    expect(materials.map(({ seq, leafIndex }) => [seq, leafIndex])).toEqual([
      [2, 3],
      [0, 4],
    ]);
    const ledger = readLedger(place.file);
    for (const { leafIndex, path } of materials) {
      const leaf = sha256Tree.leaf(ledger.leaf(leafIndex)!);
      expect(verifyInclusion(sha256Tree, leafIndex, size, leaf, path, root)).toBe(true);
    }
    ledger.close();
    for (const material of materials) await store.proof(material, Buffer.from('proof'));
    expect(await store.proofs(size)).toEqual([]);
  });

  it('of a database that was rolled back or changed stops the start', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 5);
    await store.commit();
    await checkpoint(store);
    await store.close();
    const Database = (await import('better-sqlite3')).default;
    const db = new Database(place.file);
    const [leaves] = db.prepare('SELECT leaves FROM leaf_block').pluck().all() as Buffer[];
    const changed = unpackLeaves(leaves!, 5);
    changed[4] = bootLeaf(9);
    db.prepare('UPDATE leaf_block SET leaves = ?').run(packLeaves(changed));
    db.close();
    await expect(open(place.file)).rejects.toThrow(code('TG_STORE_LEDGER'));
  });
});

describe('the byte cap', () => {
  const WRAPPED = 100 + 16;

  it('drops whole records, lowest priority and then oldest first, with one gap leaf a stream', async () => {
    const store = await opened({ maxBytes: 4 * WRAPPED });
    const low = await new TestStream('low', { priority: 1 }).fill(store, 3, 100);
    await new TestStream('high', { priority: 5 }).fill(store, 1, 100);
    await store.commit();
    await new TestStream('mid', { priority: 3 }).fill(store, 2, 100);
    await store.commit();
    const { head, evicted, bytes } = await store.stats();
    expect({ evicted, bytes }).toEqual({ evicted: 2, bytes: 4 * WRAPPED });
    const ledger = readLedger(place.file);
    expect(readLeaf(ledger.leaf(head.size - 1)!).kind).toBe(6);
    expect(head.size).toBe(7);
    ledger.close();
    const sent = labels(await store.take(10)).filter((label) => !label.startsWith('session'));
    expect(sent).toEqual(['high/0', 'mid/0', 'mid/1', 'low/2']);
    expect((await store.recordsAbout({ campaign: 'low' })).map(({ state }) => state)).toEqual([
      'spooled',
      'evicted',
      'evicted',
    ]);
    const size = await checkpoint(store);
    const [material] = (await store.proofs(size)).filter(({ stream }) => Buffer.from(low.entry.stream).equals(stream));
    expect(material!.seq).toBe(2);
    expect(material!.evicted.map(({ seq }) => seq)).toEqual([0, 1]);
    expect(material!.evicted[0]!.bodyHash).toEqual(new Uint8Array(new TestStream('low').record(100).bodyHash));
  });

  it('names what was evicted in each proof until one has its PUBACK', async () => {
    const store = await opened({ maxBytes: 2 * WRAPPED });
    const stream = await new TestStream('s').fill(store, 4, 100);
    await store.commit();
    const named = async () => {
      const [material] = await store.proofs(await checkpoint(store));
      await store.proof(material!, Buffer.from('proof'));
      return material!.evicted.map(({ seq }) => seq);
    };
    expect(await named()).toEqual([0, 1]);
    await stream.fill(store, 1, 100);
    await store.commit();
    expect(await named()).toEqual([0, 1, 2]);
    const rows = await store.take(10);
    expect(labels(rows).filter((label) => label === 'proof')).toHaveLength(1);
    await store.pubacked(rows.map(({ id }) => id));
    await stream.fill(store, 1, 100);
    await store.commit();
    expect(await named()).toEqual([3]);
  });

  it('does not take a record that is on its way', async () => {
    const store = await opened({ maxBytes: 2 * WRAPPED });
    const stream = await new TestStream('s').fill(store, 2, 100);
    await store.commit();
    await store.take(2);
    await stream.fill(store, 1, 100);
    await store.commit();
    expect(await store.requeue(60_000)).toBe(2);
    expect(labels(await store.take(10))).toEqual(['session s', 's/0', 's/2']);
  });
});

describe('a spool key', () => {
  it('wraps what waits: neither the file nor the WAL holds a payload', async () => {
    const store = await opened();
    await new TestStream('needle').fill(store, 20, 300);
    await store.commit();
    const bytes = Buffer.concat([readFileSync(place.file), readFileSync(`${place.file}-wal`)]);
    expect(bytes.includes('needle/7 needle/7')).toBe(false);
    expect(bytes.includes('session of needle')).toBe(false);
    expect(bytes.includes('v1/t/')).toBe(true);
  });

  it.each([
    ['is gone', async () => null],
    ['was made anew', async () => new Uint8Array(32).fill(9)],
  ])('that %s makes its rows leave unsent, with a gap leaf', async (_, key) => {
    let store = await opened();
    await new TestStream('kept', { agreement: 'urn:kept' }).fill(store, 1);
    await new TestStream('gone').fill(store, 3);
    await store.commit();
    const { size } = await store.head();
    store = await reopened(store, {
      spoolKeys: (agreement) => (agreement === AGREEMENT ? key() : fixedKey(agreement)),
    });
    expect(labels(await store.take(10))).toEqual(['session kept', 'kept/0']);
    store.leaf(bootLeaf(1));
    await store.commit();
    expect(await store.stats()).toMatchObject({ queued: 0, evicted: 3 });
    expect((await store.head()).size).toBe(size + 2);
  });

  it('that is withdrawn takes its rows with it at once, and those that still come', async () => {
    const store = await opened();
    const stream = await new TestStream('s').fill(store, 3);
    await new TestStream('t', { agreement: 'urn:other' }).fill(store, 1);
    expect(await store.withdraw(AGREEMENT)).toBe(3);
    await stream.fill(store, 1);
    await store.commit();
    expect(labels(await store.take(10))).toEqual(['session t', 't/0']);
    expect(await store.stats()).toMatchObject({ evicted: 4 });
  });

  it('that the anchor cannot give now keeps the group in memory until it can', async () => {
    let works = false;
    const spoolKeys = (agreement: string) => (works ? fixedKey(agreement) : Promise.reject(new Error('busy')));
    const store = await opened({ spoolKeys });
    await new TestStream('s').fill(store, 2);
    await expect(store.commit()).rejects.toThrow(code('TG_STORE_KEY'));
    expect((await store.stats()).fault).toBe('TG_STORE_KEY');
    works = true;
    await store.commit();
    expect(await store.stats()).toMatchObject({ queued: 3, fault: null });
  });
});

describe('a full disk', () => {
  it('refuses with a name, loses nothing that was acknowledged, and goes on when there is room', async () => {
    const store = await opened({ maxPages: 600, groupCommitRecords: 20 });
    const stream = new TestStream('s');
    store.begin(stream.entry);
    let durable = 0;
    let refused: unknown = null;
    while (refused === null) {
      for (let i = 0; i < 10; i++) void store.append(stream.record(1_000));
      try {
        await store.commit();
        durable = stream.seq;
      } catch (error) {
        refused = error;
      }
    }
    expect(refused).toEqual(code('TG_STORE_FULL'));
    expect(await store.stats()).toMatchObject({ fault: 'TG_STORE_FULL', queued: durable + 1 });
    const waits = Array.from({ length: 80 }, () => store.append(stream.record(10)));
    expect(waits.some((answer) => answer instanceof Promise)).toBe(true);
    await store.pubacked((await store.take(10_000)).map(({ id }) => id));
    await store.ack(opened1(stream, durable - 1));
    await store.commit();
    await Promise.all(waits);
    expect((await store.stats()).fault).toBe(null);
    const rest = (await store.take(10_000)).filter(({ kind }) => kind === 'record').map(({ seq }) => seq);
    expect(rest).toEqual(Array.from({ length: stream.seq - durable }, (_, i) => durable + i));
  });
});

describe('a damaged file', () => {
  it('is refused at the start with a name', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 200, 300);
    await store.commit();
    await store.close();
    const file = openSync(place.file, 'r+');
    const pages = Math.floor(statSync(place.file).size / 1024);
    for (let page = 8; page < pages; page += 5) writeSync(file, Buffer.alloc(1024, 0xa5), 0, 1024, page * 1024);
    closeSync(file);
    await expect(open(place.file)).rejects.toThrow(code('TG_STORE_CORRUPT'));
  });

  it('whose first page is gone is refused too', async () => {
    const store = await opened();
    await store.close();
    const file = openSync(place.file, 'r+');
    writeSync(file, Buffer.alloc(1024, 7), 0, 1024, 0);
    closeSync(file);
    await expect(open(place.file)).rejects.toThrow(code('TG_STORE_CORRUPT'));
  });
});

describe('a store', () => {
  it('has one agent', async () => {
    await opened();
    await expect(open(place.file)).rejects.toThrow(code('TG_STORE_LOCKED'));
  });

  it('says where it cannot be: a folder that is not there, a file that is not there to read', async () => {
    await expect(open(`${place.path}/none/tollgate.sqlite`)).rejects.toThrow(code('TG_STORE_IO'));
    expect(() => readStore(place.file)).toThrow(code('TG_STORE_IO'));
  });

  it('keeps nothing of a group that could not be committed whole', async () => {
    const store = await opened();
    store.leaf(bootLeaf());
    await store.commit();
    store.leaf(Buffer.from('no leaf'));
    await new TestStream('s').fill(store, 2);
    await expect(store.commit()).rejects.toThrow(code('TG_LEDGER_LEAF'));
    await store.close().catch(() => {});
    const again = await opened();
    expect((await again.head()).size).toBe(1);
    expect((await again.stats()).queued).toBe(0);
  });

  it('answers with a name after its end', async () => {
    const store = await opened();
    await store.close();
    expect(() => store.leaf(bootLeaf())).toThrow(code('TG_STORE_CLOSED'));
    await expect(store.stats()).rejects.toThrow(code('TG_STORE_CLOSED'));
  });

  it('is readable while its agent writes', async () => {
    const store = await opened();
    await new TestStream('s').fill(store, 3);
    await store.commit();
    const size = await checkpoint(store);
    const reader = readStore(place.file);
    const { fault, commits, inflight, fileBytes, ...same } = await store.stats();
    expect(reader.stats()).toEqual({ ...same, streams: 1 });
    expect(reader.meter()).toEqual(await store.meter());
    expect(reader.recordsAbout({})).toEqual(await store.recordsAbout({}));
    expect(reader.checkpoint()).toContain(`\n${size}\n`);
    await new TestStream('t').fill(store, 1);
    await store.commit();
    expect(reader.stats().streams).toBe(2);
    reader.close();
  });

  it('works where no code may be made from strings', () => {
    const script = fileURLToPath(new URL('store-child.ts', import.meta.url));
    const child = spawnSync(
      process.execPath,
      ['--disallow-code-generation-from-strings', script, place.file, '-', '0', '3'],
      {
        encoding: 'utf8',
      },
    );
    expect(child.stderr).toBe('');
    expect(child.stdout).toContain('done');
  });
});
