import { afterEach, describe, expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { PACKET, startBroker, startTappedBroker } from '#sim/broker';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { append, LONG, PlainReceiver, PSEUDONYM, type Rig, rig, streamEntry, TENANT } from './uplink-parts.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
async function receiverAt(url: string, protocol: 4 | 5 = 4): Promise<PlainReceiver> {
  const receiver = new PlainReceiver();
  await receiver.connect(url, protocol);
  closers.push(() => receiver.end());
  return receiver;
}
function started(made: Rig): Rig {
  closers.push(() => made.uplink.close());
  made.uplink.start();
  return made;
}
async function broker() {
  const made = await startTappedBroker();
  closers.push(() => made.broker.close());
  closers.push(() => made.tap.close());
  return made;
}
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
/** Each number's first coming: what is left after de-duplication, in order. */
function firsts(seen: readonly string[], stream: number): number[] {
  const own = seen.filter((one) => one.startsWith(`${stream}/`)).map((one) => Number(one.split('/')[1]));
  return [...new Set(own)];
}

describe('the uplink', () => {
  it('sends the session before its records, in order, and deletes them when the receiver answers', async () => {
    const { tap } = await broker();
    const receiver = await receiverAt(tap.url);
    const { store, uplink } = started(rig(tap.url));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 200);
    expect(await uplink.settle(LONG)).toBe(true);
    expect(receiver.seen.slice(0, 2)).toEqual(['session', '1/0']);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(200));
    expect(store.rows.size).toBe(0);
  });

  it('deletes nothing on PUBACK alone', async () => {
    const { tap } = await broker();
    const { store, uplink } = started(rig(tap.url, { ackTimeoutMs: 1e9 }));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 50);
    expect(await uplink.flush(LONG)).toBe(true);
    expect(uplink.status().pubacked).toBe(51);
    expect(store.rows.size).toBe(51);
    expect(await store.stats()).toMatchObject({ queued: 0, inflight: 0, pubacked: 51 });
  });

  it('sends again what a broker acknowledged and no receiver did, and less and less often', async () => {
    const { tap } = await broker();
    const receiver = await receiverAt(tap.url);
    receiver.answers = false;
    const { store, uplink } = started(rig(tap.url, { ackTimeoutMs: 30_000 }));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 3);
    const copies = () => receiver.seen.filter((one) => one === '1/2').length;
    await expect.poll(copies, { timeout: 20_000 }).toBe(3);
    // 30, 60 and 120 s: the fourth copy is not here when the third has come.
    expect(uplink.status().requeued).toBe(8);
    receiver.answers = true;
    expect(await uplink.settle(LONG)).toBe(true);
    expect(store.rows.size).toBe(0);
  });

  it('fills the holes that a receiver names', async () => {
    const { tap } = await broker();
    const receiver = await receiverAt(tap.url);
    let lost = 0;
    // A broker acknowledges to the unit and loses the message on the way to the receiver.
    tap.judge = (direction, type, packet) => {
      const own = direction === 'to-client' && type === PACKET.publish && Buffer.from(packet).includes('"seq":5}');
      return own && lost++ === 0 ? 'drop' : 'pass';
    };
    const { store, uplink } = started(rig(tap.url));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 10);
    expect(await uplink.settle(LONG)).toBe(true);
    expect(lost).toBe(2);
    expect(receiver.unique(1).sort((a, b) => a - b)).toEqual(upTo(10));
  });

  it('keeps at most a window in flight', async () => {
    const { tap } = await broker();
    let inflight = 0;
    let most = 0;
    tap.judge = (direction, type) => {
      if (direction === 'to-broker' && type === PACKET.publish) most = Math.max(most, ++inflight);
      if (direction === 'to-client' && type === PACKET.puback) inflight--;
      return 'pass';
    };
    const { store, uplink } = started(rig(tap.url, { window: 5, ackTimeoutMs: 1e9 }));
    const stream = streamEntry(1);
    append1000(store, stream);
    expect(await uplink.flush(LONG)).toBe(true);
    expect(most).toBeLessThanOrEqual(5);
    expect(most).toBeGreaterThan(1);
  });

  it('takes rows of higher priority first', async () => {
    const { tap } = await broker();
    const receiver = await receiverAt(tap.url);
    const made = rig(tap.url, { window: 1 });
    const [low, high] = [streamEntry(1, PSEUDONYM, 0), streamEntry(2, PSEUDONYM, 7)];
    made.store.begin(low);
    append(made.store, low, 0, 5);
    made.store.begin(high);
    append(made.store, high, 0, 5);
    started(made);
    expect(await made.uplink.settle(LONG)).toBe(true);
    const records = receiver.seen.filter((one) => one !== 'session');
    expect(records.slice(0, 5)).toEqual(upTo(5).map((seq) => `2/${seq}`));
  });

  it('stops while paused and goes on after', async () => {
    const { tap } = await broker();
    const { store, uplink } = started(rig(tap.url, { ackTimeoutMs: 1e9 }));
    const stream = streamEntry(1);
    await expect.poll(() => uplink.status().connected).toBe(true);
    uplink.pause();
    store.begin(stream);
    expect(await uplink.flush(10_000)).toBe(false);
    expect(uplink.status()).toMatchObject({ paused: true, pubacked: 0 });
    uplink.resume();
    expect(await uplink.flush(LONG)).toBe(true);
  });

  it('says in time that a flush did not succeed', async () => {
    const gone = await startBroker();
    await gone.close();
    const { store, uplink, errors } = started(rig(gone.url));
    store.begin(streamEntry(1));
    expect(await uplink.flush(10_000)).toBe(false);
    expect(errors[0]).toMatchObject({ code: 'TG_BROKER_UNREACHABLE' });
    expect(uplink.status()).toMatchObject({ connected: false, lastError: 'TG_BROKER_UNREACHABLE' });
  });

  it('sends rows of an earlier pseudonym under that name only', async () => {
    const { broker: inner, tap } = await broker();
    const receiver = await receiverAt(tap.url);
    const senders = new Set<string>();
    const names: string[] = [];
    tap.judge = (direction, type, packet) => {
      if (direction === 'to-broker' && type === PACKET.connect) names.push(Buffer.from(packet).toString('latin1'));
      return 'pass';
    };
    inner.onMessage((topic) => void senders.add(topic.split('/')[2]!));
    const old = 'BBBBBBBBBBBBBBBBBBBBBA';
    const older = 'CCCCCCCCCCCCCCCCCCCCCA';
    const made = rig(tap.url, { window: 8 });
    for (const [number, name] of [older, old, PSEUDONYM].entries()) {
      const stream = streamEntry(number + 1, name);
      made.store.begin(stream);
      append(made.store, stream, 0, 10);
    }
    started(made);
    expect(await made.uplink.settle(LONG)).toBe(true);
    for (const stream of [1, 2, 3]) expect(firsts(receiver.seen, stream)).toEqual(upTo(10));
    for (const name of [older, old, PSEUDONYM]) {
      expect(senders.has(name)).toBe(true);
      expect(names.some((connect) => connect.includes(name))).toBe(true);
    }
    // No CONNECT names two of them, not in its will either.
    for (const connect of names)
      expect([older, old, PSEUDONYM].filter((name) => connect.includes(name)).length).toBeLessThan(2);
  });

  it('says online and offline on its status topic, and nothing more', async () => {
    const { broker: inner, tap } = await broker();
    const states: string[] = [];
    inner.onMessage((topic, payload) => {
      if (topic.endsWith('/st')) states.push(`${topic} ${Buffer.from(payload)}`);
    });
    const { store, uplink } = started(rig(tap.url));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 3);
    await uplink.flush(LONG);
    tap.cut();
    await expect.poll(() => states.length).toBe(3);
    await uplink.close();
    const status = (state: string) => `v1/${TENANT}/${PSEUDONYM}/st {"version":1,"state":"${state}"}`;
    await expect.poll(() => states).toEqual(['online', 'offline', 'online', 'offline'].map(status));
  });

  it('hands over documents, and survives one that cannot be taken', async () => {
    const { broker: inner, tap } = await broker();
    const documents: string[] = [];
    const { uplink, errors } = started(
      rig(tap.url, {
        onDocument: async (bytes) => {
          const text = Buffer.from(bytes).toString();
          if (text === 'bad') throw new Error('no such form');
          documents.push(text);
        },
      }),
    );
    await expect.poll(() => uplink.status().connected).toBe(true);
    const from = await connectMqtt({
      url: inner.url,
      protocol: 4,
      clientId: 'cloud',
      keepalive: 30,
      onMessage: () => {},
      onClose: () => {},
    });
    for (const text of ['one', 'bad', 'two']) {
      await from.publish(`v1/${TENANT}/${PSEUDONYM}/rx/doc`, Buffer.from(text), { retain: false });
    }
    await expect.poll(() => documents).toEqual(['one', 'two']);
    expect(errors.map((error) => error.message)).toContain('no such form');
    await from.end();
  });

  it('refuses and reports an acknowledgement that is not the recipient’s; the rows stay', async () => {
    const { broker: inner, tap } = await broker();
    const { store, uplink, errors } = started(rig(tap.url, { ackTimeoutMs: 1e9 }));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 3);
    await uplink.flush(LONG);
    const forger = await connectMqtt({
      url: inner.url,
      protocol: 4,
      clientId: 'forger',
      keepalive: 30,
      onMessage: () => {},
      onClose: () => {},
    });
    await forger.publish(`v1/${TENANT}/${PSEUDONYM}/rx/ack`, Buffer.from('tampered'), { retain: false });
    await expect.poll(() => uplink.status().refusedAcks).toBe(1);
    expect(errors.at(-1)).toMatchObject({ code: 'TG_ACK_REFUSED' });
    expect(store.rows.size).toBe(4);
    expect(store.acks).toEqual([]);
    await forger.end();
  });
});

