import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLedger } from '#agent/store/read-ledger';
import type { Io } from '#cli/command';
import { command } from '#cli/commands/verify';
import { TollgateError } from '#contracts';
import { exportPartial, exportWhole, formatReceipt, formatVerifierKey, inclusionProof, sha256Tree } from '#ledger';
import { enrolment, jwkFromSeed } from '#trust';
import { dice, testLedger, testSigner } from './logs.ts';

const SIZE = 37;
const KEY = formatVerifierKey(testSigner().key);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-verify-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const at = (name: string) => join(dir, name);
function put(name: string, text: string): string {
  writeFileSync(at(name), text);
  return at(name);
}

async function verify(...args: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const io: Io = {
    stdin: (async function* () {})(),
    out: (text) => {
      out += text;
    },
    err: () => undefined,
    interactive: false,
    signal: new AbortController().signal,
  };
  return { code: await command.run(args, io), out };
}

/** The tables of the store, written as its contract says, and nothing else of the store. */
async function database(name: string, change: (db: Database.Database) => void = () => undefined): Promise<string> {
  const ledger = await testLedger(SIZE, [5, 16, 30, 37]);
  const db = new Database(at(name));
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE leaf (idx INTEGER PRIMARY KEY, leaf BLOB)');
  db.exec('CREATE TABLE node (level INTEGER, idx INTEGER, hash BLOB, PRIMARY KEY (level, idx)) WITHOUT ROWID');
  db.exec('CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT)');
  for (const [i, leaf] of ledger.tree.leaves.entries()) db.prepare('INSERT INTO leaf VALUES (?, ?)').run(i, leaf);
  for (const [node, hash] of ledger.tree.nodes) {
    db.prepare('INSERT INTO node VALUES (?, ?, ?)').run(...node.split('/').map(Number), hash);
  }
  for (const [i, note] of ledger.checkpoints.entries()) db.prepare('INSERT INTO checkpoint VALUES (?, ?)').run(i, note);
  change(db);
  db.close();
  return at(name);
}

describe('tollgate verify on an export', () => {
  it('prints what it holds and exits 0', async () => {
    const ledger = await testLedger(SIZE, [5, 37]);
    const file = put('export.jsonl', [...exportWhole(ledger)].join(''));
    const { code, out } = await verify(file, '--key', KEY);
    expect(code).toBe(0);
    expect(out).toContain('leaves       37: 36 record, 1 boot');
    expect(out).toContain('streams      2');
    expect(out).toContain('checkpoints  2 of 2 agree and are signed');
    expect(out).toMatch(/\nVERIFIED\n$/);
    expect(out).not.toContain('note:');
    const own = await verify(file);
    expect(own.code).toBe(0);
    expect(own.out).toContain('note: checked under the key that the export names itself');
  });

  it('tells the first wrong leaf and exits 1', async () => {
    const ledger = await testLedger(SIZE, [5, 37]);
    const other = await testLedger(SIZE - 1, [5]);
    const swap = (text: string) =>
      text.replace(Buffer.from(ledger.leaf(23)).toString('base64'), Buffer.from(other.leaf(22)).toString('base64'));
    const whole = await verify(put('export.jsonl', swap([...exportWhole(ledger)].join(''))), '--key', KEY);
    expect(whole.code).toBe(1);
    expect(whole.out).toMatch(/NOT VERIFIED; first wrong leaf: 23\n$/);
    const partial = await verify(put('some.jsonl', swap([...exportPartial(ledger, [1, 23], sha256Tree)].join(''))));
    expect(partial.code).toBe(1);
    expect(partial.out).toMatch(/NOT VERIFIED; first wrong leaf: 23\n$/);
  });

  it('answers as one JSON object with --json', async () => {
    const file = put('export.jsonl', [...exportWhole(await testLedger(SIZE, [5, 37]))].join(''));
    const { out } = await verify(file, '--json', '--key', KEY);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      leaves: SIZE,
      signedSize: SIZE,
      firstWrongLeaf: null,
      keys: [KEY],
    });
  });

  it('compares with a checkpoint that was kept elsewhere', async () => {
    const file = put('export.jsonl', [...exportWhole(await testLedger(30, [30]))].join(''));
    const newer = (await testLedger(SIZE, [SIZE])).checkpoints[0]!;
    const { code, out } = await verify(file, '--key', KEY, '--checkpoint', put('kept', newer));
    expect(code).toBe(1);
    expect(out).toContain('a checkpoint signs 37 leaves, here are 30: the ledger was cut or rolled back');
  });

  it('does not verify under the key of another unit', async () => {
    const file = put('export.jsonl', [...exportWhole(await testLedger(SIZE, [5, 37]))].join(''));
    expect((await verify(file, '--key', formatVerifierKey(testSigner(2).key))).code).toBe(1);
  });
});

