import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { TollgateError } from '#contracts';
import { TokenBucket } from '../../agent/uplink/bucket.ts';
import { MOST_DOCUMENT_BYTES } from '../../agent/uplink/incoming.ts';
import { Queue } from '../../agent/uplink/queue.ts';
import { readSuspension, rolledBack, writeSuspension } from '../../agent/uplink/suspension.ts';
import { SAVE_MS, Traffic, trafficFile } from '../../agent/uplink/traffic.ts';
import { createUplink, type Suspension, type Uplink, type UplinkOptions } from '../../agent/uplink.ts';
import { MemoryStore } from './memory-store.ts';
import { FakeBroker, FakeClock, quiet } from './uplink-link.ts';
import { append, PSEUDONYM, streamEntry, TENANT, verifyPlain } from './uplink-parts.ts';

interface Made {
  readonly clock: FakeClock;
  readonly broker: FakeBroker;
  readonly store: MemoryStore;
  readonly uplink: Uplink;
  readonly errors: TollgateError[];
}

const open: Uplink[] = [];
afterEach(async () => {
  for (const uplink of open.splice(0)) await uplink.close();
});

function made(options: Partial<UplinkOptions> = {}): Made {
  const clock = new FakeClock();
  const broker = new FakeBroker(clock);
  const store = new MemoryStore(clock.monotonicMs);
  const errors: TollgateError[] = [];
  const uplink = createUplink({
    store,
    link: { url: 'mqtt://nowhere', protocol: 5 },
    tenant: TENANT,
    pseudonym: PSEUDONYM,
    window: 16,
    verifyAck: verifyPlain,
    timing: clock,
    connect: broker.connect,
    observe: { error: (error) => void errors.push(error) },
    ackTimeoutMs: 1e9,
    ...options,
  });
  open.push(uplink);
  return { clock, broker, store, uplink, errors };
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const ack = (fields: object) => Buffer.from(JSON.stringify({ stream: 1, upto: 0, missing: [], ...fields }));

describe('a bucket of tokens', () => {
  it('gives what it saved at once, and then its rate, to the last token', () => {
    let now = 0;
    const bucket = new TokenBucket(100, 50, () => now);
    let taken = 0;
    for (now = 0; now <= 60_000; now++) while (bucket.take(7) === 0) taken += 7;
    // A minute, what was saved, and one amount of debt at most.
    expect(taken).toBeGreaterThanOrEqual(60 * 100 + 50);
    expect(taken).toBeLessThanOrEqual(60 * 100 + 50 + 7);
  });

  it('lets an amount pass that is larger than itself, and waits for the debt', () => {
    let now = 0;
    const bucket = new TokenBucket(100, 50, () => now);
    expect(bucket.take(1_000)).toBe(0);
    expect(bucket.take(1)).toBe(9_500);
    now = 9_501;
    expect(bucket.take(1)).toBe(0);
  });
});

describe('the bandwidth', () => {
  it('is never more than the cap over any stretch of time, but for a second saved up', async () => {
    const { clock, broker, store, uplink } = made({ bandwidth: 1_000 });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 2_000);
    uplink.start();
    await clock.pass(30_000, 50);
    const sizes = broker.rows.map(({ topic, payload, atMs }) => [atMs, topic.length + payload.length] as const);
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    expect(total).toBeLessThanOrEqual(31 * 1_000 + 200);
    // Headers of packets count too: what is left for topic and payload is a good half of it.
    expect(total).toBeGreaterThan(15_000);
    for (let from = 0; from < 29_000; from += 1_000) {
      const inWindow = sizes.filter(([at]) => at > from && at <= from + 1_000);
      expect(inWindow.reduce((sum, [, size]) => sum + size, 0)).toBeLessThanOrEqual(2_000 + 200);
    }
    expect(uplink.status().published).toBeLessThan(2_000);
  });

  it('reads only two seconds ahead: what is urgent does not wait behind a window of what is not', async () => {
    const { clock, broker, store, uplink } = made({ bandwidth: 1_000, window: 500 });
    const low = streamEntry(1, PSEUDONYM, 0);
    store.begin(low);
    append(store, low, 0, 400);
    uplink.start();
    await clock.pass(10_000, 50);
    const high = streamEntry(2, PSEUDONYM, 7);
    store.begin(high);
    append(store, high, 0, 1);
    const bornMs = clock.now;
    await clock.pass(10_000, 50);
    const urgent = broker.rows.find(({ payload }) => text(payload).includes('"stream":2'));
    expect(urgent!.atMs - bornMs).toBeLessThan(5_000);
  });

  it('is free without a cap', async () => {
    const { clock, broker, store, uplink } = made();
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 500);
    uplink.start();
    await clock.pass(10);
    for (let i = 0; i < 200 && broker.rows.length < 501; i++) await quiet();
    expect(broker.rows.length).toBe(501);
    expect(clock.now).toBe(10);
  });
});

