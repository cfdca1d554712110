import { readdirSync } from 'node:fs';

// `npm run bench -- [NAME] [ARGS]`: prints each case as one JSON object with ratios to a baseline of the same run.

interface Case {
  readonly name: string;
  run(args: string[]): Promise<object>;
}

const cases = readdirSync(new URL('./cases/', import.meta.url))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3))
  .sort();
const [asked, ...args] = process.argv.slice(2);
if (asked !== undefined && !cases.includes(asked)) {
  process.stderr.write(`there is no bench "${asked}"; there are: ${cases.join(', ')}\n`);
  process.exit(2);
}
for (const name of asked === undefined ? cases : [asked]) {
  const module: Case = await import(new URL(`./cases/${name}.ts`, import.meta.url).href);
  process.stdout.write(`${JSON.stringify({ bench: module.name, ...(await module.run(args)) }, null, 2)}\n`);
}
