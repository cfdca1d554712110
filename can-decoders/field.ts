import type { Signal } from '#dbc/model';

/** Where the bits of a signal lie in a payload, the same for both byte orders. */
export interface Field {
  /** First and last byte that hold bits of it. */
  readonly first: number;
  readonly last: number;
  /** Bits below it in the integer that bytes `first`…`last` make in its byte order. */
  readonly shift: number;
  readonly bits: number;
  readonly bigEndian: boolean;
  readonly signed: boolean;
  readonly kind: 'int' | 'wide' | 'float32' | 'float64';
}

/** A raw integer of more bits does not fit a double. */
export const LARGEST_INT_BITS = 53;

/**
 * Bit positions as the DBC language counts them: bit n is bit n % 8 of byte ⌊n / 8⌋, 0 being the lowest. Intel signals
 * start at their lowest bit and grow upwards; Motorola signals start at their highest bit and grow downwards, then into
 * the next byte.
 */
export function fieldOf(signal: Signal): Field {
  const { start, length: bits, signed } = signal;
  const first = start >>> 3;
  const kind = kindOf(signal);
  if (signal.byteOrder === 'intel') {
    return { first, last: (start + bits - 1) >>> 3, shift: start & 7, bits, bigEndian: false, signed, kind };
  }
  const end = first * 8 + 7 - (start & 7) + bits;
  const last = (end - 1) >>> 3;
  return { first, last, shift: (last + 1) * 8 - end, bits, bigEndian: true, signed, kind };
}

/** SIG_VALTYPE_ counts only where the length is that of the IEEE format. */
export function kindOf({ valueType, length }: Signal): Field['kind'] {
  if (valueType === 'float32' && length === 32) return 'float32';
  if (valueType === 'float64' && length === 64) return 'float64';
  return length > LARGEST_INT_BITS ? 'wide' : 'int';
}

const WORD_BYTES = 4;
const WORD_BITS = 32;

/** A field cut into words of at most four bytes, lowest first, each an unsigned field of its own. */
export function wordsOf(field: Field): Field[] {
  const { first, last, shift, bits, bigEndian } = field;
  const span = last - first + 1;
  return Array.from({ length: Math.ceil(span / WORD_BYTES) }, (_, word): Field => {
    const skip = word * WORD_BYTES;
    const end = Math.min(skip + WORD_BYTES, span) - 1;
    const low = Math.max(shift - word * WORD_BITS, 0);
    const high = Math.min(shift + bits - word * WORD_BITS, WORD_BITS);
    const place = bigEndian ? { first: last - end, last: last - skip } : { first: first + skip, last: first + end };
    return { ...place, shift: low, bits: high - low, bigEndian, signed: false, kind: 'int' };
  });
}

/** The bits of a word of `wordsOf` as they lie in its bytes. */
export function maskOf({ shift, bits }: Field): number {
  return 2 ** (bits + shift) - 2 ** shift;
}
