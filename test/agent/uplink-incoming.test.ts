import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { MOST_DOCUMENT_BYTES } from '../../agent/uplink/incoming.ts';
import { readSuspension, rolledBack, writeSuspension } from '../../agent/uplink/suspension.ts';
import { SAVE_MS, Traffic, trafficFile } from '../../agent/uplink/traffic.ts';
import type { Suspension, Uplink, UplinkOptions } from '../../agent/uplink.ts';
import { ack, type Made, made as makeUplink, quiet, text } from './uplink-link.ts';
import { append, streamEntry, verifyPlain } from './uplink-parts.ts';

const open: Uplink[] = [];
afterEach(async () => {
  for (const uplink of open.splice(0)) await uplink.close();
});

function made(options: Partial<UplinkOptions> = {}): Made {
  const all = makeUplink(options);
  open.push(all.uplink);
  return all;
}

describe('a unit whose disk was put back', () => {
  const signed = (size: number) => async (bytes: Uint8Array) => {
    const checked = await verifyPlain(bytes);
    return checked === null ? null : { ...checked, checkpointSize: size };
  };

  it('sends no record from the acknowledgement on that has seen more of its ledger than there is', async () => {
    const suspensions: Suspension[] = [];
    const { clock, broker, store, uplink, errors } = made({
      verifyAck: signed(501),
      onSuspended: async (suspension) => void suspensions.push(suspension),
    });
    store.head = async () => ({ size: 500, root: new Uint8Array(32) });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 1);
    uplink.start();
    await clock.pass(100);
    const before = broker.rows.length;
    await broker.deliver('ack', ack({}));
    await clock.pass(100);
    append(store, stream, 1, 50);
    await clock.pass(60_000, 1_000);
    expect(broker.rows.length).toBe(before);
    expect(uplink.status().suspended).toEqual({
      reason: 'rolled back',
      code: 'TG_UPLINK_ROLLED_BACK',
      size: 500,
      seen: 501,
    });
    expect(errors.map(({ code }) => code)).toEqual(['TG_UPLINK_ROLLED_BACK']);
    expect(suspensions).toHaveLength(1);
    expect(text(Buffer.from(suspensions[0]!.evidence, 'base64'))).toBe(text(ack({})));
    // Nothing is deleted on the word of somebody who knows another ledger.
    expect(store.acks).toEqual([]);
  });

  it('goes on while the recipient has seen no more than there is', async () => {
    const { clock, broker, store, uplink } = made({ verifyAck: signed(500) });
    store.head = async () => ({ size: 500, root: new Uint8Array(32) });
    const stream = streamEntry(1);
    store.begin(stream);
    append(store, stream, 0, 1);
    uplink.start();
    await clock.pass(100);
    await broker.deliver('ack', ack({}));
    await clock.pass(100);
    append(store, stream, 1, 5);
    await clock.pass(1_000);
    expect(broker.rows.length).toBe(7);
    expect(uplink.status().suspended).toBeNull();
    expect(store.acks).toHaveLength(1);
  });

  it('stays suspended over a restart, and where the file of it is damaged', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-suspension-'));
    const file = join(folder, 'suspended.json');
    expect(await readSuspension(file)).toBeNull();
    const suspension = rolledBack(5, 9, Buffer.from('signed'));
    await writeSuspension(file, suspension);
    expect(await readSuspension(file)).toEqual(suspension);
    for (const damage of ['', '{', 'null', '{"reason":"none"}']) {
      writeFileSync(file, damage);
      const { clock, broker, store, uplink } = made({ suspended: await readSuspension(file) });
      store.begin(streamEntry(1));
      uplink.start();
      await clock.pass(1_000);
      expect(broker.rows).toEqual([]);
      expect(uplink.status().suspended?.code).toBe('TG_UPLINK_ROLLED_BACK');
    }
    rmSync(folder, { recursive: true, force: true });
  });
});

