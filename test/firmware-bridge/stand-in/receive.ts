/**
 * A program that receives from `can0` until the sentinel (id 0x7ff) came, and prints one JSON line of what it saw.
 *
 *   receive.ts DRIVER PLAN FD BUSY   DRIVER: native, or the folder of npm's socketcan; PLAN: JSON of ids (null: all) and masks; FD: 1 takes CAN FD; BUSY: ms of blocked loop a batch
 */

import { createRequire } from 'node:module';
import type { FrameBatch } from '#contracts';
import { readClocks } from '#firmware-bridge/boottime';
import { canDriver } from '#firmware-bridge/can/drivers';
import { socketcanDriver } from '#firmware-bridge/can/socketcan';
import { canSource } from '#firmware-bridge/can/source';

const [name, plan, fd, busy] = process.argv.slice(2);
const SENTINEL = 0x7ff;
const driver = name === 'native' ? await canDriver(name) : socketcanDriver(createRequire(import.meta.url)(name!));
const perId: Record<string, number> = {};
let frames = 0;
let batches = 0;
let disorder = 0;
let unknownTimes = 0;
let last = -1n;
let flags = 0;
let lastTime = 0n;

const source = canSource({
  name: 'can0',
  interface: 'can0',
  channel: 3,
  fd: fd === '1',
  bootId: new Uint8Array(8),
  clock: { bootNs: () => 0n, monotonicMs: () => 0, utc: () => ({ offsetNs: null, errorNs: 0, source: 'unknown' }) },
  driver,
  idBudget: Number(process.env.ID_BUDGET ?? 0),
});
const begun = process.cpuUsage();
const { promise: over, resolve: end } = Promise.withResolvers<void>();

function take({ bytes, slotBytes, count }: FrameBatch): void {
  batches++;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { bootNs } = readClocks();
  for (let at = 0; at < count * slotBytes; at += slotBytes) {
    const id = view.getUint32(at + 8, true);
    if (id === SENTINEL) {
      end();
      continue;
    }
    frames++;
    if (process.env.COUNT_IDS === '1') perId[id] = (perId[id] ?? 0) + 1;
    const time = view.getBigInt64(at, true);
    if (time > bootNs || bootNs - time > 5_000_000_000n || time < lastTime) unknownTimes++;
    lastTime = time;
    const number = view.getBigUint64(at + 16, true);
    if (number <= last) disorder++;
    last = number;
    flags |= bytes[at + 13]!;
  }
  const until = performance.now() + Number(busy);
  while (performance.now() < until);
}

const { ids, masks } = JSON.parse(plan!);
await source.open(take, { ids: [null, null, null, ids], masks: [[], [], [], masks] });
process.stdout.write('open\n');
await over;
await source.close();
const { user, system } = process.cpuUsage(begun);
const line = {
  frames,
  batches,
  disorder,
  unknownTimes,
  flags,
  perId,
  cpuUs: user + system,
  ...source.status(),
  skipped: source.skipped(),
};
process.stdout.write(`${JSON.stringify(line)}\n`);
