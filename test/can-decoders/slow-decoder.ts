// A decoder written from the description of the DBC language, with nothing of the code under test: it reads the text line by line with
// regular expressions and a payload bit by bit. Slow, and right where it is easy to see.

interface SlowSignal {
  readonly name: string;
  readonly start: number;
  readonly length: number;
  readonly isIntel: boolean;
  readonly isSigned: boolean;
  readonly factor: number;
  readonly offset: number;
  float: 0 | 1 | 2;
  /** The multiplexer in the same message, and its values for which the signal is there. */
  ruler: string | null;
  ranges: [low: bigint, high: bigint][];
}

interface SlowMessage {
  readonly name: string;
  readonly length: number;
  readonly signals: SlowSignal[];
}

export interface SlowValue {
  /** The integer, or the float before factor and offset. */
  readonly raw: bigint | number;
  readonly physical: number;
  readonly label: string | undefined;
}

const NUMBER = '[-+]?[0-9.]+(?:[eE][-+]?\\d+)?';
const MESSAGE = /^BO_ (\d+) (\w+) ?: (\d+) \w+/;
const SIGNAL = new RegExp(`^ SG_ (\\w+) (M|m\\d+M?)? ?: (\\d+)\\|(\\d+)@([01])([-+]) \\((${NUMBER}),(${NUMBER})\\)`);
const RANGES = /^SG_MUL_VAL_ (\d+) (\w+) (\w+) (.*);/;
const FLOAT = /^SIG_VALTYPE_ (\d+) (\w+) ?: ?(\d)/;
const LABELS = /^VAL_ (\d+) (\w+) (.*);/;

export class SlowDecoder {
  readonly #messages = new Map<string, SlowMessage>();
  /** The signal marked `M` of each message. */
  readonly #tops = new Map<SlowMessage, string>();
  readonly #labels = new Map<string, Map<string, string>>();

  constructor(text: string) {
    let current: SlowMessage | null = null;
    const simple: { message: SlowMessage; signal: SlowSignal }[] = [];
    for (const line of text.split(/\r?\n/)) {
      const message = MESSAGE.exec(line);
      if (message !== null) {
        current = { name: message[2]!, length: Number(message[3]), signals: [] };
        this.#messages.set(message[1]!, current);
      }
      const signal = SIGNAL.exec(line);
      if (signal !== null && current !== null) {
        const [, name, mark = '', start, length, order, sign, factor, offset] = signal;
        if (mark === 'M') this.#tops.set(current, name!);
        const one: SlowSignal = {
          name: name!,
          start: Number(start),
          length: Number(length),
          isIntel: order === '1',
          isSigned: sign === '-',
          factor: Number(factor),
          offset: Number(offset),
          float: 0,
          ruler: null,
          ranges: [],
        };
        current.signals.push(one);
        const value = /^m(\d+)/.exec(mark)?.[1];
        if (value !== undefined) {
          one.ranges = [[BigInt(value), BigInt(value)]];
          simple.push({ message: current, signal: one });
        }
      }
      const ranges = RANGES.exec(line);
      if (ranges !== null) {
        const one = this.#signal(ranges[1]!, ranges[2]!);
        one.ruler = ranges[3]!;
        one.ranges = ranges[4]!.split(',').map((range) => {
          const [low, high] = range.trim().split('-');
          return [BigInt(low!), BigInt(high!)];
        });
      }
      const float = FLOAT.exec(line);
      if (float !== null) this.#signal(float[1]!, float[2]!).float = Number(float[3]) as 0 | 1 | 2;
      const labels = LABELS.exec(line);
      if (labels !== null) {
        const texts = new Map([...labels[3]!.matchAll(/(-?\d+) "([^"]*)"/g)].map(([, raw, label]) => [raw!, label!]));
        this.#labels.set(`${labels[1]} ${labels[2]}`, texts);
      }
    }
    // A signal that SG_MUL_VAL_ does not name hangs on the one multiplexer of its message.
    for (const { message, signal } of simple) signal.ruler ??= this.#tops.get(message) ?? null;
  }

  /** @param word id with bit 31 for 29 bits, as a DBC writes it */
  decode(word: number, payload: Uint8Array): Map<string, SlowValue> | null {
    const message = this.#messages.get(String(word));
    if (message === undefined) return null;
    const values = new Map<string, SlowValue>();
    for (const signal of message.signals) {
      if (!this.#isThere(message, signal, payload)) continue;
      const bits = bitsOf(signal, payload);
      if (bits === null) continue;
      const raw = rawOf(signal, bits);
      const label = this.#labels.get(`${word} ${signal.name}`)?.get(String(raw));
      values.set(signal.name, { raw, physical: Number(raw) * signal.factor + signal.offset, label });
    }
    return values;
  }

  #isThere(message: SlowMessage, signal: SlowSignal, payload: Uint8Array): boolean {
    if (signal.ruler === null) return true;
    const ruler = message.signals.find(({ name }) => name === signal.ruler)!;
    if (!this.#isThere(message, ruler, payload)) return false;
    const bits = bitsOf(ruler, payload);
    if (bits === null) return false;
    // A multiplexer counts as an integer, whatever SIG_VALTYPE_ says.
    const raw = rawOf({ ...ruler, float: 0 }, bits) as bigint;
    return signal.ranges.some(([low, high]) => raw >= low && raw <= high);
  }

  #signal(word: string, name: string): SlowSignal {
    return this.#messages.get(word)!.signals.find((signal) => signal.name === name)!;
  }
}

/** From the highest bit to the lowest, null where the payload ends before. */
function bitsOf({ start, length, isIntel }: SlowSignal, payload: Uint8Array): string | null {
  let bits = '';
  for (let i = 0, place = start; i < length; i++) {
    const byte = payload[Math.floor(place / 8)];
    if (byte === undefined) return null;
    const bit = String((byte >> (place % 8)) & 1);
    bits = isIntel ? bit + bits : bits + bit;
    // Motorola: down to bit 0, then to bit 7 of the next byte.
    if (isIntel) place++;
    else place += place % 8 === 0 ? 15 : -1;
  }
  return bits;
}

function rawOf({ length, isSigned, float }: SlowSignal, bits: string): bigint | number {
  const unsigned = BigInt(`0b${bits}`);
  if (float === 1 && length === 32) return new DataView(new Uint32Array([Number(unsigned)]).buffer).getFloat32(0, true);
  if (float === 2 && length === 64) return new DataView(new BigUint64Array([unsigned]).buffer).getFloat64(0, true);
  return isSigned && bits.startsWith('1') ? unsigned - 2n ** BigInt(length) : unsigned;
}
