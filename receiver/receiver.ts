import { TollgateError } from '#contracts';
import { parseStreamTopic, type StreamTopic, signAck } from '#wire';
import type { Batch, OpenedRecord, ReceiverStore, RecordSink, StoredAck } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { acceptSession, openRecord } from './opening.ts';
import { checkProof, type ProofOutcome } from './proof.ts';
import { type Stream, Streams, streamKey } from './streams.ts';
import { Waiting } from './waiting.ts';

/** Streams of others that are remembered, so that their records are not kept; a forgotten one costs a second look. */
const MOST_OTHERS = 10_000;

/** Something that a person must look at; holds no signal value. */
export interface ReceiverAlarm {
  readonly error: TollgateError;
  /** Empty where the message had no readable topic. */
  readonly pseudonym: string;
  /** base64url; empty where the message had no readable topic. */
  readonly stream: string;
}

export interface ReceiverOptions {
  readonly keys: ReceiverKeys;
  readonly store: ReceiverStore;
  /** Outputs beside the store. */
  readonly sinks?: readonly RecordSink[];
  /** Sends an acknowledgement; called when what it says is durable. A lost one is made again. */
  publishAck(topic: string, bytes: Uint8Array): void;
  /** Monotonic time, ms. */
  now(): number;
  alarm(alarm: ReceiverAlarm): void;
  /** Records that one transaction and one acknowledgement cover at most. */
  readonly batchRecords?: number;
}

export interface ReceiverStatus {
  readonly sessions: number;
  /** Records opened, stored once each. */
  readonly opened: number;
  readonly samples: number;
  readonly duplicates: number;
  /** Streams' proofs that held, and records that they cover. */
  readonly proofs: number;
  readonly proven: number;
  readonly refused: number;
  /** Streams of other recipients on the same broker. */
  readonly others: number;
  readonly alarms: number;
  readonly acks: number;
  /** Messages that wait for their session. */
  readonly waiting: number;
}

/** Opens, stores, acknowledges. It holds no socket and no clock: the caller brings messages and time. */
export interface Receiver {
  /** Loads what earlier runs left without a proof. */
  start(): Promise<void>;
  /**
   * Takes one message. Resolves when it was taken, which is not yet stored: the acknowledgement says that.
   *
   * @throws {TollgateError} TG_RECEIVER_STORE, TG_RECEIVER_OUTPUT: this receiver is at its end, start a new one
   */
  handle(topic: string, bytes: Uint8Array): Promise<void>;
  /** Stores and acknowledges what is due, and raises alarms that are; call it several times a second. */
  tick(): Promise<void>;
  /** Stores and acknowledges all that was taken. */
  flush(): Promise<void>;
  status(): ReceiverStatus;
}

/** Records of one transaction at most. */
export const BATCH_RECORDS = 500;
/** A record is stored and acknowledged this long after it came at the latest, ms. */
export const BATCH_MS = 1_000;
/** Opened and not proven for so long is an alarm, ms: three publications of proofs. */
export const ALARM_MS = 180_000;
/** How often streams are looked over for alarms, ms. */
const LOOK_MS = 1_000;

export function createReceiver(options: ReceiverOptions): Receiver {
  return new Opener(options);
}

const NO_BATCH: Batch = { streams: [], records: [], evicted: [], progress: [], checkpoints: [], acks: [], marks: [] };

