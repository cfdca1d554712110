import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readStore } from '../../agent/store/index.ts';
import { packRows, unpackRows } from '../../agent/store/segment.ts';
import { folder, open, TestStream } from './store-parts.ts';

describe('a check of a store that nobody writes', () => {
  let place: ReturnType<typeof folder>;

  beforeEach(async () => {
    place = folder(true);
    const store = await open(place.file);
    const [a, b] = [new TestStream('a'), new TestStream('b')];
    await a.fill(store, 4);
    await b.fill(store, 4);
    await store.commit();
    const { stream } = a.entry;
    await store.ack({ stream, uptoSeq: 1, missing: [], state: 'opened', signed: Buffer.from('ack') });
    await store.close();
  });
  afterEach(() => place.remove());

  function change(sql: string, value: (bytes: Uint8Array) => Uint8Array): void {
    const db = new Database(place.file);
    const [column, table] = sql.split(' of ');
    const bytes = db.prepare(`SELECT ${column} FROM ${table}`).pluck().get() as Uint8Array;
    db.prepare(`UPDATE ${table} SET ${column} = ?`).run(value(bytes));
    db.close();
  }

  function damage(): readonly string[] {
    const store = readStore(place.file);
    try {
      return store.damage();
    } finally {
      store.close();
    }
  }

  it('finds nothing in one that is whole', () => {
    expect(damage()).toEqual([]);
  });

  it.each([
    ['leaf', 5],
    ['seq', 2],
    ['stream', 1],
  ] as const)('finds a message that is said to have another %s', (column, to) => {
    change('rows of segment', (bytes) => {
      const rows = unpackRows(bytes, null);
      const at = rows.count - 1;
      expect(rows[column][at]).not.toBe(to);
      rows[column][at] = to;
      return packRows(rows);
    });
    expect(damage()).toEqual([expect.stringMatching(/^message \d+ is said to be record/)]);
  });

  it('finds payloads that are cut', () => {
    change('body of segment', (bytes) => bytes.slice(0, -1));
    expect(damage()).toEqual([expect.stringContaining('their description says')]);
  });

  it('says that a stream is gone which rows name, where the store is opened as well', async () => {
    const db = new Database(place.file);
    db.exec('UPDATE stream SET id = id + 100');
    db.close();
    expect(damage).toThrow(expect.objectContaining({ code: 'TG_STORE_CORRUPT' }));
    await expect(open(place.file)).rejects.toMatchObject({ code: 'TG_STORE_CORRUPT' });
  });
});
