import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addRecipient, fileStorage, loadUnitKeys, trustAgreements, writeEnrolment } from '#agent/keys';
import { TollgateError } from '#contracts';
import { enrolment, jwkFromSeed, publicJwk } from '#trust';
import { anchorSuite } from '../trust/anchor-suite.ts';

const random = (bytes: number) => randomBytes(bytes);
const INSURER = 'did:web:insurer.example';
const folder = () => mkdtemp(join(tmpdir(), 'tollgate-keys-'));
const errorOf = (work: Promise<unknown>): Promise<TollgateError> =>
  work.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: unknown) => {
      if (error instanceof TollgateError) return error;
      throw error;
    },
  );

anchorSuite('software, in files', async () => {
  const dir = await folder();
  await writeEnrolment(dir, enrolment({ recipients: [], random }));
  return {
    anchor: (await loadUnitKeys(join(dir, 'unit'))).anchor,
    reopen: async () => (await loadUnitKeys(join(dir, 'unit'))).anchor,
    cleanUp: () => rm(dir, { recursive: true }),
  };
});

describe("the unit's key folder", () => {
  let dir: string;
  let unit: string;
  beforeEach(async () => {
    dir = await folder();
    unit = join(dir, 'unit');
    await writeEnrolment(dir, enrolment({ recipients: [INSURER], random }));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('is read back as it was written', async () => {
    const keys = await loadUnitKeys(unit);
    expect([...keys.recipients.keys()]).toEqual([INSURER]);
    expect(keys.recipients.get(INSURER)!.hpke).toEqual(
      publicJwk(JSON.parse(await readFile(join(dir, 'recipient/hpke.jwk'), 'utf8'))),
    );
    expect([...keys.trusted]).toEqual([]);
    expect(keys.verifierKey).toBe(keys.anchor.describe().verifierKey);
    expect(JSON.parse(await readFile(join(dir, 'recipient/units.json'), 'utf8'))).toEqual([keys.verifierKey]);
  });

  it('keeps private keys and sealed values from other users, and leaves no temporary file', async () => {
    await (await loadUnitKeys(unit)).anchor.seal('a', new Uint8Array(32));
    const mode = async (file: string) => (await stat(join(dir, file))).mode & 0o777;
    for (const file of ['unit/ledger.jwk', 'recipient/hpke.jwk', 'recipient/ack.jwk'])
      expect(await mode(file)).toBe(0o600);
    for (const file of await readdir(join(unit, 'sealed'))) expect(await mode(`unit/sealed/${file}`)).toBe(0o600);
    const all = await readdir(dir, { recursive: true });
    expect(all.filter((file) => file.endsWith('.tmp'))).toEqual([]);
  });

  it('is never overwritten by a second enrolment, not even in part', async () => {
    const before = await readFile(join(unit, 'ledger.jwk'), 'utf8');
    await rm(join(dir, 'recipient'), { recursive: true });
    const error = await errorOf(writeEnrolment(dir, enrolment({ recipients: [INSURER], random })));
    expect(error.code).toBe('TG_TRUST_EXISTS');
    expect(error.place.file).toBe(join(unit, 'ledger.jwk'));
    expect(await readFile(join(unit, 'ledger.jwk'), 'utf8')).toBe(before);
    expect(await readdir(dir)).toEqual(['unit']);
  });

  it('takes up the hashes of agreements, each once', async () => {
    const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
    expect(await trustAgreements(unit, [a, b])).toBe(2);
    expect(await trustAgreements(unit, [b])).toBe(0);
    expect([...(await loadUnitKeys(unit)).trusted]).toEqual([a, b]);
  });

  it('takes up another recipient, and none twice', async () => {
    const keys = (await loadUnitKeys(unit)).recipients.get(INSURER)!;
    await addRecipient(unit, 'did:web:oem.example', keys);
    expect([...(await loadUnitKeys(unit)).recipients.keys()]).toEqual([INSURER, 'did:web:oem.example']);
    expect((await errorOf(addRecipient(unit, INSURER, keys))).code).toBe('TG_TRUST_EXISTS');
  });

  it('is refused with file, pointer and reason when a file is missing or wrong', async () => {
    const key = jwkFromSeed('X25519', new Uint8Array(32).fill(1));
    const ack = publicJwk(jwkFromSeed('Ed25519', new Uint8Array(32).fill(2)));
    const cases: [string, unknown, string, string | undefined][] = [
      ['ledger.jwk', key, 'TG_TRUST_KEY', undefined],
      ['ledger.jwk', publicJwk(key), 'TG_TRUST_KEY', undefined],
      ['recipients.json', [], 'TG_TRUST_DOCUMENT', ''],
      ['recipients.json', { 'did:a/b': 1 }, 'TG_TRUST_DOCUMENT', '/did:a~1b'],
      ['recipients.json', { a: { hpke: key, ack } }, 'TG_TRUST_DOCUMENT', '/a/hpke'],
      ['recipients.json', { a: { hpke: publicJwk(key), ack: publicJwk(key) } }, 'TG_TRUST_DOCUMENT', '/a/ack'],
      ['recipients.json', { a: { hpke: publicJwk(key), ack, more: 1 } }, 'TG_TRUST_DOCUMENT', '/a/more'],
      ['trusted.json', {}, 'TG_TRUST_DOCUMENT', ''],
      ['trusted.json', ['a'.repeat(64), 'A'.repeat(64)], 'TG_TRUST_DOCUMENT', '/1'],
    ];
    for (const [name, value, code, pointer] of cases) {
      const file = join(unit, name);
      const before = await readFile(file);
      await writeFile(file, JSON.stringify(value));
      const error = await errorOf(loadUnitKeys(unit));
      expect([error.code, error.place.file, error.place.pointer]).toEqual([code, file, pointer]);
      await writeFile(file, '{ this is "d": "secret"');
      const syntax = await errorOf(loadUnitKeys(unit));
      expect([syntax.code, syntax.place.file]).toEqual(['TG_TRUST_DOCUMENT', file]);
      expect(JSON.stringify(syntax)).not.toContain('secret');
      await rm(file);
      const gone = await errorOf(loadUnitKeys(unit));
      expect([gone.code, gone.place.file]).toEqual(['TG_TRUST_FILE', file]);
      await writeFile(file, before);
    }
    await loadUnitKeys(unit);
  });
});

describe('the folder of an anchor', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await folder();
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('destroys also what an interrupted write left behind', async () => {
    const storage = fileStorage(dir);
    await storage.write('a', new Uint8Array([1]));
    await writeFile(join(dir, 'a.tmp'), 'half a secret');
    await storage.remove('a');
    expect(await readdir(dir)).toEqual([]);
  });

  it('overwrites the bytes of a removed and of a replaced blob, not only its name', async () => {
    const { link } = await import('node:fs/promises');
    const storage = fileStorage(dir);
    for (const end of ['removed', 'replaced'] as const) {
      await storage.write('a', Buffer.from('a secret that must go'));
      // A second name shows what became of the old bytes.
      await link(join(dir, 'a'), join(dir, end));
      if (end === 'removed') await storage.remove('a');
      else await storage.write('a', Buffer.from('new'));
      const old = await readFile(join(dir, end));
      expect(old).toHaveLength('a secret that must go'.length);
      expect(old.includes('secret')).toBe(false);
    }
    expect((await storage.read('a'))!.toString()).toBe('new');
  });

  it('removes what was never there', async () => {
    await fileStorage(join(dir, 'not', 'there')).remove('a');
  });
});
