import { TollgateError } from '#contracts';
import { parseStreamTopic, type StreamTopic, signAck } from '#wire';
import { Alarms, type Place, type ReceiverAlarm } from './alarms.ts';
import { NO_BATCH, type OpenedRecord, type ReceiverStore, type RecordSink, type StoredAck } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { acceptSession, claimedSeq, OWN_FAULTS, openRecord } from './opening.ts';
import { Prover } from './prover.ts';
import { type Stream, Streams, streamKey } from './streams.ts';
import { Waiting } from './waiting.ts';
import { Watches } from './watch.ts';

/** Streams of others that are remembered, so that their records are not kept; a forgotten one costs a second look. */
const MOST_OTHERS = 10_000;

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
  /** Alarms of one code that are told in a minute; all are counted. */
  readonly alarmsAMinute?: number;
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
  /** Sessions that no known unit signed. */
  readonly strangers: number;
  /** Streams of other recipients on the same broker. */
  readonly others: number;
  readonly alarms: number;
  readonly acks: number;
  /** Messages that wait for their session. */
  readonly waiting: number;
  /** Records that were taken and are not stored yet: at most a batch. */
  readonly unstored: number;
}

/**
 * Opens, stores, acknowledges. It holds no socket and no clock: the caller brings messages and time. What it says is
 * what the store says: any number of them may share one, each with a part of the messages.
 */
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

/** Records of one transaction at most, and the bytes of their envelopes and of what they unfolded to. */
export const BATCH_RECORDS = 500;
export const BATCH_BYTES = 8 * 2 ** 20;
/** A record is stored and acknowledged this long after it came at the latest, ms. */
export const BATCH_MS = 1_000;
/** Opened and not proven for so long is an alarm, ms: three publications of proofs. */
export const ALARM_MS = 180_000;
/** How often streams are looked over for alarms, ms. */
const LOOK_MS = 1_000;
/** Streams that one look examines: a store that lags is not asked for thousands at once. */
const LOOK_STREAMS = 100;

export function createReceiver(options: ReceiverOptions): Receiver {
  return new Opener(options);
}

