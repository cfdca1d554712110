import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { TollgateError } from '#contracts';
import { State } from './state.ts';

/**
 * The ledger in a unit's database, read only: as the store keeps it, or as plain tables `leaf(idx, leaf)`,
 * `node(level, idx, hash)`, `checkpoint(size, note)`. Nothing is verified here.
 */
export interface StoredLedger {
  /** The database file. */
  readonly file: string;
  /** Leaf numbers go from 0 to size − 1; some may be gone. */
  readonly size: number;
  /** Leaves below were pruned; the nodes that proofs of the others need are there. */
  readonly prunedBelow: number;
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
  if (tables.includes('leaf_block')) return readStored(file, database);
  const missing = ['leaf', 'node', 'checkpoint'].find((name) => !tables.includes(name));
  if (missing !== undefined) throw notALedger(file, `there is no table "${missing}" in this database`);
  const last = database.prepare('SELECT max(idx) FROM leaf').pluck().get();
  const size = typeof last === 'number' ? last + 1 : 0;
  const leaf = database.prepare('SELECT leaf FROM leaf WHERE idx = ?').pluck();
  const node = database.prepare('SELECT hash FROM node WHERE level = ? AND idx = ?').pluck();
  return {
    file,
    size,
    prunedBelow: 0,
    leaf: (index) => guarded(file, () => bytesOrNull(leaf.get(index))),
    node: (level, index) => guarded(file, () => bytesOrNull(node.get(level, index))),
    checkpoints: notesOf(database),
    close: () => database.close(),
  };
}

/** What the store wrote, with what waits in `hot`; damage shows as leaves and nodes that are not there. */
function readStored(file: string, database: Database.Database): StoredLedger {
  const { ledger } = loaded(file, database);
  const orNull = (read: () => Uint8Array) =>
    guarded(file, () => {
      try {
        return read();
      } catch (error) {
        if (error instanceof TollgateError) return null;
        throw error;
      }
    });
  return {
    file,
    size: ledger.size,
    prunedBelow: ledger.pruned,
    leaf: (index) => (index < ledger.size ? orNull(() => ledger.leaf(index)) : null),
    node: (level, index) => ((index + 1) * 2 ** level <= ledger.size ? orNull(() => ledger.node(level, index)) : null),
    checkpoints: notesOf(database),
    close: () => database.close(),
  };
}

function loaded(file: string, database: Database.Database): State {
  const state = new State(database, file);
  state.load();
  return state;
}

function notesOf(database: Database.Database): string[] {
  return database.prepare('SELECT note FROM checkpoint ORDER BY size').pluck().all().map(String);
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
