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

describe('what a mapping changes of a signal', () => {
  const { database: gears } = loadDatabase(
    `${HEAD}BO_ 256 Box: 8 Gateway
 SG_ Gear : 0|8@1+ (2,-10) [0|0] "" Dash
 SG_ Speed : 8|16@1+ (0.25,0) [0|0] "m/s" Dash
 SG_ Wide : 0|64@1+ (1,0) [0|0] "" Dash
VAL_ 256 Gear 0 "Park" 1 "Reverse" 5 "Drive";
`,
    { file: 'box.dbc' },
  );
  const of = (signal: string, more: Partial<MappingEntry>) => {
    const place = { file: 'm.yaml', line: 3, column: 3, pointer: '/2' };
    const entry = { signal: `dbc:Box.${signal}`, path: 'Vehicle.X', factor: 1, offset: 0, unit: null, place, ...more };
    return signalCatalogue([{ name: 'can0', database: gears, mapping: [entry] }]).byName.get('Vehicle.X')!;
  };

  it('is its unit, with the factor that leads there', () => {
    expect(of('Speed', { unit: 'km/h' })).toMatchObject({ f: 0.25, factor: 3.6, offset: 0, unit: 'km/h' });
    expect(of('Speed', { unit: 'km/h', isScaled: true })).toMatchObject({ factor: 1, unit: 'km/h' });
    expect(of('Speed', { unit: 'furlong/fortnight' })).toMatchObject({ factor: 1, unit: 'furlong/fortnight' });
  });

  it('is its values, by label or by physical value', () => {
    const { values, ...info } = of('Gear', {
      values: [
        { from: 'Park', to: 0 },
        { from: 'Reverse', to: -1 },
        { from: 0, to: 1 },
      ],
    });
    expect([...values!]).toEqual([
      [0, 0],
      [1, -1],
      [5, 1],
    ]);
    expect(info).toMatchObject({ f: 1, o: 0, factor: 1, offset: 0, signed: true });
  });

  it('is how often it is recorded', () => {
    expect(of('Gear', { minIntervalMs: 100, deadband: 0 })).toMatchObject({ minIntervalNs: 1e8, deadband: 0 });
  });

  it.each([
    ['a unit of another quantity', 'Speed', { unit: 'celsius' }, 'TG_MAPPING_UNIT'],
    ['a label that is not there', 'Gear', { values: [{ from: 'Prak', to: 1 }] }, 'TG_MAPPING_TRANSFORM'],
    ['a value that no raw value gives', 'Gear', { values: [{ from: 1, to: 1 }] }, 'TG_MAPPING_TRANSFORM'],
    ['values of 64 bits', 'Wide', { values: [{ from: 1, to: 1 }] }, 'TG_MAPPING_TRANSFORM'],
    ['a signal that is not there', 'Gaer', {}, 'TG_MAPPING_SIGNAL'],
  ])('is refused with its place for %s', (_, signal, more, code) => {
    expect(() => of(signal, more)).toThrow(
      expect.objectContaining({ code, place: expect.objectContaining({ file: 'm.yaml', line: 3, pointer: '/2' }) }),
    );
  });
});
