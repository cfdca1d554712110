import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
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
import { makeTables } from './sqlite-tables.ts';
import { columnsOf } from './values.ts';

/** SQLite's number for FULL. */
const SYNCHRONOUS_FULL = 2;
/** How long one process waits for another's transaction, ms, and how long before it asks again. */
const BUSY_MS = 60_000;
const AGAIN_MS = 2;

const STATE = 'SELECT id, tenant, unit, boot, session FROM streams WHERE pseudonym = ? AND stream = ?';
const POSITION = `SELECT s.next, s.proven_seq, s.proven_chain, coalesce(u.size, 0),
    (SELECT count(*) FROM waiting w WHERE w.stream_id = s.id)
  FROM streams s LEFT JOIN units u ON u.unit = s.unit WHERE s.id = ?`;
/** Numbers that follow each other have one difference to their rank. */
const RUNS = `SELECT min(seq), max(seq) FROM (
    SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run FROM (
      SELECT seq FROM records WHERE stream_id = :id AND seq >= :next
      UNION SELECT seq FROM evicted WHERE stream_id = :id AND seq >= :next))
  GROUP BY run ORDER BY 1 LIMIT ${MOST_RUNS}`;
const LINKS = `SELECT seq, body_hash, t0_ms FROM records WHERE stream_id = :id AND seq > :after AND seq <= :upto
  UNION ALL SELECT seq, body_hash, NULL FROM evicted e WHERE stream_id = :id AND seq > :after AND seq <= :upto
    AND NOT EXISTS (SELECT 1 FROM records r WHERE r.stream_id = e.stream_id AND r.seq = e.seq)
  ORDER BY seq LIMIT :limit`;
const UNPROVEN = `SELECT pseudonym, stream FROM streams s
  WHERE EXISTS (SELECT 1 FROM records r WHERE r.stream_id = s.id AND r.seq > s.proven_seq)`;
const WAITING_OF = `SELECT s.pseudonym, s.stream, w.seq, w.proof FROM waiting w JOIN streams s ON s.id = w.stream_id
  WHERE s.unit = ? ORDER BY w.stream_id, w.seq LIMIT ${MOST_OF_UNIT}`;
const HEAD = `SELECT u.size, u.root, u.distrusted,
    coalesce((SELECT proven FROM boots WHERE unit = :unit AND boot = :boot), 0),
    coalesce((SELECT id FROM boots WHERE unit = :unit AND boot = :boot), 0)
      > coalesce((SELECT max(id) FROM boots WHERE unit = :unit AND proven = 1), 0)
  FROM (SELECT 1) LEFT JOIN units u ON u.unit = :unit`;

/**
 * A receiver's store in one SQLite file; several processes may share it. Statements return raw rows: the driver would
 * build row objects with `Function()`, which a Tollgate process forbids.
 */
