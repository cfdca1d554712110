import { existsSync } from 'node:fs';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { CLASSIC_SLOT_BYTES, type FrameBatch, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import { createReceiver, loadReceiverKeys, type OpenedRecord, type Receiver, SqliteStore } from '#receiver';
import { openAck } from '#wire';
import { Unit, type UnitOptions } from '../../agent/unit.ts';
import type { UnitFolder } from '../system/unit-folder.ts';

/** No sync costs time there, where there is such a place. */
export const FAST = existsSync('/dev/shm') ? { place: '/dev/shm' } : {};

/** One frame of the tests' database. */
export interface TestFrame {
  readonly ms: number;
  readonly id: number;
  /** Raw value of the first 16 bits. */
  readonly raw: number;
  readonly length?: number;
}

export const MOTION = 0x100;
export const STEERING = 0x200;
export const BATTERY = 0x300;

/** 2026-01-01T00:00:00Z at boottime 0, ns. */
export const UTC_OFFSET_NS = 1_767_225_600_000_000_000n;

export function frames(list: readonly TestFrame[], utcOffsetNs: bigint | null = UTC_OFFSET_NS): FrameBatch {
  const bytes = new Uint8Array(list.length * CLASSIC_SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { ms, id, raw, length = 8 }] of list.entries()) {
    const at = i * CLASSIC_SLOT_BYTES;
    view.setBigUint64(at, BigInt(ms) * 1_000_000n, true);
    view.setUint32(at + OFFSET_ID, id, true);
    view.setUint8(at + OFFSET_LENGTH, length);
    view.setUint16(at + 16, raw, true);
  }
  return {
    bytes,
    slotBytes: CLASSIC_SLOT_BYTES,
    count: list.length,
    bootId: new Uint8Array(8),
    utcOffsetNs,
    utcErrorNs: 1_000_000,
    utcSource: utcOffsetNs === null ? 'unknown' : 'log',
  };
}

/** Motion frames from a second on for so many seconds, one every `everyMs`; the raw speed is the frame's number. */
export function minutes(fromSecond: number, seconds: number, everyMs: number): TestFrame[] {
  return Array.from({ length: Math.floor((seconds * 1_000) / everyMs) }, (_, i) => ({
    ms: fromSecond * 1_000 + i * everyMs,
    id: MOTION,
    raw: i,
  }));
}

/** The unit of a folder, without sockets. */
export async function openUnit(folder: UnitFolder, more: Partial<UnitOptions> = {}): Promise<Unit> {
  return await Unit.open(await unitOptions(folder, more));
}

export async function unitOptions(folder: UnitFolder, more: Partial<UnitOptions> = {}): Promise<UnitOptions> {
  const config = await loadConfig(folder.config({ name: 'unit.yaml' }));
  const keys = await loadUnitKeys(folder.keys);
  const { documents, problems } = await loadDocuments(documentFiles(config), keys.trusted, null);
  if (documents === null || problems.length > 0) throw problems[0];
  return {
    documents,
    keys,
    state: folder.state,
    tenant: 't1',
    version: '0.0.0',
    live: false,
    maxBytes: 2 ** 30,
    groupCommitMs: 50,
    ...more,
  };
}

/** A recipient that takes straight from the outbox, as if a broker lay between. */
export interface Recipient {
  readonly records: readonly OpenedRecord[];
  readonly alarms: readonly string[];
  readonly receiver: Receiver;
  /** Takes all that waits, opens it and acknowledges. */
  take(unit: Unit): Promise<void>;
  close(): Promise<void>;
}

export async function recipientOf(folder: UnitFolder, index = 0): Promise<Recipient> {
  const store = new SqliteStore(':memory:');
  const { recipients } = await loadUnitKeys(folder.keys);
  const ackKeys = [...recipients.values()].map(({ ack }) => ack);
  const records: OpenedRecord[] = [];
  const alarms: string[] = [];
  let acks: Uint8Array[] = [];
  const receiver = createReceiver({
    keys: await loadReceiverKeys(folder.recipients[index]!),
    store,
    sinks: [
      {
        write: async (opened) => {
          records.push(...opened);
          return null;
        },
        close: async () => undefined,
      },
    ],
    publishAck: (_, bytes) => void acks.push(bytes),
    now: () => performance.now(),
    alarm: ({ error }) => void alarms.push(error.message),
  });
  return {
    records,
    alarms,
    receiver,
    async take(unit) {
      for (let rows = await unit.store.take(1_000); rows.length > 0; rows = await unit.store.take(1_000)) {
        for (const { topic, payload } of rows) await receiver.handle(topic, payload);
        await unit.store.pubacked(rows.map(({ id }) => id));
      }
      await receiver.flush();
      for (const signed of acks) {
        const ack = await openAck(signed, async () => ackKeys[index]!);
        await unit.store.ack({ ...ack, signed });
      }
      acks = [];
    },
    close: () => store.close(),
  };
}
