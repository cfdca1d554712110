import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { type Documents, documentFiles, loadDocuments, planned } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { logSource } from '#agent/sources/log';
import { mergedSources } from '#agent/sources/merge';
import { paced } from '#cli/demo/paced';
import {
  CLASSIC_SLOT_BYTES,
  type FrameBatch,
  type FrameFilter,
  type FrameSource,
  IdMatcher,
  OFFSET_ID,
} from '#contracts';
import { type CanDriver, CanOpenError, type CanSocket } from '#firmware-bridge/can/driver';
import { type CanSource, canSource } from '#firmware-bridge/can/source';
import { vehicleSource } from '#sim/vehicle';
import type { Unit } from '../../agent/unit.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { BATTERY, FAST, frames, MOTION, openUnit, recipientOf, STEERING } from './unit-parts.ts';

/** A kernel with one interface: it lets through what the filter of the socket wants, and remembers what it was asked. */
class FakeBus implements CanDriver {
  isThere = true;
  readonly reached: number[] = [];
  readonly asked: { readonly pairs: number[] | null; readonly plan: string }[] = [];
  #pairs: Uint32Array | null = null;
  #onBatch: ((bytes: Uint8Array, count: number, errno: number) => void) | null = null;
  readonly #plan: () => string;

  constructor(plan: () => string) {
    this.#plan = plan;
  }

  open({ pairs }: Parameters<CanDriver['open']>[0], onBatch: Parameters<CanDriver['open']>[1]): CanSocket {
    if (!this.isThere) throw new CanOpenError(constants.errno.ENODEV, 'no such device');
    this.#onBatch = onBatch;
    this.#ask(pairs);
    const zero = { received: 0, queueLost: 0, overruns: 0, errorFrames: 0, shed: 0, skipped: 0, restarts: 0 };
    return {
      counters: { ...zero, busState: 'active' },
      filteredBy: 'kernel',
      refilter: (other) => this.#ask(other),
      resume: () => undefined,
      close: () => undefined,
    };
  }

