import { nearest, type SignalInfo, TollgateError } from '#contracts';
import { type Agreement, LAYERS, type Rule } from './agreement.ts';
import { type Asked, alignment } from './alignment.ts';
import type { Campaign, CampaignSignal } from './campaign.ts';
import { type Condition, canFail, canHold, conditionText, FALSE, failing, isAlways } from './condition.ts';
import { bindContext, bindUnit, type ContextBinding, type SignalCatalogue, type UnitFacts } from './context.ts';
import { decide, type Known, type RecipientFacts } from './decide.ts';
import { canBeMet, type Duty } from './duties.ts';
import type { BudgetPlan, Denial, DutyPlan, GateRule, Plan } from './plan.ts';
import { PlanBuilder } from './plan-builder.ts';
import { sensitivityOf } from './sensitivity.ts';
import { ruleReaches, targetReaches } from './targets.ts';
import {
  axisOf,
  hasMeasure,
  operationOf,
  otherAxis,
  PARAMETER_NAMES,
  type Parameters,
  proposed,
  refusalText,
  type SourcedDemand,
  stricter,
  strictest,
  unfit,
  withholdsLast,
} from './transforms.ts';
import { AGGREGATION_SERVICE, includesAction, type Sensitivity } from './vocabulary.ts';

export interface PlanInput {
  readonly campaigns: readonly Campaign[];
  readonly agreements: readonly Agreement[];
  /** Stronger than any agreement: their prohibitions and obligations hold for all, their permissions open nothing. */
  readonly lawPacks: readonly Agreement[];
  readonly signals: SignalCatalogue;
  /** `context:` of the configuration: operand without `auto:` → signal, `assume-<value>` or `none`. */
  readonly context: Readonly<Record<string, string>>;
  /** ms since 1970 UTC by the clock of the unit, null where unknown; it only ever closes: campaigns and permissions that are over. */
  readonly nowUtcMs: number | null;
  /** By DID, what credentials say of recipients; one without an entry is unknown. */
  readonly recipients?: ReadonlyMap<string, RecipientFacts> | undefined;
  /** Beside what `context` says of the unit (`region`, `attestation`), and before it. */
  readonly unit?: UnitFacts | undefined;
  /** Classes of signals by target (`vss:` branch or glob, `dbc:` name); the highest that reaches a signal counts. */
  readonly sensitivity?: Readonly<Record<string, Sensitivity>> | undefined;
}

/** What a signal needs of its agreement before it leaves (formats: a permission to distribute includes them). */
const NEEDED_ACTIONS = ['read', 'derive', 'store', 'distribute'] as const;

/** One requested signal on its way through the rules. */
interface Request {
  readonly entry: CampaignSignal;
  readonly info: SignalInfo;
  readonly licences: readonly Licence[];
  readonly closest: Omit<Denial, 'campaign' | 'recipient' | 'signal'>;
}

/** What one agreement permits. */
interface Licence {
  readonly agreement: Agreement;
  readonly permissions: readonly Rule[];
}

type Why = Omit<Denial, 'campaign' | 'recipient' | 'signal'>;

const NO_PERMISSION: Why = { agreement: null, rule: null, constraint: null, reason: 'no-permission' };

/**
 * Campaigns ∩ agreements ∩ law packs. Deny by default; any active prohibition wins over every permission; demands of
 * all permissions and obligations that apply combine to the strictest; each requested signal leaves or has a denial
 * that names the rule.
 *
 * @throws {TollgateError} TG_POLICY_CONTEXT_SOURCE, TG_POLICY_DUPLICATE; TG_POLICY_VALUE where a law pack prohibits a
 * target that no database knows
 */
export function compilePlan(input: PlanInput): Plan {
  return new Compiler(input).plan();
}

class Compiler {
  readonly #input: PlanInput;
  readonly #bindings: ReadonlyMap<string, ContextBinding>;
  readonly #unit: UnitFacts;
  readonly #agreements: readonly Agreement[];
  /** Law packs first: where several prohibitions apply, the stronger is named. */
  readonly #all: readonly Agreement[];
  readonly #builder: PlanBuilder;
  #aligned: ReturnType<typeof alignment> = () => null;

