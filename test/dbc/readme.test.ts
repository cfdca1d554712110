import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadDatabase, loadMapping, signalCatalogue } from '#dbc';
import { exampleIn, exampleRun } from '../ledger/readme.ts';
import { ENGINE } from './texts.ts';

it('the example is the one of the page', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  expect(exampleIn(read('../../dbc/README.md'))).toBe(exampleRun(read('readme.test.ts')));
});

it('the example of dbc/README.md works', () => {
  const said: unknown[] = [];
  const console = { log: (text: unknown) => said.push(text) };
  const text = ENGINE.replace('(0.25,0)', '(.25,0)');
  // example
  const { database, findings } = loadDatabase(text, { file: 'car.dbc' });
  for (const { line, column, code, message, fix } of findings) {
    console.log(`car.dbc:${line}:${column} ${code} ${message}. ${fix}`);
  }
  const mapping = loadMapping('- { signal: "dbc:Engine.Speed", path: Vehicle.Speed, factor: 0.1 }', {
    file: 'mapping.yaml',
  });
  const { byName } = signalCatalogue([{ name: 'can0', database, mapping }]);
  console.log(byName.get('Vehicle.Speed') === byName.get('dbc:can0/Engine.Speed'));
  // end
  expect(said).toEqual([
    'car.dbc:10:23 TG_DBC_NUMBER expected a digit before the point, found ".25". Write 0.25; it was read so.',
    true,
  ]);
});
