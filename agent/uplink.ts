import { TollgateError } from '#contracts';
import { connectMqtt, type MqttLink, type MqttOptions } from '#firmware-bridge/mqtt';
import { ackTopic, documentTopic, statusTopic } from '#wire/topics';
import type { CheckedAck } from './acks.ts';
import type { Ack, OutboxRow, ProtocolState, Store } from './store/contract.ts';
import { TokenBucket } from './uplink/bucket.ts';
import { asError, Incoming } from './uplink/incoming.ts';
import { Line, type LineEvents, type LinkOptions, sizeOf } from './uplink/line.ts';
import { rolledBack, type Suspension } from './uplink/suspension.ts';
import { Bell, HOST_TIMING, type UplinkTiming } from './uplink/timing.ts';
import { type NetworkTraffic, Traffic, type TrafficFile } from './uplink/traffic.ts';

export type { LinkOptions } from './uplink/line.ts';
export type { Suspension } from './uplink/suspension.ts';
export type { UplinkTiming } from './uplink/timing.ts';

/** What others may see of the uplink as it works; never a payload, never a full topic. */
export interface UplinkObserver {
  reached?(state: ProtocolState): void;
  connection?(up: boolean): void;
  error?(error: TollgateError): void;
}

export interface UplinkOptions {
  readonly store: Store;
  readonly link: LinkOptions;
  readonly tenant: string;
  /** The unit's pseudonym now. Rows of earlier ones go under their own name, over a second connection. */
  readonly pseudonym: string;
  /** Messages in flight at most. */
  readonly window: number;
  /** The acknowledgement, or null where no recipient of this unit signed it. */
  verifyAck(bytes: Uint8Array, pseudonym: string): Promise<CheckedAck | null>;
  /**
   * A document or withdrawal for the unit, at most `MOST_DOCUMENT_BYTES`. The broker keeps it until the promise
   * resolves, and sends it again when the process dies before; so it may come twice.
   */
  onDocument?(bytes: Uint8Array): Promise<void>;
  /** Bytes a second on average, MQTT and topics counted; without it there is no cap. */
  readonly bandwidth?: number | undefined;
  /** Name of the network whose bytes are counted. */
  readonly network?: string;
  /** Keeps the count of bytes; without it the count begins with the process. */
  readonly traffic?: TrafficFile;
  /** What a process before found: nothing is sent. */
  readonly suspended?: Suspension | null;
  /** A recipient has seen a larger ledger than this one; no record leaves from now on. To be made durable. */
  onSuspended?(suspension: Suspension, ack: CheckedAck): Promise<void>;
  readonly observe?: UplinkObserver;
  readonly timing?: Partial<UplinkTiming>;
  /** How long a receiver may take to acknowledge before a row goes again, ms. */
  readonly ackTimeoutMs?: number;
  /** The one connect of the firmware bridge, or a test's. */
  readonly connect?: (options: MqttOptions) => Promise<MqttLink>;
}

export interface UplinkStatus {
  readonly connected: boolean;
  readonly paused: boolean;
  readonly connects: number;
  readonly published: number;
  readonly pubacked: number;
  /** Acknowledgements stored, and those that were not the recipient's or came too fast. */
  readonly acks: number;
  readonly refusedAcks: number;
  /** Documents handed over, and those that were too large or came too fast. */
  readonly documents: number;
  readonly refusedDocuments: number;
  /** Rows larger than the broker takes. */
  readonly tooLarge: number;
  /** Why no record is sent; null when all is well. */
  readonly suspended: Omit<Suspension, 'evidence'> | null;
  /** Bytes sent and received, a network. */
  readonly traffic: readonly NetworkTraffic[];
  /** Rows that were put back to be sent again. */
  readonly requeued: number;
  readonly inflight: number;
  /** Code of the newest error; null since the last connection that worked. */
  readonly lastError: string | null;
}

