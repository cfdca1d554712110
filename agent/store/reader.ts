import { rootAt, sha256Tree } from '#ledger';
import type { DurableStats, MeterRow, RecordInfo, RecordQuery } from './contract.ts';
import { connectReader, translated, value } from './database.ts';
import { nodeReader } from './ledger-table.ts';
import { meterRows, recordsAbout } from './queries.ts';
import { KIND_RECORD, STATE_PUBACKED } from './tables.ts';

/** What can be known of a store without its agent. A row that is inflight shows as queued. */
export type ReadStats = Omit<DurableStats, 'fault' | 'commits' | 'inflight' | 'fileBytes'> & {
  readonly streams: number;
};

/** A store as `status`, `explain` and `meter` see it while the agent writes; each answer is one consistent moment. */
export interface StoreReader {
  stats(): ReadStats;
  /** The newest signed checkpoint, or null. */
  checkpoint(): string | null;
  meter(): readonly MeterRow[];
  recordsAbout(query: RecordQuery): readonly RecordInfo[];
  close(): void;
}

/** @throws {TollgateError} TG_STORE_IO, TG_STORE_CORRUPT, TG_STORE_VERSION */
export function readStore(file: string): StoreReader {
  const db = connectReader(file);
  const number = (sql: string) => Number(value(db, sql) ?? 0);
  // One read transaction: the writer may commit between two statements.
  const moment = <T>(work: () => T): T =>
    translated(file, () => {
      db.exec('BEGIN');
      try {
        return work();
      } finally {
        db.exec('COMMIT');
      }
    });
  const stats = (): ReadStats => {
    const size = number('SELECT max(idx) + 1 FROM leaf');
    return {
      queued: number('SELECT count(*) FROM outbox WHERE state = 0'),
      pubacked: number(`SELECT count(*) FROM outbox WHERE state = ${STATE_PUBACKED}`),
      acked: number('SELECT sum(acked) FROM progress'),
      evicted: number('SELECT sum(evicted) FROM progress'),
      bytes: number(`SELECT sum(size) FROM outbox WHERE kind = ${KIND_RECORD}`),
      head: { size, root: new Uint8Array(rootAt(size, nodeReader(db, file), sha256Tree)) },
      checkpointSize: number('SELECT max(size) FROM checkpoint'),
      streams: number('SELECT count(*) FROM stream'),
    };
  };
  return {
    stats: () => moment(stats),
    checkpoint: () => {
      const note = translated(file, () => value(db, 'SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1'));
      return typeof note === 'string' ? note : null;
    },
    meter: () => moment(() => meterRows(db)),
    recordsAbout: (query) => moment(() => recordsAbout(db, query)),
    close: () => db.close(),
  };
}
