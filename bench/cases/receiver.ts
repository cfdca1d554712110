import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { BATCH_RECORDS, openReceiverStore } from '#receiver';
import type { Schema, Table } from '#wire';
import { CopyRows, copyRows } from '../../receiver/postgres-copy.ts';
import { MOSQUITTO, startMosquitto } from '../../test/firmware-bridge/mosquitto.ts';
import { ACK, HPKE, type Message, TestUnit } from '../../test/receiver/parts.ts';
import { POSTGRES, type Postgres, startPostgres } from '../../test/receiver/postgres.ts';
import { type Running, tollgate } from '../../test/system/processes.ts';

/**
 * Records that receivers open, store and acknowledge, a second: one, two and four processes of one group at a real
 * mosquitto, over SQLite and PostgreSQL. Timed from the first publication to the last stored record. Baselines of the
 * same run: one process of the same store; and the same envelopes as bare bytes into the same database, in transactions
 * of the same size (COPY into PostgreSQL, inserts into SQLite). Argument: records a run (4,000).
 */
export const name = 'receiver';

const RECORDS = 4_000;
const STREAMS = 8;
const PROCESSES = [1, 2, 4];
/** A record of 1 s: so many signals at 10 Hz. */
const SIGNALS = 20;
const SAMPLES = 10;
const POLL_MS = 20;
/** Publications without PUBACK at once. */
const WINDOW = 500;

const COLUMN = { unit: 'km/h', f: 0.01, o: 0, factor: 1, offset: 0, type: 'int', signed: false } as const;
const GROUPS: Schema['groups'] = [
  {
    windowMs: 0,
    columns: Array.from({ length: SIGNALS }, (_, i) => ({ ...COLUMN, signal: `dbc:M.S${i}`, result: 'raw' as const })),
  },
];

/** Walks of small steps, as a drive's signals are. */
function content(seq: number, seed: number): Table[] {
  let state = seq * STREAMS + seed + 1;
  const step = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 16) % 7;
  };
  const columns = Array.from({ length: SIGNALS }, (_, i) => {
    let value = 1_000 * i + 40 * (seq % 100);
    return { values: Float64Array.from({ length: SAMPLES }, () => (value += step())), present: null };
  });
  return [{ rows: SAMPLES, timesMs: Float64Array.from({ length: SAMPLES }, (_, i) => seq * 1000 + i * 100), columns }];
}

interface Load {
  readonly unit: TestUnit;
  readonly sessions: readonly Message[];
  readonly records: readonly Message[];
  readonly bytes: number;
}

async function makeLoad(records: number): Promise<Load> {
  const unit = new TestUnit();
  const streams = [];
  for (let i = 0; i < STREAMS; i++) streams.push(await unit.stream({ schema: { groups: GROUPS } }));
  const messages: Message[] = [];
  for (let i = 0; i < records; i++) {
    const seed = i % STREAMS;
    messages.push(await streams[seed]!.record(content(Math.floor(i / STREAMS), seed)));
  }
  const bytes = messages.reduce((sum, message) => sum + message.bytes.length, 0);
  return { unit, sessions: streams.map(({ session }) => session), records: messages, bytes };
}

interface Run {
  readonly processes: number;
  readonly recordsPerSecond: number;
  readonly perProcess: number;
  /**
   * CPU of all of them for one record, ms, the database's server not counted: a machine that does other work changes the
   * rate and not this. Null where the platform does not tell.
   */
  readonly cpuMsARecord: number | null;
  /** What each of them stored. */
  readonly shares: readonly number[];
}

async function runGroup(load: Load, folder: string, where: string, processes: number): Promise<Run> {
  const broker = await startMosquitto({ lines: ['max_queued_messages 0', 'log_type none'] });
  const running: Running[] = [];
  const store = await openReceiverStore(where);
  try {
    const args = ['receive', '--keys', folder, '--broker', broker.url, '--store', where, '--group', 'bench', '--json'];
    for (let i = 0; i < processes; i++) running.push(tollgate(args));
    for (const one of running) await one.shows(/"connected":true/);
    const link = await connectMqtt({
      ...{ url: broker.url, protocol: 5 as const, clientId: 'unit', keepalive: 60 },
      onMessage: () => undefined,
      onClose: () => undefined,
    });
    for (const { topic, bytes } of load.sessions) await link.publish(topic, bytes, { retain: true });
    const cpuBefore = cpuMs(running);
    const begun = performance.now();
    const flight = new Set<Promise<void>>();
    for (const { topic, bytes } of load.records) {
      if (flight.size >= WINDOW) await Promise.race(flight);
      const sent: Promise<void> = link.publish(topic, bytes, { retain: false }).finally(() => flight.delete(sent));
      flight.add(sent);
    }
    await Promise.all(flight);
    while ((await stored(store)) < load.records.length) await sleep(POLL_MS);
    const seconds = (performance.now() - begun) / 1000;
    const cpuAfter = cpuMs(running);
    await link.end();
    for (const { child } of running) child.kill('SIGTERM');
    for (const { exited } of running) await exited;
    const shares = running.map((one) => (JSON.parse(one.stdout()) as { opened: number }).opened);
    const recordsPerSecond = load.records.length / seconds;
    return {
      processes,
      recordsPerSecond: Math.round(recordsPerSecond),
      perProcess: Math.round(recordsPerSecond / processes),
      cpuMsARecord:
        cpuAfter === null || cpuBefore === null ? null : round((cpuAfter - cpuBefore) / load.records.length),
      shares,
    };
  } finally {
    for (const { child } of running) child.kill('SIGKILL');
    await store.close();
    await broker.stop();
  }
}