/** Sends the outbox. The MQTT library never is the store: a row leaves the store when its receiver acknowledged it. */
export interface Uplink {
  start(): void;
  /** Takes no more rows; what is in flight goes on. */
  pause(): void;
  resume(): void;
  /**
   * No row leaves while `work` runs, those in memory neither: they go back to the store, which `work` may change. For
   * withdrawals: what is gone from the store when `work` is done is not sent any more. What the connection was given
   * and the network has not taken within `CUT_MS` is thrown away with the connection.
   */
  hold<T>(work: () => Promise<T>): Promise<T>;
  /**
   * An answer that is no row, under the pseudonym of now, below its status topic; resolves at PUBACK.
   *
   * @throws {TollgateError} TG_BROKER_LOST where no connection stands
   */
  tell(suffix: string, payload: Uint8Array): Promise<void>;
  /** True when everything that was committed before this call has a PUBACK, false after `ms`. */
  flush(ms: number): Promise<boolean>;
  /** True when every row was acknowledged by its receiver, false after `ms`. */
  settle(ms: number): Promise<boolean>;
  status(): UplinkStatus;
  /** Says goodbye; rows without PUBACK are sent by the next start. */
  close(): Promise<void>;
}

/** A receiver acknowledges every second; this long without a word, and rows go again, ms. */
export const ACK_TIMEOUT_MS = 30_000;
/** While no receiver answers the time doubles up to this, ms: a mobile link is paid by the byte. */
export const LONGEST_ACK_TIMEOUT_MS = 15 * 60_000;
/** Holes that a receiver named are filled this much later, ms: what it misses may just be on its way. */
export const HOLE_MS = 5_000;
/** Connections at once: the pseudonym of now and the oldest with rows. */
export const MOST_LINES = 2;
/** A connection waits this long for acknowledgements before another pseudonym gets it, ms. */
export const LINGER_MS = 5_000;
/** A held uplink gives its connection so long to send what it was given, ms. */
export const CUT_MS = 50;
/** How often a held uplink looks at what is unsent, ms. */
const DRAIN_STEP_MS = 5;
/** With a bandwidth cap, rows for this long are read ahead, ms: a row of higher priority waits no longer behind them. */
const AHEAD_MS = 2_000;
/** Rows larger than the broker takes, each reported once while so many are remembered. */
const MOST_LARGE = 256;
/** Rows that are read ahead before any size is known. */
const FIRST_AHEAD = 4;
/** What the bandwidth may save up, ms of it. */
const BURST_MS = 1_000;
/** Weight of the newest row in the mean size of rows. */
const MEAN_WEIGHT = 1 / 16;
/** Name of the network where none is configured. */
export const DEFAULT_NETWORK = 'default';
/** How often `settle` looks, ms. */
const SETTLE_STEP_MS = 20;

export function createUplink(options: UplinkOptions): Uplink {
  return new OutboxUplink(options);
}

interface Counts {
  published: number;
  pubacked: number;
  requeued: number;
  tooLarge: number;
}

