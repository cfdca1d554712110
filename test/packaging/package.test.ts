import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../packaging/build/bundle.mjs';
import { buildDist, canBuild, type Dist, installInto, launchArgs } from './dist.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const service = join(project, 'packaging', 'unit', 'tollgate.service');

describe('the bundle of the unit', () => {
  it('holds neither simulator nor receiver nor anything that sends frames to a bus', async () => {
    const { modules, files } = await bundle('unit', '0.0.0');
    const own = modules.filter((id) => !id.includes('node_modules'));
    expect(own).toContain('agent/pipeline.ts');
    expect(own.filter((id) => /^(sim|receiver|test|bench)\//.test(id))).toEqual([]);
    expect([...files.keys()]).toEqual(expect.arrayContaining(['tollgate.js', 'agent.js', 'agent/store/worker.js']));
    const addon = readFileSync(join(project, 'firmware-bridge', 'native', 'can.cc'), 'utf8');
    expect(addon).not.toMatch(/\b(send|sendto|sendmsg|sendmmsg|write|writev)\s*\(/);
  });

  it('is the same bytes whenever it is made', async () => {
    const [one, other] = [await bundle('unit', '1.2.3'), await bundle('unit', '1.2.3')];
    for (const [name, code] of one.files) expect(code === other.files.get(name), name).toBe(true);
  });
});

describe('the start of the agent', () => {
  it('loads neither the code of other commands nor that of the uplink', async () => {
    const { files } = await bundle('unit', '0.0.0');
    const atTheTop = (name: string) =>
      [...files.get(name)!.matchAll(/^(?:const|let) .*$/gm)].flatMap(([line]) =>
        [...line.matchAll(/= require\("(\.\/[\w-]+\.js)"\)/g)].map(([, file]) => file),
      );
    expect(atTheTop('agent.js')).not.toContain('./commands.js');
    expect(atTheTop('agent.js')).not.toContain('./uplink.js');
  });
});

describe('the service', () => {
  const analyze = spawnSync('systemd-analyze', ['--version']).error === undefined;

  it.skipIf(!analyze)('exposes at most 1.5 of 10 (needs the package systemd)', () => {
    const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=15', service], {
      encoding: 'utf8',
    });
    expect(judged.stdout.trim().split('\n').at(-1)).toMatch(/exposure level .*: (0\.\d|1\.[0-5]) /);
    expect(judged.status).toBe(0);
  });

  it('takes no code, no compiled code and no trust from the environment of whoever calls', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-launcher-'));
    const names = [
      'NODE_OPTIONS',
      'NODE_PATH',
      'NODE_COMPILE_CACHE',
      'NODE_EXTRA_CA_CERTS',
      'NODE_TLS_REJECT_UNAUTHORIZED',
    ];
    for (const launcher of ['unit/tollgate', 'tools/tollgate-tools']) {
      const script = readFileSync(join(project, 'packaging', launcher), 'utf8').replace(/^exec .*$/m, 'env');
      const file = join(folder, 'launcher');
      writeFileSync(file, script);
      const env = Object.fromEntries(names.map((name) => [name, 'set']));
      const { stdout } = spawnSync('sh', [file], { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } });
      expect(stdout).toContain('PATH=');
      for (const name of names) expect(stdout, launcher).not.toContain(name);
    }
    rmSync(folder, { recursive: true });
    expect(readFileSync(service, 'utf8')).toMatch(/^UnsetEnvironment=.*NODE_TLS_REJECT_UNAUTHORIZED/m);
  });

  it('starts the agent as the launcher does', () => {
    const launcher = readFileSync(join(project, 'packaging', 'unit', 'tollgate'), 'utf8');
    const start = /^ExecStart=(.*)$/m.exec(readFileSync(service, 'utf8'))![1]!;
    expect(start.startsWith(/exec (.*) "\$@"/.exec(launcher)![1]!)).toBe(true);
    const kept = [...launcher.matchAll(/^export (.*)$/gm)].map(([, setting]) => setting);
    const set = [...readFileSync(service, 'utf8').matchAll(/^Environment=(MALLOC_.*)$/gm)].map(
      ([, setting]) => setting,
    );
    expect(set).toEqual(kept);
    const executable = readFileSync(join(project, 'packaging', 'build', 'sea.mjs'), 'utf8');
    for (const flag of launchArgs(launcher)) expect(executable).toContain(`'${flag}',`);
  });
});

