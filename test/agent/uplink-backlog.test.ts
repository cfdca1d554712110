import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { createUplink } from '../../agent/uplink.ts';
import { FakeBroker } from './uplink-link.ts';
import { PSEUDONYM, TENANT, verifyPlain } from './uplink-parts.ts';
import { OrderCheck, SyntheticStore } from './uplink-synthetic.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const heap = () => {
  gc();
  return process.memoryUsage().heapUsed;
};

const ROWS = 100_000;
const WINDOW = 64;
const MIB = 2 ** 20;

// A million, over mosquitto: `npm run long -- uplink-backlog`.
describe('a long backlog', () => {
  it('drains in order with a window of rows in memory, whatever breaks on the way', async () => {
    const clock = { monotonicMs: () => performance.now() };
    const broker = new FakeBroker(clock);
    broker.keeps = false;
    const store = new SyntheticStore(ROWS, 10, clock.monotonicMs);
    const order = new OrderCheck();
    let half = 0;
    broker.onSent = ({ topic, payload }) => {
      if (topic.endsWith('/st')) return;
      order.take(topic, payload);
      if (broker.count === ROWS / 2) half = heap();
      if (broker.count % 20_000 === 0) broker.cut();
    };
    const uplink = createUplink({
      store,
      link: { url: 'mqtt://nowhere', protocol: 5 },
      tenant: TENANT,
      pseudonym: PSEUDONYM,
      window: WINDOW,
      verifyAck: verifyPlain,
      connect: broker.connect,
      timing: { random: () => 0 },
      ackTimeoutMs: 1e9,
    });
    const before = heap();
    uplink.start();
    await expect.poll(() => store.done, { timeout: 50_000, interval: 100 }).toBe(ROWS);
    const after = heap();
    await uplink.close();
    expect(order.gaps).toBe(0);
    expect(order.total).toBe(ROWS);
    expect(uplink.status().connects).toBeGreaterThan(3);
    expect(store.mostInflight).toBeLessThanOrEqual(WINDOW);
    // Room for what the engine compiles meanwhile; a row kept a record would be 30 MiB.
    expect(half - before).toBeLessThan(8 * MIB);
    expect(after - before).toBeLessThan(8 * MIB);
  });
});
