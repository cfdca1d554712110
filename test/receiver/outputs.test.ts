import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type Batch, JsonLines, loadReceiverKeys, type OpenedRecord, receiverKeys, SqliteStore } from '#receiver';
import { enrolment } from '#trust';
import { MOST_RUNS } from '../../receiver/contract.ts';
import { MOST_MISSING, Progress } from '../../receiver/progress.ts';
import { MOST_WAITING, Waiting } from '../../receiver/waiting.ts';
import { bench, TestUnit } from './parts.ts';

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
