import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALARM_MS, BATCH_MS, createReceiver, linesOf } from '#receiver';
import { decodeProof, encodeProof } from '#wire';
import { type Bench, keysFor, type Message, type TestStore, TestUnit } from './parts.ts';
import { overEachStore } from './stores.ts';

const codes = (made: Bench<TestStore>) => made.alarms.map(({ error }) => error.code);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

overEachStore((fixture) => {
  describe('a receiver', () => {
    it('opens records, stores their values in physical units and acknowledges them', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, ...(await stream.records(3)));
      expect(made.alarms).toEqual([]);
      expect(made.acks).toMatchObject([{ uptoSeq: 2, missing: [], state: 'opened', checkpointSize: 0 }]);
      const values = await made.store.values(unit.pseudonym);
      expect(values.length).toBe(3 * 12);
      expect(values.filter(([seq, , signal]) => seq === 1 && signal === 'Vehicle.Speed').map((row) => row[4])).toEqual(
        upTo(10).map((i) => (100 + i) * 0.01),
      );
      // mean 1.25 raw: (1.25 · 0.5 − 1) · 2 + 3
      expect(values.find(([seq, , , result]) => seq === 1 && result === 'mean')?.[4]).toBe((1.25 * 0.5 - 1) * 2 + 3);
      expect(values.find(([seq, , , result]) => seq === 1 && result === 'count')?.[4]).toBe(10);
    });

    it('writes a line of JSON a row', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, await stream.record());
      const lines = linesOf(made.written[0]!)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.length).toBe(11);
      expect(lines[3]).toEqual({
        pseudonym: unit.pseudonym,
        stream: Buffer.from(stream.stream).toString('base64url'),
        seq: 0,
        utc: new Date(1_760_000_000_300).toISOString(),
        time_ms: 300,
        values: { 'Vehicle.Speed': 3 * 0.01 },
      });
      expect(lines[10]).toMatchObject({
        window_ms: 1000,
        values: { 'dbc:M.T': { mean: (0.25 * 0.5 - 1) * 2 + 3, count: 10 } },
      });
    });

    it('says nothing of UTC where the unit did not know it', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream({ schema: { utcOffsetMs: null, utcErrorMs: null } });
      const made = await fixture.bench([unit]);
      await made.take(stream.session, await stream.record(), await stream.proof());
      expect(JSON.parse(linesOf(made.written[0]!).split('\n')[0]!)).toMatchObject({ utc: null, time_ms: 0 });
      expect(made.receiver.status()).toMatchObject({ proven: 1, alarms: 0 });
    });

    it('takes messages in any order, some of them twice, and stores each record once', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const messages = [stream.session, ...(await stream.records(12)), await stream.proof()];
      await fc.assert(
        fc.asyncProperty(
          fc.shuffledSubarray([...messages, ...messages.slice(3, 8), stream.session], { minLength: 20 }),
          async (order) => {
            const made = await fixture.bench([unit]);
            await made.take(...order, ...messages);
            expect(await made.store.count('records')).toBe(12);
            expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 11, missing: [] });
            expect(made.receiver.status()).toMatchObject({ opened: 12, proven: 12, refused: 0, alarms: 0, waiting: 0 });
            expect(made.written.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(upTo(12));
          },
        ),
        { numRuns: 12, seed: 1 },
      );
    });

    it('names the holes below the highest record', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const records = await stream.records(8);
      const made = await fixture.bench([unit]);
      await made.take(stream.session, records[0]!, records[2]!, records[5]!);
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 5, missing: [1, 3, 4] });
      await made.take(records[3]!, records[1]!, records[4]!);
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 5, missing: [] });
    });

    it('acknowledges again what comes again: the first answer may be lost', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const record = await stream.record();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, record);
      await made.take(record);
      expect(made.acks.length).toBe(2);
      expect(made.receiver.status()).toMatchObject({ opened: 1, duplicates: 1 });
    });

    it('acknowledges after a second, or when a batch is full', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit], { batchRecords: 3 });
      const [first, ...rest] = await stream.records(4);
      const give = async (message: Message) => await made.receiver.handle(message.topic, message.bytes);
      await give(stream.session);
      await give(first!);
      await made.receiver.tick();
      expect(await made.store.count('records')).toBe(0);
      made.clock.ms += BATCH_MS;
      await made.receiver.tick();
      expect(await made.store.count('records')).toBe(1);
      for (const message of rest) await give(message);
      expect(await made.store.count('records')).toBe(4);
    });

    it('acknowledges nothing that is not stored', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const store = await fixture.store();
      const published: string[] = [];
      const order: string[] = [];
      const put = store.put.bind(store);
      store.put = async (...args) => {
        const stored = await put(...args);
        order.push('stored');
        return stored;
      };
      const made = await fixture.bench([unit], {
        store,
        publishAck: (topic) => {
          order.push('acknowledged');
          published.push(topic);
        },
      });
      await made.take(stream.session, await stream.record());
      // The acknowledgement itself is kept with the next transaction, as evidence.
      expect(order).toEqual(['stored', 'acknowledged', 'stored']);
      store.put = () => Promise.reject(new Error('database or disk is full'));
      const next = await stream.record();
      await made.receiver.handle(next.topic, next.bytes);
      await expect(made.receiver.flush()).rejects.toThrow('disk is full');
      expect(published.length).toBe(1);
      // It is at its end: what memory says may be ahead of the disk.
      await expect(made.receiver.handle(next.topic, next.bytes)).rejects.toThrow('disk is full');
    });

    it('goes on after a restart between store and acknowledgement, and proves what was stored before', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const records = await stream.records(5);
      const store = await fixture.store();
      const lost = await fixture.bench([unit], { store, publishAck: () => {} });
      await lost.take(stream.session, records[0]!, records[1]!, records[3]!);
      const made = await fixture.bench([unit], { store });
      await made.receiver.start();
      // No session comes again: it is in the store. The unit had no answer and sends all again.
      await made.take(...records);
      expect(await made.store.count('records')).toBe(5);
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 4, missing: [] });
      expect(made.receiver.status()).toMatchObject({ opened: 2, duplicates: 3, alarms: 0 });
      await made.take(await stream.proof());
      expect(made.receiver.status()).toMatchObject({ proven: 5, alarms: 0 });
      const again = await fixture.bench([unit], { store });
      await again.receiver.start();
      await again.take(await stream.record(), await stream.proof());
      expect(again.receiver.status()).toMatchObject({ proven: 1, alarms: 0 });
    });

    it('ignores topics that are no stream’s, and a retained session that is cleared', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.receiver.handle('v1/t1/x/tx/y', new Uint8Array(5));
      await made.receiver.handle('', new Uint8Array(5));
      await made.receiver.handle(stream.session.topic, new Uint8Array(0));
      expect(made.receiver.status()).toMatchObject({ sessions: 0, refused: 0, waiting: 0 });
    });
  });

  describe('messages without a session', () => {
    it('are kept and opened when it comes', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(...(await stream.records(4)), await stream.proof());
      expect(made.receiver.status()).toMatchObject({ opened: 0, waiting: 5 });
      expect(made.acks).toEqual([]);
      await made.take(stream.session);
      expect(made.receiver.status()).toMatchObject({ opened: 4, proven: 4, waiting: 0 });
    });

    it('are bounded: the oldest stream is dropped, with an alarm, never acknowledged', async () => {
      const unit = new TestUnit();
      const [one, two] = [await unit.stream(), await unit.stream()];
      const made = await fixture.bench([unit]);
      const early = await one.record();
      await made.take(early);
      const big = new Uint8Array(100_000);
      for (let i = 0; i < 200; i++) await made.receiver.handle(two.topic, big);
      expect(codes(made)).toContain('TG_RECEIVER_OVERFLOW');
      expect(made.receiver.status().waiting).toBeLessThan(200);
      await made.take(one.session);
      expect(made.acks).toEqual([]);
      await made.take(early);
      expect(made.acks).toMatchObject([{ uptoSeq: 0 }]);
    });
  });

  describe('a proof', () => {
    it('proves every record before it, over the chain', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, ...(await stream.records(20)), await stream.proof());
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 19, state: 'proven', checkpointSize: 21 });
      await made.take(...(await stream.records(5)), await stream.proof({ seq: 22 }));
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 22, state: 'proven' });
      expect(made.receiver.status()).toMatchObject({ proofs: 2, proven: 23, alarms: 0 });
    });

    it('waits for records that are still to come, over a restart as well', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const store = await fixture.store();
      const records = await stream.records(6);
      const first = await fixture.bench([unit], { store });
      await first.take(stream.session, records[0]!, records[4]!, await stream.proof());
      expect(first.receiver.status()).toMatchObject({ proofs: 0, alarms: 0 });
      const made = await fixture.bench([unit], { store });
      await made.take(...records.slice(1));
      expect(made.receiver.status()).toMatchObject({ proofs: 1, proven: 6, alarms: 0 });
    });

    it('names evicted records: they are no holes any more, and the chain holds', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const records = await stream.records(6);
      const made = await fixture.bench([unit]);
      await made.take(stream.session, records[0]!, records[2]!, records[5]!);
      expect(made.acks.at(-1)?.missing).toEqual([1, 3, 4]);
      await made.take(await stream.proof({ evicted: [1, 3, 4] }));
      expect(made.receiver.status()).toMatchObject({ proven: 6, alarms: 0 });
      await made.take(await stream.record());
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 6, missing: [] });
    });

    it('does not make a hole go away before it holds', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const records = await stream.records(3);
      const made = await fixture.bench([unit]);
      await made.take(stream.session, records[0]!, records[2]!);
      const true_ = decodeProof((await stream.proof()).bytes);
      const bytes = encodeProof({ ...true_, evicted: [{ seq: 1, bodyHash: new Uint8Array(32) }] });
      await made.take({ topic: `${stream.topic}/p`, bytes });
      expect(codes(made)).toEqual(['TG_RECEIVER_PROOF']);
      await made.take(records[0]!);
      expect(made.acks.at(-1)?.missing).toEqual([1]);
    });

    it('is missed after three minutes, once, and the alarm is over when it comes', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, await stream.record());
      made.clock.ms += ALARM_MS - 1;
      await made.receiver.tick();
      expect(made.alarms).toEqual([]);
      made.clock.ms += 1_000;
      await made.receiver.tick();
      made.clock.ms += 10_000;
      await made.receiver.tick();
      expect(codes(made)).toEqual(['TG_RECEIVER_UNPROVEN']);
      await made.take(await stream.proof());
      made.clock.ms += 2 * ALARM_MS;
      await made.receiver.tick();
      expect(made.alarms.length).toBe(1);
      await made.take(await stream.record());
      made.clock.ms += ALARM_MS;
      await made.receiver.tick();
      expect(made.alarms.length).toBe(2);
    });

    it('is missed after a restart too', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const store = await fixture.store();
      await (await fixture.bench([unit], { store })).take(stream.session, await stream.record());
      const made = await fixture.bench([unit], { store });
      await made.receiver.start();
      made.clock.ms += ALARM_MS;
      await made.receiver.tick();
      expect(codes(made)).toEqual(['TG_RECEIVER_UNPROVEN']);
    });
  });

  describe('a hostile broker', () => {
    it.each(['session', 'record', 'proof'] as const)('cannot change one byte of a %s', async (kind) => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const record = await stream.record();
      const messages = { session: stream.session, record, proof: await stream.proof() };
      const truth = messages[kind];
      for (let i = 0; i < truth.bytes.length; i += kind === 'record' ? 1 : 7) {
        const made = await fixture.bench([unit]);
        const bytes = truth.bytes.slice();
        bytes[i]! ^= 1 << (i % 8);
        const others = { session: [], record: [stream.session], proof: [stream.session, record] }[kind];
        await made.take(...others, { topic: truth.topic, bytes });
        expect(made.receiver.status().refused, `byte ${i}`).toBe(1);
        const code = { session: 'TG_RECEIVER_SESSION', record: 'TG_RECEIVER_ENVELOPE', proof: 'TG_RECEIVER_PROOF' }[
          kind
        ];
        // A session whose key id was changed is nobody's.
        expect(kind === 'session' ? [code, 'TG_RECEIVER_STRANGER'] : [code]).toContain(codes(made).join());
        expect(made.receiver.status()).toMatchObject({ proven: 0 });
        // The true one still works.
        await made.take(...others, truth);
        expect(made.receiver.status()).toMatchObject(
          { session: { sessions: 1 }, record: { opened: 1 }, proof: { proven: 1 } }[kind],
        );
        await made.store.close();
      }
    });

    it('cannot move an envelope to another stream, pseudonym or tenant', async () => {
      const unit = new TestUnit();
      const [one, two] = [await unit.stream(), await unit.stream()];
      const record = await one.record();
      const made = await fixture.bench([unit]);
      await made.take(one.session, two.session, { topic: two.topic, bytes: record.bytes });
      expect(codes(made)).toEqual(['TG_RECEIVER_ENVELOPE']);
      const other = one.session.topic.replace(unit.pseudonym, 'A'.repeat(22));
      await made.take({ topic: other, bytes: one.session.bytes });
      await made.take({ topic: one.session.topic.replace('/t1/', '/t2/'), bytes: one.session.bytes });
      await made.take({ topic: one.topic.replace('/t1/', '/t2/'), bytes: record.bytes });
      expect(codes(made).slice(1)).toEqual(['TG_RECEIVER_SESSION', 'TG_RECEIVER_SESSION', 'TG_RECEIVER_ENVELOPE']);
      expect(await made.store.count('records')).toBe(0);
    });

    it('gains nothing from replaying all that it ever saw', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const messages = [
        stream.session,
        ...(await stream.records(5)),
        await stream.proof(),
        ...(await stream.records(5)),
      ];
      messages.push(await stream.proof());
      const made = await fixture.bench([unit]);
      await made.take(...messages);
      const before = await made.store.values(unit.pseudonym);
      await made.take(...messages, ...messages.toReversed());
      expect(await made.store.values(unit.pseudonym)).toEqual(before);
      expect(made.receiver.status()).toMatchObject({ opened: 10, proven: 10, alarms: 0 });
      expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 9, missing: [] });
    });

    it('cannot bring a session of a unit that is not ours, nor one under the pseudonym of another unit', async () => {
      const [unit, other, stranger] = [new TestUnit(1), new TestUnit(2), new TestUnit(3)];
      const made = await fixture.bench([unit, other]);
      await made.take((await stranger.stream()).session);
      await made.take((await unit.stream()).session);
      await made.take((await other.stream({ pseudonym: unit.pseudonym })).session);
      expect(codes(made)).toEqual(['TG_RECEIVER_STRANGER', 'TG_RECEIVER_SESSION']);
      expect(made.receiver.status()).toMatchObject({ sessions: 1, strangers: 1 });
    });

    it('cannot have a second session of a stream taken', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const twin = await unit.stream({ stream: stream.stream });
      const made = await fixture.bench([unit]);
      await made.take(stream.session, twin.session, stream.session);
      expect(codes(made)).toEqual(['TG_RECEIVER_SESSION']);
      await made.take(await stream.record());
      expect(made.receiver.status().opened).toBe(1);
    });

    it('survives any bytes on any topic', async () => {
      const unit = new TestUnit();
      const stream = await unit.stream();
      const made = await fixture.bench([unit]);
      await made.take(stream.session, await stream.record());
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('', '/s', '/p'), async (bytes, suffix) => {
          await made.receiver.handle(`${stream.topic}${suffix}`, bytes);
        }),
        { numRuns: 300, seed: 2 },
      );
      await made.take(await stream.record());
      expect(made.receiver.status().opened).toBe(2);
    });
  });

  describe('a unit', () => {
    it('whose store was rolled back is found out when its ledger has a size again that is known', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(9)), await before.proof());
      unit.rollBack(4);
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(6)), await after.proof());
      expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
      expect(made.receiver.status().proven).toBe(9);
    });

    it('that keeps two ledgers is found out where they have the same size', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const one = await unit.stream();
      await made.take(one.session, ...(await one.records(3)), await one.proof());
      unit.rollBack(1);
      const two = await unit.stream();
      await made.take(two.session, ...(await two.records(3)), await two.proof());
      expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
      expect(made.alarms[0]?.error.message).toContain('two different ledgers');
    });

    it('may prove two streams under one checkpoint, in any order, and late', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const [one, two] = [await unit.stream(), await unit.stream()];
      await made.take(one.session, two.session, ...(await one.records(3)), ...(await two.records(3)));
      const [late, first] = [await two.proof(), await one.proof()];
      await made.take(first, ...(await one.records(2)), await one.proof());
      await made.take(late);
      expect(made.receiver.status()).toMatchObject({ proven: 8, alarms: 0 });
    });

    it('that lies about a record is found out by its own ledger', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const stream = await unit.stream();
      const records = await stream.records(3);
      // The ledger holds other hashes than those of what was sent: the chain does not end where the leaf says.
      const other = await unit.stream({ stream: stream.stream });
      await other.records(3);
      await made.take(stream.session, ...records, await other.proof());
      expect(codes(made)).toEqual(['TG_RECEIVER_PROOF']);
    });
  });

  describe('memory', () => {
    it('holds only streams that speak or wait: others are read from the store when they come back', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const streams = await Promise.all(upTo(600).map(() => unit.stream()));
      for (const stream of streams) await made.take(stream.session);
      for (const stream of [streams[0]!, streams[599]!]) await made.take(await stream.record());
      expect(made.receiver.status()).toMatchObject({ sessions: 600, opened: 2, refused: 0 });
    });
  });

  describe('createReceiver', () => {
    it('needs no clock and no socket of its own', async () => {
      const made = createReceiver({
        keys: keysFor(),
        store: await fixture.store(),
        publishAck: () => {},
        now: () => 0,
        alarm: () => {},
      });
      expect(made.status()).toMatchObject({ opened: 0, acks: 0 });
    });
  });
});