describe('rows that wait for the window', () => {
  it('go by rank, and within one in the order in which they came', () => {
    const queue = new Queue();
    const row = (id: number, kind: 'session' | 'record' | 'proof', priority: number) =>
      queue.push({
        id,
        kind,
        priority,
        pseudonym: '',
        stream: new Uint8Array(8),
        seq: 0,
        topic: '',
        retain: false,
        payload: new Uint8Array(),
      });
    row(1, 'record', 0);
    row(2, 'proof', 7);
    row(3, 'record', 7);
    row(4, 'session', 0);
    row(5, 'record', 0);
    row(6, 'record', 7);
    expect(queue.first?.id).toBe(4);
    expect(queue.drain().map(({ id }) => id)).toEqual([4, 3, 6, 2, 1, 5]);
    expect(queue.size).toBe(0);
  });
});

describe('a row larger than the broker takes', () => {
  it('is reported and stops nothing, not even its own stream', async () => {
    const { clock, broker, store, uplink, errors } = made();
    broker.maximumPacketBytes = 150;
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 2);
    const large = Buffer.alloc(500);
    const meter = { agreement: '', recipient: '', purpose: '', action: 'distribute', hour: 0, records: 1 };
    const rest = { samples: 1, bytes: 1, fields: {}, denied: 0 };
    store.append({
      stream: stream.stream,
      seq: 2,
      payload: large,
      leaf: large,
      bodyHash: large,
      meter: { ...meter, ...rest },
    });
    append(store, stream, 3, 50);
    uplink.start();
    await clock.pass(1_000);
    expect(broker.rows.length).toBe(53);
    expect(errors.map(({ code }) => code)).toEqual(['TG_UPLINK_TOO_LARGE']);
    expect(uplink.status().tooLarge).toBe(1);
    // It is tried again with each connection, for a broker may take more by then, and not reported again.
    for (let i = 0; i < 3; i++) {
      broker.cut();
      await clock.pass(120_000, 500);
    }
    expect(uplink.status().connects).toBe(4);
    expect(errors).toHaveLength(1);
    broker.maximumPacketBytes = 10_000;
    broker.cut();
    await clock.pass(120_000, 500);
    expect(broker.rows.some(({ payload }) => payload.length === 500)).toBe(true);
  });
});