  constructor(input: PlanInput) {
    this.#input = input;
    once([...input.agreements, ...input.lawPacks], ({ uid }) => uid);
    once(input.campaigns, ({ campaign, recipient }) => `${campaign} of ${recipient}`);
    this.#bindings = bindContext(input.context, input.signals);
    this.#unit = { ...bindUnit(input.context), ...input.unit };
    const inForce = (documents: readonly Agreement[]) =>
      documents.filter(({ type }) => type !== 'Offer').sort((a, b) => bytewise(a.uid, b.uid));
    this.#agreements = inForce(input.agreements);
    const laws = inForce(input.lawPacks);
    const rank = (agreement: Agreement) => LAYERS.indexOf(laws.includes(agreement) ? 'law' : agreement.layer);
    // Stable: within a layer the order of uids stays.
    this.#all = [...laws, ...this.#agreements].sort((a, b) => rank(a) - rank(b));
    this.#builder = new PlanBuilder(this.#bindings);
  }

  plan(): Plan {
    for (const lawPack of this.#input.lawPacks) this.#refuseUnknownTargets(lawPack);
    this.#aligned = alignment(this.#input.campaigns.flatMap((campaign) => this.#asked(campaign)));
    for (const campaign of this.#input.campaigns) this.#campaign(campaign);
    this.#warnings();
    return this.#builder.build();
  }

  #campaign(campaign: Campaign): void {
    const deny = (signal: string, why: Why) =>
      this.#builder.deny({ campaign: campaign.campaign, recipient: campaign.recipient, signal, ...why });
    for (const members of this.#requests(campaign, deny)) this.#decide(campaign, members, deny);
    this.#builder.closeCampaign(campaign);
    this.#contextSignals(campaign, deny);
  }

  /** What a campaign asks of a signal that an agreement licenses under a demand, as it would run alone. */
  #asked(campaign: Campaign): readonly Asked[] {
    return this.#requests(campaign, () => {}).flatMap((members) => {
      if (members.some(({ licences }) => licences.length === 0)) return [];
      const demands = members.flatMap((member) => this.#demands(campaign, member).demands);
      const start = members.map((member) => proposed(member.entry, campaign.everyMs)).reduce(coarser);
      const { parameters, refused } = strictest(start, demands, axisOf(members[0]!.info) !== null);
      // Without a demand the recipient may have the signal raw: there is nothing to find out by subtracting.
      const by = demands.find(hasMeasure);
      if (refused !== null || by === undefined) return [];
      const { campaign: name, recipient } = campaign;
      return members.map(({ info }) => ({ campaign: name, recipient, signal: keyOf(info), parameters, by }));
    });
  }

  /** The requests of a campaign that can be decided; both axes of a cloaked position go together. */
  #requests(campaign: Campaign, deny: (signal: string, why: Why) => void): readonly (readonly Request[])[] {
    const requests = new Map<string, Request>();
    for (const entry of campaign.signals) {
      const info = this.#input.signals.byName.get(entry.signal);
      if (info === undefined) deny(entry.signal, { ...NO_PERMISSION, reason: 'unknown-signal' });
      else if (this.#expired(campaign)) deny(entry.signal, expiredCampaign(campaign));
      else if (requests.has(keyOf(info))) {
        deny(entry.signal, {
          ...NO_PERMISSION,
          constraint: `is the same signal as ${requests.get(keyOf(info))!.entry.signal}`,
          reason: 'transform',
        });
      } else requests.set(keyOf(info), this.#request(campaign, entry, info));
    }
    const done = new Set<Request>();
    return [...requests.values()].flatMap((request) => {
      if (done.has(request)) return [];
      const pair = request.entry.operation === 'cloak' ? pairOf(request, [...requests.values()]) : undefined;
      const members = pair === undefined ? [request] : [request, pair];
      for (const member of members) done.add(member);
      return [members];
    });
  }

  #expired({ expiresMs }: Campaign): boolean {
    const { nowUtcMs } = this.#input;
    return expiresMs !== null && nowUtcMs !== null && nowUtcMs >= expiresMs;
  }