describe('tollgate verify on a database', () => {
  it('recomputes the whole tree and exits 0, from the file or its folder', async () => {
    const file = await database('tollgate.sqlite');
    for (const path of [file, dir]) {
      const { code, out } = await verify(path, '--key', KEY);
      expect(out).toMatch(/VERIFIED\n$/);
      expect(code).toBe(0);
      expect(out).toContain('signed       37 leaves\n');
    }
  });

  it('tells the first wrong leaf, and each leaf that was changed', async () => {
    const file = await database('ledger.db', (db) => {
      for (const i of [31, 11]) db.prepare('UPDATE leaf SET leaf = ? WHERE idx = ?').run(Buffer.from('forged'), i);
    });
    const { code, out } = await verify(file, '--key', KEY);
    expect(code).toBe(1);
    expect(out).toContain('wrong: leaf 11 is not what was signed');
    expect(out).toContain('wrong: leaf 31 is not what was signed');
    expect(out).toMatch(/first wrong leaf: 11\n$/);
  });

  it('tells a leaf that was deleted, a node that was changed, leaves that were cut off', async () => {
    const gone = await database('gone.db', (db) => db.exec('DELETE FROM leaf WHERE idx = 4'));
    expect((await verify(gone, '--key', KEY)).out).toContain('wrong: leaf 4 is gone');
    const node = await database('node.db', (db) => {
      db.exec("UPDATE node SET hash = x'00' WHERE level = 2 AND idx = 3");
    });
    expect((await verify(node, '--key', KEY)).out).toContain(
      'wrong: stored node (level 2, index 3) is not what its leaves give',
    );
    const cut = await database('cut.db', (db) => db.exec('DELETE FROM leaf WHERE idx >= 33'));
    const { code, out } = await verify(cut, '--key', KEY);
    expect([code, out.split('\n').at(-2)]).toEqual([1, 'NOT VERIFIED; first wrong leaf: 33']);
  });

  it('needs the key from elsewhere, and takes it from units.json, ledger.jwk or a key folder', async () => {
    const file = await database('ledger.db');
    await expect(verify(file)).rejects.toThrow('does not hold the key');
    const seed = new Uint8Array(32).fill(1);
    mkdirSync(at('unit'));
    const paths = [
      put('units.json', JSON.stringify([formatVerifierKey(testSigner(2).key), KEY])),
      put('unit/ledger.jwk', JSON.stringify(jwkFromSeed('Ed25519', seed))),
      at('unit'),
    ];
    for (const path of paths) expect((await verify(file, '--keys', path)).code, path).toBe(0);
    const random = (n: number) => new Uint8Array(n).fill(1);
    const enrolled = enrolment({ recipients: ['did:web:a.example'], random });
    const units = enrolled.find(({ path }) => path === 'recipient/units.json')!.text;
    expect((await verify(file, '--keys', put('other.json', units))).code).toBe(0);
  });

  it('with bytes changed anywhere ends in an answer or a typed error, and says yes only to the same ledger', async () => {
    const good = await database('ledger.db');
    const before = readFileSync(good);
    const { out: whole } = await verify(good, '--key', KEY, '--json');
    const roll = dice(41);
    for (let i = 0; i < 150; i++) {
      const bytes = Buffer.from(before);
      for (let changes = roll(3); changes >= 0; changes--) bytes[roll(bytes.length)] = roll(256);
      writeFileSync(good, bytes);
      try {
        const { code, out } = await verify(good, '--key', KEY, '--json');
        if (code === 0) expect(JSON.parse(out)).toEqual(JSON.parse(whole));
      } catch (error) {
        expect(error).toBeInstanceOf(TollgateError);
      }
    }
  });

  it('leaves the database as it was', async () => {
    const file = await database('ledger.db');
    const before = readFileSync(file);
    await verify(file, '--key', KEY);
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});

describe('tollgate verify on a receipt', () => {
  it('says which leaf of whose ledger it proves', async () => {
    const ledger = await testLedger(SIZE, [SIZE]);
    const path = inclusionProof(12, SIZE, ledger.node, sha256Tree);
    const receipt = { extra: ledger.leaf(12), index: 12, path, checkpoint: ledger.checkpoints[0]! };
    const good = await verify(put('a.tlog-proof', formatReceipt(receipt)), '--key', KEY);
    expect(good).toEqual({ code: 0, out: `leaf 12 is one of the 37 leaves that ${testSigner().key.name} signed\n` });
    const wrong = await verify(put('b.tlog-proof', formatReceipt({ ...receipt, index: 13 })), '--key', KEY);
    expect(wrong).toEqual({ code: 1, out: 'NOT VERIFIED: this is not leaf 13 of the 37 leaves that were signed\n' });
  });
});

describe('tollgate verify', () => {
  it('says with place and remedy what it cannot read', async () => {
    const codeOf = (work: Promise<unknown>) =>
      work.then(String, (error: TollgateError) => `${error.code} ${error.message}`);
    mkdirSync(at('empty'));
    const sqlite = new Database(at('other.db'));
    sqlite.exec('CREATE TABLE leaf (idx INTEGER)');
    sqlite.close();
    expect(await codeOf(verify())).toContain('TG_CLI_USAGE one FILE is needed');
    expect(await codeOf(verify(at('nothing')))).toContain('TG_CLI_FILE there is no such file');
    expect(await codeOf(verify(put('text', 'text\n')))).toContain('TG_LEDGER_EXPORT');
    expect(await codeOf(verify(at('empty'), '--key', KEY))).toContain(
      'TG_LEDGER_DATABASE the folder holds 0 databases',
    );
    expect(await codeOf(verify(at('other.db'), '--key', KEY))).toContain('TG_LEDGER_DATABASE there is no table "node"');
    expect(await codeOf(verify(at('other.db'), '--key', 'x'))).toContain('TG_LEDGER_VERIFIER_KEY');
    expect(await codeOf(verify(at('other.db'), '--keys', put('k', '7')))).toContain(
      'TG_CLI_FILE no list of verifier keys',
    );
    const garbled = put('garbled.db', `SQLite format 3\0${'x'.repeat(5000)}`);
    expect(await codeOf(verify(garbled, '--key', KEY))).toContain('TG_LEDGER_DATABASE cannot be read');
    expect(() => readLedger(at('nothing'))).toThrow(TollgateError);
  });
});