class Opener implements Receiver {
  readonly #options: ReceiverOptions;
  readonly #streams: Streams;
  readonly #alarms: Alarms;
  readonly #prover: Prover;
  readonly #watches = new Watches();
  readonly #waiting = new Waiting();
  readonly #others = new Set<string>();
  readonly #batchRecords: number;
  #records: OpenedRecord[] = [];
  /** The streams of these records. */
  readonly #touched = new Set<Stream>();
  #bytes = 0;
  /** Records taken, these and those that are being stored. */
  #unstored = 0;
  /** Acknowledgements that went out: evidence, stored with the next transaction. */
  #signed: StoredAck[] = [];
  /** Streams that owe an acknowledgement, by its state. */
  readonly #owed = { opened: new Set<Stream>(), proven: new Set<Stream>() };
  #sinceMs: number | null = null;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** One after the other: a message is taken whole before the next. */
  #turn: Promise<void> = Promise.resolve();
  #ticking: Promise<void> | null = null;
  #broken: unknown = null;
  readonly #counts = {
    sessions: 0,
    opened: 0,
    samples: 0,
    duplicates: 0,
    proofs: 0,
    proven: 0,
    refused: 0,
    strangers: 0,
    others: 0,
    acks: 0,
  };

  constructor(options: ReceiverOptions) {
    this.#options = options;
    const { store, keys, alarm, now, alarmsAMinute } = options;
    this.#batchRecords = options.batchRecords ?? BATCH_RECORDS;
    this.#streams = new Streams(store, keys);
    this.#alarms = new Alarms(store, alarm, now, alarmsAMinute);
    this.#prover = new Prover(store, keys, this.#streams, this.#alarms, {
      proven: (stream, records) => {
        this.#counts.proofs++;
        this.#counts.proven += records;
        this.#owe('proven', stream);
        this.#watches.proven(stream, stream.progress.provenSeq, now());
      },
      stale: (stream) => this.#owe('proven', stream),
      refused: () => void this.#counts.refused++,
    });
  }

  start(): Promise<void> {
    return this.#next(async () => {
      const now = this.#options.now();
      for (const id of await this.#options.store.unproven()) this.#watches.arrived(id, 0, now);
    });
  }

  handle(topic: string, bytes: Uint8Array): Promise<void> {
    return this.#next(async () => {
      const where = parseStreamTopic(topic);
      // A retained session that is cleared is an empty message.
      if (where === null || bytes.length === 0) return;
      await this.#take(where, topic, bytes);
      if (this.#records.length >= this.#batchRecords || this.#bytes >= BATCH_BYTES) await this.#flush();
    });
  }

  /** A tick that waits for a slow store stands for all that come meanwhile. */
  tick(): Promise<void> {
    this.#ticking ??= this.#next(() => this.#tick()).finally(() => {
      this.#ticking = null;
    });
    return this.#ticking;
  }

  flush(): Promise<void> {
    return this.#next(async () => {
      await this.#flush();
      if (this.#signed.length > 0) await this.#options.store.put({ ...NO_BATCH, acks: this.#signed.splice(0) });
    });
  }

  status(): ReceiverStatus {
    return { ...this.#counts, alarms: this.#alarms.count, waiting: this.#waiting.count, unstored: this.#unstored };
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

  async #tick(): Promise<void> {
    const now = this.#options.now();
    if (this.#sinceMs !== null && now - this.#sinceMs >= BATCH_MS) await this.#flush();
    if (now - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = now;
    await this.#openWaiting();
    await this.#look(now);
  }

  async #take(where: StreamTopic, topic: string, bytes: Uint8Array): Promise<void> {
    if (this.#others.has(streamKey(where.pseudonym, where.stream))) return;
    if (where.kind === 'session') return await this.#session(where, bytes);
    const stream = await this.#guard(where, null, this.#streams.find(where.pseudonym, where.stream));
    if (stream === null) return this.#keep(where, topic, bytes);
    if (where.tenant !== stream.tenant) {
      const text = 'a message came under another tenant than its session';
      return this.#refuse(stream, new TollgateError('TG_RECEIVER_ENVELOPE', text), null);
    }
    if (where.kind === 'record') return await this.#record(stream, bytes);
    await this.#proof(stream, bytes);
  }

  async #session(where: StreamTopic, bytes: Uint8Array): Promise<void> {
    const known = await this.#guard(where, null, this.#streams.find(where.pseudonym, where.stream));
    if (known !== null) {
      if (known.tenant !== where.tenant || !Buffer.from(known.session).equals(bytes)) {
        const error = new TollgateError('TG_RECEIVER_SESSION', 'a second, different session of a known stream');
        this.#refuse(known, error, null);
      }
      return;
    }
    const opening = await this.#guard(where, null, acceptSession(where, bytes, this.#options.keys));
    if (opening === null) return;
    if (opening === 'other') return this.#ignore(where);
    const owner = await this.#streams.unitOf(where.pseudonym);
    if (owner !== null && owner !== opening.unit) {
      const text = 'the session uses a pseudonym that belongs to another unit';
      return this.#refuse({ ...where, unit: opening.unit }, new TollgateError('TG_RECEIVER_SESSION', text), null);
    }
    await this.#streams.add(where, bytes, opening);
    this.#counts.sessions++;
    this.#due();
    await this.#takeWaiting(streamKey(where.pseudonym, where.stream));
  }

  /** A stream of another recipient of the same broker: nothing of it concerns us. */
  #ignore(where: StreamTopic): void {
    const key = streamKey(where.pseudonym, where.stream);
    this.#waiting.take(key);
    this.#others.add(key);
    this.#counts.others++;
    if (this.#others.size > MOST_OTHERS) this.#others.delete(this.#others.values().next().value!);
  }

  /** In memory only: nothing of it was acknowledged, so its unit sends it again if this process ends. */
  #keep(where: StreamTopic, topic: string, bytes: Uint8Array): void {
    const dropped = this.#waiting.keep(streamKey(where.pseudonym, where.stream), { topic, bytes });
    if (dropped === 0) return;
    const text = `${dropped} messages without a session were dropped; their units send them again`;
    this.#alarms.raise(where, new TollgateError('TG_RECEIVER_OVERFLOW', text), null);
  }

  async #takeWaiting(key: string): Promise<void> {
    for (const message of this.#waiting.take(key)) {
      const topic = parseStreamTopic(message.topic);
      if (topic !== null) await this.#take(topic, message.topic, message.bytes);
    }
  }

  /** Another process may have taken the session, and the broker may never bring it here. */
  async #openWaiting(): Promise<void> {
    for (const { key, topic } of this.#waiting.oldest(LOOK_STREAMS)) {
      const where = parseStreamTopic(topic);
      if (where === null) continue;
      const known = await this.#guard(where, null, this.#streams.find(where.pseudonym, where.stream));
      if (known !== null) await this.#takeWaiting(key);
    }
  }

  async #record(stream: Stream, bytes: Uint8Array): Promise<void> {
    const record = await this.#guard(stream, bytes, openRecord(stream, bytes));
    if (record === null) return;
    this.#owe('opened', stream);
    const { seq } = record;
    if (stream.taken.has(seq) || stream.progress.has(seq)) {
      this.#counts.duplicates++;
      return;
    }
    stream.taken.add(seq);
    this.#touched.add(stream);
    this.#records.push(record);
    this.#unstored++;
    // A kilobyte may hold a quarter of a million equal values: what is held until the flush is what was unfolded.
    this.#bytes += bytes.length + unfoldedBytes(record);
  }

  async #proof(stream: Stream, bytes: Uint8Array): Promise<void> {
    // The check reads the store: what it is about must be there.
    if (this.#records.length > 0 || this.#streams.unstored(stream)) await this.#flush();
    // The flush may have found that another session of this stream was stored first.
    const stored = await this.#guard(stream, null, this.#streams.find(stream.pseudonym, stream.stream));
    if (stored !== null) await this.#prover.take(stored, bytes);
    if (this.#owed.proven.size > 0) await this.#flush();
  }

  /** Stores what was taken, then says so. */
  async #flush(): Promise<void> {
    this.#sinceMs = null;
    const streams = this.#streams.fresh;
    if (this.#records.length > 0 || streams.length > 0) await this.#store(streams);
    const owing = new Set([...this.#owed.opened, ...this.#owed.proven]);
    if (owing.size === 0) return;
    const positions = await this.#streams.refresh([...owing]);
    const now = this.#options.now();
    for (const stream of owing) this.#watches.proven(stream, stream.progress.provenSeq, now);
    await this.#answer('opened');
    await this.#answer('proven');
    // Records came: a proof that waited for them may hold now.
    const waiting = [...owing].filter((_, i) => positions[i]!.waiting > 0);
    if (waiting.length === 0) return;
    await this.#prover.tryWaiting(waiting);
    await this.#answer('proven');
  }

  async #store(streams: readonly Stream[]): Promise<void> {
    const { store, sinks = [], now } = this.#options;
    const records = this.#records;
    this.#records = [];
    this.#bytes = 0;
    const acks = this.#signed.splice(0);
    const touched = [...this.#touched];
    this.#touched.clear();
    const reached = touched.map(({ pseudonym, stream, progress: { next } }) => ({ pseudonym, stream, next }));
    const batch = { ...NO_BATCH, streams, records, acks, reached: reached.filter(({ next }) => next > 0) };
    const { fresh, contradicted } = await store.put(batch, async (arrived) => {
      if (arrived.length === 0) return [];
      const marks = await Promise.all(sinks.map((sink) => sink.write(arrived)));
      return marks.filter((mark) => mark !== null);
    });
    this.#unstored -= records.length;
    for (const stream of touched) stream.taken.clear();
    this.#counts.opened += fresh.length;
    for (const record of fresh) {
      this.#counts.samples += record.samples;
      this.#watches.arrived({ pseudonym: record.pseudonym, stream: record.stream }, record.seq, now());
    }
    const lost = new Set(contradicted.map(({ pseudonym, stream }) => streamKey(pseudonym, stream)));
    const kept = records.filter(({ pseudonym, stream }) => !lost.has(streamKey(pseudonym, stream)));
    this.#counts.duplicates += kept.length - fresh.length;
    for (const stream of [...this.#owed.opened]) {
      if (lost.has(streamKey(stream.pseudonym, stream.stream))) this.#owed.opened.delete(stream);
    }
    this.#streams.stored(contradicted);
    const text = 'another session of this stream, or another unit with its pseudonym, was stored first';
    for (const stream of contradicted) this.#refuse(stream, new TollgateError('TG_RECEIVER_SESSION', text), null);
  }

  async #answer(state: StoredAck['state']): Promise<void> {
    const { keys, publishAck } = this.#options;
    const owing = [...this.#owed[state]];
    this.#owed[state].clear();
    for (const { pseudonym, stream, progress, headSize, ackTopic } of owing) {
      const { uptoSeq, missing } =
        state === 'opened' ? progress.answer() : { uptoSeq: progress.provenSeq, missing: [] };
      if (uptoSeq < 0) continue;
      const body = { stream, uptoSeq, missing, state, checkpointSize: headSize };
      const signed = await signAck(body, keys.ackKeyId, keys.signAck);
      this.#signed.push({ pseudonym, stream, uptoSeq, missing, state, signed });
      this.#counts.acks++;
      publishAck(ackTopic, signed);
    }
  }

  /** What was opened and is not proven for three minutes; another process may have proven it. */
  async #look(now: number): Promise<void> {
    for (const watch of this.#watches.due(now, ALARM_MS, LOOK_STREAMS)) {
      const stream = await this.#guard(watch, null, this.#streams.find(watch.pseudonym, watch.stream));
      if (stream === null) {
        watch.alarmed = true;
        continue;
      }
      const [position] = await this.#streams.refresh([stream]);
      const open = position!.waiting > 0 ? await this.#prover.tryWaiting([stream]) : null;
      this.#watches.proven(stream, stream.progress.provenSeq, now);
      const { provenSeq, highest, firstHole } = stream.progress;
      const since = watch.sinceMs;
      if (highest <= provenSeq || since === null || now - since < ALARM_MS) continue;
      watch.alarmed = true;
      const hole = firstHole === null ? '' : `; record ${firstHole} never came`;
      const why = open === null ? hole : `: ${open}`;
      const text = `records ${provenSeq + 1} to ${highest} were opened and are not proven${why}`;
      const error = new TollgateError(open === null ? 'TG_RECEIVER_UNPROVEN' : 'TG_RECEIVER_CONTINUITY', text);
      const key = `${streamKey(stream.pseudonym, stream.stream)} ${provenSeq}`;
      await this.#alarms.lasting(stream, error, provenSeq + 1, key);
    }
    await this.#answer('proven');
  }

  /** What others wrote is refused and reported; only our own store may throw. */
  async #guard<T>(place: Place, envelope: Uint8Array | null, work: Promise<T>): Promise<T | null> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof TollgateError) || OWN_FAULTS.includes(error.code)) throw error;
      this.#refuse(place, error, envelope === null ? null : claimedSeq(envelope));
      return null;
    }
  }

  #refuse(place: Place, error: TollgateError, seq: number | null): void {
    this.#counts.refused++;
    if (error.code === 'TG_RECEIVER_STRANGER') this.#counts.strangers++;
    this.#alarms.raise(place, error, seq);
  }

  #owe(state: StoredAck['state'], stream: Stream): void {
    this.#owed[state].add(stream);
    this.#due();
  }

  #due(): void {
    this.#sinceMs ??= this.#options.now();
  }
}

/** Memory of a record's tables: a double a cell, times included. */
function unfoldedBytes({ tables }: OpenedRecord): number {
  return tables.reduce(
    (sum, { rows, columns }) => sum + rows * (columns.length + 1) * Float64Array.BYTES_PER_ELEMENT,
    0,
  );
}
