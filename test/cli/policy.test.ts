import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';
import { agreementText, campaignText, DBC, logText, raw, UBI } from '../system/unit-folder.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const example = (path: string) => join(root, 'policies', 'examples', path);
const folder = mkdtempSync(join(tmpdir(), 'tollgate-policy-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]) {
  let out = '';
  let err = '';
  const io = {
    stdin: (async function* () {})(),
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  };
  return { code: await main(['policy', ...args], io), out, err };
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const uid = 'urn:uuid:00000000-0000-4000-8000-00000000aa01';
const agreement = (name: string, permit: string[], more: Partial<Parameters<typeof agreementText>[0]> = {}) =>
  write(name, agreementText({ uid, permit, ...more }));

describe('tollgate policy diff', () => {
  it('exits 0 where nothing opens and 1 where something does', async () => {
    const one = agreement('one.json', ['dbc:Motion.Speed']);
    const two = agreement('two.json', ['dbc:Motion.Speed', 'dbc:Battery.Charge']);
    expect(await run('diff', one, one)).toMatchObject({ code: 0, out: 'Nothing opens and nothing closes.\n' });
    const opened = await run('diff', one, two);
    expect(opened.code).toBe(1);
    expect(opened.out).toContain(
      'Opens\n  dbc:Battery.Charge to did:web:insurer.example for auto:UbiInsurance: was closed, is now raw samples',
    );
    const closed = await run('diff', two, one);
    expect(closed.code).toBe(0);
    expect(closed.out).toContain('Closes\n  dbc:Battery.Charge');
  });

  it('asks a database for the signals, and a campaign for what it gets', async () => {
    const dbc = write('car.dbc', DBC);
    const one = agreement('a.json', ['dbc:Motion.*']);
    const two = agreement('b.json', ['dbc:Motion.*'], { deny: ['dbc:Motion.Throttle'] });
    const { out } = await run('diff', one, two, '--dbc', dbc, '--json');
    const [change, ...more] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(more).toEqual([]);
    expect(change).toMatchObject({ kind: 'closes', signals: ['dbc:Motion.Throttle'], now: { leaves: [] } });
    const campaign = write(
      'speed.yaml',
      campaignText({ ...UBI, signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] }),
    );
    expect((await run('diff', one, two, '--dbc', dbc, '--campaign', campaign)).out).toContain('Nothing opens');
  });

  it('ends with 2 on bad usage, and with the place of a document that is refused', async () => {
    expect(await run('diff', example('insurance/agreement.json'))).toMatchObject({ code: 2 });
    const broken = write('broken.json', '{"@context": 1}');
    const { code, err } = await run('diff', broken, broken);
    expect(code).toBe(2);
    expect(err).toMatch(/broken\.json:1:\d+ {2}TG_POLICY_/);
  });
});

describe('tollgate policy test', () => {
  it('runs the cases that ship', async () => {
    const { code, out } = await run('test', example(''));
    expect(code, out).toBe(0);
    expect(out).toMatch(/^(\d+) of \1 cases are as expected\n$/);
  });

  it('shows what differs, at its place, and exits 1', async () => {
    const copy = join(folder, 'insurance');
    cpSync(example('insurance'), copy, { recursive: true });
    const file = join(copy, 'cases', 'finer-than-agreed', 'expected.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('max of each 1 s', 'max of each 2 s'));
    const { code, out } = await run('test', copy);
    expect(code).toBe(1);
    expect(out).toContain(
      'cases/finer-than-agreed\n  /signals/0/how\n    - "max of each 2 s"\n    + "max of each 1 s"\n',
    );
    const lines = (await run('test', copy, '--json')).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ passed }) => !passed)).toMatchObject([{ case: 'cases/finer-than-agreed' }]);
  });

  it('ends with 2 where there is no case', async () => {
    expect(await run('test', join(root, 'docs'))).toMatchObject({ code: 2 });
    expect(await run('test', join(folder, 'nowhere'))).toMatchObject({ code: 2 });
  });
});

describe('tollgate policy check', () => {
  it('names findings with pointer and remedy, and refuses them only where told to', async () => {
    const file = agreement('twice.json', ['dbc:Motion.Speed'], { deny: ['dbc:Motion.Speed'] });
    const { code, out } = await run('check', file);
    expect(code).toBe(0);
    expect(out).toContain(
      'contradictory  #p1 permits dbc:Motion.Speed, and #n1 always keeps it\n      at /permission/0\n',
    );
    expect(JSON.parse((await run('check', file, '--json')).out).findings).toMatchObject([
      { kind: 'contradictory', pointer: '/permission/0' },
    ]);
    expect((await run('check', file, '--strict')).code).toBe(1);
    expect((await run('check', example('insurance/agreement.json'), '--strict')).code).toBe(0);
  });
});

