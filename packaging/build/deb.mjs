// A Debian package: an `ar` archive of three members, written by dpkg-deb from a folder that holds nothing but the tree.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const SECONDS = 1000;

/**
 * @param {{ tree: Map<string, { bytes: Buffer, mode: number }>, control: Record<string, string>, conffiles?: string[],
 *   out: string, epoch: number, fast?: boolean }} options `epoch`: seconds of SOURCE_DATE_EPOCH; `fast`: weaker compression
 */
export function writeDeb({ tree, control, conffiles = [], out, epoch, fast = false }) {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-deb-'));
  chmodSync(folder, 0o755);
  try {
    const place = (path, bytes, mode) => {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
      writeFileSync(file, bytes);
      chmodSync(file, mode);
      utimesSync(file, epoch, epoch);
    };
    let size = 0;
    const sums = [];
    for (const [path, { bytes, mode }] of tree) {
      place(path, bytes, mode);
      size += bytes.length;
      if (!conffiles.includes(`/${path}`)) sums.push(`${createHash('md5').update(bytes).digest('hex')}  ${path}\n`);
    }
    const fields = { ...control, 'Installed-Size': String(Math.ceil(size / 1024)) };
    const lines = Object.entries(fields).map(([key, value]) => `${key}: ${value}\n`);
    place('DEBIAN/control', lines.join(''), 0o644);
    place('DEBIAN/md5sums', sums.sort().join(''), 0o644);
    if (conffiles.length > 0) place('DEBIAN/conffiles', `${conffiles.join('\n')}\n`, 0o644);
    const compression = fast ? ['-Zzstd', '-z3'] : ['-Zxz', '-z6'];
    const done = spawnSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', folder, out], {
      encoding: 'utf8',
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    });
    if (done.status !== 0) throw new Error(`dpkg-deb: ${done.stderr ?? done.error?.message}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const isoDay = (epoch) => new Date(epoch * SECONDS).toISOString().slice(0, 10);
