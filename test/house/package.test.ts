import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest: { exports: Record<string, unknown>; dependencies: Record<string, string> } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);
const SKIPPED = new Set(['node_modules', 'dist', '.git', 'test', 'bench', 'docs']);

/** The tarball of `npm pack`, unpacked where a user's project would have it, its dependencies beside it. */
describe('the package that npm pack makes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-pack-'));
  const installed = join(folder, 'project', 'node_modules', 'tollgate');

  beforeAll(() => {
    const checkout = join(folder, 'checkout');
    cpSync(root, checkout, { recursive: true, filter: (path) => !SKIPPED.has(path.slice(root.length).split('/')[0]!) });
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
    const packed = spawnSync('npm', ['pack', '--silent'], { cwd: checkout, encoding: 'utf8' });
    expect(packed.status, packed.stderr).toBe(0);
    mkdirSync(installed, { recursive: true });
    const tarball = join(checkout, packed.stdout.trim().split('\n').at(-1)!);
    expect(spawnSync('tar', ['xzf', tarball, '--strip-components=1', '-C', installed]).status).toBe(0);
    for (const name of readdirSync(join(root, 'node_modules'))) {
      const link = join(folder, 'project', 'node_modules', name);
      if (!name.startsWith('.') && !existsSync(link)) symlinkSync(join(root, 'node_modules', name), link);
    }
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('gives every sub-path, with types', () => {
    const names = Object.keys(manifest.exports).map((path) => `tollgate/${path.slice(2)}`);
    writeFileSync(
      join(folder, 'project', 'use.mjs'),
      names.map((name) => `await import(${JSON.stringify(name)});`).join('\n'),
    );
    const child = spawnSync(process.execPath, ['use.mjs'], { cwd: join(folder, 'project'), encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(child.status).toBe(0);
    for (const path of Object.keys(manifest.exports)) {
      expect(existsSync(join(installed, 'dist', path.slice(2), 'index.d.ts')), path).toBe(true);
    }
  });

  it('runs its command', () => {
    const command = join(installed, 'cli', 'tollgate.mjs');
    const child = spawnSync(process.execPath, [command, '--help'], { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(child.stdout).toContain('Usage: tollgate COMMAND');
  });

  it('shows the whole path with the data that it ships', () => {
    const command = join(installed, 'cli', 'tollgate.mjs');
    const args = ['--disallow-code-generation-from-strings', command, 'sim', 'demo', '--seconds', '10'];
    const child = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: folder });
    expect(child.stderr).toBe('');
    expect(child.stdout).toContain('\nVerified\n');
    expect(child.status).toBe(0);
  });

  it('holds no test, no bench and no source that Node would have to strip', () => {
    const files = readdirSync(installed, { recursive: true }).map(String);
    expect(
      files.filter((file) => /^(test|bench)\//.test(file) || (/\.ts$/.test(file) && !file.endsWith('.d.ts'))),
    ).toEqual([]);
  });

  it('has at most twelve direct dependencies', () => {
    expect(Object.keys(manifest.dependencies).length).toBeLessThanOrEqual(12);
  });
});
