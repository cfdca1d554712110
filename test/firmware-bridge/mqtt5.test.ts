import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { TollgateError } from '#contracts';
import { type ByteCounters, connectMqtt, type MqttLink, type MqttOptions } from '#firmware-bridge/mqtt';
import { PACKET, startTap } from '#sim/broker';
import { authority, OPENSSL } from './certificates.ts';
import { MOSQUITTO, startMosquitto } from './mosquitto.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Probe {
  readonly link: MqttLink;
  readonly wire: ByteCounters;
  readonly messages: string[];
  readonly closed: Promise<TollgateError | null>;
}

async function open(url: string, options: Partial<MqttOptions> = {}): Promise<Probe> {
  const messages: string[] = [];
  const closed = Promise.withResolvers<TollgateError | null>();
  let wire: ByteCounters | null = null;
  const link = await connectMqtt({
    url,
    protocol: 5,
    clientId: `test-${Math.random().toString(36).slice(2)}`,
    keepalive: 30,
    onMessage: (topic, payload) => void messages.push(`${topic} ${Buffer.from(payload)}`),
    onWire: (opened) => {
      wire = opened;
    },
    onClose: closed.resolve,
    ...options,
  });
  closers.push(() => link.end());
  return { link, wire: wire!, messages, closed: closed.promise };
}

async function mosquitto(...listener: string[]) {
  const broker = await startMosquitto({ listener });
  closers.push(() => broker.stop());
  return broker;
}

