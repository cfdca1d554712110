import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadOverlay, loadVss, missingPaths, type OverlayEntry } from '#dbc';
import type { TopicResult } from '../topic.ts';
import { evaluate } from '../vss-arithmetic.ts';

export const topic = 'vss';

/** An entry of the material, as it is written there. */
interface Given {
  readonly signal: string;
  readonly interval_ms?: number;
  readonly on_change?: boolean;
  readonly transform?: {
    readonly math?: string;
    readonly mapping?: readonly { readonly from: unknown; readonly to: unknown }[];
  };
}
type Leaf = { readonly path: string } & Partial<Record<Direction, Given>>;
type Direction = (typeof DIRECTIONS)[number];

const DIRECTIONS = ['dbc', 'dbc2vss', 'vss2dbc'] as const;
/** Around zero, halves (they round), beyond 32 bits, and the ends of a signal of 16 bits. */
const POINTS = [
  0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  3,
  4.999,
  5,
  7.25,
  -7.25,
  100,
  -100,
  1e-9,
  32767,
  -32768,
  65535,
  2 ** 40,
];

class Score {
  readonly problems: string[] = [];
  passed = 0;
  all = 0;

  count(isRight: boolean, problem: () => string): void {
    this.all++;
    if (isRight) this.passed++;
    else this.problems.push(problem());
  }
}

/** Every mapping under DIR/vss against the tree beside it. */
export async function run(dir: string): Promise<TopicResult> {
  const folder = join(dir, 'vss');
  const files = readdirSync(folder).sort();
  const [paths, entries, transforms] = [new Score(), new Score(), new Score()];
  // What is right and worth knowing all the same: paths that are gone, entries that are refused.
  const notes: string[] = [];
  const treeFile = files.find((name) => /^vss_release_.*\.json$/.test(name))!;
  const treeText = readFileSync(join(folder, treeFile), 'utf8');
  for (const file of files.filter((name) => /^dbc-mapping-.*\.json$/.test(name))) {
    const text = readFileSync(join(folder, file), 'utf8');
    const leaves: readonly Leaf[] = JSON.parse(text).entries;
    comparePaths(leaves, treeText, treeFile, paths, notes);
    compareEntries(leaves, text, file, entries, transforms, notes);
  }
  const scores = [paths, entries, transforms];
  const sum = (of: (score: Score) => number) => scores.reduce((total, score) => total + of(score), 0);
  const word = ({ passed, all }: Score, name: string) => `${passed} of ${all} ${name}`;
  return {
    line: `vss: ${word(paths, 'paths')}, ${word(entries, 'entries')}, ${word(transforms, 'transforms')}`,
    passed: sum(({ passed }) => passed),
    failed: sum(({ all, passed }) => all - passed),
    skipped: 0,
    problems: [...scores.flatMap(({ problems }) => problems), ...notes],
  };
}

/** Right is a path that is a leaf and taken as one, or is none and named as gone. */
function comparePaths(
  leaves: readonly Leaf[],
  treeText: string,
  treeFile: string,
  score: Score,
  notes: string[],
): void {
  const root: unknown = JSON.parse(treeText);
  const missing = new Map(
    missingPaths(
      leaves.map(({ path }) => path),
      loadVss(treeText, { file: treeFile }),
    ).map(({ path, near }) => [path, near]),
  );
  for (const { path } of leaves) {
    const isThere = isLeaf(root, path);
    score.count(
      missing.has(path) !== isThere,
      () => `${path}: taken as ${isThere ? 'gone' : 'a leaf'}, ${treeFile} says otherwise`,
    );
    if (!isThere && missing.has(path)) notes.push(`${path}: gone, ${treeFile} has no such leaf`);
  }
}

/** Step by step down the file, with nothing of the code under test. */
function isLeaf(root: unknown, path: string): boolean {
  const names = path.split('.');
  let node = root as Record<string, unknown> | undefined;
  for (const [i, name] of names.entries()) {
    const level = (i === 0 ? node : node?.children) as Record<string, Record<string, unknown>> | undefined;
    node = level !== undefined && Object.hasOwn(level, name) ? level[name] : undefined;
  }
  return node !== undefined && ['sensor', 'actuator', 'attribute'].includes(String(node.type));
}

