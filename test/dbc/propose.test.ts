import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadMapping, loadVss, proposalText, proposeMapping, signalCatalogue } from '#dbc';
import { matchUnits } from '#dbc/units';
import { HEAD, load } from './texts.ts';

type Parts = Record<string, readonly [datatype: string, unit?: string, kind?: string]>;

/** `Vehicle.A.B` → leaf, as the nested branches of the specification. */
function tree(leaves: Parts) {
  const root: Record<string, unknown> = {};
  for (const [path, [datatype, unit, type = 'sensor']] of Object.entries(leaves)) {
    const names = path.split('.');
    let level = root;
    for (const name of names.slice(0, -1)) {
      level[name] ??= { type: 'branch', description: '', children: {} };
      level = (level[name] as { children: Record<string, unknown> }).children;
    }
    level[names.at(-1)!] = { type, datatype, unit, description: '' };
  }
  return loadVss(JSON.stringify(root), { file: 'vss.json' });
}

const VSS = tree({
  'Vehicle.Speed': ['float', 'km/h'],
  'Vehicle.IsMoving': ['boolean'],
  'Vehicle.CurbWeight': ['uint16', 'kg', 'attribute'],
  'Vehicle.AngularVelocity.Yaw': ['float', 'degrees/s'],
  'Vehicle.Chassis.SteeringWheel.Angle': ['int16', 'degrees'],
  'Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed': ['float', 'km/h'],
  'Vehicle.Chassis.Axle.Row1.Wheel.Right.Speed': ['float', 'km/h'],
  'Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed': ['float', 'km/h'],
  'Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature': ['float', 'Celsius'],
  'Vehicle.Powertrain.Type': ['string'],
  'Vehicle.Cabin.Door.Row1.DriverSide.IsOpen': ['boolean'],
});

function propose(signals: string, vss = VSS) {
  return proposeMapping(load(`${HEAD}${signals}`).database, vss);
}
const lines = (signals: string) => propose(signals).map(({ signal, path, factor }) => [signal, path, factor]);

describe('a proposal', () => {
  it('names the leaf of the same words and the same unit', () => {
    expect(propose('BO_ 1 Motion: 8 Gateway\n SG_ VehicleSpeed : 0|16@1+ (0.01,0) [0|0] "km/h" Dash\n')).toEqual([
      {
        signal: 'dbc:Motion.VehicleSpeed',
        path: 'Vehicle.Speed',
        factor: 1,
        offset: 0,
        unit: 'km/h',
        confidence: 1,
        comment: 'km/h as in the tree',
      },
    ]);
  });

  it('converts the unit by factor and offset', () => {
    expect(
      propose(`BO_ 1 Motion: 8 Gateway
 SG_ SPEED : 0|16@1+ (0.01,0) [0|0] "m/s" Dash
 SG_ STEER_ANGLE : 16|16@1- (0.01,0) [0|0] "rad" Dash
BO_ 2 Heat: 8 Gateway
 SG_ EngCoolantTemp : 0|16@1+ (1,0) [0|0] "K" Dash
`).map(({ path, factor, offset, unit }) => [path, factor, offset, unit]),
    ).toEqual([
      ['Vehicle.Speed', 3.6, 0, 'km/h'],
      ['Vehicle.Chassis.SteeringWheel.Angle', 180 / Math.PI, 0, 'degrees'],
      ['Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature', 1, -273.15, 'Celsius'],
    ]);
  });

  it('reads short forms, and what the message says', () => {
    expect(
      lines(`BO_ 1 WheelSpeeds: 8 Gateway
 SG_ FL : 0|16@1+ (1,0) [0|0] "km/h" Dash
 SG_ FrontRight : 16|16@1+ (1,0) [0|0] "km/h" Dash
 SG_ WHL_SPD_RL : 32|16@1+ (1,0) [0|0] "km/h" Dash
`),
    ).toEqual([
      ['dbc:WheelSpeeds.FL', 'Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed', 1],
      ['dbc:WheelSpeeds.FrontRight', 'Vehicle.Chassis.Axle.Row1.Wheel.Right.Speed', 1],
      ['dbc:WheelSpeeds.WHL_SPD_RL', 'Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed', 1],
    ]);
  });

  it('never goes to another quantity, to an opposite, to a text or to what stands still', () => {
    expect(
      lines(`BO_ 1 Motion: 8 Gateway
 SG_ VehicleSpeed : 0|16@1+ (1,0) [0|0] "Nm" Dash
 SG_ CurbWeight : 16|16@1+ (1,0) [0|0] "kg" Dash
 SG_ PowertrainType : 32|8@1+ (1,0) [0|0] "" Dash
 SG_ Moving : 40|8@1+ (1,0) [0|0] "" Dash
 SG_ DriverDoorClosed : 48|1@1+ (1,0) [0|0] "" Dash
 SG_ PassengerDoorOpen : 49|1@1+ (1,0) [0|0] "" Dash
`),
    ).toEqual([]);
  });

  it('gives a path once: to the best, and tells of the others', () => {
    const proposals = propose(`BO_ 1 A: 8 Gateway
 SG_ VehicleSpeed : 0|16@1+ (1,0) [0|0] "m/s" Dash
BO_ 2 B: 8 Gateway
 SG_ VehicleSpeed : 0|16@1+ (1,0) [0|0] "km/h" Dash
`);
    expect(proposals.map(({ signal, path, comment }) => [signal, path, comment])).toEqual([
      ['dbc:B.VehicleSpeed', 'Vehicle.Speed', 'km/h as in the tree; or is it dbc:A.VehicleSpeed?'],
    ]);
  });

  it('is less sure where the database names no unit, and then claims none', () => {
    const [proposal] = propose('BO_ 1 A: 8 Gateway\n SG_ VehicleSpeed : 0|16@1+ (1,0) [0|0] "" Dash\n');
    expect(proposal).toMatchObject({ path: 'Vehicle.Speed', unit: null, confidence: 0.74 });
    expect(proposal!.comment).toContain('names no unit');
  });
});

