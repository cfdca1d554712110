import type { SignalInfo } from '#contracts';
import type { Agreement, Rule } from './agreement.ts';
import type { Campaign, CampaignSignal } from './campaign.ts';
import { atomsOf } from './condition.ts';
import type { SignalCatalogue } from './context.ts';
import { decideAtom } from './decide.ts';
import { axisOf, otherAxis } from './transforms.ts';
import { PURPOSES } from './vocabulary.ts';

/** What is asked of policies to learn what they let out: signals, recipients, purposes and the finest campaigns. */

/** A purpose that no policy names. */
export const STRANGE_PURPOSE = 'urn:purpose:another';
/** A recipient that no policy names: a Set binds everyone. */
export const ANYONE = 'did:web:anyone.example';

/** Context signals that stand for those of a unit, so that what asks for context stays a condition. */
const CONTEXT_SIGNALS: Readonly<Record<string, string>> = {
  speed: 'dbc:TollgateProbe.Speed',
  ignition: 'dbc:TollgateProbe.Ignition',
  gear: 'dbc:TollgateProbe.Gear',
  driveMode: 'dbc:TollgateProbe.DriveMode',
  occupants: 'dbc:TollgateProbe.Occupants',
  crash: 'dbc:TollgateProbe.Crash',
};
const PROBE_PLACE = 'TollgateProbe.Place';
export const PROBE_CONTEXT: Readonly<Record<string, string>> = { ...CONTEXT_SIGNALS, position: PROBE_PLACE };

export function rulesOf({ permissions, prohibitions, obligations }: Agreement): readonly Rule[] {
  return [...permissions, ...prohibitions, ...obligations];
}

/** Signals to ask about: those of the databases, or, without one, what the policies name. */
export function probeSignals(policies: readonly Agreement[], given: SignalCatalogue | null): readonly SignalInfo[] {
  return given?.signals ?? namedSignals(policies);
}

/** A catalogue with the signals that stand for context beside it. */
export function probeCatalogue(signals: readonly SignalInfo[], given: SignalCatalogue | null): SignalCatalogue {
  const context = [
    ...Object.values(CONTEXT_SIGNALS).map((name) => probe(name, name, name.endsWith('Speed') ? 'km/h' : '')),
    ...['Latitude', 'Longitude'].map((leaf) => probe(`${PROBE_PLACE}.${leaf}`, `dbc:TollgateProbe.${leaf}`, 'degrees')),
  ];
  const all = [...signals, ...context];
  const byName = new Map(given?.byName ?? []);
  for (const info of all) for (const name of [info.name, info.dbcName]) if (!byName.has(name)) byName.set(name, info);
  return { signals: all, byName };
}