class Opener implements Receiver {
  readonly #options: ReceiverOptions;
  readonly #streams: Streams;
  readonly #waiting = new Waiting();
  readonly #others = new Set<string>();
  readonly #batchRecords: number;
  #records: OpenedRecord[] = [];
  /** Streams that owe an acknowledgement, by its state. */
  readonly #owed = { opened: new Set<Stream>(), proven: new Set<Stream>() };
  #sinceMs: number | null = null;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** One after the other: a message is taken whole before the next. */
  #turn: Promise<void> = Promise.resolve();
  #broken: unknown = null;
  readonly #counts = {
    sessions: 0,
    opened: 0,
    samples: 0,
    duplicates: 0,
    proofs: 0,
    proven: 0,
    refused: 0,
    others: 0,
    alarms: 0,
    acks: 0,
  };

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#batchRecords = options.batchRecords ?? BATCH_RECORDS;
    this.#streams = new Streams(options.store, options.keys);
  }

  start(): Promise<void> {
    return this.#next(async () => {
      for (const { pseudonym, stream } of await this.#options.store.unproven()) {
        const known = await this.#guard({ pseudonym, stream }, this.#streams.find(pseudonym, stream));
        known?.progress.arrived(known.progress.provenSeq + 1, this.#options.now());
      }
    });
  }

  handle(topic: string, bytes: Uint8Array): Promise<void> {
    return this.#next(async () => {
      const where = parseStreamTopic(topic);
      // A retained session that is cleared is an empty message.
      if (where === null || bytes.length === 0) return;
      await this.#take(where, topic, bytes);
      if (this.#records.length >= this.#batchRecords) await this.#flush();
    });
  }

  tick(): Promise<void> {
    return this.#next(async () => {
      const now = this.#options.now();
      if (this.#sinceMs !== null && now - this.#sinceMs >= BATCH_MS) await this.#flush();
      if (now - this.#lookedMs >= LOOK_MS) this.#look(now);
    });
  }

  flush(): Promise<void> {
    return this.#next(() => this.#flush());
  }

  status(): ReceiverStatus {
    return { ...this.#counts, waiting: this.#waiting.count };
  }

  #next(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#broken !== null) throw this.#broken;
      try {
        await work();
      } catch (error) {
        // Only the store and the outputs throw. What is in memory may be ahead of them now: better to start anew.
        this.#broken = error;
        throw error;
      }
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #take(where: StreamTopic, topic: string, bytes: Uint8Array): Promise<void> {
    if (this.#others.has(streamKey(where.pseudonym, where.stream))) return;
    if (where.kind === 'session') return await this.#session(where, bytes);
    const stream = await this.#guard(where, this.#streams.find(where.pseudonym, where.stream));
    if (stream === null) return this.#keep(where, topic, bytes);
    if (where.tenant !== stream.tenant) {
      const text = 'a message came under another tenant than its session';
      return this.#refuse(where, new TollgateError('TG_RECEIVER_ENVELOPE', text));
    }
    if (where.kind === 'record') return await this.#record(stream, bytes);
    if (where.kind === 'proof') return await this.#proof(stream, bytes);
  }

  async #session(where: StreamTopic, bytes: Uint8Array): Promise<void> {
    const known = await this.#guard(where, this.#streams.find(where.pseudonym, where.stream));
    if (known !== null) {
      if (known.tenant !== where.tenant || !Buffer.from(known.session).equals(bytes)) {
        this.#refuse(where, new TollgateError('TG_RECEIVER_SESSION', 'a second, different session of a known stream'));
      }
      return;
    }
    const opening = await this.#guard(where, acceptSession(where, bytes, this.#options.keys));
    if (opening === null) return;
    if (opening === 'other') return this.#ignore(where);
    const owner = await this.#streams.unitOf(where.pseudonym);
    if (owner !== null && owner !== opening.unit) {
      const text = 'the session uses a pseudonym that belongs to another unit';
      return this.#refuse(where, new TollgateError('TG_RECEIVER_SESSION', text));
    }
    this.#streams.add(where, bytes, opening);
    this.#counts.sessions++;
    this.#due();
    for (const message of this.#waiting.take(streamKey(where.pseudonym, where.stream))) {
      const topic = parseStreamTopic(message.topic);
      if (topic !== null) await this.#take(topic, message.topic, message.bytes);
    }
  }

  /** A stream of another recipient of the same broker: nothing of it concerns us. */
  #ignore(where: StreamTopic): void {
    const key = streamKey(where.pseudonym, where.stream);
    this.#waiting.take(key);
    this.#others.add(key);
    this.#counts.others++;
    if (this.#others.size > MOST_OTHERS) this.#others.delete(this.#others.values().next().value!);
  }

  #keep(where: StreamTopic, topic: string, bytes: Uint8Array): void {
    const dropped = this.#waiting.keep(streamKey(where.pseudonym, where.stream), { topic, bytes });
    if (dropped === 0) return;
    const text = `${dropped} messages without a session were dropped; their units send them again`;
    this.#alarm(where, new TollgateError('TG_RECEIVER_OVERFLOW', text));
  }

  async #record(stream: Stream, bytes: Uint8Array): Promise<void> {
    const record = await this.#guard(stream, openRecord(stream, bytes));
    if (record === null) return;
    this.#owed.opened.add(stream);
    this.#due();
    if (stream.progress.has(record.seq)) {
      this.#counts.duplicates++;
      return;
    }
    stream.progress.add(record.seq);
    stream.progress.arrived(record.seq, this.#options.now());
    this.#records.push(record);
    this.#counts.opened++;
    this.#counts.samples += record.samples;
  }

  async #proof(stream: Stream, bytes: Uint8Array): Promise<void> {
    // The check reads the store: what it is about must be there.
    if (this.#records.length > 0 || this.#streams.unstored(stream)) await this.#flush();
    const outcome = await this.#guard(stream, checkProof(stream, bytes, this.#options.store, this.#options.keys));
    if (outcome === null) return;
    await this.#apply(stream, bytes, outcome);
    // What it named as evicted may be all that one farther ahead waited for.
    if (outcome.kind === 'holds') await this.#tryWaitingProofs([stream]);
  }

  async #apply(stream: Stream, bytes: Uint8Array, outcome: ProofOutcome): Promise<void> {
    if (outcome.kind === 'waits') {
      if (!stream.waitingProofs.keep(outcome.seq, bytes)) return;
      this.#streams.touch(stream);
      return this.#due();
    }
    this.#owed.proven.add(stream);
    this.#due();
    if (outcome.kind === 'stale') return;
    const { pseudonym, stream: id } = stream;
    for (const { seq, bodyHash } of outcome.evicted) {
      stream.progress.add(seq);
      this.#streams.evicted.push({ pseudonym, stream: id, seq, bodyHash });
    }
    this.#counts.proofs++;
    this.#counts.proven += outcome.seq - stream.progress.provenSeq;
    stream.progress.proven(outcome.seq, this.#options.now());
    stream.waitingProofs.proven(outcome.seq);
    stream.provenChain = outcome.chain;
    stream.alarmed = false;
    this.#streams.touch(stream);
    this.#streams.saw(outcome.checkpoint);
    stream.checkpointSize = Math.max(stream.checkpointSize, outcome.checkpoint.size);
    await this.#flush();
  }

  /** Stores what was taken, then says so. */
  async #flush(): Promise<void> {
    const { store, sinks = [], keys } = this.#options;
    this.#sinceMs = null;
    const records = this.#records;
    this.#records = [];
    const answers = [...(await this.#answers('opened', keys)), ...(await this.#answers('proven', keys))];
    const acks = answers.map(([, ack]) => ack);
    for (const stream of this.#owed.opened) this.#streams.touch(stream);
    const batch: Batch = { ...NO_BATCH, ...this.#streams.changes(), records, acks };
    if (Object.values(batch).every((list) => list.length === 0)) return;
    const written = await Promise.all(sinks.map((sink) => (records.length > 0 ? sink.write(records) : null)));
    await store.put({ ...batch, marks: written.filter((mark) => mark !== null) });
    this.#streams.stored();
    this.#counts.acks += answers.length;
    for (const [{ ackTopic }, { signed }] of answers) this.#options.publishAck(ackTopic, signed);
    const owing = [...this.#owed.opened];
    this.#owed.opened.clear();
    this.#owed.proven.clear();
    await this.#tryWaitingProofs(owing);
  }

  /** Records came: a proof that waited for them may hold now. */
  async #tryWaitingProofs(streams: readonly Stream[]): Promise<void> {
    for (const stream of streams) {
      for (const bytes of stream.waitingProofs.all()) {
        const { store, keys } = this.#options;
        const outcome = await this.#guard(stream, checkProof(stream, bytes, store, keys));
        if (outcome?.kind === 'holds') await this.#apply(stream, bytes, outcome);
        else if (outcome?.kind !== 'waits') {
          stream.waitingProofs.drop(bytes);
          this.#streams.touch(stream);
          this.#due();
        }
      }
    }
  }

  async #answers(state: StoredAck['state'], keys: ReceiverKeys): Promise<[Stream, StoredAck][]> {
    const answers: [Stream, StoredAck][] = [];
    for (const owing of this.#owed[state]) {
      const { pseudonym, stream, progress, checkpointSize } = owing;
      const { uptoSeq, missing } =
        state === 'opened' ? progress.answer() : { uptoSeq: progress.provenSeq, missing: [] };
      if (uptoSeq < 0) continue;
      const body = { stream, uptoSeq, missing, state, checkpointSize };
      const signed = await signAck(body, keys.ackKeyId, keys.signAck);
      answers.push([owing, { pseudonym, stream, uptoSeq, missing, state, signed }]);
    }
    return answers;
  }

  #look(now: number): void {
    this.#lookedMs = now;
    for (const stream of this.#streams.all()) {
      const since = stream.progress.waitingSinceMs;
      if (stream.alarmed || since === null || now - since < ALARM_MS) continue;
      stream.alarmed = true;
      const { provenSeq, highest } = stream.progress;
      const text = `records ${provenSeq + 1} to ${highest} were opened and are not proven`;
      this.#alarm(stream, new TollgateError('TG_RECEIVER_UNPROVEN', text));
    }
  }

  /** What others wrote is refused and reported; only our own store may throw. */
  async #guard<T>(where: Where, work: Promise<T>): Promise<T | null> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof TollgateError) || OWN_FAULTS.includes(error.code)) throw error;
      this.#refuse(where, error);
      return null;
    }
  }

  #refuse(where: Where, error: TollgateError): void {
    this.#counts.refused++;
    this.#alarm(where, error);
  }

  #alarm({ pseudonym, stream }: Where, error: TollgateError): void {
    this.#counts.alarms++;
    this.#options.alarm({ error, pseudonym, stream: Buffer.from(stream).toString('base64url') });
  }

  #due(): void {
    this.#sinceMs ??= this.#options.now();
  }
}

interface Where {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
}

const OWN_FAULTS: readonly string[] = ['TG_RECEIVER_STORE', 'TG_RECEIVER_OUTPUT'];