describe('a broker that fails', () => {
  it('by refusing, is tried again until it takes the unit', async () => {
    const { broker: inner, tap } = await broker();
    inner.refuse = true;
    const receiver = new PlainReceiver();
    const { store, uplink, errors } = started(rig(tap.url));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 20);
    await expect.poll(() => errors.length).toBeGreaterThan(2);
    expect(errors[0]).toMatchObject({ code: 'TG_BROKER_REFUSED' });
    inner.refuse = false;
    await receiver.connect(tap.url);
    expect(await uplink.settle(LONG)).toBe(true);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(20));
    await receiver.end();
  });

  it('by not speaking MQTT 5, is reported with the remedy and never spoken to in 3.1.1', async () => {
    const { tap } = await broker();
    const { uplink, errors } = started(rig(tap.url, { link: { url: tap.url, protocol: 5 } }));
    await expect.poll(() => errors.length).toBeGreaterThan(1);
    expect(errors[0]).toMatchObject({ code: 'TG_BROKER_PROTOCOL', remedy: expect.stringContaining('protocol: 4') });
    expect(uplink.status().connects).toBe(0);
  });

  it.each(['cut-before', 'cut-inside', 'cut-after'] as const)(
    'by closing in the middle of publishing (%s), loses nothing and keeps the order',
    async (verdict) => {
      const { broker: inner, tap } = await broker();
      const receiver = await receiverAt(inner.url);
      let publications = 0;
      tap.judge = (direction, type) =>
        direction === 'to-broker' && type === PACKET.publish && ++publications % 37 === 0 ? verdict : 'pass';
      const { store, uplink, states } = started(rig(tap.url));
      const streams = [streamEntry(1), streamEntry(2)];
      for (const stream of streams) {
        store.begin(stream);
        append(store, stream, 0, 150);
      }
      expect(await uplink.settle(LONG)).toBe(true);
      for (const number of [1, 2]) expect(firsts(receiver.seen, number)).toEqual(upTo(150));
      expect(uplink.status().connects).toBeGreaterThan(3);
      expect(states).toContain('puback-stored');
    },
  );

  it('by losing PUBACKs, gets the message again and the receiver one record', async () => {
    const { broker: inner, tap } = await broker();
    const receiver = await receiverAt(inner.url);
    receiver.answers = false;
    let pubacks = 0;
    tap.judge = (direction, type) =>
      direction === 'to-client' && type === PACKET.puback && ++pubacks % 10 === 0 ? 'cut-before' : 'pass';
    const { store, uplink } = started(rig(tap.url));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 8);
    await expect.poll(() => receiver.unique(1).length).toBe(8);
    await expect.poll(() => uplink.status().connects).toBeGreaterThan(1);
    await expect.poll(() => receiver.seen.length).toBeGreaterThan(9);
    expect(store.rows.size).toBe(9);
    tap.judge = () => 'pass';
    receiver.answers = true;
    expect(await uplink.settle(LONG)).toBe(true);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(8));
  });

  it('by doubling PUBACKs, changes nothing', async () => {
    const { broker: inner, tap } = await broker();
    const receiver = await receiverAt(inner.url);
    tap.judge = (direction, type) => (direction === 'to-client' && type === PACKET.puback ? 'twice' : 'pass');
    const { store, uplink } = started(rig(tap.url, { window: 4 }));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 300);
    expect(await uplink.settle(LONG)).toBe(true);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(300));
  });

  it('by going away for an hour while thousands of rows are made, loses none', async () => {
    const { broker: inner, tap } = await broker();
    const receiver = await receiverAt(inner.url);
    const { store, uplink, errors } = started(rig(tap.url, { window: 64, ackTimeoutMs: 3_600_000 }, 10_000));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 100);
    expect(await uplink.flush(100 * LONG)).toBe(true);
    tap.refuse = true;
    tap.cut();
    // One record a second for an hour; the uplink goes on trying.
    append(store, stream, 100, 3600);
    const before = performance.now();
    await expect.poll(() => (performance.now() - before) * 10_000).toBeGreaterThan(3_600_000);
    expect(errors.filter((error) => error.code === 'TG_BROKER_UNREACHABLE').length).toBeGreaterThan(5);
    tap.refuse = false;
    expect(await uplink.settle(100 * LONG)).toBe(true);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(3700));
    expect(store.rows.size).toBe(0);
  });

  it('by forgetting what it retained, gets the sessions again', async () => {
    const first = await startBroker();
    const port = Number(new URL(first.url).port);
    const { store, uplink } = started(rig(first.url, { ackTimeoutMs: 1e9 }));
    const stream = streamEntry(1);
    store.begin(stream);
    await uplink.flush(LONG);
    await store.ack({ stream: stream.stream, uptoSeq: -1, missing: [], state: 'opened', signed: new Uint8Array() });
    expect(store.rows.size).toBe(0);
    await first.close();
    const second = await startBroker({ port });
    closers.push(() => second.close());
    await expect.poll(() => uplink.status().connects).toBe(2);
    const receiver = await receiverAt(second.url);
    await expect.poll(() => receiver.seen).toEqual(['session']);
  });
});

