// `npm run dist -- [--arch x64|arm64] [--sea] [--fast] [--out DIR]`: Debian packages of the unit and the tools; with --sea also the
// unit as one executable for this machine. Needs no network once the
// dependencies are installed; arm64's Node comes from npm's cache. `--fast` compresses less: for tests, not for a release.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAddon } from './addons.mjs';
import { install, pinnedNode, root } from './run.mjs';

install();
if (process.execPath !== pinnedNode() && !process.versions.node.startsWith('24.')) {
  const again = spawnSync(pinnedNode(), process.argv.slice(1), { stdio: 'inherit' });
  process.exit(again.status ?? 1);
}

const { values } = parseArgs({
  options: {
    arch: { type: 'string', multiple: true, default: ['x64', 'arm64'] },
    fast: { type: 'boolean', default: false },
    sea: { type: 'boolean', default: false },
    out: { type: 'string', default: join(root, 'build') },
  },
});
const { projectVersion } = await import('../packaging/build/bundle.mjs');
const { isoDay, writeDeb } = await import('../packaging/build/deb.mjs');
const { writeExecutable } = await import('../packaging/build/sea.mjs');
const { toolsTree, unitTree } = await import('../packaging/build/tree.mjs');

const DEBIAN = { x64: 'amd64', arm64: 'arm64' };
const STRIP = { x64: ['x86_64-linux-gnu-strip', 'strip'], arm64: ['aarch64-linux-gnu-strip'] };
const version = projectVersion();
const epoch = Number(process.env.SOURCE_DATE_EPOCH ?? commitTime());
const common = {
  Version: version,
  Section: 'net',
  Priority: 'optional',
  Maintainer: 'The Tollgate authors <tollgate@tollgate.example>',
  Homepage: 'https://tollgate.example',
};
mkdirSync(values.out, { recursive: true });

for (const arch of values.arch) {
  const addon = buildAddon(arch);
  const node = stripped(arch, (folder) => nodeOf(arch, folder));
  const sqlite = stripped(arch, () => join(root, 'node_modules', 'better-sqlite3', 'prebuilds', `linux-${arch}.node`));
  if (addon === null || node === null || sqlite === null) {
    process.stderr.write(
      `${arch}: needs ${arch === 'arm64' ? 'g++-aarch64-linux-gnu' : 'g++ and binutils'}: not built\n`,
    );
    process.exitCode = 1;
    continue;
  }
  const out = join(values.out, `tollgate_${version}_${DEBIAN[arch]}.deb`);
  writeDeb({
    out,
    epoch,
    fast: values.fast,
    tree: await unitTree({ arch, version, date: isoDay(epoch), node, addon: readFileSync(addon), sqlite }),
    conffiles: ['/etc/tollgate/tollgate.yaml'],
    control: {
      Package: 'tollgate',
      Architecture: DEBIAN[arch],
      ...common,
      Depends: 'libc6 (>= 2.34), libstdc++6 (>= 11)',
      Recommends: 'systemd',
      Description:
        'edge agent of the automotive trusted data space\n Decodes CAN signals on the unit, lets out what the owner agreed to and\n nothing else, seals it for its recipient, counts it and proves it.',
    },
  });
  report(out);
  if (values.sea && arch === process.arch) {
    const folder = join(values.out, `tollgate-${version}-${arch}`);
    report(
      await writeExecutable({ arch, version, nodeVersion: nodeVersionOf(arch), node, addon, sqlite, out: folder }),
    );
  }
}
const tools = join(values.out, `tollgate-tools_${version}_all.deb`);
writeDeb({
  out: tools,
  epoch,
  fast: values.fast,
  tree: await toolsTree({ version, date: isoDay(epoch) }),
  control: {
    Package: 'tollgate-tools',
    Architecture: 'all',
    ...common,
    Depends: `tollgate (= ${version})`,
    Description:
      'receiver, simulator and database tools of Tollgate\n The other end of the path, and what a workshop or a developer needs.',
  },
});
report(tools);

function report(file) {
  process.stdout.write(`${file.slice(root.length)}  ${(statSync(file).size / 1e6).toFixed(1)} MB\n`);
}

/** A binary without symbols, or null where no `strip` of its architecture is installed. */
function stripped(arch, find) {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-strip-'));
  try {
    const file = join(folder, 'stripped');
    copyFileSync(find(folder), file);
    const done = STRIP[arch].some((strip) => spawnSync(strip, ['--strip-unneeded', file]).status === 0);
    return done ? readFileSync(file) : null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function nodeVersionOf(arch) {
  return JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages[`node_modules/node-linux-${arch}`]
    .version;
}

/** npm does not install another architecture's Node: it is taken from the cache, checked against the lock file. */
function nodeOf(arch, folder) {
  const name = `node-linux-${arch}`;
  const installed = join(root, 'node_modules', name, 'bin', 'node');
  if (existsSync(installed)) return installed;
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const { version: wanted, integrity } = packages[`node_modules/${name}`];
  const packed = spawnSync(
    'npm',
    ['pack', '--prefer-offline', '--json', `--pack-destination=${folder}`, `${name}@${wanted}`],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  if (packed.status !== 0) throw new Error(`npm pack ${name}: ${packed.stderr}`);
  const parsed = JSON.parse(packed.stdout);
  const { filename, integrity: got } = Array.isArray(parsed) ? parsed[0] : Object.values(parsed)[0];
  if (got !== integrity) throw new Error(`${name}@${wanted} is not the one in the lock file`);
  const done = spawnSync('tar', ['-xzf', join(folder, filename), '-C', folder, 'package/bin/node']);
  if (done.status !== 0) throw new Error(`tar: ${done.stderr}`);
  return join(folder, 'package', 'bin', 'node');
}

function commitTime() {
  const git = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  return git.status === 0 ? git.stdout.trim() : '0';
}
