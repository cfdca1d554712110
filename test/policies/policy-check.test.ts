import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { main } from '#cli/main';
import { agreementJson, atom, permit } from './parts.ts';

const example = (name: string) => fileURLToPath(new URL(`../../policies/examples/insurance/${name}`, import.meta.url));

async function run(...args: string[]) {
  let out = '';
  let err = '';
  const code = await main(['policy', 'check', ...args], {
    stdin: (async function* () {})(),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

function refusedFile(): string {
  const file = join(mkdtempSync(join(tmpdir(), 'tollgate-policy-')), 'agreement.json');
  const policy = agreementJson({ permission: [permit('#p1', 'vss:Vehicle.Speed', [atom('auto:speeed', 'lt', 3)])] });
  writeFileSync(file, JSON.stringify(policy));
  return file;
}

describe('policy check', () => {
  it('says what each document is', async () => {
    const { code, out } = await run(example('agreement.json'), example('campaign.yaml'));
    expect(code).toBe(0);
    expect(out).toMatch(/1 permission, 2 prohibitions, 0 obligations for did:web:insurer\.example/);
    expect(out).toMatch(/campaign insurance-by-use, version 1: 6 signals/);
  });

  it('shows a refusal with place and remedy, and still checks the other files', async () => {
    const file = refusedFile();
    const { code, out, err } = await run(file, example('campaign.yaml'));
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(`^${file}:1:\\d+ {2}TG_POLICY_UNKNOWN_OPERAND {2}"auto:speeed" is not`));
    expect(err).toContain('at /permission/0/constraint/0/leftOperand');
    expect(out).toContain('insurance-by-use');
  });

  it('prints fields for a machine', async () => {
    const { out } = await run('--json', refusedFile());
    expect(JSON.parse(out)).toMatchObject({
      words: 'refused',
      error: { code: 'TG_POLICY_UNKNOWN_OPERAND', pointer: '/permission/0/constraint/0/leftOperand' },
    });
  });

  it('ends with 2 where a file is missing or none is named', async () => {
    expect((await run('no-such-file.json')).code).toBe(2);
    expect((await run()).code).toBe(2);
  });
});
