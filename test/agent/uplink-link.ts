import type { TollgateError } from '#contracts';
import type { MqttLink, MqttOptions, PublishOptions } from '#firmware-bridge/mqtt';
import { createUplink, type Uplink, type UplinkOptions, type UplinkTiming } from '../../agent/uplink.ts';
import { MemoryStore } from './memory-store.ts';
import { PSEUDONYM, TENANT, verifyPlain } from './uplink-parts.ts';

/** Time that stands until a test moves it. */
export class FakeClock implements UplinkTiming {
  now = 0;
  #sleepers: { readonly at: number; wake(): void }[] = [];
  readonly random = () => 0.5;
  readonly monotonicMs = () => this.now;
  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const sleeper = { at: this.now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        resolve();
      });
    });

  /** Moves on by `ms`, in steps, and lets everything that is due run. */
  async pass(ms: number, step = 10): Promise<void> {
    for (const end = this.now + ms; this.now < end; ) {
      this.now = Math.min(end, this.now + step);
      const due = this.#sleepers.filter(({ at }) => at <= this.now);
      this.#sleepers = this.#sleepers.filter(({ at }) => at > this.now);
      for (const { wake } of due) wake();
      await quiet();
    }
  }
}

/** Everything that can go on without time has. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Sent {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly options: PublishOptions;
  /** Under which it came. */
  readonly clientId: string;
  readonly atMs: number;
}

/** A broker of no bytes: it notes what it is given, and answers at once or when a test says so. */
export class FakeBroker {
  readonly sent: Sent[] = [];
  readonly links: MqttOptions[] = [];
  receiveMaximum = 65_535;
  maximumPacketBytes = Number.POSITIVE_INFINITY;
  /** PUBACK comes by itself. */
  answers = true;
  unsentBytes = 0;
  resets = 0;
  forgotten = 0;
  /** Keeps what it was given; a long run does not. */
  keeps = true;
  count = 0;
  onSent: ((sent: Sent) => void) | null = null;
  /** Ends the connections that stand. */
  cut: () => void = () => undefined;
  readonly #clock: Pick<UplinkTiming, 'monotonicMs'>;
  #open: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(clock: Pick<UplinkTiming, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Rows only: what is said on the status topic is left out. */
  get rows(): readonly Sent[] {
    return this.sent.filter(({ topic }) => !topic.endsWith('/st'));
  }

  puback(count = Number.POSITIVE_INFINITY): void {
    for (const { resolve } of this.#open.splice(0, count)) resolve();
  }

  /** A message to the unit over its newest connection. */
  async deliver(kind: 'ack' | 'doc', bytes: Uint8Array): Promise<void> {
    const options = this.links.at(-1)!;
    await options.onMessage(`v1/t1/${options.clientId}/rx/${kind}`, bytes);
  }

  readonly connect = async (options: MqttOptions): Promise<MqttLink> => {
    this.links.push(options);
    const broker = this;
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      for (const { reject } of broker.#open.splice(0)) reject(new Error('gone'));
      options.onClose(null);
    };
    options.signal?.addEventListener('abort', end);
    this.cut = end;
    return {
      receiveMaximum: this.receiveMaximum,
      maximumPacketBytes: this.maximumPacketBytes,
      topicAliasMaximum: 0,
      sessionPresent: false,
      get unsentBytes() {
        return broker.unsentBytes;
      },
      publish: (topic, payload, publishOptions) => {
        const sent = {
          topic,
          payload,
          options: publishOptions,
          clientId: options.clientId,
          atMs: this.#clock.monotonicMs(),
        };
        this.count++;
        if (this.keeps) this.sent.push(sent);
        this.onSent?.(sent);
        if (this.answers || topic.endsWith('/st')) return Promise.resolve();
        return new Promise((resolve, reject) => void this.#open.push({ resolve, reject }));
      },
      subscribe: async () => undefined,
      end: async (how = {}) => {
        if (how.forget === true) this.forgotten++;
        end();
      },
      reset: () => {
        this.resets++;
        this.unsentBytes = 0;
        end();
      },
    };
  };
}

/** An uplink between a store in memory and a broker of no bytes, in time that stands until it is moved. */
export interface Made {
  readonly clock: FakeClock;
  readonly broker: FakeBroker;
  readonly store: MemoryStore;
  readonly uplink: Uplink;
  readonly errors: TollgateError[];
}

export function made(options: Partial<UplinkOptions> = {}): Made {
  const clock = new FakeClock();
  const broker = new FakeBroker(clock);
  const store = new MemoryStore(clock.monotonicMs);
  const errors: TollgateError[] = [];
  const uplink = createUplink({
    store,
    link: { url: 'mqtt://nowhere', protocol: 5 },
    tenant: TENANT,
    pseudonym: PSEUDONYM,
    window: 16,
    verifyAck: verifyPlain,
    timing: clock,
    connect: broker.connect,
    observe: { error: (error) => void errors.push(error) },
    ackTimeoutMs: 1e9,
    ...options,
  });
  return { clock, broker, store, uplink, errors };
}

export const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
/** What `verifyPlain` reads. */
export const ack = (fields: object) => Buffer.from(JSON.stringify({ stream: 1, upto: 0, missing: [], ...fields }));
