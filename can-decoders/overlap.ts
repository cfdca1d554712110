import type { Message, Signal } from '#dbc/model';
import { fieldOf } from './field.ts';

/**
 * Pairs of signals that are there at the same time, in the same byte order, and share a bit. Both are decoded all the
 * same; a reader that packs signals one after the other (cantools) refuses frames in which both are there.
 */
export function overlaps(message: Message): (readonly [Signal, Signal])[] {
  const pairs: [Signal, Signal][] = [];
  for (const [i, a] of message.signals.entries()) {
    for (const b of message.signals.slice(i + 1)) {
      if (a.byteOrder === b.byteOrder && areTogether(a, b) && shareBits(a, b)) pairs.push([a, b]);
    }
  }
  return pairs;
}

/** Whether both hang on the same multiplexer with a value in common, or both on none. */
function areTogether(a: Signal, b: Signal): boolean {
  if (a.multiplexer !== b.multiplexer) return false;
  if (a.multiplexer === null) return true;
  return a.multiplexRanges.some((x) => b.multiplexRanges.some((y) => x.low <= y.high && y.low <= x.high));
}

function shareBits(a: Signal, b: Signal): boolean {
  const [x, y] = [span(a), span(b)];
  return x.start < y.end && y.start < x.end;
}

/** Bits in the direction in which the signal grows, so that each signal is one interval. */
function span(signal: Signal): { start: number; end: number } {
  const { first, last, shift, bits, bigEndian } = fieldOf(signal);
  const start = bigEndian ? (last + 1) * 8 - shift - bits : first * 8 + shift;
  return { start, end: start + bits };
}
