import { describe, expect, it } from 'vitest';
import { ALARM_MS } from '#receiver';
import { decodeProof, encodeProof, type Proof } from '#wire';
import { type Bench, type Message, type TestStore, TestUnit } from './parts.ts';
import { overEachStore } from './stores.ts';

const codes = (made: Bench<TestStore>) => made.alarms.map(({ error }) => error.code);

/** A proof that its carrier changed: only the note in it is signed. */
function changed({ topic, bytes }: Message, change: (proof: Proof) => Partial<Proof>): Message {
  const proof = decodeProof(bytes);
  return { topic, bytes: encodeProof({ ...proof, ...change(proof) }) };
}

overEachStore((fixture) => {
  describe('the ledger of a unit over its starts', () => {
    it('goes on where the first proof of a start shows that it continues the last one', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      for (let start = 0; start < 4; start++) {
        const since = start === 0 ? undefined : unit.size;
        if (start > 0) unit.reboot();
        const stream = await unit.stream();
        await made.take(stream.session, ...(await stream.records(5)));
        await made.take(await stream.proof(since === undefined ? {} : { since }));
        // Later proofs of the same start need not show it again.
        await made.take(...(await stream.records(2)), await stream.proof());
      }
      expect(made.receiver.status()).toMatchObject({ proven: 28, alarms: 0, refused: 0 });
    });

    it('is told to the unit with every answer, the first one of a new stream too', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(9)), await before.proof());
      const size = unit.size;
      // The unit's database is put back: it learns from the first answer that more of its ledger is known here.
      unit.rollBack(4);
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, await after.record());
      expect(made.acks.at(-1)).toMatchObject({ state: 'opened', checkpointSize: size });
      expect(unit.size).toBeLessThan(size);
    });

    it('that was rolled back and is shorter is an alarm that names unit, stream, record and both sizes', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(9)), await before.proof());
      unit.rollBack(4);
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(2)), await after.proof({ since: 3 }));
      const [alarm] = made.alarms;
      expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
      expect(alarm).toMatchObject({
        unit: unit.verifierKey.split('+')[0],
        stream: Buffer.from(after.stream).toString('base64url'),
        seq: 1,
      });
      expect(alarm?.error.message).toContain('a newer start signed 7 leaves, where 10 were accepted');
      expect(made.receiver.status()).toMatchObject({ opened: 11, proven: 9 });
    });

    it('that was rolled back and has grown past what is known is an alarm, and where it left it is told', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(4)), await before.proof());
      const published = unit.size;
      await made.take(...(await before.records(4)), await before.proof());
      // Its copy of yesterday knows that it published the first of these two checkpoints, and no more.
      unit.rollBack(published);
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(20)), await after.proof({ since: published }));
      expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
      expect(made.alarms[0]?.error.message).toContain(
        `has the first ${published} leaves and knows nothing of the ${published + 4} that were accepted`,
      );
      // It grows on, and nothing of it is proven; what was opened stays.
      await made.take(...(await after.records(5)), await after.proof());
      expect(made.receiver.status()).toMatchObject({ opened: 33, proven: 8 });
    });

    it('that was rewritten and has grown cannot show that it continues', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(6)), await before.proof());
      const published = unit.size;
      unit.rollBack(3);
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(9)), await after.proof({ since: published }));
      expect(codes(made)).toEqual(['TG_RECEIVER_CONTINUITY']);
      expect(made.receiver.status()).toMatchObject({ opened: 15, proven: 6 });
    });

    it('that says nothing of what was before stays opened, with one alarm, until it does', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(3)), await before.proof());
      const since = unit.size;
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(3)), await after.proof());
      await made.take(await after.record(), await after.proof());
      expect(made.receiver.status()).toMatchObject({ proven: 3, alarms: 0 });
      for (let i = 0; i < 2; i++) {
        made.clock.ms += ALARM_MS;
        await made.receiver.tick();
      }
      expect(codes(made)).toEqual(['TG_RECEIVER_CONTINUITY']);
      expect(made.alarms[0]).toMatchObject({ stream: Buffer.from(after.stream).toString('base64url'), seq: 0 });
      await made.take(await after.record(), await after.proof({ since }));
      expect(made.receiver.status()).toMatchObject({ proven: 8, alarms: 1 });
      // What waited is done with.
      expect(await made.store.waitingOf(made.alarms[0]!.unit)).toEqual([]);
    });

    it('waits for the checkpoint that it starts from, whichever stream brings it', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const [one, two] = [await unit.stream(), await unit.stream()];
      await made.take(
        one.session,
        two.session,
        ...(await one.records(3)),
        ...(await two.records(2)),
        await one.proof(),
      );
      const records = await two.records(2);
      const late = await two.proof();
      const since = unit.size;
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(2)), await after.proof({ since }));
      expect(made.receiver.status()).toMatchObject({ proven: 3, alarms: 0 });
      await made.take(...records, late);
      expect(made.receiver.status()).toMatchObject({ proven: 9, alarms: 0 });
      expect(made.acks.filter(({ state }) => state === 'proven').length).toBe(3);
    });

    it('is not held against the unit where the carrier changed or left out what shows it', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(3)), await before.proof());
      const since = unit.size;
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(6)));
      const truth = await after.proof({ since });
      const flip = ({ consistency }: Proof) => {
        const nodes = consistency!.nodes.map((node) => node.slice());
        nodes[0]![5]! ^= 1;
        return { consistency: { ...consistency!, nodes } };
      };
      await made.take(
        changed(truth, flip),
        changed(truth, () => ({ consistency: null })),
      );
      expect(made.receiver.status()).toMatchObject({ proven: 3 });
      expect(codes(made)).toEqual(['TG_RECEIVER_CONTINUITY']);
      await made.take(truth);
      expect(made.receiver.status()).toMatchObject({ proven: 9 });
    });
  });

  describe('a unit that signed two ledgers', () => {
    async function forked() {
      const unit = new TestUnit();
      const made = await fixture.bench([unit]);
      const one = await unit.stream();
      await made.take(one.session, ...(await one.records(3)), await one.proof());
      unit.rollBack(1);
      const two = await unit.stream();
      await made.take(two.session, ...(await two.records(3)), await two.proof());
      return { unit, made, two, name: unit.verifierKey.split('+')[0]! };
    }

    it('has nothing proven any more, and both notes are kept as evidence', async () => {
      const { made, two, name } = await forked();
      expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
      await made.take(...(await two.records(4)), await two.proof());
      expect(made.receiver.status()).toMatchObject({ opened: 10, proven: 3 });
      // It is told once; an operator reads the rest in the store.
      expect(made.alarms.length).toBe(1);
      const [stored] = await made.store.alarms(10);
      expect(stored).toMatchObject({ code: 'TG_RECEIVER_ROLLBACK', unit: name, seq: 2 });
      expect(stored?.evidence.length).toBe(2);
      expect(new Set(stored?.evidence.map((note) => note.split('\n')[1]))).toEqual(new Set(['4']));
    });

    it('stays so over a restart of the receiver, and the alarm of three minutes comes too', async () => {
      const { unit, made, two } = await forked();
      const again = await fixture.bench([unit], { store: made.store });
      await again.receiver.start();
      await again.take(await two.record(), await two.proof());
      expect(again.receiver.status().proven).toBe(0);
      again.clock.ms += ALARM_MS;
      await again.receiver.tick();
      expect(codes(again)).toEqual(['TG_RECEIVER_UNPROVEN']);
    });

    it('begins anew when an operator says so; what was signed before stays as evidence', async () => {
      const { made, two, name } = await forked();
      expect(await made.store.readmit(name)).toBe(true);
      await made.take(...(await two.records(2)), await two.proof());
      expect(made.receiver.status()).toMatchObject({ opened: 8, proven: 8 });
      expect((await made.store.checkpoint(`${name}#1`))?.size).toBe(4);
      expect(await made.store.readmit('tollgate/nobody')).toBe(false);
    });
  });

  describe('alarms', () => {
    it('of strangers are counted, and so many are told a minute', async () => {
      const unit = new TestUnit();
      const made = await fixture.bench([unit], { alarmsAMinute: 3 });
      const strangers = [];
      for (let seed = 10; seed < 20; seed++) strangers.push(await new TestUnit(seed).stream());
      for (const { session } of strangers) await made.take(session);
      expect(made.receiver.status()).toMatchObject({ strangers: 10, refused: 10, alarms: 10 });
      expect(made.alarms.length).toBe(3);
      made.clock.ms += 60_000;
      await made.take((await new TestUnit(30).stream()).session);
      expect(made.alarms.at(-1)?.error.message).toContain('and 7 more of this kind that were not told');
    });
  });
});
