import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { TollgateError } from '#contracts';
import { nodePosition } from './tables.ts';

/**
 * The ledger in a unit's database, read only: `leaf(idx, leaf)`, `node(pos, level, idx, hash)`, `checkpoint(size, note)`.
 * Nothing is verified here.
 */
export interface StoredLedger {
  /** The database file. */
  readonly file: string;
  /** Leaf numbers go from 0 to size − 1; some may be gone. */
  readonly size: number;
  leaf(index: number): Uint8Array | null;
  node(level: number, index: number): Uint8Array | null;
  /** Signed notes, smallest size first. */
  readonly checkpoints: readonly string[];
  close(): void;
}

const DATABASE_NAME = /\.(db|sqlite|sqlite3)$/;

/**
 * Opens the ledger of a unit. An agent may be running: SQLite's WAL keeps what is read here at one moment.
 *
 * @param path the database, or the state folder that holds it
 * @throws {TollgateError} TG_LEDGER_DATABASE
 */
export function readLedger(path: string): StoredLedger {
  const file = databaseIn(path);
  const database = guarded(file, () => new Database(file, { readonly: true, fileMustExist: true }));
  try {
    return guarded(file, () => read(file, database));
  } catch (error) {
    database.close();
    throw error;
  }
}

function read(file: string, database: Database.Database): StoredLedger {
  // One read transaction: leaves, nodes and checkpoints of the same commit.
  database.exec('BEGIN');
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
  const missing = ['leaf', 'node', 'checkpoint'].find((name) => !tables.includes(name));
  if (missing !== undefined) throw notALedger(file, `there is no table "${missing}" in this database`);
  const last = database.prepare('SELECT max(idx) FROM leaf').pluck().get();
  const size = typeof last === 'number' ? last + 1 : 0;
  const leaf = database.prepare('SELECT leaf FROM leaf WHERE idx = ?').pluck();
  // The store keys nodes by the order in which they come to be; another table may have the plain key.
  const columns = database.prepare("SELECT name FROM pragma_table_info('node')").pluck().all();
  const byPlace = columns.includes('pos');
  const node = database.prepare(`SELECT hash FROM node WHERE ${byPlace ? 'pos = ?' : 'level = ? AND idx = ?'}`).pluck();
  const place = (level: number, index: number) => (byPlace ? [nodePosition(level, index)] : [level, index]);
  const notes = database.prepare('SELECT note FROM checkpoint ORDER BY size').pluck().all();
  return {
    file,
    size,
    leaf: (index) => guarded(file, () => bytesOrNull(leaf.get(index))),
    node: (level, index) => guarded(file, () => bytesOrNull(node.get(...place(level, index)))),
    checkpoints: notes.map(String),
    close: () => database.close(),
  };
}

function bytesOrNull(value: unknown): Uint8Array | null {
  return value instanceof Uint8Array ? value : null;
}

function databaseIn(path: string): string {
  if (!existsSync(path)) throw notALedger(path, 'there is no such file or folder');
  if (!statSync(path).isDirectory()) return path;
  const files = readdirSync(path).filter((name) => DATABASE_NAME.test(name));
  if (files.length === 1) return join(path, files[0]!);
  throw notALedger(path, `the folder holds ${files.length} databases, one was expected`);
}

function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause;
    throw notALedger(file, `cannot be read: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

function notALedger(file: string, message: string, cause?: unknown): TollgateError {
  return new TollgateError('TG_LEDGER_DATABASE', message, { place: { file }, cause });
}
