import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { loadVss, missingPaths } from '#dbc';

const TREE = JSON.stringify({
  Vehicle: {
    type: 'branch',
    description: 'All of it.',
    children: {
      Speed: { type: 'sensor', datatype: 'float', unit: 'km/h', description: 'Vehicle speed.' },
      Cabin: {
        type: 'branch',
        description: '',
        children: { IsOpen: { type: 'actuator', datatype: 'boolean', description: '' } },
      },
    },
  },
});

describe('a VSS tree', () => {
  it('is read as its leaves by path', () => {
    expect([...loadVss(TREE, { file: 'vss.json' }).values()]).toEqual([
      { path: 'Vehicle.Speed', kind: 'sensor', datatype: 'float', unit: 'km/h', description: 'Vehicle speed.' },
      { path: 'Vehicle.Cabin.IsOpen', kind: 'actuator', datatype: 'boolean', unit: null, description: '' },
    ]);
  });

  it('names the paths that it does not have, with the nearest that it has', () => {
    const tree = loadVss(TREE, { file: 'vss.json' });
    expect(missingPaths(['Vehicle.Speed', 'Vehicle.Sped', 'Vehicle', 'Vehicle.Sped'], tree)).toEqual([
      { path: 'Vehicle.Sped', near: 'Vehicle.Speed' },
      { path: 'Vehicle', near: undefined },
    ]);
  });

  it('is refused with a reason where it is none', () => {
    const load = (text: string) => () => loadVss(text, { file: 'vss.json' });
    expect(load('Vehicle: {}')).toThrow(/expected a VSS tree in JSON/);
    expect(load('{"Vehicle":{"type":"branch","children":{}}}')).toThrow(/found no leaf/);
    const deep = `${'{"a":{"type":"branch","children":'.repeat(1000)}{}${'}}'.repeat(1000)}`;
    expect(load(deep)).toThrow(/at most 64 levels/);
  });

  it('is read or refused, whatever is damaged', () => {
    const damage = fc.tuple(fc.nat(TREE.length - 1), fc.nat(20), fc.string({ maxLength: 5 }));
    fc.assert(
      fc.property(damage, ([at, cut, put]) => {
        try {
          for (const [path, leaf] of loadVss(TREE.slice(0, at) + put + TREE.slice(at + cut), { file: 'vss.json' })) {
            expect(leaf.path).toBe(path);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(TollgateError);
        }
      }),
      { seed: 6, numRuns: 2000 },
    );
  });
});
