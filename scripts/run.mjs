// What every script here needs before `npm ci` has run: no dependency, any Node.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');

/** Runs a command in the project with the pinned Node first on PATH; its exit code. */
export function run(command, args, options = {}) {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`, ...options.env };
  const child = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options, env });
  if (child.error) process.stderr.write(`${command}: ${child.error.message}\n`);
  return child.status ?? 1;
}

/** Installs the locked dependencies where they are missing or older than the lock file. */
export function install() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  const fresh = existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
  if (fresh && existsSync(pinnedNode())) return;
  process.stdout.write('Installing the locked dependencies (npm ci) …\n');
  const status = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (status !== 0) process.exit(status);
}

/** The pinned Node, or this one where no pinned binary exists for the machine. */
export function pinnedNode() {
  const node = join(bin, 'node');
  if (existsSync(node)) return node;
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node;
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  process.stderr.write(
    `This machine has Node ${process.version} and no pinned one for ${process.arch}: install Node ${wanted}.\n`,
  );
  process.exit(2);
}
