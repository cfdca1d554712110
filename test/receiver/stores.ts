import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { type ReceiverOptions, SqliteStore } from '#receiver';
import { PostgresStore } from '../../receiver/postgres-store.ts';
import { type Bench, benchOver, type TestStore, type TestUnit } from './parts.ts';
import { POSTGRES, type Postgres, startPostgres } from './postgres.ts';

/** What a specification of receivers needs, whatever the store. */
export interface Fixture {
  /** A new, empty store; closed after the test. */
  store(): Promise<TestStore>;
  bench(
    units: readonly TestUnit[],
    options?: Partial<ReceiverOptions> & { store?: TestStore },
  ): Promise<Bench<TestStore>>;
}

/** Runs one specification over every store. */
export function overEachStore(specification: (fixture: Fixture) => void): void {
  describe('over SQLite', () => specification(fixture(async () => new SqliteStore(':memory:'))));
  describe.skipIf(POSTGRES === null)('over PostgreSQL', () => {
    let server: Postgres;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server.stop());
    specification(fixture(() => PostgresStore.open(server.fresh())));
  });
}

function fixture(open: () => Promise<TestStore>): Fixture {
  const opened: TestStore[] = [];
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
  });
  const store = async () => {
    const made = await open();
    opened.push(made);
    return made;
  };
  return {
    store,
    bench: async (units, options = {}) => benchOver(options.store ?? (await store()), units, options),
  };
}