  /** Which agreements permit a signal, tests on the operation left open, and which permission came closest if none. */
  #request(campaign: Campaign, entry: CampaignSignal, info: SignalInfo): Request {
    const known = this.#known(campaign, null, info);
    const licences: Licence[] = [];
    let closest: Why = NO_PERMISSION;
    for (const agreement of this.#agreements) {
      if (agreement.type !== 'Agreement' || agreement.assignee !== campaign.recipient) continue;
      const permissions: Rule[] = [];
      for (const rule of agreement.permissions) {
        if (!this.#reaches(rule, info)) continue;
        const at = { agreement: agreement.uid, rule: rule.uid };
        if (!rule.actions.some((action) => includesAction(action, 'distribute'))) {
          if (closest.rule === null)
            closest = {
              ...at,
              constraint: `permits ${rule.actions.join(', ')}, not distribute`,
              reason: 'no-permission',
            };
          continue;
        }
        const unmet = rule.duties.find((duty) => !canBeMet(duty));
        const open = decide(rule.condition, known);
        if (unmet !== undefined) {
          if (closest.reason === 'no-permission')
            closest = { ...at, constraint: `${unmet.text}, which cannot be met here`, reason: 'constraint' };
        } else if (!canHold(open)) {
          // A failed constraint is closer than a permission for something else.
          if (closest.reason === 'no-permission') closest = { ...at, constraint: failing(open), reason: 'constraint' };
        } else permissions.push(rule);
      }
      if (permissions.length > 0) licences.push({ agreement, permissions });
    }
    return { entry, info, licences, closest };
  }

