import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { dice } from '../ledger/logs.ts';
import { part } from '../parts.ts';
import { dbcText, logText, noBypass } from './no-bypass.ts';
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

/** `script` of util-linux gives the demo a terminal to draw on. */
const terminal = spawnSync('script', ['--version']).error === undefined;

it.skipIf(!terminal)(
  "no value of a signal that nobody may have is on the demo's screen (needs the package bsdutils)",
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-screen-'));
    try {
      const roll = dice(11);
      const tainted: bigint[] = [];
      const [log, dbc] = [join(folder, 'drive.log'), join(folder, 'car.dbc')];
      writeFileSync(
        log,
        logText(20_000, () => roll(2 ** 31) / 2 ** 31, tainted),
      );
      writeFileSync(dbc, dbcText());
      const tollgate = fileURLToPath(new URL('../../cli/tollgate.mjs', import.meta.url));
      const node = `${process.execPath} --disallow-code-generation-from-strings`;
      const demo = `${node} ${tollgate} sim demo --log ${log} --dbc ${dbc} --fast`;
      const played = spawnSync('script', ['-qec', demo, join(folder, 'screen')], { maxBuffer: 1 << 26 });
      expect(played.status, played.stdout.toString().slice(-500)).toBe(0);
      expect(played.stdout.toString()).toContain('P1.A');
      const search = new TaintSearch(tainted);
      expect(tainted.length).toBeGreaterThan(5_000);
      expect(search.search(played.stdout)).toEqual([]);
      for (const { how, bytes } of plants(tainted[7]!)) {
        const spoiled = Buffer.concat([played.stdout.subarray(0, 900), bytes, played.stdout.subarray(900)]);
        expect(search.search(spoiled), how).not.toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
