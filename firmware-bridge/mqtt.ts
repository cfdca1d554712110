import type { IClientOptions, IClientPublishOptions, MqttClient } from 'mqtt';
import { TollgateError } from '#contracts';
import { TopicAliases } from './mqtt/aliases.ts';
import type { TimeBounds } from './mqtt/judge.ts';
import { openWire, type Wire } from './mqtt/wire.ts';

/** MQTT version: 5, or 4 for brokers that speak 3.1.1 only. */
export type MqttProtocol = 5 | 4;

/** PEM texts. Both sides speak TLS 1.3; `cert` and `key` prove the client (mutual authentication). */
export interface MqttTls {
  /** One CA or several, one after the other: two that overlap while the broker's rotates. */
  readonly ca: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /**
   * What the caller knows of UTC. Where the host's clock cannot be right, dates of certificates are held against this.
   */
  readonly time?: () => TimeBounds;
}

/** What the broker publishes when the connection ends without a goodbye. */
export interface MqttWill {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** The broker waits so long for the client to come back before it publishes, s (MQTT 5, and only within a session). */
  readonly delayS?: number;
}

/** Bytes on a socket, TLS included. */
export interface ByteCounters {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** How one message goes out. */
export interface PublishOptions {
  readonly retain: boolean;
  /** Many messages go to this topic: where the broker grants aliases, two bytes stand for it after the first. */
  readonly alias?: boolean;
  /** The broker may forget the message when nobody took it for so long, s (MQTT 5). */
  readonly expiryS?: number;
}

export interface MqttOptions {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string;
  readonly protocol: MqttProtocol;
  readonly clientId: string;
  readonly tls?: MqttTls | undefined;
  readonly will?: MqttWill | undefined;
  /** Seconds between signs of life. */
  readonly keepalive: number;
  /** Longest wait for the broker's answer to CONNECT, ms. */
  readonly connectTimeoutMs?: number;
  /**
   * How long the broker keeps our subscriptions, and messages to them, after the connection, s (MQTT 5). 0, the
   * default: the session ends with the connection. With 3.1.1 it always does.
   */
  readonly sessionExpiryS?: number;
  /** Messages that the broker may have in flight towards us (MQTT 5 only). */
  readonly receiveMaximum?: number;
  /** Largest packet that we take, bytes; larger messages are let go, with MQTT 5 by the broker already. */
  readonly maximumPacketBytes?: number;
  /**
   * A message came. The broker's next message, and its answer to this one, wait for the promise: that is the
   * back-pressure. It must not wait for a `publish` of the same link, whose PUBACK would wait behind it.
   * A rejection closes the link, the message stays unacknowledged.
   */
  onMessage(topic: string, payload: Uint8Array): void | Promise<void>;
  /** The socket of this connection, before it stands: its counters go on until it ends, and stay after. */
  onWire?(wire: ByteCounters): void;
  /** The link ended, once; null after `end()`. */
  onClose(error: TollgateError | null): void;
  readonly signal?: AbortSignal;
}

/** One connection to a broker, from CONNACK to its end. It holds nothing that outlives it: the outbox is the store. */
export interface MqttLink {
  /** Messages that the broker takes without PUBACK (MQTT 5 receive maximum). */
  readonly receiveMaximum: number;
  /** Largest packet that the broker takes, bytes; Infinity where it named none. */
  readonly maximumPacketBytes: number;
  /** Topic aliases that the broker grants; 0 for none. */
  readonly topicAliasMaximum: number;
  /** The broker still had our session: subscriptions stand, and what came meanwhile follows. */
  readonly sessionPresent: boolean;
  /** Bytes of ours that have not left this process. */
  readonly unsentBytes: number;
  /**
   * Resolves at PUBACK. Calls reach the broker in their order.
   *
   * @throws {TollgateError} TG_BROKER_LOST when the connection ends first, TG_BROKER_PUBLISH when the broker says no
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  /** @throws {TollgateError} TG_BROKER_REFUSED when the broker grants less than QoS 1 */
  subscribe(filters: readonly string[]): Promise<void>;
  /** Says goodbye where nothing is in flight, and closes; `forget` ends the session at the broker too. */
  end(options?: { readonly forget?: boolean }): Promise<void>;
  /** Closes without a word: what has not left the machine is thrown away. */
  reset(): void;
}

/** Wait before the second attempt, ms; it doubles from there. */
export const FIRST_BACKOFF_MS = 1_000;
/** Chance may say 0; a broker that refuses at once is not asked in a circle, ms. */
export const SHORTEST_BACKOFF_MS = 50;
/** Longest wait between attempts, ms: a broker that is back has its clients within a minute. */
export const LONGEST_BACKOFF_MS = 60_000;
/** A connection that stood this long starts the waits anew, ms: one that falls at once does not. */
export const STABLE_MS = 10_000;

/**
 * Wait before the next attempt: by chance up to a bound that doubles each time (full jitter), so that a fleet does not
 * come back as one.
 *
 * @param failures attempts or short connections in a row, 0 for none
 * @param random   0 ≤ x < 1
 */
export function backoffMs(failures: number, random: () => number): number {
  const bound = Math.min(FIRST_BACKOFF_MS * 2 ** failures, LONGEST_BACKOFF_MS);
  return Math.max(SHORTEST_BACKOFF_MS, random() * bound);
}

/** Longest wait for CONNACK where the caller names none, ms. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** Largest packet that we take where the caller names none, bytes: a record is at most 128 KiB, a session or a proof less. */
const MOST_PACKET_BYTES = 1024 * 1024;
/** Without a receive maximum of the broker the packet identifier is the limit, MQTT 5 §3.2.2.3.3. */
const MOST_IN_FLIGHT = 65_535;
/** How long a goodbye may take before the socket is closed, ms. */
const GOODBYE_MS = 200;
/** CONNACK: unacceptable protocol version, MQTT 3.1.1 §3.2.2.3, and its like in MQTT 5 §3.2.2.2. */
const WRONG_PROTOCOL = [1, 132];
/** SUBACK codes from here on are refusals. */
const SUBACK_FAILURE = 0x80;

/**
 * The one place that opens an MQTT connection. Reconnecting is the caller's: a link that ended is never used again.
 *
 * The library keeps no message for us: with its default options it loses a third of a long backlog without a word
 * (identifiers wrap over messages that still wait). So identifiers are unique, nothing is queued offline, sessions
 * are clean, and a publication that got no PUBACK is an error that the caller's store answers.
 *
 * @throws {TollgateError} TG_BROKER_UNREACHABLE, TG_BROKER_PROTOCOL, TG_BROKER_REFUSED, TG_BROKER_TLS
 */
export async function connectMqtt(options: MqttOptions): Promise<MqttLink> {
  // Imported here: a unit that only checks its documents does not load it.
  const mqtt = await import('mqtt');
  options.signal?.throwIfAborted();
  const url = new URL(options.url);
  const wire = openWire(url, options.tls);
  options.onWire?.(wire);
  if (wire.judged !== null) {
    await wire.judged.catch((cause: Error) => {
      if (cause instanceof TollgateError) throw cause;
      throw new TollgateError('TG_BROKER_UNREACHABLE', `${url.host}: ${cause.message}`, { cause });
    });
  }
  const client = new mqtt.default.MqttClient(() => wire.stream, {
    ...clientOptions(options, url),
    messageIdProvider: new mqtt.UniqueMessageIdProvider(),
  });
  return await new Promise<MqttLink>((resolve, reject) => {
    const link = new Link(client, wire, options, { resolve, reject });
    if (options.signal !== undefined) {
      const abort = () => void link.end();
      options.signal.addEventListener('abort', abort, { once: true });
      client.once('close', () => options.signal?.removeEventListener('abort', abort));
    }
  });
}

function clientOptions(options: MqttOptions, url: URL): IClientOptions {
  const { protocol, will, sessionExpiryS = 0 } = options;
  const five = protocol === 5;
  const delay = five && will?.delayS !== undefined ? { properties: { willDelayInterval: will.delayS } } : {};
  return {
    protocolVersion: protocol,
    clientId: options.clientId,
    // 3.1.1 has no session that ends by itself: one per pseudonym would stay at the broker for ever.
    clean: !five || sessionExpiryS === 0,
    keepalive: options.keepalive,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    // The library else makes a buffer for each of 65,536 numbers: 7 MB that stay.
    writeCache: false,
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(will === undefined
      ? {}
      : { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: will.retain, ...delay } }),
    ...(five
      ? {
          properties: {
            sessionExpiryInterval: sessionExpiryS,
            receiveMaximum: options.receiveMaximum ?? MOST_IN_FLIGHT,
            maximumPacketSize: options.maximumPacketBytes ?? MOST_PACKET_BYTES,
          },
        }
      : {}),
  };
}

