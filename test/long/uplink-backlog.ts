import { connectMqtt } from '#firmware-bridge/mqtt';
import { createUplink } from '../../agent/uplink.ts';
import { PSEUDONYM, TENANT, verifyPlain } from '../agent/uplink-parts.ts';
import { OrderCheck, SyntheticStore } from '../agent/uplink-synthetic.ts';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import type { LongResult } from './runner.ts';

const ROWS = 1_000_000;
const STREAMS = 10;
const WINDOW = 64;
const MIB = 2 ** 20;
/** Most that the uplink may grow by, MiB: the bound for the whole path. */
const MOST_MIB = 30;

/** A million rows from nowhere over mosquitto and the real connection: what the process grows by is the uplink's share. */
export async function run(): Promise<LongResult> {
  if (MOSQUITTO === null) return { ok: false, why: 'mosquitto is missing' };
  const broker = await startMosquitto();
  const store = new SyntheticStore(ROWS, STREAMS, () => performance.now());
  const order = new OrderCheck();
  const uplink = createUplink({
    store,
    link: { url: broker.url, protocol: 5 },
    tenant: TENANT,
    pseudonym: PSEUDONYM,
    window: WINDOW,
    verifyAck: verifyPlain,
    ackTimeoutMs: 1e9,
    connect: async (options) => {
      const link = await connectMqtt(options);
      const publish = link.publish.bind(link);
      link.publish = (topic, payload, how) => {
        if (how.alias === true) order.take(topic, payload);
        return publish(topic, payload, how);
      };
      return link;
    },
  });
  uplink.start();
  const rss = () => {
    globalThis.gc?.();
    return process.memoryUsage.rss() / MIB;
  };
  // The first rows bring in code and connection.
  while (store.done < ROWS / 50) await new Promise((resolve) => setTimeout(resolve, 20));
  const before = rss();
  const begun = performance.now();
  let most = before;
  let nextCut = ROWS / 4;
  while (store.done < ROWS) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    most = Math.max(most, rss());
    if (store.done < nextCut) continue;
    nextCut += ROWS / 4;
    await broker.kill();
    await broker.start();
  }
  const seconds = (performance.now() - begun) / 1_000;
  const { connects, published, requeued } = uplink.status();
  await uplink.close();
  await broker.stop();
  const growth = most - before;
  return {
    ok: growth <= MOST_MIB && order.gaps === 0 && order.total === ROWS,
    rows: ROWS,
    rowsPerSecond: Math.round((ROWS * 0.98) / seconds),
    rssBeforeMiB: Math.round(before),
    rssGrowthMiB: Math.round(growth * 10) / 10,
    mostRowsInMemory: store.mostInflight,
    outOfOrder: order.gaps,
    repeated: order.repeats,
    connects,
    published,
    requeued,
  };
}
