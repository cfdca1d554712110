#!/usr/bin/env -S node --disallow-code-generation-from-strings --max-semi-space-size=1 --optimize-for-size --max-lazy
// Starts the command line on a Node that can run it. Plain JavaScript without dependencies, so that an old Node
// reaches the one clear line below instead of a syntax error.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 22;
const SHUT = '--disallow-code-generation-from-strings';
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) {
  const source = here('./main.ts');
  const { main } = await import(existsSync(source) ? './main.ts' : '../dist/cli/main.js');
  process.exitCode = await main(process.argv.slice(2));
} else {
  const pinned = here('../node_modules/.bin/node');
  if (existsSync(pinned)) {
    const child = spawnSync(pinned, [SHUT, here('./tollgate.mjs'), ...process.argv.slice(2)], { stdio: 'inherit' });
    process.exitCode = child.status ?? 1;
  } else {
    process.stderr.write(
      `tollgate needs Node ${OLDEST_NODE} or newer, this is ${process.version}: run \`npm ci\` first.\n`,
    );
    process.exitCode = 2;
  }
}
