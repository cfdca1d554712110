import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { openAnswer } from '#agent/control/index';
import { loadUnitKeys } from '#agent/keys';
import { spoolLabel } from '#agent/spool-keys';
import { openStore } from '#agent/store/client';
import { spoolKey, wrap } from '#agent/store/spool';
import { connectMqtt, type MqttLink } from '#firmware-bridge/mqtt';
import { PACKET, startTap } from '#sim/broker';
import { documentTopic, statusTopic } from '#wire';
import { openControlled, pinIssuers } from '../agent/control-parts.ts';
import { BATTERY, FAST, frames, MOTION } from '../agent/unit-parts.ts';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { grant, rate, say, UID } from '../policies/consent-parts.ts';
import { tollgate } from './processes.ts';
import { type UnitFolder, unitFolder } from './unit-folder.ts';

const OTHER = 'urn:uuid:00000000-0000-4000-8000-00000000bb02';
const CAMPAIGNS = [
  { name: 'speed', record: '10ms', priority: 5, signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  { name: 'charge', record: '1s', priority: 1, signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] },
];
const ROWS = 100_000;
const MS_A_ROW = 10;
const BATCH = 10_000;
/** What the owner may count on, ms from the broker to the last message. */
const DEADLINE_MS = 100;
const SYNC_MS = 50;

const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A unit that has `rows` records of one agreement in its spool and a few of another; the agent is not running. */
async function spooled(rows: number): Promise<{ folder: UnitFolder; streams: Map<string, string> }> {
  const folder = await unitFolder({ campaigns: CAMPAIGNS, agreements: [], seconds: 600, ...FAST });
  cleanUps.push(() => folder.remove());
  pinIssuers(folder);
  const { unit, control, close } = await openControlled(folder, { clock: { ms: Date.now() } });
  await control.receive(grant({ targets: ['dbc:Motion.Speed'] }));
  await control.receive(grant({ uid: OTHER, targets: ['dbc:Battery.Charge'] }));
  for (let at = 0; at < rows; at += BATCH) {
    const count = Math.min(BATCH, rows - at);
    const list = Array.from({ length: count }, (_, i) => ({ ms: (at + i) * MS_A_ROW, id: MOTION, raw: i }));
    const some = list.filter((_, i) => i % 100 === 0).map((frame) => ({ ...frame, id: BATTERY, length: 4 }));
    await unit.frames(frames([...list, ...some].sort((a, b) => a.ms - b.ms)), 0);
  }
  await unit.finish();
  const streams = await streamsOf(unit.store);
  await close();
  return { folder, streams };
}

/** Topic part of each stream that the unit has, and its agreement. */
async function streamsOf(store: Awaited<ReturnType<typeof openStore>>): Promise<Map<string, string>> {
  const streams = new Map<string, string>();
  for (const agreement of [UID, OTHER]) {
    for (const { stream } of await store.recordsAbout({ agreement, limit: 5_000 }))
      streams.set(Buffer.from(stream).toString('base64url'), agreement);
  }
  return streams;
}

/** The topic of a PUBLISH packet of MQTT 3.1.1, §3.3.2.1. */
function topicOf(packet: Uint8Array): string {
  let at = 1;
  while ((packet[at]! & 0x80) !== 0) at++;
  const length = (packet[at + 1]! << 8) | packet[at + 2]!;
  return Buffer.from(packet.subarray(at + 3, at + 3 + length)).toString();
}

function slowSync(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-slow-sync-'));
  cleanUps.push(() => rmSync(folder, { recursive: true }));
  const library = join(folder, 'slow-sync.so');
  const source = fileURLToPath(new URL('slow-sync.c', import.meta.url));
  const built = spawnSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl'], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(built.stderr);
  return library;
}

const GCC = spawnSync('gcc', ['--version']).status === 0;

