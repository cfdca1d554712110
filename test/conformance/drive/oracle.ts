import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

// The second opinion of the drive case: values computed from the DBC's text and the log's lines alone. It imports nothing of the
// project on purpose, is slow on purpose (one bit at a time), and knows only what the DBC language says.

export interface OracleSignal {
  readonly message: string;
  readonly name: string;
  readonly id: number;
  readonly start: number;
  readonly bits: number;
  readonly intel: boolean;
  readonly signed: boolean;
  readonly factor: number;
  readonly offset: number;
}

export interface OracleFrame {
  /** Since the first frame, whole microseconds as the log writes them. */
  readonly micros: number;
  readonly id: number;
  readonly data: Uint8Array;
}

export interface OracleWindow {
  readonly window: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly count: number;
  readonly last: number;
}

const MESSAGE = /^\s*BO_\s+(\d+)\s+(\w+)\s*:\s*\d+/;
const SIGNAL = /^\s*SG_\s+(\w+)\s*:\s*(\d+)\|(\d+)@([01])([+-])\s*\(\s*([^,\s]+)\s*,\s*([^)\s]+)\s*\)/;

/** Signals of a DBC by `Message.Signal`. */
export function oracleSignals(dbcFile: string): Map<string, OracleSignal> {
  const signals = new Map<string, OracleSignal>();
  let id = 0;
  let message = '';
  for (const line of readFileSync(dbcFile, 'utf8').split(/\r?\n/)) {
    const head = MESSAGE.exec(line);
    if (head !== null) {
      id = Number(head[1]);
      message = head[2]!;
    }
    const signal = SIGNAL.exec(line);
    if (signal === null) continue;
    const [, name, start, bits, order, sign, factor, offset] = signal;
    signals.set(`${message}.${name}`, {
      message,
      name: name!,
      id,
      start: Number(start),
      bits: Number(bits),
      intel: order === '1',
      signed: sign === '-',
      factor: Number(factor),
      offset: Number(offset),
    });
  }
  return signals;
}

/** The data frames of a `candump -L` log. */
export function oracleFrames(logFile: string): OracleFrame[] {
  const bytes = readFileSync(logFile);
  const text = (logFile.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  const frames: OracleFrame[] = [];
  let first: bigint | null = null;
  for (const line of text.split('\n')) {
    const match = /^\((\d+)\.(\d{6})\) \S+ ([0-9A-F]{3}|[0-9A-F]{8})#([0-9A-F]*)\s*$/i.exec(line);
    if (match === null) continue;
    const time = BigInt(match[1]!) * 1_000_000n + BigInt(match[2]!);
    first ??= time;
    const id = Number.parseInt(match[3]!, 16) + (match[3]!.length === 8 ? 0x8000_0000 : 0);
    frames.push({ micros: Number(time - first), id, data: Uint8Array.from(Buffer.from(match[4]!, 'hex')) });
  }
  return frames;
}

/** The raw integer, bit by bit; null where the frame is too short. */
export function oracleRaw(signal: OracleSignal, data: Uint8Array): bigint | null {
  let raw = 0n;
  let position = signal.start;
  for (let i = 0; i < signal.bits; i++) {
    const byte = Math.floor(position / 8);
    if (byte >= data.length) return null;
    const bit = BigInt((data[byte]! >> (position % 8)) & 1);
    if (signal.intel) raw |= bit << BigInt(i);
    else raw = (raw << 1n) | bit;
    // Motorola runs from the most significant bit down, then on to bit 7 of the next byte.
    if (signal.intel) position += 1;
    else position = position % 8 === 0 ? position + 15 : position - 1;
  }
  if (signal.signed && raw >> BigInt(signal.bits - 1) === 1n) raw -= 1n << BigInt(signal.bits);
  return raw;
}

/** Raw samples of one signal in the order of the log. */
export function oracleSamples(signal: OracleSignal, frames: readonly OracleFrame[]): { micros: number; raw: bigint }[] {
  const samples: { micros: number; raw: bigint }[] = [];
  for (const frame of frames) {
    if (frame.id !== signal.id) continue;
    const raw = oracleRaw(signal, frame.data);
    if (raw !== null) samples.push({ micros: frame.micros, raw });
  }
  return samples;
}

/** Aggregates by window of boottime, in physical values; a window without samples is not there. */
export function oracleWindows(signal: OracleSignal, frames: readonly OracleFrame[], windowS: number): OracleWindow[] {
  const groups = new Map<number, bigint[]>();
  for (const { micros, raw } of oracleSamples(signal, frames)) {
    const window = Math.floor(micros / (windowS * 1_000_000));
    groups.set(window, [...(groups.get(window) ?? []), raw]);
  }
  const physical = (raw: number) => raw * signal.factor + signal.offset;
  return [...groups].map(([window, raws]) => {
    let low = raws[0]!;
    let high = raws[0]!;
    for (const raw of raws) {
      if (raw < low) low = raw;
      if (raw > high) high = raw;
    }
    const [min, max] = signal.factor < 0 ? [high, low] : [low, high];
    const sum = raws.reduce((a, b) => a + b, 0n);
    return {
      window,
      min: physical(Number(min)),
      max: physical(Number(max)),
      mean: physical(Number(sum) / raws.length),
      count: raws.length,
      last: physical(Number(raws.at(-1)!)),
    };
  });
}