describe('proposals as mapping.yaml', () => {
  const DBC = `${HEAD}BO_ 1 Motion: 8 Gateway
 SG_ VehicleSpeed : 0|16@1+ (1,0) [0|0] "m/s" Dash
 SG_ GYRO_YAW : 16|16@1+ (1,0) [0|0] "rad/s" Dash
`;
  const { database } = load(DBC);
  const proposals = proposeMapping(database, VSS);
  const text = (sure?: number) =>
    proposalText(proposals, { database: 'car.dbc', tree: 'vss.json', ...(sure === undefined ? {} : { sure }) });

  it('stand behind a # until a person is sure', () => {
    expect(text()).toMatch(
      /^- \{ signal: "dbc:Motion\.VehicleSpeed", path: Vehicle\.Speed, factor: 3\.6, unit: km\/h \}$/m,
    );
    expect(text()).toMatch(/^# - \{ signal: "dbc:Motion\.GYRO_YAW"/m);
    const read = (yaml: string) => loadMapping(yaml, { file: 'mapping.yaml' }).map(({ path }) => path);
    expect(read(text())).toEqual(['Vehicle.Speed']);
    expect(read(text(0))).toEqual(['Vehicle.Speed', 'Vehicle.AngularVelocity.Yaw']);
    expect(read(text(1.1))).toEqual([]);
  });

  it('are a mapping that the catalogue takes', () => {
    const mapping = loadMapping(text(0), { file: 'mapping.yaml' });
    const { byName } = signalCatalogue([{ name: 'can0', database, mapping }]);
    expect(byName.get('Vehicle.Speed')).toMatchObject({ signal: 'VehicleSpeed', factor: 3.6, unit: 'km/h' });
  });

  it('hold one path and one signal each, in a text that loads, whatever the names', () => {
    const word = fc.constantFrom('Speed', 'FL', 'Wheel', 'Yaw', 'STEER', 'Angle', 'temp', 'Coolant', 'x', 'Moving');
    const unit = fc.constantFrom('km/h', 'm/s', '', 'rad', '%', 'K', '# a: "b"', '\u2028');
    const signal = fc.tuple(fc.array(word, { minLength: 1, maxLength: 4 }), unit, fc.integer({ min: 1, max: 32 }));
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 12 }), (signals) => {
        const body = signals.map(
          ([words, of, bits], i) =>
            ` SG_ ${words.join('_')}_${i} : 0|${bits}@1+ (1,0) [0|0] "${of.replaceAll('"', "'")}" Dash\n`,
        );
        const { database } = load(`${HEAD}BO_ 1 M: 8 Gateway\n${body.join('')}`);
        const found = proposeMapping(database, VSS);
        expect(found).toEqual(proposeMapping(database, VSS));
        expect(new Set(found.map(({ path }) => path)).size).toBe(found.length);
        expect(new Set(found.map(({ signal: name }) => name)).size).toBe(found.length);
        const yaml = proposalText(found, { database: 'a\nb', tree: 'c', sure: 0 });
        const mapping = loadMapping(yaml, { file: 'mapping.yaml' });
        expect(mapping.map(({ factor, path }) => [factor, path])).toEqual(
          found.map(({ factor, path }) => [factor, path]),
        );
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});

describe('units', () => {
  it.each([
    ['m/s', 'km/h', 3.6, 0],
    ['mph', 'km/h', 1.609344, 0],
    ['rad/s', 'degrees/s', 180 / Math.PI, 0],
    ['1/min', 'rad/s', (2 * Math.PI) / 60, 0],
    ['bar', 'kPa', 100, 0],
    ['degF', 'Celsius', 5 / 9, -160 / 9],
    ['Celsius', 'K', 1, 273.15],
    ['g', 'm/s^2', 9.80665, 0],
    ['mV', 'V', 0.001, 0],
    ['km', 'm', 1000, 0],
  ])('%s becomes %s', (from, to, factor, offset) => {
    const match = matchUnits(from, to);
    expect(match.kind).toBe('convertible');
    if (match.kind !== 'convertible') return;
    expect(match.factor).toBeCloseTo(factor, 12);
    expect(match.offset).toBeCloseTo(offset, 12);
  });

  it('are the same under other spellings, different over quantities, and unknown where the table ends', () => {
    expect(matchUnits('%', 'percent').kind).toBe('same');
    expect(matchUnits('°C', 'Celsius').kind).toBe('same');
    expect(matchUnits('V', 'A').kind).toBe('different');
    expect(matchUnits('furlong', 'm').kind).toBe('unknown');
    expect(matchUnits('MW', 'W').kind).toBe('unknown');
  });
});