describe.skipIf(!canBuild)('the Debian package (needs the packages g++ and binutils)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-root-'));
  const root = join(folder, 'root');
  const lib = join(root, 'usr', 'lib', 'tollgate');
  let dist: Dist;
  const run = (args: string[], cwd = folder) => {
    const flags = launchArgs(readFileSync(join(root, 'usr', 'bin', 'tollgate'), 'utf8'));
    return spawnSync(join(lib, 'node'), [...flags, join(lib, 'tollgate.js'), ...args], { cwd, encoding: 'utf8' });
  };

  beforeAll(() => {
    dist = buildDist({ fast: true, sea: true });
    installInto(root, [dist.deb, dist.tools]);
  }, 120_000);
  afterAll(() => {
    dist?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('installs into an empty root and asks nothing: it has no script of its own', () => {
    for (const script of ['preinst', 'postinst', 'prerm', 'postrm', 'config', 'templates']) {
      expect(existsSync(join(root, 'var', 'lib', 'dpkg', 'info', `tollgate.${script}`))).toBe(false);
    }
    expect(statSync(root).mode & 0o777).toBe(0o755);
    for (const file of [
      'usr/lib/systemd/system/tollgate.service',
      'usr/lib/sysusers.d/tollgate.conf',
      'usr/lib/tmpfiles.d/tollgate.conf',
      'usr/share/man/man1/tollgate.1.gz',
      'usr/share/bash-completion/completions/tollgate',
      'etc/tollgate/tollgate.yaml',
    ]) {
      expect(existsSync(join(root, file)), file).toBe(true);
    }
  });

  it('lists every file of itself with its hash', () => {
    const lines = readFileSync(join(lib, 'manifest.sha256'), 'utf8').trim().split('\n');
    for (const line of lines) {
      const [hash, path] = line.split('  ');
      expect(
        createHash('sha256')
          .update(readFileSync(join(root, path!)))
          .digest('hex'),
        path,
      ).toBe(hash);
    }
    expect(lines.map((line) => line.split('  ')[1])).toContain('usr/lib/tollgate/node');
  });

  it('decodes, decides, seals and proves with what it installed alone', () => {
    const databases = join(root, 'usr', 'lib', 'tollgate-tools', 'dbc', 'databases', 'tollgate-vehicle');
    const log = join(folder, 'drive.log');
    const tools = join(root, 'usr', 'lib', 'tollgate-tools', 'tollgate.js');
    const drive = spawnSync(join(lib, 'node'), [tools, 'sim', 'drive', '--seconds', '20', '--out', log]);
    expect(drive.status, drive.stderr?.toString()).toBe(0);
    const battery = join(project, 'policies', 'examples', 'battery');
    const documents = ['--campaign', `${battery}/campaign.yaml`, '--agreement', `${battery}/agreement.json`];
    const names = ['--dbc', `${databases}.dbc`, '--mapping', `${databases}.mapping.yaml`];
    const replayed = run(['replay', log, ...names, ...documents, '--state', join(folder, 'state'), '--json']);
    expect(replayed.status, replayed.stderr).toBe(0);
    const verified = run(['verify', join(folder, 'state'), '--keys', join(folder, 'state', 'keys', 'unit')]);
    expect(verified.stdout).toContain('VERIFIED');
  });

  it('has a command for what its manual lists, and the tools have the rest', () => {
    expect(run(['--help']).stdout).toContain('Usage: tollgate COMMAND');
    expect(run(['receive', '--help']).status).toBe(2);
    const tools = join(root, 'usr', 'lib', 'tollgate-tools', 'tollgate.js');
    expect(spawnSync(join(lib, 'node'), [tools, 'receive', '--help'], { encoding: 'utf8' }).stdout).toContain('Usage:');
    const completion = join(root, 'usr', 'share', 'bash-completion', 'completions', 'tollgate');
    const script = `. ${completion}; COMP_WORDS=(tollgate led); COMP_CWORD=1; _tollgate; echo "\${COMPREPLY[@]}"`;
    expect(spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim()).toBe('ledger');
  });

  it('runs as one executable as well, with the flags baked in', () => {
    expect(spawnSync(dist.executable!, ['--version'], { encoding: 'utf8' }).stdout).toMatch(/^tollgate \d/);
    const empty = join(folder, 'empty.yaml');
    writeFileSync(empty, 'version: 1\nunit: { state: s, keys: k }\nsources: []\ndocuments: {}\n');
    // It gets as far as the configuration: the agent refuses to start where code can be made from strings.
    const ran = spawnSync(dist.executable!, ['run', '--config', empty], { encoding: 'utf8', cwd: folder });
    expect(ran.stderr).toContain('TG_CONFIG_VALUE');
  });
});
