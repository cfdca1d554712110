import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { readTimekeeping } from '#firmware-bridge/boottime';
import { nativeAddon } from '#firmware-bridge/native';
import type { Machine } from './machine.ts';

/** A few, because the first write of a file is slower than the next, and the slowest is what holds a commit up. */
const SYNCS = 5;
const SYNC_BYTES = 4_096;
const NS_PER_MS = 1e6;

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

/** The machine that this program runs on. */
export function thisMachine(nowMs: number): Machine {
  const kept = attempt(readTimekeeping);
  // The report names the C library that Node runs on; other libraries have no such line.
  const { header } = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } };
  return {
    read: (path) => attempt(() => readFileSync(path, 'utf8').trimEnd()),
    list: (path) => attempt(() => readdirSync(path).sort()) ?? [],
    exists: (path) => existsSync(path),
    writable: (path) => attempt(() => accessSync(path, constants.R_OK | constants.W_OK) ?? true) === true,
    room: (path) => roomOf(path),
    syncMs: (folder) => attempt(() => slowestSync(folder)),
    addon: () => {
      try {
        nativeAddon();
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
    bitrates: (name) => attempt(() => bitratesOf(name)),
    arch: process.arch,
    kernel: release(),
    glibc: header?.glibcVersionRuntime ?? null,
    node: process.versions.node,
    flags: process.execArgv,
    clock: { nowMs, synchronised: kept?.synchronised ?? null, errorMs: (kept?.errorNs ?? 0) / NS_PER_MS },
  };
}

/** Of the folder, or of the one that it will be made in. */
function roomOf(path: string): { free: number; total: number } | null {
  if (!existsSync(path)) return path === dirname(path) ? null : roomOf(dirname(path));
  return attempt(() => {
    const { bavail, blocks, bsize } = statfsSync(path);
    return { free: bavail * bsize, total: blocks * bsize };
  });
}

function bitratesOf(name: string): { arbitration: number; data: number } {
  const rates = new Float64Array(2);
  nativeAddon().bitrates(name, rates);
  return { arbitration: rates[0]!, data: rates[1]! };
}

function slowestSync(folder: string): number {
  const file = join(folder, `doctor-${process.pid}`);
  const fd = openSync(file, 'wx', 0o600);
  let slowest = 0;
  try {
    for (let i = 0; i < SYNCS; i++) {
      const startMs = performance.now();
      writeSync(fd, Buffer.alloc(SYNC_BYTES), 0, SYNC_BYTES, i * SYNC_BYTES);
      fsyncSync(fd);
      slowest = Math.max(slowest, performance.now() - startMs);
    }
  } finally {
    closeSync(fd);
    rmSync(file, { force: true });
  }
  return slowest;
}
