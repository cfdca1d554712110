import { TollgateError } from '#contracts';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { ackTopic, documentTopic, statusTopic } from '#wire/topics';
import type { CheckedAck } from './acks.ts';
import type { Ack, OutboxRow } from './store/contract.ts';
import { Answers } from './uplink/answers.ts';
import type { Uplink, UplinkOptions, UplinkStatus } from './uplink/contract.ts';
import { asError, Incoming } from './uplink/incoming.ts';
import { Line, type LineEvents } from './uplink/line.ts';
import { Pace } from './uplink/pace.ts';
import { ACK_TIMEOUT_MS, Patience } from './uplink/patience.ts';
import { rolledBack, type Suspension } from './uplink/suspension.ts';
import { Bell, HOST_TIMING, type UplinkTiming } from './uplink/timing.ts';
import { Traffic } from './uplink/traffic.ts';

export type { Uplink, UplinkObserver, UplinkOptions, UplinkStatus } from './uplink/contract.ts';
export type { LinkOptions } from './uplink/line.ts';
export type { Suspension } from './uplink/suspension.ts';
export type { UplinkTiming } from './uplink/timing.ts';

/** Connections at once: the pseudonym of now and the oldest with rows. */
export const MOST_LINES = 2;
/** A connection waits this long for acknowledgements before another pseudonym gets it, ms. */
export const LINGER_MS = 5_000;
/** A held uplink gives its connection so long to send what it was given, ms. */
export const CUT_MS = 50;
/** How often a held uplink looks at what is unsent, ms. */
const DRAIN_STEP_MS = 5;
/** Rows larger than the broker takes, each reported once while so many are remembered. */
const MOST_LARGE = 256;
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
  readonly #bell = new Bell();
  readonly #counts: Counts = { published: 0, pubacked: 0, requeued: 0, tooLarge: 0 };
  /** The line of now first. */
  readonly #lines: Line[] = [];
  /** Lines that say goodbye. */
  readonly #ending = new Map<Line, Promise<void>>();
  #pastConnects = 0;
  /** Rows of pseudonyms that have no line yet. */
  #parked: OutboxRow[] = [];
  readonly #answers: Answers;
  readonly #patience: Patience;
  readonly #pace: Pace;
  readonly #incoming: Incoming;
  readonly #traffic: Traffic;
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
  #pseudonym: string;
  #lastError: string | null = null;
  #running: Promise<void> | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#timing = { ...HOST_TIMING, ...options.timing };
    this.#pseudonym = options.pseudonym;
    const nowMs = this.#timing.monotonicMs;
    this.#patience = new Patience(options.ackTimeoutMs ?? ACK_TIMEOUT_MS, nowMs);
    this.#pace = new Pace(options.window, options.bandwidth, nowMs);
    const { network = DEFAULT_NETWORK, traffic = null, suspended = null } = options;
    this.#traffic = new Traffic(network, traffic, nowMs());
    this.#suspended = suspended;
    this.#answers = new Answers({
      store: options.store,
      stored: () => options.observe?.reached?.('puback-stored'),
      failed: (error) => {
        this.#failed = true;
        this.#report(error);
      },
      done: () => this.#bell.ring(),
    });
    this.#incoming = new Incoming({
      store: options.store,
      nowMs,
      verifyAck: options.verifyAck,
      ...(options.onDocument === undefined ? {} : { onDocument: options.onDocument }),
      ...(options.mustTake === undefined ? {} : { mustTake: options.mustTake }),
      reached: (state) => options.observe?.reached?.(state),
      heard: (ack) => this.#heard(ack),
      rolledBack: (ack, size) => this.#suspend(ack, size),
      report: (error) => this.#report(error),
    });
  }

  start(): void {
    if (this.#running !== null) return;
    this.#line(this.#pseudonym);
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
    const { tenant } = this.#options;
    const pseudonym = this.#pseudonym;
    const line = this.#lines[0];
    if (line === undefined) throw new TollgateError('TG_BROKER_LOST', 'the uplink has not started');
    await line.tell(`${statusTopic(tenant, pseudonym)}/${suffix}`, payload);
  }

  rename(pseudonym: string): void {
    if (pseudonym === this.#pseudonym) return;
    this.#pseudonym = pseudonym;
    if (this.#running === null || this.#closing) return;
    // The name before this one keeps its connection, an older one gives it up; its rows wait for their turn.
    const [now, ...older] = this.#lines.splice(0);
    for (const line of older) void this.#end(line);
    this.#line(pseudonym);
    if (now !== undefined) this.#lines.push(now);
    this.#retireAt = 0;
    this.#bell.ring();
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
      connects: this.#lines.reduce((sum, line) => sum + line.connects, this.#pastConnects),
      inflight: this.#held,
      lastError: this.#lastError,
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#bell.ring();
    await Promise.all([...this.#lines.map((line) => line.close()), ...this.#ending.values()]);
    await this.#running;
    await this.#answers.settled();
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
        await this.#bell.wait(this.#options.ackTimeoutMs ?? ACK_TIMEOUT_MS, this.#timing);
      }
    }
  }

  /** One turn of the loop. False: there is nothing to do until the bell rings. */
  async #step(): Promise<boolean> {
    this.#openLines();
    if (this.#failed || this.#patience.due) return await this.#putBack();
    await this.#traffic.tick(this.#timing.monotonicMs());
    if (this.#paused || !this.#mayLeave || !this.#lines[0]!.up) return false;
    // Half a window at a time: one question to the store for many rows.
    const window = this.#pace.ahead;
    const room = window - this.#held;
    if (room < Math.max(1, window >> 1)) return false;
    for (const flush of this.#flushes) flush.armed = true;
    this.#watch();
    const held = this.#heldTimes;
    const rows = await this.#options.store.take(room);
    for (const row of rows) this.#pace.weigh(row);
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
    await this.#answers.settled();
    if (this.#failed) return;
    for (const flush of this.#flushes.filter((one) => one.armed)) flush.done();
    this.#flushes = this.#flushes.filter((one) => !one.armed);
  }

  get #held(): number {
    const lines = [...this.#lines, ...this.#ending.keys()];
    return lines.reduce((sum, line) => sum + line.held, this.#parked.length);
  }

  /** How long the loop may sleep without a ring, ms. */
  #nextLook(): number {
    const now = this.#timing.monotonicMs();
    // What is due already waits for the window to empty, and every PUBACK rings.
    const blocked = this.#patience.dueAt <= now && this.#lines.some((line) => line.held > 0);
    const retry = blocked ? Number.POSITIVE_INFINITY : this.#patience.dueAt;
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
    await this.#answers.settled();
    // The process before us cannot say how long its rows have waited. A lost connection is no reason to repeat what
    // has its PUBACK: where connections are short, that would send the same rows for ever and reach no other.
    const rows = await this.#options.store.requeue(this.#firstLook ? 0 : this.#patience.waitMs);
    this.#patience.putBack(!this.#firstLook && rows > this.#failedRows);
    this.#firstLook = false;
    this.#failed = false;
    this.#failedRows = 0;
    this.#counts.requeued += rows;
    return true;
  }

  /** Ends a line that others do without; rows that it held are put back. */
  #end(line: Line, how: { readonly retire?: boolean } = {}): Promise<void> {
    this.#pastConnects += line.connects;
    line.release();
    const ended = line.close(how).finally(() => {
      this.#ending.delete(line);
      this.#bell.ring();
    });
    this.#ending.set(line, ended);
    return ended;
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
      bandwidth: this.#pace.bucket,
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
      void this.#end(second);
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
    if (now < second.idleSinceMs + LINGER_MS || second.awaits) return;
    this.#lines.length = 1;
    await this.#end(second, { retire: true });
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
    this.#patience.pubacked();
    this.#options.observe?.reached?.('puback-received');
    this.#answers.add(row.id);
    this.#bell.ring();
  }

  #heard(ack: Ack): void {
    for (const line of this.#lines) line.acknowledged(ack);
    this.#patience.heard(ack.missing.length > 0);
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
