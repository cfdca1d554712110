import { afterEach, describe, expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { type Broker, startBroker } from '#sim/broker';
import { PacketSplitter } from '../../sim/broker/tap.ts';

const brokers: Broker[] = [];
afterEach(async () => {
  for (const broker of brokers.splice(0)) await broker.close();
});
async function started(): Promise<Broker> {
  const broker = await startBroker();
  brokers.push(broker);
  return broker;
}
const client = (url: string, onMessage: (topic: string) => void, onClose = () => {}) =>
  connectMqtt({ url, protocol: 4, clientId: `t${brokers.length}${Math.random()}`, keepalive: 30, onMessage, onClose });

describe('the embedded broker', () => {
  it('listens on the loopback address only, on a free port of its own', async () => {
    const [one, two] = [await started(), await started()];
    expect(one.url).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+$/);
    expect(one.url).not.toBe(two.url);
  });

  it('gives a late subscriber what was retained', async () => {
    const broker = await started();
    const from = await client(broker.url, () => {});
    await from.publish('a/s', new Uint8Array(1), { retain: true });
    await from.publish('a', new Uint8Array(1), { retain: false });
    const seen: string[] = [];
    const late = await client(broker.url, (topic) => void seen.push(topic));
    await late.subscribe(['#']);
    await expect.poll(() => seen).toEqual(['a/s']);
    await Promise.all([from.end(), late.end()]);
  });

  it('takes a long backlog in one go', async () => {
    const broker = await started();
    let seen = 0;
    const to = await client(broker.url, () => void seen++);
    await to.subscribe(['#']);
    const from = await client(broker.url, () => {});
    await Promise.all(Array.from({ length: 3000 }, () => from.publish('a', new Uint8Array(200), { retain: false })));
    await expect.poll(() => seen).toBe(3000);
    expect(broker.published).toEqual({ messages: 3000, bytes: 600_000 });
    await Promise.all([from.end(), to.end()]);
  });

  it('drops its clients when asked, and lets them come again', async () => {
    const broker = await started();
    const lost = Promise.withResolvers<void>();
    await client(broker.url, () => {}, lost.resolve);
    broker.dropConnections();
    await lost.promise;
    const again = await client(broker.url, () => {});
    await again.end();
  });

  it('shows a listener every message as an operator would see it', async () => {
    const broker = await started();
    const seen: string[] = [];
    broker.onMessage((topic, payload) => void seen.push(`${topic}:${payload.length}`));
    const from = await client(broker.url, () => {});
    await from.publish('a/b', new Uint8Array(5), { retain: false });
    expect(seen).toEqual(['a/b:5']);
    await from.end();
  });
});

describe('the bad wire in front of it', () => {
  it('cuts a stream into the same packets wherever the chunks end', () => {
    const packets = [
      Buffer.from([0x40, 2, 0, 1]),
      Buffer.concat([Buffer.from([0x30, 0xac, 0x02]), Buffer.alloc(300)]),
      Buffer.from([0xd0, 0]),
    ];
    const stream = Buffer.concat(packets);
    for (let cut = 0; cut <= stream.length; cut++) {
      const splitter = new PacketSplitter();
      const parts = [stream.subarray(0, cut), stream.subarray(cut)];
      const found = parts.flatMap((part) => [...splitter.push(part)]);
      expect(found.map((one) => one.toString('hex'))).toEqual(packets.map((one) => one.toString('hex')));
    }
  });
});