describe('tollgate policy simulate', () => {
  const dbc = write('drive.dbc', DBC);
  const log = write('drive.log', logText(3));
  const campaign = write('ubi.yaml', campaignText(UBI));
  const old = agreement('old.json', ['dbc:Motion.Speed'], { deny: ['dbc:Steering.Angle'] });

  it('counts field by field what would have left, and stores nothing', async () => {
    const before = readdirSync(folder).sort();
    const { code, out } = await run(
      'simulate',
      log,
      '--dbc',
      dbc,
      '--campaign',
      campaign,
      '--agreement',
      old,
      '--json',
    );
    expect(code).toBe(0);
    const result = JSON.parse(out);
    expect(result.fields).toMatchObject([{ signal: 'dbc:Motion.Speed', samples: 300, rule: '#p1', keptBack: [] }]);
    expect(result.streams).toMatchObject([{ records: 15, overBudget: 0 }]);
    expect(result.streams[0].bytes).toBeGreaterThan(500);
    expect(result.denials).toMatchObject([{ signal: 'dbc:Steering.Angle', rule: '#n1', reason: 'prohibited' }]);
    expect(readdirSync(folder).sort()).toEqual(before);
    // No value of the drive is in the answer.
    expect(out).not.toContain(String(raw.speed(2_980) * 0.01));
  });

  it('reads the transports that a configuration would', async () => {
    const truck = write('truck.dbc', DBC.replace('BO_ 256 Motion: 8', 'BO_ 2566834942 Motion: 14'));
    const packets = ['1CECFF00#200E0002FFCAFE00', '1CEBFF00#0110270000000000', '1CEBFF00#0200000000000000'];
    const bus = write('truck.log', packets.map((packet, i) => `(1767225600.${i}00000) can0 ${packet}\n`).join(''));
    const words = [bus, '--dbc', truck, '--campaign', campaign, '--agreement', old, '--json'];
    const samples = async (...mode: string[]) => JSON.parse((await run('simulate', ...words, ...mode)).out);
    expect(await samples('--j1939', 'every')).toMatchObject({
      fields: [{ samples: 1 }],
      transports: { j1939: { complete: 1 } },
    });
    expect(await samples('--j1939', 'off')).toMatchObject({ fields: [{ samples: 0 }], transports: { j1939: null } });
  });

  it('counts what the gate kept back, by rule and constraint, and what a budget refused', async () => {
    const slow = agreement('slow.json', ['dbc:Motion.Speed'], {
      constraints: [
        { leftOperand: 'auto:vehicleSpeed', operator: 'gteq', rightOperand: 51 },
        { leftOperand: 'count', operator: 'lteq', rightOperand: 4 },
      ],
    });
    const words = ['--dbc', dbc, '--campaign', campaign, '--agreement', slow, '--context', 'speed=dbc:Motion.Speed'];
    const { out } = await run('simulate', log, ...words, '--json');
    const [field] = JSON.parse(out).fields;
    // The speed rises from 50.00 by 0.01 each 10 ms: it passes 51 after 100 samples.
    const kept = field.keptBack.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    expect(kept).toBe(100);
    expect(field.keptBack[0].constraint).toContain('auto:vehicleSpeed gteq 51');
    expect(JSON.parse(out).streams).toMatchObject([{ records: 4, overBudget: 6 }]);
    expect(field.samples).toBe(80);
    expect((await run('simulate', log, ...words)).out).toContain('6 refused by a budget');
  });

  it('says what other agreements would have changed, and exits 1 where more would have left', async () => {
    const wide = agreement('wide.json', ['dbc:Motion.Speed', 'dbc:Steering.Angle']);
    const words = ['--dbc', dbc, '--campaign', campaign];
    const more = await run('simulate', log, ...words, '--agreement', old, '--against', wide);
    expect(more.code).toBe(1);
    expect(more.out).toContain(
      'dbc:Steering.Angle to did:web:insurer.example (campaign ubi): was closed, would be 150 values (raw samples)',
    );
    const less = await run('simulate', log, ...words, '--agreement', wide, '--against', old, '--json');
    expect(less.code).toBe(0);
    expect(JSON.parse(less.out).changes).toMatchObject([{ signal: 'dbc:Steering.Angle', was: 150, now: 0 }]);
  });

  it('counts what a unit would have queued, byte for byte but for the cut of its session', async () => {
    const words = ['--dbc', dbc, '--campaign', campaign, '--agreement', old];
    const simulated = JSON.parse((await run('simulate', log, ...words, '--json')).out);
    const folderOf = mkdtempSync(join(folder, 'replay-'));
    const unit = main(['replay', log, ...words, '--state', folderOf, '--json'], {
      stdin: (async function* () {})(),
      out: () => {},
      err: () => {},
      interactive: false,
      signal: new AbortController().signal,
    });
    expect(await unit).toBe(0);
    const { readStore } = await import('#agent/store/index');
    const store = readStore(join(folderOf, 'tollgate.sqlite'));
    const [row] = store.meter();
    store.close();
    const [stream] = simulated.streams;
    expect(stream.records).toBe(row!.records);
    expect(simulated.fields[0].samples).toBe(row!.samples);
    expect(stream.bytes).toBeGreaterThan(row!.bytes);
  });

  it('ends with 2 on bad usage and on a document that is refused', async () => {
    expect(await run('simulate', log)).toMatchObject({ code: 2 });
    expect(await run('simulate', log, '--dbc', dbc, '--campaign', campaign, '--context', 'speed')).toMatchObject({
      code: 2,
    });
    expect(await run('simulate', log, '--dbc', dbc, '--campaign', dbc)).toMatchObject({ code: 2 });
  });
});

describe('tollgate policy why', () => {
  it('is explain', async () => {
    const { out } = await run('why', '--help');
    expect(out).toContain('Usage: tollgate policy why SIGNAL');
  });
});
