import type { Agreement } from '../agreement.ts';
import type { SignalCatalogue } from '../context.ts';
import { targetReaches } from '../targets.ts';

/**
 * Classes that need a consent of their own (reference: CN-5, EU-3): a person who wants the insurance must not have to
 * give the trajectory with it.
 */
export type SensitiveClass = 'trajectory' | 'audio' | 'image' | 'biometric';

/** By the branch of VSS in which a signal lies. */
const BRANCHES: readonly (readonly [RegExp, SensitiveClass])[] = [
  [/^Vehicle\.CurrentLocation\b/, 'trajectory'],
  [/^Vehicle\.Cabin\.Infotainment\.Navigation\b/, 'trajectory'],
  [/^Vehicle\.(Cabin\.)?.*\b(Microphone|Audio|Voice)/, 'audio'],
  [/^Vehicle\.(Cabin\.)?.*\b(Camera|Video|Image)/, 'image'],
  [/^Vehicle\.(Driver|Occupant)\b/, 'biometric'],
];
/** Names of a database that no mapping placed; only what can mean nothing else. */
const DBC_NAMES: readonly (readonly [RegExp, SensitiveClass])[] = [
  [/(GPS|GNSS|Latitude|Longitude)/i, 'trajectory'],
  [/(HeartRate|Fingerprint|FaceId)/i, 'biometric'],
];

/** Class of a signal or target, by its name without `vss:`; null where it needs no consent of its own. */
export function sensitiveClass(name: string): SensitiveClass | null {
  const table = name.startsWith('dbc:') ? DBC_NAMES : BRANCHES;
  return table.find(([form]) => form.test(name))?.[1] ?? null;
}

/**
 * What an agreement bundles: the classes that its permissions reach; `ordinary` for signals of no class. More than one
 * entry with a sensitive class among them is a bundled consent.
 */
export function classesOf(agreement: Agreement, catalogue: SignalCatalogue): ReadonlySet<SensitiveClass | 'ordinary'> {
  const found = new Set<SensitiveClass | 'ordinary'>();
  for (const { targets } of agreement.permissions) {
    for (const target of targets) {
      const name = target.startsWith('vss:') ? target.slice('vss:'.length) : target;
      const reached = catalogue.signals.filter((signal) => targetReaches(target, signal, catalogue.byName, false));
      const own = sensitiveClass(name);
      // A database may lack what the target names; the name alone says then what it would be.
      if (reached.length === 0) found.add(own ?? 'ordinary');
      for (const signal of reached) {
        found.add(own ?? sensitiveClass(signal.name) ?? sensitiveClass(signal.dbcName) ?? 'ordinary');
      }
    }
  }
  return found;
}

/** The sensitive class that an agreement bundles with something else; null where it does not. */
export function bundled(agreement: Agreement, catalogue: SignalCatalogue): SensitiveClass | null {
  const classes = classesOf(agreement, catalogue);
  if (classes.size < 2) return null;
  for (const one of classes) if (one !== 'ordinary') return one;
  return null;
}
