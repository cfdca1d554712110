import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { TollgateError } from '#contracts';
import type { Schema } from '#wire';
import {
  type Batch,
  type ChainLink,
  type KnownCheckpoint,
  type Mark,
  MOST_OF_UNIT,
  MOST_RUNS,
  type OpenedRecord,
  type Position,
  type ProofStep,
  type ReceiverStore,
  type Stored,
  type StoredAlarm,
  type StoredStream,
  type StreamId,
  type StreamState,
  type UnitHead,
  type WaitingProof,
} from './contract.ts';
import { CopyRows, copyRows } from './postgres-copy.ts';
import { FORMAT, HEAD, LINKS, POSITIONS, RUNS, STAGING, TABLES, TABLES_LOCK, UNPROVEN } from './postgres-tables.ts';
import { streamKey } from './streams.ts';
import { columnsOf } from './values.ts';

const EMPTY = new Uint8Array(0);
/** Ids of streams remembered; beyond that they are looked up anew. */
const MOST_IDS = 10_000;
/** Longest wait for a connection, ms. */
const CONNECT_MS = 10_000;

type Row = readonly unknown[];

/**
 * A receiver's store in PostgreSQL. Any number of processes share one database: records go through COPY into a staging
 * table and from there where they are not yet, so that a record that came to two processes is stored once.
 */
export class PostgresStore implements ReceiverStore {
  readonly #client: Client;
  /** Server and database, without credentials. */
  readonly #place: string;
  /** Ids of streams, and of the columns of their schemas, group by group. */
  readonly #ids = new Map<string, number>();
  #columns = new WeakMap<Schema, number[]>();
  /** One transaction at a time on one connection. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(client: Client, place: string) {
    this.#client = client;
    this.#place = place;
  }

  /**
   * Connects, and makes the tables where there are none.
   *
   * @param url `postgres://user@host:port/database`, or with `?host=/folder` for a unix socket
   * @throws {TollgateError} TG_RECEIVER_STORE
   */
  static async open(url: string): Promise<PostgresStore> {
    // Imported here: who keeps SQLite does not load it.
    const { default: pg } = await import('pg');
    const place = placeOf(url);
    let client: Client | null = null;
    try {
      client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
      // Whatever is asked next fails with it; without a listener it would end the process.
      client.on('error', () => undefined);
      await client.connect();
      const store = new PostgresStore(client, place);
      await store.#prepare();
      return store;
    } catch (cause) {
      await client?.end().catch(() => undefined);
      throw storeError(cause, place);
    }
  }

  put(batch: Batch, deliver?: (fresh: readonly OpenedRecord[]) => Promise<readonly Mark[]>): Promise<Stored> {
    return this.#transaction(async () => {
      const contradicted = await this.#begin(batch.streams);
      const lost = new Set(contradicted.map((one) => streamKey(one.pseudonym, one.stream)));
      const records = batch.records.filter((one) => !lost.has(streamKey(one.pseudonym, one.stream)));
      const fresh = records.length === 0 ? [] : await this.#records(records);
      await this.#reached(batch);
      for (const { seq, bytes, ...of } of batch.waiting) {
        const row = [await this.#idOf(of), seq, sha256(bytes), bytes];
        await this.#query('INSERT INTO waiting VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', row);
      }
      for (const { seq, bytes, ...of } of batch.dropped) {
        const row = [await this.#idOf(of), seq, sha256(bytes)];
        await this.#query('DELETE FROM waiting WHERE stream_id = $1 AND seq = $2 AND hash = $3', row);
      }
      await this.#acks(batch);
      for (const { name, position } of (await deliver?.(fresh)) ?? []) {
        const text = 'INSERT INTO marks VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET position = excluded.position';
        await this.#query(text, [name, position]);
      }
      return { fresh, contradicted };
    });
  }

