import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALARM_MS, SqliteStore } from '#receiver';
import { decodeProof, encodeProof } from '#wire';
import { MOST_WAITING_PROOFS } from '../../receiver/waiting-proofs.ts';
import { type Bench, bench, type Message, type TestStream, TestUnit } from './parts.ts';

/** Records whose every bit is turned, with all that goes with them. */
const RECORDS = 20;
/** Bits that are turned at random in the rest. */
const RANDOM_BITS = 100_000;
/** Records of the rest. */
const REST = 200;
const MANY = 120_000;

interface Drill {
  readonly unit: TestUnit;
  readonly stream: TestStream;
  readonly records: readonly Message[];
  readonly proofs: readonly Message[];
}

/** A stream with three proofs on its way, the last of them over a second start. */
async function drill(records: number): Promise<Drill> {
  const unit = new TestUnit();
  const stream = await unit.stream();
  const all: Message[] = [];
  const proofs: Message[] = [];
  for (const part of [Math.floor(records / 3), Math.floor(records / 3), records - 2 * Math.floor(records / 3)]) {
    all.push(...(await stream.records(part)));
    const since = proofs.length === 0 ? undefined : decodeProof(proofs.at(-1)!.bytes);
    const from = since === undefined ? undefined : Number(since.checkpoint.split('\n')[1]);
    proofs.push(await stream.proof(from === undefined ? {} : { since: from }));
  }
  return { unit, stream, records: all, proofs };
}

/** The message with one bit turned. */
function turned({ topic, bytes }: Message, bit: number): Message {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return { topic, bytes: changed };
}

const bitsOf = ({ bytes }: Message) => bytes.length * 8;

/** Numbers that follow no order a test could rely on, the same in each run. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

/**
 * Gives each of these to the receiver; every one must be refused, and the alarm must name where.
 *
 * @returns numbers of those that were not
 */
async function unnoticed(made: Bench, messages: Iterable<Message>): Promise<number[]> {
  const missed: number[] = [];
  let number = 0;
  for (const { topic, bytes } of messages) {
    const { refused } = made.receiver.status();
    const alarms = made.alarms.length;
    await made.receiver.handle(topic, bytes);
    const [, , pseudonym, , stream] = topic.split('/');
    const alarm = made.alarms.at(-1);
    // What a carrier changes in the part of a proof that shows continuity is one alarm, however often.
    const told = made.alarms.length > alarms || alarm?.error.code === 'TG_RECEIVER_CONTINUITY';
    const located = told && alarm?.pseudonym === pseudonym && alarm?.stream === stream;
    if (made.receiver.status().refused !== refused + 1 || !located) missed.push(number);
    number++;
  }
  return missed;
}

function* everyBit(messages: readonly Message[]): Generator<Message> {
  for (const message of messages) for (let bit = 0; bit < bitsOf(message); bit++) yield turned(message, bit);
}

const open: Bench[] = [];
afterAll(async () => {
  for (const { store } of open) await store.close();
});

function fresh(units: readonly TestUnit[], store = new SqliteStore(':memory:')): Bench {
  const made = bench(units, { store, alarmsAMinute: Number.POSITIVE_INFINITY });
  open.push(made);
  return made;
}

describe('every bit', () => {
  let truth: Drill;
  beforeAll(async () => {
    truth = await drill(RECORDS);
  });

  /** After all of it the true messages do what they always did. */
  async function stillWorks(made: Bench): Promise<void> {
    const { refused } = made.receiver.status();
    await made.take(truth.stream.session, ...truth.records, ...truth.proofs);
    expect(made.receiver.status()).toMatchObject({ opened: RECORDS, proven: RECORDS, refused });
  }

  it(`of ${RECORDS} records and their headers is noticed, and their stream named`, { timeout: MANY }, async () => {
    const made = fresh([truth.unit]);
    await made.take(truth.stream.session);
    expect(await unnoticed(made, everyBit(truth.records))).toEqual([]);
    expect(made.store.count('records')).toBe(0);
    // Which record it says it is, the alarm says too.
    expect(new Set(made.alarms.map(({ seq }) => seq)).size).toBeGreaterThanOrEqual(RECORDS);
    expect(made.alarms.every(({ unit }) => unit === truth.unit.verifierKey.split('+')[0])).toBe(true);
    await stillWorks(made);
  });

  it('of their session is noticed, and its stream named', { timeout: MANY }, async () => {
    const made = fresh([truth.unit]);
    expect(await unnoticed(made, everyBit([truth.stream.session]))).toEqual([]);
    expect(made.receiver.status().sessions).toBe(0);
    await stillWorks(made);
  });

  it('of a session that is known is noticed too', { timeout: MANY }, async () => {
    const made = fresh([truth.unit]);
    await made.take(truth.stream.session);
    expect(await unnoticed(made, everyBit([truth.stream.session]))).toEqual([]);
    await stillWorks(made);
  });

  it('of their proofs is noticed, and unit, stream and record named', { timeout: MANY }, async () => {
    const made = fresh([truth.unit]);
    const third = Math.floor(RECORDS / 3);
    await made.take(truth.stream.session, ...truth.records);
    for (const [i, proof] of truth.proofs.entries()) {
      const missed = await unnoticed(made, everyBit([proof]));
      const claims = missed.map((bit) => decodeProof(turned(proof, bit).bytes));
      const truly = decodeProof(proof.bytes);
      // A number that lies before the last proof proves nothing new: the receiver answers, and nothing changes.
      const late = claims.filter(({ seq }) => seq < i * third);
      // One that starts from a checkpoint that nobody saw waits for it, and is found out when the true one comes.
      const early = claims.filter(({ consistency }) => consistency?.fromSize !== truly.consistency?.fromSize);
      expect(late.length + early.length, `proof ${i}`).toBe(missed.length);
      expect(made.receiver.status().proven).toBe(i * third);
      const { refused } = made.receiver.status();
      await made.take(proof);
      // As many wait as have a place.
      expect(made.receiver.status().refused - refused).toBe(Math.min(early.length, MOST_WAITING_PROOFS));
    }
    await stillWorks(made);
  });
});

