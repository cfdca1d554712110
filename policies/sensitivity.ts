import type { SignalInfo } from '#contracts';
import { sensitiveClass } from './consent/sensitive.ts';
import type { SignalCatalogue } from './context.ts';
import { targetReaches } from './targets.ts';
import { SENSITIVITY, type Sensitivity } from './vocabulary.ts';

/**
 * The class of a signal: the highest that the configuration gives one of its names or branches, else what its name
 * tells. A value of a car tells of its driver unless the owner says that it does not.
 */
export function sensitivityOf(
  signal: SignalInfo,
  classes: Readonly<Record<string, Sensitivity>>,
  names: SignalCatalogue['byName'],
): Sensitivity {
  const given = Object.entries(classes).flatMap(([target, level]) =>
    targetReaches(target, signal, names, true) ? [SENSITIVITY.indexOf(level)] : [],
  );
  if (given.length > 0) return SENSITIVITY[Math.max(...given)]!;
  return (sensitiveClass(signal.name) ?? sensitiveClass(signal.dbcName)) === null ? 'personal' : 'sensitive';
}
