import { TollgateError } from '#contracts';
import {
  type ByteCounters,
  backoffMs,
  type MqttLink,
  type MqttOptions,
  type MqttProtocol,
  type MqttTls,
  STABLE_MS,
} from '#firmware-bridge/mqtt';
import { encodeStatus } from '#wire/status';
import type { Ack, OutboxRow } from '../store/contract.ts';
import type { TokenBucket } from './bucket.ts';
import { MOST_DOCUMENT_BYTES } from './incoming.ts';
import { Queue } from './queue.ts';
import { Bell, type UplinkTiming } from './timing.ts';

/** Where the broker is and how to speak with it. */
export interface LinkOptions {
  readonly url: string;
  readonly protocol: MqttProtocol;
  /** PEM texts, or what reads them for each connection: so certificates rotate, and follow the pseudonym. */
  readonly tls?: MqttTls | ((pseudonym: string) => Promise<MqttTls | undefined>) | undefined;
  /** Between signs of life, s. */
  readonly keepalive?: number;
  /** How long the broker keeps what comes for the unit while it is away, s; MQTT 5 only. */
  readonly sessionExpiryS?: number;
  /** How long the broker waits before it says "offline", s; MQTT 5 only. */
  readonly willDelayS?: number;
  /** How long a broker keeps records that nobody takes, s; the unit still has them. MQTT 5 only. */
  readonly messageExpiryS?: number | undefined;
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
  /** Bytes a second over all lines; null without a cap. */
  readonly bandwidth: TokenBucket | null;
  readonly timing: UplinkTiming;
  /** Asked right before each PUBLISH of a row. */
  mayLeave(): boolean;
  connect(options: MqttOptions): Promise<MqttLink>;
  readonly events: LineEvents;
}

export interface LineEvents {
  /** A connection stands, subscriptions and sessions included. */
  up(): void;
  /** A connection that stood is gone. Its rows have been failed. */
  down(): void;
  /** A socket opened, a socket closed: what it carried is counted. */
  began(wire: ByteCounters): void;
  ended(wire: ByteCounters): void;
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
/** Acknowledgements and documents that the broker may have on the way to the unit. */
const RECEIVE_MAXIMUM = 32;
/** Largest packet that the unit takes, bytes: a document and its header. */
const MOST_PACKET_BYTES = MOST_DOCUMENT_BYTES + 1024;
/** Sessions that go again after a reconnect: a broker without a disk forgot what it retained. */
const SESSIONS_KEPT = 32;
/** PUBLISH header, topic length, packet identifier and properties, bytes, rounded up. */
export const PACKET_OVERHEAD = 32;
/** How long a goodbye may take, ms. */
const GOODBYE_MS = 100;

const ONLINE = encodeStatus('online');
/** An empty retained message takes the one before it off the broker, MQTT 5 §3.3.1.3. */
const NOTHING = new Uint8Array();
const OFFLINE = encodeStatus('offline');

/** One connection, again and again, for one pseudonym; rows go out in the order in which they came in. */
export class Line {
  readonly pseudonym: string;
  readonly #options: LineOptions;
  readonly #stop = new AbortController();
  readonly #changed = new Bell();
  readonly #waiting = new Queue();
  readonly #sessions = new Map<string, OutboxRow>();
  /** Highest number that went out, by topic, of each stream that is not acknowledged so far. */
  readonly #unanswered = new Map<string, number>();
  #link: MqttLink | null = null;
  #inflight = 0;
  #connects = 0;
  #idleSinceMs: number;
  #running: Promise<void> | null = null;
  /** The bandwidth is used up: the pump comes back by itself. */
  #throttled = false;

  constructor(options: LineOptions) {
    this.pseudonym = options.pseudonym;
    this.#options = options;
    this.#idleSinceMs = options.timing.monotonicMs();
  }

  /** Records of this pseudonym went out that no receiver has acknowledged. */
  get awaits(): boolean {
    return this.#unanswered.size > 0;
  }

