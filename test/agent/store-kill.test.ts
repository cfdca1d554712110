import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { appendLeaf, emptyRange, rootFromRange, sha256Tree } from '#ledger';
import type { ProtocolState } from '../../agent/store/contract.ts';
import { folder, labels, open } from './store-parts.ts';

/** Moments of the protocol that lie in the store. */
const STATES: readonly ProtocolState[] = [
  'transaction-begun',
  'rows-written',
  'transaction-committed',
  'committed',
  'session-stored',
  'checkpoint-stored',
  'proof-stored',
  'puback-stored',
  'ack-stored',
];
const TIMES = 5;
const ROUNDS = 6;

const script = fileURLToPath(new URL('store-child.ts', import.meta.url));

/** Runs a life of the store until it dies at the state for the n-th time; resolves with the signal. */
function life(file: string, promises: string, state: ProtocolState, occurrence: number): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, file, promises, `${occurrence}`, `${ROUNDS}`, state], {
      stdio: 'ignore',
    });
    child.on('exit', (_, signal) => resolve(signal));
  });
}

/** Everything that was promised stands in the file, and the file agrees with itself. */
async function examine(file: string, promises: string): Promise<void> {
  const store = await open(file);
  await store.close();
  const db = new Database(file, { readonly: true });
  const rows = (sql: string, ...values: unknown[]) =>
    db
      .prepare(sql)
      .raw()
      .all(...values) as number[][];
  const one = (sql: string, ...values: unknown[]) => rows(sql, ...values)[0]?.[0] ?? 0;

  for (const line of existsSync(promises) ? readFileSync(promises, 'utf8').trim().split('\n') : []) {
    const [what, ...words] = line.split(' ');
    if (what === 'checkpoint') {
      expect(rows('SELECT size FROM checkpoint'), line).toContainEqual([Number(words[0])]);
      continue;
    }
    const stream = one('SELECT id FROM stream WHERE campaign = ?', words[0]);
    const seq = Number(words[1]);
    if (what === 'committed')
      expect(one('SELECT next_seq FROM progress WHERE stream = ?', stream), line).toBeGreaterThan(seq);
    if (what === 'acked')
      expect(rows('SELECT seq FROM outbox WHERE kind = 1 AND stream = ? AND seq <= ?', stream, seq), line).toEqual([]);
  }
  // A record waits, or was acknowledged, or is named as evicted: nothing else.
  const unexplained = rows(
    `SELECT r.stream, r.seq FROM record r WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.leaf = r.leaf)
     AND NOT EXISTS (SELECT 1 FROM evicted e WHERE e.stream = r.stream AND e.seq = r.seq)
     AND r.seq > ifnull((SELECT upto FROM ack a WHERE a.stream = r.stream), -1)`,
  );
  expect(unexplained).toEqual([]);
  expect(one('SELECT count(*) FROM record')).toBe(one('SELECT sum(next_seq) FROM progress'));
  expect(one('SELECT count(*) FROM record')).toBe(one('SELECT sum(records) FROM meter'));
  expect(rows('SELECT id FROM outbox EXCEPT SELECT id FROM payload')).toEqual([]);
  expect(rows('SELECT id FROM payload EXCEPT SELECT id FROM outbox')).toEqual([]);

  const range = emptyRange();
  const nodes: (string | number)[][] = [];
  const leaves = db.prepare('SELECT leaf FROM leaf ORDER BY idx').pluck().all() as Uint8Array[];
  for (const leaf of leaves) {
    appendLeaf(range, sha256Tree.leaf(leaf), sha256Tree, (level, index, hash) => {
      nodes.push([level, index, Buffer.from(hash).toString('hex')]);
    });
  }
  const stored = db.prepare('SELECT level, idx, lower(hex(hash)) FROM node').raw().all() as (string | number)[][];
  const order = (a: (string | number)[], b: (string | number)[]) =>
    Number(a[0]) - Number(b[0]) || Number(a[1]) - Number(b[1]);
  expect(stored.sort(order)).toEqual(nodes.sort(order));
  const waiting = one('SELECT count(*) FROM outbox WHERE state = 0');
  db.close();

  const again = await open(file);
  expect(Buffer.from((await again.head()).root)).toEqual(Buffer.from(rootFromRange(range, sha256Tree)));
  const sent = labels(await again.take(100_000));
  expect(sent.length).toBe(waiting);
  expect(sent.filter((label) => !/^(proof|session c\d+.*|c\d+(-\w+)?\/\d+)$/.test(label))).toEqual([]);
  await again.close();
}

describe.each(STATES)('a unit that is killed at "%s"', (state) => {
  it(`keeps every promise, ${TIMES} times in a row`, async () => {
    const place = folder();
    const promises = join(place.path, 'promises');
    for (let occurrence = 1; occurrence <= TIMES; occurrence++) {
      expect(await life(place.file, promises, state, occurrence)).toBe('SIGKILL');
      await examine(place.file, promises);
    }
    place.remove();
  });
});
