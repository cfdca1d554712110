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

/** A raw integer of more bits does not fit a double and takes two cells. */
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