  async prove(step: ProofStep): Promise<boolean> {
    const { seq, from, chain, evicted, checkpoint, headSize, bootId } = step;
    const { unit, size, root, note } = checkpoint;
    return await this.#transaction(async (rollback) => {
      await this.#query('INSERT INTO units (unit) VALUES ($1) ON CONFLICT DO NOTHING', [unit]);
      // Locked: two processes that accept heads of one unit do it one after the other.
      const head = 'SELECT size, distrusted FROM units WHERE unit = $1 FOR UPDATE';
      const [known] = await this.#query(head, [unit]);
      if (Number(known?.[0]) !== headSize || known?.[1] !== null) return rollback(false);
      const id = await this.#idOf(step);
      const advance =
        'UPDATE streams SET proven_seq = $1, proven_chain = $2 WHERE id = $3 AND proven_seq = $4 RETURNING 1';
      if ((await this.#query(advance, [seq, chain, id, from])).length === 0) return rollback(false);
      const keep = 'INSERT INTO checkpoints VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING';
      await this.#query(keep, [unit, size, root, note]);
      const [same] = await this.#query('SELECT root FROM checkpoints WHERE unit = $1 AND size = $2', [unit, size]);
      if (!Buffer.from(root).equals(same?.[0] as Buffer)) return rollback(false);
      await this.#query('UPDATE units SET size = $2, root = $3 WHERE unit = $1 AND size < $2', [unit, size, root]);
      const boot = `INSERT INTO boots (unit, boot, proven) VALUES ($1, $2, true)
        ON CONFLICT (unit, boot) DO UPDATE SET proven = true`;
      await this.#query(boot, [unit, bootId]);
      for (const one of evicted) {
        const text = 'INSERT INTO evicted VALUES ($1, $2, $3) ON CONFLICT DO NOTHING';
        await this.#query(text, [id, one.seq, one.bodyHash]);
      }
      await this.#query('DELETE FROM waiting WHERE stream_id = $1 AND seq <= $2', [id, seq]);
      return true;
    });
  }

  async stream(pseudonym: string, stream: Uint8Array): Promise<StreamState | null> {
    const text = 'SELECT id, tenant, unit, boot, session FROM streams WHERE pseudonym = $1 AND stream = $2';
    const [row] = await this.#read(text, [pseudonym, stream]);
    if (row === undefined) return null;
    const [id, tenant, unit, bootId, session] = row as [string, string, string, Buffer, Buffer];
    this.#remember(streamKey(pseudonym, stream), Number(id));
    const [position] = await this.#positionsOf([Number(id)]);
    return { tenant, pseudonym, stream, unit, bootId, session, position: position! };
  }

  async positions(streams: readonly StreamId[]): Promise<readonly Position[]> {
    const ids: number[] = [];
    for (const one of streams) ids.push(await this.#guarded(this.#idOf(one)));
    return await this.#positionsOf(ids);
  }

  async unitOf(pseudonym: string): Promise<string | null> {
    const [row] = await this.#read('SELECT unit FROM pseudonyms WHERE pseudonym = $1', [pseudonym]);
    return (row?.[0] as string | undefined) ?? null;
  }

  async links(
    pseudonym: string,
    stream: Uint8Array,
    after: number,
    upto: number,
    limit: number,
  ): Promise<readonly ChainLink[]> {
    const id = await this.#guarded(this.#idOf({ pseudonym, stream }));
    const rows = await this.#read(LINKS, [id, after, upto, limit]);
    return rows.map(([seq, bodyHash, t0]) => ({
      seq: Number(seq),
      bodyHash: bodyHash as Buffer,
      t0Ms: t0 === null ? null : Number(t0),
    }));
  }

  async waiting({ pseudonym, stream }: StreamId): Promise<readonly WaitingProof[]> {
    const id = await this.#guarded(this.#idOf({ pseudonym, stream }));
    const rows = await this.#read('SELECT seq, proof FROM waiting WHERE stream_id = $1 ORDER BY seq, hash', [id]);
    return rows.map(([seq, bytes]) => ({ pseudonym, stream, seq: Number(seq), bytes: bytes as Buffer }));
  }

  async waitingOf(unit: string): Promise<readonly WaitingProof[]> {
    const text = `SELECT s.pseudonym, s.stream, w.seq, w.proof FROM waiting w JOIN streams s ON s.id = w.stream_id
      WHERE s.unit = $1 ORDER BY w.stream_id, w.seq LIMIT ${MOST_OF_UNIT}`;
    const rows = (await this.#read(text, [unit])) as readonly (readonly [string, Buffer, string, Buffer])[];
    return rows.map(([pseudonym, stream, seq, bytes]) => ({ pseudonym, stream, seq: Number(seq), bytes }));
  }

  async checkpoint(unit: string, size?: number): Promise<KnownCheckpoint | null> {
    const text = `SELECT size, root, note FROM checkpoints WHERE unit = $1 AND ($2::bigint IS NULL OR size = $2)
      ORDER BY size DESC LIMIT 1`;
    const [row] = await this.#read(text, [unit, size ?? null]);
    if (row === undefined) return null;
    return { unit, size: Number(row[0]), root: row[1] as Buffer, note: row[2] as string };
  }

  async head(unit: string, bootId: Uint8Array): Promise<UnitHead> {
    const [row] = await this.#read(HEAD, [unit, bootId]);
    const [size, root, distrusted, bootProven, bootNewest] = row as [
      string | null,
      Buffer | null,
      string | null,
      boolean,
      boolean,
    ];
    return { size: Number(size ?? 0), root: root ?? EMPTY, distrusted, bootProven, bootNewest };
  }

  async distrust(unit: string, reason: string): Promise<void> {
    const text = `INSERT INTO units (unit, distrusted) VALUES ($1, $2)
      ON CONFLICT (unit) DO UPDATE SET distrusted = coalesce(units.distrusted, excluded.distrusted)`;
    await this.#transaction(() => this.#query(text, [unit, reason]));
  }

  async readmit(unit: string): Promise<boolean> {
    return await this.#transaction(async () => {
      const known = await this.#query('DELETE FROM units WHERE unit = $1 RETURNING 1', [unit]);
      const earlier = "SELECT count(DISTINCT unit) FROM checkpoints WHERE unit LIKE $1 || '#%'";
      const [count] = await this.#query(earlier, [unit]);
      const name = `${unit}#${Number(count?.[0]) + 1}`;
      await this.#query('UPDATE checkpoints SET unit = $2 WHERE unit = $1', [unit, name]);
      await this.#query('UPDATE boots SET proven = false WHERE unit = $1', [unit]);
      return known.length > 0;
    });
  }

