import { createHash, generateKeyPairSync, hash, randomBytes, sign } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyIdOf, type NoteSigner, nodeCrypto, signCheckpoint, TYPE_ED25519 } from '#ledger';
import { chainStart, nextChain, recordLeaf } from '#wire/leaf';
import type { DurableStore, RecordEntry, StreamEntry } from '../../agent/store/contract.ts';
import { KEEP_LEAVES_MS, openStore } from '../../agent/store/index.ts';

/**
 * The store with its whole transaction (row, leaf, nodes, meter, nonce) against the disk's own rate of syncs, measured
 * just before and after in the same folder. Arguments: records (20,000), bytes of a payload (300), folder (temporary); or
 * `backlog`, or `days` (below).
 */
export const name = 'store';

const RECORDS = 20_000;
const PAYLOAD_BYTES = 300;
const STREAMS = 10;
const SYNC_MS = 700;
const LATENCY_COMMITS = 200;
/** Seconds of the reference load: ten campaigns, a record each a second, committed, sent, acknowledged. */
const REFERENCE_SECONDS = 1_800;
const CHECKPOINT_SECONDS = 10;

const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');
const bootId = randomBytes(8);

class BenchStream {
  readonly entry: StreamEntry;
  #seq = 0;
  #chain: Uint8Array;
  readonly #tag = randomBytes(8);

  constructor(number: number) {
    const stream = randomBytes(8);
    this.#chain = chainStart(stream);
    const names = {
      recipient: `did:web:r${number % 3}.example`,
      purpose: 'auto:UbiInsurance',
      agreement: `urn:${number % 3}`,
    };
    const topic = `v1/t1/AAAAAAAAAAAAAAAAAAAAAA/tx/${stream.toString('base64url')}`;
    const session = randomBytes(400);
    const pseudonym = 'AAAAAAAAAAAAAAAAAAAAAA';
    this.entry = { stream, pseudonym, ...names, campaign: `c${number}`, priority: number % 8, topic, session };
  }

  record(payload: Uint8Array, boottimeMs: number): RecordEntry {
    const { stream, agreement, recipient, purpose } = this.entry;
    const seq = this.#seq++;
    const bodyHash = sha256(payload);
    this.#chain = nextChain(this.#chain, bodyHash);
    const utcMs = 1_790_000_000_000 + boottimeMs;
    const link = { bootId, boottimeMs, utcMs, bodyHash, stream, seq, agreementTag: this.#tag, chain: this.#chain };
    const fields = { 'Vehicle.Speed': 10, 'Vehicle.Brake': 10, 'dbc:ID_140.THROTTLE': 10 };
    const meter = { agreement, recipient, purpose, action: 'distribute', hour: Math.floor(utcMs / 3.6e6) };
    const counts = { records: 1, samples: 30, bytes: payload.length, fields, denied: 0 };
    return { stream, seq, payload, leaf: recordLeaf(link), bodyHash, meter: { ...meter, ...counts } };
  }

  get lastSeq(): number {
    return this.#seq - 1;
  }
}

function signer(): NoteSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  const key = { name: 'tollgate/bench', type: TYPE_ED25519, publicKey: raw } as const;
  const keyId = keyIdOf(key.name, key.type, raw, nodeCrypto.sha256);
  return { key: { ...key, keyId }, sign: async (message) => sign(null, message, privateKey) };
}

/** Appends of so many bytes with fdatasync, a second's worth. */
function syncsPerSecond(folder: string, bytes: number): number {
  const file = openSync(join(folder, 'syncs'), 'a');
  const block = randomBytes(bytes);
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < SYNC_MS) {
    writeSync(file, block);
    fdatasyncSync(file);
    count++;
  }
  closeSync(file);
  return (count * 1000) / (performance.now() - begun);
}

