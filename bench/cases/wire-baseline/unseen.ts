import { readFileSync } from 'node:fs';
import { loadDatabase } from '#dbc';
import { vehicleDbc, vehicleFrames } from '#sim/vehicle';
import { type DriveColumn, type DriveMessage, driveOf } from './drive.ts';
import { Dice } from './synthetic.ts';

/** A drive that no constant of the codec was trained on, of vehicles that behave otherwise than those of training. */
export interface Unseen {
  readonly name: string;
  readonly drive: readonly DriveColumn[];
}

type Make = (row: number, ms: number) => number;
interface Line {
  readonly periodMs: number;
  /** Mean lateness of a frame, ms. */
  readonly jitterMs: number;
  readonly signals: readonly [name: string, bits: number, signed: boolean, make: Make, float?: 'float32' | 'float64'][];
}

function bus(dice: Dice, seconds: number, lines: readonly Line[]): DriveColumn[] {
  return lines.map(({ periodMs, jitterMs, signals }, m) => {
    const phase = dice.next() * periodMs;
    const timesUs: number[] = [];
    for (let t = phase; t < seconds * 1000; t += periodMs) {
      timesUs.push(Math.round((t + -Math.log(1 - dice.next() * 0.999) * jitterMs) * 1000));
    }
    timesUs.sort((a, b) => a - b);
    const raw = signals.map(([, bits, signed, make, float]) =>
      timesUs.map((us, row) => (float === undefined ? held(make(row, us / 1000), bits, signed) : make(row, us / 1000))),
    );
    const described = signals.map(([name, size, signed, , float], s): DriveMessage['signals'][number] => ({
      name,
      start: 16 * s,
      size,
      little: true,
      signed,
      factor: float === undefined ? 0.1 : 1,
      offset: 0,
      ...(float === undefined ? {} : { float }),
    }));
    return { message: { id: m, name: `N${m}`, signals: described }, timesUs, raw };
  });
}

function held(value: number, bits: number, signed: boolean): number {
  const low = signed ? -(2 ** (bits - 1)) : 0;
  // + 0: a whole number has no −0.
  return Math.max(low, Math.min(low + 2 ** bits - 1, Math.round(value))) + 0;
}

/** Inertial sensors at 100 Hz: white noise of some bits over slow movement; half of each sample cannot be predicted. */
function inertial(seconds: number): DriveColumn[] {
  const dice = new Dice(51);
  const noisy = (scale: number, noise: number, turn: number): Make => {
    const phase = dice.next() * 6;
    return (_, ms) => Math.sin(ms / turn + phase) * scale + dice.normal() * noise;
  };
  return bus(dice, seconds, [
    {
      periodMs: 10,
      jitterMs: 0.05,
      signals: [0, 1, 2].map((i) => [`Accel${i}`, 16, true, noisy(400, 12, 900 + 400 * i)]),
    },
    {
      periodMs: 10,
      jitterMs: 0.05,
      signals: [0, 1, 2].map((i) => [`Rate${i}`, 16, true, noisy(900, 4, 1300 + 300 * i)]),
    },
    { periodMs: 50, jitterMs: 0.2, signals: [['Temperature', 12, true, (_, ms) => 300 + ms / 9000 + dice.normal()]] },
  ]);
}

/** Messages as cars protect them: an alive counter and a checksum of eight bits beside two or three values. */
function protectedBus(seconds: number): DriveColumn[] {
  const dice = new Dice(52);
  const slow = (rate: number): Make => {
    let value = 1000 * dice.next();
    let speed = 0;
    return () => {
      speed = speed * 0.98 + dice.normal() * rate;
      value += speed;
      return value;
    };
  };
  const line = (periodMs: number, rates: readonly number[]): Line => ({
    periodMs,
    jitterMs: 0.1,
    signals: [
      ...rates.map((rate, i) => [`Value${i}`, 16, true, slow(rate)] as Line['signals'][number]),
      ['Alive', 4, false, (row) => row % 16],
      ['Check', 8, false, () => Math.floor(dice.next() * 256)],
    ],
  });
  return bus(dice, seconds, [line(10, [0.3, 2, 0.1]), line(20, [1, 5]), line(20, [0.02, 0.4, 0.1]), line(100, [3, 1])]);
}