describe('what comes to the unit', () => {
  it('is checked only so often while nobody of the unit signs it; the rows stay and the store is not asked', async () => {
    let checked = 0;
    const { clock, broker, store, uplink, errors } = made({
      verifyAck: async (bytes) => {
        checked++;
        return await verifyPlain(bytes);
      },
    });
    let asked = 0;
    store.head = async () => {
      asked++;
      return { size: 0, root: new Uint8Array(32) };
    };
    const stream = streamEntry(1);
    store.begin(stream);
    uplink.start();
    await clock.pass(100);
    for (let i = 0; i < 10_000; i++) await broker.deliver('ack', Buffer.from('tampered'));
    await clock.pass(10);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 100; i++) await broker.deliver('ack', Buffer.from('tampered'));
      await clock.pass(1_000, 100);
    }
    // Fifty at once, five a second after; those that come while one is being checked are checked with it.
    expect(checked).toBeLessThan(1_000);
    expect(uplink.status().refusedAcks).toBe(16_000);
    // Once a minute, not sixteen thousand times.
    expect(errors.length).toBeLessThanOrEqual(3);
    expect(errors[0]).toMatchObject({ code: 'TG_ACK_REFUSED' });
    expect(asked).toBe(0);
    expect(store.acks).toEqual([]);
    await clock.pass(1_000, 100);
    await broker.deliver('ack', ack({ upto: 0 }));
    await clock.pass(10);
    expect(store.acks).toHaveLength(1);
  });

  it('holds documents to a size and a rate, and says what it let go', async () => {
    const documents: number[] = [];
    const { clock, broker, uplink, errors } = made({ onDocument: async (bytes) => void documents.push(bytes.length) });
    uplink.start();
    await clock.pass(100);
    await broker.deliver('doc', new Uint8Array(MOST_DOCUMENT_BYTES + 1));
    await broker.deliver('doc', new Uint8Array(MOST_DOCUMENT_BYTES));
    expect(documents).toEqual([MOST_DOCUMENT_BYTES]);
    for (let i = 0; i < 1_000; i++) await broker.deliver('doc', new Uint8Array(1));
    expect(documents.length).toBeLessThanOrEqual(61);
    expect(errors.map(({ code }) => code)).toEqual(['TG_UPLINK_DOCUMENT']);
    await clock.pass(10_000, 1_000);
    await broker.deliver('doc', new Uint8Array(2));
    expect(documents.at(-1)).toBe(2);
    expect(uplink.status()).toMatchObject({ documents: documents.length, refusedDocuments: 1_003 - documents.length });
  });

  it('of somebody whose word counts is taken behind any flood', async () => {
    const documents: string[] = [];
    const { clock, broker, uplink } = made({
      onDocument: async (bytes) => void documents.push(text(bytes)),
      mustTake: (bytes) => text(bytes).startsWith('owner'),
    });
    uplink.start();
    await clock.pass(100);
    for (let i = 0; i < 10_000; i++) await broker.deliver('doc', Buffer.from('forged'));
    for (let i = 0; i < 100; i++) await broker.deliver('doc', Buffer.from(`owner ${i}`));
    expect(documents.filter((one) => one === 'forged').length).toBeLessThanOrEqual(61);
    expect(documents.filter((one) => one.startsWith('owner'))).toHaveLength(100);
  });

  it('of somebody whose word counts stays at the broker when it could not be taken, a stranger’s does not', async () => {
    const { clock, broker, uplink, errors } = made({
      onDocument: () => Promise.reject(new Error('ENOSPC')),
      mustTake: (bytes) => text(bytes) === 'owner',
    });
    uplink.start();
    await clock.pass(100);
    await expect(broker.deliver('doc', Buffer.from('owner'))).rejects.toThrow('ENOSPC');
    await broker.deliver('doc', Buffer.from('forged'));
    expect(errors).toHaveLength(2);
  });

  it('is not acknowledged to the broker before it was taken', async () => {
    const taking = Promise.withResolvers<void>();
    const { clock, broker, uplink } = made({ onDocument: () => taking.promise });
    uplink.start();
    await clock.pass(100);
    let taken = false;
    const delivery = broker.deliver('doc', new Uint8Array(1)).then(() => {
      taken = true;
    });
    await quiet();
    expect(taken).toBe(false);
    taking.resolve();
    await delivery;
  });
});

describe('the count of bytes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-traffic-'));
  const file = join(folder, 'traffic.json');
  afterEach(() => rmSync(file, { force: true }));

  it('sums connections, by network, over restarts', async () => {
    const lte = new Traffic('lte', trafficFile(file), 0);
    await lte.load();
    const wire = { sentBytes: 10, receivedBytes: 1 };
    lte.began(wire);
    wire.sentBytes = 20;
    expect(lte.totals()).toEqual([{ network: 'lte', sent: 20, received: 1 }]);
    lte.ended(wire, 0);
    lte.ended(wire, 0);
    await lte.save(0);
    const wlan = new Traffic('wlan', trafficFile(file), 0);
    await wlan.load();
    wlan.began({ sentBytes: 5, receivedBytes: 6 });
    const totals = [
      { network: 'lte', sent: 20, received: 1 },
      { network: 'wlan', sent: 5, received: 6 },
    ];
    expect(wlan.totals()).toEqual(totals);
    await wlan.save(0);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(totals);
  });

  it('is written every ten minutes, not more often', async () => {
    let writes = 0;
    const counted = { read: async () => [], write: async () => void writes++ };
    const traffic = new Traffic('lte', counted, 0);
    for (let now = 0; now < 3_600_000; now += 1_000) await traffic.tick(now);
    expect(writes).toBe(Math.floor(3_600_000 / SAVE_MS) - 1);
  });

  it('begins at nothing where its file is damaged, and costs nothing where it cannot be written', async () => {
    for (const damage of ['', '{', '{}', '[{"network":"x","sent":-1,"received":0}]', '[null,3]']) {
      writeFileSync(file, damage);
      const traffic = new Traffic('lte', trafficFile(file), 0);
      await traffic.load();
      expect(traffic.totals()).toEqual([{ network: 'lte', sent: 0, received: 0 }]);
    }
    const nowhere = new Traffic('lte', trafficFile(join(folder, 'none', 'traffic.json')), 0);
    await nowhere.load();
    await nowhere.save(0);
    expect(nowhere.totals()).toEqual([{ network: 'lte', sent: 0, received: 0 }]);
  });
});
