import type Database from 'better-sqlite3';
import { decodeCbor, decodeProof } from '#wire';

/** Version of these tables, in `user_version`. */
export const FORMAT = 2;

/** A person reads `samples`; the rest serves sequence, proof and acknowledgement. */
const TABLES = `
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, pseudonym TEXT NOT NULL, stream BLOB NOT NULL, unit TEXT NOT NULL,
  boot BLOB, session BLOB NOT NULL,
  next INTEGER NOT NULL DEFAULT 0, proven_seq INTEGER NOT NULL DEFAULT -1, proven_chain BLOB,
  UNIQUE (pseudonym, stream)) STRICT;
CREATE TABLE IF NOT EXISTS pseudonyms (pseudonym TEXT PRIMARY KEY, unit TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, t0_ms INTEGER NOT NULL, utc_ms INTEGER, samples INTEGER NOT NULL,
  body_hash BLOB NOT NULL, record BLOB NOT NULL, salt BLOB NOT NULL, PRIMARY KEY (stream_id, seq)) STRICT;
CREATE TABLE IF NOT EXISTS evicted (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, body_hash BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, proof BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq, proof)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS columns (
  id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, signal TEXT NOT NULL, result TEXT NOT NULL, unit TEXT NOT NULL,
  window_ms INTEGER NOT NULL, UNIQUE (stream_id, signal, result, window_ms)) STRICT;
CREATE TABLE IF NOT EXISTS value (
  column_id INTEGER NOT NULL, seq INTEGER NOT NULL, time_ms REAL NOT NULL, utc_ms REAL, value REAL) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
  unit TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (unit, size)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
  unit TEXT PRIMARY KEY, size INTEGER NOT NULL DEFAULT 0, root BLOB, distrusted TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS boots (
  id INTEGER PRIMARY KEY, unit TEXT NOT NULL, boot BLOB NOT NULL, proven INTEGER NOT NULL DEFAULT 0,
  UNIQUE (unit, boot)) STRICT;
CREATE TABLE IF NOT EXISTS alarms (
  key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL DEFAULT (unixepoch() * 1000), code TEXT NOT NULL, unit TEXT NOT NULL,
  pseudonym TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER, message TEXT NOT NULL, evidence TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS acks (
  stream_id INTEGER NOT NULL, state TEXT NOT NULL, upto_seq INTEGER NOT NULL, missing TEXT NOT NULL,
  signed BLOB NOT NULL, PRIMARY KEY (stream_id, state)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS samples AS
  SELECT s.pseudonym, hex(s.stream) AS stream, v.seq, v.utc_ms, v.time_ms, c.window_ms, c.signal, c.result, c.unit, v.value
  FROM value v JOIN columns c ON c.id = v.column_id JOIN streams s ON s.id = c.stream_id;
`;

/**
 * Makes the tables, or brings those of format 1 here: a new database has version 0. To be called in a transaction, for
 * several processes may start at once.
 *
 * @throws {Error} for a format that this program does not know
 */
export function makeTables(db: Database.Database): void {
  const version = (db.prepare('PRAGMA user_version').raw(true).get() as [number])[0];
  if (version === FORMAT) return;
  if (version > FORMAT) throw new Error(`it is of format ${version}, this program writes ${FORMAT}`);
  if (version === 1) {
    db.exec('ALTER TABLE streams ADD COLUMN boot BLOB; DROP VIEW samples; ALTER TABLE value RENAME TO value_1');
  }
  db.exec(TABLES);
  if (version === 1) fromFormat1(db);
  db.exec(`PRAGMA user_version = ${FORMAT}`);
}

/** Format 1 kept no units and no starts, a stream's waiting proofs as one packed value, and times in whole ms only. */
function fromFormat1(db: Database.Database): void {
  db.exec(`
    INSERT INTO value SELECT * FROM value_1;
    DROP TABLE value_1;
    INSERT OR IGNORE INTO pseudonyms SELECT pseudonym, unit FROM streams;
    INSERT OR IGNORE INTO units SELECT unit, max(size), root, NULL FROM checkpoints GROUP BY unit`);
  const rows = db.prepare('SELECT id, waiting_proof FROM streams WHERE waiting_proof IS NOT NULL').raw(true).all();
  const keep = db.prepare('INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)');
  for (const [id, packed] of rows as [number, Buffer][]) {
    for (const proof of unpack(packed)) keep.run(id, proof.seq, proof.bytes);
  }
  db.exec('ALTER TABLE streams DROP COLUMN waiting_proof');
}

/** Proofs in the form of an earlier format of proofs are let go: the next ones prove the same. */
function unpack(packed: Uint8Array): { readonly seq: number; readonly bytes: Uint8Array }[] {
  try {
    const list = decodeCbor(packed);
    const proofs = Array.isArray(list) && list.every((one) => one instanceof Uint8Array) ? list : [packed];
    return proofs.map((bytes) => ({ seq: decodeProof(bytes).seq, bytes }));
  } catch {
    return [];
  }
}
