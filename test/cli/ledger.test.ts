import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLeaf } from '#ledger';
import { tollgate } from '../system/processes.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const vehicle = join(root, 'dbc', 'databases', 'tollgate-vehicle');
const battery = join(root, 'policies', 'examples', 'battery');

/** Places of the file that are damaged one after the other. */
const PLACES = 8;
const DAMAGE_BYTES = 600;

describe('tollgate ledger', () => {
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
    await ran('sim', 'drive', '--seconds', '40', '--seed', '1', '--out', log);
    const documents = ['--campaign', `${battery}/campaign.yaml`, '--agreement', `${battery}/agreement.json`];
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

  it('proves one leaf, or one record, to a stranger', async () => {
    const receipt = join(folder, 'leaf.tlog-proof');
    expect(await ran('ledger', 'prove', state, '--leaf', '2', '--out', receipt)).toMatchObject({ code: 0 });
    const verified = await ran('verify', receipt, '--keys', keys);
    expect(verified).toMatchObject({ code: 0, out: expect.stringContaining('leaf 2 is one of the') });
    const second = join(folder, 'exported.tlog-proof');
    await ran('ledger', 'prove', file, '--leaf', '2', '--out', second);
    expect(readFileSync(second, 'utf8')).toBe(readFileSync(receipt, 'utf8'));
    const record = firstRecord(readFileSync(file, 'utf8'));
    const proved = await ran('ledger', 'prove', state, '--record', `${record.stream}:0`);
    expect(proved.out).toContain(`index ${record.index}\n`);
    expect(await ran('ledger', 'prove', state, '--leaf', '99999')).toMatchObject({
      code: 2,
      out: expect.stringContaining('TG_LEDGER_NO_PROOF'),
    });
  });

  it('checks a store whole, and finds what was changed in it', async () => {
    const whole = await ran('ledger', 'fsck', state, '--keys', keys);
    expect(whole).toMatchObject({ code: 0, out: expect.stringContaining('WHOLE') });
    const copy = join(folder, 'copy.sqlite');
    cpSync(join(state, 'tollgate.sqlite'), copy);
    const bytes = readFileSync(copy);
    let found = 0;
    for (let place = 1; place < PLACES; place++) {
      const changed = Buffer.from(bytes);
      const at = Math.floor((bytes.length * place) / PLACES);
      changed.fill(0xa5, at, Math.min(bytes.length, at + DAMAGE_BYTES));
      writeFileSync(copy, changed);
      if ((await ran('ledger', 'fsck', copy, '--keys', keys, '--json')).code !== 0) found++;
    }
    // Not every byte of a page is in use.
    expect(found).toBeGreaterThan(PLACES / 2);
  });

  it('tells a copy that lags behind from one that parts', async () => {
    expect(await ran('ledger', 'diff', file, state)).toMatchObject({ code: 0, out: expect.stringContaining('SAME') });
    const [head, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
    const { size, checkpoints } = JSON.parse(head!);
    const older = join(folder, 'older.jsonl');
    const header = { ...JSON.parse(head!), size: size - 3, leaves: size - 3 };
    writeFileSync(older, `${[JSON.stringify(header), ...lines.slice(0, -3)].join('\n')}\n`);
    const behind = await ran('ledger', 'diff', older, state);
    expect(behind).toMatchObject({ code: 0, out: expect.stringContaining('A IS A BEGINNING OF B') });
    const other = join(folder, 'other.jsonl');
    const changed = lines.with(
      checkpoints + 4,
      lines[checkpoints + 4]!.replace(/"data":".{12}/, '"data":"AAAAAAAAAAAA'),
    );
    writeFileSync(other, `${[head, ...changed].join('\n')}\n`);
    const forked = await ran('ledger', 'diff', other, state, '--json');
    expect(forked.code).toBe(1);
    expect(JSON.parse(forked.out)).toMatchObject({ relation: 'forked', firstDifferent: 4 });
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

/** The first leaf of a record in an export. */
function firstRecord(text: string): { index: number; stream: string } {
  for (const line of text.split('\n')) {
    const { leaf, data } = line === '' ? { leaf: undefined, data: '' } : JSON.parse(line);
    if (leaf === undefined) continue;
    const { record } = readLeaf(new Uint8Array(Buffer.from(data, 'base64')));
    if (record !== null && record.seq === 0) return { index: leaf, stream: Buffer.from(record.stream).toString('hex') };
  }
  throw new Error('no record in this export');
}