async function tapped(...listener: string[]) {
  const broker = await mosquitto(...listener);
  const tap = await startTap(broker.url);
  closers.push(() => tap.close());
  /** PUBLISH packets towards the broker. */
  const packets: Buffer[] = [];
  tap.judge = (direction, type, packet) => {
    if (direction === 'to-broker' && type === PACKET.publish) packets.push(Buffer.from(packet));
    return 'pass';
  };
  return { broker, tap, packets };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const plain = { retain: false };
const aliased = { retain: false, alias: true };
const TOPIC = 'v1/t1/AAAAAAAAAAAAAAAAAAAAAA/tx/BBBBBBBBBBB';

describe.skipIf(MOSQUITTO === null)('topic aliases at mosquitto', () => {
  it('save forty bytes a record', async () => {
    const { broker, tap, packets } = await tapped();
    const reader = await open(broker.url);
    await reader.link.subscribe(['v1/#']);
    const { link } = await open(tap.url);
    expect(link.topicAliasMaximum).toBe(10);
    for (const text of ['1', '2', '3']) await link.publish(TOPIC, bytes(text), aliased);
    await expect.poll(() => reader.messages).toEqual(['1', '2', '3'].map((text) => `${TOPIC} ${text}`));
    const [first, second, third] = packets.map((packet) => packet.length);
    expect(first! - second!).toBe(TOPIC.length);
    expect(third).toBe(second);
    // 43 bytes of topic less, three of the alias more.
    await link.publish(TOPIC, bytes('4'), plain);
    expect(packets[3]!.length - third!).toBe(40);
  });

  it('are no more than the broker grants, and further topics go in full', async () => {
    const { broker, tap, packets } = await tapped('max_topic_alias 2');
    const reader = await open(broker.url);
    await reader.link.subscribe(['#']);
    const { link } = await open(tap.url);
    expect(link.topicAliasMaximum).toBe(2);
    const topics = ['topic/a', 'topic/b', 'topic/c', 'topic/a', 'topic/b', 'topic/c'];
    for (const topic of topics) await link.publish(topic, bytes('x'), aliased);
    await expect.poll(() => reader.messages).toEqual(topics.map((topic) => `${topic} x`));
    expect(packets.map((packet) => packet.includes('topic/'))).toEqual([true, true, true, false, false, true]);
  });

  it('are not used where the broker grants none', async () => {
    const { tap, packets } = await tapped('max_topic_alias 0');
    const { link } = await open(tap.url);
    for (let i = 0; i < 3; i++) await link.publish(TOPIC, bytes('x'), aliased);
    expect(packets.every((packet) => packet.includes(TOPIC))).toBe(true);
  });

  it('begin anew with each connection', async () => {
    const { tap, packets } = await tapped();
    const options = { clientId: 'same', sessionExpiryS: 60 };
    const before = await open(tap.url, options);
    for (let i = 0; i < 3; i++) await before.link.publish(TOPIC, bytes('x'), aliased);
    tap.cut();
    await before.closed;
    const after = await open(tap.url, options);
    expect(after.link.sessionPresent).toBe(true);
    for (let i = 0; i < 3; i++) await after.link.publish(TOPIC, bytes('x'), aliased);
    expect(packets.map((packet) => packet.includes(TOPIC))).toEqual([true, false, false, true, false, false]);
  });

  it('never appear in MQTT 3.1.1', async () => {
    const { tap, packets } = await tapped();
    const { link } = await open(tap.url, { protocol: 4 });
    for (let i = 0; i < 3; i++) await link.publish(TOPIC, bytes('x'), { ...aliased, expiryS: 60 });
    expect(packets.every((packet) => packet.includes(TOPIC))).toBe(true);
    expect(new Set(packets.map((packet) => packet.length)).size).toBe(1);
  });
});

describe.skipIf(MOSQUITTO === null)('a session of MQTT 5', () => {
  it('keeps what comes while the unit is away', async () => {
    const { broker, tap } = await tapped();
    const options = { clientId: 'unit', sessionExpiryS: 60 };
    const before = await open(tap.url, options);
    expect(before.link.sessionPresent).toBe(false);
    await before.link.subscribe(['rx/doc']);
    tap.cut();
    await before.closed;
    const sender = await open(broker.url);
    await sender.link.publish('rx/doc', bytes('withdrawal'), plain);
    const after = await open(tap.url, options);
    expect(after.link.sessionPresent).toBe(true);
    await expect.poll(() => after.messages).toEqual(['rx/doc withdrawal']);
  });

  it('survives a broker that is killed, where that one keeps its state on a disk', async () => {
    const broker = await startMosquitto({
      lines: ['persistence true', 'persistence_location %d/', 'autosave_interval 1', 'autosave_on_changes true'],
    });
    closers.push(() => broker.stop());
    const options = { clientId: 'unit', sessionExpiryS: 600 };
    const before = await open(broker.url, options);
    await before.link.subscribe(['rx/doc']);
    await before.link.end();
    await broker.kill();
    await broker.start();
    expect((await open(broker.url, options)).link.sessionPresent).toBe(true);
  });

  it('is gone after a goodbye that says so, and without a time of its own', async () => {
    const { url } = await mosquitto();
    for (const [sessionExpiryS, forget] of [
      [60, true],
      [0, false],
    ] as const) {
      const options = { clientId: `unit-${sessionExpiryS}`, sessionExpiryS };
      const { link } = await open(url, options);
      await link.subscribe(['rx/doc']);
      await link.end({ forget });
      expect((await open(url, options)).link.sessionPresent).toBe(false);
    }
  });

  it('says that the unit is gone only after the delay, and not when it came back before', async () => {
    const { broker, tap } = await tapped();
    const watcher = await open(broker.url);
    await watcher.link.subscribe(['+/st']);
    const will = (name: string, delayS: number) => ({
      clientId: name,
      sessionExpiryS: 60,
      will: { topic: `${name}/st`, payload: bytes('offline'), retain: false, delayS },
    });
    const patient = await open(tap.url, will('patient', 1));
    await open(tap.url, will('hasty', 0));
    tap.cut();
    await patient.closed;
    await open(tap.url, will('patient', 1));
    const other = await open(tap.url, will('lost', 1));
    tap.cut();
    await other.closed;
    await open(tap.url, will('patient', 1));
    await expect.poll(() => watcher.messages, { timeout: 10_000 }).toEqual(['hasty/st offline', 'lost/st offline']);
  });

  it('lets go of messages that nobody took in time', async () => {
    const { url } = await mosquitto();
    const options = { clientId: 'receiver', sessionExpiryS: 600 };
    const before = await open(url, options);
    await before.link.subscribe(['#']);
    await before.link.end();
    const sender = await open(url);
    await sender.link.publish('a', bytes('short'), { retain: false, expiryS: 1 });
    await sender.link.publish('a', bytes('long'), { retain: false, expiryS: 600 });
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const after = await open(url, options);
    await expect.poll(() => after.messages).toEqual(['a long']);
  });
});

describe.skipIf(MOSQUITTO === null)('the limits of both sides', () => {
  it('are told: what may be in flight to us; a broker that sends more waits all the same', async () => {
    const { broker, tap } = await tapped();
    const connects: Buffer[] = [];
    tap.judge = (direction, type, packet) => {
      if (direction === 'to-broker' && type === PACKET.connect) connects.push(Buffer.from(packet));
      return 'pass';
    };
    let working = 0;
    let most = 0;
    const taken: string[] = [];
    const { link } = await open(tap.url, {
      receiveMaximum: 3,
      onMessage: async (_, payload) => {
        most = Math.max(most, ++working);
        await new Promise((resolve) => setTimeout(resolve, 2));
        working--;
        taken.push(Buffer.from(payload).toString());
      },
    });
    // Receive Maximum, MQTT 5 §3.1.2.11.3. (mosquitto 2.0.11 reads it and sends more, once PUBACKs come.)
    expect(connects[0]!.includes(Buffer.from([0x21, 0, 3]))).toBe(true);
    await link.subscribe(['a']);
    const sender = await open(broker.url);
    for (let i = 0; i < 50; i++) await sender.link.publish('a', bytes(`${i}`), plain);
    await expect.poll(() => taken).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
    expect(most).toBe(1);
  });

  it('are told and kept: the largest packet to us', async () => {
    const { url } = await mosquitto();
    for (const protocol of [5, 4] as const) {
      const { link, messages } = await open(url, { protocol, maximumPacketBytes: 2_000 });
      await link.subscribe(['a']);
      const sender = await open(url);
      await sender.link.publish('a', new Uint8Array(5_000).fill(120), plain);
      await sender.link.publish('a', bytes('small'), plain);
      await expect.poll(() => messages).toEqual(['a small']);
      await link.end();
    }
  });

  it('are told: the largest packet to the broker', async () => {
    const { url } = await mosquitto('max_packet_size 2000');
    expect((await open(url)).link.maximumPacketBytes).toBe(2_000);
  });
});

describe.skipIf(MOSQUITTO === null || !OPENSSL)('TLS below MQTT', () => {
  const [old, fresh] = [authority('old'), authority('new')];
  afterAll(() => {
    old.remove();
    fresh.remove();
  });

  const tlsBroker = async (server: { cert: string; key: string }, clientCas: string, ...more: string[]) => {
    const broker = await startMosquitto({
      listener: ['cafile %d/ca.pem', 'certfile %d/b.pem', 'keyfile %d/b.key', 'require_certificate true', ...more],
      files: { 'ca.pem': clientCas, 'b.pem': server.cert, 'b.key': server.key },
    });
    closers.push(() => broker.stop());
    return broker.url.replace('mqtt:', 'mqtts:');
  };

  it('takes two CAs that overlap: the broker may change from one to the other', async () => {
    const both = `${old.ca}${fresh.ca}`;
    const client = old.issue('client');
    for (const ca of [old, fresh]) {
      const url = await tlsBroker(ca.issue('broker', 'IP:127.0.0.1'), both);
      const { link } = await open(url, { tls: { ca: both, ...client } });
      await link.publish('a', bytes('x'), plain);
      const one = ca === old ? fresh : old;
      await expect(open(url, { tls: { ca: one.ca, ...client } })).rejects.toMatchObject({ code: 'TG_BROKER_TLS' });
    }
  });

  it('refuses a broker that speaks only TLS 1.2', async () => {
    const url = await tlsBroker(
      old.issue('broker', 'IP:127.0.0.1'),
      old.ca,
      'tls_version tlsv1.2',
      'ciphers ECDHE-ECDSA-AES128-GCM-SHA256',
    );
    const twelve = await startTlsTwelve(old.issue('broker', 'IP:127.0.0.1'));
    const tls = { ca: old.ca, ...old.issue('client') };
    await expect(open(twelve, { tls })).rejects.toMatchObject({ code: 'TG_BROKER_TLS' });
    // mosquitto takes `tls_version` as the least: this one speaks 1.3 and is taken.
    await (await open(url, { tls })).link.publish('a', bytes('x'), plain);
  });

  async function startTlsTwelve({ cert, key }: { cert: string; key: string }): Promise<string> {
    const { createServer } = await import('node:tls');
    const server = createServer({ cert, key, maxVersion: 'TLSv1.2' });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(async () => void server.close());
    return `mqtts://127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  it('counts the bytes of TLS, as a mobile network does', async () => {
    const { url } = await mosquitto();
    const bare = await open(url);
    const secure = await open(await tlsBroker(old.issue('broker', 'IP:127.0.0.1'), old.ca), {
      tls: { ca: old.ca, ...old.issue('client') },
    });
    for (const { link } of [bare, secure]) await link.publish('a', new Uint8Array(1_000), plain);
    expect(bare.wire.sentBytes).toBeGreaterThan(1_000);
    expect(bare.wire.sentBytes).toBeLessThan(1_200);
    // The handshake and a certificate at least.
    expect(secure.wire.sentBytes - bare.wire.sentBytes).toBeGreaterThan(500);
    await secure.link.end();
    expect(secure.wire.receivedBytes).toBeGreaterThan(500);
  });

  it('throws away what has not left when it is reset', async () => {
    const { tap, packets } = await tapped();
    const { link, closed } = await open(tap.url);
    const lost = expect(link.publish('a', new Uint8Array(20_000_000), plain)).rejects.toMatchObject({
      code: 'TG_BROKER_LOST',
    });
    expect(link.unsentBytes).toBeGreaterThan(0);
    link.reset();
    await lost;
    expect(packets).toEqual([]);
    expect(await closed).toMatchObject({ code: 'TG_BROKER_LOST' });
  });
});
