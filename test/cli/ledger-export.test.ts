import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tollgate } from '../system/processes.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const vehicle = join(root, 'dbc', 'databases', 'tollgate-vehicle');
const insurance = join(root, 'policies', 'examples', 'insurance');

describe('tollgate ledger export', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-export-'));
  const state = join(folder, 'state');
  const keys = join(state, 'keys', 'unit');
  const file = join(folder, 'ledger.jsonl');

  async function ran(...args: string[]): Promise<{ code: number | null; out: string }> {
    const process = tollgate(args);
    const code = await process.exited;
    return { code, out: `${process.stdout()}${process.stderr()}` };
  }

  beforeAll(async () => {
    const log = join(folder, 'drive.log');
    await ran('sim', 'drive', '--seconds', '20', '--seed', '1', '--out', log);
    const documents = ['--campaign', `${insurance}/campaign.yaml`, '--agreement', `${insurance}/agreement.json`];
    const replayed = await ran(
      'replay',
      log,
      '--dbc',
      `${vehicle}.dbc`,
      '--mapping',
      `${vehicle}.mapping.yaml`,
      ...documents,
      '--state',
      state,
    );
    expect(replayed.code, replayed.out).toBe(0);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('writes what verify accepts offline', async () => {
    expect(await ran('ledger', 'export', state, '--keys', keys, '--out', file)).toMatchObject({ code: 0 });
    const verified = await ran('verify', file, '--keys', keys);
    expect(verified.out).toContain('VERIFIED');
    expect(verified.code).toBe(0);
  });

  it('and refuses once a character is changed, naming the leaf', async () => {
    const text = readFileSync(file, 'utf8');
    const at = text.indexOf('"data":"', text.indexOf('"leaf":2')) + 12;
    writeFileSync(file, `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`);
    const verified = await ran('verify', file, '--keys', keys);
    expect(verified.code).toBe(1);
    expect(verified.out).toContain('first wrong leaf: 2');
  });

  it('says what it needs', async () => {
    expect(await ran('ledger', 'export', state)).toMatchObject({
      code: 2,
      out: expect.stringContaining('TG_CLI_USAGE'),
    });
  });
});
