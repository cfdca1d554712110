import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectMqtt, type MqttLink, type MqttProtocol } from '#firmware-bridge/mqtt';
import { createReceiver, FILTERS, loadReceiverKeys, type Receiver, type ReceiverAlarm, SqliteStore } from '#receiver';
import { type AckBody, openAck } from '#wire';
import { loadUnitKeys } from '../../agent/keys.ts';
import { type ReceiverFacts, receiverFacts } from './examine.ts';
import type { UnitFolder } from './unit-folder.ts';

/** How often what came is stored and acknowledged, ms: the receiver's own second would be most of a test's time. */
const FLUSH_MS = 20;
const SETTLE_MS = 10_000;

/** The receiver of the project behind a hurried clock, and everything that it acknowledged. */
export interface QuickReceiver {
  readonly receiver: Receiver;
  readonly alarms: readonly ReceiverAlarm[];
  /** Acknowledgements as they went to the broker. */
  readonly acks: readonly AckBody[];
  /** `stream/seq` of every record that arrived at this connection, in its order, duplicates included. */
  readonly arrived: readonly string[];
  facts(): ReceiverFacts;
  /** Waits until everything that came is proven; false where it never is. */
  proven(): Promise<boolean>;
  close(): Promise<void>;
}

export async function quickReceiver(unit: UnitFolder, url: string, protocol: MqttProtocol): Promise<QuickReceiver> {
  const folder = unit.recipients[0]!;
  const file = join(folder, 'receiver.sqlite');
  const keys = await loadReceiverKeys(folder);
  const { recipients } = await loadUnitKeys(unit.keys);
  const ackKey = [...recipients.values()][0]!.ack;
  const store = new SqliteStore(file);
  const alarms: ReceiverAlarm[] = [];
  const acks: AckBody[] = [];
  const arrived: string[] = [];
  let link: MqttLink | null = null;
  const receiver = createReceiver({
    keys,
    store,
    publishAck: (topic, bytes) => {
      void openAck(bytes, async () => ackKey).then((ack) => acks.push(ack));
      void link?.publish(topic, bytes, { retain: false }).catch(() => undefined);
    },
    now: () => performance.now(),
    alarm: (alarm) => alarms.push(alarm),
  });
  await receiver.start();
  link = await connectMqtt({
    url,
    protocol,
    clientId: `quick-${randomUUID().slice(0, 8)}`,
    keepalive: 30,
    onMessage: (topic, payload) => {
      const [, , , , stream, kind] = topic.split('/');
      if (kind === undefined) arrived.push(stream!);
      return receiver.handle(topic, payload);
    },
    onClose: () => undefined,
  });
  await link.subscribe(FILTERS);
  const timer = setInterval(() => void receiver.flush(), FLUSH_MS);
  return {
    receiver,
    alarms,
    acks,
    arrived,
    facts: () => receiverFacts(file),
    proven: async () => {
      const until = performance.now() + SETTLE_MS;
      while (performance.now() < until) {
        if ((await store.unproven()).length === 0) return true;
        await sleep(FLUSH_MS);
      }
      return false;
    },
    close: async () => {
      clearInterval(timer);
      await receiver.flush();
      await link?.end();
      await store.close();
    },
  };
}
