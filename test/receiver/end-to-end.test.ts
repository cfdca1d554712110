import { afterEach, describe, expect, it } from 'vitest';
import type { MqttProtocol } from '#firmware-bridge/mqtt';
import { type ReceiverAlarm, type ReceiverService, SqliteStore, startReceiver } from '#receiver';
import { PACKET, startTappedBroker } from '#sim/broker';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { keysFor, type TestUnit } from './parts.ts';
import { Sender } from './sender.ts';

/** Only a hang is longer, ms. */
const LONG = 70_000;
const POLL = { timeout: 20_000 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Far {
  readonly service: ReceiverService;
  readonly store: SqliteStore;
  readonly alarms: ReceiverAlarm[];
}

async function receiver(
  unit: TestUnit,
  url: string,
  protocol: MqttProtocol,
  store = new SqliteStore(':memory:'),
): Promise<Far> {
  const alarms: ReceiverAlarm[] = [];
  const service = await startReceiver({
    ...{ url, protocol, store, keys: keysFor(unit) },
    alarm: (alarm) => void alarms.push(alarm),
    waitMs: () => 20,
  });
  closers.push(() => service.close());
  return { service, store, alarms };
}

/** Each record is there once, with all its values, proven. */
async function expectAll(far: Far, sender: Sender, records: number): Promise<void> {
  await expect.poll(() => far.service.status().proven, POLL).toBeGreaterThanOrEqual(records);
  expect(far.alarms).toEqual([]);
  expect(far.store.count('records')).toBe(records);
  expect(far.store.count('value')).toBe(records * 12);
  // The proof's own PUBACK may come after the answer to it.
  await expect
    .poll(() => sender.store.stats(), POLL)
    .toMatchObject({ queued: 0, inflight: 0, pubacked: 0, acked: records });
}

async function embedded() {
  const made = await startTappedBroker();
  closers.push(() => made.broker.close());
  closers.push(() => made.tap.close());
  return made;
}

describe('from a sealed record to an acknowledgement that deletes it', () => {
  it('over the embedded broker, MQTT 3.1.1', async () => {
    const { broker } = await embedded();
    const sender = await new Sender(broker.url, 4, closers).start();
    const far = await receiver(sender.unit, broker.url, 4);
    const streams = [await sender.unit.stream(), await sender.unit.stream()];
    for (const stream of streams) {
      sender.begin(stream);
      await sender.append(stream, 150);
    }
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expectAll(far, sender, 300);
  });

  it.skipIf(MOSQUITTO === null)('over mosquitto, MQTT 5', async () => {
    const server = await startMosquitto();
    closers.push(() => server.stop());
    const sender = await new Sender(server.url, 5, closers).start();
    const far = await receiver(sender.unit, server.url, 5);
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 300);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expectAll(far, sender, 300);
  });

  it('with a receiver that comes after everything was sent: nothing was deleted before it', async () => {
    const { broker } = await embedded();
    const sender = await new Sender(broker.url, 4, closers).start();
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 100);
    expect(await sender.uplink.flush(LONG)).toBe(true);
    expect(await sender.store.stats()).toMatchObject({ pubacked: 101, acked: 0 });
    const far = await receiver(sender.unit, broker.url, 4);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expectAll(far, sender, 100);
  });
});

describe('nothing is lost and nothing is there twice', () => {
  it('when either side’s wire is cut at random', async () => {
    const { broker, tap } = await embedded();
    const sender = await new Sender(tap.url, 4, closers).start();
    let packets = 0;
    tap.judge = (_, type) => {
      if (type === PACKET.connect || type === PACKET.connack) return 'pass';
      packets++;
      return packets % 197 === 0 ? 'cut-inside' : packets % 61 === 0 ? 'twice' : 'pass';
    };
    const far = await receiver(sender.unit, tap.url, 4).catch(() => receiver(sender.unit, broker.url, 4));
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 200);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    tap.judge = () => 'pass';
    await sender.publish();
    await expectAll(far, sender, 200);
    expect(sender.uplink.status().connects).toBeGreaterThan(1);
  });

  it('when the unit starts anew in the middle', async () => {
    const { broker } = await embedded();
    const sender = await new Sender(broker.url, 4, closers).start();
    const far = await receiver(sender.unit, broker.url, 4);
    const first = await sender.unit.stream();
    sender.begin(first);
    await sender.append(first, 80);
    await sender.stop();
    await sender.start();
    const second = await sender.unit.stream();
    sender.begin(second);
    await sender.append(second, 40);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expect.poll(() => far.service.status().proven, POLL).toBe(120);
    expect(far.store.count('records')).toBe(120);
    expect(far.alarms).toEqual([]);
  });

  it('when the receiver starts anew in the middle, over the same database', async () => {
    const { broker } = await embedded();
    const sender = await new Sender(broker.url, 4, closers).start();
    const store = new SqliteStore(':memory:');
    const one = await receiver(sender.unit, broker.url, 4, store);
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 60);
    await expect.poll(() => store.count('records'), POLL).toBeGreaterThan(10);
    await one.service.close();
    await sender.append(stream, 60);
    const two = await receiver(sender.unit, broker.url, 4, store);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expect.poll(() => two.service.status().proven, POLL).toBe(120);
    expect(store.count('records')).toBe(120);
    expect(store.count('value')).toBe(120 * 12);
    expect([...one.alarms, ...two.alarms]).toEqual([]);
  });

  it.skipIf(MOSQUITTO === null)('when mosquitto is killed again and again', async () => {
    const server = await startMosquitto();
    closers.push(() => server.stop());
    const sender = await new Sender(server.url, 5, closers).start();
    const far = await receiver(sender.unit, server.url, 5);
    const stream = await sender.unit.stream();
    sender.begin(stream);
    for (let round = 0; round < 8; round++) {
      await sender.append(stream, 50);
      await server.kill();
      await server.start();
    }
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expectAll(far, sender, 400);
  });
});

describe('a broker that lies', () => {
  it('gets no record deleted with a forged acknowledgement', async () => {
    const { broker, tap } = await embedded();
    const sender = await new Sender(tap.url, 4, closers).start();
    const far = await receiver(sender.unit, broker.url, 4);
    let forged = 0;
    // One byte of each acknowledgement is changed on its way to the unit.
    tap.judge = (direction, type, packet) => {
      if (direction !== 'to-client' || type !== PACKET.publish) return 'pass';
      packet[packet.length - 9]! ^= 1;
      forged++;
      return 'pass';
    };
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 20);
    await expect.poll(() => forged, POLL).toBeGreaterThan(0);
    await expect.poll(() => sender.uplink.status().refusedAcks, POLL).toBe(forged);
    expect(sender.errors).toContain('TG_ACK_REFUSED');
    expect(await sender.store.stats()).toMatchObject({ acked: 0 });
    tap.judge = () => 'pass';
    expect(await sender.uplink.settle(LONG)).toBe(true);
    await sender.publish();
    await expectAll(far, sender, 20);
  });
});

describe('a receiver whose disk is full', () => {
  it('stops, says so, and has acknowledged nothing that it does not hold', async () => {
    const { broker } = await embedded();
    const sender = await new Sender(broker.url, 4, closers).start();
    const store = new SqliteStore(':memory:');
    store.put = () => Promise.reject(new Error('database or disk is full'));
    const far = await receiver(sender.unit, broker.url, 4, store);
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 10);
    expect((await far.service.failed).message).toContain('disk is full');
    expect(await sender.store.stats()).toMatchObject({ acked: 0 });
  });
});
