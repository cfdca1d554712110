import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { TollgateError } from '#contracts';
import {
  backoffMs,
  connectMqtt,
  type MqttLink,
  type MqttProtocol,
  type MqttTls,
  STABLE_MS,
} from '#firmware-bridge/mqtt';
import type { ReceiverAlarm } from './alarms.ts';
import type { ReceiverStore, RecordSink } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { createReceiver, type ReceiverStatus } from './receiver.ts';

export interface ReceiverServiceOptions {
  readonly url: string;
  readonly protocol: MqttProtocol;
  readonly tls?: MqttTls | undefined;
  readonly keys: ReceiverKeys;
  readonly store: ReceiverStore;
  readonly sinks?: readonly RecordSink[];
  /** Receivers of one group share the records and proofs: each goes to one of them. Alone where it is not named. */
  readonly group?: string | undefined;
  alarm(alarm: ReceiverAlarm): void;
  /** Wait before the next connection after so many failures in a row, ms; a test gives its own. */
  readonly waitMs?: (failures: number) => number;
  /** The connection came or went; the error says why it went. */
  connection?(up: boolean, error: TollgateError | null): void;
}

/** A receiver at a broker. */
export interface ReceiverService {
  status(): ReceiverStatus & { readonly connected: boolean };
  /** Since when no message has come, ms. */
  idleMs(): number;
  /** Resolves when the store or an output failed: nothing more is taken, nothing unstored was acknowledged. */
  readonly failed: Promise<Error>;
  /** Stores and acknowledges what was taken, says goodbye. The store and the sinks stay open: they are the caller's. */
  close(): Promise<void>;
}

/** What a receiver subscribes: sessions first, their retained ones come before the records. */
export const FILTERS = ['v1/+/+/tx/+/s', 'v1/+/+/tx/+/p', 'v1/+/+/tx/+'];
/** A share name of MQTT 5 §4.8.2 that needs no escape anywhere. */
const GROUP = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * What one receiver of a group subscribes. Every one has all sessions: a broker sends no retained message to a shared
 * subscription (MQTT 5 §4.8.2).
 *
 * @throws {RangeError} for a name that is none
 */
export function filtersOf(group: string | undefined): readonly string[] {
  if (group === undefined) return FILTERS;
  if (!GROUP.test(group)) throw new RangeError('a group is named with letters, digits, _ and -, at most 64');
  const [sessions, ...shared] = FILTERS;
  return [sessions!, ...shared.map((filter) => `$share/${group}/${filter}`)];
}
const KEEPALIVE_S = 30;
/** Messages that the broker may have in flight towards us: one transaction's worth. */
const RECEIVE_MAXIMUM = 500;
/** How often stored records are acknowledged and alarms looked for, ms. */
const TICK_MS = 200;
/** How long goodbye waits for the PUBACKs of the last acknowledgements, ms. */
const GOODBYE_MS = 1_000;

/**
 * Connects and receives. A broker that is lost later is tried again for ever.
 *
 * @throws {TollgateError} TG_BROKER_… when the first connection fails
 */
export async function startReceiver(options: ReceiverServiceOptions): Promise<ReceiverService> {
  const service = new Service(options);
  await service.start();
  return service;
}

interface Connection {
  /** Resolves when the connection ends. */
  readonly closed: Promise<TollgateError | null>;
}

class Service implements ReceiverService {
  readonly failed: Promise<Error>;
  readonly #options: ReceiverServiceOptions;
  readonly #receiver;
  readonly #stop = new AbortController();
  readonly #acks = new Set<Promise<void>>();
  readonly #clientId = `receiver-${randomUUID().slice(0, 8)}`;
  #fail: (error: Error) => void = () => {};
  #link: MqttLink | null = null;
  #lastMs = performance.now();
  #ticker: NodeJS.Timeout | null = null;
  #ended = false;

  constructor(options: ReceiverServiceOptions) {
    this.#options = options;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#receiver = createReceiver({
      keys: options.keys,
      store: options.store,
      sinks: options.sinks ?? [],
      publishAck: (topic, bytes) => this.#publishAck(topic, bytes),
      now: () => performance.now(),
      alarm: (alarm) => options.alarm(alarm),
    });
  }

  async start(): Promise<void> {
    await this.#receiver.start();
    const { closed } = await this.#connect();
    this.#ticker = setInterval(() => this.#receiver.tick().catch((error: Error) => this.#broke(error)), TICK_MS);
    void this.#keep(closed);
  }

  status(): ReceiverStatus & { readonly connected: boolean } {
    return { ...this.#receiver.status(), connected: this.#link !== null };
  }

  idleMs(): number {
    return performance.now() - this.#lastMs;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#ticker !== null) clearInterval(this.#ticker);
    await this.#receiver.flush().catch((error: Error) => this.#fail(error));
    const acknowledged = Promise.allSettled([...this.#acks]);
    await Promise.race([acknowledged, sleep(GOODBYE_MS, undefined, { ref: false })]);
    this.#stop.abort();
    await this.#link?.end();
  }

  async #connect(): Promise<Connection> {
    const closed = Promise.withResolvers<TollgateError | null>();
    const { url, protocol, tls } = this.#options;
    const link = await connectMqtt({
      url,
      protocol,
      tls,
      clientId: this.#clientId,
      keepalive: KEEPALIVE_S,
      receiveMaximum: RECEIVE_MAXIMUM,
      onMessage: (topic, payload) => this.#take(topic, payload),
      onClose: closed.resolve,
      signal: this.#stop.signal,
    });
    // Acknowledgements may be due with the first message, before SUBACK.
    this.#link = link;
    try {
      await link.subscribe(filtersOf(this.#options.group));
    } catch (error) {
      this.#link = null;
      await link.end();
      throw error;
    }
    this.#options.connection?.(true, null);
    return { closed: closed.promise };
  }

  async #keep(first: Promise<TollgateError | null>): Promise<void> {
    let closed: Promise<TollgateError | null> | null = first;
    let failures = 0;
    let begun = performance.now();
    while (!this.#stop.signal.aborted) {
      if (closed !== null) {
        const error = await closed;
        this.#link = null;
        if (this.#stop.signal.aborted || this.#ended) return;
        this.#options.connection?.(false, error);
        if (performance.now() - begun >= STABLE_MS) failures = 0;
      }
      const { waitMs = (count: number) => backoffMs(count, Math.random) } = this.#options;
      await sleep(waitMs(failures++), undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      begun = performance.now();
      const next = await this.#connect().catch((error: unknown) => {
        this.#options.connection?.(false, error instanceof TollgateError ? error : null);
        return null;
      });
      closed = next?.closed ?? null;
    }
  }

  async #take(topic: string, payload: Uint8Array): Promise<void> {
    this.#lastMs = performance.now();
    try {
      await this.#receiver.handle(topic, payload);
    } catch (error) {
      this.#broke(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  #broke(error: Error): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#stop.abort();
    this.#fail(error);
  }

  /** Not awaited: its PUBACK comes behind the message that is being taken. What is lost here is asked for again. */
  #publishAck(topic: string, bytes: Uint8Array): void {
    const sent: Promise<void> = (this.#link?.publish(topic, bytes, { retain: false }) ?? Promise.resolve())
      .catch(() => undefined)
      .finally(() => this.#acks.delete(sent));
    this.#acks.add(sent);
  }
}
