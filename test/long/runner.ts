import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What a case of this folder exports. */
export interface LongCase {
  /** @param args what was given on the command line beside the name */
  run(args: readonly string[]): Promise<LongResult>;
}

export interface LongResult {
  readonly ok: boolean;
  readonly [figure: string]: unknown;
}

const [name, ...args] = process.argv.slice(2);
const started = new Date();
const { run }: LongCase = await import(new URL(`./${name}.ts`, import.meta.url).href);
const result = await run(args);
const git = (...words: string[]) => execFileSync('git', words, { encoding: 'utf8' }).trim();
let commit = 'unknown';
try {
  commit = git('rev-parse', 'HEAD');
} catch {
  // Not a clone: the figures stand without a commit.
}
const evidence = {
  case: name,
  command: ['npm run long --', name, ...args].join(' '),
  date: started.toISOString(),
  commit,
  machine: { cpus: cpus().length, node: process.version, arch: process.arch },
  seconds: Math.round((Date.now() - started.getTime()) / 1_000),
  ...result,
};
const text = `${JSON.stringify(evidence, null, 2)}\n`;
process.stdout.write(text);
const folder = fileURLToPath(new URL('../../docs/evidence/', import.meta.url));
mkdirSync(folder, { recursive: true });
// What was run with other arguments does not take the place of the result that is asked for.
writeFileSync(`${folder}${[name, ...args].join('-').replaceAll(/-+/g, '-')}.json`, text);
process.exit(result.ok ? 0 : 1);
