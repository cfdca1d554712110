import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ackVerifier } from '#agent/acks';
import { loadUnitKeys } from '#agent/keys';
import { createUplink } from '#agent/uplink';
import { loadReceiverKeys, type ReceiverAlarm, SqliteStore, startReceiver } from '#receiver';
import { PACKET, startTap } from '#sim/broker';
import { seeded } from '#sim/random';
import { FAST, frames, minutes, openUnit } from '../agent/unit-parts.ts';
import { fastTiming } from '../agent/uplink-parts.ts';
import { startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { startByteCutter } from './byte-cutter.ts';
import { receiverFacts, unitFacts } from './examine.ts';
import { unitFolder } from './unit-folder.ts';

export interface ChaosOptions {
  /** How often mosquitto is killed (SIGKILL). */
  readonly kills: number;
  /** It keeps its state on disk; without it each restart has lost all sessions and all that was retained. */
  readonly persistent: boolean;
  readonly seed: number;
  /** Messages in flight that it takes; its own default without it. */
  readonly receiveMaximum?: number;
}

export interface ChaosReport {
  readonly kills: number;
  readonly persistent: boolean;
  readonly seed: number;
  readonly receiveMaximum: number | null;
  /** Connections cut in the middle of a packet, after a random number of bytes. */
  readonly cuts: number;
  /** PUBACKs that came twice. */
  readonly doubled: number;
  readonly connects: number;
  readonly published: number;
  /** Records of the ledger; each must be at the receiver once. */
  readonly records: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Records that were stored after a later one of their stream: the broker died with them, and they went again. */
  readonly late: number;
  /** Records that the receiver stored and the unit never made. */
  readonly strange: number;
  readonly unproven: number;
  readonly waiting: number;
  readonly findings: number;
  readonly alarms: readonly string[];
  readonly seconds: number;
}

/** Waits between connections are a hundredth. */
const FACTOR = 100;
/** Rows go again without an acknowledgement of so long, in the real time of the store, ms. */
const ACK_TIMEOUT_MS = 500;
const SECONDS_A_ROUND = 4;
const LONGEST_WAIT_MS = 500;
const LONGEST_UP_MS = 120;
const LONGEST_DOWN_MS = 40;
/** Three connections of four break after so many bytes at most. */
const MOST_BYTES = 1_500;
const BREAKING = 3 / 4;
const SETTLE_MS = 60_000;
const DOUBLED_OF = 5;

const CAMPAIGNS = [
  { name: 'speed', record: '100ms', priority: 3, signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  { name: 'throttle', record: '150ms', priority: 5, signals: ['{ signal: "dbc:Motion.Throttle", operation: raw }'] },
];

/**
 * A unit drives, its broker is killed at random times, its wire breaks at random bytes, PUBACKs come twice; then all is
 * well for a while, and both ends are compared.
 */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const { kills, persistent, seed, receiveMaximum } = options;
  const begunMs = performance.now();
  const random = seeded(seed);
  const disk = ['persistence true', 'persistence_location %d/', 'autosave_on_changes true', 'autosave_interval 1'];
  const broker = await startMosquitto({
    lines: [
      ...(persistent ? disk : []),
      ...(receiveMaximum === undefined ? [] : [`max_inflight_messages ${receiveMaximum}`]),
    ],
  });
  const cutter = await startByteCutter(broker.url);
  const tap = await startTap(cutter.url);
  let doubled = 0;
  tap.judge = (direction, type) => {
    if (direction !== 'to-client' || type !== PACKET.puback || random() * DOUBLED_OF >= 1) return 'pass';
    doubled++;
    return 'twice';
  };
  cutter.bytesLeft = () => (random() < BREAKING ? Math.floor(random() * MOST_BYTES) : null);

  const folder = await unitFolder({ campaigns: CAMPAIGNS, ...FAST });
  const unit = await openUnit(folder, { publishMs: 200 });
  const { recipients } = await loadUnitKeys(folder.keys);
  const uplink = createUplink({
    store: unit.store,
    link: { url: tap.url, protocol: 5, sessionExpiryS: 600 },
    tenant: 't1',
    pseudonym: unit.pseudonym,
    window: 16,
    verifyAck: ackVerifier(unit.store, recipients),
    timing: { ...fastTiming(FACTOR), monotonicMs: () => performance.now(), random },
    ackTimeoutMs: ACK_TIMEOUT_MS,
  });
  const alarms: ReceiverAlarm[] = [];
  const file = join(folder.recipients[0]!, 'receiver.sqlite');
  const store = new SqliteStore(file);
  const receiver = await startReceiver({
    url: broker.url,
    protocol: 5,
    store,
    keys: await loadReceiverKeys(folder.recipients[0]!),
    alarm: (alarm) => void alarms.push(alarm),
    waitMs: () => 10,
  });
  uplink.start();

  for (let round = 0; round < kills; round++) {
    await unit.frames(frames(minutes(round * SECONDS_A_ROUND, SECONDS_A_ROUND, 20)), 0);
    // Else most kills would meet a unit that waits.
    const until = performance.now() + LONGEST_WAIT_MS;
    while (!uplink.status().connected && performance.now() < until) await sleep(5);
    await sleep(random() * LONGEST_UP_MS);
    await broker.kill();
    await sleep(random() * LONGEST_DOWN_MS);
    await broker.start();
  }
  cutter.bytesLeft = () => null;
  await unit.finish();
  await uplink.settle(SETTLE_MS);
  const { connects, published } = uplink.status();
  for (const until = performance.now() + SETTLE_MS; performance.now() < until; await sleep(20)) {
    if (receiverFacts(file).unproven === 0) break;
  }
  await uplink.close();
  await unit.close();
  await receiver.close();
  await store.close();
  await tap.close();
  await cutter.close();
  await broker.stop();

  const sent = await unitFacts(folder);
  const got = receiverFacts(file);
  const [made, stored] = [new Set(sent.records), new Set(got.records)];
  folder.remove();
  return {
    kills,
    persistent,
    seed,
    receiveMaximum: receiveMaximum ?? null,
    cuts: cutter.cuts,
    doubled,
    connects,
    published,
    records: made.size,
    lost: [...made].filter((name) => !stored.has(name)).length,
    duplicates: got.records.length - stored.size,
    late: got.disordered.length,
    strange: [...stored].filter((name) => !made.has(name)).length,
    unproven: got.unproven,
    waiting: sent.waiting,
    findings: sent.audit.findings.length,
    alarms: alarms.map(({ error }) => error.code),
    seconds: Math.round((performance.now() - begunMs) / 1_000),
  };
}
