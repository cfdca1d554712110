const NS_PER_MS = 1e6;

/**
 * Start of the window `[k · W, (k + 1) · W)` of boottime in which a moment lies, ns.
 *
 * @param timeNs below 2^53 (104 days)
 * @param lengthNs W; whole ns
 */
export function windowStart(timeNs: number, lengthNs: number): number {
  const start = Math.floor(timeNs / lengthNs) * lengthNs;
  // The quotient of a moment right before a window may round up into it.
  return start > timeNs ? start - lengthNs : start;
}

export function nanoseconds(ms: number): number {
  return ms * NS_PER_MS;
}