/** A controller that sends IEEE floats: position, attitude, filter states. */
function floating(seconds: number): DriveColumn[] {
  const dice = new Dice(53);
  return bus(dice, seconds, [
    {
      periodMs: 100,
      jitterMs: 0.5,
      signals: [
        ['Latitude', 64, true, (_, ms) => 48.1 + ms * 1.3e-7 + dice.normal() * 1e-7, 'float64'],
        ['Longitude', 64, true, (_, ms) => 11.5 + ms * 0.9e-7 + dice.normal() * 1e-7, 'float64'],
      ],
    },
    {
      periodMs: 20,
      jitterMs: 0.1,
      signals: [
        ['Roll', 32, true, (_, ms) => Math.fround(Math.sin(ms / 700) * 0.02), 'float32'],
        ['Bias', 32, true, (row) => Math.fround(0.25 + Math.floor(row / 500) / 64), 'float32'],
        ['Mode', 3, false, (row) => Math.floor(row / 700) % 5],
        ['Speed', 16, false, (_, ms) => 3000 + 900 * Math.sin(ms / 8000)],
      ],
    },
  ]);
}

/** A parked or steady machine: temperatures, voltages, levels, totals at one and two hertz, seldom a change. */
function steady(seconds: number): DriveColumn[] {
  const dice = new Dice(54);
  const level = (noise: number): Make => {
    const base = 200 + dice.next() * 3000;
    return (_, ms) => base + ms / 20_000 + dice.normal() * noise;
  };
  const lines = [500, 1000, 1000, 1000].map(
    (periodMs, l): Line => ({
      periodMs,
      jitterMs: 2,
      signals: [
        ...[0.05, 0.2, 0.4, 0].map((noise, i) => [`Level${i}`, 12, false, level(noise)] as Line['signals'][number]),
        ['Total', 32, false, (_, ms) => 40_000 + 7000 * l + Math.floor(ms / 1700)],
        ['Fault', 1, false, (row) => (row % 97 === 5 ? 1 : 0)],
      ],
    }),
  );
  return bus(dice, seconds, lines);
}

/** Many bits and few words: states, buttons, lamps; and a fast counter of distance pulses. */
function body(seconds: number): DriveColumn[] {
  const dice = new Dice(55);
  const state = (words: number, often: number): Make => {
    let at = 0;
    return () => {
      if (dice.next() < often) at = Math.floor(dice.next() * words);
      return at;
    };
  };
  let pulses = 0;
  return bus(dice, seconds, [
    {
      periodMs: 25,
      jitterMs: 1,
      signals: [
        ...[2, 4, 8, 3].map((words, i) => [`State${i}`, 4, false, state(words, 0.01)] as Line['signals'][number]),
        ['Pulses', 16, false, (row) => (pulses = (pulses + 7 + (row % 40 < 20 ? 1 : 0)) % 65_536)],
      ],
    },
    { periodMs: 200, jitterMs: 4, signals: [1, 2, 5].map((words, i) => [`Lamp${i}`, 3, false, state(words, 0.05)]) },
  ]);
}

/** The simulated car of `sim/` on its own database: another program than what training used. */
function simulated(seconds: number): DriveColumn[] {
  const text = readFileSync(vehicleDbc);
  const { database } = loadDatabase(text, { file: vehicleDbc });
  return driveOf([...vehicleFrames(3, seconds, database)].join(''), text.toString('latin1'));
}

export function unseenDrives(seconds: number): Unseen[] {
  return [
    { name: 'simulatedCar', drive: simulated(seconds) },
    { name: 'inertialSensors', drive: inertial(seconds) },
    { name: 'countersAndChecksums', drive: protectedBus(seconds) },
    { name: 'floats', drive: floating(seconds) },
    { name: 'slowLevels', drive: steady(seconds) },
    { name: 'statesAndPulses', drive: body(seconds) },
  ];
}
