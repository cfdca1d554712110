import type { OperationSpec, SignalInfo } from '#contracts';
import type { Campaign } from './campaign.ts';
import type { OpenLicence } from './compile.ts';
import { atomsOf, isAlways } from './condition.ts';
import type { ContextBinding } from './context.ts';
import type { ContextSource, Denial, DutyPlan, GateRule, Plan, PlannedSignal, StreamPlan } from './plan.ts';
import { OPERANDS } from './vocabulary.ts';

interface Granted {
  readonly info: SignalInfo;
  readonly operation: OperationSpec;
  /** In the order of agreement uids; ends with the first that holds always. */
  readonly licences: readonly OpenLicence[];
  readonly prohibitions: readonly GateRule[];
  /** Of obligations, whatever the agreement. */
  readonly duties: readonly DutyPlan[];
}

interface Right {
  readonly signal: SignalInfo;
  readonly because: string[];
}

/** Collects what the compiler decided, and numbers streams, signals and context. */
export class PlanBuilder {
  readonly #bindings: ReadonlyMap<string, ContextBinding>;
  readonly #streams: StreamPlan[] = [];
  readonly #denials: Denial[] = [];
  readonly #raised: string[] = [];
  readonly #warnings: string[] = [];
  readonly #record = new Map<string, Right>();
  readonly #context = new Map<string, Right>();
  readonly #operands = new Set<string>();
  #granted: Granted[] = [];

  constructor(bindings: ReadonlyMap<string, ContextBinding>) {
    this.#bindings = bindings;
  }

  deny(denial: Denial): void {
    this.#denials.push(denial);
  }

  raise(note: string): void {
    this.#raised.push(note);
  }

  warn(note: string): void {
    this.#warnings.push(note);
  }

  /** Gives the decode right `context`. */
  context(signal: SignalInfo, because: string): void {
    give(this.#context, signal, because);
  }

  /** A signal that leaves needs an operand of the context for what is done with it. */
  need(operand: string, because: string): void {
    this.#operands.add(operand);
    const binding = this.#bindings.get(operand);
    if (binding?.kind === 'signals') for (const { signal } of binding.signals) this.context(signal, because);
  }

  /** A signal of the open campaign leaves under the first of `licences` that holds. */
  add(
    campaign: Campaign,
    info: SignalInfo,
    operation: OperationSpec,
    licences: readonly OpenLicence[],
    prohibitions: readonly GateRule[],
    duties: readonly DutyPlan[],
  ): void {
    const certain = licences.findIndex(({ rules }) => rules.some(({ condition }) => isAlways(condition)));
    const used = certain < 0 ? licences : licences.slice(0, certain + 1);
    this.#granted.push({ info, operation, licences: used, prohibitions, duties });
    for (const { agreement, rules } of used) {
      give(this.#record, info, `campaign ${campaign.campaign} under ${rules[0]!.uid} of ${agreement.uid}`);
      for (const rule of rules) this.#ask(rule);
    }
    for (const rule of prohibitions) this.#ask(rule);
  }

  /**
   * Lays out the streams of a campaign: one an agreement and set of budgets, in the order of uids and of signals as the
   * campaign lists them. A budget that is spent so stops what it licenses and nothing else.
   */
  closeCampaign(campaign: Campaign): void {
    const first = this.#streams.length;
    const streams: { licence: OpenLicence; signals: PlannedSignal[]; duties: DutyPlan[] }[] = [];
    const byName = new Map<string, (typeof streams)[number]>();
    const nameOf = ({ agreement, budgets }: OpenLicence) => JSON.stringify([agreement.uid, budgets]);
    const all = this.#granted.flatMap(({ licences }) => licences);
    for (const licence of all.sort((a, b) =>
      Buffer.compare(Buffer.from(a.agreement.uid), Buffer.from(b.agreement.uid)),
    )) {
      if (byName.has(nameOf(licence))) continue;
      const stream = { licence, signals: [], duties: [] };
      streams.push(stream);
      byName.set(nameOf(licence), stream);
    }
    for (const { info, operation, licences, prohibitions, duties } of this.#granted) {
      const instead: { stream: number; signal: number }[] = [];
      for (const licence of licences) {
        const stream = byName.get(nameOf(licence))!;
        const { rules } = licence;
        const gate = { permissions: rules, prohibitions, expiresMs: campaign.expiresMs, instead: [...instead] };
        instead.push({ stream: first + streams.indexOf(stream), signal: stream.signals.length });
        stream.signals.push({ signal: info, operation, rule: rules[0]!.uid, gate });
        stream.duties.push(...duties, ...licence.duties);
      }
    }
    for (const { licence, signals, duties } of streams) {
      const { agreement, budgets } = licence;
      this.#streams.push({
        recipient: campaign.recipient,
        purpose: campaign.purpose,
        campaign: campaign.campaign,
        campaignVersion: campaign.version,
        agreement: agreement.uid,
        agreementVersion: agreement.version,
        agreementHash: agreement.hash,
        priority: campaign.priority,
        recordMs: campaign.recordMs,
        ...(campaign.ticksPerMs === undefined ? {} : { ticksPerMs: campaign.ticksPerMs }),
        signals,
        budgets: once(budgets),
        duties: once(duties),
      });
    }
    this.#granted = [];
  }

  build(): Plan {
    const rights = (from: ReadonlyMap<string, Right>, right: 'record' | 'context') =>
      [...from.values()].map(({ signal, because }) => ({ signal, right, because: because.join('; ') }));
    return {
      streams: this.#streams,
      denials: this.#denials,
      rights: [...rights(this.#record, 'record'), ...rights(this.#context, 'context')],
      raised: [...new Set(this.#raised)],
      warnings: this.#warnings,
      context: [...this.#operands].flatMap((operand) => this.#sources(operand)),
    };
  }

  /** Notes which context a rule of the gate asks for; only that gets a decode right. */
  #ask(rule: GateRule): void {
    for (const { operand } of atomsOf(rule.condition)) {
      if (OPERANDS[operand]!.phase !== 'context') continue;
      this.#operands.add(operand);
      const binding = this.#bindings.get(operand);
      if (binding?.kind !== 'signals') continue;
      for (const { signal } of binding.signals) this.context(signal, `${operand} of ${rule.uid} of ${rule.agreement}`);
    }
  }

  #sources(operand: string): ContextSource[] {
    const binding = this.#bindings.get(operand);
    if (binding === undefined || binding.kind === 'none') return [{ operand, kind: 'none' }];
    if (binding.kind === 'assume') return [{ operand, kind: 'assume', value: binding.value }];
    const keys = [...this.#context.keys()];
    return binding.signals.map(({ signal, scale, axis }) => ({
      operand,
      kind: 'signal',
      index: keys.indexOf(signal.dbcName),
      scale,
      axis,
    }));
  }
}

function give(rights: Map<string, Right>, signal: SignalInfo, because: string): void {
  const right = rights.get(signal.dbcName) ?? { signal, because: [] };
  if (!right.because.includes(because)) right.because.push(because);
  rights.set(signal.dbcName, right);
}

/** Each entry once, by its content. */
function once<T>(entries: readonly T[]): readonly T[] {
  return [...new Map(entries.map((entry) => [JSON.stringify(entry), entry])).values()];
}
