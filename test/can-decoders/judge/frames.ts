import { FD_SLOT_BYTES, type FrameBatch, HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { Database, Message, Signal } from '#dbc';
import { fieldOf } from '../../../can-decoders/field.ts';
import { idWord } from '../../../can-decoders/signals.ts';
import { seeded } from '../logs/parts.ts';

/** Id word, length, three bytes of nothing, payload: what the judge reads. */
export const RECORD_BYTES = 72;
const RECORD_HEAD = 8;
const LARGEST = 64;
/** Payloads in which multiplexers have a value that some signal is there for, of ten. */
const VALID_OF_TEN = 8;
/** Frames that lack bytes, of a hundred. */
const SHORT_OF_HUNDRED = 3;

/** Random frames of the messages of a database, each message as often; the same for the same seed. */
export function randomFrames(database: Database, count: number, seed: number): Uint8Array {
  const next = seeded(seed);
  // Of two messages with one id the later one counts, as the judge reads it.
  const byWord = new Map(database.messages.map((message) => [idWord(message), message]));
  const messages = [...byWord.values()].filter(({ length, signals }) => length <= LARGEST && signals.length > 0);
  const records = new Uint8Array(messages.length === 0 ? 0 : count * RECORD_BYTES);
  const view = new DataView(records.buffer);
  for (let at = 0; at < records.length; at += RECORD_BYTES) {
    const message = messages[(at / RECORD_BYTES) % messages.length]!;
    const length = next(100) < SHORT_OF_HUNDRED ? next(message.length + 1) : message.length;
    view.setUint32(at, idWord(message), true);
    view.setUint8(at + 4, length);
    const payload = records.subarray(at + RECORD_HEAD, at + RECORD_HEAD + message.length);
    for (let i = 0; i < payload.length; i++) payload[i] = next(256);
    if (next(10) < VALID_OF_TEN) chooseBranches(message, payload, next);
    payload.fill(0, length);
  }
  return records;
}

/** Gives each multiplexer a value of one of the signals that hang on it. */
function chooseBranches(message: Message, payload: Uint8Array, next: (n: number) => number): void {
  for (const ruler of message.signals) {
    const branches = message.signals.filter(({ multiplexer }) => multiplexer === ruler.name);
    const chosen = branches[next(Math.max(1, branches.length))];
    if (chosen === undefined || chosen.multiplexRanges.length === 0) continue;
    const { low, high } = chosen.multiplexRanges[next(chosen.multiplexRanges.length)]!;
    setBits(payload, ruler, BigInt(low) + BigInt(next(Math.min(2 ** 31, high - low + 1))));
  }
}

function setBits(payload: Uint8Array, signal: Signal, value: bigint): void {
  const { first, last, shift, bits, bigEndian } = fieldOf(signal);
  for (let bit = 0; bit < bits; bit++) {
    const place = bit + shift;
    const byte = bigEndian ? last - (place >>> 3) : first + (place >>> 3);
    if (byte < 0 || byte >= payload.length) continue;
    const mask = 1 << (place & 7);
    payload[byte] = ((value >> BigInt(bit)) & 1n) === 1n ? payload[byte]! | mask : payload[byte]! & ~mask;
  }
}

/** The same frames as a batch. */
export function batchOfRecords(records: Uint8Array): FrameBatch {
  const count = records.length / RECORD_BYTES;
  const bytes = new Uint8Array(count * FD_SLOT_BYTES);
  for (let i = 0; i < count; i++) {
    const [record, slot] = [i * RECORD_BYTES, i * FD_SLOT_BYTES];
    bytes.set(records.subarray(record, record + 4), slot + OFFSET_ID);
    bytes[slot + OFFSET_LENGTH] = records[record + 4]!;
    bytes.set(records.subarray(record + RECORD_HEAD, record + RECORD_BYTES), slot + HEADER_BYTES);
  }
  return {
    bytes,
    slotBytes: FD_SLOT_BYTES,
    count,
    bootId: new Uint8Array(8),
    utcOffsetNs: null,
    utcErrorNs: Number.POSITIVE_INFINITY,
    utcSource: 'unknown',
  };
}
