import { setTimeout as timer } from 'node:timers/promises';
import type { TollgateError } from '#contracts';
import { connectMqtt, type MqttLink, type MqttProtocol } from '#firmware-bridge/mqtt';
import type { Ack, StreamEntry } from '../../agent/store/contract.ts';
import { createUplink, type Uplink, type UplinkOptions, type UplinkTiming } from '../../agent/uplink.ts';
import { MemoryStore } from './memory-store.ts';

/** Time that runs `factor` times as fast: an hour of back-off in seconds of a test. */
export function fastTiming(factor: number): UplinkTiming {
  return {
    monotonicMs: () => performance.now() * factor,
    sleep: (ms, signal) => timer(Math.ceil(ms / factor), undefined, { signal }).catch(() => undefined),
    random: () => 0.5,
  };
}

/** 30 s without an acknowledgement are 300 ms here. */
export const FACTOR = 100;
/** Half a minute of the test's own time: only a hang is longer. */
export const LONG = 30_000 * FACTOR;

export const TENANT = 't1';
export const PSEUDONYM = 'AAAAAAAAAAAAAAAAAAAAAA';

export function streamEntry(number: number, pseudonym = PSEUDONYM, priority = 3): StreamEntry {
  const stream = new Uint8Array(8).fill(number);
  return {
    stream,
    pseudonym,
    recipient: 'did:web:a',
    purpose: 'p',
    agreement: 'urn:a',
    campaign: 'c',
    priority,
    topic: `v1/${TENANT}/${pseudonym}/tx/${Buffer.from(stream).toString('base64url')}`,
    session: Buffer.from(`session ${number}`),
  };
}

const METER = {
  agreement: '',
  recipient: '',
  purpose: '',
  action: 'distribute',
  hour: 0,
  records: 1,
  samples: 1,
  bytes: 1,
  fields: {},
  denied: 0,
};

export function append(store: MemoryStore, entry: StreamEntry, from: number, count: number): void {
  for (let seq = from; seq < from + count; seq++) {
    const payload = Buffer.from(JSON.stringify({ stream: entry.stream[0], seq }));
    store.append({ stream: entry.stream, seq, payload, leaf: payload, bodyHash: payload, meter: METER });
  }
}

/** A receiver that opens nothing: it notes what comes and answers with unsigned JSON. */
export class PlainReceiver {
  /** All that came, in the order in which it came: `topic` of sessions, `stream/seq` of records. */
  readonly seen: string[] = [];
  readonly #got = new Map<number, Set<number>>();
  #link: MqttLink | null = null;
  answers = true;

  async connect(url: string, protocol: MqttProtocol = 4): Promise<void> {
    const link = await connectMqtt({
      url,
      protocol,
      clientId: `r${Math.random()}`,
      keepalive: 30,
      onMessage: (topic, payload) => this.#take(topic, payload),
      onClose: () => {
        this.#link = null;
      },
    });
    this.#link = link;
    await link.subscribe(['v1/+/+/tx/+', 'v1/+/+/tx/+/s']);
  }

  async end(): Promise<void> {
    await this.#link?.end();
  }

  /** Sequence numbers of one stream in their order, each once. */
  unique(stream: number): number[] {
    return [...(this.#got.get(stream) ?? [])];
  }

  #take(topic: string, payload: Uint8Array): void {
    if (topic.endsWith('/s')) return void this.seen.push('session');
    const { stream, seq } = JSON.parse(Buffer.from(payload).toString()) as { stream: number; seq: number };
    this.seen.push(`${stream}/${seq}`);
    const got = this.#got.get(stream) ?? new Set();
    this.#got.set(stream, got.add(seq));
    if (!this.answers) return;
    const upto = Math.max(...got);
    const missing = upto === got.size - 1 ? [] : Array.from({ length: upto }, (_, i) => i).filter((i) => !got.has(i));
    const ack = Buffer.from(JSON.stringify({ stream, upto, missing }));
    this.#link?.publish(`${topic.split('/').slice(0, 3).join('/')}/rx/ack`, ack, { retain: false }).catch(() => {});
  }
}

/** `tampered` stands for a signature that does not verify. */
export async function verifyPlain(bytes: Uint8Array): Promise<Ack | null> {
  const text = Buffer.from(bytes).toString();
  if (text === 'tampered') return null;
  const { stream, upto, missing } = JSON.parse(text) as { stream: number; upto: number; missing: number[] };
  return { stream: new Uint8Array(8).fill(stream), uptoSeq: upto, missing, state: 'opened', signed: bytes };
}

export interface Rig {
  readonly store: MemoryStore;
  readonly uplink: Uplink;
  readonly errors: TollgateError[];
  readonly states: string[];
}

export function rig(url: string, options: Partial<UplinkOptions> = {}, factor = FACTOR): Rig {
  const timing = fastTiming(factor);
  const store = new MemoryStore(timing.monotonicMs);
  const errors: TollgateError[] = [];
  const states: string[] = [];
  const uplink = createUplink({
    store,
    link: { url, protocol: 4 },
    tenant: TENANT,
    pseudonym: PSEUDONYM,
    window: 16,
    verifyAck: verifyPlain,
    timing,
    observe: { error: (error) => void errors.push(error), reached: (state) => void states.push(state) },
    ...options,
  });
  return { store, uplink, errors, states };
}
