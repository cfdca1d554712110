import type { TopicResult } from '../../topic.ts';

/** Counts what agrees, group by group, in the order in which the groups come. */
export class Tally {
  readonly #groups = new Map<string, { equal: number; total: number }>();
  readonly #unsupported = new Map<string, number>();
  readonly #problems: string[] = [];

  compare(group: string, place: string, came: unknown, wanted: unknown): void {
    const equal = Object.is(came, wanted);
    this.add(group, equal ? 1 : 0, 1);
    if (!equal) this.problem(`${place}: came ${String(came)}, wanted ${String(wanted)}`);
  }

  add(group: string, equal: number, total: number): void {
    const sum = this.#groups.get(group) ?? { equal: 0, total: 0 };
    this.#groups.set(group, { equal: sum.equal + equal, total: sum.total + total });
  }

  unsupported(feature: string, count: number): void {
    if (count > 0) this.#unsupported.set(feature, (this.#unsupported.get(feature) ?? 0) + count);
  }

  problem(line: string): void {
    this.#problems.push(line);
  }

  result(topic: string): TopicResult {
    const groups = [...this.#groups];
    const equal = groups.map(([name, sum]) => `${sum.equal} of ${sum.total} ${name}`);
    const skipped = [...this.#unsupported].map(([feature, count]) => `unsupported: ${feature} (${count})`);
    const sum = (pick: (group: { equal: number; total: number }) => number) =>
      groups.reduce((total, [, group]) => total + pick(group), 0);
    const counted = equal.length === 0 ? 'nothing to compare here' : equal.join(', ');
    return {
      line: `${topic}: ${[counted, ...skipped].join('; ')}`,
      passed: sum((group) => group.equal),
      failed: sum((group) => group.total - group.equal),
      skipped: [...this.#unsupported.values()].reduce((total, count) => total + count, 0),
      problems: this.#problems,
    };
  }
}
