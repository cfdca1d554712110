import { connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { startBroker } from '#sim/broker';
import { createUplink } from '../../agent/uplink.ts';
import { MemoryStore } from './memory-store.ts';
import { append, PSEUDONYM, streamEntry, TENANT, verifyPlain } from './uplink-parts.ts';

const ROWS = 100;
const ROW_BYTES = 200_000;

/** A network that takes nothing more when it is told to stand. */
async function startNetwork(target: string) {
  const { port } = new URL(target);
  const clients = new Set<Socket>();
  let arrived = 0;
  let standing = false;
  const server = createServer((client) => {
    const broker = connect(Number(port), '127.0.0.1');
    clients.add(client);
    client.on('error', () => undefined).on('close', () => broker.destroy());
    broker.on('error', () => undefined).on('close', () => client.destroy());
    broker.on('data', (bytes) => client.write(bytes));
    client.on('data', (bytes) => {
      arrived += bytes.length;
      broker.write(bytes);
      if (standing) client.pause();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}`,
    arrived: () => arrived,
    stand: () => {
      standing = true;
      for (const client of clients) client.pause();
    },
    go: () => {
      standing = false;
      for (const client of clients) client.resume();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const client of clients) client.destroy();
      await closed;
    },
  };
}

it('a withdrawal on a network that stands: what has not left the unit never does', async () => {
  const broker = await startBroker();
  const network = await startNetwork(broker.url);
  const store = new MemoryStore(() => performance.now());
  const uplink = createUplink({
    store,
    link: { url: network.url, protocol: 4 },
    tenant: TENANT,
    pseudonym: PSEUDONYM,
    window: ROWS,
    verifyAck: verifyPlain,
  });
  const [gone, kept] = [streamEntry(1), streamEntry(2)];
  const seen: string[] = [];
  broker.onMessage((topic, payload) => {
    if (payload.length < ROW_BYTES && !topic.endsWith('/st')) seen.push(topic);
  });
  uplink.start();
  await expect.poll(() => uplink.status().connected).toBe(true);
  network.stand();
  store.begin(gone);
  const meter = { agreement: '', recipient: '', purpose: '', action: 'distribute', hour: 0, records: 1 };
  const large = Buffer.alloc(ROW_BYTES);
  for (let seq = 0; seq < ROWS - 1; seq++) {
    const all = { ...meter, samples: 1, bytes: 1, fields: {}, denied: 0 };
    store.append({ stream: gone.stream, seq, payload: large, leaf: large, bodyHash: large, meter: all });
  }
  await expect.poll(() => uplink.status().published).toBe(ROWS);

  await uplink.hold(async () => {
    for (const row of [...store.rows.values()]) if (row.stream[0] === 1) store.rows.delete(row.id);
  });
  store.begin(kept);
  append(store, kept, 0, 5);
  network.go();
  // The rest goes over another connection; of what was withdrawn comes only what the kernel had taken by then.
  await expect.poll(() => seen.filter((topic) => topic === kept.topic).length, { timeout: 10_000 }).toBe(5);
  expect(uplink.status().connects).toBe(2);
  expect(network.arrived()).toBeLessThan((ROWS * ROW_BYTES) / 2);
  await uplink.close();
  await network.close();
  await broker.close();
});
