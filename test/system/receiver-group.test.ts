import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openReceiverStore } from '#receiver';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { ACK, HPKE, type TestStore, type TestUnit } from '../receiver/parts.ts';
import { POSTGRES, startPostgres } from '../receiver/postgres.ts';
import { Sender } from '../receiver/sender.ts';
import { tollgate } from './processes.ts';

/** Only a hang is longer, ms. */
const LONG = 70_000;
const RECORDS = 150;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function keyFolder(unit: TestUnit): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-group-'));
  closers.push(async () => rmSync(folder, { recursive: true, force: true }));
  const files = { 'hpke.jwk': HPKE, 'ack.jwk': ACK, 'units.json': [unit.verifierKey] };
  mkdirSync(folder, { recursive: true });
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(value));
  return folder;
}

const STORES = [
  { name: 'one SQLite file', there: true, place: async (folder: string) => join(folder, 'shared.sqlite') },
  {
    name: 'one PostgreSQL database',
    there: POSTGRES !== null,
    place: async () => {
      const server = await startPostgres();
      closers.push(() => server.stop());
      return server.fresh();
    },
  },
];

describe.skipIf(MOSQUITTO === null)('three processes of one group at mosquitto', () => {
  for (const { name, there, place } of STORES) {
    it.skipIf(!there)(`store all of it once in ${name}, one of them killed in the middle`, async () => {
      const broker = await startMosquitto();
      closers.push(() => broker.stop());
      const sender = await new Sender(broker.url, 5, closers).start();
      const folder = keyFolder(sender.unit);
      const where = await place(folder);
      const run = () =>
        tollgate(['receive', '--keys', folder, '--broker', broker.url, '--store', where, '--group', 'g', '--json']);
      const all = [run(), run(), run()];
      closers.push(async () => {
        for (const { child } of all) child.kill('SIGKILL');
      });
      for (const one of all) await one.shows(/"connected":true/);
      const store = (await openReceiverStore(where)) as TestStore;
      closers.push(() => store.close());
      const streams = [await sender.unit.stream(), await sender.unit.stream(), await sender.unit.stream()];
      for (const stream of streams) {
        sender.begin(stream);
        await sender.append(stream, RECORDS / 2);
      }
      await expect.poll(() => store.count('records'), { timeout: LONG }).toBeGreaterThan(RECORDS / 4);
      all[0]!.child.kill('SIGKILL');
      for (const stream of streams) await sender.append(stream, RECORDS / 2);
      expect(await sender.uplink.settle(LONG)).toBe(true);
      await sender.publish();
      const total = streams.length * RECORDS;
      await expect.poll(async () => (await store.unproven()).length, { timeout: LONG }).toBe(0);
      expect(await store.count('records')).toBe(total);
      expect(await store.count('value')).toBe(total * 12);
      for (const { stream } of streams) {
        const [position] = await store.positions([{ pseudonym: sender.unit.pseudonym, stream }]);
        expect(position?.provenSeq).toBe(RECORDS - 1);
      }
      for (const { child } of all.slice(1)) child.kill('SIGTERM');
      const opened: number[] = [];
      for (const one of all.slice(1)) {
        expect(await one.exited, one.stderr()).toBe(0);
        const summary = JSON.parse(one.stdout()) as { opened: number; alarms: number };
        expect(summary.alarms).toBe(0);
        opened.push(summary.opened);
      }
      // Both that are left took their part.
      expect(Math.min(...opened)).toBeGreaterThan(0);
      expect(opened[0]! + opened[1]!).toBeLessThanOrEqual(total);
    });
  }
});