class OutboxUplink implements Uplink {
  readonly #options: UplinkOptions;
  readonly #timing: UplinkTiming;
  readonly #ackTimeoutMs: number;
  readonly #bell = new Bell();
  readonly #counts: Counts = { published: 0, pubacked: 0, requeued: 0, tooLarge: 0 };
  /** The line of now first. */
  readonly #lines: Line[] = [];
  /** Rows of pseudonyms that have no line yet. */
  #parked: OutboxRow[] = [];
  /** Rows whose PUBACK the store does not know yet. */
  #answered: number[] = [];
  #noting: Promise<void> | null = null;
  readonly #incoming: Incoming;
  readonly #traffic: Traffic;
  readonly #bandwidth: TokenBucket | null;
  #meanBytes = 0;
  /** Works that hold the uplink, and how many have ended. */
  #holds = 0;
  #heldTimes = 0;
  #suspended: Suspension | null;
  /** The second line is looked at for retirement then, monotonic ms. */
  #retireAt = 0;
  #ready: Promise<void> | null = null;
  #flushes: { armed: boolean; readonly done: () => void }[] = [];
  /** Rows are inflight in the store and nowhere else; so are, at the start, those of the process before. */
  #failed = true;
  #failedRows = 0;
  #firstLook = true;
  /** Rows larger than the broker takes that were reported. */
  readonly #large = new Set<number>();
  #paused = false;
  #closing = false;
  /** There may be rows with a PUBACK that no receiver acknowledged. */
  #unanswered = false;
  #lastPubackMs = 0;
  #retryMs: number;
  #retryAt: number;
  /** Rows went again and no receiver has answered since. */
  #silent = false;
  #lastError: string | null = null;
  #running: Promise<void> | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#timing = { ...HOST_TIMING, ...options.timing };
    this.#ackTimeoutMs = options.ackTimeoutMs ?? ACK_TIMEOUT_MS;
    this.#retryMs = this.#ackTimeoutMs;
    const nowMs = this.#timing.monotonicMs;
    this.#retryAt = nowMs() + this.#retryMs;
    const { bandwidth, network = DEFAULT_NETWORK, traffic = null, suspended = null } = options;
    this.#bandwidth =
      bandwidth === undefined ? null : new TokenBucket(bandwidth, (bandwidth * BURST_MS) / 1_000, nowMs);
    this.#traffic = new Traffic(network, traffic, nowMs());
    this.#suspended = suspended;
    this.#incoming = new Incoming({
      store: options.store,
      nowMs,
      verifyAck: options.verifyAck,
      ...(options.onDocument === undefined ? {} : { onDocument: options.onDocument }),
      reached: (state) => options.observe?.reached?.(state),
      heard: (ack) => this.#heard(ack),
      rolledBack: (ack, size) => this.#suspend(ack, size),
      report: (error) => this.#report(error),
    });
  }

  start(): void {
    if (this.#running !== null) return;
    this.#line(this.#options.pseudonym);
    this.#running = this.#traffic.load().then(() => this.#run());
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#bell.ring();
  }

  async hold<T>(work: () => Promise<T>): Promise<T> {
    this.#holds++;
    this.#release();
    const drained = this.#drain();
    try {
      return await work();
    } finally {
      await drained;
      this.#holds--;
      this.#heldTimes++;
      this.#release();
      this.#bell.ring();
    }
  }

  /** Waits until the network has what the connections were given; what it has not after `CUT_MS` is thrown away. */
  async #drain(): Promise<void> {
    const until = this.#timing.monotonicMs() + CUT_MS;
    const given = new AbortController();
    while (this.#lines.some((line) => line.unsentBytes > 0) && this.#timing.monotonicMs() < until) {
      await this.#timing.sleep(DRAIN_STEP_MS, given.signal);
    }
    for (const line of this.#lines) line.cut();
  }

  async tell(suffix: string, payload: Uint8Array): Promise<void> {
    const { tenant, pseudonym } = this.#options;
    const line = this.#lines[0];
    if (line === undefined) throw new TollgateError('TG_BROKER_LOST', 'the uplink has not started');
    await line.tell(`${statusTopic(tenant, pseudonym)}/${suffix}`, payload);
  }

  async flush(ms: number): Promise<boolean> {
    if (this.#running === null || this.#closing) return false;
    const sent = new Promise<true>((resolve) => {
      this.#flushes.push({ armed: false, done: () => resolve(true) });
    });
    this.#bell.ring();
    return await this.#within(ms, sent);
  }

  async settle(ms: number): Promise<boolean> {
    const until = this.#timing.monotonicMs() + ms;
    const given = new AbortController();
    for (;;) {
      const { queued, inflight, pubacked } = await this.#options.store.stats();
      if (queued + inflight + pubacked === 0) return true;
      if (this.#timing.monotonicMs() >= until || this.#closing) return false;
      await this.#timing.sleep(SETTLE_STEP_MS, given.signal);
    }
  }

  status(): UplinkStatus {
    return {
      ...this.#counts,
      acks: this.#incoming.acks,
      refusedAcks: this.#incoming.refusedAcks,
      documents: this.#incoming.documents,
      refusedDocuments: this.#incoming.refusedDocuments,
      suspended: this.#suspension,
      traffic: this.#traffic.totals(),
      connected: this.#lines[0]?.up ?? false,
      paused: this.#paused,
      connects: this.#lines.reduce((sum, line) => sum + line.connects, 0),
      inflight: this.#held,
      lastError: this.#lastError,
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#bell.ring();
    await Promise.all(this.#lines.map((line) => line.close()));
    await this.#running;
    await this.#noting;
    await this.#incoming.settled();
    await this.#traffic.save(this.#timing.monotonicMs());
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      try {
        if (!(await this.#step())) await this.#bell.wait(this.#nextLook(), this.#timing);
      } catch (error) {
        // The store answers nothing (full, closed): what it holds is safe, what we hold is put back.
        this.#failed = true;
        this.#report(asError(error));
        await this.#bell.wait(this.#ackTimeoutMs, this.#timing);
      }
    }
  }

  /** One turn of the loop. False: there is nothing to do until the bell rings. */
  async #step(): Promise<boolean> {
    this.#openLines();
    if (this.#failed || this.#retryDue) return await this.#putBack();
    await this.#traffic.tick(this.#timing.monotonicMs());
    if (this.#paused || !this.#mayLeave || !this.#lines[0]!.up) return false;
    // Half a window at a time: one question to the store for many rows.
    const window = this.#ahead;
    const room = window - this.#held;
    if (room < Math.max(1, window >> 1)) return false;
    for (const flush of this.#flushes) flush.armed = true;
    this.#watch();
    const held = this.#heldTimes;
    const rows = await this.#options.store.take(room);
    for (const row of rows) this.#weigh(row);
    // The uplink was held while the store answered: these rows may be gone from it by now, so it is asked again.
    if (held === this.#heldTimes && this.#mayLeave) for (const row of rows) this.#dispatch(row);
    else {
      this.#failed = true;
      this.#failedRows += rows.length;
    }
    if (rows.length === 0) await this.#idle();
    return rows.length > 0;
  }

  /** Asks once for a ring when a row becomes ready; before `take`, so that none slips through between. */
  #watch(): void {
    this.#ready ??= this.#options.store.ready().then(() => {
      this.#ready = null;
      this.#bell.ring();
    });
  }

  get #suspension(): UplinkStatus['suspended'] {
    if (this.#suspended === null) return null;
    const { reason, code, size, seen } = this.#suspended;
    return { reason, code, size, seen };
  }

  get #mayLeave(): boolean {
    return this.#holds === 0 && this.#suspended === null;
  }

  /** Rows that are read from the store at most. */
  get #ahead(): number {
    const { window, bandwidth } = this.#options;
    if (bandwidth === undefined) return window;
    if (this.#meanBytes === 0) return Math.min(window, FIRST_AHEAD);
    const rows = Math.floor((bandwidth * AHEAD_MS) / 1_000 / this.#meanBytes);
    return Math.min(window, Math.max(1, rows));
  }

  #weigh(row: OutboxRow): void {
    const size = sizeOf(row);
    this.#meanBytes = this.#meanBytes === 0 ? size : this.#meanBytes + (size - this.#meanBytes) * MEAN_WEIGHT;
  }

  /** Gives back all that is not in flight. */
  #release(): void {
    for (const line of this.#lines) line.release();
    this.#failedRows += this.#parked.length;
    if (this.#parked.length > 0) this.#failed = true;
    this.#parked = [];
  }

  async #suspend(ack: CheckedAck, size: number): Promise<void> {
    if (this.#suspended !== null) return;
    this.#suspended = rolledBack(size, ack.checkpointSize ?? 0, ack.signed);
    this.#release();
    const text = `a recipient has seen ${ack.checkpointSize} leaves of this unit's ledger, it has ${size}`;
    this.#report(new TollgateError('TG_UPLINK_ROLLED_BACK', text));
    await this.#options.onSuspended?.(this.#suspended, ack);
  }

  async #idle(): Promise<void> {
    if (this.#held > 0) return;
    await this.#retire();
    await this.#noting;
    if (this.#failed) return;
    for (const flush of this.#flushes.filter((one) => one.armed)) flush.done();
    this.#flushes = this.#flushes.filter((one) => !one.armed);
  }

  get #held(): number {
    return this.#parked.length + this.#lines.reduce((sum, line) => sum + line.held, 0);
  }

  get #retryDue(): boolean {
    return this.#unanswered && this.#timing.monotonicMs() >= this.#retryAt;
  }

  /** How long the loop may sleep without a ring, ms. */
  #nextLook(): number {
    const now = this.#timing.monotonicMs();
    // What is due already waits for the window to empty, and every PUBACK rings.
    const blocked = this.#retryAt <= now && this.#lines.some((line) => line.held > 0);
    const retry = this.#unanswered && !blocked ? this.#retryAt : Number.POSITIVE_INFINITY;
    const turn = this.#parked.length > 0 ? (this.#lines[1]?.idleSinceMs ?? 0) + LINGER_MS : Number.POSITIVE_INFINITY;
    const retire = this.#lines.length > 1 ? this.#retireAt : Number.POSITIVE_INFINITY;
    return Math.max(1, Math.min(retry, turn, retire) - now);
  }

  /**
   * Puts back what has no PUBACK, and what no receiver acknowledged in time. The store puts back all that is in
   * flight, so nothing may be: a row that is on its way twice would lose its place.
   */
  async #putBack(): Promise<boolean> {
    this.#release();
    if (this.#held > 0) return false;
    await this.#noting;
    // The process before us cannot say how long its rows have waited. A lost connection is no reason to repeat what
    // has its PUBACK: where connections are short, that would send the same rows for ever and reach no other.
    const rows = await this.#options.store.requeue(this.#firstLook ? 0 : this.#retryMs);
    const repeated = !this.#firstLook && rows > this.#failedRows;
    this.#firstLook = false;
    this.#failed = false;
    this.#failedRows = 0;
    this.#counts.requeued += rows;
    const now = this.#timing.monotonicMs();
    // What was too young now is looked at once more.
    this.#unanswered = repeated || now - this.#lastPubackMs <= this.#retryMs;
    if (repeated) {
      this.#silent = true;
      this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_ACK_TIMEOUT_MS);
    }
    this.#retryAt = now + this.#retryMs;
    return true;
  }

  #dispatch(row: OutboxRow): void {
    const line = this.#line(row.pseudonym);
    if (line === null) this.#parked.push(row);
    else line.push(row);
  }

  /** The line of a pseudonym; null while two others have rows. */
  #line(pseudonym: string): Line | null {
    const open = this.#lines.find((line) => line.pseudonym === pseudonym);
    if (open !== undefined) return open;
    if (this.#lines.length >= MOST_LINES) return null;
    const { link, tenant, window } = this.#options;
    const line = new Line({
      pseudonym,
      topics: {
        ack: ackTopic(tenant, pseudonym),
        documents: documentTopic(tenant, pseudonym),
        status: statusTopic(tenant, pseudonym),
      },
      link,
      window,
      bandwidth: this.#bandwidth,
      mayLeave: () => this.#mayLeave,
      timing: this.#timing,
      connect: this.#options.connect ?? connectMqtt,
      events: this.#events(pseudonym),
    });
    this.#lines.push(line);
    line.start();
    return line;
  }

  /** Gives the second line to the oldest pseudonym that waits, once the one that has it is done. */
  #openLines(): void {
    if (this.#parked.length === 0) return;
    const second = this.#lines[1];
    if (second !== undefined && this.#timing.monotonicMs() >= second.idleSinceMs + LINGER_MS) {
      this.#lines.length = 1;
      void second.close();
    }
    const parked = this.#parked;
    this.#parked = [];
    for (const row of parked) this.#dispatch(row);
  }

  /** An earlier pseudonym all of whose rows are acknowledged is taken off the broker, with what it retained there. */
  async #retire(): Promise<void> {
    const [, second] = this.#lines;
    const now = this.#timing.monotonicMs();
    if (second === undefined || this.#parked.length > 0 || now < this.#retireAt) return;
    this.#retireAt = now + LINGER_MS;
    if (now < second.idleSinceMs + LINGER_MS) return;
    const { queued, inflight, pubacked } = await this.#options.store.stats();
    if (queued + inflight + pubacked > 0) return;
    this.#lines.length = 1;
    await second.close({ retire: true });
  }

  #events(pseudonym: string): LineEvents {
    const { observe } = this.#options;
    return {
      up: () => {
        this.#lastError = null;
        observe?.connection?.(true);
        this.#bell.ring();
      },
      down: () => {
        this.#failed = true;
        observe?.connection?.(false);
        this.#bell.ring();
      },
      published: () => {
        this.#counts.published++;
        observe?.reached?.('published');
      },
      puback: (row) => this.#puback(row),
      failed: () => {
        this.#failed = true;
        this.#failedRows++;
        this.#bell.ring();
      },
      began: (wire) => this.#traffic.began(wire),
      ended: (wire) => this.#traffic.ended(wire, this.#timing.monotonicMs()),
      tooLarge: (row, error) => this.#tooLarge(row, error),
      ack: (bytes) => this.#incoming.ack(bytes, pseudonym),
      document: (bytes) => this.#incoming.document(bytes),
      error: (error) => this.#report(error),
    };
  }

  /** The row stays in the store, and goes when the broker takes more, or with its age: it is put back with the others. */
  #tooLarge({ id }: OutboxRow, error: TollgateError): void {
    this.#failedRows++;
    if (this.#large.has(id)) return;
    if (this.#large.size >= MOST_LARGE) this.#large.clear();
    this.#large.add(id);
    this.#counts.tooLarge++;
    this.#report(error);
  }

  #puback(row: OutboxRow): void {
    this.#counts.pubacked++;
    this.#unanswered = true;
    this.#lastPubackMs = this.#timing.monotonicMs();
    this.#options.observe?.reached?.('puback-received');
    this.#answered.push(row.id);
    this.#noting ??= this.#note();
    this.#bell.ring();
  }

  /** Tells the store of PUBACKs, many at once while it works on the ones before. */
  async #note(): Promise<void> {
    try {
      while (this.#answered.length > 0) {
        await this.#options.store.pubacked(this.#answered.splice(0));
        this.#options.observe?.reached?.('puback-stored');
      }
    } catch (error) {
      this.#failed = true;
      this.#report(asError(error));
    } finally {
      this.#noting = null;
      this.#bell.ring();
    }
  }

  /** A receiver answers: waits are short again, and holes are filled soon. */
  #heard(ack: Ack): void {
    const soon = this.#silent || ack.missing.length > 0;
    this.#silent = false;
    this.#retryMs = soon ? Math.min(HOLE_MS, this.#ackTimeoutMs) : this.#ackTimeoutMs;
    if (soon) this.#retryAt = Math.min(this.#retryAt, this.#timing.monotonicMs() + this.#retryMs);
    this.#bell.ring();
  }

  async #within(ms: number, done: Promise<true>): Promise<boolean> {
    const given = new AbortController();
    const late = this.#timing.sleep(ms, given.signal).then(() => false);
    const answer = await Promise.race([done, late]);
    given.abort();
    return answer;
  }

  #report(error: TollgateError): void {
    this.#lastError = error.code;
    this.#options.observe?.error?.(error);
  }
}
