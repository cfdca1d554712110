import type { RandomFill } from '#contracts';

/*
 * Exact samplers after Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), algorithms 1 and
 * 2: whole numbers and uniform bits only. A sampler over floating point gives away its input through the low bits of what
 * it returns (Mironov 2012). Nothing here is constant in time: who measures how long a window takes learns of its noise.
 */

/** Bytes drawn at once. */
const POOL_BYTES = 256;

/** Uniform whole numbers out of random bytes, by rejection: no modulo, no bias. */
export class UniformSource {
  readonly #fill: RandomFill;
  readonly #pool = new Uint8Array(POOL_BYTES);
  #at = POOL_BYTES;

  constructor(fill: RandomFill) {
    this.#fill = fill;
  }

  /** Uniform in [0, bound). @param bound above 0 */
  below(bound: bigint): bigint {
    const last = bound - 1n;
    if (last === 0n) return 0n;
    const bits = last.toString(2).length;
    const bytes = (bits + 7) >> 3;
    const top = 0xff >> (bytes * 8 - bits);
    for (;;) {
      let value = 0n;
      for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(i === 0 ? this.#byte() & top : this.#byte());
      if (value < bound) return value;
    }
  }

  /** One fair bit. */
  bit(): boolean {
    return (this.#byte() & 1) === 1;
  }

  #byte(): number {
    if (this.#at === POOL_BYTES) {
      this.#fill(this.#pool);
      this.#at = 0;
    }
    const byte = this.#pool[this.#at]!;
    // Noise that was drawn can be taken off again by who finds it in memory.
    this.#pool[this.#at++] = 0;
    return byte;
  }
}

/** True with probability n / d, 0 ≤ n ≤ d. */
export function bernoulli(n: bigint, d: bigint, source: UniformSource): boolean {
  return source.below(d) < n;
}

/**
 * True with probability exp(−n / d), exactly; n, d ≥ 0, d > 0. Algorithm 1: the length of the first run of successes of
 * Bernoulli(γ / k), k = 1, 2, … is even with probability exp(−γ) where γ ≤ 1.
 */
export function bernoulliExp(n: bigint, d: bigint, source: UniformSource): boolean {
  // exp(−γ) for γ > 1 is exp(−1), as often as γ has wholes, and the rest.
  let rest = n;
  for (; rest > d; rest -= d) if (!bernoulliExp(1n, 1n, source)) return false;
  let k = 1n;
  while (bernoulli(rest, d * k, source)) k++;
  return (k & 1n) === 1n;
}

/**
 * Discrete Laplace noise: P[x] ∝ exp(−|x| · s / t) over the whole numbers. Algorithm 2.
 *
 * @param t above 0
 * @param s above 0; the scale is t / s
 */
export function discreteLaplace(t: bigint, s: bigint, source: UniformSource): bigint {
  for (;;) {
    const u = source.below(t);
    if (!bernoulliExp(u, t, source)) continue;
    let v = 0n;
    while (bernoulliExp(1n, 1n, source)) v++;
    const size = (u + t * v) / s;
    const negative = source.bit();
    // Zero has one sign.
    if (negative && size === 0n) continue;
    return negative ? -size : size;
  }
}
