import { describe, expect, it } from 'vitest';
import { SqliteStore } from '#receiver';
import { decodeProof, encodeProof, type Proof } from '#wire';
import { type Bench, bench, type Message, TestUnit } from './parts.ts';

const codes = (made: Bench) => made.alarms.map(({ error }) => error.code);

/** A proof that its carrier changed: only the note in it is signed. */
function changed({ topic, bytes }: Message, change: (proof: Proof) => Partial<Proof>): Message {
  const proof = decodeProof(bytes);
  return { topic, bytes: encodeProof({ ...proof, ...change(proof) }) };
}

const evictions = (...seqs: number[]) => seqs.map((seq) => ({ seq, bodyHash: new Uint8Array(32).fill(9) }));

describe('a broker that adds evicted records to a proof', () => {
  it('has no record dropped that is still to come', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = bench([unit]);
    await made.take(stream.session, await stream.record());
    const proof = await stream.proof();
    await made.take(changed(proof, () => ({ evicted: evictions(1, 2, 3, 4, 5) })));
    expect(codes(made)).toEqual(['TG_RECEIVER_PROOF']);
    await made.take(proof, ...(await stream.records(5)), await stream.proof());
    expect(made.receiver.status()).toMatchObject({ opened: 6, duplicates: 0, proven: 6, alarms: 1 });
    expect(made.store.count('evicted')).toBe(0);
    expect(made.acks.at(-1)).toMatchObject({ uptoSeq: 5, missing: [] });
  });

  it.each([
    ['of the proof itself', [3]],
    ['beyond the proof', [1, 4]],
    ['twice', [1, 1]],
    ['falling', [2, 1]],
  ])('has the whole proof refused for a number %s', async (_, seqs) => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const records = await stream.records(4);
    const made = bench([unit]);
    await made.take(stream.session, records[0]!, records[3]!);
    await made.take(changed(await stream.proof(), () => ({ evicted: evictions(...seqs) })));
    expect(codes(made)).toEqual(['TG_RECEIVER_PROOF']);
    expect(made.store.count('evicted')).toBe(0);
    await made.take(records[1]!, records[2]!, await stream.proof());
    expect(made.receiver.status()).toMatchObject({ opened: 4, proven: 4, alarms: 1 });
  });

  it('gains nothing from naming what is here or proven, as a unit may that had no answer', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = bench([unit]);
    await made.take(stream.session, ...(await stream.records(3)), await stream.proof());
    const records = await stream.records(3);
    await made.take(records[0]!, records[2]!);
    const proof = await stream.proof({ evicted: [0, 1, 3, 4] });
    await made.take(changed(proof, ({ evicted }) => ({ evicted: [...evictions(0, 1, 3), evicted[3]!] })));
    expect(made.receiver.status()).toMatchObject({ proven: 6, alarms: 0 });
    expect(made.store.count('evicted')).toBe(1);
  });
});

describe('a broker that holds proofs back', () => {
  it('raises no alarm against the unit: a late proof proves its stream, the newest checkpoint stays', async () => {
    const unit = new TestUnit();
    const [one, two] = [await unit.stream(), await unit.stream()];
    const made = bench([unit]);
    await made.take(one.session, two.session, ...(await one.records(2)));
    const late = await one.proof();
    await made.take(...(await two.records(2)), await two.proof(), late);
    expect(made.receiver.status()).toMatchObject({ proven: 4, alarms: 0 });
    const name = unit.verifierKey.split('+')[0]!;
    expect((await made.store.checkpoint(name))?.size).toBe(5);
    // What came late is known from now on.
    expect((await made.store.checkpoint(name, 3))?.size).toBe(3);
  });

  it('does not make the size in a stream’s acknowledgements fall', async () => {
    const unit = new TestUnit();
    const store = new SqliteStore(':memory:');
    const [one, two] = [await unit.stream(), await unit.stream()];
    const records = await one.records(2);
    const late = await one.proof();
    const first = bench([unit], { store });
    await first.take(one.session, two.session, ...records, ...(await two.records(2)), await two.proof());
    const made = bench([unit], { store });
    await made.take(late);
    expect(made.acks.at(-1)).toMatchObject({ state: 'proven', uptoSeq: 1, checkpointSize: 5 });
  });

  it('hides no fork: a late checkpoint whose size is known with another root is an alarm', async () => {
    const unit = new TestUnit();
    const made = bench([unit]);
    const one = await unit.stream();
    await made.take(one.session, ...(await one.records(3)), await one.proof());
    await made.take(...(await one.records(3)), await one.proof());
    unit.rollBack(1);
    const two = await unit.stream();
    await made.take(two.session, ...(await two.records(3)), await two.proof());
    expect(codes(made)).toEqual(['TG_RECEIVER_ROLLBACK']);
    expect(made.receiver.status().proven).toBe(6);
  });
});
