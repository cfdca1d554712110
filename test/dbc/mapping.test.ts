import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { loadMapping } from '#dbc';

const file = 'mapping.yaml';
const load = (text: string) => loadMapping(text, { file });

function refusal(text: string): TollgateError {
  try {
    load(text);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('a mapping', () => {
  it('gives a signal its VSS path, and the scale and unit that VSS wants', () => {
    expect(
      load('- { signal: "dbc:Motion.Speed", path: Vehicle.Speed, factor: 3.6, offset: -1, unit: km/h }'),
    ).toMatchObject([{ signal: 'dbc:Motion.Speed', path: 'Vehicle.Speed', factor: 3.6, offset: -1, unit: 'km/h' }]);
  });

  it('changes nothing where it says nothing', () => {
    expect(load('- { signal: "dbc:can1/Motion.Speed", path: Vehicle.Speed }')).toMatchObject([
      { signal: 'dbc:can1/Motion.Speed', path: 'Vehicle.Speed', factor: 1, offset: 0, unit: null },
    ]);
  });

  it('says values, the least interval and the deadband as KUKSA does its transforms', () => {
    const [entry] = load(
      '- { signal: "dbc:A.B", path: Vehicle.X, minInterval: 2s, deadband: 0.5, transform: { mapping: [{ from: P, to: true }, { from: 3, to: -1 }] } }',
    );
    expect(entry).toMatchObject({
      minIntervalMs: 2000,
      deadband: 0.5,
      values: [
        { from: 'P', to: 1 },
        { from: 3, to: -1 },
      ],
    });
    const [line] = load('- { signal: "dbc:A.B", path: Vehicle.X, transform: { math: "(x - 1) * 2" } }');
    expect(line).toMatchObject({ factor: 2, offset: -2 });
  });

  it('may be empty', () => {
    expect(load('')).toEqual([]);
    expect(load('# nothing yet\n')).toEqual([]);
  });

  it.each([
    [
      'an unknown key, with the nearest valid one',
      '- { signal: "dbc:A.B", paht: Vehicle.X }',
      '/0/paht',
      '1:24',
      'Did you mean "path"?',
    ],
    ['a missing path', '- { signal: "dbc:A.B" }', '/0/path', '1:3', null],
    ['a signal in another form', '- { signal: A.B, path: Vehicle.X }', '/0/signal', '1:13', null],
    ['a path outside the vehicle', '\n- { signal: "dbc:A.B", path: Speed }', '/0/path', '2:30', null],
    ['a factor that is no number', '- { signal: "dbc:A.B", path: Vehicle.X, factor: two }', '/0/factor', '1:49', null],
    ['a time without unit', '- { signal: "dbc:A.B", path: Vehicle.X, minInterval: 5 }', '/0/minInterval', '1:54', null],
    ['a negative deadband', '- { signal: "dbc:A.B", path: Vehicle.X, deadband: -1 }', '/0/deadband', '1:51', null],
    [
      'a transform and a factor',
      '- { signal: "dbc:A.B", path: Vehicle.X, factor: 2, transform: { math: x } }',
      '/0/transform',
      '1:63',
      null,
    ],
    [
      'a transform that is none',
      '- { signal: "dbc:A.B", path: Vehicle.X, transform: {} }',
      '/0/transform',
      '1:52',
      null,
    ],
    [
      'a value given twice',
      '- { signal: "dbc:A.B", path: Vehicle.X, transform: { mapping: [{ from: 1, to: 1 }, { from: 1, to: 2 }] } }',
      '/0/transform/mapping',
      '1:63',
      null,
    ],
    [
      'an unknown key of a value',
      '- { signal: "dbc:A.B", path: Vehicle.X, transform: { mapping: [{ form: 1, to: 1 }] } }',
      '/0/transform/mapping/0/form',
      '1:66',
      'Did you mean "from"?',
    ],
    ['an entry that is no map', '- Vehicle.Speed', '/0', '1:3', null],
    ['a map in place of the list', 'signal: x', '', '1:1', null],
    ['YAML that is none', '- { signal: [', '', null, null],
  ])('is refused for %s', (_, text, pointer, place, remedy) => {
    const error = refusal(text);
    expect(error.code).toBe('TG_MAPPING_SYNTAX');
    expect(error.place).toMatchObject({ file, pointer });
    if (place !== null) expect(`${error.place.line}:${error.place.column}`).toBe(place);
    if (remedy !== null) expect(error.remedy).toBe(remedy);
  });

  it.each([
    ['a curve', '{ math: "floor(x)" }', '/0/transform/math'],
    ['an expression that is none', '{ math: "x +" }', '/0/transform/math'],
    ['a text, which records do not carry', '{ mapping: [{ from: 1, to: PARK }] }', '/0/transform/mapping/0/to'],
  ])('is refused for a transform that is %s', (_, transform, pointer) => {
    const error = refusal(`- { signal: "dbc:A.B", path: Vehicle.X, transform: ${transform} }`);
    expect(error).toMatchObject({ code: 'TG_MAPPING_TRANSFORM', place: { file, pointer, line: 1 } });
  });

  it('is refused or read, never a crash', () => {
    const piece = fc.constantFrom(
      '- ',
      '{',
      '}',
      ': ',
      'signal',
      'path',
      '"dbc:A.B"',
      'Vehicle.X',
      ',',
      '\n',
      '[',
      '&a',
      '*a',
      '!!int',
      '|',
      '"',
      '1',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        try {
          load(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(TollgateError);
        }
      }),
      { numRuns: 2000, seed: 11 },
    );
  });
});
