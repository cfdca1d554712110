import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadUnitKeys } from '#agent/keys';
import type { Io } from '#cli/command';
import { main } from '#cli/main';
import { readConsentDocument } from '#policies/consent/index';
import { startBroker } from '#sim/broker';
import { BUYER, party, policy, UID, UNIT } from '../policies/consent-parts.ts';
import { openService } from '../system/service-parts.ts';
import { INSURER, type UnitFolder, unitFolder } from '../system/unit-folder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-consent-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const io: Io = {
    stdin: (async function* () {})(),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  };
  return { code: await main(argv, io), out, err };
}

const at = (name: string) => join(dir, name);
const read = (name: string) => readConsentDocument(readFileSync(at(name)), name, new Map());
const KEY = ['--key', 'owner/owner.jwk'];
const own = (...argv: string[]) => run(...argv, ...KEY.map((word) => (word.startsWith('-') ? word : at(word))));

/** An owner's key, and a policy to grant. */
async function owner(): Promise<string> {
  const { code, out } = await run('enroll', '--local', dir, '--recipient', INSURER, '--json');
  expect(code).toBe(0);
  writeFileSync(at('policy.json'), JSON.stringify(policy({ targets: ['dbc:Motion.Speed', 'dbc:Battery.Charge'] })));
  return (JSON.parse(out) as { owner: string }).owner;
}