describe('an uplink that is held', () => {
  it('sends nothing that waits, nor what is read meanwhile, and asks the store again after', async () => {
    const { clock, broker, store, uplink } = made({ window: 8 });
    broker.answers = false;
    const [gone, kept] = [streamEntry(1), streamEntry(2)];
    for (const stream of [gone, kept]) {
      store.begin(stream);
      append(store, stream, 0, 50);
    }
    uplink.start();
    await clock.pass(100);
    expect(broker.rows.length).toBe(8);
    const atHold = broker.rows.length;
    const work = Promise.withResolvers<string>();
    const held = uplink.hold(() => work.promise);
    broker.answers = true;
    broker.puback();
    await clock.pass(5_000);
    expect(broker.rows.length).toBe(atHold);
    // What a withdrawal does: the rows of one stream leave the store.
    for (const row of [...store.rows.values()]) if (row.stream[0] === 1) store.rows.delete(row.id);
    work.resolve('done');
    await clock.pass(100);
    expect(await held).toBe('done');
    for (let i = 0; i < 100; i++) await clock.pass(10);
    const after = broker.rows.slice(atHold).map(({ payload }) => text(payload));
    expect(after.filter((one) => one.includes('"stream":1'))).toEqual([]);
    expect(after.filter((one) => one.includes('"stream":2')).length).toBe(50);
  });

  it('throws away what the network has not taken in time, and goes on over a new connection', async () => {
    const { clock, broker, store, uplink } = made({ window: 8 });
    broker.answers = false;
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 50);
    uplink.start();
    await clock.pass(100);
    broker.unsentBytes = 10_000;
    const held = uplink.hold(async () => undefined);
    await clock.pass(40);
    expect(broker.resets).toBe(0);
    await clock.pass(60);
    await held;
    expect(broker.resets).toBe(1);
    broker.answers = true;
    await clock.pass(5_000);
    expect(uplink.status().connects).toBe(2);
    await expect.poll(async () => (await store.stats()).pubacked).toBe(51);
  });

  it('does not cut a connection that has sent everything', async () => {
    const { clock, broker, store, uplink } = made();
    const stream = streamEntry(1);
    store.begin(stream);
    uplink.start();
    await clock.pass(100);
    const held = uplink.hold(async () => undefined);
    await clock.pass(200);
    await held;
    expect(broker.resets).toBe(0);
  });

  it('goes on when the work failed, and passes the failure on', async () => {
    const { clock, broker, store, uplink } = made();
    uplink.start();
    await clock.pass(100);
    const held = uplink.hold(() => Promise.reject(new Error('disk full')));
    const failed = expect(held).rejects.toThrow('disk full');
    await clock.pass(100);
    await failed;
    store.begin(streamEntry(1));
    await clock.pass(1_000);
    expect(broker.rows.length).toBe(1);
  });
});

describe('a unit whose disk was put back', () => {
  const signed = (size: number) => async (bytes: Uint8Array) => {
    const checked = await verifyPlain(bytes);
    return checked === null ? null : { ...checked, checkpointSize: size };
  };

  it('sends no record from the acknowledgement on that has seen more of its ledger than there is', async () => {
    const suspensions: Suspension[] = [];
    const { clock, broker, store, uplink, errors } = made({
      verifyAck: signed(501),
      onSuspended: async (suspension) => void suspensions.push(suspension),
    });
    store.head = async () => ({ size: 500, root: new Uint8Array(32) });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 1);
    uplink.start();
    await clock.pass(100);
    const before = broker.rows.length;
    await broker.deliver('ack', ack({}));
    await clock.pass(100);
    append(store, stream, 1, 50);
    await clock.pass(60_000, 1_000);
    expect(broker.rows.length).toBe(before);
    expect(uplink.status().suspended).toEqual({
      reason: 'rolled back',
      code: 'TG_UPLINK_ROLLED_BACK',
      size: 500,
      seen: 501,
    });
    expect(errors.map(({ code }) => code)).toEqual(['TG_UPLINK_ROLLED_BACK']);
    expect(suspensions).toHaveLength(1);
    expect(text(Buffer.from(suspensions[0]!.evidence, 'base64'))).toBe(text(ack({})));
    // Nothing is deleted on the word of somebody who knows another ledger.
    expect(store.acks).toEqual([]);
  });

  it('goes on while the recipient has seen no more than there is', async () => {
    const { clock, broker, store, uplink } = made({ verifyAck: signed(500) });
    store.head = async () => ({ size: 500, root: new Uint8Array(32) });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 1);
    uplink.start();
    await clock.pass(100);
    await broker.deliver('ack', ack({}));
    await clock.pass(100);
    append(store, stream, 1, 5);
    await clock.pass(1_000);
    expect(broker.rows.length).toBe(7);
    expect(uplink.status().suspended).toBeNull();
    expect(store.acks).toHaveLength(1);
  });

  it('stays suspended over a restart, and where the file of it is damaged', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-suspension-'));
    const file = join(folder, 'suspended.json');
    expect(await readSuspension(file)).toBeNull();
    const suspension = rolledBack(5, 9, Buffer.from('signed'));
    await writeSuspension(file, suspension);
    expect(await readSuspension(file)).toEqual(suspension);
    for (const damage of ['', '{', 'null', '{"reason":"none"}']) {
      writeFileSync(file, damage);
      const { clock, broker, store, uplink } = made({ suspended: await readSuspension(file) });
      store.begin(streamEntry(1));
      uplink.start();
      await clock.pass(1_000);
      expect(broker.rows).toEqual([]);
      expect(uplink.status().suspended?.code).toBe('TG_UPLINK_ROLLED_BACK');
    }
    rmSync(folder, { recursive: true, force: true });
  });
});

