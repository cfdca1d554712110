import { TollgateError } from '#contracts';
import type { ReceiverStore } from './contract.ts';
import { SqliteStore } from './sqlite-store.ts';

const POSTGRES = /^postgres(ql)?:\/\//;
const OTHER = /^[a-z][a-z0-9+.-]+:\/\//;

/**
 * The store that a URL or path names: `postgres://…`, else a SQLite file.
 *
 * @throws {TollgateError} TG_RECEIVER_STORE
 */
export async function openReceiverStore(where: string): Promise<ReceiverStore> {
  if (POSTGRES.test(where)) {
    // Imported here: who keeps SQLite does not load the driver.
    const { PostgresStore } = await import('./postgres-store.ts');
    return await PostgresStore.open(where);
  }
  if (OTHER.test(where)) {
    throw new TollgateError('TG_RECEIVER_STORE', 'a store is a path of a SQLite file or postgres://…');
  }
  return new SqliteStore(where);
}
