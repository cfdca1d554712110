import type { IClientOptions, MqttClient } from 'mqtt';
import { TollgateError } from '#contracts';

/** MQTT version: 5, or 4 for brokers that speak 3.1.1 only. */
export type MqttProtocol = 5 | 4;

/** PEM texts. Both sides speak TLS 1.3; `cert` and `key` prove the client (mutual authentication). */
export interface MqttTls {
  readonly ca: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** What the broker publishes when the connection ends without a goodbye. */
export interface MqttWill {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
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
  /** Messages that the broker may have in flight towards us (MQTT 5 only). */
  readonly receiveMaximum?: number;
  /**
   * A message came. The broker's next message, and its answer to this one, wait for the promise: that is the
   * back-pressure. It must not wait for a `publish` of the same link, whose PUBACK would wait behind it.
   * A rejection closes the link, the message stays unacknowledged.
   */
  onMessage(topic: string, payload: Uint8Array): void | Promise<void>;
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
  /**
   * Resolves at PUBACK. Calls reach the broker in their order.
   *
   * @throws {TollgateError} TG_BROKER_LOST when the connection ends first, TG_BROKER_PUBLISH when the broker says no
   */
  publish(topic: string, payload: Uint8Array, options: { readonly retain: boolean }): Promise<void>;
  /** @throws {TollgateError} TG_BROKER_REFUSED when the broker grants less than QoS 1 */
  subscribe(filters: readonly string[]): Promise<void>;
  /** Says goodbye where nothing is in flight, and closes. */
  end(): Promise<void>;
}

/** Wait before the second attempt, ms; it doubles from there. */
export const FIRST_BACKOFF_MS = 1_000;
/** Longest wait between attempts, ms: a broker that is back has its clients within a minute. */
export const LONGEST_BACKOFF_MS = 60_000;
/** A connection that stood this long starts the waits anew, ms: one that falls at once does not. */
export const STABLE_MS = 10_000;

/**
 * Wait before the next attempt: doubled each time, half of it by chance, so that a fleet does not come back as one.
 *
 * @param failures attempts or short connections in a row, 0 for none
 * @param random   0 ≤ x < 1
 */
export function backoffMs(failures: number, random: () => number): number {
  const whole = Math.min(FIRST_BACKOFF_MS * 2 ** failures, LONGEST_BACKOFF_MS);
  return whole / 2 + random() * (whole / 2);
}

/** Longest wait for CONNACK where the caller names none, ms. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** Without a receive maximum of the broker the packet identifier is the limit, MQTT 5 §3.2.2.3.3. */
/** A record is at most 128 KiB, a session or a proof less; bytes. */
const MOST_MESSAGE_BYTES = 1024 * 1024;
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
  const client = mqtt.default.connect(options.url, {
    ...clientOptions(options),
    messageIdProvider: new mqtt.UniqueMessageIdProvider(),
  });
  return await new Promise<MqttLink>((resolve, reject) => {
    const link = new Link(client, options, { resolve, reject });
    if (options.signal !== undefined) {
      const abort = () => void link.end();
      options.signal.addEventListener('abort', abort, { once: true });
      client.once('close', () => options.signal?.removeEventListener('abort', abort));
    }
  });
}

function clientOptions(options: MqttOptions): IClientOptions {
  const pem = (text: string | Uint8Array) => (typeof text === 'string' ? text : Buffer.from(text));
  const { tls, will } = options;
  return {
    protocolVersion: options.protocol,
    clientId: options.clientId,
    clean: true,
    keepalive: options.keepalive,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(options.url.startsWith('mqtts:') ? { minVersion: 'TLSv1.3' } : {}),
    ...(tls === undefined ? {} : { ca: pem(tls.ca) }),
    ...(tls?.cert === undefined ? {} : { cert: pem(tls.cert) }),
    ...(tls?.key === undefined ? {} : { key: pem(tls.key) }),
    ...(will === undefined
      ? {}
      : { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: will.retain } }),
    ...(options.protocol === 5
      ? {
          properties: {
            sessionExpiryInterval: 0,
            receiveMaximum: options.receiveMaximum ?? MOST_IN_FLIGHT,
            maximumPacketSize: MOST_MESSAGE_BYTES,
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
  readonly #client: MqttClient;
  readonly #options: MqttOptions;
  /** Ends each unanswered call: the library forgets those whose socket closed. */
  readonly #open = new Set<(error: TollgateError) => void>();
  readonly #closed: Promise<void>;
  #state: 'connecting' | 'live' | 'closed' = 'connecting';
  #ending = false;
  #error: Error | null = null;

  constructor(client: MqttClient, options: MqttOptions, waiting: Waiting) {
    this.#client = client;
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

  publish(topic: string, payload: Uint8Array, { retain }: { readonly retain: boolean }): Promise<void> {
    return this.#ask((done) => {
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      this.#client.publish(topic, bytes, { qos: 1, retain }, (error) => {
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

  async end(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#ending = true;
    const graceful = this.#state === 'live' && this.#open.size === 0;
    this.#client.end(!graceful);
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
    // Nothing of this project is as long: it is let go before anybody reads it, and acknowledged, so that it does not come again.
    if (payload.length > MOST_MESSAGE_BYTES) {
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