describe('what comes to the unit', () => {
  it('is checked only so often while nobody of the unit signs it; the rows stay and the store is not asked', async () => {
    let checked = 0;
    const { clock, broker, store, uplink, errors } = made({
      verifyAck: async (bytes) => {
        checked++;
        return await verifyPlain(bytes);
      },
    });
    let asked = 0;
    store.head = async () => {
      asked++;
      return { size: 0, root: new Uint8Array(32) };
    };
    const stream = streamEntry(1);
    store.begin(stream);
    uplink.start();
    await clock.pass(100);
    for (let i = 0; i < 10_000; i++) await broker.deliver('ack', Buffer.from('tampered'));
    await clock.pass(10);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 100; i++) await broker.deliver('ack', Buffer.from('tampered'));
      await clock.pass(1_000, 100);
    }
    // Fifty at once, five a second after; those that come while one is being checked are checked with it.
    expect(checked).toBeLessThan(1_000);
    expect(uplink.status().refusedAcks).toBe(16_000);
    // Once a minute, not sixteen thousand times.
    expect(errors.length).toBeLessThanOrEqual(3);
    expect(errors[0]).toMatchObject({ code: 'TG_ACK_REFUSED' });
    expect(asked).toBe(0);
    expect(store.acks).toEqual([]);
    await clock.pass(1_000, 100);
    await broker.deliver('ack', ack({ upto: 0 }));
    await clock.pass(10);
    expect(store.acks).toHaveLength(1);
  });

  it('holds documents to a size and a rate, and says what it let go', async () => {
    const documents: number[] = [];
    const { clock, broker, uplink, errors } = made({ onDocument: async (bytes) => void documents.push(bytes.length) });
    uplink.start();
    await clock.pass(100);
    await broker.deliver('doc', new Uint8Array(MOST_DOCUMENT_BYTES + 1));
    await broker.deliver('doc', new Uint8Array(MOST_DOCUMENT_BYTES));
    expect(documents).toEqual([MOST_DOCUMENT_BYTES]);
    for (let i = 0; i < 1_000; i++) await broker.deliver('doc', new Uint8Array(1));
    expect(documents.length).toBeLessThanOrEqual(61);
    expect(errors.map(({ code }) => code)).toEqual(['TG_UPLINK_DOCUMENT']);
    await clock.pass(10_000, 1_000);
    await broker.deliver('doc', new Uint8Array(2));
    expect(documents.at(-1)).toBe(2);
    expect(uplink.status()).toMatchObject({ documents: documents.length, refusedDocuments: 1_003 - documents.length });
  });

  it('is not acknowledged to the broker before it was taken', async () => {
    const taking = Promise.withResolvers<void>();
    const { clock, broker, uplink } = made({ onDocument: () => taking.promise });
    uplink.start();
    await clock.pass(100);
    let taken = false;
    const delivery = broker.deliver('doc', new Uint8Array(1)).then(() => {
      taken = true;
    });
    await quiet();
    expect(taken).toBe(false);
    taking.resolve();
    await delivery;
  });
});

describe('the waits between connections', () => {
  it('grow to half a minute on average while a broker does not answer, however long each attempt takes', async () => {
    let attempts = 0;
    const { clock, uplink } = made({
      connect: async () => {
        attempts++;
        await clock.sleep(10_000, new AbortController().signal);
        throw new Error('no answer');
      },
    });
    uplink.start();
    await clock.pass(3_600_000, 500);
    // 10 s of trying and 30 s of waiting each.
    expect(attempts).toBeGreaterThan(80);
    expect(attempts).toBeLessThan(110);
    const closed = uplink.close();
    await clock.pass(20_000, 500);
    await closed;
    open.splice(0);
  });

  it('begin anew after a connection that stood, and grow on while each falls at once', async () => {
    const { clock, broker, uplink } = made();
    uplink.start();
    await clock.pass(20_000, 500);
    const stable = [];
    for (let i = 0; i < 5; i++) {
      broker.cut();
      const cutMs = clock.now;
      const before = broker.links.length;
      while (broker.links.length === before) await clock.pass(100, 100);
      stable.push(clock.now - cutMs);
      await clock.pass(11_000, 500);
    }
    expect(Math.max(...stable)).toBeLessThanOrEqual(700);
    const falling = [];
    for (let i = 0; i < 8; i++) {
      broker.cut();
      const cutMs = clock.now;
      const before = broker.links.length;
      while (broker.links.length === before) await clock.pass(100, 100);
      falling.push(clock.now - cutMs);
    }
    expect(falling.at(-1)).toBeGreaterThan(25_000);
    expect(falling.at(-1)).toBeLessThanOrEqual(30_200);
  });
});