describe('the rest of the traffic', () => {
  it(`shows each of ${RANDOM_BITS} bits turned at random`, { timeout: MANY }, async () => {
    const { unit, stream, records } = await drill(REST);
    const made = fresh([unit]);
    await made.take(stream.session);
    const below = chance(11);
    const some = function* () {
      for (let i = 0; i < RANDOM_BITS; i++) {
        const message = records[below(records.length)]!;
        yield turned(message, below(bitsOf(message)));
      }
    };
    const missed = await unnoticed(made, some());
    expect(missed).toEqual([]);
    expect(made.store.count('records')).toBe(0);
    await made.take(...records);
    expect(made.store.count('records')).toBe(REST);
  });
});

describe('messages as a whole', () => {
  it('dropped are holes in the answer, and an alarm names the first that never came', async () => {
    const { unit, stream, records, proofs } = await drill(30);
    const made = fresh([unit]);
    const kept = records.filter((_, i) => ![4, 17, 18].includes(i));
    await made.take(stream.session, ...kept, ...proofs);
    expect(made.acks.findLast(({ state }) => state === 'opened')).toMatchObject({ uptoSeq: 29, missing: [4, 17, 18] });
    expect(made.receiver.status().proven).toBe(0);
    made.clock.ms += ALARM_MS;
    await made.receiver.tick();
    expect(made.alarms.map(({ error, seq }) => [error.code, seq, error.message])).toEqual([
      ['TG_RECEIVER_UNPROVEN', 0, 'records 0 to 29 were opened and are not proven; record 4 never came'],
    ]);
    // They come after all: the proofs that waited hold.
    await made.take(...records);
    expect(made.receiver.status().proven).toBe(30);
  });

  it('dropped at the end are seen when the next one or a proof comes', async () => {
    const { unit, stream, records, proofs } = await drill(12);
    const made = fresh([unit]);
    await made.take(stream.session, ...records.slice(0, 9), ...proofs);
    expect(made.receiver.status()).toMatchObject({ opened: 9, proven: 8 });
    made.clock.ms += ALARM_MS;
    await made.receiver.tick();
    expect(made.alarms.map(({ error }) => error.message)).toEqual(['records 8 to 8 were opened and are not proven']);
  });

  it('in another order are put in order by their numbers, which nobody can change', async () => {
    const { unit, stream, records, proofs } = await drill(40);
    const straight = fresh([unit]);
    await straight.take(stream.session, ...records, ...proofs);
    const turnedAround = fresh([unit]);
    await turnedAround.take(...proofs.toReversed(), ...records.toReversed(), stream.session);
    expect(turnedAround.store.values(unit.pseudonym)).toEqual(straight.store.values(unit.pseudonym));
    expect(turnedAround.receiver.status()).toMatchObject({ proven: 40, alarms: 0 });
  });

  it('again and again change nothing and are counted', async () => {
    const { unit, stream, records, proofs } = await drill(20);
    const made = fresh([unit]);
    await made.take(stream.session, ...records, ...proofs);
    const before = made.store.values(unit.pseudonym);
    for (let i = 0; i < 3; i++) await made.take(stream.session, ...records, ...proofs);
    expect(made.store.values(unit.pseudonym)).toEqual(before);
    expect(made.receiver.status()).toMatchObject({ opened: 20, proven: 20, duplicates: 60, alarms: 0 });
  });

  it('spliced from another unit, stream or start are refused where they are put', async () => {
    const [one, two] = [await drill(10), await drill(10)];
    const made = fresh([one.unit]);
    await made.take(one.stream.session);
    const into = (messages: readonly Message[], suffix = '') =>
      messages.map(({ bytes }) => ({ topic: `${one.stream.topic}${suffix}`, bytes }));
    expect(await unnoticed(made, into(two.records))).toEqual([]);
    expect(await unnoticed(made, into([two.stream.session], '/s'))).toEqual([]);
    await made.take(...one.records);
    expect(await unnoticed(made, into(two.proofs, '/p'))).toEqual([]);
    const other = await one.unit.stream();
    expect(await unnoticed(made, into([await other.record()]))).toEqual([]);
    await made.take(...one.proofs);
    expect(made.receiver.status()).toMatchObject({ opened: 10, proven: 10 });
  });

  it('of another unit’s whole traffic under this unit’s topics are refused, both units known', async () => {
    const [one, two] = [new TestUnit(1), new TestUnit(2)];
    const [own, others] = [await one.stream(), await two.stream()];
    const made = fresh([one, two]);
    await made.take(own.session, others.session);
    const moved = [...(await others.records(5)), await others.proof()].map(({ topic, bytes }) => ({
      topic: topic.replace(others.topic, own.topic),
      bytes,
    }));
    expect(await unnoticed(made, moved)).toEqual([]);
  });

  it('under another tenant, pseudonym, stream or kind of topic are refused', async () => {
    const { unit, stream, records, proofs } = await drill(6);
    const other = await unit.stream();
    const made = fresh([unit]);
    await made.take(stream.session, other.session, ...records);
    const [record, proof] = [records[3]!, proofs[0]!];
    const relabelled = [
      { topic: record.topic.replace('v1/t1/', 'v1/t2/'), bytes: record.bytes },
      { topic: other.topic, bytes: record.bytes },
      { topic: `${stream.topic}/p`, bytes: record.bytes },
      { topic: stream.topic, bytes: proof.bytes },
      { topic: `${stream.topic}/s`, bytes: record.bytes },
      { topic: `${other.topic}/p`, bytes: proof.bytes },
      { topic: proof.topic.replace('v1/t1/', 'v1/t2/'), bytes: proof.bytes },
      { topic: `${other.topic}/s`, bytes: stream.session.bytes },
    ];
    const missed = await unnoticed(made, relabelled);
    // A proof of records that the other stream does not have waits for them, and is found out when they come.
    expect(missed).toEqual([5]);
    await made.take(...(await other.records(2)));
    expect(made.alarms.at(-1)).toMatchObject({ stream: Buffer.from(other.stream).toString('base64url') });
    expect(made.receiver.status().refused).toBe(relabelled.length);
  });
});

