import { closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { TollgateError } from '#contracts';
import type {
  Batch,
  ChainLink,
  KnownCheckpoint,
  OpenedRecord,
  ReceiverStore,
  StoredStream,
  StreamState,
} from './contract.ts';
import { rowsOf } from './values.ts';

/** A person reads `samples`; the rest serves sequence, proof and acknowledgement. */
const TABLES = `
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, pseudonym TEXT NOT NULL, stream BLOB NOT NULL, unit TEXT NOT NULL,
  session BLOB NOT NULL,
  next INTEGER NOT NULL DEFAULT 0, proven_seq INTEGER NOT NULL DEFAULT -1, proven_chain BLOB, waiting_proof BLOB,
  UNIQUE (pseudonym, stream)) STRICT;
CREATE TABLE IF NOT EXISTS records (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, t0_ms INTEGER NOT NULL, utc_ms INTEGER, samples INTEGER NOT NULL,
  body_hash BLOB NOT NULL, record BLOB NOT NULL, salt BLOB NOT NULL, PRIMARY KEY (stream_id, seq)) STRICT;
CREATE TABLE IF NOT EXISTS evicted (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, body_hash BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS columns (
  id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, signal TEXT NOT NULL, result TEXT NOT NULL, unit TEXT NOT NULL,
  window_ms INTEGER NOT NULL, UNIQUE (stream_id, signal, result, window_ms)) STRICT;
CREATE TABLE IF NOT EXISTS value (
  column_id INTEGER NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, utc_ms INTEGER, value REAL) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
  unit TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (unit, size)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks (
  stream_id INTEGER NOT NULL, state TEXT NOT NULL, upto_seq INTEGER NOT NULL, missing TEXT NOT NULL,
  signed BLOB NOT NULL, PRIMARY KEY (stream_id, state)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS samples AS
  SELECT s.pseudonym, hex(s.stream) AS stream, v.seq, v.utc_ms, v.time_ms, c.window_ms, c.signal, c.result, c.unit, v.value
  FROM value v JOIN columns c ON c.id = v.column_id JOIN streams s ON s.id = c.stream_id;
`;
/** Version of these tables, in `user_version`. */
const FORMAT = 1;
/** SQLite's number for FULL. */
const SYNCHRONOUS_FULL = 2;

const STATE = `SELECT id, tenant, unit, session, next, proven_seq, proven_chain, waiting_proof FROM streams
  WHERE pseudonym = ? AND stream = ?`;
const BEYOND = `SELECT seq FROM records WHERE stream_id = :id AND seq >= :next
  UNION SELECT seq FROM evicted WHERE stream_id = :id AND seq >= :next ORDER BY seq`;
const LINKS = `SELECT seq, body_hash, t0_ms FROM records WHERE stream_id = :id AND seq > :after AND seq <= :upto
  UNION ALL SELECT seq, body_hash, NULL FROM evicted e WHERE stream_id = :id AND seq > :after AND seq <= :upto
    AND NOT EXISTS (SELECT 1 FROM records r WHERE r.stream_id = e.stream_id AND r.seq = e.seq)
  ORDER BY seq LIMIT :limit`;
const UNPROVEN = `SELECT pseudonym, stream FROM streams s
  WHERE EXISTS (SELECT 1 FROM records r WHERE r.stream_id = s.id AND r.seq > s.proven_seq)`;

type StateRow = [number, string, string, Buffer, number, number, Buffer | null, Buffer | null];

/**
 * A receiver's store in one SQLite file. Statements return raw rows: the driver would build row objects with
 * `Function()`, which a Tollgate process forbids.
 */
export class SqliteStore implements ReceiverStore {
  readonly #db: Database.Database;
  readonly #sql: (text: string) => Database.Statement;
  /** Ids of columns by stream, signal, result and window; as many as there are schemas in use. */
  readonly #columns = new Map<string, number>();

  /**
   * @param path file, or `:memory:`
   * @throws {TollgateError} TG_RECEIVER_STORE
   */
  constructor(path: string) {
    try {
      if (path !== ':memory:') createPrivate(path);
      this.#db = new Database(path);
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      this.#check(path);
      this.#db.exec(TABLES);
      this.#db.exec(`PRAGMA user_version = ${FORMAT}`);
    } catch (cause) {
      if (cause instanceof TollgateError) throw cause;
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

  async put(batch: Batch): Promise<void> {
    try {
      this.#db.transaction(() => this.#write(batch)).immediate();
    } catch (cause) {
      // A rollback took ids with it that are remembered.
      this.#columns.clear();
      throw storeError(cause);
    }
  }

  async stream(pseudonym: string, stream: Uint8Array): Promise<StreamState | null> {
    const row = this.#sql(STATE).get(pseudonym, stream) as StateRow | undefined;
    if (row === undefined) return null;
    const [id, tenant, unit, session, next, provenSeq, chain, waitingProof] = row;
    const beyond = (this.#sql(BEYOND).all({ id, next }) as [number][]).map(([seq]) => seq);
    const provenChain = chain ?? EMPTY;
    return { tenant, pseudonym, stream, unit, session, next, provenSeq, provenChain, waitingProof, beyond };
  }

  async unitOf(pseudonym: string): Promise<string | null> {
    const row = this.#sql('SELECT unit FROM streams WHERE pseudonym = ? LIMIT 1').get(pseudonym) as
      | [string]
      | undefined;
    return row?.[0] ?? null;
  }

  async links(
    pseudonym: string,
    stream: Uint8Array,
    after: number,
    upto: number,
    limit: number,
  ): Promise<readonly ChainLink[]> {
    const id = this.#idOf({ pseudonym, stream });
    const rows = this.#sql(LINKS).all({ id, after, upto, limit }) as [number, Buffer, number | null][];
    return rows.map(([seq, bodyHash, t0Ms]) => ({ seq, bodyHash, t0Ms }));
  }

  async checkpoint(unit: string, size?: number): Promise<KnownCheckpoint | null> {
    const text = 'SELECT size, root, note FROM checkpoints WHERE unit = ? AND size = coalesce(?, size)';
    const row = this.#sql(`${text} ORDER BY size DESC LIMIT 1`).get(unit, size ?? null);
    if (row === undefined) return null;
    const [known, root, note] = row as [number, Buffer, string];
    return { unit, size: known, root, note };
  }

  async mark(name: string): Promise<number | null> {
    const row = this.#sql('SELECT position FROM marks WHERE name = ?').get(name) as [number] | undefined;
    return row?.[0] ?? null;
  }

  async unproven(): Promise<readonly { readonly pseudonym: string; readonly stream: Uint8Array }[]> {
    const rows = this.#sql(UNPROVEN).all() as [string, Buffer][];
    return rows.map(([pseudonym, stream]) => ({ pseudonym, stream }));
  }

  async close(): Promise<void> {
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

  #check(path: string): void {
    const number = (pragma: string) => Number((this.#db.prepare(`PRAGMA ${pragma}`).raw(true).get() as [number])[0]);
    // The driver's own default is NORMAL in WAL mode, which loses acknowledged rows in a power cut.
    if (number('synchronous') !== SYNCHRONOUS_FULL) throw storeError(new Error('synchronous is not FULL'), path);
    const version = number('user_version');
    if (version !== 0 && version !== FORMAT) {
      throw storeError(new Error(`it is of format ${version}, this program writes ${FORMAT}`), path);
    }
  }

  #write(batch: Batch): void {
    for (const stream of batch.streams) this.#begin(stream);
    for (const record of batch.records) this.#record(record);
    for (const { seq, bodyHash, ...of } of batch.evicted) {
      this.#sql('INSERT OR IGNORE INTO evicted VALUES (?, ?, ?)').run(this.#idOf(of), seq, bodyHash);
    }
    for (const one of batch.progress) {
      this.#sql('UPDATE streams SET next = ?, proven_seq = ?, proven_chain = ?, waiting_proof = ? WHERE id = ?').run(
        one.next,
        one.provenSeq,
        one.provenChain,
        one.waitingProof,
        this.#idOf(one),
      );
    }
    for (const { unit, size, root, note } of batch.checkpoints) {
      this.#sql('INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?)').run(unit, size, root, note);
    }
    for (const ack of batch.acks) {
      const missing = JSON.stringify(ack.missing);
      this.#sql('INSERT OR REPLACE INTO acks VALUES (?, ?, ?, ?, ?)').run(
        this.#idOf(ack),
        ack.state,
        ack.uptoSeq,
        missing,
        ack.signed,
      );
    }
    for (const { name, position } of batch.marks) {
      this.#sql('INSERT OR REPLACE INTO marks VALUES (?, ?)').run(name, position);
    }
  }

  #begin({ tenant, pseudonym, stream, unit, session }: StoredStream): void {
    this.#sql('INSERT OR IGNORE INTO streams (tenant, pseudonym, stream, unit, session) VALUES (?, ?, ?, ?, ?)').run(
      tenant,
      pseudonym,
      stream,
      unit,
      session,
    );
  }

  #idOf({ pseudonym, stream }: { readonly pseudonym: string; readonly stream: Uint8Array }): number {
    const row = this.#sql('SELECT id FROM streams WHERE pseudonym = ? AND stream = ?').get(pseudonym, stream);
    if (row === undefined) throw new Error('a stream without a session');
    return (row as [number])[0];
  }

  #record(record: OpenedRecord): void {
    const id = this.#idOf(record);
    const { seq, t0Ms, utcMs, samples, bodyHash } = record;
    const insert = this.#sql('INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    const { changes } = insert.run(id, seq, t0Ms, utcMs, samples, bodyHash, record.record, record.salt);
    if (changes === 0) return;
    const value = this.#sql('INSERT INTO value VALUES (?, ?, ?, ?, ?)');
    for (const row of rowsOf(record)) {
      for (const { column, value: number } of row.cells) {
        const columnId = this.#columnId(id, column.signal, column.result, column.unit, row.windowMs);
        value.run(columnId, seq, row.timeMs, row.utcMs, number);
      }
    }
  }

  #columnId(stream: number, signal: string, result: string, unit: string, windowMs: number): number {
    const key = `${stream} ${result} ${windowMs} ${signal}`;
    const known = this.#columns.get(key);
    if (known !== undefined) return known;
    if (this.#columns.size >= MOST_COLUMNS) this.#columns.clear();
    const add = 'INSERT OR IGNORE INTO columns (stream_id, signal, result, unit, window_ms) VALUES (?, ?, ?, ?, ?)';
    this.#sql(add).run(stream, signal, result, unit, windowMs);
    const find = 'SELECT id FROM columns WHERE stream_id = ? AND signal = ? AND result = ? AND window_ms = ?';
    const [id] = this.#sql(find).get(stream, signal, result, windowMs) as [number];
    this.#columns.set(key, id);
    return id;
  }
}

/** Read and written by the owner alone. */
const PRIVATE = 0o600;
const EMPTY = new Uint8Array(0);
/** Column ids remembered; beyond that they are looked up anew. */
const MOST_COLUMNS = 10_000;

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

function storeError(cause: unknown, path?: string): TollgateError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TollgateError('TG_RECEIVER_STORE', `the receiver's store: ${reason}`, {
    place: path === undefined ? {} : { file: path },
    cause,
  });
}
