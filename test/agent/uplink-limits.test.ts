import { afterEach, describe, expect, it } from 'vitest';
import { TokenBucket } from '../../agent/uplink/bucket.ts';
import { MOST_DOCUMENT_BYTES } from '../../agent/uplink/incoming.ts';
import { Queue } from '../../agent/uplink/queue.ts';
import type { Uplink, UplinkOptions } from '../../agent/uplink.ts';
import { ack, type Made, made as makeUplink, quiet, text } from './uplink-link.ts';
import { append, PSEUDONYM, streamEntry, TENANT } from './uplink-parts.ts';

const open: Uplink[] = [];
afterEach(async () => {
  for (const uplink of open.splice(0)) await uplink.close();
});

function made(options: Partial<UplinkOptions> = {}): Made {
  const all = makeUplink(options);
  open.push(all.uplink);
  return all;
}

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

describe('a message', () => {
  it('has an alias when it is a record, and may be forgotten by the broker unless it is a session', async () => {
    const { clock, broker, store, uplink } = made({
      link: {
        url: 'mqtt://nowhere',
        protocol: 5,
        messageExpiryS: 3_600,
        sessionExpiryS: 60,
        willDelayS: 5,
        keepalive: 99,
      },
    });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 1);
    uplink.start();
    await clock.pass(100);
    expect(broker.rows.map(({ options }) => options)).toEqual([
      { retain: true, alias: false },
      { retain: false, alias: true, expiryS: 3_600 },
    ]);
    const [connect] = broker.links;
    expect(connect).toMatchObject({ keepalive: 99, sessionExpiryS: 60, will: { retain: true, delayS: 5 } });
    expect(connect!.receiveMaximum).toBeLessThan(100);
    expect(connect!.maximumPacketBytes).toBeGreaterThan(MOST_DOCUMENT_BYTES);
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
    const now = streamEntry(2);
    store.begin(now);
    append(store, now, 0, 3);
    await broker.deliver('ack', ack({ upto: 1 }));
    await clock.pass(20_000, 100);
    expect(broker.forgotten).toBe(0);
    await broker.deliver('ack', ack({ upto: 2 }));
    await clock.pass(20_000, 100);
    // Rows of the pseudonym of now may well wait.
    expect((await store.stats()).pubacked).toBe(4);
    expect(broker.forgotten).toBe(1);
    const cleared = broker.sent.filter(({ payload, options }) => payload.length === 0 && options.retain);
    expect(cleared.map(({ topic }) => topic).sort()).toEqual([`v1/${TENANT}/${old}/st`, `${stream.topic}/s`]);
  });

  it('makes room for the next one when the unit takes another name, and no row goes under a name that is not its own', async () => {
    const { clock, broker, store, uplink } = made({ window: 4 });
    const names = ['BBBBBBBBBBBBBBBBBBBBBA', 'CCCCCCCCCCCCCCCCCCCCCA', 'DDDDDDDDDDDDDDDDDDDDDA'];
    const streams = [PSEUDONYM, ...names].map((name, i) => streamEntry(i + 1, name));
    uplink.start();
    for (const [i, stream] of streams.entries()) {
      if (i > 0) uplink.rename(names[i - 1]!);
      store.begin(stream);
      append(store, stream, 0, 5);
      await clock.pass(i % 2 === 0 ? 0 : 300);
    }
    await clock.pass(120_000, 100);
    for (const stream of streams) {
      const own = broker.rows.filter(({ topic }) => topic === stream.topic).map(({ payload }) => text(payload));
      expect([...new Set(own)].length).toBe(5);
    }
    expect(broker.sent.filter(({ topic, clientId }) => !topic.startsWith(`v1/${TENANT}/${clientId}/`))).toEqual([]);
    expect(new Set(broker.links.map(({ clientId }) => clientId))).toEqual(new Set([PSEUDONYM, ...names]));
    await expect(uplink.tell('doc', new Uint8Array(1))).resolves.toBeUndefined();
    expect(broker.sent.at(-1)!.topic).toBe(`v1/${TENANT}/${names[2]}/st/doc`);
    for (let i = 0; i < streams.length; i++) await broker.deliver('ack', ack({ stream: i + 1, upto: 4 }));
    await clock.pass(60_000, 100);
    expect(store.rows.size).toBe(0);
    expect(uplink.status().connected).toBe(true);
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
