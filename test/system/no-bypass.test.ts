import { expect, it } from 'vitest';
import { part } from '../parts.ts';
import { noBypass } from './no-bypass.ts';
import { plants, TaintSearch } from './taint.ts';

const mosquitto = part('mosquitto');

it('finds a marker in each form, and none where there is none', () => {
  const marker = 0xfedc_ba98_7654_3210n;
  const search = new TaintSearch([marker]);
  for (const { how, bytes } of plants(marker)) expect(search.search(bytes)).toContain(how);
  expect(search.search(Buffer.from('an innocent text 123456789012345'))).toEqual([]);
});

it.skipIf(mosquitto === null)(
  'no value of a denied signal is in any byte that agent, broker and receiver leave, and a planted one is found everywhere',
  async () => {
    const report = await noBypass(20_000, 1, 4, mosquitto!);
    expect(report.failures).toEqual([]);
    expect(report.leaks).toEqual([]);
    expect(report.missed).toEqual([]);
    expect(report.received).toBeGreaterThan(0);
    expect(report.planted).toBeGreaterThan(100);
  },
);