interface Waiting {
  resolve(link: MqttLink): void;
  reject(error: Error): void;
}

class Link implements MqttLink {
  receiveMaximum = MOST_IN_FLIGHT;
  maximumPacketBytes = Number.POSITIVE_INFINITY;
  topicAliasMaximum = 0;
  sessionPresent = false;
  readonly #client: MqttClient;
  readonly #wire: Wire;
  readonly #options: MqttOptions;
  /** Ends each unanswered call: the library forgets those whose socket closed. */
  readonly #open = new Set<(error: TollgateError) => void>();
  readonly #closed: Promise<void>;
  #state: 'connecting' | 'live' | 'closed' = 'connecting';
  #ending = false;
  #error: Error | null = null;
  /** Of this connection: none is ever carried into the next. */
  #aliases = new TopicAliases(0);

  constructor(client: MqttClient, wire: Wire, options: MqttOptions, waiting: Waiting) {
    this.#client = client;
    this.#wire = wire;
    // Until the handshake is done, an error without a code is one too: the library passes on only those that have one.
    wire.stream.on('error', (error) => {
      this.#error ??= error;
    });
    this.#options = options;
    client.on('error', (error) => {
      this.#error ??= error;
    });
    // MQTT 5: the broker says why it goes.
    client.on('disconnect', (packet) => {
      this.#error ??= new Error(`the broker ended the connection with reason ${packet.reasonCode}`);
    });
    client.once('connect', (connack) => {
      this.receiveMaximum = connack.properties?.receiveMaximum ?? MOST_IN_FLIGHT;
      this.maximumPacketBytes = connack.properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      this.topicAliasMaximum = connack.properties?.topicAliasMaximum ?? 0;
      this.sessionPresent = connack.sessionPresent;
      this.#aliases = new TopicAliases(this.topicAliasMaximum);
      this.#state = 'live';
      waiting.resolve(this);
    });
    client.handleMessage = (packet, done) => this.#take(packet.topic, packet.payload as Buffer, done);
    this.#closed = new Promise((resolve) => {
      client.once('close', () => {
        this.#close(waiting);
        resolve();
      });
    });
  }

  get unsentBytes(): number {
    return this.#wire.unsentBytes;
  }

  publish(topic: string, payload: Uint8Array, { retain, alias = false, expiryS }: PublishOptions): Promise<void> {
    return this.#ask((done) => {
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      const use = alias ? this.#aliases.use(topic) : null;
      const properties = {
        ...(use === null ? {} : { topicAlias: use.alias }),
        ...(expiryS === undefined ? {} : { messageExpiryInterval: expiryS }),
      };
      const name = use === null || use.withTopic ? topic : '';
      const options = this.#options.protocol === 5 ? { qos: 1, retain, properties } : { qos: 1, retain };
      this.#client.publish(name, bytes, options as IClientPublishOptions, (error) => {
        done(error == null ? null : this.#failure('TG_BROKER_PUBLISH', 'the broker refused a message', error));
      });
    });
  }

  subscribe(filters: readonly string[]): Promise<void> {
    return this.#ask((done) => {
      this.#client.subscribe([...filters], { qos: 1 }, (error, granted) => {
        const weak = granted?.some((one) => one.qos >= SUBACK_FAILURE || one.qos < 1) ?? false;
        if (error == null && !weak) return done(null);
        const reason = error ?? new Error('it does not grant QoS 1');
        done(this.#failure('TG_BROKER_REFUSED', 'the broker refused a subscription', reason));
      });
    });
  }

  reset(): void {
    if (this.#state !== 'closed') this.#wire.reset();
  }

  async end({ forget = false }: { readonly forget?: boolean } = {}): Promise<void> {
    if (this.#state === 'closed') return;
    this.#ending = true;
    const graceful = this.#state === 'live' && this.#open.size === 0;
    // Reason 0 drops the last will, MQTT 5 §3.14.4.
    const last = forget && this.#options.protocol === 5 ? { properties: { sessionExpiryInterval: 0 } } : {};
    this.#client.end(!graceful, { reasonCode: 0, ...last });
    const forced = setTimeout(() => this.#client.stream.destroy(), GOODBYE_MS);
    await this.#closed;
    clearTimeout(forced);
  }

  /** Runs one call that the broker answers; the end of the connection is an answer too. */
  #ask(start: (done: (error: TollgateError | null) => void) => void): Promise<void> {
    if (this.#state !== 'live' || this.#ending) return Promise.reject(this.#lost());
    return new Promise((resolve, reject) => {
      const lost = (error: TollgateError) => {
        this.#open.delete(lost);
        reject(error);
      };
      this.#open.add(lost);
      start((error) => {
        this.#open.delete(lost);
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  #take(topic: string, payload: Uint8Array, done: (error?: Error) => void): void {
    const refuse = (error: unknown) => {
      this.#error ??= error instanceof Error ? error : new Error(String(error));
      // Neither `done` nor PUBACK: the message belongs to the sender until somebody took it.
      this.#client.stream.destroy();
    };
    // Nothing that is expected is as long: it is let go before anybody reads it, and acknowledged, so that it does not come again.
    if (payload.length > (this.#options.maximumPacketBytes ?? MOST_PACKET_BYTES)) {
      done();
      return;
    }
    try {
      const taken = this.#options.onMessage(topic, payload);
      if (taken === undefined) done();
      else taken.then(() => done(), refuse);
    } catch (error) {
      refuse(error);
    }
  }

  #close(waiting: Waiting): void {
    const before = this.#state;
    this.#state = 'closed';
    this.#client.end(true);
    const error = this.#lost();
    for (const lost of [...this.#open]) lost(error);
    if (before === 'connecting') waiting.reject(this.#connectError());
    else this.#options.onClose(this.#ending ? null : error);
  }

  /** Where to, without credentials. */
  get #broker(): string {
    return URL.parse(this.#options.url)?.host ?? 'the broker';
  }

  #lost(): TollgateError {
    const why = this.#error === null ? '' : `: ${reasonOf(this.#error)}`;
    return new TollgateError('TG_BROKER_LOST', `the connection to ${this.#broker} was lost${why}`, {
      cause: this.#error ?? undefined,
    });
  }

  /** An error of one call: a connection that ends meanwhile is the truer reason. */
  #failure(code: 'TG_BROKER_PUBLISH' | 'TG_BROKER_REFUSED', message: string, cause: Error): TollgateError {
    if (this.#state !== 'live') return this.#lost();
    return new TollgateError(code, `${message}: ${reasonOf(cause)}`, { cause });
  }

  #connectError(): TollgateError {
    const error = this.#error ?? new Error('it closed the connection before it answered');
    const code = 'code' in error ? error.code : undefined;
    const { protocol } = this.#options;
    if (typeof code === 'number' && WRONG_PROTOCOL.includes(code)) {
      const other = protocol === 5 ? 4 : 5;
      return new TollgateError('TG_BROKER_PROTOCOL', `${this.#broker} does not speak MQTT ${name(protocol)}`, {
        remedy: `Set \`uplink.protocol: ${other}\` (\`--protocol ${other}\`) for MQTT ${name(other)}; it is never changed silently.`,
        cause: error,
      });
    }
    if (typeof code === 'number') {
      return new TollgateError('TG_BROKER_REFUSED', `${this.#broker} refused: ${reasonOf(error)}`, { cause: error });
    }
    if (typeof code === 'string' && TLS_ERROR.test(code)) {
      return new TollgateError('TG_BROKER_TLS', `no TLS with ${this.#broker}: ${reasonOf(error)}`, { cause: error });
    }
    return new TollgateError('TG_BROKER_UNREACHABLE', `no connection to ${this.#broker}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Codes of OpenSSL and of Node's certificate checks. */
const TLS_ERROR = /^(ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO$)/;

function name(protocol: MqttProtocol): string {
  return protocol === 5 ? '5' : '3.1.1';
}

/** Several addresses that all refuse make one error without a text. */
function reasonOf(error: Error): string {
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