describe('a database put back to yesterday’s copy', () => {
  it('at the unit is found with its first proof, wherever it stands by then', async () => {
    for (const more of [0, 1, 5, 30]) {
      const unit = new TestUnit();
      const made = fresh([unit]);
      const before = await unit.stream();
      await made.take(before.session, ...(await before.records(6)), await before.proof());
      const yesterday = unit.size;
      await made.take(...(await before.records(10)), await before.proof({ since: yesterday }));
      const today = unit.size;
      unit.rollBack(yesterday);
      unit.reboot();
      const after = await unit.stream();
      await made.take(after.session, ...(await after.records(1 + more)), await after.proof({ since: yesterday }));
      expect(
        made.alarms.map(({ error }) => error.code),
        `${more} more`,
      ).toEqual(['TG_RECEIVER_ROLLBACK']);
      expect(made.alarms[0]).toMatchObject({
        unit: unit.verifierKey.split('+')[0],
        stream: Buffer.from(after.stream).toString('base64url'),
        seq: more,
      });
      expect(made.alarms[0]?.error.message).toContain(String(today));
      // The unit is told how far its ledger was known.
      expect(made.acks.at(-1)?.checkpointSize).toBe(today);
      expect(made.receiver.status().proven).toBe(16);
    }
  });

  it('at the receiver is found too: what it acknowledged and the unit deleted is missing, and named', async () => {
    const { unit, stream, records, proofs } = await drill(12);
    const yesterday = new SqliteStore(':memory:');
    await fresh([unit], yesterday).take(stream.session, ...records.slice(0, 4), proofs[0]!);
    // Records 4 to 7 were acknowledged by the database that is gone: their unit has them no more.
    const made = fresh([unit], yesterday);
    await made.take(...records.slice(8), proofs[2]!);
    expect(made.acks.findLast(({ state }) => state === 'opened')).toMatchObject({ missing: [4, 5, 6, 7] });
    made.clock.ms += ALARM_MS;
    await made.receiver.tick();
    expect(made.alarms[0]?.error.message).toBe('records 4 to 11 were opened and are not proven; record 4 never came');
  });
});

describe('a proof whose evictions are changed', () => {
  it('takes no record away, whatever is added, left out or exchanged', async () => {
    const { unit, stream, records, proofs } = await drill(9);
    const made = fresh([unit]);
    await made.take(stream.session, ...records);
    const proof = decodeProof(proofs[2]!.bytes);
    const evictions = [[{ seq: 4, bodyHash: new Uint8Array(32) }], [{ seq: 8, bodyHash: stream.hashes[8]! }]];
    for (const evicted of evictions) {
      await made.take({ topic: proofs[2]!.topic, bytes: encodeProof({ ...proof, evicted, consistency: null }) });
    }
    expect(made.store.count('evicted')).toBe(0);
    expect(made.store.count('records')).toBe(9);
  });
});
