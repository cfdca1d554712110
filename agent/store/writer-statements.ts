import type Database from 'better-sqlite3';
import type { Connection } from './database.ts';

type Statement = Database.Statement<unknown[]>;

export type WriterStatements = Readonly<
  Record<
    | 'addField'
    | 'evict'
    | 'isEvicted'
    | 'bound'
    | 'published'
    | 'publishedTo'
    | 'publish'
    | 'untold'
    | 'carry'
    | 'document'
    | 'session',
    Statement
  >
>;

/** Statements of the writer that belong to no table of its own class. */
export function prepareWriter(db: Connection): WriterStatements {
  const raw = (sql: string) => db.prepare(sql).raw();
  const pluck = (sql: string) => db.prepare(sql).pluck();
  return {
    addField: db.prepare('INSERT OR IGNORE INTO stream_field VALUES (?, ?)'),
    evict: db.prepare('INSERT INTO evicted (stream, seq, body_hash) VALUES (?, ?, ?)'),
    isEvicted: pluck('SELECT 1 FROM evicted WHERE stream = ? AND seq = ?'),
    bound: pluck('SELECT seq FROM evicted WHERE stream = ? AND told = 0 ORDER BY seq LIMIT 1 OFFSET ?'),
    published: pluck('SELECT size FROM published'),
    publishedTo: pluck('SELECT size FROM published WHERE recipient = ?'),
    publish: db.prepare(
      'INSERT INTO published VALUES (?, ?) ON CONFLICT (recipient) DO UPDATE SET size = max(size, excluded.size)',
    ),
    untold: raw('SELECT seq, body_hash FROM evicted WHERE stream = ? AND told = 0 AND seq <= ? ORDER BY seq LIMIT ?'),
    carry: db.prepare('UPDATE evicted SET proof = ? WHERE stream = ? AND seq = ?'),
    document: db.prepare(
      `INSERT INTO document VALUES (?, ?, ?, ?) ON CONFLICT (issuer, document)
       DO UPDATE SET version = excluded.version, hash = excluded.hash WHERE excluded.version > version`,
    ),
    session: pluck('SELECT message FROM session WHERE stream = ?'),
  };
}
