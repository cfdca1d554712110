import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { TopicResult } from './topic.ts';

// `npm run conformance -- DIR [--only TOPIC] [--counts FILE]`: a line a topic; exits 1 when anything differs.

interface Topic {
  readonly topic: string;
  run(dir: string): Promise<TopicResult>;
}

/** The folders of the material, in the order of the path. */
const TOPICS = ['can', 'drive', 'policy', 'ledger', 'v2x', 'privacy', 'trust', 'ev', 'vss'];
const SHOWN_PROBLEMS = 20;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, counts: { type: 'string' } },
});
process.exitCode = await conformance(positionals[0], values.only, values.counts);

async function conformance(dir: string | undefined, only: string | undefined, counts: string | undefined) {
  if (dir === undefined || (only !== undefined && !TOPICS.includes(only))) {
    process.stderr.write(`usage: npm run conformance -- DIR [--only ${TOPICS.join('|')}] [--counts FILE]\n`);
    return 2;
  }
  if (!existsSync(dir)) {
    process.stdout.write(
      `conformance: there is no folder ${basename(dir)}: nothing was compared\n0 passed, 0 failed, 1 skipped\n`,
    );
    return 0;
  }
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const topic of TOPICS.filter((name) => only === undefined || name === only)) {
    const result = await runTopic(topic, resolve(dir));
    process.stdout.write(`${result.line}\n`);
    for (const problem of result.problems.slice(0, SHOWN_PROBLEMS)) process.stdout.write(`  ${problem}\n`);
    const more = result.problems.length - SHOWN_PROBLEMS;
    if (more > 0) process.stdout.write(`  … and ${more} more\n`);
    sum.passed += result.passed;
    sum.failed += result.failed;
    sum.skipped += result.skipped;
  }
  const line = `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`;
  process.stdout.write(`${line}\n`);
  if (counts !== undefined) writeFileSync(counts, `${line}\n`);
  return sum.failed === 0 ? 0 : 1;
}

async function runTopic(name: string, dir: string): Promise<TopicResult> {
  const skipped = (why: string) => ({ line: `${name}: ${why}`, passed: 0, failed: 0, skipped: 1, problems: [] });
  if (!existsSync(`${dir}/${name}`)) return skipped('no such folder here');
  const files = readdirSync(new URL('./topics/', import.meta.url));
  if (!files.includes(`${name}.ts`)) return skipped('not implemented');
  const topic: Topic = await import(new URL(`./topics/${name}.ts`, import.meta.url).href);
  return await topic.run(dir);
}
