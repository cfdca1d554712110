import type { SignalInfo } from '#contracts';
import type { Rule } from './agreement.ts';
import type { SignalCatalogue } from './context.ts';

/**
 * Whether a target reaches a signal. `vss:` names a signal or a branch and covers all below it; `dbc:` names one signal
 * by any name that the catalogue has for it: the long one with its channel is the same signal as the short one.
 *
 * @param names leads from each name to its signal
 * @param wide a prohibition: a `dbc:` name without its channel reaches that signal on each channel
 */
export function targetReaches(
  target: string,
  signal: SignalInfo,
  names: SignalCatalogue['byName'],
  wide: boolean,
): boolean {
  if (target.includes('*')) return globReaches(target, signal);
  if (target.startsWith('vss:')) {
    const path = target.slice('vss:'.length);
    return signal.name === path || signal.name.startsWith(`${path}.`);
  }
  if (target === signal.dbcName || names.get(target) === signal) return true;
  return wide && target === `dbc:${signal.message}.${signal.signal}`;
}

/**
 * A glob: `*` is any run of characters within one step of the path, `**` any number of steps. As a branch, a `vss:` glob
 * covers all below what it names; a `dbc:` glob without a channel reaches each channel.
 */
function globReaches(target: string, signal: SignalInfo): boolean {
  if (target.startsWith('vss:')) {
    if (signal.name.startsWith('dbc:')) return false;
    return stepsMatch(target.slice('vss:'.length).split('.'), signal.name.split('.'), true);
  }
  const name = target.slice('dbc:'.length);
  const own = `${signal.message}.${signal.signal}`;
  const long = signal.dbcName.slice('dbc:'.length);
  return [own, long].some((one) => stepsMatch(name.split(/[./]/), one.split(/[./]/), false));
}

function stepsMatch(glob: readonly string[], steps: readonly string[], branch: boolean): boolean {
  if (glob.length === 0) return branch || steps.length === 0;
  const [first, ...rest] = glob as [string, ...string[]];
  if (first === '**') {
    return steps.some((_, at) => stepsMatch(rest, steps.slice(at), branch)) || stepsMatch(rest, [], branch);
  }
  return steps.length > 0 && stepMatches(first, steps[0]!) && stepsMatch(rest, steps.slice(1), branch);
}

/** One step with stars; greedy from the left, so that no pattern takes more than linear time a star. */
function stepMatches(glob: string, step: string): boolean {
  const parts = glob.split('*');
  if (parts.length === 1) return glob === step;
  const [head, tail] = [parts[0]!, parts.at(-1)!];
  if (!step.startsWith(head) || !step.endsWith(tail) || step.length < head.length + tail.length) return false;
  let at = head.length;
  for (const part of parts.slice(1, -1)) {
    const found = step.indexOf(part, at);
    if (found < 0 || found + part.length > step.length - tail.length) return false;
    at = found + part.length;
  }
  return true;
}

/** Whether a rule speaks of a signal. */
export function ruleReaches(rule: Rule, signal: SignalInfo, names: SignalCatalogue['byName']): boolean {
  return rule.targets.some((target) => targetReaches(target, signal, names, rule.kind !== 'permission'));
}