export class SqliteStore implements ReceiverStore {
  readonly #db: Database.Database;
  readonly #path: string;
  readonly #sql: (text: string) => Database.Statement;
  /** Ids of the columns of the schemas in use, group by group. */
  #columns = new WeakMap<Schema, readonly number[]>();
  /** One transaction at a time: between its begin and its end an output is awaited. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param path file, or `:memory:`
   * @throws {TollgateError} TG_RECEIVER_STORE
   */
  constructor(path: string) {
    this.#path = path;
    try {
      if (path !== ':memory:') createPrivate(path);
      this.#db = new Database(path);
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      // The driver's own default is NORMAL in WAL mode, which loses acknowledged rows in a power cut.
      const [synchronous] = this.#db.prepare('PRAGMA synchronous').raw(true).get() as [number];
      if (synchronous !== SYNCHRONOUS_FULL) throw new Error('synchronous is not FULL');
      this.#db.transaction(() => makeTables(this.#db)).immediate();
      // From here on `#begun` waits, and the event loop with it goes on.
      this.#db.exec('PRAGMA busy_timeout = 0');
    } catch (cause) {
      throw storeError(cause, path);
    }
    const statements = new Map<string, Database.Statement>();
    this.#sql = (text) => {
      const known = statements.get(text);
      if (known !== undefined) return known;
      const made = this.#db.prepare(text);
      if (made.reader) made.raw(true);
      statements.set(text, made);
      return made;
    };
  }

  put(batch: Batch, deliver?: (fresh: readonly OpenedRecord[]) => Promise<readonly Mark[]>): Promise<Stored> {
    return this.#transaction(async () => {
      const stored = this.#write(batch);
      for (const { name, position } of (await deliver?.(stored.fresh)) ?? []) {
        this.#sql('INSERT OR REPLACE INTO marks VALUES (?, ?)').run(name, position);
      }
      return stored;
    });
  }

  async prove(step: ProofStep): Promise<boolean> {
    const { seq, from, chain, evicted, checkpoint, headSize, bootId } = step;
    const { unit, size, root, note } = checkpoint;
    const other = Symbol('another process was faster');
    return await this.#transaction(async () => {
      this.#sql('INSERT OR IGNORE INTO units (unit) VALUES (?)').run(unit);
      const head = 'SELECT 1 FROM units WHERE unit = ? AND size = ? AND distrusted IS NULL';
      if (this.#sql(head).get(unit, headSize) === undefined) throw other;
      const id = this.#idOf(step);
      const advance = 'UPDATE streams SET proven_seq = ?, proven_chain = ? WHERE id = ? AND proven_seq = ?';
      if (this.#sql(advance).run(seq, chain, id, from).changes === 0) throw other;
      this.#sql('INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?)').run(unit, size, root, note);
      const same = 'SELECT 1 FROM checkpoints WHERE unit = ? AND size = ? AND root = ?';
      if (this.#sql(same).get(unit, size, root) === undefined) throw other;
      this.#sql('UPDATE units SET size = ?, root = ? WHERE unit = ? AND size < ?').run(size, root, unit, size);
      this.#sql('INSERT INTO boots (unit, boot, proven) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET proven = 1').run(
        unit,
        bootId,
      );
      for (const one of evicted) {
        this.#sql('INSERT OR IGNORE INTO evicted VALUES (?, ?, ?)').run(id, one.seq, one.bodyHash);
      }
      this.#sql('DELETE FROM waiting WHERE stream_id = ? AND seq <= ?').run(id, seq);
      return true;
    }).catch((error: unknown) => {
      if (error instanceof TollgateError && error.cause === other) return false;
      throw error;
    });
  }

  async stream(pseudonym: string, stream: Uint8Array): Promise<StreamState | null> {
    return this.#read(() => {
      const row = this.#sql(STATE).get(pseudonym, stream) as
        | [number, string, string, Buffer | null, Buffer]
        | undefined;
      if (row === undefined) return null;
      const [id, tenant, unit, boot, session] = row;
      return { tenant, pseudonym, stream, unit, bootId: boot ?? EMPTY, session, position: this.#position(id) };
    });
  }

  async positions(streams: readonly StreamId[]): Promise<readonly Position[]> {
    return this.#read(() => streams.map((one) => this.#position(this.#idOf(one))));
  }

  async unitOf(pseudonym: string): Promise<string | null> {
    const text = 'SELECT unit FROM pseudonyms WHERE pseudonym = ?';
    return this.#read(() => (this.#sql(text).get(pseudonym) as [string] | undefined)?.[0] ?? null);
  }

  async links(
    pseudonym: string,
    stream: Uint8Array,
    after: number,
    upto: number,
    limit: number,
  ): Promise<readonly ChainLink[]> {
    return this.#read(() => {
      const id = this.#idOf({ pseudonym, stream });
      const rows = this.#sql(LINKS).all({ id, after, upto, limit }) as [number, Buffer, number | null][];
      return rows.map(([seq, bodyHash, t0Ms]) => ({ seq, bodyHash, t0Ms }));
    });
  }

  async waiting({ pseudonym, stream }: StreamId): Promise<readonly WaitingProof[]> {
    return this.#read(() => {
      const id = this.#idOf({ pseudonym, stream });
      const rows = this.#sql('SELECT seq, proof FROM waiting WHERE stream_id = ? ORDER BY seq').all(id);
      return (rows as [number, Buffer][]).map(([seq, bytes]) => ({ pseudonym, stream, seq, bytes }));
    });
  }

  async waitingOf(unit: string): Promise<readonly WaitingProof[]> {
    return this.#read(() => {
      const rows = this.#sql(WAITING_OF).all(unit) as [string, Buffer, number, Buffer][];
      return rows.map(([pseudonym, stream, seq, bytes]) => ({ pseudonym, stream, seq, bytes }));
    });
  }

  async checkpoint(unit: string, size?: number): Promise<KnownCheckpoint | null> {
    return this.#read(() => {
      const text = 'SELECT size, root, note FROM checkpoints WHERE unit = ? AND size = coalesce(?, size)';
      const row = this.#sql(`${text} ORDER BY size DESC LIMIT 1`).get(unit, size ?? null);
      if (row === undefined) return null;
      const [known, root, note] = row as [number, Buffer, string];
      return { unit, size: known, root, note };
    });
  }

  async head(unit: string, bootId: Uint8Array): Promise<UnitHead> {
    return this.#read(() => {
      const row = this.#sql(HEAD).get({ unit, boot: bootId });
      const [size, root, distrusted, proven, newest] = row as [
        number | null,
        Buffer | null,
        string | null,
        number,
        number,
      ];
      return { size: size ?? 0, root: root ?? EMPTY, distrusted, bootProven: proven === 1, bootNewest: newest === 1 };
    });
  }

  async distrust(unit: string, reason: string): Promise<void> {
    await this.#transaction(async () => {
      this.#sql('INSERT OR IGNORE INTO units (unit) VALUES (?)').run(unit);
      this.#sql('UPDATE units SET distrusted = ? WHERE unit = ? AND distrusted IS NULL').run(reason, unit);
    });
  }

  async readmit(unit: string): Promise<boolean> {
    return await this.#transaction(async () => {
      const known = this.#sql('DELETE FROM units WHERE unit = ?').run(unit).changes > 0;
      const earlier = this.#sql("SELECT count(DISTINCT unit) FROM checkpoints WHERE unit LIKE ? || '#%'").get(unit);
      const name = `${unit}#${(earlier as [number])[0] + 1}`;
      this.#sql('UPDATE checkpoints SET unit = ? WHERE unit = ?').run(name, unit);
      this.#sql('UPDATE boots SET proven = 0 WHERE unit = ?').run(unit);
      return known;
    });
  }

  async alarm(alarm: StoredAlarm): Promise<boolean> {
    const text = `INSERT OR IGNORE INTO alarms (key, code, unit, pseudonym, stream, seq, message, evidence)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
    const { key, code, unit, pseudonym, stream, seq, message, evidence } = alarm;
    return await this.#transaction(async () => {
      const row = [key, code, unit, pseudonym, stream, seq, message, JSON.stringify(evidence)];
      return this.#sql(text).run(...row).changes > 0;
    });
  }

  async alarms(limit: number): Promise<readonly (StoredAlarm & { readonly atMs: number })[]> {
    const text = `SELECT key, at_ms, code, unit, pseudonym, stream, seq, message, evidence FROM alarms
      ORDER BY at_ms DESC, rowid DESC LIMIT ?`;
    return this.#read(() => (this.#sql(text).all(limit) as AlarmRow[]).map(alarmOf));
  }

  async mark(name: string): Promise<number | null> {
    const text = 'SELECT position FROM marks WHERE name = ?';
    return this.#read(() => (this.#sql(text).get(name) as [number] | undefined)?.[0] ?? null);
  }

  async unproven(): Promise<readonly StreamId[]> {
    const rows = this.#read(() => this.#sql(UNPROVEN).all() as [string, Buffer][]);
    return rows.map(([pseudonym, stream]) => ({ pseudonym, stream }));
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    this.#db.close();
  }

  /** Values of one stream as `samples` has them: [seq, time_ms, signal, result, value]. For tests and reports. */
  values(pseudonym: string): [number, number, string, string, number][] {
    const text = 'SELECT seq, time_ms, signal, result, value FROM samples WHERE pseudonym = ? ORDER BY seq, time_ms';
    return this.#sql(text).all(pseudonym) as [number, number, string, string, number][];
  }

  /** Number of rows of a table. */
  count(table: 'streams' | 'records' | 'evicted' | 'value' | 'checkpoints' | 'acks'): number {
    return (this.#sql(`SELECT count(*) FROM ${table}`).get() as [number])[0];
  }

  #read<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw storeError(cause, this.#path);
    }
  }

  #transaction<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      try {
        await this.#begun();
        const result = await work();
        this.#db.exec('COMMIT');
        return result;
      } catch (cause) {
        if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
        // A rollback took ids with it that are remembered.
        this.#columns = new WeakMap();
        throw storeError(cause, this.#path);
      }
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Begins a transaction as soon as no other process holds one. */
  async #begun(): Promise<void> {
    for (const since = performance.now(); ; ) {
      try {
        this.#db.exec('BEGIN IMMEDIATE');
        return;
      } catch (error) {
        if ((error as { code?: string }).code !== 'SQLITE_BUSY' || performance.now() - since > BUSY_MS) throw error;
      }
      await sleep(AGAIN_MS);
    }
  }

  #position(id: number): Position {
    const row = this.#sql(POSITION).get(id) as [number, number, Buffer | null, number, number];
    const [next, provenSeq, chain, headSize, waiting] = row;
    const runs = this.#sql(RUNS).all({ id, next }) as [number, number][];
    return { next, runs, provenSeq, provenChain: chain ?? EMPTY, waiting, headSize };
  }

  #write(batch: Batch): Stored {
    const contradicted = batch.streams.filter((stream) => !this.#begin(stream));
    const lost = (one: StreamId) => contradicted.some((other) => sameStream(one, other));
    const records = contradicted.length === 0 ? batch.records : batch.records.filter((one) => !lost(one));
    const fresh = records.filter((record) => this.#record(record));
    for (const { next, ...of } of batch.reached) {
      this.#sql('UPDATE streams SET next = max(next, ?) WHERE id = ?').run(next, this.#idOf(of));
    }
    for (const { seq, bytes, ...of } of batch.waiting) {
      this.#sql('INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)').run(this.#idOf(of), seq, bytes);
    }
    for (const { seq, bytes, ...of } of batch.dropped) {
      const text = 'DELETE FROM waiting WHERE stream_id = ? AND seq = ? AND proof = ?';
      this.#sql(text).run(this.#idOf(of), seq, bytes);
    }
    for (const ack of batch.acks) {
      const missing = JSON.stringify(ack.missing);
      const row = [this.#idOf(ack), ack.state, ack.uptoSeq, missing, ack.signed];
      this.#sql('INSERT OR REPLACE INTO acks VALUES (?, ?, ?, ?, ?)').run(...row);
    }
    return { fresh, contradicted };
  }

  /** @returns false where the name is another session's, or the pseudonym another unit's */
  #begin({ tenant, pseudonym, stream, unit, bootId, session }: StoredStream): boolean {
    this.#sql('INSERT OR IGNORE INTO pseudonyms VALUES (?, ?)').run(pseudonym, unit);
    if (this.#sql('SELECT 1 FROM pseudonyms WHERE pseudonym = ? AND unit = ?').get(pseudonym, unit) === undefined)
      return false;
    const add = `INSERT OR IGNORE INTO streams (tenant, pseudonym, stream, unit, boot, session) VALUES (?, ?, ?, ?, ?, ?)`;
    this.#sql(add).run(tenant, pseudonym, stream, unit, bootId, session);
    this.#sql('INSERT OR IGNORE INTO boots (unit, boot) VALUES (?, ?)').run(unit, bootId);
    const same = 'SELECT 1 FROM streams WHERE pseudonym = ? AND stream = ? AND session = ?';
    return this.#sql(same).get(pseudonym, stream, session) !== undefined;
  }

  #idOf({ pseudonym, stream }: StreamId): number {
    const row = this.#sql('SELECT id FROM streams WHERE pseudonym = ? AND stream = ?').get(pseudonym, stream);
    if (row === undefined) throw new Error('a stream without a session');
    return (row as [number])[0];
  }

  #record(record: OpenedRecord): boolean {
    const id = this.#idOf(record);
    const { seq, t0Ms, utcMs, samples, bodyHash } = record;
    const insert = this.#sql('INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    const { changes } = insert.run(id, seq, t0Ms, utcMs, samples, bodyHash, record.record, record.salt);
    if (changes === 0) return false;
    const value = this.#sql('INSERT INTO value VALUES (?, ?, ?, ?, ?)');
    const columnIds = this.#columnIds(id, record.schema);
    const offsetMs = utcMs === null ? null : utcMs - t0Ms;
    for (const { index, count, times, values } of columnsOf(record)) {
      for (let i = 0; i < count; i++) {
        value.run(columnIds[index]!, seq, times[i]!, offsetMs === null ? null : times[i]! + offsetMs, values[i]!);
      }
    }
    return true;
  }

  /** Ids of the columns of a schema, group by group. */
  #columnIds(stream: number, schema: Schema): readonly number[] {
    const known = this.#columns.get(schema);
    if (known !== undefined) return known;
    const add = 'INSERT OR IGNORE INTO columns (stream_id, signal, result, unit, window_ms) VALUES (?, ?, ?, ?, ?)';
    const find = 'SELECT id FROM columns WHERE stream_id = ? AND signal = ? AND result = ? AND window_ms = ?';
    const ids: number[] = [];
    for (const { windowMs, columns } of schema.groups) {
      for (const { signal, result, unit } of columns) {
        this.#sql(add).run(stream, signal, result, unit, windowMs);
        ids.push((this.#sql(find).get(stream, signal, result, windowMs) as [number])[0]);
      }
    }
    this.#columns.set(schema, ids);
    return ids;
  }
}

/** Read and written by the owner alone. */
const PRIVATE = 0o600;
const EMPTY = new Uint8Array(0);

type AlarmRow = [string, number, string, string, string, string, number | null, string, string];

function alarmOf([key, atMs, code, unit, pseudonym, stream, seq, message, evidence]: AlarmRow) {
  return { key, atMs, code, unit, pseudonym, stream, seq, message, evidence: JSON.parse(evidence) as string[] };
}

function sameStream(one: StreamId, other: StreamId): boolean {
  return one.pseudonym === other.pseudonym && Buffer.from(one.stream).equals(other.stream);
}

/**
 * Makes a new file that only its owner reads: it holds people's data in the clear. SQLite gives the files beside it,
 * `-wal` and `-shm`, the mode of the database. One that is there keeps the mode that its owner gave it, and is not
 * opened here: closing it would drop the locks that another connection of this process holds (POSIX fcntl).
 */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function storeError(cause: unknown, path: string): TollgateError {
  if (cause instanceof TollgateError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TollgateError('TG_RECEIVER_STORE', `the receiver's store: ${reason}`, { place: { file: path }, cause });
}