  /** Decides one signal, or both axes of a position together. */
  #decide(campaign: Campaign, members: readonly Request[], deny: (signal: string, why: Why) => void): void {
    const { entry } = members[0]!;
    const alone = members.map((member) => proposed(member.entry, campaign.everyMs)).reduce(coarser);
    const licensed = members.every(({ licences }) => licences.length > 0);
    const obliged = licensed ? members.map((member) => this.#demands(campaign, member)) : [];
    const demands = obliged.flatMap((one) => one.demands);
    const duties = obliged.flatMap((one) => one.duties);
    const unmet = obliged.flatMap((one) => one.unmet)[0];
    const aligned = members.map(({ info }) => this.#aligned(campaign.campaign, campaign.recipient, keyOf(info)));
    const start = aligned.reduce((from, one) => one?.raise(from) ?? from, alone);
    const { parameters, raised, refused } = strictest(start, demands, axisOf(members[0]!.info) !== null);
    const withheld = entry.results.includes('last') ? withholdsLast(demands) : null;
    const results = entry.results.filter(
      (result) => !(result === 'last' && withheld !== null) && !(result === 'sum' && parameters.step > 0),
    );
    let refusal: Why | null = unmet ?? (refused === null ? null : cannotCarry(refused, demands, entry.operation));
    if (withheld !== null && results.length === 0) refusal ??= cannotCarry(withheld, demands, 'last');
    // A sum over its count is a mean, finer than the step that was asked for.
    if (refusal === null && results.length === 0 && entry.results.length > 0)
      refusal = { ...NO_PERMISSION, constraint: 'a sum has no steps of values', reason: 'transform' };
    refusal ??= aligned.find((one) => one?.conflict != null)?.conflict ?? null;
    const verdicts = members.map((member) => this.#verdict(campaign, member, members, parameters, refusal));
    const failed = verdicts.find((verdict): verdict is { why: Why } => 'why' in verdict);
    if (failed !== undefined) {
      members.forEach((member, i) => {
        const verdict = verdicts[i]!;
        const own =
          'why' in verdict ? verdict.why : { ...failed.why, constraint: `${members[1 - i]!.info.name} does not leave` };
        deny(member.entry.signal, own);
      });
      return;
    }
    members.forEach((member, i) => {
      const { open, prohibitions } = verdicts[i] as { open: OpenLicence[]; prohibitions: GateRule[] };
      const shared = open.filter(({ agreement }) =>
        verdicts.every((verdict) => 'open' in verdict && verdict.open.some((one) => one.agreement === agreement)),
      );
      const operation = operationOf(parameters, { ...member.entry, results }, axisOf(member.info));
      this.#builder.add(campaign, member.info, operation, shared, prohibitions, duties);
      for (const operand of tripOperands(parameters))
        this.#builder.need(operand, `trip ends of ${member.info.name} for campaign ${campaign.campaign}`);
      if (results.length < entry.results.length && entry.results.includes('sum') && parameters.step > 0)
        this.#builder.raise(
          `${campaign.campaign}: ${member.info.name}: sum withheld: over its count it is finer than a step`,
        );
      const coarse = aligned[i]?.note(alone) ?? null;
      if (coarse !== null) this.#builder.raise(`${campaign.campaign}: ${member.info.name}: ${coarse}`);
      for (const note of raised) this.#builder.raise(`${campaign.campaign}: ${member.info.name}: ${note}`);
      if (withheld !== null) {
        const { text, rule, agreement } = withheld;
        this.#builder.raise(
          `${campaign.campaign}: ${member.info.name}: last withheld by ${text} of ${rule} of ${agreement}`,
        );
      }
      const flips =
        member.info.f * member.info.factor < 0 && entry.results.some((result) => result === 'min' || result === 'max');
      if (flips)
        this.#builder.raise(
          `${campaign.campaign}: ${member.info.name}: its factor is negative, so the physical min is taken from the largest raw value and max from the least`,
        );
    });
  }

  #verdict(
    campaign: Campaign,
    member: Request,
    members: readonly Request[],
    parameters: Parameters,
    refusal: Why | null,
  ): { why: Why } | { open: OpenLicence[]; prohibitions: GateRule[] } {
    const known = this.#known(campaign, parameters, member.info);
    const prohibitions = this.#prohibitions(campaign, member.info, known);
    if ('why' in prohibitions) return prohibitions;
    if (member.licences.length === 0) return { why: member.closest };
    if (refusal !== null) return { why: refusal };
    const misfit =
      unfit(member.entry, member.info, parameters) ?? missingAxis(member, members) ?? unseenTrip(parameters, known);
    if (misfit !== null) return { why: { ...NO_PERMISSION, constraint: misfit, reason: 'transform' } };
    const open = openLicences(member, known);
    if ('why' in open) return open;
    const joint = open.licences.filter(({ agreement }) =>
      members.every(({ licences }) => licences.some((one) => one.agreement === agreement)),
    );
    if (joint.length === 0)
      return { why: { ...NO_PERMISSION, constraint: 'no agreement permits both axes', reason: 'no-permission' } };
    return { open: joint, prohibitions: prohibitions.rules };
  }

  /** Demands and duties of the permissions that apply, and of every obligation that reaches the signal. */
  #demands(campaign: Campaign, { info, licences }: Request): Obliged {
    const known = { ...this.#known(campaign, null, info), nowUtcMs: null };
    const aggregates = known.facts?.roles.includes(AGGREGATION_SERVICE) ?? false;
    const source = (agreement: Agreement, rule: Rule) =>
      rule.demands.map((demand) => ({ ...demand, rule: rule.uid, agreement: agreement.uid }));
    const permitted = licences.flatMap(({ agreement, permissions }) =>
      permissions.flatMap((rule) => source(agreement, rule)),
    );
    const obligations = this.#bound(campaign).flatMap((agreement) =>
      agreement.obligations
        .filter((rule) => this.#reaches(rule, info) && !isNever(decide(rule.condition, known)))
        .map((rule) => ({ agreement, rule })),
    );
    const demands = [...obligations.flatMap(({ agreement, rule }) => source(agreement, rule)), ...permitted];
    const subjects = demands.filter(({ operand }) => operand === 'auto:kMin');
    if (aggregates) {
      for (const { text, rule, agreement } of subjects)
        this.#builder.raise(
          `${campaign.campaign}: ${info.name}: ${text} of ${rule} of ${agreement} is left to the aggregation service`,
        );
    }
    const unmet = obligations.flatMap(({ agreement, rule }) =>
      rule.duties
        .filter((duty) => !canBeMet(duty))
        .map(
          ({ text }): Why => ({
            agreement: agreement.uid,
            rule: rule.uid,
            constraint: `${text}, which cannot be met here`,
            reason: 'prohibited',
          }),
        ),
    );
    return {
      demands: aggregates ? demands.filter(({ operand }) => operand !== 'auto:kMin') : demands,
      duties: obligations.flatMap(({ agreement, rule }) => dutyPlans(agreement, rule.uid, rule.duties)),
      unmet,
    };
  }

  #reaches(rule: Rule, info: SignalInfo): boolean {
    return ruleReaches(rule, info, this.#input.signals.byName);
  }

  /** The policies whose prohibitions and obligations bind the recipient of a campaign. */
  #bound({ recipient }: Campaign): readonly Agreement[] {
    return this.#all.filter(({ assignee }) => assignee === null || assignee === recipient);
  }

  /** What prohibits a signal for good, else the prohibitions that the gate has to ask. */
  #prohibitions(campaign: Campaign, info: SignalInfo, known: Known): { why: Why } | { rules: GateRule[] } {
    const kind = known.parameters!.kind;
    const actions = [
      ...NEEDED_ACTIONS,
      ...(kind === 'aggregate' || kind === 'noise' ? ['aggregate'] : []),
      ...(kind === 'cloak' || kind === 'noise' || kind === 'pseudonymise' ? ['anonymize'] : []),
    ];
    const rules: GateRule[] = [];
    for (const agreement of this.#bound(campaign)) {
      for (const rule of agreement.prohibitions) {
        if (!this.#reaches(rule, info)) continue;
        if (!rule.actions.some((action) => actions.some((needed) => includesAction(action, needed)))) continue;
        const open = decide(rule.condition, { ...known, nowUtcMs: null });
        if (isNever(open)) continue;
        // Unknown counts as active: a prohibition fails closed.
        if (!canFail(open)) {
          const constraint = failing(open) ?? wordsOf(rule);
          return { why: { agreement: agreement.uid, rule: rule.uid, constraint, reason: 'prohibited' } };
        }
        rules.push({ uid: rule.uid, agreement: agreement.uid, condition: open });
      }
    }
    return { rules };
  }

  #known(campaign: Campaign, parameters: Parameters | null, info: SignalInfo): Known {
    const { recipient, purpose } = campaign;
    const binding = (operand: string): ContextBinding | 'prohibited' => {
      const bound = this.#bindings.get(operand) ?? { kind: 'none' };
      const blocked =
        bound.kind === 'signals' && bound.signals.some(({ signal }) => this.#unreadable(campaign, signal) !== null);
      return blocked ? 'prohibited' : bound;
    };
    return {
      recipient,
      purpose,
      nowUtcMs: this.#input.nowUtcMs,
      parameters,
      binding,
      ...this.#standing(recipient, info),
    };
  }

  #standing(recipient: string, info: SignalInfo): Pick<Known, 'facts' | 'unit' | 'sensitivity'> {
    const { recipients, sensitivity, signals } = this.#input;
    const level = sensitivityOf(info, sensitivity ?? {}, signals.byName);
    return { facts: recipients?.get(recipient) ?? null, unit: this.#unit, sensitivity: level };
  }

  /** The prohibition of `read` or `use` that keeps a signal even from the gate; null where there is none. */
  #unreadable(campaign: Campaign, signal: SignalInfo): { agreement: Agreement; rule: Rule } | null {
    const { recipient, purpose } = campaign;
    // No context inside the question about context: what depends on one counts as active.
    const known: Known = {
      recipient,
      purpose,
      nowUtcMs: null,
      parameters: null,
      binding: () => ({ kind: 'none' }),
      ...this.#standing(recipient, signal),
    };
    for (const agreement of this.#bound(campaign)) {
      for (const rule of agreement.prohibitions) {
        const reads = rule.actions.some((action) => includesAction(action, 'read'));
        if (reads && this.#reaches(rule, signal) && !isNever(decide(rule.condition, known))) return { agreement, rule };
      }
    }
    return null;
  }

  #contextSignals(campaign: Campaign, deny: (signal: string, why: Why) => void): void {
    for (const name of campaign.context) {
      const info = this.#input.signals.byName.get(name);
      const kept = info === undefined ? null : this.#unreadable(campaign, info);
      if (info === undefined) deny(name, { ...NO_PERMISSION, reason: 'unknown-signal' });
      else if (this.#expired(campaign)) deny(name, expiredCampaign(campaign));
      else if (kept === null) this.#builder.context(info, `context of campaign ${campaign.campaign}`);
      else {
        deny(name, {
          agreement: kept.agreement.uid,
          rule: kept.rule.uid,
          constraint: wordsOf(kept.rule),
          reason: 'prohibited',
        });
      }
    }
  }

  /** A prohibition of the law that reaches nothing, by a slip of the pen or a renamed signal, must not pass as obeyed. */
  #refuseUnknownTargets({ uid, file, prohibitions }: Agreement): void {
    for (const rule of prohibitions) {
      const unknown = rule.targets.find((target) => !this.#isKnown(target));
      if (unknown === undefined) continue;
      const names = [...this.#input.signals.byName.keys()].map((name) =>
        name.startsWith('dbc:') ? name : `vss:${name}`,
      );
      const near = nearest(unknown, names);
      throw new TollgateError('TG_POLICY_VALUE', `${rule.uid} of ${uid}: no signal of the databases is ${unknown}`, {
        place: { file, pointer: `${rule.pointer}/target` },
        remedy: `${near === undefined ? 'Name a signal or branch of the databases.' : `Did you mean "${near}"?`} No plan was made.`,
      });
    }
  }

  #isKnown(target: string): boolean {
    const { signals, byName } = this.#input.signals;
    return signals.some((signal) => targetReaches(target, signal, byName, true));
  }

  #warnings(): void {
    for (const agreement of this.#all) {
      for (const warning of agreement.warnings) this.#builder.warn(warning);
      for (const rule of [...agreement.prohibitions, ...agreement.obligations]) {
        for (const target of rule.targets) {
          if (this.#isKnown(target)) continue;
          this.#builder.warn(`${rule.uid} of ${agreement.uid}: no signal of the databases is ${target}`);
        }
      }
      if (agreement.type === 'Set' && agreement.permissions.length > 0) {
        this.#builder.warn(`${agreement.uid}: a Set opens nothing; only an Agreement licenses`);
      }
    }
  }
}

