import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../cli/main.ts';
import { tollgate } from '../system/processes.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const example = (path: string) => join(root, 'policies', 'examples', path);
const START = '2026-01-01T08:00:00';

/** One drive of the simulated car under the insurer's agreement, then questions about it. */
describe('tollgate explain', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-explain-'));
  const config = join(folder, 'tollgate.yaml');

  async function ask(...args: string[]): Promise<{ code: number; out: string; err: string }> {
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
    return { code: await main(['explain', ...args, '--config', config], io), out, err };
  }

  beforeAll(async () => {
    const agreement = example('insurance/agreement.json');
    const keys = join(folder, 'keys');
    const enrolled = tollgate([
      'enroll',
      '--local',
      keys,
      '--recipient',
      'did:web:insurer.example',
      '--trust',
      agreement,
    ]);
    expect(await enrolled.exited, enrolled.stderr()).toBe(0);
    const log = join(folder, 'drive.log');
    const drive = tollgate(['sim', 'drive', '--seconds', '60', '--seed', '3', '--out', log]);
    expect(await drive.exited, drive.stderr()).toBe(0);
    const databases = join(root, 'dbc', 'databases');
    writeFileSync(
      config,
      JSON.stringify({
        version: 1,
        unit: { state: './state', keys: './keys/unit' },
        sources: [
          {
            name: 'can0',
            type: 'candump',
            path: log,
            dbc: join(databases, 'tollgate-vehicle.dbc'),
            mapping: join(databases, 'tollgate-vehicle.mapping.yaml'),
          },
        ],
        context: { speed: 'Vehicle.Speed' },
        documents: { campaigns: [example('insurance/campaign.yaml')], agreements: [agreement] },
      }),
    );
    const run = tollgate(['run', '--config', config]);
    expect(await run.exited, run.stderr()).toBe(0);
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('names agreement, rule, operation and the records that carried a signal', async () => {
    const { code, out } = await ask('Vehicle.Speed', '--at', `${START.slice(0, -2)}20Z`);
    expect(code).toBe(0);
    expect(out).toContain('may leave to did:web:insurer.example (campaign insurance-by-use)');
    expect(out).toContain('rule #driving-style');
    expect(out).toMatch(/stream \S{11} record \d+ +leaf \d+/);
  });

  it('answers by either name of a signal', async () => {
    const byPath = JSON.parse((await ask('Vehicle.Speed', '--json')).out);
    const byDbc = JSON.parse((await ask('dbc:VehicleMotion.Speed', '--json')).out);
    expect(byDbc).toEqual(byPath);
    expect(byPath.records.length).toBeGreaterThan(10);
  });

  it('counts the samples that the gate kept back, with rule and constraint', async () => {
    const { keptBack } = JSON.parse((await ask('Vehicle.Speed', '--json')).out);
    expect(keptBack.length).toBeGreaterThan(0);
    expect(keptBack[0]).toMatchObject({ signal: 'Vehicle.Speed', campaign: 'insurance-by-use' });
    expect(keptBack[0].constraint).toContain('auto:vehicleSpeed');
    expect(keptBack[0].count).toBeGreaterThan(0);
  });

  it('says which prohibition held a signal back, and exits 1', async () => {
    const { code, out } = await ask('Vehicle.Chassis.SteeringWheel.Angle');
    expect(code).toBe(1);
    expect(out).toContain('does not leave to did:web:insurer.example');
    expect(out).toContain('rule #my-hands');
  });

  it('says that nobody asked for a signal', async () => {
    const { code, out } = await ask('Vehicle.TraveledDistance');
    expect(code).toBe(1);
    expect(out).toContain('No campaign asks for it');
  });

  it('refuses a signal that no database has, and a time that is none', async () => {
    expect(await ask('Vehicle.Spede')).toMatchObject({ code: 2, err: expect.stringContaining('TG_CLI_USAGE') });
    expect(await ask('Vehicle.Speed', '--at', 'noon')).toMatchObject({ code: 2, err: expect.stringContaining('noon') });
  });
});
