import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type ErrorCode, TollgateError } from '#contracts';
import { PAGE_BYTES, SCHEMA_VERSION, TABLES } from './tables.ts';

export type Connection = Database.Database;

// `db.pragma()` and plain `get()`/`all()` build their rows with Function(), which the agent forbids: `exec`, raw and pluck.

/** `PRAGMA synchronous` as it reads when FULL. */
const FULL = 2;
/** The rig's control: what a store looks like that syncs nothing. */
const OFF = 0;
/** Pages of WAL after which SQLite copies them into the database. */
const AUTOCHECKPOINT_PAGES = 8_000;
/** A WAL that grew (long backlog) is cut back to this, bytes. */
const WAL_LIMIT_BYTES = 8 * 1024 * 1024;
/** Page cache, KiB. */
const CACHE_KIB = 1_024;

export interface WriterOptions {
  readonly file: string;
  /** Test hook: a disk that is full at this many pages. */
  readonly maxPages?: number;
  /** Test hook: `synchronous=OFF`, the control of the power-cut rig. */
  readonly unsynced?: boolean;
  /** Test hook: a disk that takes no writes any more. */
  readonly readOnly?: boolean;
  /** Test hook: pages of WAL after which they are copied into the database; `AUTOCHECKPOINT_PAGES` without it. */
  readonly walPages?: number;
}

/**
 * Opens the file to write, makes its tables where it is new, and checks it.
 *
 * @throws {TollgateError} TG_STORE_CORRUPT, TG_STORE_VERSION, TG_STORE_FULL, TG_STORE_READONLY, TG_STORE_IO
 */
export function connectWriter(options: WriterOptions): Connection {
  const { file, maxPages, readOnly, unsynced = false, walPages = AUTOCHECKPOINT_PAGES } = options;
  return translated(file, () => {
    const db = new Database(file);
    try {
      db.exec(`PRAGMA page_size = ${PAGE_BYTES}`);
      setUp(db, file, unsynced ? OFF : FULL);
      db.exec(`PRAGMA wal_autocheckpoint = ${walPages}`);
      db.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`);
      db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
      db.exec('PRAGMA temp_store = MEMORY');
      db.exec('PRAGMA mmap_size = 0');
      db.exec('PRAGMA cell_size_check = ON');
      db.exec('PRAGMA trusted_schema = OFF');
      if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`);
      makeTables(db, file);
      const verdict = value(db, 'PRAGMA quick_check(1)');
      if (verdict !== 'ok') throw new TollgateError('TG_STORE_CORRUPT', `SQLite says: ${verdict}`, { place: { file } });
      if (readOnly === true) db.exec('PRAGMA query_only = ON');
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Opens the file to read while the agent writes. */
export function connectReader(file: string): Connection {
  return translated(file, () => {
    const db = new Database(file, { readonly: true, fileMustExist: true });
    try {
      db.exec('PRAGMA synchronous = FULL');
      checkVersion(db, file);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** The one column of the one row of a statement without parameters. */
export function value(db: Connection, sql: string): unknown {
  return db.prepare(sql).pluck().get();
}

/**
 * WAL and FULL, set on this connection and read back: better-sqlite3 is built so that a connection which set nothing is
 * at NORMAL in WAL, and loses the newest commits in a power cut.
 */
function setUp(db: Connection, file: string, wanted: typeof FULL | typeof OFF): void {
  const mode = value(db, 'PRAGMA journal_mode = WAL');
  db.exec(`PRAGMA synchronous = ${wanted}`);
  const synchronous = value(db, 'PRAGMA synchronous');
  if (mode === 'wal' && synchronous === wanted) return;
  throw new TollgateError(
    'TG_STORE_IO',
    `journal mode ${mode}, synchronous ${synchronous}: wal and ${wanted} are needed`,
    {
      place: { file },
    },
  );
}

function makeTables(db: Connection, file: string): void {
  if (value(db, 'PRAGMA user_version') === 0) {
    db.exec('BEGIN IMMEDIATE');
    try {
      if (value(db, 'PRAGMA user_version') === 0) db.exec(`${TABLES} PRAGMA user_version = ${SCHEMA_VERSION};`);
      db.exec('COMMIT');
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
  checkVersion(db, file);
}

function checkVersion(db: Connection, file: string): void {
  const version = value(db, 'PRAGMA user_version');
  if (version === SCHEMA_VERSION) return;
  const text = `the store has version ${version}, this agent writes ${SCHEMA_VERSION}`;
  throw new TollgateError('TG_STORE_VERSION', text, { place: { file } });
}

/**
 * One agent a store: holds an exclusive lock on a file beside it until the process ends, however it ends. The store
 * itself stays readable for `status` and `explain`.
 *
 * @throws {TollgateError} TG_STORE_LOCKED
 */
export function lock(file: string): Connection {
  const lockFile = `${file}-lock`;
  return translated(lockFile, () => {
    const db = new Database(lockFile, { timeout: 0 });
    try {
      db.exec('PRAGMA journal_mode = MEMORY');
      db.exec('BEGIN EXCLUSIVE');
      return db;
    } catch (error) {
      db.close();
      if (!isSqlite(error) || !error.code.startsWith('SQLITE_BUSY')) throw error;
      throw new TollgateError('TG_STORE_LOCKED', 'another agent has this store open', {
        place: { file },
        cause: error,
      });
    }
  });
}

/** Faults that pass: what was appended waits in memory, what is stored can be read and sent, and the store tries again. */
export function passes(error: unknown): boolean {
  return error instanceof TollgateError && ['TG_STORE_FULL', 'TG_STORE_READONLY'].includes(error.code);
}

/** The codes of SQLite as ours; what is no SQLite error passes unchanged. */
export function translate(error: unknown, file: string): unknown {
  if (!isSqlite(error)) return error;
  return new TollgateError(codeOf(error), `${error.code}: ${error.message}`, { place: { file }, cause: error });
}

export function translated<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(error, file);
  }
}

interface SqliteError extends Error {
  readonly code: string;
}

function isSqlite(error: unknown): error is SqliteError {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_')
  );
}

/** Codes that a disk without room gives: a write or a growth of the WAL's index that did not fit. */
const NO_ROOM = ['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_SHMSIZE', 'SQLITE_IOERR_TRUNCATE'];
/** A file or file system that may only be read, or became so (ext4 remounts itself after an error). */
const READ_ONLY = 'SQLITE_READONLY';
const BROKEN = ['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_IOERR_SHORT_READ'];

function codeOf({ code }: SqliteError): ErrorCode {
  if (NO_ROOM.includes(code)) return 'TG_STORE_FULL';
  if (code.startsWith(READ_ONLY)) return 'TG_STORE_READONLY';
  return BROKEN.some((known) => code.startsWith(known)) ? 'TG_STORE_CORRUPT' : 'TG_STORE_IO';
}

/** Bytes of a file, 0 where there is none. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
