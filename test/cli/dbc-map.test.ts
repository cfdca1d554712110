import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';

const DBC = `VERSION ""
NS_ :
BS_:
BU_: ECU
BO_ 256 Motion: 8 ECU
 SG_ VehicleSpeed : 0|16@1+ (0.01,0) [0|0] "m/s" ECU
 SG_ Checksum : 56|8@1+ (1,0) [0|0] "" ECU
`;
const leaf = { type: 'sensor', datatype: 'float', unit: 'km/h', description: 'Vehicle speed.' };
const VSS = JSON.stringify({ Vehicle: { type: 'branch', description: '', children: { Speed: leaf } } });

let dir = '';
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'map-'));
  await writeFile(at('car.dbc'), DBC);
  await writeFile(at('bare.dbc'), DBC.replace('VehicleSpeed', 'Noise'));
  await writeFile(at('vss.json'), VSS);
});
afterAll(() => rm(dir, { recursive: true }));

async function tollgate(...argv: string[]) {
  const seen = { out: '', err: '' };
  const code = await main(argv, {
    stdin: (async function* () {})(),
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  });
  return { code, ...seen };
}

describe('tollgate dbc map', () => {
  it('writes a mapping for a person to read', async () => {
    const { code, out, err } = await tollgate('dbc', 'map', at('car.dbc'), '--vss', at('vss.json'));
    expect(code).toBe(0);
    expect(out).toContain(
      '# 0.98: m/s becomes km/h\n- { signal: "dbc:Motion.VehicleSpeed", path: Vehicle.Speed, factor: 3.6, unit: km/h }\n',
    );
    expect(err).toBe('1 of 2 signals have a proposal.\n');
  });

  it('puts everything behind a # where nothing is sure enough', async () => {
    const { out } = await tollgate('dbc', 'map', at('car.dbc'), '--vss', at('vss.json'), '--sure', '1.1');
    expect(out.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
    expect(out).toContain('# - { signal: "dbc:Motion.VehicleSpeed"');
  });

  it('writes one JSON object a proposal', async () => {
    const { out } = await tollgate('dbc', 'map', at('car.dbc'), '--vss', at('vss.json'), '--json');
    expect(JSON.parse(out)).toEqual({
      signal: 'dbc:Motion.VehicleSpeed',
      path: 'Vehicle.Speed',
      factor: 3.6,
      offset: 0,
      unit: 'km/h',
      confidence: 0.98,
      comment: 'm/s becomes km/h',
    });
  });

  it('writes the mapping that an overlay means, and names what it cannot say', async () => {
    const leaf = (dbc2vss: object) => ({ type: 'sensor', datatype: 'float', dbc2vss });
    const overlay = {
      'Vehicle.Speed': leaf({ signal: 'VehicleSpeed', interval_ms: 100, transform: { math: 'x*3.6' } }),
      'Vehicle.Gone': leaf({ signal: 'VehicleSped' }),
    };
    await writeFile(at('overlay.json'), JSON.stringify(overlay));
    const { code, out, err } = await tollgate('dbc', 'map', at('car.dbc'), '--overlay', at('overlay.json'));
    expect(code).toBe(1);
    expect(out).toBe('- { signal: "dbc:Motion.VehicleSpeed", path: Vehicle.Speed, factor: 3.6, minInterval: 100ms }\n');
    expect(err).toContain('TG_MAPPING_SIGNAL Vehicle.Gone: the database has no signal VehicleSped');
  });

  it('checks a mapping against database and tree, each problem with its place', async () => {
    const check = async (text: string) => {
      await writeFile(at('m.yaml'), text);
      return await tollgate('dbc', 'map', at('car.dbc'), '--check', at('m.yaml'), '--vss', at('vss.json'));
    };
    const entry = (more: string) => `- { signal: "dbc:Motion.VehicleSpeed", path: Vehicle.Speed${more} }\n`;
    expect(await check(entry(', unit: km/h'))).toMatchObject({ code: 0, out: '1 entries, 0 problems\n' });
    const wrong = await check(entry(''));
    expect(wrong.code).toBe(1);
    expect(wrong.out).toContain('m.yaml:1:3  TG_MAPPING_UNIT  Vehicle.Speed is in "m/s", the tree has it in "km/h"');
    expect((await check(entry(', unit: km/h').replace('Speed,', 'Sped,'))).out).toContain(
      'Did you mean Vehicle.Speed?',
    );
    expect((await check(entry(', unit: km/h').repeat(2))).out).toContain('Vehicle.Speed stands twice');
    expect((await check(entry(', unit: km/h').replace('VehicleSpeed', 'VehicleSped'))).out).toContain(
      'TG_MAPPING_SIGNAL',
    );
  });

  it('says no where nothing fits, and what is wrong with its words and files', async () => {
    expect(await tollgate('dbc', 'map', at('bare.dbc'), '--vss', at('vss.json'))).toMatchObject({ code: 1 });
    const refused = async (code: string, ...argv: string[]) =>
      expect(await tollgate('dbc', 'map', ...argv)).toMatchObject({ code: 2, err: expect.stringContaining(code) });
    await refused('TG_CLI_USAGE', at('car.dbc'));
    await refused('TG_CLI_USAGE', at('car.dbc'), '--vss', at('vss.json'), '--sure', 'very');
    await refused('TG_CLI_FILE', at('car.dbc'), '--vss', at('none.json'));
    await refused('TG_MAPPING_SYNTAX', at('car.dbc'), '--vss', at('car.dbc'));
  });
});
