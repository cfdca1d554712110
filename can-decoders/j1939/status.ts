import type { Database, Message, Signal } from '#dbc/model';
import { kindOf } from '../field.ts';

/** What a raw value of SAE J1939 says beside a number. */
export type SpnStatus = 'valid' | 'specific' | 'reserved' | 'error' | 'not-available';

/** Wider parameters are texts, identities or counters that use every pattern. */
const MOST_BITS = 32;
/** From here on the highest eight bits tell: SAE J1939-71 §5.1.4, table 1 (one, two and four bytes), and its 12-bit form. */
const LEAST_RANGE_BITS = 12;
const BYTE_BITS = 8;

/**
 * Whether a raw value is a value: SAE J1939-71 §5.1.4, table 1 for measured parameters and table 2 for discrete ones.
 *
 * | highest 8 bits | meaning                       |
 * |----------------|-------------------------------|
 * | 00 … FA        | valid                         |
 * | FB             | indicator of the parameter    |
 * | FC, FD         | reserved                      |
 * | FE             | error                         |
 * | FF             | not available or not asked    |
 *
 * Of 2 to 7 and of 9 to 11 bits only the two highest values have a meaning: all ones is not available, one less is an
 * error. A single bit, and more than 32 bits, are always valid. The caller says for which signals it asks: texts (ASCII)
 * and masks of single bits have no such patterns.
 *
 * @param raw the bits as an integer; of a signed signal its negative form too
 * @param bits width of the signal, 1–64
 */
export function spnStatus(raw: number | bigint, bits: number): SpnStatus {
  if (bits < 2 || bits > MOST_BITS) return 'valid';
  const value = Number(raw);
  const span = 2 ** bits;
  const unsigned = value < 0 ? value + span : value;
  if (bits !== BYTE_BITS && bits < LEAST_RANGE_BITS) {
    if (unsigned === span - 1) return 'not-available';
    return unsigned === span - 2 ? 'error' : 'valid';
  }
  const highest = Math.floor(unsigned / 2 ** (bits - BYTE_BITS));
  if (highest < 0xfb) return 'valid';
  if (highest === 0xfb) return 'specific';
  if (highest < 0xfe) return 'reserved';
  return highest === 0xfe ? 'error' : 'not-available';
}

/**
 * Whether the patterns of `spnStatus` count for a signal: for integers of messages that are J1939; where the database
 * numbers its parameters (attribute `SPN` of signals), for those that have a number.
 *
 * @param every the message is taken for J1939 although the database does not say so
 */
export function hasSpnStatus(database: Database, message: Message, signal: Signal, every = false): boolean {
  if (!message.extended || !(message.j1939 || every)) return false;
  if (kindOf(signal) !== 'int' || signal.length < 2 || signal.length > MOST_BITS) return false;
  const numbered = database.extras?.definitions.some(({ name, object }) => name === 'SPN' && object === 'SG_') ?? false;
  return !numbered || Number(signal.attributes.get('SPN') ?? 0) > 0;
}
