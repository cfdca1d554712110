#!/usr/bin/env -S node --disallow-code-generation-from-strings --max-semi-space-size=1 --optimize-for-size --max-lazy --no-sparkplug
// Starts the command line on a Node that can run it. Plain JavaScript without dependencies, so that an old Node
// reaches the one clear line below instead of a syntax error.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 22;
/** Those of the first line. */
const FLAGS = [
  '--disallow-code-generation-from-strings',
  '--max-semi-space-size=1',
  '--optimize-for-size',
  '--max-lazy',
  '--no-sparkplug',
];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) {
  const source = here('./main.ts');
  const { main } = await import(existsSync(source) ? './main.ts' : '../dist/cli/main.js');
  process.exitCode = await main(process.argv.slice(2));
} else {
  const pinned = here('../node_modules/.bin/node');
  if (existsSync(pinned)) {
    const child = spawn(pinned, [...FLAGS, here('./tollgate.mjs'), ...process.argv.slice(2)], { stdio: 'inherit' });
    // The agent stops in order; the launcher waits for it.
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
    child.on('exit', (code) => {
      process.exitCode = code ?? 1;
    });
  } else {
    process.stderr.write(
      `tollgate needs Node ${OLDEST_NODE} or newer, this is ${process.version}: run \`npm ci\` first.\n`,
    );
    process.exitCode = 2;
  }
}
