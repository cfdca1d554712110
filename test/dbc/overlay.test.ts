import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadMapping, loadOverlay, mappingEntryText, mappingOfOverlay, parseExpression } from '#dbc';
import { load as loadDbc, WHOLE } from './texts.ts';

const load = (content: unknown) => loadOverlay(JSON.stringify(content), { file: 'overlay.json' });
const leaf = (parts: object) => ({ type: 'sensor', datatype: 'float', description: '', ...parts });

describe('an overlay', () => {
  const speed = { signal: 'Speed', interval_ms: 100, transform: { math: 'x*0.25 + 1' } };
  const tree = {
    Vehicle: {
      type: 'branch',
      children: {
        Speed: leaf({ dbc2vss: speed }),
        Body: { type: 'branch', children: { IsOpen: leaf({ dbc: { signal: 'Door', on_change: true } }) } },
      },
    },
  };

  it('is read as a tree of the VSS', () => {
    const { entries, refused } = load(tree);
    expect(refused).toEqual([]);
    expect(
      entries.map(({ path, direction, signal, intervalMs, onChange, pointer }) => [
        path,
        direction,
        signal,
        intervalMs,
        onChange,
        pointer,
      ]),
    ).toEqual([
      ['Vehicle.Speed', 'dbc2vss', 'Speed', 100, false, '/Vehicle/children/Speed/dbc2vss'],
      ['Vehicle.Body.IsOpen', 'dbc2vss', 'Door', 0, true, '/Vehicle/children/Body/children/IsOpen/dbc'],
    ]);
  });

  it('is read as a flat map, in YAML too', () => {
    const { entries } = loadOverlay(
      'Vehicle.Speed:\n  type: sensor\n  datatype: float\n  dbc: { signal: Speed }\nVehicle.IsOpen:\n  type: sensor\n',
      { file: 'overlay.vspec' },
    );
    expect(entries.map(({ path, signal, intervalMs }) => [path, signal, intervalMs])).toEqual([
      ['Vehicle.Speed', 'Speed', 1000],
    ]);
  });

  it('is read as a list of leaves', () => {
    const { entries } = load({
      note: 'x',
      entries: [leaf({ path: 'Vehicle.Speed', dbc2vss: speed, vss2dbc: { signal: 'Set' } })],
    });
    expect(entries.map(({ path, direction, signal }) => [path, direction, signal])).toEqual([
      ['Vehicle.Speed', 'dbc2vss', 'Speed'],
      ['Vehicle.Speed', 'vss2dbc', 'Set'],
    ]);
  });

  it('keeps labels and conditions', () => {
    const { entries } = load([
      leaf({
        path: 'Vehicle.IsOpen',
        dbc2vss: {
          signal: 'Door',
          transform: {
            mapping: [
              { from: 'OPEN', to: true },
              { from: 'SHUT', to: false },
            ],
          },
          multiplexer: [{ signal: 'Page', value: 3 }],
        },
      }),
    ]);
    expect(entries[0]!.transform).toEqual({
      kind: 'labels',
      pairs: [
        { from: 'OPEN', to: true },
        { from: 'SHUT', to: false },
      ],
    });
    expect(entries[0]!.conditions).toEqual([{ signal: 'Page', value: 3 }]);
  });

  it.each([
    ['no signal', { interval_ms: 1 }, '/signal', 'TG_MAPPING_SYNTAX'],
    ['an unknown key', { signal: 'S', intervall_ms: 1 }, '/intervall_ms', 'TG_MAPPING_SYNTAX'],
    ['an interval that is none', { signal: 'S', interval_ms: -1 }, '/interval_ms', 'TG_MAPPING_SYNTAX'],
    ['two transforms', { signal: 'S', transform: { math: 'x', mapping: [] } }, '/transform', 'TG_MAPPING_SYNTAX'],
    ['an unknown transform', { signal: 'S', transform: { code: 'x' } }, '/transform/code', 'TG_MAPPING_TRANSFORM'],
    [
      'an expression that is none',
      { signal: 'S', transform: { math: 'x *' } },
      '/transform/math',
      'TG_MAPPING_TRANSFORM',
    ],
    [
      'a name in an expression',
      { signal: 'S', transform: { math: 'process' } },
      '/transform/math',
      'TG_MAPPING_TRANSFORM',
    ],
    [
      'a label without its value',
      { signal: 'S', transform: { mapping: [{ from: 1 }] } },
      '/transform/mapping/0',
      'TG_MAPPING_SYNTAX',
    ],
  ])('refuses an entry with %s and reads the others', (_, entry, pointer, code) => {
    const { entries, refused } = load([
      leaf({ path: 'A', dbc2vss: entry }),
      leaf({ path: 'B', dbc2vss: { signal: 'S' } }),
    ]);
    expect(refused.map((error) => [error.code, error.place.pointer])).toEqual([[code, `/0/dbc2vss${pointer}`]]);
    expect(entries.map(({ path }) => path)).toEqual(['B']);
  });

  it('is refused with its place when it is no YAML', () => {
    expect(() => loadOverlay('Vehicle: [', { file: 'o.yaml' })).toThrow(
      expect.objectContaining({ code: 'TG_MAPPING_SYNTAX' }),
    );
  });

  it('of any JSON never crashes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        load(value);
        load({ type: 'sensor', path: 'A', dbc2vss: value });
        load({ type: 'sensor', path: 'A', dbc2vss: { signal: 'S', transform: value } });
      }),
      { numRuns: 500, seed: 3 },
    );
  });
});

