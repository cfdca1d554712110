import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { trustAgreements } from '#agent/keys';
import { tollgate } from '../system/processes.ts';
import { DBC, type UnitFolder, unitFolder } from '../system/unit-folder.ts';

let unit: UnitFolder;
let config: string;
beforeEach(async () => {
  unit = await unitFolder({ seconds: 1 });
  config = unit.config({});
});
afterEach(() => unit.remove());

async function run(command: string, ...args: readonly string[]) {
  const child = tollgate([command, '--config', config, ...args]);
  return { exit: await child.exited, out: child.stdout(), err: child.stderr() };
}

const change = (file: string, from: string, to: string) =>
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(from, to));

describe('tollgate check', () => {
  it('prints what may leave and what may not', async () => {
    const { exit, out, err } = await run('check');
    expect(exit).toBe(0);
    expect(err).toBe('');
    expect(out).toMatch(/May leave to did:web:insurer\.example.*\n {2}dbc:Motion\.Speed {2}raw {2}rule #p1/);
    expect(out).toMatch(/Does not leave\n {2}dbc:Steering\.Angle {2}campaign ubi {2}prohibited, rule #n1/);
    expect(out).toContain('No problems.');
  });

  it('puts signals into the classes that the configuration gives them, and refuses a class that reaches none', async () => {
    const law = {
      '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
      '@type': 'Set',
      uid: 'urn:tollgate:law:1',
      profile: 'https://tollgate.example/ns/auto-odrl/1',
      conflict: 'prohibit',
      'auto:version': 1,
      prohibition: [
        {
          uid: '#important',
          target: {
            '@type': 'AssetCollection',
            uid: 'dbc:Motion.*',
            refinement: [{ leftOperand: 'auto:sensitivity', operator: 'gteq', rightOperand: 'important' }],
          },
          action: 'use',
        },
      ],
    };
    const bytes = JSON.stringify(law);
    writeFileSync(unit.file('law.json'), bytes);
    await trustAgreements(unit.keys, [createHash('sha256').update(bytes).digest('hex')]);
    const text = JSON.parse(readFileSync(config, 'utf8'));
    const checked = async (sensitivity: object) => {
      const documents = { ...text.documents, lawPacks: ['law.json'] };
      writeFileSync(config, JSON.stringify({ ...text, documents, sensitivity }));
      return await run('check');
    };
    expect((await checked({})).out).toContain('dbc:Motion.Speed  raw  rule #p1');
    const classed = await checked({ 'dbc:Motion.Speed': 'important' });
    expect(classed.out).toContain('#important');
    expect(classed.out).not.toContain('May leave to');
    expect(await checked({ 'dbc:Motion.Spead': 'important' })).toMatchObject({
      exit: 1,
      err: expect.stringContaining('at /sensitivity/dbc:Motion.Spead'),
    });
    expect((await checked({ 'Motion.Speed': 'important' })).err).toContain('begins with vss: or dbc:');
    expect((await checked({ 'dbc:Motion.Speed': 'secret' })).err).toContain('TG_CONFIG_VALUE');
  });

  it('shows the defects of a database with place and expectation', async () => {
    writeFileSync(unit.file('car.dbc'), DBC.replace('16|8@1+', '16|x@1+'));
    const words = await run('check');
    expect(words.err).toContain('car.dbc:8:20  error  TG_DBC_SYNTAX  expected the length in bits, found "x"');
    const { defects } = JSON.parse((await run('check', '--json')).out) as { defects: unknown[] };
    expect(defects).toEqual([expect.objectContaining({ code: 'TG_DBC_SYNTAX', line: 8, column: 20 })]);
  });
});

describe.each(['check', 'run'])('tollgate %s', (command) => {
  it('names the nearest key for one that the configuration does not have', async () => {
    change(config, '"groupCommit"', '"groupComit"');
    const { exit, err } = await run(command);
    expect(exit).toBe(2);
    expect(err).toMatch(/tollgate\.yaml:\d+:\d+ {2}TG_CONFIG_UNKNOWN_KEY/);
    expect(err).toContain('at /store/groupComit');
    expect(err).toContain('Did you mean "groupCommit"?');
  });

  it.each([
    [
      'an agreement with an unknown operand',
      () => change(unit.file('agreements/a0.json'), '"purpose"', '"auto:speeed"'),
      'TG_POLICY_UNKNOWN_OPERAND',
      'at /permission/0/constraint/0/leftOperand',
    ],
    [
      'an agreement whose bytes nobody trusted',
      () => appendFileSync(unit.file('agreements/a0.json'), '\n'),
      'TG_AGREEMENT_UNTRUSTED',
      'tollgate enroll --trust FILE',
    ],
    [
      'a campaign with an unknown key',
      () => change(unit.file('campaigns/ubi.yaml'), 'priority:', 'prioritty:'),
      'TG_CAMPAIGN_UNKNOWN_KEY',
      'priority',
    ],
    [
      'a recipient without keys',
      () => change(unit.file('keys/unit/recipients.json'), 'insurer', 'somebody'),
      'TG_RECIPIENT_UNKNOWN',
      'tollgate enroll --recipient DID',
    ],
    ['a database that is not there', () => change(config, 'car.dbc', 'gone.dbc'), 'TG_DOCUMENT_FILE', 'gone.dbc'],
  ])('refuses %s, and starts nothing', async (_, spoil, code, remedy) => {
    spoil();
    const { exit, err } = await run(command);
    expect(exit).toBe(command === 'check' ? 1 : 2);
    expect(err).toContain(code);
    expect(err).toContain(remedy);
    expect(err).not.toContain('"started"');
  });
});

describe('--json', () => {
  it('gives the same as fields', async () => {
    appendFileSync(unit.file('agreements/a0.json'), '\n');
    const { exit, out } = await run('check', '--json');
    expect(exit).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      problems: [{ code: 'TG_AGREEMENT_UNTRUSTED', file: unit.file('agreements/a0.json') }],
      plan: { streams: [] },
    });
  });

  it('reports a configuration that cannot be read', async () => {
    config = unit.file('gone.yaml');
    const { exit, err } = await run('check', '--json');
    expect(exit).toBe(2);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'TG_CONFIG_FILE', file: config } });
  });
});