describe('tollgate consent', () => {
  it('grants as the owner whom enroll made, whatever assigner the policy names', async () => {
    const did = await owner();
    expect(
      (
        await own(
          'consent',
          'grant',
          at('policy.json'),
          '--until',
          '2027-01-01T00:00:00Z',
          '--unit',
          UNIT,
          '--out',
          at('g.jwt'),
        )
      ).code,
    ).toBe(0);
    expect(read('g.jwt')).toMatchObject({
      kind: 'agreement',
      act: 'grant',
      version: 1,
      scope: 'standing',
      unit: UNIT,
      credential: { issuer: did, validUntilMs: Date.UTC(2027, 0, 1) },
      agreement: { assigner: did },
    });
    const { out } = await own('consent', 'grant', at('policy.json'), '--drive', '--version', '4');
    writeFileSync(at('printed.jwt'), out);
    expect(read('printed.jwt')).toMatchObject({ version: 4, scope: 'drive' });
  });

  it('limits a grant to what is left of it, one version up', async () => {
    await owner();
    await own('consent', 'grant', at('policy.json'), '--out', at('g.jwt'));
    const { code } = await own(
      'consent',
      'limit',
      at('g.jwt'),
      '--remove',
      'dbc:Battery.Charge',
      '--prohibit',
      'dbc:Steering.Angle',
      '--out',
      at('l.jwt'),
    );
    expect(code).toBe(0);
    const limited = read('l.jwt');
    expect(limited).toMatchObject({ kind: 'agreement', act: 'limit', version: 2 });
    expect(limited.kind === 'agreement' && limited.agreement.permissions.flatMap(({ targets }) => targets)).toEqual([
      'dbc:Motion.Speed',
    ]);
    expect(limited.kind === 'agreement' && limited.agreement.prohibitions.flatMap(({ targets }) => targets)).toEqual([
      'dbc:Steering.Angle',
    ]);
    const strange = await own('consent', 'limit', at('g.jwt'), '--remove', 'dbc:Not.There');
    expect([strange.code, strange.err]).toEqual([2, expect.stringContaining('TG_CONSENT_LIMIT')]);
  });

  it('suspends, resumes, withdraws and sells with a version above all before', async () => {
    await owner();
    for (const [argv, expected] of [
      [['limit', '--suspend', UID], { act: 'suspend', agreement: UID }],
      [['limit', '--resume', UID], { act: 'resume', agreement: UID }],
      [['withdraw', UID], { act: 'withdraw', agreement: UID }],
      [['withdraw', '--sold-to', BUYER.did, '--unit', UNIT], { kind: 'ownership', owner: BUYER.did, unit: UNIT }],
    ] as const) {
      expect((await own('consent', ...argv, '--out', at('c.jwt'))).code).toBe(0);
      expect(read('c.jwt')).toMatchObject(expected);
      expect(read('c.jwt').version).toBeGreaterThan(1_700_000_000);
    }
  });

  it.each([
    [['grant'], 'takes one POLICY'],
    [['grant', 'a', 'b'], 'takes one POLICY'],
    [['withdraw'], 'takes one AGREEMENT'],
    [['withdraw', '--sold-to', 'nobody', '--unit', UNIT], 'not a DID'],
    [['withdraw', '--sold-to', BUYER.did], '--unit'],
    [['withdraw', UID, '--version', '0'], 'whole number'],
    [['withdraw', 'no iri'], 'TG_CREDENTIAL_VALUE'],
    [['limit', '--suspend', UID, '--resume', UID], 'one of'],
  ])('refuses %j', async (argv, message) => {
    await owner();
    const { code, err } = await own('consent', ...argv);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  it('does not show the key that it cannot read', async () => {
    writeFileSync(at('bad.jwk'), '{"kty":"OKP","crv":"Ed25519","d":"secretsecret"');
    writeFileSync(at('policy.json'), JSON.stringify(policy()));
    const { code, err } = await run('consent', 'grant', at('policy.json'), '--key', at('bad.jwk'));
    expect([code, err]).toEqual([2, expect.stringContaining('TG_TRUST_KEY')]);
    expect(err).not.toContain('secretsecret');
  });

  it('pins who rates recipients, and the keys of a did:web, when a unit is enrolled', async () => {
    await owner();
    const jwk = party(9).key.export({ format: 'jwk' });
    const did = 'did:web:rating.example';
    const method = {
      id: '#k1',
      type: 'JsonWebKey',
      controller: did,
      publicKeyJwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x },
    };
    writeFileSync(at('did.json'), JSON.stringify({ id: did, verificationMethod: [method], assertionMethod: ['#k1'] }));
    expect((await run('enroll', '--local', dir, '--standing', did, '--pin', at('did.json'))).code).toBe(0);
    const { issuers } = await loadUnitKeys(at('unit'));
    expect(issuers).toMatchObject({ standing: [did] });
    expect(issuers!.pinned.get(did)!.map(({ kid }) => kid)).toEqual([`${did}#k1`]);
    writeFileSync(at('did.json'), JSON.stringify({ id: did, verificationMethod: [method], assertionMethod: [] }));
    expect((await run('enroll', '--local', dir, '--pin', at('did.json'))).err).toContain('TG_CREDENTIAL_ISSUER');
  });

  it('enrols a unit without an owner where that is asked, and gives it one later', async () => {
    await run('enroll', '--local', dir, '--recipient', INSURER, '--no-owner');
    expect((await loadUnitKeys(at('unit'))).issuers).toBe(null);
    expect((await run('enroll', '--local', dir, '--standing', 'did:web:x.example')).err).toContain('--owner');
    expect((await run('enroll', '--local', dir, '--owner')).code).toBe(0);
    expect((await loadUnitKeys(at('unit'))).issuers!.owner).toMatch(/^did:key:z6Mk/);
  });

  it('helps, with an example', async () => {
    for (const name of ['grant', 'limit', 'withdraw', 'list', 'history']) {
      const { code, out } = await run('consent', name, '--help');
      expect(code).toBe(0);
      expect(out).toContain(`Example:\n  tollgate consent ${name}`);
      expect(out).toContain('--json');
    }
  });
});

describe('tollgate consent, with a unit that runs', () => {
  let unit: UnitFolder;
  afterEach(() => unit.remove());

  it('sends, shows the unit’s signed answer, lists what is in force and tells its history', async () => {
    unit = await unitFolder({ agreements: [], seconds: 30 });
    const keys = unit.file('keys');
    rmSync(join(keys, 'unit'), { recursive: true });
    rmSync(join(keys, 'recipient'), { recursive: true });
    await run('enroll', '--local', keys, '--recipient', INSURER);
    const broker = await startBroker();
    const config = unit.config({ url: broker.url, protocol: 4, realtime: true });
    const service = await openService(config);
    const key = ['--key', join(keys, 'owner/owner.jwk'), '--config', config];
    await expect.poll(() => service.uplink!.status().connected).toBe(true);
    writeFileSync(unit.file('policy.json'), JSON.stringify(policy()));

    const granted = await run('consent', 'grant', unit.file('policy.json'), '--send', '--json', ...key);
    expect(granted.err).toBe('');
    expect(JSON.parse(granted.out)).toMatchObject({ verdict: 'accepted', code: null, dropped: null });
    const again = await run('consent', 'grant', unit.file('policy.json'), '--send', ...key);
    expect([again.code, again.out]).toEqual([
      1,
      expect.stringMatching(/TG_CONSENT_VERSION\n {3}at \/credentialSubject\n {3}Issue it with a higher version/),
    ]);
    const list = JSON.parse((await run('consent', 'list', '--json', '--config', config)).out) as {
      agreements: object[];
    };
    expect(list.agreements).toEqual([
      expect.objectContaining({ agreement: UID, recipient: INSURER, version: 1, state: 'in force' }),
    ]);

    const why = async () => (await run('explain', 'dbc:Motion.Speed', '--config', config)).out;
    expect(await why()).toContain(`may leave to ${INSURER}`);
    await run('consent', 'limit', '--suspend', UID, '--version', '2', '--send', ...key);
    expect(await why()).toContain(`agreement ${UID} is suspended: the owner suspended it`);
    expect(await why()).toContain('does not leave');

    const withdrawn = await run('consent', 'withdraw', UID, '--send', ...key);
    expect([withdrawn.code, withdrawn.out]).toEqual([0, expect.stringContaining('destroyed unsent')]);
    expect((await run('consent', 'list', '--config', config)).out).toContain('withdrawn');
    const { entries } = JSON.parse((await run('consent', 'history', '--json', '--config', config)).out) as {
      entries: { act: string; agreement: string | null }[];
    };
    expect(entries.map(({ act }) => act)).toEqual(['grant', 'limit', 'withdraw', 'spool key destroy']);
    expect((await run('consent', 'history', UID, '--config', config)).out.split('\n').filter(Boolean)).toHaveLength(3);
    await service.stop();
    await broker.close();
  });
});
