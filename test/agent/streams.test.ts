import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CborValue, decodeCbor } from '#wire';
import type { OutboxRow } from '../../agent/store/contract.ts';
import type { Unit } from '../../agent/unit.ts';
import { INSURER, type UnitFolder, unitFolder, WORKSHOP } from '../system/unit-folder.ts';
import { BATTERY, FAST, frames, minutes, openUnit, type Recipient, recipientOf, STEERING } from './unit-parts.ts';

const raw = (signal: string) => `{ signal: "${signal}", operation: raw }`;
const SPEED = 'dbc:Motion.Speed';
const THROTTLE = 'dbc:Motion.Throttle';
const CHARGE = 'dbc:Battery.Charge';
const ANGLE = 'dbc:Steering.Angle';
const PURPOSE = 'UbiInsurance';

let folder: UnitFolder;
let ends: Recipient[];
beforeEach(async () => {
  // Both ask for all; each has another part of it, and of one message a part each.
  const wanted = [SPEED, THROTTLE, CHARGE, ANGLE].map(raw);
  folder = await unitFolder({
    ...FAST,
    recipients: [INSURER, WORKSHOP],
    campaigns: [
      { name: 'for-the-insurer', recipient: INSURER, record: '200ms', signals: wanted },
      { name: 'for-the-workshop', recipient: WORKSHOP, record: '200ms', signals: wanted },
    ],
    agreements: [
      { uid: 'urn:uuid:1', assignee: INSURER, permit: [SPEED] },
      { uid: 'urn:uuid:2', assignee: WORKSHOP, permit: [THROTTLE, CHARGE] },
    ],
  });
  ends = [await recipientOf(folder, 0), await recipientOf(folder, 1)];
});
afterEach(async () => {
  for (const end of ends) await end.close();
  folder.remove();
});

/** One boot over a second of the bus. */
async function drive(then: (unit: Unit) => Promise<void>): Promise<void> {
  const unit = await openUnit(folder);
  const bus = minutes(0, 1, 10).flatMap((motion) => [
    motion,
    { ...motion, id: STEERING, length: 4 },
    { ...motion, id: BATTERY, length: 4 },
  ]);
  await unit.frames(frames(bus), 0);
  await unit.finish();
  await then(unit);
  await unit.close();
}

async function rowsOf(unit: Unit): Promise<OutboxRow[]> {
  const rows: OutboxRow[] = [];
  for (let some = await unit.store.take(1_000); some.length > 0; some = await unit.store.take(1_000))
    rows.push(...some);
  return rows;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const unique = (values: readonly string[]) => new Set(values).size === values.length;

describe('two recipients of one unit', () => {
  it('each have a stream with their own fields, and no byte of a field that is not theirs', async () => {
    await drive(async (unit) => {
      const rows = await rowsOf(unit);
      for (const end of ends) for (const { topic, payload } of rows) await end.receiver.handle(topic, payload);
      for (const end of ends) await end.receiver.flush();
    });
    const fields = ends.map(({ records }) => [
      ...new Set(
        records.flatMap(({ schema }) => schema.groups.flatMap(({ columns }) => columns.map(({ signal }) => signal))),
      ),
    ]);
    expect(fields).toEqual([[SPEED], [THROTTLE, CHARGE].sort((a, b) => (a === CHARGE ? 1 : b === CHARGE ? -1 : 0))]);
    for (const { records, alarms } of ends) {
      expect(records.length).toBeGreaterThan(0);
      expect(alarms).toEqual([]);
    }
    const streams = ends.map(({ records }) => new Set(records.map(({ stream }) => hex(stream))));
    expect([...streams[0]!].filter((stream) => streams[1]!.has(stream))).toEqual([]);
  });

  it('are named in no topic, nor is what for', async () => {
    await drive(async (unit) => {
      const topics = [...new Set((await rowsOf(unit)).map(({ topic }) => topic))];
      expect(topics.length).toBeGreaterThan(2);
      for (const topic of topics) {
        expect(topic).toMatch(/^v1\/t1\/[A-Za-z0-9_-]{22}\/tx\/[A-Za-z0-9_-]{11}(\/[sp])?$/);
        for (const word of ['insurer', 'workshop', PURPOSE, 'urn', 'Speed']) expect(topic).not.toContain(word);
      }
    });
  });
});

describe('the nonces of a unit', () => {
  it('are used for one message each: every boot has new streams and keys, and what waits goes as it was sealed', async () => {
    const used: string[] = [];
    const keys: string[] = [];
    const sealedAs = new Map<string, string>();
    for (let boot = 0; boot < 4; boot++) {
      await drive(async (unit) => {
        for (const { kind, stream, payload } of await rowsOf(unit)) {
          const fields = decodeCbor(payload) as readonly CborValue[];
          if (kind === 'session') {
            const enc = (decodeCbor(fields[2] as Uint8Array) as readonly CborValue[])[3] as Uint8Array;
            if (!keys.includes(hex(enc))) keys.push(hex(enc));
          }
          if (kind === 'record') {
            const iv = (fields[1] as ReadonlyMap<number, Uint8Array>).get(6)!;
            const nonce = `${hex(stream)} ${hex(iv)}`;
            used.push(`${boot} ${nonce}`);
            expect(sealedAs.get(nonce) ?? hex(payload)).toBe(hex(payload));
            sealedAs.set(nonce, hex(payload));
          }
        }
      });
    }
    const streams = new Set(used.map((one) => one.split(' ')[1]));
    expect(unique(used)).toBe(true);
    expect(streams.size).toBe(8);
    expect(keys).toHaveLength(8);
    expect(sealedAs.size).toBe(8 * 5);
  });
});