/** An agreement whose permissions still may hold, and what is left to ask. */
export interface OpenLicence {
  readonly agreement: Agreement;
  readonly rules: readonly GateRule[];
  /** Limits of its permissions, unless one without any always holds. */
  readonly budgets: readonly BudgetPlan[];
  readonly duties: readonly DutyPlan[];
}

interface Obliged {
  readonly demands: readonly SourcedDemand[];
  readonly duties: readonly DutyPlan[];
  /** Obligations that nobody here can meet: they deny. */
  readonly unmet: readonly Why[];
}

function dutyPlans({ uid }: Agreement, rule: string, duties: readonly Duty[]): readonly DutyPlan[] {
  return duties.flatMap(({ action, withinMs }) =>
    withinMs === null ? [] : [{ rule, agreement: uid, action, withinMs }],
  );
}

function openLicences({ info, licences }: Request, known: Known): { why: Why } | { licences: OpenLicence[] } {
  let closest: Why | null = null;
  const open = licences.flatMap(({ agreement, permissions }) => {
    const budgets: BudgetPlan[] = [];
    const duties: DutyPlan[] = [];
    let free = false;
    const rules = permissions.flatMap((rule) => {
      const condition = decide(rule.condition, known);
      if (canHold(condition)) {
        for (const { counts, limit, periodMs } of rule.budgets) {
          const key = counts === 'epsilon' ? `${counts}/${rule.uid}/${info.dbcName}` : `${counts}/${rule.uid}`;
          budgets.push({
            agreement: agreement.uid,
            counts,
            key,
            limit,
            ...(periodMs === undefined ? {} : { periodMs }),
          });
        }
        free ||= rule.budgets.length === 0 && isAlways(condition);
        duties.push(...dutyPlans(agreement, rule.uid, rule.duties));
        return [{ uid: rule.uid, agreement: agreement.uid, condition }];
      }
      closest ??= { agreement: agreement.uid, rule: rule.uid, constraint: failing(condition), reason: 'constraint' };
      return [];
    });
    return rules.length === 0 ? [] : [{ agreement, rules, budgets: free ? [] : budgets, duties }];
  });
  return open.length === 0 ? { why: closest! } : { licences: open };
}

