import type { DriveColumn, DriveMessage } from './drive.ts';

/** A small seeded generator (xorshift32): training must give the same tables everywhere. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 1;
    for (let i = 0; i < 8; i++) this.next();
  }

  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) / 2 ** 32;
  }

  /** Near enough to normal: the sum of six. */
  normal(): number {
    let sum = -3;
    for (let i = 0; i < 6; i++) sum += this.next();
    return sum * Math.SQRT2;
  }

  of<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)]!;
  }
}

/** One raw value a call; `before` is the value of the signal beside it in the same message. */
type Process = (before: number) => number;

const clamp = (value: number, bits: number, signed: boolean): number =>
  Math.max(signed ? -(2 ** (bits - 1)) : 0, Math.min(2 ** (signed ? bits - 1 : bits) - 1, Math.round(value))) + 0;

/** Kinds of signals that a bus carries, each with a random scale. */
const KINDS: readonly ((dice: Dice, periodMs: number) => Process)[] = [
  // Speeds, angles, positions: a rate that wanders, with or without noise of the sensor.
  (dice, periodMs) => smooth(dice, periodMs),
  (dice, periodMs) => smooth(dice, periodMs),
  // Accelerations, currents: noise around something slow.
  (dice) => {
    const keep = dice.of([0, 0.5, 0.8, 0.95]);
    const scale = dice.of([0.3, 0.6, 1, 2, 5, 15]);
    let slow = dice.normal() * 20;
    let fast = 0;
    return () => {
      slow += dice.normal() * scale * 0.2 - slow * 0.002;
      fast = fast * keep + dice.normal() * scale;
      return slow + fast;
    };
  },
  // Pedals, gears, switches: long holds, then a move of some rows.
  (dice) => {
    const often = dice.of([0.002, 0.01, 0.03]);
    const large = dice.of([1, 3, 20, 60]);
    let value = Math.floor(dice.next() * 100);
    let left = 0;
    let move = 0;
    return () => {
      if (left > 0) {
        left--;
        value += move + dice.normal() * Math.abs(move) * 0.3;
      } else if (dice.next() < often) {
        left = dice.of([1, 1, 5, 20]);
        move = (dice.normal() * large) / left;
      }
      return value;
    };
  },
  // Temperatures, levels, voltages: slow, trembling at the edge of a step.
  (dice) => {
    const tremble = dice.of([0.05, 0.15, 0.3]);
    let value = 50 + dice.next() * 100;
    return () => {
      value += dice.normal() * 0.01;
      return value + dice.normal() * tremble;
    };
  },
  // A wheel beside another wheel, a copy beside its original.
  (dice) => {
    const ratio = dice.of([1, 1, 1, 1.01]);
    const noise = dice.of([0, 0.4, 0.8, 1.5]);
    const shift = Math.round(dice.normal() * 5);
    return (before) => before * ratio + shift + dice.normal() * noise;
  },
  // An alive counter, now and then after a frame that was lost.
  (dice) => {
    const modulus = dice.of([16, 16, 15, 256, 4]);
    const lost = dice.of([0, 0, 0, 0.002]);
    let value = Math.floor(dice.next() * modulus);
    return () => {
      value = (value + (dice.next() < lost ? 2 : 1)) % modulus;
      return value;
    };
  },
  // A constant.
  (dice) => {
    const value = Math.floor(dice.next() * 256);
    return () => value;
  },
];

function smooth(dice: Dice, periodMs: number): Process {
  const rate = dice.of([0.2, 1, 4, 15, 60]) * (periodMs / 20);
  const noise = dice.of([0, 0, 0.2, 0.5, 1, 4]);
  const nimble = dice.of([0.01, 0.03, 0.1]);
  let value = dice.next() * 2000;
  let speed = dice.normal() * rate;
  let wanted = speed;
  let still = false;
  return () => {
    if (dice.next() < 0.01) wanted = dice.normal() * rate;
    if (dice.next() < 0.002) still = !still;
    speed += (wanted - speed) * nimble * 3;
    if (!still) value += speed - (value - 1000) * 0.0005;
    return value + (still ? 0 : dice.normal() * noise);
  };
}

/** A bus of one made-up vehicle: messages with periods, phases and jitter, signals of all kinds. */
export function syntheticDrive(seed: number, seconds: number): DriveColumn[] {
  const dice = new Dice(seed);
  const columns: DriveColumn[] = [];
  const count = 5 + Math.floor(dice.next() * 6);
  const jitter = dice.of([0.02, 0.05, 0.1, 0.3]);
  for (let m = 0; m < count; m++) {
    const twin = m > 0 && dice.next() < 0.3 ? columns[m - 1]! : null;
    const periodMs = dice.of([10, 10, 20, 20, 20, 25, 50, 100, 200, 1000]);
    const phase = dice.next() * periodMs;
    const drift = 1 + dice.normal() * 2e-5;
    const rare = dice.of([0, 0.002, 0.01]);
    const timesUs: number[] = [];
    if (twin !== null) {
      const lag = dice.of([120, 240, 1000]);
      for (const time of twin.timesUs) timesUs.push(time + lag + Math.round(Math.abs(dice.normal()) * jitter * 100));
    } else {
      for (let t = phase; t < seconds * 1000; t += periodMs * drift) {
        if (dice.next() < rare * 0.2) continue;
        const late = dice.next() < rare ? dice.next() * 2 : 0;
        timesUs.push(Math.round((t + Math.abs(dice.normal() * jitter) + late) * 1000));
      }
      timesUs.sort((a, b) => a - b);
    }
    const raw: number[][] = [];
    const signals: DriveMessage['signals'][number][] = [];
    const size = dice.of([1, 2, 3, 4, 4, 6]);
    for (let s = 0; s < size; s++) {
      const process = dice.of(KINDS)(dice, periodMs);
      const bits = dice.of([8, 10, 12, 16, 16]);
      const signed = dice.next() < 0.4;
      const hold = dice.of([1, 1, 1, 1, 2, 5]);
      const beside = s > 0 ? raw[s - 1]! : null;
      let value = 0;
      raw.push(
        timesUs.map((_, i) => {
          if (i % hold === 0) value = clamp(process(beside?.[i] ?? 0), bits, signed);
          return value;
        }),
      );
      signals.push({ name: `S${s}`, start: s * 16, size: bits, little: true, signed, factor: 1, offset: 0 });
    }
    columns.push({ message: { id: m, name: `M${m}`, signals }, timesUs, raw });
  }
  return columns;
}
