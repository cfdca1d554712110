import type { Denial } from './plan.ts';
import {
  PARAMETER_NAMES,
  type ParameterName,
  type Parameters,
  parameterText,
  type SourcedDemand,
  stricter,
} from './transforms.ts';

/*
 * Two campaigns of one recipient on one signal, with windows of 60 s and 61 s or cells of 100 m and 101 m, could be
 * subtracted from each other, and what is left is what the demand was to hide. So a recipient has one parameter a signal:
 * the coarser wins; and one kind of operation: the first campaign's, the second is denied.
 */

/** What a campaign asks of a signal under a demand. */
export interface Asked {
  readonly campaign: string;
  readonly recipient: string;
  /** The `dbc:` name. */
  readonly signal: string;
  readonly parameters: Parameters;
  readonly by: SourcedDemand;
}

/** What the other campaigns of the recipient mean for one. */
export interface Alignment {
  raise(parameters: Parameters): Parameters;
  /** What was made coarser, in words; null where nothing was. */
  note(alone: Parameters): string | null;
  /** Another campaign has the signal under another kind of operation. */
  readonly conflict: Omit<Denial, 'campaign' | 'recipient' | 'signal'> | null;
}

/** Looks up the alignment of a campaign's signal; null where the recipient asks for it once, or under no demand. */
export function alignment(
  asked: readonly Asked[],
): (campaign: string, recipient: string, signal: string) => Alignment | null {
  const groups = new Map<string, Asked[]>();
  for (const one of asked) {
    const key = JSON.stringify([one.recipient, one.signal]);
    const group = groups.get(key) ?? [];
    group.push(one);
    groups.set(key, group);
  }
  return (campaign, recipient, signal) => {
    const group = groups.get(JSON.stringify([recipient, signal])) ?? [];
    const own = group.find((one) => one.campaign === campaign);
    return own === undefined || group.length < 2 ? null : aligned(own, group);
  };
}

function aligned(own: Asked, group: readonly Asked[]): Alignment {
  const first = group[0]!;
  const same = group.filter(({ parameters }) => parameters.kind === first.parameters.kind);
  const coarsest = (name: ParameterName) =>
    same.map(({ parameters }) => parameters[name]).reduce((a, b) => stricter(name, a, b));
  const conflict =
    own.parameters.kind === first.parameters.kind
      ? null
      : ({
          agreement: own.by.agreement,
          rule: own.by.rule,
          constraint: `${own.by.text}: campaign ${first.campaign} has this signal as ${first.parameters.kind} already, and the two could be subtracted`,
          reason: 'transform',
        } as const);
  return {
    conflict,
    raise: (parameters) =>
      conflict !== null
        ? parameters
        : {
            ...parameters,
            ...Object.fromEntries(
              PARAMETER_NAMES.map((name) => [name, stricter(name, parameters[name], coarsest(name))]),
            ),
          },
    note: () => {
      const changed = PARAMETER_NAMES.filter((name) => coarsest(name) !== own.parameters[name]);
      if (conflict !== null || changed.length === 0) return null;
      const words = changed.map(
        (name) => `${parameterText(name, own.parameters[name])} to ${parameterText(name, coarsest(name))}`,
      );
      const { rule, agreement } = own.by;
      return `${words.join(', ')}: one parameter a recipient and signal, the coarsest of its campaigns (${rule} of ${agreement})`;
    },
  };
}
