import { type ErrorCode, type SignalInfo, TollgateError } from '#contracts';
import { signalCatalogue } from './catalogue.ts';
import type { MappingEntry } from './mapping.ts';
import type { Database } from './model.ts';
import { matchUnits } from './units.ts';
import { missingPaths, type VssTree } from './vss.ts';

/** What does not fit between a mapping, its database and a tree; each with the place of its entry. */
export function checkMapping(mapping: readonly MappingEntry[], database: Database, tree: VssTree): TollgateError[] {
  const problems: TollgateError[] = [];
  const missing = new Map(
    missingPaths(
      mapping.map(({ path }) => path),
      tree,
    ).map(({ path, near }) => [path, near]),
  );
  // A channel in front of a signal is that of a configuration: here there is one database.
  const entries = mapping.map((entry) => ({ ...entry, signal: entry.signal.replace(/^dbc:[^/]+\//, 'dbc:') }));
  for (const entry of entries) {
    const { path, place } = entry;
    const problem = (code: ErrorCode, text: string, remedy?: string) =>
      problems.push(new TollgateError(code, `${path} ${text}`, { ...(place === undefined ? {} : { place }), remedy }));
    if (missing.has(path)) {
      const near = missing.get(path);
      problem('TG_MAPPING_PATH', 'is no leaf of the tree', near === undefined ? undefined : `Did you mean ${near}?`);
      continue;
    }
    const info = infoOf(entry, database, problems);
    const leaf = tree.get(path)!;
    if (info === null || entry.values !== undefined) continue;
    if (leaf.datatype.startsWith('string')) {
      problem(
        'TG_MAPPING_TRANSFORM',
        'is a text in the tree; records carry numbers',
        'Give its texts numbers: transform: { mapping: … }.',
      );
    }
    if (leaf.unit === null) continue;
    const match = matchUnits(info.unit, leaf.unit);
    if (match.kind === 'convertible' || match.kind === 'different') {
      problem(
        'TG_MAPPING_UNIT',
        `is in "${info.unit}", the tree has it in "${leaf.unit}"`,
        remedyOf(match.kind, leaf.unit),
      );
    }
  }
  return [...problems, ...doubles(entries)];
}

/** One path or one signal twice. */
function doubles(mapping: readonly MappingEntry[]): TollgateError[] {
  const seen = new Set<string>();
  return mapping.flatMap(({ path, signal, place }) =>
    [path, signal].flatMap((name) => {
      if (!seen.has(name)) {
        seen.add(name);
        return [];
      }
      return [new TollgateError('TG_MAPPING_SIGNAL', `${name} stands twice`, place === undefined ? {} : { place })];
    }),
  );
}

function remedyOf(kind: 'convertible' | 'different', unit: string): string {
  return kind === 'convertible'
    ? `Write unit: ${unit} without a factor, and it is converted.`
    : 'Map another signal, or write the factor that leads there.';
}

/** The signal of one entry; null, and its problem, where it is refused. */
function infoOf(entry: MappingEntry, database: Database, problems: TollgateError[]): SignalInfo | null {
  try {
    return signalCatalogue([{ name: 'can', database, mapping: [entry] }]).byName.get(entry.path) ?? null;
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    problems.push(error);
    return null;
  }
}
