import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ackVerifier } from '#agent/acks';
import { loadUnitKeys } from '#agent/keys';
import { createUplink, type Uplink } from '#agent/uplink';
import type { TollgateError } from '#contracts';
import { connectMqtt, type MqttLink } from '#firmware-bridge/mqtt';
import { createReceiver, FILTERS, loadReceiverKeys, type Receiver, SqliteStore } from '#receiver';
import { startBroker } from '#sim/broker';
import type { Unit } from '../../agent/unit.ts';
import { FAST, frames, minutes, openUnit } from '../agent/unit-parts.ts';
import { receiverFacts, unitFacts } from './examine.ts';
import { type UnitFolder, unitFolder } from './unit-folder.ts';

export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** What the broker makes of one message. */
export type Forward = (message: Message) => readonly Message[];

/** A unit, a receiver, and between them a broker whose operator is the attacker. */
export interface Scene {
  readonly folder: UnitFolder;
  readonly unit: Unit;
  readonly uplink: Uplink;
  readonly receiver: Receiver;
  /** Codes of the receiver's alarms, of the unit's errors. */
  readonly alarms: string[];
  readonly errors: string[];
  /** Everything that the unit sent, as the operator sees it. */
  readonly seen: Message[];
  /** Acknowledgements that the receiver sent. */
  readonly acks: Message[];
  /** From the unit to the receiver; all, and unchanged, without another. */
  forward: Forward;
  /** From the receiver to the unit. */
  back: Forward;
  toReceiver(message: Message): Promise<void>;
  toUnit(message: Message): Promise<void>;
  /** The unit drives for so many seconds. */
  drive(seconds: number): Promise<void>;
  /** The receiver's clock goes on. */
  passMs(ms: number): Promise<void>;
  /** Everything that the ledger has is at the receiver once, proven, and nothing else. */
  whole(): Promise<{
    readonly lost: number;
    readonly twice: number;
    readonly strange: number;
    readonly unproven: number;
  }>;
  close(): Promise<void>;
}

const CAMPAIGNS = [
  { name: 'speed', record: '100ms', priority: 3, signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  { name: 'throttle', record: '150ms', priority: 5, signals: ['{ signal: "dbc:Motion.Throttle", operation: raw }'] },
];
/** The store counts in real time. */
const ACK_TIMEOUT_MS = 300;
const SETTLE_MS = 20_000;
/** The attacker answers the unit as any broker does. */
const PROTOCOL = 4;

export async function scene(): Promise<Scene> {
  const [near, far] = [await startBroker(), await startBroker()];
  const folder = await unitFolder({ campaigns: CAMPAIGNS, ...FAST });
  const unit = await openUnit(folder, { publishMs: 100 });
  const { recipients } = await loadUnitKeys(folder.keys);
  const errors: string[] = [];
  const uplink = createUplink({
    store: unit.store,
    link: { url: near.url, protocol: PROTOCOL },
    tenant: 't1',
    pseudonym: unit.pseudonym,
    window: 16,
    verifyAck: ackVerifier(unit.store, recipients),
    ackTimeoutMs: ACK_TIMEOUT_MS,
    observe: { error: ({ code }: TollgateError) => void errors.push(code) },
  });

  const alarms: string[] = [];
  let aheadMs = 0;
  const file = join(folder.recipients[0]!, 'receiver.sqlite');
  const store = new SqliteStore(file);
  let answers: MqttLink | null = null;
  const receiver = createReceiver({
    keys: await loadReceiverKeys(folder.recipients[0]!),
    store,
    publishAck: (topic, bytes) => void answers?.publish(topic, bytes, { retain: false }).catch(() => undefined),
    now: () => performance.now() + aheadMs,
    alarm: ({ error }) => void alarms.push(error.code),
  });
  await receiver.start();

  const seen: Message[] = [];
  const acks: Message[] = [];
  const open = async (url: string, filters: readonly string[], take: (message: Message) => void | Promise<void>) => {
    const link = await connectMqtt({
      url,
      protocol: PROTOCOL,
      clientId: `c${Math.random()}`,
      keepalive: 30,
      onMessage: (topic, payload) => take({ topic, payload: new Uint8Array(payload) }),
      onClose: () => undefined,
    });
    await link.subscribe(filters);
    return link;
  };
  const send = async (link: MqttLink, { topic, payload }: Message) =>
    await link.publish(topic, payload, { retain: topic.endsWith('/s') });
  answers = await open(far.url, FILTERS, ({ topic, payload }) => receiver.handle(topic, payload));
  const fromFar = await open(far.url, ['v1/+/+/rx/+'], async (message) => {
    acks.push(message);
    for (const one of made.back(message)) await made.toUnit(one);
  });
  const fromNear = await open(near.url, ['v1/+/+/tx/#'], async (message) => {
    seen.push(message);
    for (const one of made.forward(message)) await made.toReceiver(one);
  });
  // Of their own: an answer to what one connection sends must not wait for what it takes.
  const [toFar, toNear] = [
    await open(far.url, ['none'], () => undefined),
    await open(near.url, ['none'], () => undefined),
  ];
  const timer = setInterval(() => void receiver.flush().catch(() => undefined), 20);
  uplink.start();
  let second = 0;

  const made: Scene = {
    folder,
    unit,
    uplink,
    receiver,
    alarms,
    errors,
    seen,
    acks,
    forward: (message) => [message],
    back: (message) => [message],
    toReceiver: (message) => send(toFar, message),
    toUnit: (message) => send(toNear, message),
    drive: async (seconds) => {
      await unit.frames(frames(minutes(second, seconds, 20)), 0);
      second += seconds;
      await unit.store.commit();
    },
    passMs: async (ms) => {
      aheadMs += ms;
      await receiver.tick();
    },
    whole: async () => {
      await unit.finish();
      await uplink.settle(SETTLE_MS);
      for (const until = performance.now() + SETTLE_MS; performance.now() < until; await sleep(20)) {
        if (receiverFacts(file).unproven === 0) break;
      }
      await uplink.close();
      await unit.close();
      const sent = new Set((await unitFacts(folder)).records);
      const { records, unproven } = receiverFacts(file);
      const got = new Set(records);
      return {
        lost: [...sent].filter((name) => !got.has(name)).length,
        twice: records.length - got.size,
        strange: [...got].filter((name) => !sent.has(name)).length,
        unproven,
      };
    },
    close: async () => {
      clearInterval(timer);
      await uplink.close();
      await unit.close();
      for (const link of [answers, fromFar, fromNear, toFar, toNear]) await link?.end();
      await store.close();
      await near.close();
      await far.close();
      folder.remove();
    },
  };
  return made;
}

/** Topics of records, sessions and proofs. */
export const isRecord = ({ topic }: Message) => topic.split('/').length === 5;
export const isSession = ({ topic }: Message) => topic.endsWith('/s');
export const isProof = ({ topic }: Message) => topic.endsWith('/p');
export const streamOf = ({ topic }: Message) => topic.split('/')[4]!;