describe.skipIf(MOSQUITTO === null)('with mosquitto and MQTT 5', () => {
  it('keeps to a receive maximum of 1', async () => {
    const server = await startMosquitto({ lines: ['max_inflight_messages 1'] });
    closers.push(() => server.stop());
    const receiver = await receiverAt(server.url, 5);
    const { store, uplink } = started(rig(server.url, { link: { url: server.url, protocol: 5 } }));
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 200);
    expect(await uplink.settle(LONG)).toBe(true);
    expect(firsts(receiver.seen, 1)).toEqual(upTo(200));
  });

  it('survives the broker being killed again and again', async () => {
    const server = await startMosquitto();
    closers.push(() => server.stop());
    const { store, uplink } = started(rig(server.url, { link: { url: server.url, protocol: 5 } }));
    const stream = streamEntry(1);
    store.begin(stream);
    const all = new PlainReceiver();
    for (let round = 0; round < 6; round++) {
      await all.connect(server.url, 5);
      append(store, stream, round * 100, 100);
      await expect.poll(() => all.unique(1).length).toBeGreaterThan(round * 100 + 10);
      await server.kill();
      await server.start();
    }
    await all.connect(server.url, 5);
    closers.push(() => all.end());
    expect(await uplink.settle(LONG)).toBe(true);
    expect(all.unique(1).sort((a, b) => a - b)).toEqual(upTo(600));
  });

  it('skips, and reports, a message larger than the broker takes; the rest goes', async () => {
    const server = await startMosquitto({ lines: ['max_packet_size 2000'] });
    closers.push(() => server.stop());
    const receiver = await receiverAt(server.url, 5);
    const { store, uplink, errors } = started(rig(server.url, { link: { url: server.url, protocol: 5 } }));
    const [large, small] = [streamEntry(1), streamEntry(2)];
    store.begin({ ...large, session: new Uint8Array(3000) });
    store.begin(small);
    append(store, small, 0, 20);
    await expect.poll(() => receiver.unique(2).length).toBe(20);
    expect(errors[0]).toMatchObject({ code: 'TG_UPLINK_TOO_LARGE' });
    expect(uplink.status().connected).toBe(true);
  });
});

function append1000(store: Rig['store'], stream: ReturnType<typeof streamEntry>): void {
  store.begin(stream);
  append(store, stream, 0, 1000);
}