describe('a pseudonym whose rows are all acknowledged', () => {
  it('is taken off the broker with its sessions, its status and its own session', async () => {
    const { clock, broker, store, uplink } = made();
    const old = 'BBBBBBBBBBBBBBBBBBBBBA';
    const stream = streamEntry(1, old);
    store.begin(stream);
    append(store, stream, 0, 3);
    uplink.start();
    await clock.pass(20_000, 100);
    // PUBACK is not enough.
    expect(broker.forgotten).toBe(0);
    await store.ack({ stream: stream.stream, uptoSeq: 2, missing: [], state: 'opened', signed: new Uint8Array() });
    await clock.pass(20_000, 100);
    expect(broker.forgotten).toBe(1);
    const cleared = broker.sent.filter(({ payload, options }) => payload.length === 0 && options.retain);
    expect(cleared.map(({ topic }) => topic).sort()).toEqual([`v1/${TENANT}/${old}/st`, `${stream.topic}/s`]);
  });

  it('connects with the certificate of its own name', async () => {
    const names: string[] = [];
    const tls = async (name: string) => {
      names.push(name);
      return { ca: `ca for ${name}` };
    };
    const { clock, broker, store, uplink } = made({ link: { url: 'mqtts://nowhere', protocol: 5, tls } });
    const old = 'BBBBBBBBBBBBBBBBBBBBBA';
    store.begin(streamEntry(1, old));
    uplink.start();
    await clock.pass(1_000);
    expect(names).toEqual([PSEUDONYM, old]);
    for (const { clientId, tls: used } of broker.links) expect(used).toEqual({ ca: `ca for ${clientId}` });
  });
});

describe('the count of bytes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-traffic-'));
  const file = join(folder, 'traffic.json');
  afterEach(() => rmSync(file, { force: true }));

  it('sums connections, by network, over restarts', async () => {
    const lte = new Traffic('lte', trafficFile(file), 0);
    await lte.load();
    const wire = { sentBytes: 10, receivedBytes: 1 };
    lte.began(wire);
    wire.sentBytes = 20;
    expect(lte.totals()).toEqual([{ network: 'lte', sent: 20, received: 1 }]);
    lte.ended(wire, 0);
    lte.ended(wire, 0);
    await lte.save(0);
    const wlan = new Traffic('wlan', trafficFile(file), 0);
    await wlan.load();
    wlan.began({ sentBytes: 5, receivedBytes: 6 });
    const totals = [
      { network: 'lte', sent: 20, received: 1 },
      { network: 'wlan', sent: 5, received: 6 },
    ];
    expect(wlan.totals()).toEqual(totals);
    await wlan.save(0);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(totals);
  });

  it('is written every ten minutes, not more often', async () => {
    let writes = 0;
    const counted = { read: async () => [], write: async () => void writes++ };
    const traffic = new Traffic('lte', counted, 0);
    for (let now = 0; now < 3_600_000; now += 1_000) await traffic.tick(now);
    expect(writes).toBe(Math.floor(3_600_000 / SAVE_MS) - 1);
  });

  it('begins at nothing where its file is damaged, and costs nothing where it cannot be written', async () => {
    for (const damage of ['', '{', '{}', '[{"network":"x","sent":-1,"received":0}]', '[null,3]']) {
      writeFileSync(file, damage);
      const traffic = new Traffic('lte', trafficFile(file), 0);
      await traffic.load();
      expect(traffic.totals()).toEqual([{ network: 'lte', sent: 0, received: 0 }]);
    }
    const nowhere = new Traffic('lte', trafficFile(join(folder, 'none', 'traffic.json')), 0);
    await nowhere.load();
    await nowhere.save(0);
    expect(nowhere.totals()).toEqual([{ network: 'lte', sent: 0, received: 0 }]);
  });
});