describe.skipIf(MOSQUITTO === null || !GCC)('a withdrawal with 100,000 rows in the spool and a slow flash', () => {
  it('lets no message of the agreement out later than 100 ms after it left the broker; the other one drains', async () => {
    const { folder, streams } = await spooled(ROWS);
    const broker = await startMosquitto();
    cleanUps.push(() => broker.stop());
    const tap = await startTap(broker.url);
    cleanUps.push(() => tap.close());
    const sent: { readonly atMs: number; readonly topic: string }[] = [];
    let withdrawnMs = Number.NaN;
    tap.judge = (direction, type, packet) => {
      if (type !== PACKET.publish) return 'pass';
      if (direction === 'to-broker') sent.push({ atMs: performance.now(), topic: topicOf(packet) });
      else if (topicOf(packet).endsWith('/rx/doc')) withdrawnMs = performance.now();
      return 'pass';
    };
    const pseudonym = readFileSync(join(folder.state, 'pseudonym'), 'utf8');
    const answers: Uint8Array[] = [];
    const owner: MqttLink = await connectMqtt({
      url: broker.url,
      protocol: 4,
      clientId: 'owner',
      keepalive: 30,
      onMessage: (_, payload) => void answers.push(payload),
      onClose: () => undefined,
    });
    cleanUps.push(() => owner.end());
    await owner.subscribe([`${statusTopic('t1', pseudonym)}/doc`]);
    const agent = tollgate(['run', '--config', folder.config({ url: tap.url, protocol: 4, realtime: true })], {
      LD_PRELOAD: slowSync(),
      SLOW_SYNC_MS: String(SYNC_MS),
      UV_USE_IO_URING: '0',
    });
    cleanUps.push(() => agent.child.kill('SIGKILL'));
    const count = (agreement: string, from = 0, to = Number.POSITIVE_INFINITY) =>
      sent.filter(({ atMs, topic }) => atMs >= from && atMs < to && streams.get(topic.split('/')[4]!) === agreement)
        .length;
    await expect.poll(() => count(UID), { timeout: 60_000 }).toBeGreaterThan(1_000);
    const withdrawal = say('withdraw', 2);
    const hash = createHash('sha256').update(withdrawal).digest();
    const { x, kty, crv } = JSON.parse(readFileSync(join(folder.keys, 'ledger.jwk'), 'utf8')) as Record<string, string>;
    // The answers to the two grants wait for the first connection as well.
    const answered = () =>
      answers
        .map((bytes) => openAnswer(bytes, { kty: kty!, crv: crv!, x: x! }))
        .find(({ document }) => Buffer.compare(document, hash) === 0);
    await owner.publish(documentTopic('t1', pseudonym), withdrawal, { retain: false });
    await expect.poll(answered, { timeout: 120_000 }).toBeDefined();
    const answer = answered()!;
    expect(answer).toMatchObject({ verdict: 'accepted', code: null });
    expect(answer.dropped, 'most were still waiting').toBeGreaterThan(ROWS / 2);
    await expect.poll(() => count(OTHER), { timeout: 120_000 }).toBeGreaterThanOrEqual(ROWS / 100);
    agent.child.kill('SIGTERM');
    await agent.exited;
    // Streams that began in this run are known now.
    const store = await openStore({
      file: join(folder.state, 'tollgate.sqlite'),
      maxBytes: 2 ** 30,
      bootId: new Uint8Array(8),
      spoolKeys: async () => null,
    });
    for (const [stream, agreement] of await streamsOf(store)) streams.set(stream, agreement);
    await store.close();
    const unknown = sent.filter(({ topic }) => topic.includes('/tx/') && !streams.has(topic.split('/')[4]!));
    expect(unknown).toEqual([]);
    expect(count(UID, 0, withdrawnMs)).toBeGreaterThan(1_000);
    expect(count(UID, withdrawnMs + DEADLINE_MS), 'messages after the deadline').toBe(0);
    expect(count(OTHER, withdrawnMs + DEADLINE_MS)).toBeGreaterThan(0);
  }, 400_000);

  it('keeps the deadline for withdrawals that come together, behind other documents', async () => {
    const { folder, streams } = await spooled(20_000);
    const broker = await startMosquitto();
    cleanUps.push(() => broker.stop());
    const tap = await startTap(broker.url);
    cleanUps.push(() => tap.close());
    const sent: { readonly atMs: number; readonly topic: string }[] = [];
    let lastDocumentMs = Number.NaN;
    tap.judge = (direction, type, packet) => {
      if (type === PACKET.publish && direction === 'to-broker')
        sent.push({ atMs: performance.now(), topic: topicOf(packet) });
      if (type === PACKET.publish && direction === 'to-client') lastDocumentMs = performance.now();
      return 'pass';
    };
    const pseudonym = readFileSync(join(folder.state, 'pseudonym'), 'utf8');
    const owner = await connectMqtt({
      url: broker.url,
      protocol: 4,
      clientId: 'owner',
      keepalive: 30,
      onMessage: () => undefined,
      onClose: () => undefined,
    });
    cleanUps.push(() => owner.end());
    const agent = tollgate(['run', '--config', folder.config({ url: tap.url, protocol: 4, realtime: true })], {
      LD_PRELOAD: slowSync(),
      SLOW_SYNC_MS: String(SYNC_MS),
      UV_USE_IO_URING: '0',
    });
    cleanUps.push(() => agent.child.kill('SIGKILL'));
    const isRecord = ({ topic }: { topic: string }) => streams.has(topic.split('/')[4] ?? '');
    await expect.poll(() => sent.filter(isRecord).length, { timeout: 60_000 }).toBeGreaterThan(500);
    const documents = [
      rate(4, 1),
      grant({ version: 2, targets: ['dbc:Motion.Speed'] }),
      say('withdraw', 3),
      say('withdraw', 2, OTHER),
    ];
    await Promise.all(
      documents.map((bytes) => owner.publish(documentTopic('t1', pseudonym), bytes, { retain: false })),
    );
    await expect.poll(() => sent.filter(({ topic }) => topic.endsWith('/st/doc')).length, { timeout: 60_000 }).toBe(6);
    const before = sent.filter(isRecord).length;
    agent.child.kill('SIGTERM');
    await agent.exited;
    expect(before).toBeLessThan(20_000);
    expect(sent.filter((one) => isRecord(one) && one.atMs > lastDocumentMs + DEADLINE_MS)).toEqual([]);
  }, 200_000);
});

