import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleProgram } from '../../packaging/build/bundle.mjs';

/** The machine that a guest is. */
export type GuestArch = 'x64' | 'arm64';

const project = fileURLToPath(new URL('../..', import.meta.url));
/** What is downloaded once, and what is built from it. */
export const CACHE = join(project, 'build', 'vm');
const DEBIAN = { x64: 'amd64', arm64: 'arm64' } as const;
/** Userland of the guest, from Debian: a shell, `ip`, can-utils, and the libraries that these and Node name. */
const PACKAGES = [
  ...[
    'busybox-static',
    'iproute2',
    'can-utils',
    'libc6',
    'libstdc++6',
    'libgcc-s1',
    'zlib1g',
    'libbpf1',
    'libbsd0',
    'libmd0',
  ],
  ...['libcap2', 'libelf1', 'libmnl0', 'libtirpc3', 'libxtables12', 'libselinux1', 'libpcre2-8-0', 'libgssapi-krb5-2'],
  ...['libkrb5-3', 'libk5crypto3', 'libkrb5support0', 'libcom-err2', 'libkeyutils1', 'libdb5.3'],
];
/** Modules that the guest loads; what they need is found in the kernel's own list. */
const MODULES = [
  'can',
  'can-raw',
  'can-dev',
  'vcan',
  'sja1000',
  'kvaser_pci',
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
  'crc32c_generic',
  'ext4',
];
/** Folders of a package that a guest has no use for. */
const LEFT_OUT = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'usr/share/bash-completion'];

export interface Image {
  readonly kernel: string;
  readonly initramfs: string;
}

/**
 * A kernel and an initramfs with the installed package in it.
 *
 * @param deb the unit's package
 * @param extra files of the host that lie in the guest: path there → path here (folders too)
 */
export async function buildImage(
  arch: GuestArch,
  deb: string,
  extra: Readonly<Record<string, string>>,
): Promise<Image> {
  const debs = download(arch);
  const work = join(CACHE, arch);
  const kernelRoot = join(work, 'kernel');
  if (!existsSync(join(kernelRoot, 'boot'))) unpack(debs.kernel, kernelRoot);
  const version = readdirSync(join(kernelRoot, 'lib', 'modules'))[0]!;
  const root = join(work, 'root');
  rmSync(root, { recursive: true, force: true });
  for (const one of [...debs.userland, deb]) unpack(one, root);
  for (const folder of LEFT_OUT) rmSync(join(root, folder), { recursive: true, force: true });
  for (const folder of ['proc', 'sys', 'dev', 'tmp', 'data', 'modules'])
    mkdirSync(join(root, folder), { recursive: true });
  const modules = modulesInOrder(kernelRoot, version);
  for (const [i, file] of modules.entries()) {
    cpSync(
      join(kernelRoot, 'lib', 'modules', version, file),
      join(root, 'modules', `${String(i).padStart(2, '0')}.ko`),
    );
  }
  // Beside the agent's bundle, whose addons it shares.
  const guest = await bundleProgram(fileURLToPath(new URL('guest/main.ts', import.meta.url)));
  writeFileSync(join(root, 'usr', 'lib', 'tollgate', 'guest.js'), guest);
  for (const [there, here] of Object.entries(extra)) {
    mkdirSync(dirname(join(root, there)), { recursive: true });
    cpSync(here, join(root, there), { recursive: true, dereference: true });
  }
  cpSync(fileURLToPath(new URL('guest/init.sh', import.meta.url)), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  if (!existsSync(join(root, 'bin', 'sh'))) symlinkSync('busybox', join(root, 'bin', 'sh'));
  const initramfs = join(work, 'initramfs.cpio');
  run('sh', ['-c', `find . | cpio --quiet -o -H newc > "$0"`, initramfs], root);
  return { kernel: join(kernelRoot, 'boot', `vmlinuz-${version}`), initramfs };
}

/** Debian's packages for the guest, from apt; nothing is installed. */
function download(arch: GuestArch): { kernel: string; userland: string[] } {
  const folder = join(CACHE, arch, 'debs');
  const lists = join(CACHE, arch, 'lists');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(lists, 'partial'), { recursive: true });
  const debian = DEBIAN[arch];
  const options = [
    `-oAPT::Architecture=${debian}`,
    `-oAPT::Architectures=${debian}`,
    `-oDir::State::Lists=${lists}`,
    '-oDir::Cache::pkgcache=',
    '-oDir::Cache::srcpkgcache=',
  ];
  const have = () => readdirSync(folder).filter((name) => name.endsWith('.deb'));
  const missing = PACKAGES.filter((name) => !have().some((file) => file.startsWith(`${name}_`)));
  const kernelFile = () => have().find((name) => name.startsWith('linux-image-'));
  if (missing.length > 0 || kernelFile() === undefined) {
    run('apt-get', [...options, '-q', 'update'], folder);
    const depends = run('apt-cache', [...options, 'depends', `linux-image-${debian}`], folder);
    const kernel = /Depends: (linux-image-[\d.-]+-(?:amd64|arm64))\b/.exec(depends)![1]!;
    run('apt-get', [...options, '-q', 'download', ...missing, kernel], folder);
  }
  const userland = have().filter((name) => !name.startsWith('linux-image-'));
  return { kernel: join(folder, kernelFile()!), userland: userland.map((name) => join(folder, name)) };
}

function unpack(deb: string, root: string): void {
  mkdirSync(root, { recursive: true });
  run('dpkg-deb', ['--extract', deb, root], root);
}

/** Files of the modules and of what they need, each after what it needs. */
function modulesInOrder(kernelRoot: string, version: string): string[] {
  const folder = join(kernelRoot, 'lib', 'modules', version);
  if (!existsSync(join(folder, 'modules.dep'))) run('depmod', ['-b', kernelRoot, version], folder);
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, 'modules.dep'), 'utf8').trim().split('\n')) {
    const [file, rest] = line.split(':');
    needs.set(file!, rest!.trim() === '' ? [] : rest!.trim().split(' '));
  }
  const byName = new Map([...needs.keys()].map((file) => [file.split('/').at(-1)!.replace(/\.ko$/, ''), file]));
  const order: string[] = [];
  const add = (file: string) => {
    if (order.includes(file)) return;
    // depmod lists what a module needs, the nearest first.
    for (const needed of [...needs.get(file)!].reverse()) add(needed);
    order.push(file);
  };
  for (const name of MODULES) {
    // Some are built into one kernel and modules of another.
    const file = byName.get(name) ?? byName.get(name.replaceAll('-', '_'));
    if (file !== undefined) add(file);
  }
  return order;
}

function run(command: string, args: readonly string[], cwd: string): string {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (done.error !== undefined || done.status !== 0) {
    throw new Error(`${command} ${args.slice(-2).join(' ')}: ${done.error?.message ?? `${done.stdout}${done.stderr}`}`);
  }
  return done.stdout;
}
