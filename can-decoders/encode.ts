import { nearest, TollgateError } from '#contracts';
import type { Database, Message, Signal } from '#dbc/model';
import { fieldOf } from './field.ts';
import { type EncodeValue, rawBits } from './raw.ts';
import { idWord } from './signals.ts';

export interface EncodeOptions {
  /** Values are raw integers (unscaled floats). Default: physical values. */
  readonly raw?: boolean;
  /** Refuse physical values outside the limits that the database gives. Default: only what the bits cannot hold. */
  readonly limits?: boolean;
  /** What a signal without value gets. Default: refused. */
  readonly missing?: 'refuse' | 'zero';
}

export interface EncodedFrame {
  readonly message: Message;
  /** Id word with the EFF bit. */
  readonly id: number;
  readonly fd: boolean;
  /** As long as the message; bits of no signal are 0. */
  readonly data: Uint8Array;
}

export interface Encoder {
  /**
   * A frame of the message with these values by signal name. Multiplexers decide which signals are there: others must
   * not be given.
   *
   * @throws {TollgateError} TG_ENCODE_…, naming message and signal, never a value
   */
  encode(message: string, values: Readonly<Record<string, EncodeValue>>, options?: EncodeOptions): EncodedFrame;
}

/** Messages of a database by name → frames. */
export function createEncoder(database: Database): Encoder {
  const byName = new Map<string, MessageEncoder>();
  return {
    encode(name, values, options = {}) {
      let encoder = byName.get(name);
      if (encoder === undefined) {
        encoder = new MessageEncoder(find(database, name));
        byName.set(name, encoder);
      }
      return encoder.encode(values, options);
    },
  };
}

function find(database: Database, name: string): Message {
  const message = database.messages.find((one) => one.name === name);
  if (message !== undefined) return message;
  const near = nearest(
    name,
    database.messages.map((one) => one.name),
  );
  throw new TollgateError('TG_ENCODE_MESSAGE', `there is no message ${name}`, {
    place: { file: database.file },
    ...(near === undefined ? {} : { remedy: `Did you mean ${near}?` }),
  });
}

class MessageEncoder {
  readonly #message: Message;
  readonly #byName: ReadonlyMap<string, Signal>;

  constructor(message: Message) {
    this.#message = message;
    this.#byName = new Map(message.signals.map((signal) => [signal.name, signal]));
  }

  encode(values: Readonly<Record<string, EncodeValue>>, options: EncodeOptions): EncodedFrame {
    const { name, fd, length } = this.#message;
    const bits = new Map<Signal, bigint>();
    for (const signal of this.#byName.values()) {
      if (this.#isThere(signal, values, options, bits, 0)) this.#bits(signal, values, options, bits);
    }
    for (const given of Object.keys(values)) {
      const signal = this.#byName.get(given);
      if (signal === undefined || !bits.has(signal)) throw this.#surplus(given, signal);
    }
    const payload = new Payload(name, length);
    for (const [signal, raw] of bits) payload.write(signal, raw);
    return { message: this.#message, id: idWord(this.#message), fd, data: payload.data };
  }

  /** Whether the multiplexers have values that include the signal. */
  #isThere(
    signal: Signal,
    values: Readonly<Record<string, EncodeValue>>,
    options: EncodeOptions,
    bits: Map<Signal, bigint>,
    depth: number,
  ): boolean {
    if (signal.multiplexer === null) return true;
    const ruler = this.#byName.get(signal.multiplexer);
    if (ruler === undefined || depth > this.#byName.size) {
      throw new TollgateError(
        'TG_DECODER_MULTIPLEXER',
        `${this.#message.name}.${signal.name} has no usable multiplexer`,
      );
    }
    if (!this.#isThere(ruler, values, options, bits, depth + 1)) return false;
    const unsigned = this.#bits(ruler, values, options, bits);
    const raw = ruler.signed ? BigInt.asIntN(ruler.length, unsigned) : unsigned;
    return signal.multiplexRanges.some(({ low, high }) => raw >= BigInt(low) && raw <= BigInt(high));
  }

  #bits(
    signal: Signal,
    values: Readonly<Record<string, EncodeValue>>,
    { raw = false, limits = false, missing = 'refuse' }: EncodeOptions,
    bits: Map<Signal, bigint>,
  ): bigint {
    const known = bits.get(signal);
    if (known !== undefined) return known;
    const { name } = this.#message;
    const value = Object.hasOwn(values, signal.name) ? values[signal.name] : undefined;
    if (value === undefined && missing === 'refuse') {
      throw new TollgateError('TG_ENCODE_MISSING', `${name}.${signal.name} has no value`);
    }
    const found = value === undefined ? 0n : rawBits(name, signal, value, { raw, limits });
    bits.set(signal, found);
    return found;
  }

  #surplus(given: string, signal: Signal | undefined): TollgateError {
    const { name } = this.#message;
    if (signal !== undefined) {
      return new TollgateError(
        'TG_ENCODE_SIGNAL',
        `${name}.${given} is not there for this value of ${signal.multiplexer}`,
      );
    }
    const near = nearest(given, [...this.#byName.keys()]);
    return new TollgateError('TG_ENCODE_SIGNAL', `${name} has no signal ${given}`, {
      ...(near === undefined ? {} : { remedy: `Did you mean ${near}?` }),
    });
  }
}

/** Bytes of a frame and which of their bits a signal has set already. */
class Payload {
  readonly data: Uint8Array;
  readonly #taken: Uint8Array;
  readonly #message: string;

  constructor(message: string, length: number) {
    this.#message = message;
    this.data = new Uint8Array(length);
    this.#taken = new Uint8Array(length);
  }

  write(signal: Signal, raw: bigint): void {
    const { first, last, shift, bits, bigEndian } = fieldOf(signal);
    if (last >= this.data.length) {
      throw new TollgateError(
        'TG_ENCODE_SIGNAL',
        `${this.#message}.${signal.name} lies beyond the end of the message`,
        {
          remedy: 'Mend the length of the message or the place of the signal in the database. No frame was made.',
        },
      );
    }
    let low = Number(raw & 0xffff_ffffn);
    const high = Number(raw >> 32n);
    for (let bit = 0; bit < bits; bit++) {
      if (bit === 32) low = high;
      const place = shift + bit;
      const byte = bigEndian ? last - (place >>> 3) : first + (place >>> 3);
      this.#set(signal, byte, 1 << (place & 7), (low >>> (bit & 31)) & 1);
    }
  }

  #set(signal: Signal, byte: number, mask: number, value: number): void {
    const before = (this.data[byte]! & mask) === 0 ? 0 : 1;
    if ((this.#taken[byte]! & mask) !== 0 && before !== value) {
      throw new TollgateError(
        'TG_ENCODE_RANGE',
        `${this.#message}.${signal.name} contradicts a signal that shares its bits`,
      );
    }
    this.#taken[byte]! |= mask;
    if (value === 1) this.data[byte]! |= mask;
  }
}
