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
  if (target.startsWith('vss:')) {
    const path = target.slice('vss:'.length);
    return signal.name === path || signal.name.startsWith(`${path}.`);
  }
  if (target === signal.dbcName || names.get(target) === signal) return true;
  return wide && target === `dbc:${signal.message}.${signal.signal}`;
}

/** Whether a rule speaks of a signal. */
export function ruleReaches(rule: Rule, signal: SignalInfo, names: SignalCatalogue['byName']): boolean {
  return rule.targets.some((target) => targetReaches(target, signal, names, rule.kind !== 'permission'));
}