function blockBytes(): number {
  return Number(/write_bytes: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
}

const open = (folder: string, file: string, groupCommitMs: number, keepLeavesMs = KEEP_LEAVES_MS) =>
  openStore({
    file: join(folder, file),
    maxBytes: 2 ** 30,
    groupCommitMs,
    keepLeavesMs,
    groupCommitRecords: 500,
    bootId,
    spoolKeys: async (agreement) => createHash('sha256').update(agreement).digest(),
  });

async function throughput(folder: string, records: number, payload: Uint8Array) {
  const store = await open(folder, 'throughput.sqlite', 50);
  const streams = Array.from({ length: STREAMS }, (_, i) => new BenchStream(i));
  for (const { entry } of streams) store.begin(entry);
  const entries = Array.from({ length: records }, (_, i) => streams[i % STREAMS]!.record(payload, i));
  await store.commit();
  const begun = performance.now();
  for (const entry of entries) {
    const wait = store.append(entry);
    if (typeof wait !== 'string') await wait;
  }
  await store.commit();
  const seconds = (performance.now() - begun) / 1000;
  const { commits, fileBytes } = await store.stats();
  const drained = await drain(store);
  await store.close();
  return { perSecond: records / seconds, commits, fileBytes, drained };
}

/** Rows a second that an uplink could take and settle. */
async function drain(store: DurableStore): Promise<number> {
  const begun = performance.now();
  let rows = 0;
  for (let taken = await store.take(500); taken.length > 0; taken = await store.take(500)) {
    rows += taken.length;
    void store.pubacked(taken.map(({ id }) => id));
  }
  await store.stats();
  return (rows * 1000) / (performance.now() - begun);
}

async function latency(folder: string, payload: Uint8Array) {
  const store = await open(folder, 'latency.sqlite', 60_000);
  const stream = new BenchStream(0);
  store.begin(stream.entry);
  const times: number[] = [];
  for (let i = 0; i < LATENCY_COMMITS; i++) {
    for (let j = 0; j < STREAMS; j++) void store.append(stream.record(payload, i));
    const begun = performance.now();
    await store.commit();
    times.push(performance.now() - begun);
  }
  await store.close();
  times.sort((a, b) => a - b);
  return { p50: times[times.length >> 1]!, p99: times[Math.floor(times.length * 0.99)]! };
}

/**
 * Days of the reference load, two hours each, with proofs every minute and the retention of one day: the file after
 * each. Arguments after `days`: days (10), seconds a day (7,200), folder.
 */
async function days([count = '10', seconds = '7200', place = tmpdir()]: string[]): Promise<object> {
  const folder = mkdtempSync(join(place, 'tollgate-bench-'));
  const payload = randomBytes(PAYLOAD_BYTES);
  const key = signer();
  const sizes: number[] = [];
  const dayMs = Number(seconds) * 1_000;
  try {
    for (let day = 0; day < Number(count); day++) {
      const store = await open(folder, 'days.sqlite', 60_000, dayMs);
      const streams = Array.from({ length: STREAMS }, (_, i) => new BenchStream(i));
      for (const { entry } of streams) store.begin(entry);
      for (let second = 0; second < Number(seconds); second++) {
        for (const stream of streams) void store.append(stream.record(payload, day * dayMs + second * 1_000));
        await store.commit();
        await acknowledge(store, streams, payload);
        if (second % CHECKPOINT_SECONDS > 0) continue;
        const { size, root } = await store.head();
        await store.checkpoint(size, await signCheckpoint(size, root, key));
        if (second % PROOF_SECONDS === 0) await prove(store, size);
      }
      const { size, root } = await store.head();
      await store.checkpoint(size, await signCheckpoint(size, root, key));
      await prove(store, size);
      await acknowledge(store, streams, payload);
      while ((await store.prune()) > 0);
      await store.close();
      sizes.push(statSync(join(folder, 'days.sqlite')).size);
    }
    return { days: Number(count), secondsADay: Number(seconds), fileBytes: sizes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const PROOF_SECONDS = 60;
const PROOF = new Uint8Array(900);

/** As the keeper does it. */
async function prove(store: DurableStore, size: number): Promise<void> {
  await Promise.all((await store.proofs(size)).map((material) => store.proof(material, PROOF)));
}

/** What the uplink does with a second's rows: all are taken, and answered at once. */
async function acknowledge(store: DurableStore, streams: readonly BenchStream[], bytes: Uint8Array): Promise<void> {
  const rows = await store.take(64);
  const answers = [store.pubacked(rows.map(({ id }) => id))];
  for (const { entry, lastSeq: uptoSeq } of streams) {
    const signed = bytes.subarray(0, 120);
    answers.push(store.ack({ stream: entry.stream, uptoSeq, missing: [], state: 'opened', signed }));
  }
  await Promise.all(answers);
}

async function reference(folder: string, payload: Uint8Array) {
  const store = await open(folder, 'reference.sqlite', 60_000);
  const streams = Array.from({ length: STREAMS }, (_, i) => new BenchStream(i));
  for (const { entry } of streams) store.begin(entry);
  await store.commit();
  const key = signer();
  const before = blockBytes();
  for (let second = 0; second < REFERENCE_SECONDS; second++) {
    for (const stream of streams) void store.append(stream.record(payload, second * 1000));
    await store.commit();
    await acknowledge(store, streams, payload);
    if (second % CHECKPOINT_SECONDS === 0) {
      const { size, root } = await store.head();
      await store.checkpoint(size, await signCheckpoint(size, root, key));
      if (second % PROOF_SECONDS === 0) {
        await prove(store, size);
      }
    }
  }
  const { fileBytes } = await store.stats();
  await store.close();
  const payloadBytes = REFERENCE_SECONDS * STREAMS * payload.length;
  return {
    blockRatio: (blockBytes() - before) / payloadBytes,
    fileBytesARecord: fileBytes / (REFERENCE_SECONDS * STREAMS),
  };
}

/**
 * A backlog as no broker takes it for weeks, then drained as an uplink does: in order per stream, none lost, none twice.
 * Arguments after `backlog`: records (1,000,000), bytes of a payload (100), folder.
 */
async function backlog([count = '1000000', bytes = '100', place = tmpdir()]: string[]): Promise<object> {
  const folder = mkdtempSync(join(place, 'tollgate-bench-'));
  const records = Number(count);
  try {
    const store = await open(folder, 'backlog.sqlite', 1_000);
    const streams = Array.from({ length: STREAMS }, (_, i) => new BenchStream(i));
    for (const { entry } of streams) store.begin(entry);
    const fill = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const payload = Buffer.alloc(Number(bytes), i);
        const wait = store.append(streams[i % STREAMS]!.record(payload, i));
        if (typeof wait !== 'string') await wait;
      }
      await store.commit();
    };
    // The first records warm up code and caches; what a backlog costs comes after.
    const warm = Math.min(20_000, records / 10);
    await fill(0, warm);
    const before = residentBytes();
    await fill(warm, records);
    const filled = residentBytes();
    const next = new Map(streams.map(({ entry }) => [Buffer.from(entry.stream).toString('hex'), 0]));
    let outOfOrder = 0;
    let drained = 0;
    for (let rows = await store.take(500); rows.length > 0; rows = await store.take(500)) {
      for (const { kind, stream, seq } of rows) {
        if (kind !== 'record') continue;
        const name = Buffer.from(stream).toString('hex');
        if (next.get(name) !== seq) outOfOrder++;
        next.set(name, seq + 1);
        drained++;
      }
      await store.pubacked(rows.map(({ id }) => id));
      for (const { entry } of streams) {
        const uptoSeq = next.get(Buffer.from(entry.stream).toString('hex'))! - 1;
        if (uptoSeq >= 0)
          await store.ack({ stream: entry.stream, uptoSeq, missing: [], state: 'opened', signed: NO_BYTES });
      }
    }
    const { queued, inflight, pubacked, acked } = await store.stats();
    const after = residentBytes();
    await store.close();
    return {
      backlog: records,
      drained,
      outOfOrder,
      left: queued + inflight + pubacked,
      acked,
      rssGrowthMB: { filled: megabytes(filled - before), drained: megabytes(after - before) },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const NO_BYTES = new Uint8Array(120);
const megabytes = (bytes: number) => round(bytes / 2 ** 20);

/** Of the process, the thread of the store included; dead objects are no part of it. */
function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

export async function run(args: string[]): Promise<object> {
  if (args[0] === 'backlog') return await backlog(args.slice(1));
  if (args[0] === 'days') return await days(args.slice(1));
  const records = Number(args[0] ?? RECORDS);
  const bytes = Number(args[1] ?? PAYLOAD_BYTES);
  const folder = mkdtempSync(join(args[2] ?? tmpdir(), 'tollgate-bench-'));
  const payload = randomBytes(bytes);
  try {
    const first = syncsPerSecond(folder, bytes);
    const through = await throughput(folder, records, payload);
    const syncs = (first + syncsPerSecond(folder, bytes)) / 2;
    const { p50, p99 } = await latency(folder, payload);
    const { blockRatio, fileBytesARecord } = await reference(folder, payload);
    return {
      records,
      payloadBytes: bytes,
      syncsPerSecond: Math.round(syncs),
      recordsPerSecond: Math.round(through.perSecond),
      recordsASync: round(through.perSecond / syncs),
      commits: through.commits,
      rowsTakenPerSecond: Math.round(through.drained),
      commitMs: { p50: round(p50), p99: round(p99) },
      reference: {
        blockBytesAPayloadByte: round(blockRatio),
        fileBytesARecord: Math.round(fileBytesARecord),
        load: `${STREAMS} campaigns, 1 record a second each, ${REFERENCE_SECONDS} s, acknowledged at once`,
      },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const round = (value: number) => Number(value.toFixed(2));
