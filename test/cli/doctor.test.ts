import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { examine } from '#agent/health/doctor/checks';
import type { Machine, Wanted } from '#agent/health/doctor/machine';
import { findingsText } from '#cli/commands/doctor';
import { tollgate } from '../system/processes.ts';
import { type UnitFolder, unitFolder } from '../system/unit-folder.ts';

const CASES = new URL('doctor/', import.meta.url);

/** A machine as its case describes it; what is left out is not there. */
interface Described {
  readonly wanted: Wanted;
  readonly files: Readonly<Record<string, string>>;
  readonly writable: readonly string[];
  readonly room: { readonly free: number; readonly total: number } | null;
  readonly syncMs: number | null;
  readonly addon: string | null;
  readonly rates?: Readonly<Record<string, readonly [number, number]>>;
  readonly kernel: string;
  readonly glibc: string | null;
  readonly node: string;
  readonly flags: readonly string[];
  readonly clock: Machine['clock'];
}

function machineOf({ files, writable, room, syncMs, addon, rates = {}, ...rest }: Described): Machine {
  const paths = Object.keys(files);
  const names = (folder: string) =>
    paths.filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1).split('/')[0]!);
  return {
    ...rest,
    arch: 'arm64',
    read: (path) => files[path] ?? null,
    list: (folder) => [...new Set(names(folder))].sort(),
    exists: (path) => path in files || names(path).length > 0,
    writable: (path) => writable.includes(path),
    room: () => room,
    syncMs: () => syncMs,
    addon: () => addon,
    bitrates: (name) => {
      const known = rates[name];
      return known === undefined ? null : { arbitration: known[0], data: known[1] };
    },
  };
}

const read = (name: string, file: string) => readFileSync(new URL(`${name}/${file}`, CASES), 'utf8');
const load = (name: string): Described => JSON.parse(read(name, 'machine.json'));

describe('tollgate doctor', () => {
  it.each(readdirSync(CASES))('says of %s what its case expects', async (name) => {
    const described = load(name);
    const findings = examine(machineOf(described), described.wanted);
    await expect(findingsText(findings, true, { interactive: false })).toMatchFileSnapshot(
      new URL(`${name}/expected.txt`, CASES).pathname,
    );
  });

  it('has a remedy for whatever is not well, and none for what is', () => {
    for (const name of readdirSync(CASES)) {
      const described = load(name);
      for (const { severity, remedy } of examine(machineOf(described), described.wanted)) {
        expect(remedy === null).toBe(severity === 'ok');
      }
    }
  });

  const change = (more: Partial<Described>) => {
    const described = { ...load('good-unit'), ...more };
    const findings = examine(machineOf(described), described.wanted);
    return findings.filter(({ severity }) => severity !== 'ok').map(({ check, severity }) => `${severity} ${check}`);
  };
  const files = (more: Record<string, string>) => ({ files: { ...load('good-unit').files, ...more } });

  it.each([
    ['mend kernel', { kernel: '4.9.0' }],
    ['mend glibc', { glibc: '2.17' }],
    ['mend glibc', { glibc: null }],
    ['mend node', { node: '20.1.0' }],
    ['mend node.flags', { flags: [] }],
    ['mend addon', { addon: 'not here' }],
    ['note state.sync', { syncMs: 300 }],
    ['mend state.sync', { syncMs: 3_000 }],
    ['mend flash.room', { room: { free: 2 ** 20, total: 2 ** 33 } }],
    ['mend clock', { clock: { nowMs: 0, synchronised: true, errorMs: 1 } }],
    ['mend clock', { clock: { nowMs: 2e12, synchronised: false, errorMs: 1 } }],
    ['mend entropy', files({ '/proc/sys/kernel/random/entropy_avail': '40' })],
    ['note flash.wear', files({ '/sys/block/mmcblk0/device/life_time': '0x02 0x09' })],
    ['mend flash.wear', files({ '/sys/block/mmcblk0/device/life_time': '0x0b 0x01' })],
    ['note can.queue', files({ '/proc/sys/net/core/rmem_max': '212992' })],
    ['note namespaces', files({ '/proc/sys/user/max_user_namespaces': '0' })],
    ['mend can.interface', files({ '/sys/class/net/can0/operstate': 'down' })],
    ['mend can.interface', files({ '/sys/class/net/can1/mtu': '16' })],
    ['mend memory', files({ '/proc/meminfo': 'MemTotal: 131072 kB\nMemAvailable: 65536 kB' })],
  ] as [string, Partial<Described>][])('finds one fault and no other: %s', (expected, more) => {
    expect(change(more)).toEqual([expected]);
  });

  it('takes a clock that satellites will set as one to note', () => {
    const wanted = { ...load('good-unit').wanted, gnss: true };
    expect(change({ wanted, clock: { nowMs: 0, synchronised: false, errorMs: 1 } })).toEqual(['note clock']);
  });
});

describe('tollgate doctor on this machine', () => {
  let unit: UnitFolder;
  afterEach(() => unit.remove());

  it('tells everything as JSON, and ends with 1 exactly where something must be mended', async () => {
    unit = await unitFolder();
    const asked = tollgate(['doctor', '--config', unit.config({}), '--json']);
    const exit = await asked.exited;
    const findings: { check: string; severity: string }[] = JSON.parse(asked.stdout());
    const checks = findings.map(({ check }) => check);
    expect(checks).toEqual(expect.arrayContaining(['kernel', 'addon', 'memory', 'state', 'clock', 'entropy']));
    // No state folder yet.
    expect(findings.find(({ check }) => check === 'state')?.severity).toBe('mend');
    expect(exit).toBe(findings.some(({ severity }) => severity === 'mend') ? 1 : 0);
    expect(findings.find(({ check }) => check === 'node.flags')?.severity).toBe('ok');
  });
});
