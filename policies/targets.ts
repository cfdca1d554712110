import type { SignalInfo } from '#contracts';
import type { Rule } from './agreement.ts';

/**
 * Whether a target reaches a signal. `vss:` names a signal or a branch and covers all below it; `dbc:` names one signal.
 * Both names of a mapped signal denote the same signal.
 *
 * @param wide a prohibition: a `dbc:` name without its channel reaches that signal on each channel
 */
export function targetReaches(target: string, signal: SignalInfo, wide: boolean): boolean {
  if (target.startsWith('vss:')) {
    const path = target.slice('vss:'.length);
    return signal.name === path || signal.name.startsWith(`${path}.`);
  }
  if (target === signal.dbcName) return true;
  return wide && target === `dbc:${signal.message}.${signal.signal}`;
}

/** Whether a rule speaks of a signal. */
export function ruleReaches(rule: Rule, signal: SignalInfo): boolean {
  return rule.targets.some((target) => targetReaches(target, signal, rule.kind !== 'permission'));
}