function probe(name: string, dbcName: string, unit: string): SignalInfo {
  const [message, signal] = dbcName
    .slice('dbc:'.length)
    .replace(/^[^/]*\//, '')
    .split('.') as [string, string];
  return {
    name,
    dbcName,
    channel: 0,
    message,
    signal,
    id: 0,
    unit,
    f: 1,
    o: 0,
    factor: 1,
    offset: 0,
    type: 'int',
    signed: true,
    bits: 32,
  };
}

/** One signal for each target; a branch stands for itself, a glob for one name that it reaches. */
function namedSignals(policies: readonly Agreement[]): readonly SignalInfo[] {
  const rules = policies.flatMap(rulesOf);
  const names = new Set<string>();
  for (const { targets, demands } of rules) {
    const placed = demands.some(({ operand }) => operand === 'auto:precision');
    for (const target of targets) {
      const name = target.replaceAll('**', 'Any').replaceAll('*', 'Any').replace(/^vss:/, '');
      names.add(name);
      const leaf = /\.(Latitude|Longitude)$/.test(name);
      // A grid cell is of two axes of one branch.
      if (leaf) names.add(otherAxis({ name } as SignalInfo));
      else if (placed && target.startsWith('vss:'))
        for (const axis of ['Latitude', 'Longitude']) names.add(`${name}.${axis}`);
    }
  }
  return [...names].sort().map((name, i) => {
    const unit = /\.(Latitude|Longitude)$/.test(name) ? 'degrees' : '';
    return probe(name, name.startsWith('dbc:') ? name : `dbc:TollgateProbe.S${i}`, unit);
  });
}

/** Recipients whom policies name. */
export function probeRecipients(policies: readonly Agreement[]): readonly string[] {
  const found = new Set(policies.flatMap(({ assignee }) => (assignee === null ? [] : [assignee])));
  for (const rule of policies.flatMap(rulesOf)) {
    for (const { operand, value } of atomsOf(rule.condition)) {
      if (operand === 'recipient' && value.type === 'ids') for (const id of value.ids) found.add(id);
    }
  }
  if (found.size === 0) found.add(ANYONE);
  return [...found].sort();
}

/** Purposes that the rules do not tell apart; one of them stands for all. */
export interface PurposeGroup {
  readonly stands: string;
  /** In words: the purpose, with how many others; `any purpose`. */
  readonly words: string;
}

export function probePurposes(rules: readonly Rule[]): readonly PurposeGroup[] {
  const atoms = rules.flatMap(({ condition }) => atomsOf(condition)).filter(({ operand }) => operand === 'purpose');
  const named = new Set(atoms.flatMap(({ value }) => (value.type === 'ids' ? value.ids : [])));
  const groups = new Map<string, string[]>();
  for (const purpose of new Set([...named, ...PURPOSES, STRANGE_PURPOSE])) {
    const key = atoms.map((atom) => decideAtom(atom, knownOf(purpose), false)!.state).join('');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [purpose]);
    else group.push(purpose);
  }
  if (groups.size === 1) return [{ stands: STRANGE_PURPOSE, words: 'any purpose' }];
  return [...groups.values()].map((group) => ({ stands: group[0]!, words: purposeWords(group, named) }));
}

function purposeWords(group: readonly string[], named: ReadonlySet<string>): string {
  if (group.includes(STRANGE_PURPOSE)) return 'every other purpose';
  const own = group.filter((purpose) => named.has(purpose));
  const shown = own.length > 0 ? own : group.slice(0, 1);
  const more = group.length - shown.length;
  return `${shown.join(', ')}${more === 0 ? '' : ` and ${more} of its kind`}`;
}

const knownOf = (purpose: string) => ({
  recipient: '',
  purpose,
  nowUtcMs: null,
  parameters: null,
  facts: null,
  unit: {},
  sensitivity: 'personal' as const,
  binding: () => ({ kind: 'none' as const }),
});

/** The finest that can be asked of a signal: every sample, every result of a window of 1 ms, a cell of 1 m. */
export function finestCampaigns(
  signals: readonly SignalInfo[],
  recipient: string,
  purpose: string,
): readonly Campaign[] {
  const axes = signals.filter((one) => axisOf(one) !== null);
  const of = (operation: CampaignSignal['operation'], asked: readonly SignalInfo[]): Campaign => ({
    file: 'probe.yaml',
    campaign: `finest-${operation}`,
    version: 1,
    recipient,
    purpose,
    priority: 3,
    expiresMs: null,
    everyMs: 0,
    signals: asked.map(({ name }, i) => ({
      signal: name,
      operation,
      windowMs: operation === 'aggregate' ? 1 : 0,
      results: operation === 'aggregate' ? ['min', 'max', 'mean', 'count', 'last', 'sum'] : [],
      cellMetres: operation === 'cloak' ? 1 : 0,
      pointer: `/signals/${i}`,
    })),
    context: [],
    recordMs: 1000,
    hash: new Uint8Array(32),
  });
  return [of('raw', signals), of('aggregate', signals), ...(axes.length === 0 ? [] : [of('cloak', axes)])];
}