function cannotCarry(demand: SourcedDemand, demands: readonly SourcedDemand[], carrier: string): Why {
  const { agreement, rule } = demand;
  return { agreement, rule, constraint: refusalText(demand, demands, carrier), reason: 'transform' };
}

/** Both axes of a position run under the coarser proposal of the two. */
function coarser(a: Parameters, b: Parameters): Parameters {
  return { ...a, ...Object.fromEntries(PARAMETER_NAMES.map((name) => [name, stricter(name, a[name], b[name])])) };
}

/** What a signal whose trip ends are held back asks of the context: way is told by speed, unless both axes are there. */
function tripOperands({ kind, trimMs, trimMetres }: Parameters): readonly string[] {
  if (trimMs === 0 && trimMetres === 0) return [];
  return kind === 'cloak' || trimMetres === 0 ? ['auto:ignition'] : ['auto:ignition', 'auto:vehicleSpeed'];
}

/** An ignition that is assumed never goes off, so no end of a trip would be held back. */
function unseenTrip(parameters: Parameters, known: Known): string | null {
  const unseen = tripOperands(parameters).find((operand) => {
    const binding = known.binding(operand);
    return binding === 'prohibited' || binding.kind !== 'signals';
  });
  return unseen === undefined
    ? null
    : `trip ends need ${unseen} as a signal that may be read (context: of the configuration)`;
}

