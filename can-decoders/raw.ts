import { TollgateError } from '#contracts';
import type { Signal } from '#dbc/model';
import { kindOf } from './field.ts';

/** A number; a decimal integer beyond 2^53, `NaN`, `Infinity` or `-Infinity` as text; or the text of a label. */
export type EncodeValue = number | bigint | string;

/** What a physical or raw value is in bits; floats as their bit pattern. */
export interface RawOptions {
  /** The value is the raw integer (or the unscaled float) already. */
  readonly raw: boolean;
  /** Refuse physical values outside the limits that the database gives. */
  readonly limits: boolean;
}

const float = new DataView(new ArrayBuffer(8));

/**
 * The bits of a signal for a value: `(value − offset) / factor` in IEEE doubles, rounded to the nearest integer, ties to
 * the even one. Integers beyond 2^53 stay exact where factor and offset are whole numbers.
 *
 * @throws {TollgateError} TG_ENCODE_RANGE, naming signal and range, never the value
 */
export function rawBits(message: string, signal: Signal, value: EncodeValue, options: RawOptions): bigint {
  const number = toNumber(message, signal, value);
  if (options.limits && !options.raw) checkLimits(message, signal, number);
  const kind = kindOf(signal);
  if (kind === 'float32' || kind === 'float64') {
    const unscaled =
      options.raw || isLabel(signal, value) ? Number(number) : (Number(number) - signal.offset) / signal.factor;
    // A NaN may carry bits of where it came from: equal values must make equal frames.
    const plain = Number.isNaN(unscaled) ? Number.NaN : unscaled;
    if (kind === 'float32') {
      float.setFloat32(0, plain);
      return BigInt(float.getUint32(0));
    }
    float.setFloat64(0, plain);
    return float.getBigUint64(0);
  }
  const raw = options.raw || isLabel(signal, value) ? whole(message, signal, number) : unscale(message, signal, number);
  return checkBits(message, signal, raw);
}

function isLabel(signal: Signal, value: EncodeValue): boolean {
  return typeof value === 'string' && signal.labels.some(({ text }) => text === value);
}

/** Labels give their raw value; other text is a number. */
function toNumber(message: string, signal: Signal, value: EncodeValue): number | bigint {
  if (typeof value !== 'string') return value;
  const label = signal.labels.find(({ text }) => text === value);
  if (label !== undefined) return label.value;
  if (/^[+-]?\d+$/.test(value)) return BigInt(value.replace('+', ''));
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (Number.isNaN(number) && value !== 'NaN') {
    throw rangeError(message, signal, 'takes a number or one of its labels');
  }
  return number;
}

function unscale(message: string, signal: Signal, value: number | bigint): bigint {
  const { factor, offset } = signal;
  const isWhole = typeof value === 'bigint' || (Number.isInteger(value) && Math.abs(value) >= 2 ** 53);
  if (isWhole && Number.isInteger(factor) && Number.isInteger(offset) && factor !== 0) {
    const scaled = BigInt(value) - BigInt(offset);
    if (scaled % BigInt(factor) === 0n) return scaled / BigInt(factor);
  }
  return whole(message, signal, (Number(value) - offset) / factor);
}

/** The nearest integer, ties to even, as Python's `round` does. */
function whole(message: string, signal: Signal, value: number | bigint): bigint {
  if (typeof value === 'bigint') return value;
  if (!Number.isFinite(value)) throw rangeError(message, signal, 'takes finite numbers only');
  const down = Math.floor(value);
  const rest = value - down;
  const up = rest > 0.5 || (rest === 0.5 && down % 2 !== 0);
  return BigInt(up ? down + 1 : down);
}

function checkBits(message: string, signal: Signal, raw: bigint): bigint {
  const bits = BigInt(signal.length);
  const low = signal.signed ? -(1n << (bits - 1n)) : 0n;
  const high = signal.signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  if (raw < low || raw > high) {
    throw rangeError(message, signal, `has ${signal.length} bits, raw ${low} to ${high}: the value does not fit`);
  }
  return BigInt.asUintN(signal.length, raw);
}

function checkLimits(message: string, signal: Signal, value: number | bigint): void {
  const { minimum, maximum } = signal;
  if (minimum === maximum || (value >= minimum && value <= maximum)) return;
  throw rangeError(message, signal, `lies between ${minimum} and ${maximum}: the value does not`);
}

function rangeError(message: string, signal: Signal, text: string): TollgateError {
  return new TollgateError('TG_ENCODE_RANGE', `${message}.${signal.name} ${text}`);
}