  say(ms: number, ...ids: number[]): void {
    const wanted = ids.filter((id) => new IdMatcher(this.#pairs).passes(id));
    this.reached.push(...wanted);
    const { bytes, count } = frames(wanted.map((id) => ({ ms, id, raw: 1 })));
    if (count > 0) this.#onBatch?.(bytes, count, 0);
  }

  unplug(): void {
    this.isThere = false;
    this.#onBatch?.(new Uint8Array(0), 0, constants.errno.ENODEV);
  }

  #ask(pairs: Uint32Array | null): void {
    this.#pairs = pairs;
    const ids = pairs === null ? null : [...pairs].filter((_, i) => i % 2 === 0);
    this.asked.push({ pairs: ids, plan: this.#plan() });
  }
}

let folder: UnitFolder;
let documents: Documents;
let unit: Unit;
beforeEach(async () => {
  folder = await unitFolder({
    ...FAST,
    campaigns: [
      { name: 'motion', record: '200ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
      { name: 'battery', record: '200ms', signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] },
    ],
    agreements: [{ uid: 'urn:tollgate:agreement:1', permit: ['dbc:Motion.Speed', 'dbc:Battery.Charge'] }],
  });
  const config = await loadConfig(folder.config({ name: 'unit.yaml' }));
  const loaded = await loadDocuments(documentFiles(config), (await loadUnitKeys(folder.keys)).trusted, null);
  documents = loaded.documents!;
  unit = await openUnit(folder, { documents: only('motion') });
});
afterEach(async () => {
  await unit.close();
  folder.remove();
});

/** The documents with these campaigns alone. */
function only(...names: readonly string[]): Documents {
  const campaigns = documents.campaigns.filter(({ campaign }) => names.includes(campaign));
  return planned({ ...documents, campaigns }, documents.agreements, new Map(), null);
}

const campaignsOf = (of: Unit) => of.plan.streams.map(({ campaign }) => campaign).join();

function live(driver: CanDriver): CanSource {
  return canSource({
    name: 'can0',
    interface: 'can0',
    channel: 0,
    fd: false,
    bootId: new Uint8Array(8),
    clock: { bootNs: () => 0n, monotonicMs: () => 0, utc: () => ({ offsetNs: null, errorNs: 0, source: 'unknown' }) },
    driver,
  });
}

describe('the filter of a live bus', () => {
  it('follows a plan that is swapped: what lost its right never reaches us again, what gained one needs no restart', async () => {
    const bus = new FakeBus(() => campaignsOf(unit));
    const source = live(bus);
    const playing = unit.play(source, 0);
    bus.say(0, MOTION, STEERING, BATTERY);
    await unit.swap(only('battery'));
    bus.say(100, MOTION, STEERING, BATTERY);
    await unit.swap(only());
    bus.say(200, MOTION, STEERING, BATTERY);
    await unit.swap(only('motion', 'battery'));
    bus.say(300, MOTION, STEERING, BATTERY);
    expect(bus.reached).toEqual([MOTION, BATTERY, MOTION, BATTERY]);
    await source.close();
    await playing;
    await unit.finish();
    const recipient = await recipientOf(folder);
    await recipient.take(unit);
    const times = recipient.records.flatMap(({ tables }) => tables.flatMap(({ timesMs }) => [...timesMs]));
    expect(times.sort((a, b) => a - b)).toEqual([0, 100, 300, 300]);
    expect(unit.counts.unknown).toBe(0);
    await recipient.close();
  });

  it('is narrow before the old plan goes, and wide before the new one is used', async () => {
    const bus = new FakeBus(() => campaignsOf(unit));
    const playing = unit.play(live(bus), 0);
    await unit.swap(only('battery'));
    expect(bus.asked).toEqual([
      { pairs: [MOTION], plan: 'motion' },
      { pairs: [BATTERY], plan: 'motion' },
    ]);
    expect(campaignsOf(unit)).toBe('battery');
    void playing;
  });

  it('stays as it is where the new plan cannot be carried out', async () => {
    const bus = new FakeBus(() => campaignsOf(unit));
    void unit.play(live(bus), 0);
    const { plan } = only('battery');
    const streams = plan.streams.map((stream) => ({ ...stream, recipient: 'did:web:nobody.example' }));
    await expect(unit.swap({ ...documents, plan: { ...plan, streams } })).rejects.toMatchObject({
      code: 'TG_RECIPIENT_UNKNOWN',
    });
    expect(bus.asked).toHaveLength(1);
    bus.say(0, MOTION, BATTERY);
    expect(bus.reached).toEqual([MOTION]);
  });

  it('is that of the newest plan where the interface was gone meanwhile', async () => {
    const bus = new FakeBus(() => campaignsOf(unit));
    const source = live(bus);
    const playing = unit.play(source, 0);
    bus.unplug();
    await unit.swap(only('battery'));
    expect(bus.asked).toHaveLength(1);
    bus.isThere = true;
    while (bus.asked.length === 1) await sleep(50);
    expect(bus.asked[1]).toEqual({ pairs: [BATTERY], plan: 'battery' });
    expect(source.status()).toMatchObject({ filteredBy: 'kernel', filters: 1 });
    await source.close();
    await playing;
  });
});

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'filter-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** `count` rounds of the ids 1 and 2, a round every 10 ms. */
function log(name: string, count: number, more: { realtime?: boolean; channel?: number } = {}): FrameSource {
  const path = join(dir, name);
  const lines = Array.from({ length: count }, (_, i) => {
    const time = `(1767225600.${String(i * 10).padStart(3, '0')}000)`;
    return `${time} can0 001#00\n${time} can0 002#00\n`;
  });
  writeFileSync(path, lines.join(''));
  return logSource({ name, path, channel: 0, bootId: new Uint8Array(8), batchFrames: 8, ...more });
}

const idsOf = ({ bytes, slotBytes, count }: FrameBatch) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, i) => view.getUint32(i * slotBytes + OFFSET_ID, true));
};
const ONE: FrameFilter = { ids: [[1], [1]] };
const TWO: FrameFilter = { ids: [[2], [2]] };
const NONE: FrameFilter = { ids: [[], []] };

