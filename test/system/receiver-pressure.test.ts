import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { BATCH_RECORDS, SqliteStore, startReceiver } from '#receiver';
import type { Table } from '#wire';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { ACK, HPKE, keysFor, type Message, TestUnit } from '../receiver/parts.ts';
import { POSTGRES, startPostgres } from '../receiver/postgres.ts';
import { Sender } from '../receiver/sender.ts';
import { tollgate } from './processes.ts';

/** Only a hang is longer, ms. */
const LONG = 70_000;
/** The broker keeps what a receiver does not take: that is the other half of back-pressure. */
const KEEPS_ALL = ['max_queued_messages 0'];

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function publisher(url: string) {
  const link = await connectMqtt({
    ...{ url, protocol: 5 as const, clientId: 'unit', keepalive: 30 },
    onMessage: () => undefined,
    onClose: () => undefined,
  });
  closers.push(() => link.end());
  return link;
}

/** About 8 KB: numbers that no model foresees. */
function large(seq: number): Table[] {
  const rows = 1_000;
  const values = new Float64Array(rows);
  for (let i = 0, state = seq + 1; i < rows; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    values[i] = state / 3;
  }
  const timesMs = Float64Array.from({ length: rows }, (_, i) => seq * 1000 + i);
  const none = { rows: 0, timesMs: new Float64Array(0), columns: [{ values: new Float64Array(0), present: null }] };
  const counts = { values: new Float64Array(rows).fill(1), present: null };
  return [none, { rows, timesMs, columns: [{ values, present: null }, counts] }];
}

const rssMb = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

describe.skipIf(MOSQUITTO === null)('a store that stands still', () => {
  it('holds the broker back: one batch is taken, the rest stays with the broker, and comes when it goes on', async () => {
    const broker = await startMosquitto({ lines: KEEPS_ALL });
    closers.push(() => broker.stop());
    const unit = new TestUnit();
    const stream = await unit.stream();
    const store = new SqliteStore(':memory:');
    const put = store.put.bind(store);
    const gate = Promise.withResolvers<void>();
    store.put = async (...args) => {
      await gate.promise;
      return await put(...args);
    };
    const service = await startReceiver({
      ...{ url: broker.url, protocol: 5, store, keys: keysFor(unit) },
      alarm: ({ error }) => expect.unreachable(error.message),
    });
    closers.push(() => service.close());
    const link = await publisher(broker.url);
    await link.publish(stream.session.topic, stream.session.bytes, { retain: true });
    // The broker answers for it, so all of these are published while nothing is stored.
    for (const { topic, bytes } of await stream.records(5 * BATCH_RECORDS))
      await link.publish(topic, bytes, { retain: false });
    expect(service.status().unstored).toBeLessThanOrEqual(BATCH_RECORDS);
    expect(service.status()).toMatchObject({ opened: 0, acks: 0 });
    gate.resolve();
    await expect.poll(() => service.status().opened, { timeout: LONG }).toBe(5 * BATCH_RECORDS);
    expect(store.count('records')).toBe(5 * BATCH_RECORDS);
    expect(service.status()).toMatchObject({ duplicates: 0, unstored: 0 });
  });

  it.skipIf(POSTGRES === null)(
    'costs no memory: PostgreSQL locked, 12 MB of records on their way',
    { timeout: 120_000 },
    async () => {
      const server = await startPostgres();
      closers.push(() => server.stop());
      const broker = await startMosquitto({ lines: KEEPS_ALL });
      closers.push(() => broker.stop());
      const unit = new TestUnit();
      const folder = mkdtempSync(join(tmpdir(), 'tollgate-pressure-'));
      closers.push(async () => rmSync(folder, { recursive: true, force: true }));
      for (const [name, value] of Object.entries({
        'hpke.jwk': HPKE,
        'ack.jwk': ACK,
        'units.json': [unit.verifierKey],
      })) {
        writeFileSync(join(folder, name), JSON.stringify(value));
      }
      const where = server.fresh();
      const args = ['receive', '--keys', folder, '--broker', broker.url, '--store', where, '--json'];
      const running = tollgate(args);
      closers.push(async () => void running.child.kill('SIGKILL'));
      await running.shows(/"connected":true/);
      const { default: pg } = await import('pg');
      const other = new pg.Client({ connectionString: where });
      await other.connect();
      closers.push(() => other.end());
      const link = await publisher(broker.url);
      const stream = await unit.stream();
      await link.publish(stream.session.topic, stream.session.bytes, { retain: true });
      const send = async (count: number) => {
        const messages: Message[] = [];
        for (let i = 0; i < count; i++) messages.push(await stream.record(large(stream.hashes.length)));
        await Promise.all(messages.map(({ topic, bytes }) => link.publish(topic, bytes, { retain: false })));
      };
      const stored = async () => Number((await other.query('SELECT count(*) AS n FROM records')).rows[0].n);
      // Warm: what a batch costs, it costs before too.
      await send(BATCH_RECORDS);
      await expect.poll(stored, { timeout: LONG }).toBe(BATCH_RECORDS);
      const before = rssMb(running.child.pid!);
      await other.query('BEGIN');
      await other.query('LOCK TABLE records IN ACCESS EXCLUSIVE MODE');
      await send(3 * BATCH_RECORDS);
      const during = rssMb(running.child.pid!);
      await other.query('ROLLBACK');
      await expect.poll(stored, { timeout: LONG }).toBe(4 * BATCH_RECORDS);
      expect(during - before).toBeLessThan(40);
      running.child.kill('SIGTERM');
      expect(await running.exited, running.stderr()).toBe(0);
    },
  );

  it('loses nothing with a broker that drops what it cannot keep: units send again what was not acknowledged', async () => {
    const broker = await startMosquitto({ lines: ['max_queued_messages 20', 'max_inflight_messages 20'] });
    closers.push(() => broker.stop());
    const sender = await new Sender(broker.url, 5, closers).start();
    const store = new SqliteStore(':memory:');
    const put = store.put.bind(store);
    store.put = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return await put(...args);
    };
    const service = await startReceiver({
      ...{ url: broker.url, protocol: 5, store, keys: keysFor(sender.unit) },
      alarm: ({ error }) => expect.unreachable(error.message),
    });
    closers.push(() => service.close());
    const stream = await sender.unit.stream();
    sender.begin(stream);
    await sender.append(stream, 300);
    expect(await sender.uplink.settle(LONG)).toBe(true);
    expect(store.count('records')).toBe(300);
  });
});
