import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lintDatabase, loadDatabase, loadMapping, signalCatalogue } from '#dbc';

const folder = new URL('../../dbc/databases/', import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.dbc'))
  .map((file) => file.slice(0, -'.dbc'.length));

describe.each(names)('the database %s', (name) => {
  const file = `${name}.dbc`;
  const { database, findings } = loadDatabase(readFileSync(new URL(file, folder)), { file, strict: true });
  const mapping = loadMapping(readFileSync(new URL(`${name}.mapping.yaml`, folder), 'utf8'), { file });

  it('has nothing to find fault with', () => {
    expect([...findings, ...lintDatabase(database)]).toEqual([]);
  });

  it('says how often each message comes', () => {
    const cycles = database.messages.map(({ attributes }) => attributes.get('GenMsgCycleTime'));
    for (const cycle of cycles) expect(cycle).toBeGreaterThan(0);
  });

  it('has every signal that its mapping names', () => {
    const { byName } = signalCatalogue([{ name: 'can0', database, mapping }]);
    for (const { path, signal } of mapping) expect(byName.get(path)).toBe(byName.get(signal));
    expect(mapping.length).toBeGreaterThan(3);
  });
});

describe('the database tollgate-vehicle', () => {
  const file = 'tollgate-vehicle.dbc';
  const { database } = loadDatabase(readFileSync(new URL(file, folder)), { file, strict: true });

  it('shows both byte orders, 29 bits, a multiplexer, signs and labels', () => {
    const signals = database.messages.flatMap((message) => message.signals);
    expect(new Set(signals.map(({ byteOrder }) => byteOrder)).size).toBe(2);
    expect(database.messages.some(({ extended }) => extended)).toBe(true);
    expect(signals.some(({ multiplexer }) => multiplexer !== null)).toBe(true);
    expect(signals.some(({ signed }) => signed)).toBe(true);
    expect(signals.some(({ labels }) => labels.length > 1)).toBe(true);
  });
});
