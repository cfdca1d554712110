import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JsonLines, SqliteStore, type WaitingProof } from '#receiver';
import { decodeProof, encodeProof, MOST_EVICTED, type Proof } from '#wire';
import { MOST_RECORDS } from '../../receiver/progress.ts';
import { MOST_PROOF_BYTES } from '../../receiver/proof.ts';
import { keepProof } from '../../receiver/waiting-proofs.ts';
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

describe('a stranger who parks proofs', () => {
  it('has none taken that is longer, names more, or lies farther than any unit’s', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = bench([unit]);
    await made.take(stream.session, ...(await stream.records(2)));
    const proof = await stream.proof();
    const many = (count: number) => evictions(...Array.from({ length: count }, (_, i) => i + 2));
    await made.take(
      changed(proof, () => ({ seq: 999_999, evicted: many(3_000) })),
      changed(proof, () => ({ seq: 999_999, leafIndex: 999_999, evicted: many(MOST_EVICTED + 1) })),
      changed(proof, () => ({ seq: MOST_RECORDS })),
    );
    expect(made.alarms.map(({ error }) => error.message)).toEqual([
      expect.stringContaining('bytes'),
      expect.stringContaining('evicted'),
      expect.stringContaining(`no stream has a record ${MOST_RECORDS}`),
    ]);
    expect(codes(made)).toEqual(Array.from({ length: 3 }, () => 'TG_RECEIVER_PROOF'));
    expect(await made.store.waiting({ pseudonym: unit.pseudonym, stream: stream.stream })).toEqual([]);
  });

  it('leaves room for the longest proof that a unit makes', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const made = bench([unit]);
    await made.take(stream.session, await stream.record());
    const evicted = evictions(...Array.from({ length: MOST_EVICTED }, (_, i) => MOST_RECORDS - MOST_EVICTED + i - 1));
    const path = Array.from({ length: 53 }, () => new Uint8Array(32));
    const longest = changed(await stream.proof(), () => ({ seq: MOST_RECORDS - 1, leafIndex: 2 ** 40, evicted, path }));
    expect(longest.bytes.length).toBeLessThan(MOST_PROOF_BYTES);
    await made.take(longest);
    // It is read to its end, and found to be of a larger tree than the one that was signed.
    expect(made.alarms.map(({ error }) => error.message)).toEqual([expect.stringContaining('there is no leaf')]);
  });

  it('does not push out a nearer one that waits for its records', async () => {
    const unit = new TestUnit();
    for (let i = 0; i < 700; i++) unit.add(Uint8Array.of(i));
    const stream = await unit.stream();
    const records = await stream.records(3);
    const made = bench([unit]);
    const proof = await stream.proof();
    await made.take(stream.session, records[0]!, records[2]!, proof);
    const far = [100, 200, 300, 400, 500, 600].map((seq) => changed(proof, () => ({ seq })));
    await made.take(...far, ...far);
    await made.take(records[1]!);
    expect(made.receiver.status()).toMatchObject({ proven: 3, alarms: 0 });
  });

  it('does not keep one farther ahead from waiting that names what the nearer one lacks', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const store = new SqliteStore(':memory:');
    const records = await stream.records(3);
    const nearer = await stream.proof();
    records.push(await stream.record());
    const first = bench([unit], { store });
    // Record 1 is evicted after the first proof went out; record 3 comes after the second one.
    const farther = await stream.proof({ evicted: [1] });
    await first.take(stream.session, records[0]!, records[2]!, nearer, farther);
    const made = bench([unit], { store });
    await made.take(records[3]!);
    expect(made.receiver.status()).toMatchObject({ proven: 4, alarms: 0 });
    expect(await store.waiting({ pseudonym: unit.pseudonym, stream: stream.stream })).toEqual([]);
  });
});

describe('keepProof', () => {
  it('keeps the nearest few, in any order of coming', () => {
    const at = (seq: number) => ({ pseudonym: 'p', stream: new Uint8Array(8), seq, bytes: Uint8Array.of(seq) });
    let list: WaitingProof[] = [];
    const keep = (seq: number) => {
      const change = keepProof(list, at(seq));
      if (change === null) return false;
      list = [...list.filter((one) => !change.dropped.includes(one)), ...change.waiting].sort((a, b) => a.seq - b.seq);
      return true;
    };
    expect([9, 7, 8, 6].map(keep)).toEqual([true, true, true, true]);
    expect([keep(10), keep(7), keep(5)]).toEqual([false, false, true]);
    expect(list.map(({ seq }) => seq)).toEqual([5, 6, 7, 8]);
  });
});

describe('another account on the receiver’s machine', () => {
  it('reads nothing of what was opened; a mode that the owner gave stays', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-private-'));
    const [shared, own] = [join(folder, 'shared.sqlite'), join(folder, 'own.jsonl')];
    for (const file of [shared, own]) {
      writeFileSync(file, '');
      chmodSync(file, 0o640);
    }
    const unit = new TestUnit();
    const stream = await unit.stream();
    const stores = [new SqliteStore(join(folder, 'new.sqlite')), new SqliteStore(shared)];
    const sinks = [await JsonLines.open(join(folder, 'new.jsonl'), null), await JsonLines.open(own, null)];
    const [record] = await stream.records(1);
    for (const store of stores) await bench([unit], { store, sinks }).take(stream.session, record!);
    const modes = readdirSync(folder).map((name) => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)]);
    for (const store of stores) await store.close();
    for (const sink of sinks) await sink.close();
    rmSync(folder, { recursive: true });
    expect(Object.fromEntries(modes)).toEqual({
      'new.jsonl': '600',
      'new.sqlite': '600',
      'new.sqlite-shm': '600',
      'new.sqlite-wal': '600',
      'own.jsonl': '640',
      'shared.sqlite': '640',
      'shared.sqlite-shm': '640',
      'shared.sqlite-wal': '640',
    });
  });
});
