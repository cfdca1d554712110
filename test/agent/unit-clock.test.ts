import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EARLIEST_MS, LATEST_MS, TimeFloor } from '../../agent/time/floor.ts';
import { UnitClock } from '../../agent/time/unit-clock.ts';

const SECOND = 1_000_000_000n;
const NOW = BigInt(Date.UTC(2026, 10, 25)) * 1_000_000n;
const HOUR = 3600n * SECOND;

/** A unit whose clocks the test sets. */
class Bench {
  boot = 100n * SECOND;
  real = NOW;
  synchronised = true;
  readonly steps: [string, number, boolean][] = [];
  readonly clock: UnitClock;

  constructor(floor: TimeFloor) {
    this.clock = new UnitClock({
      read: () => ({ bootNs: this.boot, realNs: this.real }),
      timekeeping: () => ({ synchronised: this.synchronised, errorNs: 5e6 }),
      floor,
      onStep: (source, ms, believed) => this.steps.push([source, ms, believed]),
    });
  }

  pass(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.boot += SECOND;
      this.real += SECOND;
      this.clock.tick();
    }
  }

  gnss(utcNs: bigint, errorNs = 1e5): void {
    this.clock.hear('gnss', { bootNs: this.boot, utcNs, errorNs });
  }
}

describe('the time of a unit', () => {
  let folder: string;
  let file: string;
  let floor: TimeFloor;
  let unit: Bench;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tollgate-time-'));
    file = join(folder, 'time-floor');
    floor = await TimeFloor.read(file);
    unit = new Bench(floor);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is what an NTP daemon keeps right', () => {
    expect(unit.clock.utc()).toMatchObject({ source: 'ntp', offsetNs: NOW - 100n * SECOND });
    expect(unit.clock.utcNowMs()).toBe(Number(NOW / 1_000_000n));
  });

  it('is unknown while nobody keeps it: 1970, or whatever a battery remembers', () => {
    unit.synchronised = false;
    unit.real = 0n;
    unit.clock.tick();
    expect(unit.clock.utc()).toMatchObject({ source: 'unknown', offsetNs: null });
  });

  it('is never below the floor of an earlier boot', async () => {
    unit.gnss(NOW);
    await floor.settled();
    const again = new Bench(await TimeFloor.read(file));
    again.real = NOW - 10n * HOUR;
    again.clock.tick();
    // It was constructed with the right time; what it says now is a step, and below the floor.
    expect(again.clock.utc().source).toBe('unknown');
    const third = await TimeFloor.read(file);
    expect(third.utcMs).toBe(Number(NOW / 1_000_000n));
    const wrong = new Bench(third);
    expect(wrong.clock.utc().source).toBe('ntp');
  });

  it('is not shut for years by one word from the far future, whoever says it', async () => {
    for (const source of ['ntp', 'gnss'] as const) {
      const ahead = await TimeFloor.read(join(folder, source));
      const began = ahead.utcMs;
      const wrong = new Bench(ahead);
      wrong.synchronised = source === 'ntp';
      wrong.real = NOW + 20n * 365n * 24n * HOUR;
      for (let minute = 0; minute < 60; minute++) {
        wrong.pass(60);
        if (source === 'gnss') wrong.gnss(wrong.real);
      }
      expect(ahead.utcMs - began).toBeGreaterThan(20 * 3_600_000);
      expect(ahead.utcMs - began).toBeLessThan(26 * 3_600_000);
    }
  });

  it('moves the floor at once where two sources say the same', () => {
    expect(floor.utcMs).toBe(EARLIEST_MS);
    unit.gnss(NOW);
    expect(floor.utcMs).toBe(Number(NOW / 1_000_000n));
    unit.pass(300);
    expect(Number(unit.real / 1_000_000n) - floor.utcMs).toBeLessThanOrEqual(60_000);
  });

  it('is not carried far by one word after a long sleep', async () => {
    const sleeper = new Bench(floor);
    sleeper.boot += 7n * 24n * HOUR;
    sleeper.real = NOW + 3n * 365n * 24n * HOUR;
    sleeper.clock.tick();
    for (let i = 0; i < 10; i++) sleeper.pass(1);
    expect(floor.utcMs - EARLIEST_MS).toBeLessThan(8 * 24 * 3_600_000);
  });

  it('is unknown where a source says what no unit lives to see, and a floor like that is none', async () => {
    const wrong = new Bench(floor);
    wrong.synchronised = false;
    wrong.gnss(BigInt(LATEST_MS + 1_000) * 1_000_000n);
    wrong.clock.hear('receiver', { bootNs: wrong.boot, utcNs: BigInt(LATEST_MS + 1_000) * 1_000_000n, errorNs: 1 });
    expect(floor.utcMs).toBe(EARLIEST_MS);
    writeFileSync(file, `${LATEST_MS + 1}\n`);
    expect((await TimeFloor.read(file)).utcMs).toBe(EARLIEST_MS);
  });

  it('is unknown from the step of a clock on, until the new time was said five times', () => {
    unit.real += HOUR;
    unit.clock.tick();
    expect(unit.clock.utc().source).toBe('unknown');
    unit.pass(3);
    expect(unit.clock.utc().source).toBe('unknown');
    unit.pass(1);
    expect(unit.clock.utc()).toMatchObject({ source: 'ntp' });
    expect(unit.steps).toEqual([
      ['ntp', 3_600_000, false],
      ['ntp', 3_600_000, true],
    ]);
  });

  it('comes from GNSS where there is one, and survives one spoofed word', () => {
    unit.gnss(NOW + 2_000_000n);
    expect(unit.clock.utc().source).toBe('gnss');
    unit.gnss(NOW + HOUR);
    // The daemon is still right: the satellites are not asked while they jump.
    expect(unit.clock.utc().source).toBe('ntp');
    unit.pass(1);
    unit.gnss(NOW + SECOND + 2_000_000n);
    expect(unit.clock.utc().source).toBe('gnss');
    expect(unit.steps).toEqual([['gnss', 3_599_998, false]]);
  });

  it('is not pulled away by a spoofer that goes in small steps', () => {
    unit.synchronised = false;
    unit.gnss(NOW);
    const right = NOW - 100n * SECOND;
    for (let i = 1n; i <= 60n; i++) {
      unit.pass(1);
      unit.gnss(NOW + i * SECOND + i * 200_000_000n);
      const { offsetNs } = unit.clock.utc();
      expect(offsetNs === null || offsetNs - right <= 600_000_000n).toBe(true);
    }
    expect(unit.clock.utc().source).toBe('unknown');
  });

  it('does not believe a source that fell silent', () => {
    unit.synchronised = false;
    unit.gnss(NOW);
    unit.clock.tick();
    expect(unit.clock.utc().source).toBe('gnss');
    unit.pass(121);
    expect(unit.clock.utc().source).toBe('unknown');
  });

  it('keeps one mapping while nothing but noise comes', () => {
    const before = unit.clock.utc();
    unit.real += 300_000n;
    unit.clock.tick();
    expect(unit.clock.utc()).toBe(before);
  });
});