function pairOf({ info }: Request, requests: readonly Request[]): Request | undefined {
  if (axisOf(info) === null) return undefined;
  const other = otherAxis(info);
  return requests.find(
    ({ entry, info: found }) =>
      entry.operation === 'cloak' && found.name === other && found.channel === info.channel && found.id === info.id,
  );
}

function missingAxis({ entry, info }: Request, members: readonly Request[]): string | null {
  if (entry.operation !== 'cloak' || members.length === 2) return null;
  return `cloak needs ${otherAxis(info)} of the same message beside it, cloaked too`;
}

function expiredCampaign({ campaign, expiresMs }: Campaign): Why {
  return {
    ...NO_PERMISSION,
    constraint: `campaign ${campaign} expired at ${new Date(expiresMs!).toISOString()}`,
    reason: 'expired',
  };
}

/** The constraints of a rule in words; null where it has none. */
const wordsOf = ({ condition }: Rule): string | null => (isAlways(condition) ? null : conditionText(condition));
const isNever = (condition: Condition): boolean => condition.op === 'known' && condition.state === FALSE;
const keyOf = (info: SignalInfo): string => info.dbcName;

/** Bytewise order of UTF-8, as agreement uids are compared. */
function bytewise(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

function once<T extends { readonly file: string }>(documents: readonly T[], name: (document: T) => string): void {
  const seen = new Map<string, T>();
  for (const document of documents) {
    const before = seen.get(name(document));
    if (before !== undefined) {
      const message = `${name(document)} was loaded from ${before.file} already`;
      throw new TollgateError('TG_POLICY_DUPLICATE', message, { place: { file: document.file } });
    }
    seen.set(name(document), document);
  }
}
