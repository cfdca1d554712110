import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bernoulliExp, discreteLaplace, UniformSource } from '#privacy';
import { seeded } from './parts.ts';

const source = (seed: number) => new UniformSource(seeded(seed));

/** Pearson's statistic of counts against probabilities; what is expected less than 5 times is put together. */
function chiSquare(counts: readonly number[], probabilities: readonly number[]): { statistic: number; cells: number } {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let [statistic, cells, few, fewWanted] = [0, 0, 0, 0];
  for (const [i, count] of counts.entries()) {
    const wanted = probabilities[i]! * total;
    if (wanted < 5) {
      few += count;
      fewWanted += wanted;
      continue;
    }
    statistic += (count - wanted) ** 2 / wanted;
    cells++;
  }
  if (fewWanted > 5) {
    statistic += (few - fewWanted) ** 2 / fewWanted;
    cells++;
  }
  return { statistic, cells };
}

/** Wilson–Hilferty: the quantile of chi-square at 1 − 10⁻⁶. */
function limit(degrees: number): number {
  const part = 2 / (9 * degrees);
  return degrees * (1 - part + 4.753 * Math.sqrt(part)) ** 3;
}

/** What a sampler asks for; a test may answer in place of a source. */
type Draw = (uniform: UniformSource) => boolean;

/**
 * Bounds of the probability that `draw` says yes: every sequence of at most `depth` uniform numbers is tried, each with
 * its weight. What is undecided then lies between the bounds.
 */
function enclosed(draw: Draw, depth: number): { least: number; most: number } {
  const open = Symbol('open');
  let [least, most] = [0, 0];
  const walk = (choices: readonly bigint[], weight: number): void => {
    let used = 0;
    let bound = 0n;
    const below = (of: bigint) => {
      if (of === 1n) return 0n;
      if (used < choices.length) return choices[used++]!;
      bound = of;
      throw open;
    };
    try {
      if (!draw({ below } as unknown as UniformSource)) return;
      least += weight;
      most += weight;
    } catch (error) {
      if (error !== open) throw error;
      if (choices.length === depth) most += weight;
      else for (let choice = 0n; choice < bound; choice++) walk([...choices, choice], weight / Number(bound));
    }
  };
  walk([], 1);
  return { least, most };
}

describe('a uniform number', () => {
  it('is each below its bound, equally often, whatever the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), (bound) => {
        const counts = new Array<number>(bound).fill(0);
        const uniform = source(bound);
        for (let i = 0; i < 2000; i++) counts[Number(uniform.below(BigInt(bound)))]!++;
        const { statistic, cells } = chiSquare(
          counts,
          counts.map(() => 1 / bound),
        );
        if (cells > 1) expect(statistic).toBeLessThan(limit(cells - 1));
      }),
      { numRuns: 40, seed: 1 },
    );
  });

  it('stays below bounds of any size', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 1n << 90n }), (bound) => {
        const value = source(3).below(bound);
        expect(value >= 0n && value < bound).toBe(true);
      }),
      { numRuns: 300, seed: 2 },
    );
  });
});

describe('Bernoulli(exp(−γ))', () => {
  it.each([
    [1n, 1n],
    [1n, 2n],
    [1n, 3n],
    [2n, 3n],
  ])('for γ = %s / %s is exactly that: all its draws, enumerated, enclose it', (n, d) => {
    const { least, most } = enclosed((uniform) => bernoulliExp(n, d, uniform), 5);
    const wanted = Math.exp(-Number(n) / Number(d));
    expect(least).toBeLessThanOrEqual(wanted);
    expect(most).toBeGreaterThanOrEqual(wanted);
    // What is open after five draws is at most the chance of a run of five: γ⁵ / 5!.
    expect(most - least).toBeLessThanOrEqual((Number(n) / Number(d)) ** 5 / 120 + 1e-12);
  });

  it('is so for γ above 1, and always true for 0', () => {
    const uniform = source(7);
    let yes = 0;
    for (let i = 0; i < 20_000; i++) if (bernoulliExp(5n, 2n, uniform)) yes++;
    const wanted = Math.exp(-2.5);
    expect(Math.abs(yes / 20_000 - wanted)).toBeLessThan(5 * Math.sqrt((wanted * (1 - wanted)) / 20_000));
    for (let i = 0; i < 100; i++) expect(bernoulliExp(0n, 3n, uniform)).toBe(true);
  });
});

describe('discrete Laplace noise', () => {
  it.each([
    [1n, 1n, 11],
    [3n, 1n, 12],
    [5n, 2n, 13],
    [1n, 4n, 14],
  ])('of scale %s / %s has its distribution', (t, s, seed) => {
    const uniform = source(seed);
    const [reach, draws] = [40, 20_000];
    const counts = new Array<number>(2 * reach + 1).fill(0);
    for (let i = 0; i < draws; i++) {
      const value = Number(discreteLaplace(t, s, uniform));
      if (Math.abs(value) <= reach) counts[value + reach]!++;
    }
    const ratio = Math.exp(-Number(s) / Number(t));
    const probabilities = counts.map((_, i) => ((1 - ratio) / (1 + ratio)) * ratio ** Math.abs(i - reach));
    const { statistic, cells } = chiSquare(counts, probabilities);
    expect(statistic).toBeLessThan(limit(cells - 1));
  });

  it('fails this test where its scale is a tenth off: the test can tell', () => {
    const uniform = source(15);
    const counts = new Array<number>(81).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const value = Number(discreteLaplace(33n, 10n, uniform));
      if (Math.abs(value) <= 40) counts[value + 40]!++;
    }
    const ratio = Math.exp(-1 / 3);
    const { statistic, cells } = chiSquare(
      counts,
      counts.map((_, i) => ((1 - ratio) / (1 + ratio)) * ratio ** Math.abs(i - 40)),
    );
    expect(statistic).toBeGreaterThan(limit(cells - 1));
  });
});