describe('the filter of a log', () => {
  it('follows from the batch on that is read next', async () => {
    const source = log('fast.log', 20);
    const seen: number[][] = [];
    const deliver = async (batch: FrameBatch) => {
      if (seen.push(idsOf(batch)) === 1) source.refilter(TWO);
    };
    await source.open(deliver, ONE);
    await source.ended;
    expect(seen).toEqual([Array(8).fill(1), Array(8).fill(2), Array(5).fill(2)]);
    expect(source.skipped()).toBe(19);
  });

  it('in real time does not make it run ahead: what a later plan wants is still to come', async () => {
    const source = log('paced.log', 60, { realtime: true });
    const seen: number[] = [];
    await source.open((batch) => void seen.push(...idsOf(batch)), NONE);
    await sleep(50);
    expect(seen).toEqual([]);
    source.refilter(TWO);
    await source.ended;
    expect(new Set(seen)).toEqual(new Set([2]));
    expect(seen.length + source.skipped()).toBe(120);
  });

  it('follows among others in real time, at the frames that are due', async () => {
    const logs = [log('a.log', 60, { channel: 0 }), log('b.log', 60, { channel: 1 })];
    const merged = mergedSources(logs, { realtime: true });
    const seen: number[] = [];
    await Promise.all(merged.map((source) => source.open((batch) => void seen.push(...idsOf(batch)), NONE)));
    await sleep(50);
    expect(seen).toEqual([]);
    for (const source of merged) source.refilter(TWO);
    await Promise.all(merged.map(({ ended }) => ended));
    expect(new Set(seen)).toEqual(new Set([2]));
    expect(seen.length + merged.reduce((sum, source) => sum + source.skipped(), 0)).toBe(240);
  });

  it('follows among others as fast as they are taken, behind the batches that were read', async () => {
    const merged = mergedSources([log('c.log', 60, { channel: 0 }), log('d.log', 60, { channel: 1 })]);
    const seen: number[] = [];
    const deliver = async (batch: FrameBatch) => {
      if (seen.length === 0) for (const source of merged) source.refilter(TWO);
      seen.push(...idsOf(batch));
    };
    await Promise.all(merged.map((source) => source.open(deliver, ONE)));
    await Promise.all(merged.map(({ ended }) => ended));
    expect(seen.filter((id) => id === 1)).toHaveLength(16);
    expect(seen.slice(-2)).toEqual([2, 2]);
  });
});

describe('the filter of a log that is played slowly for a person', () => {
  it('follows at the frames that are due, and does not run ahead', async () => {
    const source = paced(log('shown.log', 60), 1);
    const seen: number[] = [];
    await source.open((batch) => void seen.push(...idsOf(batch)), NONE);
    await sleep(50);
    expect(seen).toEqual([]);
    source.refilter(TWO);
    await source.ended;
    expect(new Set(seen)).toEqual(new Set([2]));
    expect(seen.length + source.skipped()).toBe(120);
  });
});

describe('the filter of the simulated vehicle', () => {
  it('follows from its next step on', async () => {
    const dbc = new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url).pathname;
    const source = await vehicleSource({ name: 'car', dbc, bootId: new Uint8Array(8), seconds: 20 });
    const seen: number[][] = [];
    const wanted = (...ids: number[]) => ({ ids: [ids] });
    const deliver = async (batch: FrameBatch) => {
      expect(batch.slotBytes).toBe(CLASSIC_SLOT_BYTES);
      if (seen.push(idsOf(batch)) === 1) source.refilter(wanted(0x310));
    };
    await source.open(deliver, wanted(0x110));
    await source.ended;
    expect(new Set(seen[0])).toEqual(new Set([0x110]));
    expect(new Set(seen.slice(1).flat())).toEqual(new Set([0x310]));
  });
});
