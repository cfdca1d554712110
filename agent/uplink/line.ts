import { TollgateError } from '#contracts';
import {
  backoffMs,
  type MqttLink,
  type MqttOptions,
  type MqttProtocol,
  type MqttTls,
  STABLE_MS,
} from '#firmware-bridge/mqtt';
import type { OutboxRow } from '../store/contract.ts';
import { Bell, type UplinkTiming } from './timing.ts';

/** Where the broker is and how to speak with it. */
export interface LinkOptions {
  readonly url: string;
  readonly protocol: MqttProtocol;
  readonly tls?: MqttTls | undefined;
  /** Seconds. */
  readonly keepalive?: number;
}

/** Topics of one pseudonym that are no stream's. */
export interface LineTopics {
  readonly ack: string;
  readonly documents: string;
  readonly status: string;
}

export interface LineOptions {
  readonly pseudonym: string;
  readonly topics: LineTopics;
  readonly link: LinkOptions;
  /** Messages in flight at most; the broker's receive maximum may ask for fewer. */
  readonly window: number;
  readonly timing: UplinkTiming;
  connect(options: MqttOptions): Promise<MqttLink>;
  readonly events: LineEvents;
}

export interface LineEvents {
  /** A connection stands, subscriptions and sessions included. */
  up(): void;
  /** A connection that stood is gone. Its rows have been failed. */
  down(): void;
  /** The row's bytes were handed to the connection. */
  published(row: OutboxRow): void;
  puback(row: OutboxRow): void;
  /** The row got no PUBACK: it is to be put back. */
  failed(row: OutboxRow): void;
  /** The row never fits into a packet of this broker. */
  tooLarge(row: OutboxRow, error: TollgateError): void;
  /** A promise holds the connection's next message back. */
  ack(bytes: Uint8Array): void | Promise<void>;
  document(bytes: Uint8Array): Promise<void>;
  error(error: TollgateError): void;
}

const KEEPALIVE_S = 30;
/** Sessions that go again after a reconnect: a broker without a disk forgot what it retained. */
const SESSIONS_KEPT = 32;
/** PUBLISH header, topic length, packet identifier and properties, bytes, rounded up. */
const PACKET_OVERHEAD = 32;
/** How long a goodbye may take, ms. */
const GOODBYE_MS = 100;

const encoder = new TextEncoder();
/** Says that the unit is there or not, and nothing else: counters would tell when and how far it drives. */
const ONLINE = encoder.encode('{"version":1,"state":"online"}');
const OFFLINE = encoder.encode('{"version":1,"state":"offline"}');

/** One connection, again and again, for one pseudonym; rows go out in the order in which they came in. */
export class Line {
  readonly pseudonym: string;
  readonly #options: LineOptions;
  readonly #stop = new AbortController();
  readonly #changed = new Bell();
  readonly #waiting: OutboxRow[] = [];
  readonly #sessions = new Map<string, OutboxRow>();
  #link: MqttLink | null = null;
  #inflight = 0;
  #connects = 0;
  #idleSinceMs: number;
  #running: Promise<void> | null = null;

  constructor(options: LineOptions) {
    this.pseudonym = options.pseudonym;
    this.#options = options;
    this.#idleSinceMs = options.timing.monotonicMs();
  }

  get up(): boolean {
    return this.#link !== null;
  }

  /** Connections since the start. */
  get connects(): number {
    return this.#connects;
  }

  /** Rows that are here: in flight or waiting for the window. */
  get held(): number {
    return this.#waiting.length + this.#inflight;
  }

  /** Since when nothing is here, monotonic ms; Infinity while something is. */
  get idleSinceMs(): number {
    return this.held > 0 ? Number.POSITIVE_INFINITY : this.#idleSinceMs;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  push(row: OutboxRow): void {
    this.#waiting.push(row);
    this.#pump();
  }

