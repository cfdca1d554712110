import type { DurableStats, MeterRow, RecordInfo, RecordQuery } from './contract.ts';
import { connectReader, translated, value } from './database.ts';
import { outboxFaults } from './outbox-check.ts';
import { meterRows, recordsAbout } from './queries.ts';
import { State } from './state.ts';

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
  /** What SQLite finds wrong with its file, page by page, else what does not fit together in the outbox. Reads all of it. */
  damage(): readonly string[];
  close(): void;
}

/** @throws {TollgateError} TG_STORE_IO, TG_STORE_CORRUPT, TG_STORE_VERSION, TG_STORE_LEDGER */
export function readStore(file: string): StoreReader {
  const db = connectReader(file);
  const state = translated(file, () => new State(db, file));
  // One read transaction: the writer may commit between two statements.
  const moment = <T>(work: () => T): T =>
    translated(file, () => {
      db.exec('BEGIN');
      try {
        state.load();
        return work();
      } finally {
        db.exec('COMMIT');
      }
    });
  const stats = (): ReadStats => {
    const { outbox, ledger, acked, evicted } = state;
    return {
      queued: outbox.queuedRows,
      pubacked: outbox.pubackedRows,
      acked,
      evicted,
      bytes: outbox.bytes,
      head: { size: ledger.size, root: new Uint8Array(ledger.root()) },
      checkpointSize: ledger.checkpointSize,
      streams: Number(value(db, 'SELECT count(*) FROM stream')),
    };
  };
  return {
    stats: () => moment(stats),
    checkpoint: () => {
      const note = translated(file, () => value(db, 'SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1'));
      return typeof note === 'string' ? note : null;
    },
    meter: () => moment(() => meterRows(db, state.meter)),
    damage: () => {
      const found = translated(file, () => db.prepare('PRAGMA integrity_check').pluck().all());
      const pages = found.map(String).filter((line) => line !== 'ok');
      return pages.length > 0 ? pages : moment(() => outboxFaults(db, state));
    },
    recordsAbout: (query) => moment(() => recordsAbout(db, state, query)),
    close: () => db.close(),
  };
}
