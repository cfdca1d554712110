import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { FrameBatch, UtcReading } from '#contracts';
import { loadDatabase, loadMapping, signalCatalogue } from '#dbc';
import { createBusDecoder, messageOf, physical } from '#decoders';
import { gnssSource } from '../../agent/sources/gnss.ts';
import { timeWord } from '../../agent/time/gnss.ts';
import type { GpsdFix } from '../../firmware-bridge/gpsd.ts';
import { numbersAt } from '../can-decoders/databases.ts';

const SECOND = 1_000_000_000n;
const OFFSET = 1_767_225_600n * SECOND;
const FIX: GpsdFix = {
  mode: 3,
  utcNs: OFFSET + 100n * SECOND,
  timeErrorNs: 5e6,
  latitude: 48.1371541,
  longitude: -11.5761249,
  horizontalError: 4.2,
  altitude: -12.34,
  heading: 359.99,
  speed: 13.9,
};

const text = (file: string) => readFileSync(new URL(`../../dbc/databases/${file}`, import.meta.url));
const { database } = loadDatabase(text('tollgate-gnss.dbc'), { file: 'tollgate-gnss.dbc' });
const mapping = loadMapping(text('tollgate-gnss.mapping.yaml').toString(), { file: 'tollgate-gnss.mapping.yaml' });
const { signals } = signalCatalogue([{ name: 'gnss', database, mapping }]);

/** A source whose reports the test makes; `said` is what a decoder of everything reads. */
async function source(utc: UtcReading = { offsetNs: OFFSET, errorNs: 1e6, source: 'gnss' }) {
  const decoder = createBusDecoder({ channel: 0, database, signals });
  let said: Record<string, number> = {};
  let report: (fix: GpsdFix, bootNs: bigint) => void = () => undefined;
  const gnss = gnssSource({
    name: 'gnss',
    channel: 0,
    bootId: new Uint8Array(8),
    clock: { bootNs: () => 100n * SECOND, monotonicMs: () => 0, utc: () => utc },
    feed: {
      listen(onFix) {
        report = onFix;
        return () => undefined;
      },
    },
  });
  const take = (batch: FrameBatch): void => {
    const { u32, bytes } = decoder.decode(batch);
    for (let at = 0; at < bytes; ) {
      const layout = decoder.layout.messages[messageOf(u32, at)]!;
      for (const cell of layout.signals) {
        const numbers = numbersAt(u32, at, layout, cell);
        if (numbers !== null) said[cell.signal.name] = physical(cell.signal, ...numbers);
      }
      at += layout.rowBytes;
    }
  };
  await gnss.open(take, { ids: [null] });
  return {
    gnss,
    hear(fix: GpsdFix, bootNs = 100n * SECOND) {
      said = {};
      report(fix, bootNs);
      return said;
    },
  };
}

describe('a position', () => {
  it('is signals of VSS with their quality and age', async () => {
    const { gnss, hear } = await source();
    const said = hear(FIX);
    const near = (name: string, value: number, digits: number) => expect(said[name]).toBeCloseTo(value, digits);
    near('Vehicle.CurrentLocation.Latitude', 48.1371541, 7);
    near('Vehicle.CurrentLocation.Longitude', -11.5761249, 7);
    near('Vehicle.CurrentLocation.HorizontalAccuracy', 4.2, 6);
    near('Vehicle.CurrentLocation.Altitude', -12.34, 6);
    near('Vehicle.CurrentLocation.Heading', 359.99, 6);
    near('dbc:GnssMotion.Speed', 13.9, 6);
    expect(said['dbc:GnssQuality.FixMode']).toBe(3);
    expect(said['dbc:GnssQuality.Age']).toBe(0);
    await gnss.close();
  });

  it.each([
    ['the receiver has no fix', { ...FIX, mode: 1 as const }],
    ['the report has none', { ...FIX, latitude: null, longitude: null }],
    ['the fix is six seconds old', { ...FIX, utcNs: OFFSET + 94n * SECOND }],
  ])('is not there where %s; its age goes on', async (_, fix) => {
    const { gnss, hear } = await source();
    hear(FIX);
    const said = hear(fix, 101n * SECOND);
    expect(Object.keys(said).filter((name) => /Latitude|Longitude|Heading|Altitude|Speed/.test(name))).toEqual([]);
    expect(said['dbc:GnssQuality.Age']).toBeCloseTo(1, 6);
    await gnss.close();
  });

  it('has no age before the first, and no error where gpsd names none', async () => {
    const { gnss, hear } = await source();
    const said = hear({ ...FIX, mode: 0, horizontalError: null });
    expect(said['dbc:GnssQuality.Age']).toBeCloseTo(655.35, 6);
    expect(said['Vehicle.CurrentLocation.HorizontalAccuracy']).toBeCloseTo(6553.5, 6);
    await gnss.close();
  });

  it('comes also where UTC is unknown: place does not need time', async () => {
    const { gnss, hear } = await source({ offsetNs: null, errorNs: Number.POSITIVE_INFINITY, source: 'unknown' });
    expect(hear(FIX)['Vehicle.CurrentLocation.Latitude']).toBeCloseTo(48.1371541, 7);
    await gnss.close();
  });
});

describe('the time of a report', () => {
  it('lies in the middle of what its way may take', () => {
    expect(timeWord(FIX, 7n)).toEqual({ bootNs: 7n, utcNs: FIX.utcNs! + SECOND / 2n, errorNs: 505e6 });
  });

  it.each([
    ['without a fix', { ...FIX, mode: 1 as const }],
    ['without a time', { ...FIX, utcNs: null }],
  ])('is none %s', (_, fix) => expect(timeWord(fix, 0n)).toBeNull());
});
