import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { TollgateError } from '#contracts';
import {
  backoffMs,
  connectMqtt,
  FIRST_BACKOFF_MS,
  LONGEST_BACKOFF_MS,
  type MqttLink,
  type MqttOptions,
  SHORTEST_BACKOFF_MS,
} from '#firmware-bridge/mqtt';
import { PACKET, startBroker, startTap, startTappedBroker } from '#sim/broker';
import { authority, OPENSSL } from './certificates.ts';
import { MOSQUITTO, startMosquitto } from './mosquitto.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
const kept = <T extends { close(): Promise<void> }>(part: T): T => {
  closers.push(() => part.close());
  return part;
};

interface Probe {
  readonly link: MqttLink;
  readonly messages: [topic: string, text: string][];
  readonly closed: Promise<TollgateError | null>;
}

async function open(url: string, options: Partial<MqttOptions> = {}): Promise<Probe> {
  const messages: [string, string][] = [];
  const closed = Promise.withResolvers<TollgateError | null>();
  const link = await connectMqtt({
    url,
    protocol: 4,
    clientId: `test-${Math.random().toString(36).slice(2)}`,
    keepalive: 30,
    onMessage: (topic, payload) => void messages.push([topic, Buffer.from(payload).toString()]),
    onClose: closed.resolve,
    ...options,
  });
  closers.push(() => link.end());
  return { link, messages, closed: closed.promise };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const plain = { retain: false };

describe('a link to a broker', () => {
  it('carries messages in their order and resolves each at its PUBACK', async () => {
    const broker = kept(await startBroker());
    const to = await open(broker.url);
    await to.link.subscribe(['a/+']);
    const from = await open(broker.url);
    await Promise.all(Array.from({ length: 200 }, (_, i) => from.link.publish('a/b', bytes(`${i}`), plain)));
    await expect.poll(() => to.messages.length).toBe(200);
    expect(to.messages.map(([, text]) => Number(text))).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(broker.published.messages).toBe(200);
  });

  it('does not resolve what the broker never acknowledged, and rejects it when the connection ends', async () => {
    const { broker, tap } = await startTappedBroker();
    kept(broker);
    kept(tap);
    tap.judge = (_, type) => (type === PACKET.puback ? 'drop' : 'pass');
    const { link, closed } = await open(tap.url);
    let settled = false;
    const publication = link.publish('a', bytes('x'), plain).finally(() => {
      settled = true;
    });
    const refused = expect(publication).rejects.toMatchObject({ code: 'TG_BROKER_LOST' });
    await expect.poll(() => broker.published.messages).toBe(1);
    expect(settled).toBe(false);
    tap.cut();
    await refused;
    expect(await closed).toMatchObject({ code: 'TG_BROKER_LOST' });
    await expect(link.publish('a', bytes('y'), plain)).rejects.toMatchObject({ code: 'TG_BROKER_LOST' });
  });

  it('survives a PUBACK that comes twice', async () => {
    const { broker, tap } = await startTappedBroker();
    kept(broker);
    kept(tap);
    tap.judge = (_, type) => (type === PACKET.puback ? 'twice' : 'pass');
    const { link } = await open(tap.url);
    for (let i = 0; i < 20; i++) await link.publish('a', bytes(`${i}`), plain);
    expect(broker.published.messages).toBe(20);
  });

  it('holds back the broker while a message is being taken', async () => {
    const broker = kept(await startBroker());
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { link } = await open(broker.url, {
      onMessage: (topic) => {
        seen.push(topic);
        return gate.promise;
      },
    });
    await link.subscribe(['#']);
    const from = await open(broker.url);
    await from.link.publish('one', bytes(''), plain);
    await from.link.publish('two', bytes(''), plain);
    await expect.poll(() => seen).toEqual(['one']);
    gate.resolve();
    await expect.poll(() => seen).toEqual(['one', 'two']);
  });

  it('ends when a message could not be taken, without acknowledging it', async () => {
    const { broker, tap } = await startTappedBroker();
    kept(broker);
    kept(tap);
    let acknowledged = 0;
    tap.judge = (direction, type) => {
      if (direction === 'to-broker' && type === PACKET.puback) acknowledged++;
      return 'pass';
    };
    const { link, closed } = await open(tap.url, { onMessage: () => Promise.reject(new Error('disk full')) });
    await link.subscribe(['a']);
    const from = await open(broker.url);
    await from.link.publish('a', bytes('x'), plain);
    expect((await closed)?.message).toContain('disk full');
    expect(acknowledged).toBe(0);
  });

  it('leaves a last will when it goes without a goodbye, and none after a goodbye', async () => {
    const { broker, tap } = await startTappedBroker();
    kept(broker);
    kept(tap);
    const watcher = await open(broker.url);
    await watcher.link.subscribe(['+/st']);
    const polite = await open(tap.url, { will: { topic: 'polite/st', payload: bytes('gone'), retain: true } });
    await polite.link.end();
    expect(await polite.closed).toBeNull();
    await open(tap.url, { will: { topic: 'rude/st', payload: bytes('gone'), retain: true } });
    tap.cut();
    await expect.poll(() => watcher.messages).toEqual([['rude/st', 'gone']]);
  });

  it('ends when its signal says so', async () => {
    const broker = kept(await startBroker());
    const stop = new AbortController();
    const { closed } = await open(broker.url, { signal: stop.signal });
    stop.abort();
    expect(await closed).toBeNull();
    await expect.poll(() => broker.clients).toBe(0);
  });

  it('keeps no table of the 65,536 numbers that a message may have', async () => {
    const broker = kept(await startBroker());
    await open(broker.url);
    const packets: typeof import('mqtt-packet') = createRequire(import.meta.resolve('mqtt'))('mqtt-packet');
    expect(packets.writeToStream.cacheNumbers).toBe(false);
  });

  it('works where no code may be made from strings', () => {
    const script = `
      import { startBroker } from '#sim/broker';
      import { connectMqtt } from '#firmware-bridge/mqtt';
      const broker = await startBroker();
      const link = await connectMqtt({ url: broker.url, protocol: 4, clientId: 'x', keepalive: 30, onMessage() {}, onClose() {} });
      await link.publish('a', new Uint8Array(3), { retain: false });
      await link.end();
      await broker.close();
      console.log('done');`;
    const child = spawnSync(
      process.execPath,
      ['--disallow-code-generation-from-strings', '--input-type=module', '-e', script],
      { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' },
    );
    expect(child.stderr).toBe('');
    expect(child.stdout).toBe('done\n');
  });
});

describe('a broker that does not take us', () => {
  it('is an error that names the other protocol, never a silent fallback', async () => {
    const broker = kept(await startBroker());
    const error = await open(broker.url, { protocol: 5 }).catch((e: unknown) => e as TollgateError);
    expect(error).toMatchObject({ code: 'TG_BROKER_PROTOCOL' });
    expect((error as TollgateError).remedy).toContain('uplink.protocol: 4');
  });

  it('is an error with its reason when it refuses', async () => {
    const broker = kept(await startBroker());
    broker.refuse = true;
    await expect(open(broker.url)).rejects.toMatchObject({
      code: 'TG_BROKER_REFUSED',
      message: expect.stringContaining('Server unavailable'),
    });
  });

  it('is unreachable when nobody listens, closes at once, or never answers', async () => {
    const broker = await startBroker();
    await broker.close();
    await expect(open(broker.url)).rejects.toMatchObject({ code: 'TG_BROKER_UNREACHABLE' });

    const alive = kept(await startBroker());
    const tap = kept(await startTap(alive.url));
    tap.refuse = true;
    await expect(open(tap.url)).rejects.toMatchObject({ code: 'TG_BROKER_UNREACHABLE' });

    const mute = createServer((socket) => void socket.on('error', () => {}));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = mute.address() as { port: number };
    await expect(open(`mqtt://127.0.0.1:${address.port}`, { connectTimeoutMs: 100 })).rejects.toMatchObject({
      code: 'TG_BROKER_UNREACHABLE',
    });
    mute.close();
  });

  it('is never named with the credentials of its address', async () => {
    const broker = await startBroker();
    await broker.close();
    const error = await open(broker.url.replace('//', '//user:secret@')).catch((e: unknown) => e as TollgateError);
    expect(JSON.stringify([error, (error as TollgateError).message])).not.toContain('secret');
  });
});

describe('the waits between attempts', () => {
  it('double their bound, stay under a minute, and are all chance', () => {
    expect(backoffMs(0, () => 0)).toBe(SHORTEST_BACKOFF_MS);
    expect(backoffMs(4, () => 0)).toBe(SHORTEST_BACKOFF_MS);
    expect(backoffMs(0, () => 0.5)).toBe(FIRST_BACKOFF_MS / 2);
    expect(backoffMs(0, () => 1)).toBe(FIRST_BACKOFF_MS);
    expect(backoffMs(3, () => 1)).toBe(8 * FIRST_BACKOFF_MS);
    expect(backoffMs(5000, () => 1)).toBe(LONGEST_BACKOFF_MS);
  });
});

describe.skipIf(MOSQUITTO === null)('mosquitto, MQTT 5', () => {
  it('carries messages and tells its receive maximum', async () => {
    const broker = await startMosquitto({ lines: ['max_inflight_messages 1'] });
    closers.push(() => broker.stop());
    const { link, messages } = await open(broker.url, { protocol: 5 });
    expect(link.receiveMaximum).toBe(1);
    await link.subscribe(['a/#']);
    await Promise.all(['1', '2', '3'].map((text) => link.publish('a/b', bytes(text), plain)));
    await expect.poll(() => messages.map(([, text]) => text)).toEqual(['1', '2', '3']);
  });

  it('refuses a message that its access rules forbid: an error, not a success', async () => {
    const files = { acl: 'topic readwrite allowed/#\n' };
    const broker = await startMosquitto({ listener: ['acl_file %d/acl'], files });
    closers.push(() => broker.stop());
    const { link } = await open(broker.url, { protocol: 5 });
    await link.publish('allowed/a', bytes('x'), plain);
    await expect(link.publish('other', bytes('x'), plain)).rejects.toMatchObject({ code: 'TG_BROKER_PUBLISH' });
  });

  it('may be killed in the middle: what had no PUBACK is rejected, the rest was there', async () => {
    const broker = await startMosquitto();
    closers.push(() => broker.stop());
    const { link, closed } = await open(broker.url, { protocol: 5 });
    const results = Array.from({ length: 50 }, (_, i) => link.publish('a', bytes(`${i}`), plain));
    const settled = Promise.allSettled(results);
    await results[0];
    await broker.kill();
    expect(await closed).toMatchObject({ code: 'TG_BROKER_LOST' });
    const codes = (await settled).map((one) => (one.status === 'fulfilled' ? 'puback' : one.reason.code));
    expect(codes[0]).toBe('puback');
    expect(codes.filter((code) => code !== 'puback' && code !== 'TG_BROKER_LOST')).toEqual([]);
  });
});

describe.skipIf(MOSQUITTO === null || !OPENSSL)('TLS', () => {
  const ca = authority();
  const own = ca.issue('client');
  const pem = { ca: ca.ca, client: own.cert, clientKey: own.key };
  const server = ca.issue('broker', 'IP:127.0.0.1');
  afterAll(() => ca.remove());

  it('connects with TLS 1.3 when both sides prove themselves', async () => {
    const broker = await tlsBroker();
    const { link } = await open(broker.url, { protocol: 5, tls: { ca: pem.ca, cert: pem.client, key: pem.clientKey } });
    await link.publish('a', bytes('x'), plain);
  });

  it('refuses a broker that another CA vouches for', async () => {
    const broker = await tlsBroker();
    const other = authority();
    const tls = { ca: other.ca, cert: pem.client, key: pem.clientKey };
    await expect(open(broker.url, { protocol: 5, tls })).rejects.toMatchObject({ code: 'TG_BROKER_TLS' });
  });

  it('refuses it also where the environment says that any will do', async () => {
    const broker = await tlsBroker();
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    try {
      const tls = { ca: authority().ca, cert: pem.client, key: pem.clientKey };
      await expect(open(broker.url, { protocol: 5, tls })).rejects.toMatchObject({ code: 'TG_BROKER_TLS' });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('refuses a broker of another name', async () => {
    const broker = await tlsBroker();
    const url = broker.url.replace('127.0.0.1', 'localhost');
    const tls = { ca: pem.ca, cert: pem.client, key: pem.clientKey };
    await expect(open(url, { protocol: 5, tls })).rejects.toMatchObject({ code: 'TG_BROKER_TLS' });
  });

  it('is refused without a certificate of its own', async () => {
    const broker = await tlsBroker();
    await expect(open(broker.url, { protocol: 5, tls: { ca: pem.ca } })).rejects.toMatchObject({
      code: expect.stringMatching(/^TG_BROKER_(TLS|UNREACHABLE)$/),
    });
  });

  async function tlsBroker(): Promise<{ readonly url: string }> {
    const broker = await startMosquitto({
      listener: ['cafile %d/ca.pem', 'certfile %d/b.pem', 'keyfile %d/b.key', 'require_certificate true'],
      files: { 'ca.pem': ca.ca, 'b.pem': server.cert, 'b.key': server.key },
    });
    closers.push(() => broker.stop());
    return { url: broker.url.replace('mqtt:', 'mqtts:') };
  }
});
