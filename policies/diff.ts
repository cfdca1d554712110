import type { OperationSpec, SignalInfo } from '#contracts';
import type { Agreement, Rule } from './agreement.ts';
import type { Campaign } from './campaign.ts';
import { compilePlan } from './compile.ts';
import { ALWAYS, type Condition, conditionText, isAlways, reduce, TRUE } from './condition.ts';
import type { SignalCatalogue } from './context.ts';
import { createDecisionTable, type DecisionTable } from './decision-table.ts';
import type { Plan, PlannedSignal, StreamPlan } from './plan.ts';
import {
  ANYONE,
  finestCampaigns,
  PROBE_CONTEXT,
  probeCatalogue,
  probePurposes,
  probeRecipients,
  probeSignals,
  rulesOf,
} from './probes.ts';
import { sensitivityOf } from './sensitivity.ts';
import { ruleReaches } from './targets.ts';
import { durationText } from './time.ts';
import { axisOf, shapingText } from './transforms.ts';
import { OPERANDS } from './vocabulary.ts';
import { type Moment, type Standing, type Worlds, worldsOf, worldText } from './worlds.ts';

/*
 * What another policy opens or closes. Both are compiled: the words come from the plans that the finest campaigns get
 * (or those that are given), the verdict from decisions in every world that the rules can tell apart.
 */

export interface DiffInput {
  readonly before: Agreement;
  readonly after: Agreement;
  /** In force on both sides: agreements and law packs. */
  readonly beside?: readonly Agreement[];
  /** Ask only what these ask; without them everything that can be asked. */
  readonly campaigns?: readonly Campaign[];
  /** Signals of the databases; null: what the policies name. */
  readonly signals: SignalCatalogue | null;
}

/** Under what a signal leaves, in words. */
export interface Terms {
  /** `raw samples`, `at most one mean a second`; empty: it does not leave. */
  readonly leaves: readonly string[];
  /** What each sample is asked for. */
  readonly conditions: readonly string[];
  /** Budgets and what the recipient owes. */
  readonly limits: readonly string[];
  /** How long the recipient may keep it, ms; null: as long as it likes. */
  readonly keptMs: number | null;
}

export interface PolicyChange {
  /** `opens`: something may leave that did not; `closes`: the other way; `both`; `words`: other terms, the same leaves. */
  readonly kind: 'opens' | 'closes' | 'both' | 'words';
  readonly signals: readonly string[];
  readonly recipient: string;
  readonly purpose: string;
  readonly campaign: string | null;
  readonly was: Terms;
  readonly now: Terms;
  /** One line for a person. */
  readonly text: string;
  /** A world in which something opens, in words; null where nothing does. */
  readonly example: string | null;
}

const CLOSED: Terms = { leaves: [], conditions: [], limits: [], keptMs: null };
const MS_PER_S = 1000;
const MOST_NAMED = 4;

