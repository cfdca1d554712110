import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';
import { CAN_EFF_FLAG, CLASSIC_SLOT_BYTES, type FrameBatch, type FrameFilter, TollgateError } from '#contracts';
import { type Database, lintDatabase, loadDatabase, loadMapping, signalCatalogue } from '#dbc';
import { createDecoder, RowReader, signalInfos } from '#decoders';
import { databaseOf, vehicleDbc, vehicleFrames, vehicleMapping, vehicleSource } from '#sim/vehicle';
import { Drive } from '../../sim/drive.ts';

const EVERYTHING: FrameFilter = { ids: [null] };
const bootId = new Uint8Array(8);
const folder = mkdtempSync(join(tmpdir(), 'vehicle-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Kept extends FrameBatch {
  readonly bytes: Uint8Array;
}

async function driven(
  options: Partial<Parameters<typeof vehicleSource>[0]> = {},
  filter = EVERYTHING,
): Promise<{ batches: Kept[]; skipped: number }> {
  const source = await vehicleSource({ name: 'sim', dbc: vehicleDbc, bootId, ...options });
  const batches: Kept[] = [];
  await source.open((batch) => {
    batches.push({ ...batch, bytes: batch.bytes.slice(0, batch.count * batch.slotBytes) });
  }, filter);
  await source.ended;
  return { batches, skipped: source.skipped() };
}

function bytesOf(batches: readonly Kept[]): Buffer {
  return Buffer.concat(batches.map(({ bytes }) => bytes));
}

interface Sample {
  readonly seconds: number;
  readonly message: string;
  readonly values: ReadonlyMap<string, number | bigint>;
}

/** Every frame decoded, with its time. */
function samples(batches: readonly Kept[], database: Database): Sample[] {
  const decoder = createDecoder({ channel: 0, database, signals: signalInfos(database) });
  const reader = new RowReader(decoder.layout, database);
  return batches.flatMap((batch) => {
    const view = new DataView(batch.bytes.buffer, batch.bytes.byteOffset);
    return [...reader.read(decoder.decode(batch))].map(({ message, values }, i) => ({
      seconds: Number(view.getBigUint64(i * CLASSIC_SLOT_BYTES, true)) / 1e9,
      message: message.name,
      values: new Map(values),
    }));
  });
}

/** The drive itself at each step of 10 ms. */
function states(seed: number, seconds: number) {
  const drive = new Drive(seed);
  return Array.from({ length: seconds * 100 }, () => {
    const state = { ...drive.state, cellTemperatures: [...drive.state.cellTemperatures] };
    drive.advance(0.01);
    return state;
  });
}

describe('the database of the simulated car', () => {
  it('is clean under strict loading and lint', () => {
    const { database, findings } = loadDatabase(readFileSync(vehicleDbc), { file: 'own.dbc', strict: true });
    expect([...findings, ...lintDatabase(database)]).toEqual([]);
  });

  it('gives each message a cycle time and has one 29-bit id, both byte orders and a multiplexer', async () => {
    const { messages } = await databaseOf(vehicleDbc);
    for (const { name, attributes } of messages) {
      expect(attributes.get('GenMsgCycleTime'), name).toBeGreaterThanOrEqual(10);
      expect(attributes.get('GenMsgCycleTime'), name).toBeLessThanOrEqual(1000);
    }
    expect(messages.filter(({ extended }) => extended).map(({ name }) => name)).toEqual(['PositionFix']);
    const signals = messages.flatMap((message) => message.signals);
    expect(new Set(signals.map(({ byteOrder }) => byteOrder))).toEqual(new Set(['intel', 'motorola']));
    expect(signals.filter(({ isMultiplexer }) => isMultiplexer)).toHaveLength(1);
  });

  it('is named by its mapping: every entry is one of its signals, current changes its sign for VSS', async () => {
    const database = await databaseOf(vehicleDbc);
    const mapping = loadMapping(readFileSync(vehicleMapping, 'utf8'), { file: 'own.mapping.yaml' });
    const { byName } = signalCatalogue([{ name: 'can0', database, mapping }]);
    expect(byName.get('Vehicle.Speed')).toMatchObject({ dbcName: 'dbc:VehicleMotion.Speed', unit: 'km/h' });
    expect(byName.get('Vehicle.Powertrain.TractionBattery.CurrentCurrent')).toMatchObject({ factor: -1, unit: 'A' });
    expect(byName.get('Vehicle.CurrentLocation.Latitude')).toBe(byName.get('dbc:PositionFix.Latitude'));
  });
});

describe('the simulated car', () => {
  it('sends the same bytes for the same seed, others for another', async () => {
    const [one, two, other] = await Promise.all([
      driven({ seed: 3, seconds: 20 }),
      driven({ seed: 3, seconds: 20 }),
      driven({ seed: 4, seconds: 20 }),
    ]);
    expect(bytesOf(one.batches).equals(bytesOf(two.batches))).toBe(true);
    expect(bytesOf(one.batches).equals(bytesOf(other.batches))).toBe(false);
  });

  it('sends every message at its own cycle time', async () => {
    const database = await databaseOf(vehicleDbc);
    const { batches } = await driven({ seconds: 30 });
    const counts = new Map<string, number>();
    for (const { message } of samples(batches, database)) counts.set(message, (counts.get(message) ?? 0) + 1);
    for (const { name, attributes } of database.messages) {
      expect(counts.get(name), name).toBe(30_000 / Number(attributes.get('GenMsgCycleTime')));
    }
  });

  it('counts its messages so that a lost one is seen', async () => {
    const { batches } = await driven({ seconds: 2 });
    const counters = samples(batches, await databaseOf(vehicleDbc))
      .filter(({ message }) => message === 'VehicleMotion')
      .map(({ values }) => values.get('Counter'));
    expect(counters).toEqual(Array.from({ length: 200 }, (_, i) => i % 16));
  });

  it('gives the physics back within half a step of each signal', async () => {
    const database = await databaseOf(vehicleDbc);
    const steps = states(5, 60);
    const { batches } = await driven({ seed: 5, seconds: 60 });
    const factors = new Map<string, number>(
      database.messages.flatMap(({ name, signals }) =>
        signals.map((signal) => [`${name}.${signal.name}`, signal.factor] as const),
      ),
    );
    let compared = 0;
    for (const { seconds, message, values } of samples(batches, database)) {
      const state = steps[Math.floor(seconds * 100 + 1e-6)]!;
      const wanted: Record<string, number> = {
        'VehicleMotion.Speed': state.speed * 3.6,
        'VehicleMotion.LongitudinalAcceleration': state.accelLong,
        'VehicleMotion.LateralAcceleration': state.accelLat,
        'Steering.WheelAngle': state.steering,
        'Steering.YawRate': (state.yawRate * 180) / Math.PI,
        'Pedals.Accelerator': state.throttle,
        'Pedals.Brake': state.brake,
        'Motor.Torque': state.torque,
        'Motor.RotationalSpeed': state.motorSpeed,
        'BatteryState.StateOfCharge': state.stateOfCharge,
        'BatteryState.Voltage': state.voltage,
        'BatteryState.Current': state.current,
        'Environment.OutsideTemperature': state.ambient,
        'TripCounters.Odometer': state.odometer,
        'TripCounters.SinceStart': state.time,
        'PositionCourse.Heading': state.heading,
        'PositionFix.Latitude': state.latitude,
        'PositionFix.Longitude': state.longitude,
        ...Object.fromEntries(state.cellTemperatures.map((t, i) => [`BatteryCells.Cell${i + 1}Temperature`, t])),
      };
      for (const [signal, value] of values) {
        const name = `${message}.${signal}`;
        if (!Object.hasOwn(wanted, name)) continue;
        compared++;
        expect(Math.abs(Number(value) - wanted[name]!), name).toBeLessThanOrEqual(factors.get(name)! * 0.500001);
      }
    }
    expect(compared).toBeGreaterThan(40_000);
  });

  it('obeys physics: never backwards, wheels near the body, position as fast as the speed', async () => {
    const { batches } = await driven({ seed: 9, seconds: 120 });
    let speed = 0;
    let before: { seconds: number; latitude: number; longitude: number } | null = null;
    let metres = 0;
    let integral = 0;
    let lastSpeedAt = 0;
    let fastest = 0;
    for (const { seconds, message, values } of samples(batches, await databaseOf(vehicleDbc))) {
      const value = (name: string) => Number(values.get(name));
      if (message === 'VehicleMotion') {
        speed = value('Speed');
        expect(speed).toBeGreaterThanOrEqual(0);
        integral += (speed / 3.6) * (seconds - lastSpeedAt);
        lastSpeedAt = seconds;
        fastest = Math.max(fastest, speed);
      } else if (message === 'WheelSpeeds') {
        for (const wheel of ['FrontLeft', 'FrontRight', 'RearLeft', 'RearRight']) {
          expect(Math.abs(value(wheel) - speed), wheel).toBeLessThanOrEqual(0.5 + speed * 0.15);
        }
      } else if (message === 'PositionFix') {
        const now = { seconds, latitude: value('Latitude'), longitude: value('Longitude') };
        if (before !== null) {
          const north = (now.latitude - before.latitude) * 111_195;
          const east = (now.longitude - before.longitude) * 111_195 * Math.cos((now.latitude * Math.PI) / 180);
          metres += Math.hypot(north, east);
        }
        before = now;
      }
    }
    expect(fastest).toBeGreaterThan(40);
    expect(Math.abs(metres - integral)).toBeLessThan(integral * 0.01 + 5);
  });
});

describe('the source', () => {
  it('starts at boottime 0 with UTC of its own and keeps order', async () => {
    const { batches } = await driven({ seconds: 5, startMs: Date.UTC(2030, 0, 1) });
    const first = batches[0]!;
    expect(new DataView(first.bytes.buffer).getBigUint64(0, true)).toBe(0n);
    expect(first).toMatchObject({ utcSource: 'log', utcErrorNs: 0, slotBytes: CLASSIC_SLOT_BYTES, bootId });
    expect(first.utcOffsetNs).toBe(BigInt(Date.UTC(2030, 0, 1)) * 1_000_000n);
    const all = bytesOf(batches);
    let before = -1n;
    for (let at = 0; at < all.length; at += CLASSIC_SLOT_BYTES) {
      const time = all.readBigUInt64LE(at);
      expect(time > before).toBe(true);
      before = time;
    }
  });

  it('leaves out and counts what the filter does not want', async () => {
    const whole = await driven({ seconds: 10 });
    const part = await driven({ seconds: 10 }, { ids: [[0x110, 0x1a5f0100 + CAN_EFF_FLAG]] });
    const frames = (batches: readonly Kept[]) => batches.reduce((sum, { count }) => sum + count, 0);
    expect(frames(part.batches)).toBe(1000 + 100);
    expect(part.skipped).toBe(frames(whole.batches) - 1100);
  });

  it('writes its channel into every frame and asks the filter for that channel', async () => {
    const { batches } = await driven({ seconds: 1, channel: 2 }, { ids: [[], [], [0x310]] });
    const all = bytesOf(batches);
    expect(all).toHaveLength(CLASSIC_SLOT_BYTES);
    expect(all[14]).toBe(2);
  });

  it('awaits each hand-over', async () => {
    const source = await vehicleSource({ name: 'sim', dbc: vehicleDbc, bootId, seconds: 30 });
    let inside = 0;
    let most = 0;
    let handed = 0;
    await source.open(async () => {
      most = Math.max(most, ++inside);
      handed++;
      await new Promise((done) => setTimeout(done, 1));
      inside--;
    }, EVERYTHING);
    await source.ended;
    expect(most).toBe(1);
    expect(handed).toBeGreaterThan(5);
  });

  it('fails its end with what a hand-over throws', async () => {
    const source = await vehicleSource({ name: 'sim', dbc: vehicleDbc, bootId, seconds: 30 });
    await source.open(() => Promise.reject(new Error('the pipeline broke')), EVERYTHING);
    await expect(source.ended).rejects.toThrow('the pipeline broke');
  });

  it('goes on in real time until it is closed', async () => {
    const source = await vehicleSource({ name: 'sim', dbc: vehicleDbc, bootId, realtime: true });
    let frames = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    await source.open(({ count }) => {
      frames += count;
      if (frames > 40) resolve();
    }, EVERYTHING);
    await promise;
    await source.close();
    await source.ended;
    expect(source.dropped()).toEqual({ count: 0, exact: true });
  });

  it('refuses a database that does not describe the car', async () => {
    const path = join(folder, 'other.dbc');
    writeFileSync(path, 'VERSION ""\nBO_ 1 VehicleMotions: 8 X\n');
    const failure = await vehicleSource({ name: 'sim', dbc: path, bootId }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TollgateError);
    expect(failure).toMatchObject({ code: 'TG_ENCODE_MESSAGE', place: { file: path } });
    expect((failure as TollgateError).remedy).toContain('VehicleMotions');
  });
});

describe('tollgate sim drive', () => {
  it('writes the frames of the source as candump does', async () => {
    const out = join(folder, 'drive.log');
    const told: string[] = [];
    const code = await main(['sim', 'drive', '--seconds', '3', '--seed', '8', '--out', out], {
      stdin: (async function* () {})(),
      out: () => {},
      err: (text) => void told.push(text),
      interactive: false,
      signal: new AbortController().signal,
    });
    expect(code).toBe(0);
    const text = readFileSync(out, 'utf8');
    expect(text).toBe([...vehicleFrames(8, 3, await databaseOf(vehicleDbc))].join(''));
    const { batches } = await driven({ seconds: 3, seed: 8 });
    const all = bytesOf(batches);
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(all.length / CLASSIC_SLOT_BYTES);
    for (const [i, line] of lines.entries()) {
      const at = i * CLASSIC_SLOT_BYTES;
      const [, seconds, id, data] = /^\((\d+\.\d{6})\) vcan0 ([0-9A-F]{3}|[0-9A-F]{8})#([0-9A-F]*)$/.exec(line)!;
      expect(Math.round((Number(seconds) - 1767254400) * 1e6)).toBe(Number(all.readBigUInt64LE(at)) / 1000);
      expect(Number.parseInt(id!, 16) + (id!.length === 8 ? CAN_EFF_FLAG : 0)).toBe(all.readUInt32LE(at + 8));
      expect(data).toBe(
        all
          .subarray(at + 16, at + 16 + all[at + 12]!)
          .toString('hex')
          .toUpperCase(),
      );
    }
  });
});

it('runs the example of the README', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(`${root}sim/README.md`, 'utf8'))![1]!;
  const options = { cwd: root, encoding: 'utf8' } as const;
  const child = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', example], options);
  expect(child.stderr).toBe('');
  expect(example).toContain(`// ${child.stdout}`);
});
