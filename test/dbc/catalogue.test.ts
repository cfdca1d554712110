import { describe, expect, it } from 'vitest';
import { loadDatabase, type MappingEntry, signalCatalogue } from '#dbc';
import { HEAD } from './texts.ts';

const { database } = loadDatabase(
  `${HEAD}BO_ 256 Motion: 8 Gateway
 SG_ Speed : 0|16@1+ (0.25,1) [0|0] "m/s" Dash
 SG_ Serial : 16|48@1- (1,0) [0|0] "" Dash
BO_ 2147483905 Far: 8 Gateway
 SG_ Wide : 0|64@1+ (1,0) [0|0] "" Dash
BO_ 258 Single: 8 Gateway
 SG_ Single : 0|32@1- (1,0) [0|0] "" Dash
SIG_VALTYPE_ 258 Single : 1;
`,
  { file: 'car.dbc' },
);
const speed: MappingEntry = { signal: 'dbc:Motion.Speed', path: 'Vehicle.Speed', factor: 3.6, offset: 0, unit: 'km/h' };

describe('the catalogue of one channel', () => {
  const { signals, byName } = signalCatalogue([{ name: 'can0', database, mapping: [speed] }]);

  it('leads from each name of a signal to the same signal', () => {
    const info = byName.get('Vehicle.Speed');
    expect(info).toBeDefined();
    expect(byName.get('dbc:Motion.Speed')).toBe(info);
    expect(byName.get('dbc:can0/Motion.Speed')).toBe(info);
    expect(signals).toContain(info);
  });

  it('carries both scales and the unit after the mapping', () => {
    expect(byName.get('Vehicle.Speed')).toMatchObject({
      f: 0.25,
      o: 1,
      factor: 3.6,
      offset: 0,
      unit: 'km/h',
      bits: 16,
    });
    expect(byName.get('dbc:Motion.Serial')).toMatchObject({ name: 'dbc:Motion.Serial', factor: 1, offset: 0 });
  });

  it('tells how a value is kept, and the id word with its EFF bit', () => {
    expect(byName.get('dbc:Motion.Serial')).toMatchObject({ type: 'int', signed: true, id: 256 });
    expect(byName.get('dbc:Far.Wide')).toMatchObject({ type: 'wide', signed: false, id: 0x8000_0101 });
    expect(byName.get('dbc:Single.Single')).toMatchObject({ type: 'float32' });
  });

  it('refuses a mapping of a signal that is not there, and a path given twice', () => {
    const catalogue = (...mapping: MappingEntry[]) => signalCatalogue([{ name: 'can0', database, mapping }]);
    expect(() => catalogue({ ...speed, signal: 'dbc:Motion.Sped' })).toThrow(
      expect.objectContaining({ code: 'TG_MAPPING_SIGNAL', message: expect.stringContaining('Motion.Sped') }),
    );
    expect(() => catalogue(speed, { ...speed, signal: 'dbc:Motion.Serial' })).toThrow(
      expect.objectContaining({ code: 'TG_MAPPING_SIGNAL', message: expect.stringContaining('Vehicle.Speed') }),
    );
  });
});

describe('a signal that is mapped twice', () => {
  it.each([
    ['dbc:Motion.Speed', 'dbc:Motion.Speed'],
    ['dbc:Motion.Speed', 'dbc:can0/Motion.Speed'],
    ['dbc:can0/Motion.Speed', 'dbc:Motion.Speed'],
  ])('is refused, as %s and %s', (first, second) => {
    const mapping = [
      { ...speed, signal: first },
      { ...speed, signal: second, path: 'Vehicle.Other' },
    ];
    expect(() => signalCatalogue([{ name: 'can0', database, mapping }])).toThrow(
      expect.objectContaining({
        code: 'TG_MAPPING_SIGNAL',
        message: 'dbc:Motion.Speed is given two paths: Vehicle.Speed and Vehicle.Other',
      }),
    );
  });
});

describe('the catalogue of two channels with the same database', () => {
  const { signals, byName, ambiguous } = signalCatalogue([
    { name: 'front', database, mapping: [{ ...speed, signal: 'dbc:front/Motion.Speed' }] },
    { name: 'rear', database, mapping: [] },
  ]);

  it('lets no short name mean one of them by chance', () => {
    expect(byName.get('dbc:Motion.Speed')).toBeUndefined();
    expect(ambiguous.has('dbc:Motion.Speed')).toBe(true);
  });

  it('tells them apart by the channel', () => {
    expect(byName.get('dbc:front/Motion.Speed')).toMatchObject({ channel: 0, name: 'Vehicle.Speed' });
    expect(byName.get('dbc:rear/Motion.Speed')).toMatchObject({ channel: 1, name: 'dbc:rear/Motion.Speed' });
    expect(new Set(signals.map(({ name }) => name)).size).toBe(signals.length);
  });

  it('refuses one path for both', () => {
    const channel = (name: string) => ({ name, database, mapping: [speed] });
    expect(() => signalCatalogue([channel('front'), channel('rear')])).toThrow(
      expect.objectContaining({ code: 'TG_MAPPING_SIGNAL' }),
    );
  });
});
