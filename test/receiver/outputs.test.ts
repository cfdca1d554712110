import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Batch,
  columnsOf,
  JsonLines,
  loadReceiverKeys,
  type OpenedRecord,
  receiverKeys,
  rowsOf,
  SqliteStore,
} from '#receiver';
import { enrolment } from '#trust';
import { encodeCbor, type Schema } from '#wire';
import { MOST_RUNS } from '../../receiver/contract.ts';
import { MOST_MISSING, Progress } from '../../receiver/progress.ts';
import { MOST_WAITING, Waiting } from '../../receiver/waiting.ts';
import { bench, SCHEMA, TestUnit } from './parts.ts';

const folder = mkdtempSync(join(tmpdir(), 'tollgate-receiver-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');

describe('the file of JSON lines', () => {
  it('has each row once, over restarts and a crash between file and database', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const records = await stream.records(6);
    const file = join(folder, 'out.jsonl');
    const store = new SqliteStore(join(folder, 'out.sqlite'));
    const run = async (messages: typeof records, database: SqliteStore) => {
      const sink = await JsonLines.open(file, await store.mark(file));
      const made = bench([unit], { store: database, sinks: [sink] });
      await made.take(stream.session, ...messages).catch(() => undefined);
      await sink.close();
    };
    await run(records.slice(0, 2), store);
    expect(linesOf(file).length).toBe(2 * 11);
    // The lines are written and synced, the transaction never happens: the unit sends all of it again.
    const crash = new Proxy(store, {
      get: (target, name) => {
        if (name === 'put') {
          return async (batch: Batch, deliver: (fresh: readonly OpenedRecord[]) => Promise<unknown>) => {
            await deliver(batch.records.filter(({ seq }) => seq > 1));
            throw new Error('power cut');
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    await run(records.slice(1, 4), crash);
    expect(linesOf(file).length).toBe(4 * 11);
    await run(records, store);
    const seqs = linesOf(file).map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(seqs).toEqual([0, 1, 2, 3, 4, 5].flatMap((seq) => Array.from({ length: 11 }, () => seq)));
    await store.close();
  });

  it('goes on after what a new file of another program holds', async () => {
    const file = join(folder, 'old.jsonl');
    writeFileSync(file, '{"mine":true}\n');
    const sink = await JsonLines.open(file, null);
    expect(await sink.write([])).toEqual({ name: file, position: 14 });
    await sink.close();
    expect(readFileSync(file, 'utf8')).toBe('{"mine":true}\n');
  });

  it('is an error with its path where it cannot be written', async () => {
    await expect(JsonLines.open(join(folder, 'no', 'such', 'place'), null)).rejects.toMatchObject({
      code: 'TG_RECEIVER_OUTPUT',
    });
  });
});

describe('the database', () => {
  it('is an error with its path where it cannot be opened, and where it is no database', () => {
    expect(() => new SqliteStore(join(folder, 'no', 'such', 'place'))).toThrowError(
      expect.objectContaining({ code: 'TG_RECEIVER_STORE' }),
    );
    const file = join(folder, 'text.sqlite');
    writeFileSync(file, 'this is no database at all, it is a text file that somebody wrote by hand');
    expect(() => new SqliteStore(file)).toThrowError(expect.objectContaining({ code: 'TG_RECEIVER_STORE' }));
  });

  it('keeps what it was given over a new start', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const file = join(folder, 'kept.sqlite');
    const first = new SqliteStore(file);
    const made = bench([unit], { store: first });
    await made.take(stream.session, ...(await stream.records(3)), await stream.proof());
    await first.close();
    const second = new SqliteStore(file);
    const state = await second.stream(unit.pseudonym, stream.stream);
    const position = { provenSeq: 2, waiting: 0, headSize: 4 };
    expect(state).toMatchObject({ tenant: 't1', unit: unit.verifierKey.split('+')[0], position });
    expect(await second.checkpoint(state!.unit)).toMatchObject({ size: 4 });
    expect(await second.unproven()).toEqual([]);
    expect(second.count('acks')).toBe(2);
    await second.close();
  });

  it('works where no code may be made from strings', () => {
    const script = `
      import { SqliteStore } from '#receiver';
      const store = new SqliteStore(':memory:');
      await store.put({ streams: [{ tenant: 't', pseudonym: 'p', stream: new Uint8Array(8), unit: 'u', bootId: new Uint8Array(8),
        session: new Uint8Array(3) }], records: [], reached: [], waiting: [], dropped: [], acks: [] }, async () => [{ name: 'x', position: 5 }]);
      console.log((await store.stream('p', new Uint8Array(8))).unit, await store.mark('x'));`;
    const child = spawnSync(
      process.execPath,
      ['--disallow-code-generation-from-strings', '--input-type=module', '-e', script],
      { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' },
    );
    expect(child.stderr).toBe('');
    expect(child.stdout).toBe('u 5\n');
  });
});

/** Tables of a database of format 1, as the first version of this program made them. */
const FORMAT_1 = `
CREATE TABLE streams (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, pseudonym TEXT NOT NULL, stream BLOB NOT NULL, unit TEXT NOT NULL,
  session BLOB NOT NULL,
  next INTEGER NOT NULL DEFAULT 0, proven_seq INTEGER NOT NULL DEFAULT -1, proven_chain BLOB, waiting_proof BLOB,
  UNIQUE (pseudonym, stream)) STRICT;
CREATE TABLE records (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, t0_ms INTEGER NOT NULL, utc_ms INTEGER, samples INTEGER NOT NULL,
  body_hash BLOB NOT NULL, record BLOB NOT NULL, salt BLOB NOT NULL, PRIMARY KEY (stream_id, seq)) STRICT;
CREATE TABLE evicted (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, body_hash BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE columns (
  id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, signal TEXT NOT NULL, result TEXT NOT NULL, unit TEXT NOT NULL,
  window_ms INTEGER NOT NULL, UNIQUE (stream_id, signal, result, window_ms)) STRICT;
CREATE TABLE value (
  column_id INTEGER NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, utc_ms INTEGER, value REAL) STRICT;
CREATE TABLE checkpoints (
  unit TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (unit, size)) STRICT, WITHOUT ROWID;
CREATE TABLE acks (
  stream_id INTEGER NOT NULL, state TEXT NOT NULL, upto_seq INTEGER NOT NULL, missing TEXT NOT NULL,
  signed BLOB NOT NULL, PRIMARY KEY (stream_id, state)) STRICT, WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE VIEW samples AS
  SELECT s.pseudonym, hex(s.stream) AS stream, v.seq, v.utc_ms, v.time_ms, c.window_ms, c.signal, c.result, c.unit, v.value
  FROM value v JOIN columns c ON c.id = v.column_id JOIN streams s ON s.id = c.stream_id;
PRAGMA user_version = 1`;

describe('a database of format 1', () => {
  it('is brought to this one with all that is in it: streams, values, heads and proofs that wait', async () => {
    const unit = new TestUnit();
    const stream = await unit.stream();
    const records = await stream.records(5);
    const file = join(folder, 'format-1.sqlite');
    // What the new one holds after three records and a proof that waits for the fourth, written into the old tables.
    const model = new SqliteStore(':memory:');
    const before = bench([unit], { store: model });
    await before.take(stream.session, ...records.slice(0, 3), await stream.proof({ seq: 2 }));
    const proof = await stream.proof();
    const name = unit.verifierKey.split('+')[0]!;
    const { note, size, root } = (await model.checkpoint(name))!;
    const { position } = (await model.stream(unit.pseudonym, stream.stream))!;
    const old = new Database(file);
    old.exec(FORMAT_1);
    old
      .prepare('INSERT INTO streams VALUES (1, ?, ?, ?, ?, ?, 3, 2, ?, ?)')
      .run(
        't1',
        unit.pseudonym,
        stream.stream,
        name,
        stream.session.bytes,
        position.provenChain,
        encodeCbor([proof.bytes]),
      );
    for (const { seq, t0Ms, utcMs, samples, bodyHash, record, salt } of before.written) {
      old
        .prepare('INSERT INTO records VALUES (1, ?, ?, ?, ?, ?, ?, ?)')
        .run(seq, t0Ms, utcMs, samples, bodyHash, record, salt);
    }
    old.exec("INSERT INTO columns VALUES (1, 1, 'Vehicle.Speed', 'raw', 'km/h', 0)");
    for (const [seq, time, signal, , value] of model.values(unit.pseudonym)) {
      if (signal === 'Vehicle.Speed') old.prepare('INSERT INTO value VALUES (1, ?, ?, NULL, ?)').run(seq, time, value);
    }
    old.prepare('INSERT INTO checkpoints VALUES (?, ?, ?, ?)').run(name, size, root, note);
    old.close();
    const store = new SqliteStore(file);
    expect(store.count('value')).toBe(30);
    expect(store.values(unit.pseudonym)).toEqual(
      model.values(unit.pseudonym).filter(([, , signal]) => signal === 'Vehicle.Speed'),
    );
    const made = bench([unit], { store });
    await made.take(records[4]!, records[3]!);
    // The proof that waited shows nothing of its start, and what was accepted before was of no known start.
    expect(made.receiver.status()).toMatchObject({ opened: 2, refused: 0 });
    await made.take(await stream.proof({ since: size }));
    expect(made.receiver.status()).toMatchObject({ proven: 2, alarms: 0 });
    await store.close();
    await new SqliteStore(file).close();
  });

  it('of a later format is refused as it is', () => {
    const file = join(folder, 'later.sqlite');
    const later = new Database(file);
    later.exec('PRAGMA user_version = 99');
    later.close();
    expect(() => new SqliteStore(file)).toThrowError(expect.objectContaining({ code: 'TG_RECEIVER_STORE' }));
  });
});

describe('columns of a record', () => {
  it('have the same values at the same times as its rows, absent cells and wide integers too', () => {
    const column = { signal: 's', result: 'raw', unit: '', f: 0.1, o: 2, factor: 3, offset: -1, signed: true } as const;
    const cells = fc.array(
      fc.record({ time: fc.nat(1_000), values: fc.tuple(...[0, 1, 2].map(() => fc.option(fc.integer()))) }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(cells, (rows) => {
        const types = ['int', 'float64', 'wide'] as const;
        const columns = types.map((type, i) => ({ ...column, type, signal: `s${i}` }));
        const schema: Schema = { ...SCHEMA, bootId: new Uint8Array(8), groups: [{ windowMs: 0, columns }] };
        const table = {
          rows: rows.length,
          timesMs: Float64Array.from(rows, ({ time }) => time),
          columns: types.map((type, i) => ({
            values: Float64Array.from(rows, ({ values }) => values[i] ?? 0),
            present: Uint8Array.from(rows, ({ values }) => (values[i] === null ? 0 : 1)),
            ...(type === 'wide' ? { low: Float64Array.from(rows, (_, k) => k) } : {}),
          })),
        };
        const record = { schema, tables: [table], t0Ms: 0, utcMs: null } as unknown as OpenedRecord;
        const byRow = [...rowsOf(record)].flatMap(({ timeMs, cells: all }) =>
          all.map(({ column: of, value }) => `${of.signal} ${timeMs} ${value}`),
        );
        const byColumn: string[] = [];
        // Taken one by one: the arrays are used again.
        for (const { index, count, times, values } of columnsOf(record)) {
          for (let i = 0; i < count; i++) byColumn.push(`s${index} ${times[i]} ${values[i]}`);
        }
        expect(byColumn.sort()).toEqual(byRow.sort());
      }),
      { numRuns: 200, seed: 3 },
    );
  });
});

describe('the key folder', () => {
  it('is the one that enrolment writes', async () => {
    const documents = enrolment({ recipients: ['did:web:a'], random: (bytes) => new Uint8Array(bytes).fill(9) });
    const parse = (name: string) =>
      JSON.parse(documents.find(({ path }) => path === `recipient/${name}`)!.text) as unknown;
    const keys = receiverKeys(parse('hpke.jwk'), parse('ack.jwk'), parse('units.json'));
    expect(keys.units.length).toBe(1);
    expect(keys.ackKeyId.length).toBe(8);
  });

  it('is refused with the file named and no key in the text', async () => {
    await expect(loadReceiverKeys(join(folder, 'none'))).rejects.toMatchObject({ code: 'TG_RECEIVER_KEYS' });
    const secret = { kty: 'OKP', crv: 'X25519', x: 'short', d: 'very-secret' };
    try {
      receiverKeys(secret, secret, [], 'keys');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'TG_RECEIVER_KEYS', place: { file: join('keys', 'hpke.jwk') } });
      expect(JSON.stringify(error)).not.toContain('very-secret');
    }
  });
});

const NOTHING = { next: 0, runs: [], provenSeq: -1, provenChain: new Uint8Array(0), waiting: 0, headSize: 0 };

describe('what an acknowledgement says', () => {
  it('reaches less far where there are too many holes', () => {
    const runs = Array.from({ length: MOST_RUNS }, (_, i) => [2 * i + 1, 2 * i + 1] as const);
    const progress = new Progress({ ...NOTHING, runs });
    const { uptoSeq, missing } = progress.answer();
    expect(missing.length).toBe(MOST_MISSING);
    expect(uptoSeq).toBe(2 * MOST_MISSING - 1);
    expect(progress.has(uptoSeq)).toBe(true);
  });

  it('is nothing before the first record', () => {
    expect(new Progress(NOTHING).answer()).toEqual({ uptoSeq: -1, missing: [] });
  });

  it('goes by what is stored, however far the memo of it lags', () => {
    const progress = new Progress({
      ...NOTHING,
      next: 3,
      runs: [
        [3, 7],
        [9, 9],
        [12, 13],
      ],
    });
    expect(progress.answer()).toEqual({ uptoSeq: 13, missing: [8, 10, 11] });
    expect([2, 7, 8, 9, 10, 13, 14].map((seq) => progress.has(seq))).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
      false,
    ]);
    progress.update({
      ...NOTHING,
      next: 0,
      runs: [
        [0, 9],
        [12, 20],
      ],
    });
    expect(progress.answer()).toEqual({ uptoSeq: 20, missing: [10, 11] });
  });
});

describe('what waits for a session', () => {
  it('is bounded in number, the stream that waits longest goes first', () => {
    const waiting = new Waiting();
    const message = { topic: 't', bytes: new Uint8Array(1) };
    expect(waiting.keep('old', message)).toBe(0);
    for (let i = 1; i < MOST_WAITING; i++) expect(waiting.keep('new', message)).toBe(0);
    expect(waiting.keep('new', message)).toBe(1);
    expect(waiting.take('old')).toEqual([]);
    expect(waiting.take('new').length).toBe(MOST_WAITING);
    expect(waiting.count).toBe(0);
  });
});