  async alarm(alarm: StoredAlarm): Promise<boolean> {
    const text = `INSERT INTO alarms (key, code, unit, pseudonym, stream, seq, message, evidence)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1`;
    const { key, code, unit, pseudonym, stream, seq, message, evidence } = alarm;
    const row = [key, code, unit, pseudonym, stream, seq, message, JSON.stringify(evidence)];
    return (await this.#transaction(() => this.#query(text, row))).length > 0;
  }

  async alarms(limit: number): Promise<readonly (StoredAlarm & { readonly atMs: number })[]> {
    const text = `SELECT key, at, code, unit, pseudonym, stream, seq, message, evidence FROM alarms
      ORDER BY at DESC, key LIMIT $1`;
    return (await this.#read(text, [limit])).map(alarmOf);
  }

  async mark(name: string): Promise<number | null> {
    const [row] = await this.#read('SELECT position FROM marks WHERE name = $1', [name]);
    return row === undefined ? null : Number(row[0]);
  }

  async unproven(): Promise<readonly StreamId[]> {
    const rows = await this.#read(UNPROVEN, []);
    return rows.map(([pseudonym, stream]) => ({ pseudonym: pseudonym as string, stream: stream as Buffer }));
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    await this.#client.end().catch(() => undefined);
  }

  /** As `SqliteStore.values`. */
  async values(pseudonym: string): Promise<[number, number, string, string, number][]> {
    const text = 'SELECT seq, time_ms, signal, result, value FROM samples WHERE pseudonym = $1 ORDER BY seq, time_ms';
    const rows = await this.#read(text, [pseudonym]);
    return rows.map(([seq, time, signal, result, value]) => [
      Number(seq),
      Number(time),
      signal as string,
      result as string,
      value as number,
    ]);
  }

  /** Number of rows of a table. */
  async count(table: 'streams' | 'records' | 'evicted' | 'value' | 'checkpoints' | 'acks'): Promise<number> {
    const [row] = await this.#read(`SELECT count(*) FROM ${table === 'value' ? 'samples' : table}`, []);
    return Number(row?.[0]);
  }

  async #prepare(): Promise<void> {
    await this.#query('SET synchronous_commit = on', []);
    const [synchronous] = await this.#query('SHOW fsync', []);
    if (synchronous?.[0] !== 'on') throw new Error('the server runs with fsync = off, which loses acknowledged rows');
    await this.#transaction(async () => {
      await this.#query('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
      const [there] = await this.#query("SELECT to_regclass('tollgate_format') IS NOT NULL", []);
      if (there?.[0] !== true) await this.#client.query(TABLES);
      const [version] = await this.#query('SELECT version FROM tollgate_format', []);
      if (Number(version?.[0]) === FORMAT) return;
      throw new Error(`it is of format ${String(version?.[0])}, this program writes ${FORMAT}`);
    });
    await this.#query(STAGING, []);
  }

  /** @returns streams whose name is another session's, or whose pseudonym is another unit's */
  async #begin(streams: readonly StoredStream[]): Promise<StoredStream[]> {
    const contradicted: StoredStream[] = [];
    // In one order in all processes: they wait for each other, never in a ring.
    const ordered = streams.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
    for (const one of ordered) {
      const { tenant, pseudonym, stream, unit, bootId, session } = one;
      await this.#query('INSERT INTO pseudonyms VALUES ($1, $2) ON CONFLICT DO NOTHING', [pseudonym, unit]);
      const [owner] = await this.#query('SELECT unit FROM pseudonyms WHERE pseudonym = $1', [pseudonym]);
      if (owner?.[0] !== unit) {
        contradicted.push(one);
        continue;
      }
      const add = `INSERT INTO streams (tenant, pseudonym, stream, unit, boot, session) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING`;
      await this.#query(add, [tenant, pseudonym, stream, unit, bootId, session]);
      await this.#query('INSERT INTO boots (unit, boot) VALUES ($1, $2) ON CONFLICT DO NOTHING', [unit, bootId]);
      const find = 'SELECT id, session FROM streams WHERE pseudonym = $1 AND stream = $2';
      const [stored] = await this.#query(find, [pseudonym, stream]);
      if (!Buffer.from(session).equals(stored?.[1] as Buffer)) contradicted.push(one);
      else this.#remember(key(one), Number(stored?.[0]));
    }
    return contradicted;
  }

  async #records(records: readonly OpenedRecord[]): Promise<OpenedRecord[]> {
    const staged = new CopyRows();
    const byKey = new Map<string, OpenedRecord>();
    const ids = new Map<OpenedRecord, number>();
    for (const record of records) {
      const id = await this.#idOf(record);
      ids.set(record, id);
      byKey.set(`${id} ${record.seq}`, record);
      staged.row(8);
      for (const value of [id, record.seq, record.t0Ms, record.utcMs, record.samples]) staged.int8(value);
      for (const bytes of [record.bodyHash, record.record, record.salt]) staged.bytea(bytes);
    }
    await copyRows(this.#client, 'incoming', staged);
    // In one order in all processes, as above.
    const move = `INSERT INTO records SELECT * FROM incoming ORDER BY stream_id, seq
      ON CONFLICT DO NOTHING RETURNING stream_id, seq`;
    const names = new Set((await this.#query(move, [])).map(([id, seq]) => `${id} ${seq}`));
    const fresh = records.filter((one) => {
      const name = `${ids.get(one)} ${one.seq}`;
      return names.has(name) && byKey.get(name) === one;
    });
    await this.#values(fresh, ids);
    return fresh;
  }

  async #values(fresh: readonly OpenedRecord[], ids: ReadonlyMap<OpenedRecord, number>): Promise<void> {
    const rows = new CopyRows();
    for (const record of fresh) {
      const columns = await this.#columnIds(ids.get(record)!, record.schema);
      for (const { index, count, times, values } of columnsOf(record)) {
        rows.row(4);
        rows.int8(columns[index]!);
        rows.int8(record.seq);
        rows.float8s(times, count);
        rows.float8s(values, count);
      }
    }
    if (rows.count > 0) await copyRows(this.#client, 'value (column_id, seq, times_ms, values)', rows);
  }

  /** Ids of the columns of a schema, group by group. */
  async #columnIds(stream: number, schema: Schema): Promise<number[]> {
    const known = this.#columns.get(schema);
    if (known !== undefined) return known;
    const add = `INSERT INTO columns (stream_id, signal, result, unit, window_ms) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT DO NOTHING`;
    const find = 'SELECT id FROM columns WHERE stream_id = $1 AND signal = $2 AND result = $3 AND window_ms = $4';
    const ids: number[] = [];
    for (const { windowMs, columns } of schema.groups) {
      for (const { signal, result, unit } of columns) {
        await this.#query(add, [stream, signal, result, unit, windowMs]);
        const [row] = await this.#query(find, [stream, signal, result, windowMs]);
        ids.push(Number(row?.[0]));
      }
    }
    this.#columns.set(schema, ids);
    return ids;
  }

  async #reached({ reached }: Batch): Promise<void> {
    if (reached.length === 0) return;
    const ids: number[] = [];
    for (const one of reached) ids.push(await this.#idOf(one));
    // Locked in one order in all processes, and not at all where another says the same.
    const text = `UPDATE streams s SET next = n.next
      FROM (SELECT s.id, t.next FROM unnest($1::bigint[], $2::bigint[]) AS t (id, next) JOIN streams s ON s.id = t.id
        WHERE s.next < t.next ORDER BY s.id FOR NO KEY UPDATE OF s) AS n
      WHERE s.id = n.id AND s.next < n.next`;
    await this.#query(text, [ids, reached.map(({ next }) => next)]);
  }

  async #acks({ acks }: Batch): Promise<void> {
    if (acks.length === 0) return;
    // The last of a stream and state stands.
    const last = new Map<string, (typeof acks)[number]>();
    for (const ack of acks) last.set(`${key(ack)} ${ack.state}`, ack);
    const rows: [number, string, number, string, string][] = [];
    for (const ack of last.values()) {
      const missing = JSON.stringify(ack.missing);
      rows.push([await this.#idOf(ack), ack.state, ack.uptoSeq, missing, Buffer.from(ack.signed).toString('hex')]);
    }
    rows.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
    const text = `INSERT INTO acks SELECT t.id, t.state, t.upto, t.missing::jsonb, decode(t.signed, 'hex')
      FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS t (id, state, upto, missing, signed)
      ON CONFLICT (stream_id, state) DO UPDATE
        SET upto_seq = excluded.upto_seq, missing = excluded.missing, signed = excluded.signed`;
    const column = (i: 0 | 1 | 2 | 3 | 4) => rows.map((row) => row[i]);
    await this.#query(text, [column(0), column(1), column(2), column(3), column(4)]);
  }

  async #positionsOf(ids: readonly number[]): Promise<Position[]> {
    const heads = await this.#read(POSITIONS, [ids]);
    const runs = new Map<number, [number, number][]>(ids.map((id) => [id, []]));
    for (const [id, first, last] of await this.#read(RUNS, [ids, MOST_RUNS])) {
      runs.get(Number(id))!.push([Number(first), Number(last)]);
    }
    const byId = new Map(heads.map((row) => [Number(row[0]), row]));
    return ids.map((id) => {
      const [, next, provenSeq, chain, headSize, waiting] = byId.get(id) ?? [];
      return {
        next: Number(next),
        runs: runs.get(id)!,
        provenSeq: Number(provenSeq),
        provenChain: (chain as Buffer | null) ?? EMPTY,
        waiting: Number(waiting),
        headSize: Number(headSize),
      };
    });
  }

  async #idOf({ pseudonym, stream }: StreamId): Promise<number> {
    const name = streamKey(pseudonym, stream);
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const [row] = await this.#query('SELECT id FROM streams WHERE pseudonym = $1 AND stream = $2', [pseudonym, stream]);
    if (row === undefined) throw new Error('a stream without a session');
    const id = Number(row[0]);
    this.#remember(name, id);
    return id;
  }

  #remember(name: string, id: number): void {
    if (this.#ids.size >= MOST_IDS) this.#ids.clear();
    this.#ids.set(name, id);
  }

  async #query(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const { rows } = await this.#client.query<unknown[]>({ text, values: values.map(parameter), rowMode: 'array' });
    return rows;
  }

  async #read(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return await this.#guarded(this.#query(text, values));
  }

  async #guarded<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw storeError(cause, this.#place);
    }
  }

  #transaction<T>(work: (rollback: (result: T) => T) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      let back = false;
      try {
        await this.#query('BEGIN', []);
        const result = await work((value) => {
          back = true;
          return value;
        });
        await this.#query(back ? 'ROLLBACK' : 'COMMIT', []);
        return result;
      } catch (cause) {
        await this.#query('ROLLBACK', []).catch(() => undefined);
        // A rollback took ids with it that are remembered.
        this.#ids.clear();
        this.#columns = new WeakMap();
        throw storeError(cause, this.#place);
      }
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

const key = ({ pseudonym, stream }: StreamId) => streamKey(pseudonym, stream);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** The driver takes bytes as a Buffer; another view it would write as JSON. */
function parameter(value: unknown): unknown {
  if (value instanceof Uint8Array && !Buffer.isBuffer(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  return value;
}

function alarmOf(row: Row): StoredAlarm & { readonly atMs: number } {
  const [name, at, code, unit, pseudonym, stream, seq, message, evidence] = row as [
    ...[string, Date, string, string, string, string],
    ...[string | null, string, string[]],
  ];
  return {
    ...{ key: name, code, unit, pseudonym, stream, message, evidence },
    seq: seq === null ? null : Number(seq),
    atMs: at.getTime(),
  };
}

/** Where a database is, without credentials. */
function placeOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return 'postgres';
  return `postgres://${parsed.host || (parsed.searchParams.get('host') ?? '')}${parsed.pathname}`;
}

function storeError(cause: unknown, place: string): TollgateError {
  if (cause instanceof TollgateError) return cause;
  const reason =
    cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
  return new TollgateError('TG_RECEIVER_STORE', `the receiver's store: ${reason}`, { place: { file: place }, cause });
}
