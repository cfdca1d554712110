import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadUnitKeys } from '#agent/keys';
import type { Io } from '#cli/command';
import { command } from '#cli/commands/enroll';
import type { TollgateError } from '#contracts';

const INSURER = 'did:web:insurer.example';
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-enroll-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const keys = () => join(dir, 'keys');
const json = (path: string) => JSON.parse(readFileSync(join(keys(), path), 'utf8'));

async function enroll(...args: string[]): Promise<{ code: number; out: string }> {
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
const codeOf = (work: Promise<unknown>) =>
  work.then(String, (error: TollgateError) => `${error.code} ${error.message}`);

describe('tollgate enroll', () => {
  it('makes a unit and a recipient that know each other', async () => {
    const { code, out } = await enroll('--local', keys(), '--recipient', INSURER);
    expect(code).toBe(0);
    const unit = await loadUnitKeys(join(keys(), 'unit'));
    expect([...unit.recipients.keys()]).toEqual([INSURER]);
    expect(json('recipient/units.json')).toEqual([unit.verifierKey]);
    expect(out).toContain(unit.verifierKey);
    expect(out).not.toContain(json('unit/ledger.jwk').d);
    expect(statSync(join(keys(), 'unit/ledger.jwk')).mode & 0o777).toBe(0o600);
  });

  it('makes other keys each time, and never over those that exist', async () => {
    await enroll('--local', keys(), '--recipient', INSURER);
    const before = readFileSync(join(keys(), 'unit/ledger.jwk'), 'utf8');
    expect(await codeOf(enroll('--local', keys()))).toContain('TG_TRUST_EXISTS');
    expect(await codeOf(enroll('--local', keys(), '--recipient', INSURER))).toContain(
      'TG_TRUST_EXISTS the unit already has',
    );
    expect(readFileSync(join(keys(), 'unit/ledger.jwk'), 'utf8')).toBe(before);
    expect(readdirSync(keys()).sort()).toEqual(['owner', 'recipient', 'unit']);
    await enroll('--local', join(dir, 'other'));
    expect(readFileSync(join(dir, 'other/unit/ledger.jwk'), 'utf8')).not.toBe(before);
  });

  it('adds a recipient to a unit that exists', async () => {
    await enroll('--local', keys(), '--recipient', INSURER);
    await enroll('--local', keys(), '--recipient', 'did:web:oem.example');
    const unit = await loadUnitKeys(join(keys(), 'unit'));
    expect([...unit.recipients.keys()]).toEqual([INSURER, 'did:web:oem.example']);
    expect(json('recipient-2/units.json')).toEqual([unit.verifierKey]);
    expect(json('recipient-2/hpke.jwk').x).toBe(unit.recipients.get('did:web:oem.example')!.hpke.x);
  });

  it('trusts the bytes of agreements, at once or later', async () => {
    const [a, b] = ['a.json', 'b.json'].map((name) => join(dir, name)) as [string, string];
    writeFileSync(a, '{"uid":"a"}');
    writeFileSync(b, '{"uid":"b"}');
    const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    await enroll('--local', keys(), '--trust', a);
    expect(json('unit/trusted.json')).toEqual([hash(a)]);
    const { out } = await enroll('--local', keys(), '--json', '--trust', a, b);
    expect(json('unit/trusted.json')).toEqual([hash(a), hash(b)]);
    expect(JSON.parse(out)).toMatchObject({ files: [], trusted: [hash(a), hash(b)], added: 1 });
  });

  it('says what is wrong with its words and files before it writes anything', async () => {
    expect(await codeOf(enroll())).toContain('TG_CLI_USAGE --local DIR is needed');
    expect(await codeOf(enroll('--local', keys(), 'word'))).toContain('TG_CLI_USAGE "word"');
    expect(await codeOf(enroll('--local', keys(), '--recipient', 'insurer'))).toContain('"insurer" is not a DID');
    expect(await codeOf(enroll('--local', keys(), '--recipient', INSURER, '--recipient', INSURER))).toContain('twice');
    expect(await codeOf(enroll('--local', keys(), '--trust', join(dir, 'nothing')))).toContain('TG_CLI_FILE');
    expect(readdirSync(dir)).toEqual([]);
  });
});
