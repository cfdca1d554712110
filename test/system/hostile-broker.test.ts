import { afterEach, describe, expect, it } from 'vitest';
import { loadReceiverKeys } from '#receiver';
import { signAck } from '#wire';
import { isProof, isRecord, isSession, type Message, type Scene, scene, streamOf } from './hostile-parts.ts';
import { raw } from './unit-folder.ts';

const open: Scene[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
async function start(): Promise<Scene> {
  const made = await scene();
  open.push(made);
  return made;
}

const WHOLE = { lost: 0, twice: 0, strange: 0, unproven: 0 };
/** Let what is under way arrive; nothing is asserted on the time itself. */
const opened = (made: Scene) => made.receiver.status().opened;

describe('a broker that reads', () => {
  it('finds no sample of the unit in anything that it carries', async () => {
    const made = await start();
    await made.drive(4);
    expect(await made.whole()).toEqual(WHOLE);
    const all = Buffer.concat(made.seen.map(({ topic, payload }) => Buffer.concat([Buffer.from(topic), payload])));
    expect(all.length).toBeGreaterThan(5_000);
    // Frame i of a batch carries i: eight samples in a row, as words and as text.
    const samples = Array.from({ length: 8 }, (_, i) => 100 + i);
    const words = (write: (buffer: Buffer, value: number, at: number) => void) => {
      const buffer = Buffer.alloc(16);
      for (const [i, value] of samples.entries()) write(buffer, value, i * 2);
      return buffer;
    };
    expect(all.includes(words((buffer, value, at) => buffer.writeUInt16LE(value, at)))).toBe(false);
    expect(all.includes(words((buffer, value, at) => buffer.writeUInt16BE(value, at)))).toBe(false);
    expect(all.includes(samples.join(','))).toBe(false);
    for (const name of ['Speed', 'Throttle', 'Motion', 'speed', 'throttle', 'insurer', 'auto:']) {
      expect(all.includes(name), name).toBe(false);
    }
    expect(raw.speed(0)).toBeGreaterThan(0);
  });
});

describe('a broker that relabels', () => {
  it('a record to another stream of the unit: the receiver refuses it with an alarm, and gets the true one', async () => {
    const made = await start();
    let swapped = 0;
    made.forward = (message) => {
      const other = made.seen.find((one) => isRecord(one) && streamOf(one) !== streamOf(message));
      if (!isRecord(message) || other === undefined || swapped >= 5) return [message];
      swapped++;
      return [{ topic: other.topic, payload: message.payload }];
    };
    await made.drive(4);
    expect(await made.whole()).toEqual(WHOLE);
    expect(swapped).toBe(5);
    expect(made.alarms).toContain('TG_RECEIVER_ENVELOPE');
  });

  it('everything to another pseudonym: nothing is stored under it', async () => {
    const made = await start();
    made.forward = (message) => [
      { ...message, topic: message.topic.replace(made.unit.pseudonym, 'ZZZZZZZZZZZZZZZZZZZZZA') },
    ];
    await made.drive(2);
    await expect.poll(() => made.alarms).toContain('TG_RECEIVER_SESSION');
    expect(opened(made)).toBe(0);
    made.forward = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });

  it('everything to another tenant: refused with an alarm', async () => {
    const made = await start();
    await made.drive(1);
    await expect.poll(() => opened(made)).toBeGreaterThan(5);
    made.forward = (message) => [{ ...message, topic: message.topic.replace('v1/t1/', 'v1/t2/') }];
    await made.drive(2);
    await expect.poll(() => made.alarms.length).toBeGreaterThan(0);
    expect(new Set(made.alarms)).toEqual(new Set(['TG_RECEIVER_ENVELOPE']));
    made.forward = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });

  it('the session of one stream to another: refused, the true one stays', async () => {
    const made = await start();
    await made.drive(2);
    await expect.poll(() => made.seen.filter(isSession).length).toBe(2);
    const [one, two] = made.seen.filter(isSession);
    await made.toReceiver({ topic: one!.topic, payload: two!.payload });
    await expect.poll(() => made.alarms).toContain('TG_RECEIVER_SESSION');
    expect(await made.whole()).toEqual(WHOLE);
  });

  it('a proof of one stream to another: an alarm, and nothing is proven by it', async () => {
    const made = await start();
    made.forward = (message) => (isProof(message) ? [] : [message]);
    await made.drive(3);
    const streams = () => new Set(made.seen.filter(isProof).map(streamOf));
    await expect.poll(() => streams().size, { timeout: 10_000 }).toBe(2);
    const proofs = made.seen.filter(isProof);
    const [one, two] = [...streams()].map((stream) => proofs.find((proof) => streamOf(proof) === stream)!);
    await made.toReceiver({ topic: one!.topic, payload: two!.payload });
    await made.toReceiver({ topic: two!.topic, payload: one!.payload });
    await expect.poll(() => made.alarms).toContain('TG_RECEIVER_PROOF');
    expect(made.receiver.status().proven).toBe(0);
  });
});

describe('a broker that changes', () => {
  it('any byte of a record: refused with an alarm, and the true one arrives', async () => {
    const made = await start();
    let bent = 0;
    made.forward = (message) => {
      if (!isRecord(message) || bent >= 20) return [message];
      const payload = message.payload.slice();
      payload[bent % payload.length]! ^= 1 << (bent % 8);
      bent++;
      return [{ ...message, payload }];
    };
    await made.drive(4);
    expect(await made.whole()).toEqual(WHOLE);
    expect(bent).toBe(20);
    expect(made.alarms.filter((code) => code === 'TG_RECEIVER_ENVELOPE').length).toBeGreaterThan(0);
  });
});

describe('a broker that replays', () => {
  it('all of yesterday: each record is there once, and nothing else', async () => {
    const made = await start();
    await made.drive(3);
    await expect.poll(() => opened(made)).toBeGreaterThan(20);
    const yesterday = [...made.seen];
    await made.drive(3);
    for (const message of yesterday) await made.toReceiver(message);
    for (const message of [...yesterday].reverse()) await made.toReceiver(message);
    expect(await made.whole()).toEqual(WHOLE);
    expect(made.receiver.status().duplicates).toBeGreaterThan(20);
    expect(made.alarms).toEqual([]);
  });

  it('old acknowledgements: no row is deleted that the receiver does not have', async () => {
    const made = await start();
    await made.drive(2);
    await expect.poll(() => made.acks.length).toBeGreaterThan(0);
    const old = [...made.acks];
    made.forward = () => [];
    await made.drive(2);
    const before = await made.unit.store.stats();
    for (let i = 0; i < 5; i++) for (const message of old) await made.toUnit(message);
    await expect.poll(() => made.uplink.status().acks).toBeGreaterThanOrEqual(old.length * 5);
    const after = await made.unit.store.stats();
    expect(after.queued + after.inflight + after.pubacked).toBeGreaterThanOrEqual(20);
    expect(before.queued + before.inflight + before.pubacked).toBeGreaterThanOrEqual(20);
    made.forward = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });
});

describe('a broker that reorders', () => {
  it('gains nothing: numbers and chain give the order back', async () => {
    const made = await start();
    let kept: Message[] = [];
    made.forward = (message) => {
      if (!isRecord(message)) return [message];
      kept.push(message);
      if (kept.length < 8) return [];
      const all = kept.reverse();
      kept = [];
      return all;
    };
    await made.drive(4);
    await expect.poll(() => opened(made)).toBeGreaterThan(20);
    made.forward = (message) => [...kept.splice(0), message];
    expect(await made.whole()).toEqual(WHOLE);
    expect(made.alarms).toEqual([]);
  });
});

describe('a broker that withholds', () => {
  it('one record for ever: the receiver names the hole, the unit keeps and repeats it, an alarm comes after 180 s', async () => {
    const made = await start();
    const held = (message: Message) =>
      isRecord(message) && made.seen.filter((one) => isRecord(one) && streamOf(one) === streamOf(message))[3]?.payload;
    made.forward = (message) => {
      const victim = held(message);
      return victim && Buffer.compare(victim, message.payload) === 0 ? [] : [message];
    };
    await made.drive(3);
    await expect.poll(() => made.uplink.status().requeued, { timeout: 20_000 }).toBeGreaterThan(1);
    const { queued, inflight, pubacked } = await made.unit.store.stats();
    expect(queued + inflight + pubacked).toBeGreaterThanOrEqual(2);
    await made.passMs(181_000);
    await expect.poll(() => made.alarms).toContain('TG_RECEIVER_UNPROVEN');
    made.forward = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });

  it('all proofs: an alarm after 180 s', async () => {
    const made = await start();
    made.forward = (message) => (isProof(message) ? [] : [message]);
    await made.drive(2);
    await expect.poll(() => opened(made)).toBeGreaterThan(10);
    await made.passMs(170_000);
    expect(made.alarms).toEqual([]);
    await made.passMs(11_000);
    await expect.poll(() => made.alarms).toContain('TG_RECEIVER_UNPROVEN');
  });

  it('everything: the unit keeps it, and says that nobody answers', async () => {
    const made = await start();
    made.forward = () => [];
    await made.drive(2);
    await expect.poll(async () => (await made.unit.store.stats()).pubacked, { timeout: 10_000 }).toBeGreaterThan(20);
    await expect.poll(() => made.uplink.status().requeued, { timeout: 10_000 }).toBeGreaterThan(20);
    expect(made.uplink.status().acks).toBe(0);
    made.forward = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });
});

describe('a broker that forges', () => {
  it('acknowledgements: they are refused and counted, and the rows stay', async () => {
    const made = await start();
    made.back = ({ topic, payload }) => {
      const bent = payload.slice();
      bent[bent.length - 10]! ^= 1;
      return [{ topic, payload: bent }];
    };
    await made.drive(2);
    await expect.poll(() => made.uplink.status().refusedAcks).toBeGreaterThan(0);
    expect(made.uplink.status().acks).toBe(0);
    expect(made.errors).toContain('TG_ACK_REFUSED');
    const { pubacked, queued, inflight } = await made.unit.store.stats();
    expect(pubacked + queued + inflight).toBeGreaterThan(20);
    made.back = (message) => [message];
    expect(await made.whole()).toEqual(WHOLE);
  });

  it('with another unit’s larger ledger: an acknowledgement of a stream that is not ours suspends nobody', async () => {
    const made = await start();
    await made.drive(1);
    const { ack, ackKeyId } = await ackSigner(made);
    const body = { uptoSeq: 5, missing: [], state: 'proven', checkpointSize: 1e9 } as const;
    const payload = await signAck({ ...body, stream: new Uint8Array(8).fill(7) }, ackKeyId, ack);
    await made.toUnit({ topic: `v1/t1/${made.unit.pseudonym}/rx/ack`, payload });
    await expect.poll(() => made.uplink.status().refusedAcks).toBe(1);
    expect(made.uplink.status().suspended).toBeNull();
    expect(await made.whole()).toEqual(WHOLE);
  });
});

describe('a broker that floods', () => {
  it('the unit with what is too large, too much or nothing: the records go on', async () => {
    const made = await start();
    await made.drive(1);
    const topic = (kind: string) => `v1/t1/${made.unit.pseudonym}/rx/${kind}`;
    const flood: Message[] = [];
    for (const kind of ['ack', 'doc']) {
      flood.push({ topic: topic(kind), payload: new Uint8Array(600_000) });
      flood.push({ topic: topic(kind), payload: new Uint8Array(0) });
      for (let i = 0; i < 300; i++) flood.push({ topic: topic(kind), payload: new Uint8Array(1 + (i % 200)).fill(i) });
    }
    await Promise.all(flood.map((message) => made.toUnit(message)));
    await made.drive(2);
    expect(await made.whole()).toEqual(WHOLE);
    const { refusedAcks, refusedDocuments } = made.uplink.status();
    expect(refusedAcks).toBeGreaterThan(290);
    expect(refusedDocuments).toBeGreaterThan(200);
    // Reported, and not three hundred times.
    for (const code of ['TG_ACK_REFUSED', 'TG_UPLINK_DOCUMENT']) {
      expect(made.errors).toContain(code);
      expect(made.errors.filter((one) => one === code).length).toBeLessThan(20);
    }
  });
});

async function ackSigner(made: Scene) {
  const keys = await loadReceiverKeys(made.folder.recipients[0]!);
  return { ack: keys.signAck, ackKeyId: keys.ackKeyId };
}
