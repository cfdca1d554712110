import type { GateDenial, Plan } from '#policies';
import type { DecisionBody } from '#wire';

/** Samples that the gate kept back: open counts for the next leaves, totals for status. */
export class DenialLog {
  readonly #plan: Plan;
  readonly #open = new Map<string, DecisionBody>();
  readonly #total: Map<string, number>;

  /** @param total of the plans before */
  constructor(plan: Plan, total: ReadonlyMap<string, number> = new Map()) {
    this.#plan = plan;
    this.#total = new Map(total);
  }

  /** Samples since the start, by rule and constraint. */
  get total(): ReadonlyMap<string, number> {
    return this.#total;
  }

  collect(denials: readonly GateDenial[]): void {
    for (const { stream, signal, rule, constraint, count } of denials) {
      const { campaign, recipient, agreement, signals } = this.#plan.streams[stream]!;
      const name = signals[signal]!.signal.name;
      const key = JSON.stringify([stream, signal, rule, constraint]);
      const before = this.#open.get(key)?.count ?? 0;
      this.#open.set(key, {
        campaign,
        recipient,
        signal: name,
        agreement,
        rule,
        reason: 'constraint',
        constraint,
        count: before + count,
      });
      const shown = `${rule}: ${constraint}`;
      this.#total.set(shown, (this.#total.get(shown) ?? 0) + count);
    }
  }

  /** One body a rule and signal since the last call. */
  take(): DecisionBody[] {
    const bodies = [...this.#open.values()];
    this.#open.clear();
    return bodies;
  }
}
