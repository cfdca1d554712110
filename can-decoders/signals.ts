import { CAN_EFF_FLAG, type SignalInfo } from '#contracts';
import type { Database, Message, Signal } from '#dbc/model';
import { kindOf } from './field.ts';

const WORD = 2 ** 32;
const WORD_BITS = 32n;

/** The id of a message as it stands in a slot, EFF bit included. */
export function idWord(message: Message): number {
  return message.extended ? (message.id | CAN_EFF_FLAG) >>> 0 : message.id;
}

/**
 * Every signal of a database by its DBC name, for use without mapping and plan. Of two messages with one id the later
 * one counts, as cantools reads it.
 */
export function signalInfos(database: Database, channel = 0): SignalInfo[] {
  const byId = new Map(database.messages.map((message) => [idWord(message), message]));
  return database.messages
    .filter((message) => byId.get(idWord(message)) === message)
    .flatMap((message) => message.signals.map((signal) => signalInfo(message, signal, channel)));
}

/** One signal of a message by its DBC name. */
export function signalInfo(message: Message, signal: Signal, channel = 0): SignalInfo {
  const name = `dbc:${message.name}.${signal.name}`;
  return {
    name,
    dbcName: name,
    channel,
    message: message.name,
    signal: signal.name,
    id: idWord(message),
    unit: signal.unit,
    f: signal.factor,
    o: signal.offset,
    factor: 1,
    offset: 0,
    type: kindOf(signal),
    signed: signal.signed,
    bits: signal.length,
  };
}

/**
 * The physical value: `(raw · f + o) · factor + offset`, four IEEE double steps, no fused multiply-add.
 *
 * @param high the cell; of a `wide` signal its first cell
 * @param low second cell of a `wide` signal, else without meaning
 */
export function physical(signal: SignalInfo, high: number, low = 0): number {
  // high · 2^32 is exact, so the sum is rounded once: the double nearest to the integer.
  const raw = signal.type === 'wide' ? high * WORD + low : high;
  return (raw * signal.f + signal.o) * signal.factor + signal.offset;
}

/** The raw integer of a cell (or of the two cells of a `wide` signal), exact. Float signals have none. */
export function rawBigInt(signal: SignalInfo, high: number, low = 0): bigint {
  return signal.type === 'wide' ? (BigInt(high) << WORD_BITS) | BigInt(low) : BigInt(high);
}

/**
 * The physical value, as an integer where doubles would round one: integers beyond 2^53 are exact when factor and
 * offset are whole numbers.
 */
export function exact(signal: SignalInfo, high: number, low = 0): number | bigint {
  const value = physical(signal, high, low);
  if (Math.abs(value) < 2 ** 53 || !Number.isFinite(value)) return value;
  const { type, f, o, factor, offset } = signal;
  if (type === 'float32' || type === 'float64' || ![f, o, factor, offset].every(Number.isInteger)) return value;
  return (rawBigInt(signal, high, low) * BigInt(f) + BigInt(o)) * BigInt(factor) + BigInt(offset);
}

/** The text that VAL_ gives to a raw value; undefined where it gives none. */
export function labelOf(signal: Signal, info: SignalInfo, high: number, low = 0): string | undefined {
  if (signal.labels.length === 0) return undefined;
  const raw = info.type === 'float32' || info.type === 'float64' ? high : rawBigInt(info, high, low);
  // biome-ignore lint/suspicious/noDoubleEquals: a float signal's value is a number, a label's key a bigint
  return signal.labels.find(({ value }) => value == raw)?.text;
}