/** Every difference between two policies, by signal, recipient and purpose; what opens comes first. */
export function diffPolicies(input: DiffInput): readonly PolicyChange[] {
  const { before, after, beside = [] } = input;
  const policies = [before, after, ...beside];
  const signals = probeSignals(policies, input.signals);
  const sides = [before, after].map((policy) => new Side([policy, ...beside], signals, input.signals));
  const [old, next] = sides as [Side, Side];
  const changes =
    input.campaigns === undefined || input.campaigns.length === 0
      ? everything(old, next, signals, probeRecipients(policies))
      : asked(old, next, input.campaigns);
  const order = ['opens', 'both', 'closes', 'words'];
  return merged(changes).sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

export function opens({ kind }: PolicyChange): boolean {
  return kind === 'opens' || kind === 'both';
}

/** One of the two: its policies in force, with plans and decisions. */
class Side {
  readonly rules: readonly Rule[];
  readonly catalogue: SignalCatalogue;
  readonly #agreements: readonly Agreement[];
  readonly #lawPacks: readonly Agreement[];
  readonly #tables = new Map<Standing, DecisionTable>();

  constructor(policies: readonly Agreement[], signals: readonly SignalInfo[], given: SignalCatalogue | null) {
    this.catalogue = probeCatalogue(signals, given);
    this.#lawPacks = policies.filter(({ type }) => type === 'Set');
    const agreements = policies.filter(({ type }) => type === 'Agreement');
    // A Set alone opens nothing: it is measured on one that permits everything.
    this.#agreements = agreements.length === 0 && this.#lawPacks.length > 0 ? [permitAll(signals)] : agreements;
    this.rules = policies.filter(({ type }) => type !== 'Offer').flatMap(rulesOf);
  }

  plan(campaigns: readonly Campaign[], { facts, unit }: Standing): Plan {
    return compilePlan({
      campaigns,
      agreements: this.#agreements,
      lawPacks: this.#lawPacks,
      signals: this.catalogue,
      context: PROBE_CONTEXT,
      nowUtcMs: null,
      recipients: facts === null ? undefined : new Map(campaigns.map(({ recipient }) => [recipient, facts])),
      unit,
    });
  }

  table(standing: Standing, recipients: readonly string[]): DecisionTable {
    const known = this.#tables.get(standing);
    if (known !== undefined) return known;
    const { facts, unit } = standing;
    const table = createDecisionTable({
      agreements: this.#agreements,
      lawPacks: this.#lawPacks,
      signals: this.catalogue,
      recipients: facts === null ? undefined : new Map(recipients.map((did) => [did, facts])),
      unit,
    });
    this.#tables.set(standing, table);
    return table;
  }

  reaching(info: SignalInfo): readonly Rule[] {
    return this.rules.filter((rule) => ruleReaches(rule, info, this.catalogue.byName));
  }

  ruleOf(agreement: string, uid: string): Rule | undefined {
    const policy = [...this.#agreements, ...this.#lawPacks].find((one) => one.uid === agreement);
    return policy === undefined ? undefined : rulesOf(policy).find((rule) => rule.uid === uid);
  }
}

/** An agreement that permits everybody everything. */
function permitAll(signals: readonly SignalInfo[]): Agreement {
  return {
    file: 'everything',
    type: 'Agreement',
    layer: 'recipient',
    uid: 'urn:everything',
    version: 1,
    assigner: null,
    assignee: ANYONE,
    permissions: [
      {
        kind: 'permission',
        uid: '#everything',
        pointer: '',
        targets: signals.map(({ name }) => (name.startsWith('dbc:') ? name : `vss:${name}`)),
        actions: ['use'],
        condition: ALWAYS,
        demands: [],
        duties: [],
        budgets: [],
        remedies: [],
      },
    ],
    prohibitions: [],
    obligations: [],
    hash: new Uint8Array(32),
    warnings: [],
  };
}

/** Signals that the same rules reach are one question. */
function groups(old: Side, next: Side, signals: readonly SignalInfo[]): readonly (readonly SignalInfo[])[] {
  const rules = [...new Set([...old.rules, ...next.rules])];
  const found = new Map<string, SignalInfo[]>();
  for (const info of signals) {
    const reached = rules.flatMap((rule, i) => (ruleReaches(rule, info, old.catalogue.byName) ? [i] : []));
    if (reached.length === 0) continue;
    const kind = [sensitivityOf(info, {}, old.catalogue.byName), axisOf(info) !== null, info.type === 'wide'];
    const key = JSON.stringify([reached, kind]);
    const group = found.get(key);
    if (group === undefined) found.set(key, [info]);
    else group.push(info);
  }
  return [...found.values()];
}

function everything(
  old: Side,
  next: Side,
  signals: readonly SignalInfo[],
  recipients: readonly string[],
): readonly PolicyChange[] {
  return groups(old, next, signals).flatMap((group) => {
    const first = group[0]!;
    const rules = [...new Set([...old.reaching(first), ...next.reaching(first)])];
    const worlds = worldsOf(rules);
    const pair = axisOf(first) === null ? [first] : signals.filter((one) => axisOf(one) !== null);
    return recipients.flatMap((recipient) =>
      probePurposes(rules).flatMap(({ stands, words }): PolicyChange[] => {
        const campaigns = finestCampaigns(pair, recipient, stands);
        const was = bestTerms(old, campaigns, first, worlds.standings);
        const now = bestTerms(next, campaigns, first, worlds.standings);
        const request = { signal: first.name, recipient, purpose: stands };
        const verdict = compare(old, next, request, worlds, rules);
        return change(group, recipient, words, null, was, now, verdict);
      }),
    );
  });
}

interface Verdict {
  readonly opens: boolean;
  readonly closes: boolean;
  readonly example: string | null;
  readonly complete: boolean;
}

/** Both policies decide in every world. */
function compare(
  old: Side,
  next: Side,
  { signal, recipient, purpose }: { readonly signal: string; readonly recipient: string; readonly purpose: string },
  { standings, moments, complete }: Worlds,
  rules: readonly Rule[],
  ran: { readonly was: OperationSpec | null; readonly now: OperationSpec | null } | null = null,
): Verdict {
  let opened: Moment | null = null;
  let closes = false;
  for (const standing of standings) {
    const tables = [old, next].map((side) => side.table(standing, [recipient])) as [DecisionTable, DecisionTable];
    for (const moment of moments) {
      if (opened !== null && closes) break;
      const request = { signal, recipient, purpose, action: 'distribute', utcMs: moment.utcMs };
      const [was, now] = tables.map((table, side) => {
        const operation = side === 0 ? ran?.was : ran?.now;
        if (operation === null) return false;
        const context = operation === undefined ? moment.context : { ...moment.context, ...transformsOf(operation) };
        return table.decide({ ...request, context }).permitted;
      });
      if (now && !was) opened ??= moment;
      if (was && !now) closes = true;
    }
  }
  const example =
    opened === null
      ? null
      : worldText(
          opened,
          rules.map(({ condition }) => condition),
        );
  return { opens: opened !== null, closes, example: example === '' ? null : example, complete };
}

/** An operation as `DecisionRequest` sees it. */
function transformsOf(operation: OperationSpec): Record<string, number> {
  const windowMs = 'windowMs' in operation ? operation.windowMs : 0;
  const periodMs = 'periodMs' in operation ? operation.periodMs : windowMs;
  return {
    'auto:aggregationWindow': windowMs,
    'auto:sampling': periodMs,
    timeInterval: periodMs,
    'auto:rate': periodMs === 0 ? Number.POSITIVE_INFINITY : MS_PER_S / periodMs,
    'auto:precision': operation.kind === 'cloak' ? operation.cellMetres : (operation.step ?? 0),
    'auto:minSamples': 'minSamples' in operation ? (operation.minSamples ?? 1) : 1,
    'auto:epsilon': operation.kind === 'noise' ? operation.epsilonMicro / 1e6 : Number.POSITIVE_INFINITY,
    'auto:pseudonymPeriod': operation.kind === 'pseudonymise' ? operation.rotateMs : Number.POSITIVE_INFINITY,
    'auto:tripEndTime': operation.trim?.timeMs ?? 0,
    'auto:tripEndDistance': operation.trim?.metres ?? 0,
  };
}

/** The terms in the standing that lets the most out. */
function bestTerms(
  side: Side,
  campaigns: readonly Campaign[],
  info: SignalInfo,
  standings: readonly Standing[],
): Terms {
  for (const standing of standings) {
    // One by one: together they would be held to one parameter.
    const found = campaigns.flatMap((campaign) => sent(side.plan([campaign], standing), info));
    if (found.length > 0) return termsOf(side, found);
  }
  return CLOSED;
}

interface Sent {
  readonly stream: StreamPlan;
  readonly signal: PlannedSignal;
}

function sent({ streams }: Plan, { dbcName }: SignalInfo, campaign?: string): readonly Sent[] {
  return streams
    .filter((stream) => campaign === undefined || stream.campaign === campaign)
    .flatMap((stream) =>
      stream.signals.filter(({ signal }) => signal.dbcName === dbcName).map((signal) => ({ stream, signal })),
    );
}

function termsOf(side: Side, found: readonly Sent[]): Terms {
  const raw = found.some(({ signal }) => signal.operation.kind === 'raw');
  const shown = raw ? found.filter(({ signal }) => signal.operation.kind === 'raw') : found;
  const rules = shown.flatMap(({ signal }) => signal.gate.permissions);
  const open = rules.map(({ uid, agreement }) => asWritten(side.ruleOf(agreement, uid)?.condition ?? ALWAYS));
  const may = open.some((condition) => isAlways(condition)) ? [] : open.map((one) => `while ${conditionText(one)}`);
  const not = shown.flatMap(({ signal }) =>
    signal.gate.prohibitions.map(({ uid, agreement }) => {
      const condition = asWritten(side.ruleOf(agreement, uid)?.condition ?? ALWAYS);
      return `not while ${conditionText(condition)} (${uid})`;
    }),
  );
  const budgets = shown.flatMap(({ stream }) =>
    stream.budgets.map(({ counts, limit, periodMs }) => {
      if (counts !== 'epsilon') return counts === 'count' ? `at most ${limit} records` : `at most ${limit} bytes`;
      return `a privacy loss of at most ${limit / 1e6}${periodMs === undefined ? '' : ` ${every(periodMs)}`}`;
    }),
  );
  const kept = shown.flatMap(({ stream }) => stream.duties.map(({ withinMs }) => withinMs));
  const keptMs = kept.length === 0 ? null : Math.min(...kept);
  const deleted = keptMs === null ? [] : [`deleted by the recipient within ${durationText(keptMs)}`];
  return {
    leaves: unique(shown.map(({ signal }) => leavesAs(signal.operation))),
    conditions: [...(may.length === 0 ? [] : [unique(may).join(', or ')]), ...unique(not)],
    limits: [...unique(budgets), ...deleted],
    keptMs,
  };
}

/** A condition without what is asked of recipient and purpose, which head the line. */
function asWritten(condition: Condition): Condition {
  return reduce(condition, ({ operand, text }) =>
    OPERANDS[operand]?.phase === 'stream' ? { state: TRUE, text } : null,
  );
}

/** An operation as a person says it: `at most one mean a second`. */
export function leavesAs(operation: OperationSpec): string {
  return `${kindAs(operation)}${shapingText(operation)}`;
}

function kindAs(operation: OperationSpec): string {
  if (operation.kind === 'pseudonymise') return `a pseudonym that changes ${every(operation.rotateMs)}`;
  if (operation.kind === 'noise')
    return `at most one mean with noise ${every(operation.windowMs)}, each a privacy loss of ${operation.epsilonMicro / 1e6}`;
  if (operation.kind === 'raw') return 'raw samples';
  if (operation.kind === 'decimate') return `at most one sample ${every(operation.periodMs)}`;
  if (operation.kind === 'cloak') {
    const period = operation.periodMs === 0 ? '' : `, one ${every(operation.periodMs)}`;
    return `a grid cell of at least ${operation.cellMetres} m${period}`;
  }
  const what = operation.results.length > 3 ? 'aggregate' : operation.results.join(', ');
  const least = operation.minSamples === undefined ? '' : ` of at least ${operation.minSamples} samples`;
  return `at most one ${what} ${every(operation.windowMs)}${least}`;
}

const EVERY: Readonly<Record<number, string>> = {
  1: 'a millisecond',
  1000: 'a second',
  60000: 'a minute',
  3600000: 'an hour',
};
const every = (ms: number): string => EVERY[ms] ?? `each ${durationText(ms)}`;

/** What given campaigns get before and after. */
function asked(old: Side, next: Side, campaigns: readonly Campaign[]): readonly PolicyChange[] {
  return campaigns.flatMap((campaign) =>
    campaign.signals.flatMap(({ signal: name }): PolicyChange[] => {
      const info = old.catalogue.byName.get(name) ?? next.catalogue.byName.get(name);
      if (info === undefined) return [];
      const rules = [...new Set([...old.reaching(info), ...next.reaching(info)])];
      const worlds = worldsOf(rules);
      const best = (side: Side) => {
        for (const standing of worlds.standings) {
          const found = sent(side.plan(campaigns, standing), info, campaign.campaign);
          if (found.length > 0) return found;
        }
        return [];
      };
      const [was, now] = [best(old), best(next)];
      const ran = { was: was[0]?.signal.operation ?? null, now: now[0]?.signal.operation ?? null };
      const { recipient, purpose } = campaign;
      const verdict = compare(old, next, { signal: info.name, recipient, purpose }, worlds, rules, ran);
      const finer = ran.was === null || ran.now === null ? 0 : finerBy(ran.was, ran.now);
      return change(
        [info],
        recipient,
        purpose,
        campaign.campaign,
        was.length === 0 ? CLOSED : termsOf(old, was),
        now.length === 0 ? CLOSED : termsOf(next, now),
        { ...verdict, opens: verdict.opens || finer > 0, closes: verdict.closes || finer < 0 },
      );
    }),
  );
}

/** Above 0: the second tells more than the first; below: less. */
function finerBy(was: OperationSpec, now: OperationSpec): number {
  const [a, b] = [transformsOf(was), transformsOf(now)];
  const keys = ['auto:aggregationWindow', 'auto:sampling', 'auto:precision', 'auto:minSamples'];
  const steps = keys.map((key) => Math.sign(a[key]! - b[key]!));
  const results = (one: OperationSpec) => (one.kind === 'aggregate' ? one.results.length : 0);
  const all = [...steps, Math.sign(results(now) - results(was))];
  if (all.some((step) => step > 0)) return 1;
  return all.some((step) => step < 0) ? -1 : 0;
}

function change(
  signals: readonly SignalInfo[],
  recipient: string,
  purpose: string,
  campaign: string | null,
  was: Terms,
  now: Terms,
  verdict: Verdict,
): PolicyChange[] {
  const other = JSON.stringify(was) !== JSON.stringify(now);
  // Where not every world was looked at, other words count as an opening: better one question too many.
  const unsure = other && !verdict.complete && !verdict.opens && !verdict.closes;
  const longer = keptLonger(was, now);
  const opened = verdict.opens || unsure || (longer > 0 && now.leaves.length > 0);
  const closed = verdict.closes || (longer < 0 && was.leaves.length > 0);
  if (!opened && !closed && !other) return [];
  const kind = opened && closed ? 'both' : opened ? 'opens' : closed ? 'closes' : 'words';
  const names = signals.map(({ name }) => name);
  const { example } = verdict;
  const about = { signals: names, recipient, purpose, campaign, was, now, example };
  return [{ kind, ...about, text: sentence(about) }];
}

/** Above 0 where the recipient may keep longer what it gets. */
function keptLonger(was: Terms, now: Terms): number {
  if (was.leaves.length === 0 || now.leaves.length === 0 || was.keptMs === now.keptMs) return 0;
  return (now.keptMs ?? Number.POSITIVE_INFINITY) > (was.keptMs ?? Number.POSITIVE_INFINITY) ? 1 : -1;
}

function sentence({ signals, recipient, purpose, was, now }: Omit<PolicyChange, 'kind' | 'text'>): string {
  const more = signals.length - MOST_NAMED;
  const named = `${signals.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const head = `${named} to ${recipient} for ${purpose}`;
  const [from, to] = [leavesText(was), leavesText(now)];
  const parts = from === to && from !== 'closed' ? [`still ${from}`] : [`was ${from}, is now ${to}`];
  const side = (before: readonly string[], after: readonly string[], none: string) => {
    if (before.join() === after.join() || from === 'closed' || to === 'closed') return;
    parts.push(`was ${before.join(', ') || none}, is now ${after.join(', ') || none}`);
  };
  side(was.conditions, now.conditions, 'always');
  side(was.limits, now.limits, 'without limit');
  if (from === 'closed') parts.push(...now.conditions, ...now.limits);
  return `${head}: ${parts.join('; ')}`;
}

const leavesText = ({ leaves }: Terms): string => (leaves.length === 0 ? 'closed' : leaves.join(' or '));

/** Changes that say the same of several groups of signals are one. */
function merged(changes: readonly PolicyChange[]): PolicyChange[] {
  const found = new Map<string, PolicyChange>();
  for (const one of changes) {
    const { kind, recipient, purpose, campaign, was, now } = one;
    const key = JSON.stringify([kind, recipient, purpose, campaign, was, now]);
    const before = found.get(key);
    if (before === undefined) found.set(key, one);
    else {
      const both = { ...before, signals: [...before.signals, ...one.signals] };
      found.set(key, { ...both, text: sentence(both) });
    }
  }
  return [...found.values()];
}

const unique = (texts: readonly string[]): readonly string[] => [...new Set(texts)];