function compareEntries(
  leaves: readonly Leaf[],
  text: string,
  file: string,
  entries: Score,
  transforms: Score,
  notes: string[],
): void {
  const read = loadOverlay(text, { file });
  const byPlace = new Map(read.entries.map((entry) => [entry.pointer, entry]));
  const refusals = read.refused.map(({ code, message, place }) => ({ code, message, pointer: place.pointer ?? '' }));
  let wanted = 0;
  for (const [i, leaf] of leaves.entries()) {
    for (const direction of DIRECTIONS) {
      const given = leaf[direction];
      if (given === undefined) continue;
      wanted++;
      const pointer = `/entries/${i}/${direction}`;
      const place = `${file}${pointer}`;
      const entry = byPlace.get(pointer);
      const refusal = refusals.find(
        (one) => one.pointer === `/entries/${i}` || (one.message !== '' && `${one.pointer}/`.startsWith(`${pointer}/`)),
      );
      if (entry === undefined) {
        const isRight = refusal !== undefined && (!isPlain(given) || isTwice(leaf));
        entries.count(isRight, () => `${place}: not read: ${refusal?.message ?? 'and no reason is given'}`);
        if (isRight) notes.push(`${place}: refused, ${refusal.code} ${refusal.message}`);
        continue;
      }
      entries.count(isAsGiven(entry, leaf.path, direction, given), () => `${place}: read as ${JSON.stringify(entry)}`);
      if (given.transform !== undefined) compareTransform(entry, given.transform, place, transforms);
    }
  }
  const came = read.entries.length + read.refused.length;
  if (came > wanted) entries.count(false, () => `${file}: ${came} entries read or refused, the file has ${wanted}`);
}

const PLAIN = ['signal', 'interval_ms', 'on_change', 'transform'];

/** Of the form that the reference documents: to refuse it would be an easy way to be right. */
function isPlain(given: Given): boolean {
  const { signal, transform = {}, ...rest } = given;
  if (typeof signal !== 'string' || Object.keys(rest).some((key) => !PLAIN.includes(key))) return false;
  const [[form, value] = ['', undefined], ...more] = Object.entries(transform);
  if (more.length > 0 || !Number.isSafeInteger(given.interval_ms ?? 0)) return false;
  if (form !== 'math') return form === 'mapping' || given.transform === undefined;
  try {
    return Number.isFinite(evaluate(String(value), 1));
  } catch {
    return false;
  }
}

/** `dbc` is the older word for `dbc2vss`: both at once contradict each other. */
function isTwice({ dbc, dbc2vss }: Leaf): boolean {
  return dbc !== undefined && dbc2vss !== undefined;
}

function isAsGiven(entry: OverlayEntry, path: string, direction: Direction, given: Given): boolean {
  return (
    entry.path === path &&
    entry.direction === (direction === 'vss2dbc' ? 'vss2dbc' : 'dbc2vss') &&
    entry.signal === given.signal &&
    (given.interval_ms === undefined || entry.intervalMs === given.interval_ms) &&
    entry.onChange === (given.on_change ?? false)
  );
}

function compareTransform(
  { transform }: OverlayEntry,
  { math, mapping }: NonNullable<Given['transform']>,
  place: string,
  score: Score,
): void {
  if (math === undefined) {
    const came = transform.kind === 'labels' ? JSON.stringify(transform.pairs) : transform.kind;
    const wanted = JSON.stringify(mapping?.map(({ from, to }) => ({ from, to })));
    score.count(came === wanted, () => `${place}: labels ${came}, wanted ${wanted}`);
    return;
  }
  if (transform.kind !== 'math') {
    score.count(false, () => `${place}: "${math}" was read as ${transform.kind}`);
    return;
  }
  const wrong = POINTS.find((x) => !Object.is(transform.expression.evaluate(x) + 0, evaluate(math, x) + 0));
  score.count(wrong === undefined, () => {
    const x = wrong ?? 0;
    return `${place}: "${math}" of ${x} is ${transform.expression.evaluate(x)}, by hand ${evaluate(math, x)}`;
  });
}