  acknowledged({ stream, uptoSeq, missing }: Ack): void {
    if (missing.length > 0 || this.#unanswered.size === 0) return;
    const end = `/${Buffer.from(stream).toString('base64url')}`;
    for (const [topic, highest] of this.#unanswered) {
      if (topic.endsWith(end) && uptoSeq >= highest) this.#unanswered.delete(topic);
    }
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
    return this.#waiting.size + this.#inflight;
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
    for (const row of this.#waiting.drain()) this.#options.events.failed(row);
  }

  /**
   * Publishes something that is no row, now; resolves at PUBACK.
   *
   * @throws {TollgateError} TG_BROKER_LOST where no connection stands
   */
  async tell(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#link === null) throw new TollgateError('TG_BROKER_LOST', 'there is no connection');
    await this.#link.publish(topic, payload, { retain: false });
  }

  /** Bytes that the connection was given and the network has not taken. */
  get unsentBytes(): number {
    return this.#link?.unsentBytes ?? 0;
  }

  /** Throws away what the connection was given and has not sent; the next one comes after the usual wait. */
  cut(): void {
    if (this.unsentBytes > 0) this.#link?.reset();
  }

  /**
   * Says goodbye and ends.
   *
   * @param retire the pseudonym has no more rows: the broker forgets its sessions, and the one of this connection
   */
  async close({ retire = false }: { readonly retire?: boolean } = {}): Promise<void> {
    const link = this.#link;
    if (link !== null) {
      // A goodbye without this message would leave "online" standing: the broker drops the will.
      const last = retire ? NOTHING : OFFLINE;
      const told = [link.publish(this.#options.topics.status, last, { retain: true })];
      if (retire) for (const topic of this.#sessions.keys()) told.push(link.publish(topic, NOTHING, { retain: true }));
      const given = new AbortController();
      await Promise.race([Promise.allSettled(told), this.#options.timing.sleep(GOODBYE_MS, given.signal)]);
      given.abort();
      if (retire) await link.end({ forget: true });
    }
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { timing } = this.#options;
    const stopped = this.#stop.signal;
    let failures = 0;
    while (!stopped.aborted) {
      const stoodMs = await this.#connection();
      if (stopped.aborted) break;
      // Time spent on trying says nothing: a broker that answers late is a broker in need.
      if (stoodMs >= STABLE_MS) failures = 0;
      await timing.sleep(backoffMs(failures++, timing.random), stopped);
    }
    this.release();
  }

  /** One connection from CONNECT to its end; returns how long it stood, ms. */
  async #connection(): Promise<number> {
    const { link: where, topics, events } = this.#options;
    const closed = Promise.withResolvers<TollgateError | null>();
    let wire: ByteCounters | null = null;
    try {
      const tls = typeof where.tls === 'function' ? await where.tls(this.pseudonym) : where.tls;
      const link = await this.#options.connect({
        url: where.url,
        protocol: where.protocol,
        tls,
        clientId: this.pseudonym,
        keepalive: where.keepalive ?? KEEPALIVE_S,
        will: {
          topic: topics.status,
          payload: OFFLINE,
          retain: true,
          ...(where.willDelayS === undefined ? {} : { delayS: where.willDelayS }),
        },
        sessionExpiryS: where.sessionExpiryS ?? 0,
        receiveMaximum: RECEIVE_MAXIMUM,
        maximumPacketBytes: MOST_PACKET_BYTES,
        onMessage: (topic, payload) => (topic === topics.ack ? events.ack(payload) : events.document(payload)),
        onWire: (opened) => {
          wire = opened;
          events.began(opened);
        },
        onClose: closed.resolve,
        signal: this.#stop.signal,
      });
      this.#connects++;
      await this.#greet(link);
      this.#link = link;
      events.up();
      this.#pump();
    } catch (error) {
      if (wire !== null) events.ended(wire);
      if (!this.#stop.signal.aborted) events.error(asError(error));
      return 0;
    }
    const upSinceMs = this.#options.timing.monotonicMs();
    const why = await closed.promise;
    const stoodMs = this.#options.timing.monotonicMs() - upSinceMs;
    if (wire !== null) events.ended(wire);
    this.#link = null;
    this.release();
    // Publications that were in flight have been rejected; their rows are failed one by one.
    while (this.#inflight > 0) await this.#changed.wait(Number.POSITIVE_INFINITY, this.#options.timing);
    if (why !== null) events.error(why);
    events.down();
    return stoodMs;
  }

  /** Subscribes, says "online", repeats the sessions of streams that still run. */
  async #greet(link: MqttLink): Promise<void> {
    const { topics } = this.#options;
    try {
      await link.subscribe([topics.ack, topics.documents]);
      await link.publish(topics.status, ONLINE, { retain: true });
      // A broker that kept our session kept what it retained, too.
      const sessions = link.sessionPresent ? [] : [...this.#sessions.values()];
      await Promise.all(sessions.map(({ topic, payload, retain }) => link.publish(topic, payload, { retain })));
    } catch (error) {
      await link.end();
      throw error;
    }
  }

  #pump(): void {
    const link = this.#link;
    if (link === null || this.#throttled) return;
    const { bandwidth, window, mayLeave } = this.#options;
    const most = Math.min(window, link.receiveMaximum);
    while (this.#inflight < most && this.#waiting.size > 0 && mayLeave()) {
      const waitMs = bandwidth?.take(sizeOf(this.#waiting.first!)) ?? 0;
      if (waitMs > 0) {
        this.#pumpLater(waitMs);
        return;
      }
      this.#send(link, this.#waiting.shift()!);
    }
  }

  #pumpLater(ms: number): void {
    this.#throttled = true;
    void this.#options.timing.sleep(ms, this.#stop.signal).then(() => {
      this.#throttled = false;
      this.#pump();
    });
  }

  #send(link: MqttLink, row: OutboxRow): void {
    const { events, link: where } = this.#options;
    const size = sizeOf(row);
    if (size > link.maximumPacketBytes) {
      const text = `a message of ${size} bytes is larger than the broker's largest packet (${link.maximumPacketBytes})`;
      events.tooLarge(row, new TollgateError('TG_UPLINK_TOO_LARGE', text));
      return;
    }
    if (row.kind === 'session') this.#remember(row);
    if (row.kind === 'record') this.#await(row);
    this.#inflight++;
    const expiry = row.kind === 'session' || !where.messageExpiryS ? {} : { expiryS: where.messageExpiryS };
    const options = { retain: row.retain, alias: row.kind === 'record', ...expiry };
    link.publish(row.topic, row.payload, options).then(
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

  #await({ topic, seq }: OutboxRow): void {
    this.#unanswered.set(topic, Math.max(seq, this.#unanswered.get(topic) ?? seq));
  }

  #remember(row: OutboxRow): void {
    this.#sessions.delete(row.topic);
    this.#sessions.set(row.topic, row);
    const oldest = this.#sessions.keys().next().value;
    if (this.#sessions.size > SESSIONS_KEPT && oldest !== undefined) this.#sessions.delete(oldest);
  }
}

/** Bytes of the packet, at most. */
export function sizeOf(row: OutboxRow): number {
  return row.payload.length + row.topic.length + PACKET_OVERHEAD;
}

function asError(error: unknown): TollgateError {
  if (error instanceof TollgateError) return error;
  return new TollgateError('TG_BROKER_UNREACHABLE', error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
