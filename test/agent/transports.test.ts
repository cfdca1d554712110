import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { type Documents, documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { CAN_EFF_FLAG, type FrameBatch } from '#contracts';
import { Unit } from '../../agent/unit.ts';
import { batchOf, type TestFrame } from '../can-decoders/databases.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { FAST, type Recipient, recipientOf } from './unit-parts.ts';

/** `Motion` as a group of J1939 of 14 bytes, `Battery` as a message of ISO-TP of 80. */
const DBC = `
BO_ 2566834942 Motion: 14 ECU
 SG_ Speed : 96|16@1+ (0.01,0) [0|655.35] "km/h" Vector__XXX
 SG_ Throttle : 16|8@1+ (0.5,0) [0|127.5] "%" Vector__XXX
BO_ 512 Steering: 4 ECU
 SG_ Angle : 0|16@1- (0.1,0) [-3276.8|3276.7] "deg" Vector__XXX
BO_ 768 Battery: 80 ECU
 SG_ Charge : 624|16@1+ (0.01,0) [0|655.35] "%" Vector__XXX
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2566834942 3;
`;
const RAW = {
  name: 'raw',
  record: '200ms',
  signals: ['{ signal: "dbc:Motion.Speed", operation: raw }', '{ signal: "dbc:Battery.Charge", operation: raw }'],
};
const MS = 1e6;

let folder: UnitFolder;
let recipient: Recipient;
beforeEach(async () => {
  folder = await unitFolder({ ...FAST, campaigns: [RAW] });
  writeFileSync(folder.file('car.dbc'), DBC);
  recipient = await recipientOf(folder);
});
afterEach(async () => {
  await recipient.close();
  folder.remove();
});

let loaded: Documents;

async function unitWith(source: object): Promise<Unit> {
  const file = folder.config({});
  const text = JSON.parse(readFileSync(file, 'utf8'));
  text.sources[0] = { ...text.sources[0], ...source };
  writeFileSync(file, JSON.stringify(text));
  const keys = await loadUnitKeys(folder.keys);
  const { documents, problems } = await loadDocuments(documentFiles(await loadConfig(file)), keys.trusted, null);
  if (documents === null || problems.length > 0) throw problems[0];
  loaded = documents;
  const state = folder.state;
  return await Unit.open({
    documents,
    keys,
    state,
    tenant: 't1',
    version: '0',
    live: false,
    maxBytes: 2 ** 30,
    groupCommitMs: 50,
  });
}

/** What the recipient opens: time (ms) and raw value of each sample. */
async function sent(unit: Unit, ...batches: FrameBatch[]): Promise<(number | undefined)[][]> {
  for (const batch of batches) await unit.frames(batch, 0);
  await unit.finish();
  await recipient.take(unit);
  await unit.close();
  return recipient.records.flatMap(({ tables }) =>
    tables.flatMap(({ rows, timesMs, columns }) =>
      Array.from({ length: rows }, (_, i) => [timesMs[i], ...columns.map(({ values }) => values[i])]),
    ),
  );
}

/** A broadcast of 14 bytes whose last two are the speed, from 10 ms before `ms` on. */
function broadcast(source: number, ms: number, speed: number): TestFrame[] {
  const id = (low: number) => (low | source | CAN_EFF_FLAG) >>> 0;
  return [
    { id: id(0x1cecff00), data: [32, 14, 0, 2, 0xff, 0xca, 0xfe, 0], time: (ms - 10) * MS },
    { id: id(0x1cebff00), data: [1, 0, 0, 0, 0, 0, 0, 0], time: (ms - 5) * MS },
    { id: id(0x1cebff00), data: [2, 0, 0, 0, 0, 0, speed & 0xff, speed >> 8], time: ms * MS },
  ];
}

describe('the path of a message of J1939', () => {
  it('is that of a frame, whatever source sent it and however batches are cut', async () => {
    const unit = await unitWith({});
    expect(unit.filter.ids).toEqual([[0x300]]);
    expect(unit.filter.masks![0]).toHaveLength(3);
    const frames = [...broadcast(0, 20, 1000), ...broadcast(9, 25, 2000)].sort((a, b) => a.time! - b.time!);
    expect(await sent(unit, batchOf(frames.slice(0, 3)), batchOf(frames.slice(3)))).toEqual([
      [20, 1000],
      [25, 2000],
    ]);
  });

  it('ends where the parameter is not available: nothing is recorded', async () => {
    const unit = await unitWith({});
    expect(await sent(unit, batchOf([...broadcast(0, 20, 0xffff), ...broadcast(0, 120, 7)]))).toEqual([[120, 7]]);
  });

  it('is counted, with what became incomplete and what was no value, also after a plan that came later', async () => {
    const unit = await unitWith({});
    const cut = broadcast(3, 20, 1000).slice(0, 2);
    await unit.frames(batchOf([...cut, ...broadcast(0, 2_000, 0xffff)]), 0);
    const before = { j1939: { complete: 1, timeout: 1 }, isotp: null, withheld: 1 };
    expect((await unit.status()).transports).toMatchObject(before);
    await unit.swap({ ...loaded, plan: { ...loaded.plan, streams: [], rights: [] } });
    expect((await unit.status()).transports).toMatchObject(before);
    await unit.swap(loaded);
    await unit.frames(batchOf(broadcast(0, 3_000, 7)), 0);
    expect((await unit.status()).transports).toMatchObject({ ...before, j1939: { complete: 2, timeout: 1 } });
    await unit.close();
  });

  it('is not there where the configuration switches it off', async () => {
    const unit = await unitWith({ j1939: 'off' });
    expect(await sent(unit, batchOf(broadcast(0, 20, 1000)))).toEqual([]);
  });
});

describe('the path of a message of ISO-TP', () => {
  it('begins at the link that the configuration names, and reaches beyond 64 bytes', async () => {
    const unit = await unitWith({ isotp: [{ id: 0x7e8, flow: 0x7e0, message: 0x300 }] });
    const payload = Array.from({ length: 80 }, (_, i) => (i < 78 ? 0 : i));
    const frames: TestFrame[] = [{ id: 0x7e8, data: [0x10, 80, ...payload.slice(0, 6)], time: 0 }];
    for (let at = 6, n = 1; at < 80; at += 7, n++) {
      frames.push({ id: 0x7e8, data: [0x20 | (n & 0xf), ...payload.slice(at, at + 7)], time: n * MS });
    }
    expect(await sent(unit, batchOf(frames))).toEqual([[11, 78 | (79 << 8)]]);
  });

  it('is refused with its pointer where the configuration misspells it', async () => {
    await expect(unitWith({ isotp: [{ id: 0x7e8, flwo: 0x7e0 }] })).rejects.toMatchObject({
      code: 'TG_CONFIG_UNKNOWN_KEY',
      place: { pointer: '/sources/0/isotp/0/flwo' },
      remedy: 'Did you mean "flow"?',
    });
  });
});
