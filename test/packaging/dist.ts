import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** What `npm run dist` made. */
export interface Dist {
  readonly folder: string;
  readonly deb: string;
  readonly tools: string;
  /** The single executable, where asked for. */
  readonly executable: string | null;
  remove(): void;
}

/** Whether this machine can build the packages: Debian's tools and a compiler. */
export const canBuild = ['dpkg-deb', 'g++', 'strip'].every(
  (tool) => spawnSync(tool, ['--version']).error === undefined,
);

/** The packages for this machine. `fast` compresses less. */
export function buildDist({ fast, sea }: { fast: boolean; sea: boolean }): Dist {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-dist-'));
  const flags = [...(fast ? ['--fast'] : []), ...(sea ? ['--sea'] : [])];
  const args = [join(project, 'scripts', 'dist.mjs'), '--arch', process.arch, '--out', folder, ...flags];
  const built = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`dist: ${built.stdout}${built.stderr}`);
  const named = (pattern: RegExp) => join(folder, readdirSync(folder).find((name) => pattern.test(name))!);
  return {
    folder,
    deb: named(/^tollgate_.*\.deb$/),
    tools: named(/^tollgate-tools_.*\.deb$/),
    executable: sea ? join(named(/^tollgate-[\d.]+-/), 'tollgate') : null,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** An empty root with the packages installed as `dpkg --root` does it. */
export function installInto(root: string, debs: readonly string[]): void {
  mkdirSync(join(root, 'var', 'lib', 'dpkg', 'info'), { recursive: true });
  mkdirSync(join(root, 'var', 'lib', 'dpkg', 'updates'), { recursive: true });
  writeFileSync(join(root, 'var', 'lib', 'dpkg', 'status'), '');
  // The root holds no libc: the dependencies are those of a real unit.
  const done = spawnSync('dpkg', [`--root=${root}`, '--force-depends', '--install', ...debs], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`dpkg: ${done.stdout}${done.stderr}`);
}

/** Flags with which the package starts its bundle, from its own launcher. */
export function launchArgs(launcher: string): string[] {
  return [...launcher.matchAll(/ (--[\w=-]+)/g)].map(([, flag]) => flag!);
}

/** What it sets for the process. */
export function launchEnv(launcher: string): Record<string, string> {
  return Object.fromEntries([...launcher.matchAll(/^export (\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]));
}
