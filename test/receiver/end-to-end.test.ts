import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { MqttProtocol } from '#firmware-bridge/mqtt';
import { nodeCrypto, parseVerifierKey, signCheckpoint } from '#ledger';
import { type ReceiverAlarm, type ReceiverService, SqliteStore, startReceiver } from '#receiver';
import { PACKET, startTappedBroker } from '#sim/broker';
import { publicJwk } from '#trust';
import { encodeProof, openAck } from '#wire';
import { type DurableStore, openStore } from '../../agent/store/index.ts';
import { createUplink, type Uplink } from '../../agent/uplink.ts';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { ACK, keysFor, TENANT, type TestStream, TestUnit } from './parts.ts';

/** Only a hang is longer, ms. */
const LONG = 70_000;
/** Waits between attempts, at most a minute on the road, are short here; the store goes by the host's time. */
const TIMING = {
  sleep: (ms: number, signal: AbortSignal) =>
    sleep(ms > 60_000 ? ms : Math.min(ms, 150), undefined, { signal }).catch(() => undefined),
};
const ACK_TIMEOUT_MS = 1_500;
const POLL = { timeout: 20_000 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A unit with the real store and uplink; its records are made by the test. */
class Sender {
  readonly unit = new TestUnit();
  readonly errors: string[] = [];
  store!: DurableStore;
  uplink!: Uplink;
  readonly #file: string;
  readonly #url: string;
  readonly #protocol: MqttProtocol;

  constructor(url: string, protocol: MqttProtocol) {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-e2e-'));
    closers.push(async () => rmSync(folder, { recursive: true, force: true }));
    this.#file = join(folder, 'unit.sqlite');
    this.#url = url;
    this.#protocol = protocol;
  }

  async start(): Promise<this> {
    const spoolKey = new Uint8Array(32).fill(5);
    this.store = await openStore({
      file: this.#file,
      maxBytes: 2 ** 28,
      groupCommitMs: 50,
      bootId: new Uint8Array(randomBytes(8)),
      spoolKeys: async () => spoolKey,
    });
    this.uplink = createUplink({
      store: this.store,
      link: { url: this.#url, protocol: this.#protocol },
      tenant: TENANT,
      pseudonym: this.unit.pseudonym,
      window: 32,
      timing: TIMING,
      ackTimeoutMs: ACK_TIMEOUT_MS,
      verifyAck: async (bytes) => {
        const ack = await openAck(bytes, async () => publicJwk(ACK)).catch(() => null);
        return ack === null ? null : { ...ack, signed: bytes };
      },
      observe: { error: ({ code }) => void this.errors.push(code) },
    });
    this.uplink.start();
    closers.push(() => this.stop());
    return this;
  }

  async stop(): Promise<void> {
    await this.uplink.close();
    await this.store.close();
  }

  begin(stream: TestStream): void {
    const who = { recipient: 'did:web:a', purpose: 'p', agreement: 'urn:uuid:1', campaign: 'c', priority: 3 };
    const { pseudonym } = this.unit;
    this.store.begin({ stream: stream.stream, pseudonym, ...who, topic: stream.topic, session: stream.session.bytes });
  }

  async append(stream: TestStream, count: number): Promise<void> {
    const meter = {
      ...{ agreement: 'urn:uuid:1', recipient: 'did:web:a', purpose: 'p', action: 'distribute' },
      ...{ hour: 1, records: 1, samples: 12, bytes: 1, fields: { 'Vehicle.Speed': 10 }, denied: 0 },
    };
    for (let i = 0; i < count; i++) await this.store.append({ ...(await stream.sealed()), meter });
    await this.store.commit();
  }

  /** Checkpoint and proofs, as the agent publishes them once a minute. */
  async publish(): Promise<void> {
    const { size, root } = await this.store.head();
    const key = parseVerifierKey(this.unit.verifierKey, nodeCrypto);
    const checkpoint = await signCheckpoint(size, root, { key, sign: this.unit.sign });
    await this.store.checkpoint(size, checkpoint);
    for (const material of await this.store.proofs(size)) {
      await this.store.proof(material, encodeProof({ checkpoint, ...material }));
    }
  }
}

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
    const sender = await new Sender(broker.url, 4).start();
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
    const sender = await new Sender(server.url, 5).start();
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
    const sender = await new Sender(broker.url, 4).start();
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
    const sender = await new Sender(tap.url, 4).start();
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
    const sender = await new Sender(broker.url, 4).start();
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
    const sender = await new Sender(broker.url, 4).start();
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
    const sender = await new Sender(server.url, 5).start();
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
    const sender = await new Sender(tap.url, 4).start();
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
    const sender = await new Sender(broker.url, 4).start();
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