  /** Gives back what is not in flight yet. */
  release(): void {
    for (const row of this.#waiting.splice(0)) this.#options.events.failed(row);
  }

  /** Ends this connection; the next one comes after the usual wait. */
  async drop(): Promise<void> {
    await this.#link?.end();
  }

  /** Says goodbye and ends. */
  async close(): Promise<void> {
    const link = this.#link;
    if (link !== null) {
      // A goodbye without this message would leave "online" standing: the broker drops the will.
      const told = link.publish(this.#options.topics.status, OFFLINE, { retain: true }).catch(() => undefined);
      const given = new AbortController();
      await Promise.race([told, this.#options.timing.sleep(GOODBYE_MS, given.signal)]);
      given.abort();
    }
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { timing } = this.#options;
    const stopped = this.#stop.signal;
    let failures = 0;
    while (!stopped.aborted) {
      const begun = timing.monotonicMs();
      await this.#connection();
      if (stopped.aborted) break;
      if (timing.monotonicMs() - begun >= STABLE_MS) failures = 0;
      await timing.sleep(backoffMs(failures++, timing.random), stopped);
    }
    this.release();
  }

  /** One connection from CONNECT to its end. */
  async #connection(): Promise<void> {
    const { link: where, topics, events } = this.#options;
    const closed = Promise.withResolvers<TollgateError | null>();
    try {
      const link = await this.#options.connect({
        url: where.url,
        protocol: where.protocol,
        tls: where.tls,
        clientId: this.pseudonym,
        keepalive: where.keepalive ?? KEEPALIVE_S,
        will: { topic: topics.status, payload: OFFLINE, retain: true },
        onMessage: (topic, payload) => (topic === topics.ack ? events.ack(payload) : events.document(payload)),
        onClose: closed.resolve,
        signal: this.#stop.signal,
      });
      this.#connects++;
      await this.#greet(link);
      this.#link = link;
      events.up();
      this.#pump();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      events.error(asError(error));
      return;
    }
    const why = await closed.promise;
    this.#link = null;
    this.release();
    // Publications that were in flight have been rejected; their rows are failed one by one.
    while (this.#inflight > 0) await this.#changed.wait(Number.POSITIVE_INFINITY, this.#options.timing);
    if (why !== null) events.error(why);
    events.down();
  }

  /** Subscribes, says "online", repeats the sessions of streams that still run. */
  async #greet(link: MqttLink): Promise<void> {
    const { topics } = this.#options;
    try {
      await link.subscribe([topics.ack, topics.documents]);
      await link.publish(topics.status, ONLINE, { retain: true });
      const sessions = [...this.#sessions.values()];
      await Promise.all(sessions.map((session) => link.publish(session.topic, session.payload, session)));
    } catch (error) {
      await link.end();
      throw error;
    }
  }

  #pump(): void {
    const link = this.#link;
    if (link === null) return;
    const window = Math.min(this.#options.window, link.receiveMaximum);
    while (this.#inflight < window && this.#waiting.length > 0) this.#send(link, this.#waiting.shift()!);
  }

  #send(link: MqttLink, row: OutboxRow): void {
    const { events } = this.#options;
    const size = row.payload.length + row.topic.length + PACKET_OVERHEAD;
    if (size > link.maximumPacketBytes) {
      const text = `a message of ${size} bytes is larger than the broker's largest packet (${link.maximumPacketBytes})`;
      events.tooLarge(row, new TollgateError('TG_BROKER_PUBLISH', text));
      return;
    }
    if (row.kind === 'session') this.#remember(row);
    this.#inflight++;
    link.publish(row.topic, row.payload, row).then(
      () => {
        this.#inflight--;
        this.#idleSinceMs = this.#options.timing.monotonicMs();
        events.puback(row);
        this.#pump();
        this.#changed.ring();
      },
      (error: unknown) => {
        this.#inflight--;
        // Later rows of the stream must not overtake a refused one: the connection ends, and all go again in order.
        if (error instanceof TollgateError && error.code === 'TG_BROKER_PUBLISH') {
          events.error(error);
          void link.end();
        }
        events.failed(row);
        this.#changed.ring();
      },
    );
    events.published(row);
  }

  #remember(row: OutboxRow): void {
    this.#sessions.delete(row.topic);
    this.#sessions.set(row.topic, row);
    const oldest = this.#sessions.keys().next().value;
    if (this.#sessions.size > SESSIONS_KEPT && oldest !== undefined) this.#sessions.delete(oldest);
  }
}

function asError(error: unknown): TollgateError {
  if (error instanceof TollgateError) return error;
  return new TollgateError('TG_BROKER_UNREACHABLE', error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