/** Ticks a second of /proc: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;

/** User and system time of these processes, ms. */
function cpuMs(running: readonly Running[]): number | null {
  try {
    return running.reduce((sum, { child }) => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      // utime and stime are fields 14 and 15 of proc(5), 11 and 12 after the name.
      return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MS;
    }, 0);
  } catch {
    return null;
  }
}

type Counting = Awaited<ReturnType<typeof openReceiverStore>> & { count(table: 'records'): number | Promise<number> };

async function stored(store: Awaited<ReturnType<typeof openReceiverStore>>): Promise<number> {
  return await (store as Counting).count('records');
}

/** The same envelopes as bare bytes through COPY, `BATCH_RECORDS` a transaction; rows a second. */
async function bareCopy(load: Load, server: Postgres): Promise<number> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: server.fresh() });
  await client.connect();
  await client.query('CREATE TABLE bare (number bigint PRIMARY KEY, envelope bytea NOT NULL)');
  const begun = performance.now();
  for (let from = 0; from < load.records.length; from += BATCH_RECORDS) {
    const rows = new CopyRows();
    for (const [i, { bytes }] of load.records.slice(from, from + BATCH_RECORDS).entries()) {
      rows.row(2);
      rows.int8(from + i);
      rows.bytea(bytes);
    }
    await copyRows(client, 'bare', rows);
  }
  const seconds = (performance.now() - begun) / 1000;
  await client.end();
  return load.records.length / seconds;
}

/** The same into SQLite, as durable as the receiver's store. */
function bareInsert(load: Load, file: string): number {
  const db = new Database(file);
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (number INTEGER PRIMARY KEY, envelope BLOB)',
  );
  const insert = db.prepare('INSERT INTO bare VALUES (?, ?)');
  const begun = performance.now();
  for (let from = 0; from < load.records.length; from += BATCH_RECORDS) {
    db.transaction(() => {
      for (const [i, { bytes }] of load.records.slice(from, from + BATCH_RECORDS).entries())
        insert.run(from + i, bytes);
    })();
  }
  const seconds = (performance.now() - begun) / 1000;
  db.close();
  return load.records.length / seconds;
}

async function series(load: Load, folder: string, place: (processes: number) => string, bare: number) {
  const runs: Run[] = [];
  for (const processes of PROCESSES) runs.push(await runGroup(load, folder, place(processes), processes));
  const [one] = runs as [Run];
  return {
    bareRowsPerSecond: Math.round(bare),
    runs: runs.map((run) => ({
      ...run,
      toOneProcess: round(run.recordsPerSecond / one.recordsPerSecond),
      toBareBytes: round(run.recordsPerSecond / bare),
    })),
  };
}

export async function run(args: string[]): Promise<object> {
  if (MOSQUITTO === null) return { skipped: 'mosquitto is missing: `apt-get install mosquitto`' };
  const load = await makeLoad(Number(args[0] ?? RECORDS));
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  const keys = { 'hpke.jwk': HPKE, 'ack.jwk': ACK, 'units.json': [load.unit.verifierKey] };
  for (const [file, value] of Object.entries(keys)) writeFileSync(join(folder, file), JSON.stringify(value));
  const server = POSTGRES === null ? null : await startPostgres();
  try {
    const bareSqlite = bareInsert(load, join(folder, 'bare.sqlite'));
    const sqlite = await series(load, folder, (processes) => join(folder, `${processes}.sqlite`), bareSqlite);
    const postgres =
      server === null
        ? { skipped: 'postgresql is missing: `apt-get install postgresql`' }
        : await series(load, folder, () => server.fresh(), await bareCopy(load, server));
    return {
      load: `${load.records.length} records of ${STREAMS} streams, ${SIGNALS} signals at ${SAMPLES} samples each`,
      bytesARecord: Math.round(load.bytes / load.records.length),
      valuesARecord: SIGNALS * SAMPLES,
      batchRecords: BATCH_RECORDS,
      sqlite,
      postgres,
    };
  } finally {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const round = (value: number) => Number(value.toFixed(2));
