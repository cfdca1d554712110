import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import { type Database, type Finding, loadDatabase } from '#dbc';

/** What the reference says of a file of the corpus; `refused: …` with its reason. */
interface Verdict {
  readonly strict: string;
  readonly lenient: string;
  /** As the lenient judge sees them; absent where it refuses the file too. */
  readonly messages?: number;
  readonly signals?: number;
}

interface Tally {
  readonly equal: number;
  readonly total: number;
}

export interface CorpusResult {
  /** Files that load leniently, with the reference's number of messages and signals where it gives one. */
  readonly loads: Tally;
  /** Files that strict loading accepts or refuses as the reference does. */
  readonly strict: Tally;
  /** Files without a problem, and files with one. */
  readonly passed: number;
  readonly failed: number;
  /** One line each: file, what came, what was wanted. */
  readonly problems: readonly string[];
}

/**
 * Loads every database under DIR/can/corpus and DIR/can/vectors and compares with the verdicts of `expected.json`.
 * A file that the strict judge refuses must have a finding of severity error with its line, and must not load strictly;
 * a file that it accepts must load strictly.
 */
export async function checkCorpus(dir: string): Promise<CorpusResult> {
  const corpus = join(dir, 'can', 'corpus');
  const vectors = join(dir, 'can', 'vectors');
  const verdicts = verdictsOf(join(corpus, 'expected.json'));
  const files = [
    ...databases(corpus).map((name) => ({ name, path: join(corpus, name) })),
    ...databases(vectors).map((name) => ({ name: `vectors/${name}`, path: join(vectors, name) })),
  ];
  const loads = { equal: 0, total: 0 };
  const strict = { equal: 0, total: 0 };
  const problems: string[] = [];
  let failed = 0;
  for (const { name, path } of files) {
    const bytes = readFileSync(path);
    const verdict = verdicts.get(name);
    verdicts.delete(name);
    const wrongLoad = loadProblem(bytes, name, verdict);
    const wrongVerdict = verdict === undefined ? null : strictProblem(bytes, name, verdict);
    loads.total++;
    if (wrongLoad === null) loads.equal++;
    if (verdict !== undefined) strict.total++;
    if (verdict !== undefined && wrongVerdict === null) strict.equal++;
    const wrong = [wrongLoad, wrongVerdict].filter((problem) => problem !== null);
    if (wrong.length > 0) failed++;
    problems.push(...wrong.map((problem) => `${name}: ${problem}`));
  }
  for (const name of verdicts.keys()) {
    failed++;
    problems.push(`${name}: expected.json has a verdict, the folder has no such file`);
  }
  return { loads, strict, passed: files.length - failed + verdicts.size, failed, problems };
}

function databases(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.dbc$/i.test(name))
    .sort();
}

function verdictsOf(path: string): Map<string, Verdict> {
  if (!existsSync(path)) return new Map();
  const { files }: { files: Record<string, Verdict> } = JSON.parse(readFileSync(path, 'utf8'));
  return new Map(Object.entries(files));
}

function loadProblem(bytes: Uint8Array, file: string, verdict: Verdict | undefined): string | null {
  let loaded: { database: Database };
  try {
    loaded = loadDatabase(bytes, { file });
  } catch (error) {
    return `does not load: ${(error as Error).message}`;
  }
  if (verdict?.messages === undefined || verdict.signals === undefined) return null;
  const { messages } = loaded.database;
  const signals = messages.reduce((sum, message) => sum + message.signals.length, 0);
  if (messages.length === verdict.messages && signals === verdict.signals) return null;
  return `${messages.length} messages and ${signals} signals, wanted ${verdict.messages} and ${verdict.signals}`;
}

function strictProblem(bytes: Uint8Array, file: string, verdict: Verdict): string | null {
  const error = strictError(bytes, file);
  if (error !== null && !(error instanceof TollgateError && error.place.file === file && error.place.line! > 0)) {
    return `strict loading fails without a place: ${error instanceof Error ? error.message : String(error)}`;
  }
  const wanted = verdict.strict !== 'loads';
  if ((error !== null) !== wanted) {
    return `strict ${error === null ? 'accepts it' : `refuses it: ${error.message}`}, wanted: ${verdict.strict}`;
  }
  if (!wanted) return null;
  const errors = findingsOf(bytes, file).filter(({ severity }) => severity === 'error');
  return errors.length === 0 ? `no finding of severity error, wanted: ${verdict.strict}` : null;
}

/** What strict loading throws, null where it loads the file. */
function strictError(bytes: Uint8Array, file: string): unknown {
  try {
    loadDatabase(bytes, { file, strict: true });
    return null;
  } catch (error) {
    return error;
  }
}

function findingsOf(bytes: Uint8Array, file: string): readonly Finding[] {
  return loadDatabase(bytes, { file }).findings;
}