describe('an expression', () => {
  it.each([
    ['floor((x*40)-100)', 3.52, 40],
    ['(x+100)/40', 20, 3],
    ['floor(x+0.5)', -2.5, -2],
    ['floor(abs(x/5))', -17, 3],
    ['-x^2', 3, -9],
    ['2^3^2', 0, 512],
    ['2**-1', 0, 0.5],
    ['x % 3', -1, 2],
    ['round(x)', 2.5, 2],
    ['min(x, 2) + max(x, 2)', 5, 7],
    ['1e3 * .5 - PI + PI', 0, 500],
  ])('%s of %d is %d', (text, x, expected) => {
    expect(parseExpression(text).evaluate(x)).toBe(expected);
  });

  it.each([
    ['x', 1, 0],
    ['(x+100)/40', 0.025, 2.5],
    ['-(2*x - 3)*4', -8, 12],
    ['floor(2.5)*x', 2, 0],
    ['7', 0, 7],
  ])('%s is a factor and an offset', (text, factor, offset) => {
    expect(parseExpression(text).linear).toEqual({ factor, offset });
  });

  it.each(['x*x', 'floor(x)', '1/x', 'x%2', '2^x', 'x/0'])('%s is neither', (text) => {
    expect(parseExpression(text).linear).toBeNull();
  });

  it.each([
    ['', 'expected a number, x or "(", found the end'],
    ['(x', 'expected ")", found the end'],
    ['x x', 'expected an operator at character 3, found "x"'],
    ['x; y', 'expected a number, x or an operator at character 2'],
    ['floor(x, 1)', 'expected 1 value for floor, found 2'],
    ['constructor(x)', 'expected a number, x, "(" or a function at character 11, found "constructor"'],
    [`${'('.repeat(200)}x`, 'expected at most 100 nested parentheses'],
  ])('"%s" is refused with what was expected', (text, message) => {
    expect(() => parseExpression(text)).toThrow(new SyntaxError(message));
  });
});

describe('the mapping that an overlay means', () => {
  const { database } = loadDbc(WHOLE);
  const of = (entry: object, direction = 'dbc2vss') =>
    mappingOfOverlay(load([leaf({ path: 'Vehicle.Speed', [direction]: entry })]).entries, database);

  it('finds the message of the signal and takes lines as factor and offset', () => {
    expect(of({ signal: 'Speed', transform: { math: '(x-1)*2' } })).toEqual({
      mapping: [
        {
          signal: 'dbc:Engine.Speed',
          path: 'Vehicle.Speed',
          factor: 2,
          offset: -2,
          unit: null,
          isScaled: true,
          minIntervalMs: 1000,
        },
      ],
      refused: [],
    });
  });

  it('takes numbers in place of labels, the interval and whether only changes count', () => {
    const pairs = [
      { from: 'On', to: true },
      { from: 'Off', to: 0 },
    ];
    const { mapping, refused } = of({
      signal: 'Speed',
      interval_ms: 200,
      on_change: true,
      transform: { mapping: pairs },
    });
    expect(refused).toEqual([]);
    expect(mapping).toEqual([
      expect.objectContaining({
        values: [
          { from: 'On', to: 1 },
          { from: 'Off', to: 0 },
        ],
        minIntervalMs: 200,
        deadband: 0,
      }),
    ]);
    expect(loadMapping(`- ${mappingEntryText(mapping[0]!)}`, { file: 'm.yaml' })[0]).toMatchObject(mapping[0]!);
  });

  it.each([
    ['a signal that the database lacks', { signal: 'Sped' }, 'TG_MAPPING_SIGNAL', 'Did you mean "Speed"?'],
    ['a curve', { signal: 'Speed', transform: { math: 'floor(x)' } }, 'TG_MAPPING_TRANSFORM', null],
    ['texts', { signal: 'Speed', transform: { mapping: [{ from: 'P', to: 'PARK' }] } }, 'TG_MAPPING_TRANSFORM', null],
    ['a condition', { signal: 'Speed', multiplexer: [{ signal: 'Page', value: 1 }] }, 'TG_MAPPING_TRANSFORM', null],
  ])('refuses %s', (_, entry, code, remedy) => {
    const { mapping, refused } = of(entry);
    expect(mapping).toEqual([]);
    expect(refused.map((error) => error.code)).toEqual([code]);
    if (remedy !== null) expect(refused[0]!.remedy).toBe(remedy);
  });

  it('never writes to the bus', () => {
    expect(of({ signal: 'Speed' }, 'vss2dbc').refused.map(({ code }) => code)).toEqual(['TG_MAPPING_TRANSFORM']);
  });
});