/** Every byte that lies below a folder, file by file. */
function image(...folders: readonly string[]): Buffer[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((file) => statSync(file).isFile())
      .map((file) => readFileSync(file)),
  );
}
const holds = (files: readonly Buffer[], bytes: Uint8Array) => files.some((file) => file.includes(Buffer.from(bytes)));

describe('the disk after a withdrawal', () => {
  it('holds nothing that a thief with the recipient’s private key could open', async () => {
    const { folder } = await spooled(2_000);
    const open = await openControlled(folder, { clock: { ms: Date.now() } });
    cleanUps.push(() => open.close().catch(() => undefined));
    const { anchor } = open.keys;
    const key = (await anchor.unseal(spoolLabel(UID)))!;
    const other = (await anchor.unseal(spoolLabel(OTHER)))!;
    const rows = await open.unit.store.take(3_000);
    expect(rows.length).toBeGreaterThan(2_000);
    await open.unit.store.requeue(0);
    // Before, whoever has the key finds and opens the rows: the search below could fail.
    const records = rows.filter(({ kind, seq }) => kind === 'record' && seq < 1_000);
    const before = image(folder.state);
    const wrapped = records.filter(({ stream, seq, payload }) =>
      holds(before, wrap(spoolKey(key), stream, seq, payload)),
    );
    expect(wrapped.length).toBeGreaterThan(0);
    const sealed = image(join(folder.keys, 'sealed')).filter((blob) => blob.length === 1 + 16 + 32 + 16);
    await open.control.receive(say('withdraw', 2));
    await open.close();
    const disk = image(folder.state, folder.keys);
    // What the recipient's key opens is the session and the envelopes as they would have left: none lies here in the clear.
    for (const { payload } of rows.filter(({ kind }) => kind !== 'proof'))
      expect(holds(disk, Buffer.from(payload.subarray(0, 48)))).toBe(false);
    // What lies here is wrapped under a key that is gone, and so is the blob from which the anchor's root would make it.
    expect(holds(disk, key)).toBe(false);
    const left = sealed.filter((blob) => holds(disk, blob));
    expect(left).toHaveLength(sealed.length - 1);
    const again = await loadUnitKeys(folder.keys);
    expect(await again.anchor.unseal(spoolLabel(UID))).toBe(null);
    expect(Buffer.from((await again.anchor.unseal(spoolLabel(OTHER)))!)).toEqual(Buffer.from(other));
  }, 60_000);
});
