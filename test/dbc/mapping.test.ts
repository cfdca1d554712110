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
    expect(load('- { signal: "dbc:Motion.Speed", path: Vehicle.Speed, factor: 3.6, offset: -1, unit: km/h }')).toEqual([
      { signal: 'dbc:Motion.Speed', path: 'Vehicle.Speed', factor: 3.6, offset: -1, unit: 'km/h' },
    ]);
  });

  it('changes nothing where it says nothing', () => {
    expect(load('- { signal: "dbc:can1/Motion.Speed", path: Vehicle.Speed }')).toEqual([
      { signal: 'dbc:can1/Motion.Speed', path: 'Vehicle.Speed', factor: 1, offset: 0, unit: null },
    ]);
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
    ['an entry that is no map', '- Vehicle.Speed', '/0', '1:1', null],
    ['a map in place of the list', 'signal: x', '', '1:1', null],
    ['YAML that is none', '- { signal: [', '', null, null],
  ])('is refused for %s', (_, text, pointer, place, remedy) => {
    const error = refusal(text);
    expect(error.code).toBe('TG_MAPPING_SYNTAX');
    expect(error.place).toMatchObject({ file, pointer });
    if (place !== null) expect(`${error.place.line}:${error.place.column}`).toBe(place);
    if (remedy !== null) expect(error.remedy).toBe(remedy);
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
