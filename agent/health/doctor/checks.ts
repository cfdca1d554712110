import type { Finding, Machine, Severity, Wanted } from './machine.ts';

/** First kernel with CAN FD, time stamps, `CAN_RAW_FILTER` and the TPM's resource manager as the agent uses them (4.12). */
const LEAST_KERNEL = 4.12;
/** Node's own build is linked against this glibc (nodejs/node, BUILDING.md, version 24). */
const LEAST_GLIBC = 2.28;
const LEAST_NODE = 22;
const MIB = 2 ** 20;
/** The agent stays below 80 MiB; the rest of a unit needs room, too. */
const LEAST_RAM = 256 * MIB;
const LEAST_FREE_RAM = 96 * MIB;
/** The database, its WAL and the room that SQLite needs to tidy up: twice the spool. */
const SPOOL_FACTOR = 2;
/** A group commit a second must not wait for the one before. */
const SLOW_SYNC_MS = 200;
const STUCK_SYNC_MS = 1_000;
/** ARPHRD_CAN of linux/if_arp.h. */
const ARPHRD_CAN = '280';
const LEAST_QUEUE = 4 * MIB;
const LEAST_ENTROPY = 128;
/** The first commit of this project: no clock of a unit can be right below it. 2026-01-01T00:00:00Z, ms. */
const FIRST_DAY_MS = 1_767_225_600_000;
/** eMMC 5.0 (JEDEC JESD84-B50), DEVICE_LIFE_TIME_EST: tenths of the life that are used, 0 unknown, 11 exceeded. */
const WORN = 9;
const DEAD = 11;
const SHUT = '--disallow-code-generation-from-strings';

type Check = (machine: Machine, wanted: Wanted) => Finding | readonly Finding[];

/** Everything that is looked at, in the order in which it is shown. */
export const CHECKS: readonly Check[] = [
  kernel,
  canModules,
  interfaces,
  queue,
  addon,
  glibc,
  node,
  tpm,
  userNamespaces,
  ram,
  stateFolder,
  syncTime,
  room,
  wear,
  clock,
  entropy,
];

export function examine(machine: Machine, wanted: Wanted): Finding[] {
  return CHECKS.flatMap((check) => check(machine, wanted));
}

function ok(check: string, found: string): Finding {
  return { check, severity: 'ok', found, remedy: null };
}

function not(check: string, severity: Exclude<Severity, 'ok'>, found: string, remedy: string): Finding {
  return { check, severity, found, remedy };
}

/** `5.10.0-28-arm64` → [5, 10]. */
function version(text: string): readonly [number, number] {
  const [, major = '0', minor = '0'] = /^v?(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  return [Number(major), Number(minor)];
}

/** @param least written as a number: 4.12 is version 4.12, and 4.9 lies below it */
function atLeast(text: string, least: number): boolean {
  const [major, minor] = version(text);
  const [leastMajor, leastMinor] = version(least.toString());
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

function kernel({ kernel: found }: Machine): Finding {
  if (atLeast(found, LEAST_KERNEL)) return ok('kernel', `Linux ${found}`);
  return not('kernel', 'mend', `Linux ${found}`, `Use a kernel from ${LEAST_KERNEL} on.`);
}

/** Built in or loaded, a protocol stands in /proc/net; else its module is on the disk. */
function canModules(machine: Machine, { interfaces: wanted }: Wanted): Finding {
  const { kernel: release } = machine;
  if (machine.exists('/proc/net/can') || machine.exists('/sys/module/can_raw'))
    return ok('can.kernel', 'CAN_RAW is there');
  const modules = `${machine.read(`/lib/modules/${release}/modules.dep`) ?? ''}\n${machine.read(`/lib/modules/${release}/modules.builtin`) ?? ''}`;
  if (/\/can-raw\.ko/.test(modules))
    return not(
      'can.kernel',
      'note',
      'the module can-raw is not loaded',
      'It is loaded by itself when the agent starts as root; else run `modprobe can-raw`, or name it in /etc/modules-load.d.',
    );
  const severity = wanted.length > 0 ? 'mend' : 'note';
  return not(
    'can.kernel',
    severity,
    'this kernel has no CAN sockets',
    'Use a kernel with CONFIG_CAN and CONFIG_CAN_RAW.',
  );
}

function interfaces(machine: Machine, { interfaces: wanted }: Wanted): Finding[] {
  const found = machine
    .list('/sys/class/net')
    .filter((name) => machine.read(`/sys/class/net/${name}/type`) === ARPHRD_CAN);
  if (wanted.length === 0)
    return found.map((name) => ok('can.interface', `${name}: ${linkText(machine, name)}; not in the configuration`));
  return wanted.map(({ name, fd }) => {
    const near = found.length > 0 ? `this unit has ${found.join(', ')}` : 'this unit has none';
    if (!found.includes(name))
      return not(
        'can.interface',
        'mend',
        `${name} is not there; ${near}`,
        'Correct the name in the configuration, or load the driver of the controller.',
      );
    const text = `${name}: ${linkText(machine, name)}`;
    if (machine.read(`/sys/class/net/${name}/operstate`) === 'down')
      return not(
        'can.interface',
        'mend',
        text,
        `Give it its bit rate and take it up: \`ip link set ${name} up type can bitrate 500000 restart-ms 100\`.`,
      );
    // CAN_MTU is 16, CANFD_MTU 72.
    if (fd && machine.read(`/sys/class/net/${name}/mtu`) === '16')
      return not(
        'can.interface',
        'mend',
        `${text}; set to classic frames`,
        `CAN FD is configured: \`ip link set ${name} type can dbitrate 2000000 fd on\`.`,
      );
    return ok('can.interface', text);
  });
}

function linkText(machine: Machine, name: string): string {
  const at = (file: string) => machine.read(`/sys/class/net/${name}/${file}`);
  const form = at('mtu') === '72' ? 'CAN FD' : 'classic';
  return `${at('operstate') ?? 'state unknown'}, ${form}, ${rateText(machine, name)}`;
}

/** sysfs has no bit rate: the kernel tells it by netlink alone, which our addon asks. */
function rateText(machine: Machine, name: string): string {
  const rates = machine.bitrates(name);
  if (rates === null) return `bit rate not known here: \`ip -details link show ${name}\` may tell it`;
  const { arbitration, data } = rates;
  if (arbitration === 0) return 'no bit rate (a virtual bus, or not set)';
  return `${arbitration} bit/s${data > 0 ? `, data at ${data} bit/s` : ''}`;
}

function queue(machine: Machine, { interfaces: wanted }: Wanted): Finding[] {
  const most = Number(machine.read('/proc/sys/net/core/rmem_max') ?? Number.NaN);
  if (wanted.length === 0 || Number.isNaN(most)) return [];
  if (most >= LEAST_QUEUE) return [ok('can.queue', `${most / MIB} MiB for the queue of a socket`)];
  return [
    not(
      'can.queue',
      'note',
      `${Math.round(most / 1024)} KiB for the queue of a socket`,
      `A full bus fills it in less than half a second: \`sysctl -w net.core.rmem_max=${LEAST_QUEUE}\`.`,
    ),
  ];
}

function addon(machine: Machine): Finding {
  const said = machine.addon();
  if (said === null) return ok('addon', `compiled for ${machine.arch}, and loads`);
  return not('addon', 'mend', said, 'Install the package of this architecture, or run `npm run addons` in a checkout.');
}

function glibc({ glibc: found }: Machine): Finding {
  if (found === null) return not('glibc', 'mend', 'another C library', 'Node needs glibc: use a system that has it.');
  if (atLeast(found, LEAST_GLIBC)) return ok('glibc', `glibc ${found}`);
  return not('glibc', 'mend', `glibc ${found}`, `Node 24 needs ${LEAST_GLIBC}: use a newer system.`);
}

function node({ node: found, flags }: Machine): Finding[] {
  const engine = atLeast(found, LEAST_NODE)
    ? ok('node', `Node ${found}`)
    : not(
        'node',
        'mend',
        `Node ${found}`,
        `Start the agent with the Node of its package (24), or any from ${LEAST_NODE} on.`,
      );
  const shut = flags.includes(SHUT)
    ? ok('node.flags', 'no code is made from strings')
    : not(
        'node.flags',
        'mend',
        'code may be made from strings',
        `Start Node with ${SHUT}; the agent refuses to run without it.`,
      );
  return [engine, shut];
}

function tpm(machine: Machine): Finding {
  if (!machine.exists('/dev/tpmrm0'))
    return not(
      'tpm',
      'note',
      'no TPM 2.0',
      'Keys lie in files, and nothing proves what this unit runs: use a unit with a TPM where that matters.',
    );
  if (machine.writable('/dev/tpmrm0')) return ok('tpm', '/dev/tpmrm0');
  return not('tpm', 'note', '/dev/tpmrm0 may not be opened', 'Put the user of the agent into the group tss.');
}

function userNamespaces(machine: Machine): Finding {
  const most = machine.read('/proc/sys/user/max_user_namespaces');
  const debian = machine.read('/proc/sys/kernel/unprivileged_userns_clone');
  const there = machine.exists('/proc/self/ns/user') && most !== '0' && debian !== '0';
  if (there) return ok('namespaces', 'user namespaces');
  return not(
    'namespaces',
    'note',
    'no user namespaces',
    'Modules in a sandbox of the system are refused: `sysctl -w user.max_user_namespaces=1000`.',
  );
}

function ram(machine: Machine): Finding {
  const text = machine.read('/proc/meminfo') ?? '';
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  const [total, free] = [field('MemTotal'), field('MemAvailable')];
  const found = `${mib(total)} of memory, ${mib(free)} available`;
  if (total >= LEAST_RAM && free >= LEAST_FREE_RAM) return ok('memory', found);
  return not(
    'memory',
    'mend',
    found,
    `The agent takes up to 80 MiB: ${mib(LEAST_RAM)} are the least, ${mib(LEAST_FREE_RAM)} of them available.`,
  );
}

function stateFolder(machine: Machine, { state }: Wanted): Finding {
  if (machine.writable(state)) return ok('state', 'the state folder takes writes');
  return not(
    'state',
    'mend',
    'the state folder takes no writes',
    `Make ${state} and give it to the user of the agent; check that its file system is mounted writable.`,
  );
}

function syncTime(machine: Machine, { state }: Wanted): Finding[] {
  const ms = machine.syncMs(state);
  if (ms === null) return [];
  const found = `a durable write takes ${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  if (ms < SLOW_SYNC_MS) return [ok('state.sync', found)];
  const severity = ms < STUCK_SYNC_MS ? 'note' : 'mend';
  return [
    not(
      'state.sync',
      severity,
      found,
      'Group commits wait for it: put the state folder on a faster part of the flash, or raise `store.groupCommit`.',
    ),
  ];
}

function room(machine: Machine, { state, spoolBytes }: Wanted): Finding {
  const found = machine.room(state);
  if (found === null)
    return not('flash.room', 'note', 'free space is unknown', 'Make the state folder, and ask again.');
  const text = `${mib(found.free)} free of ${mib(found.total)}`;
  if (found.free >= SPOOL_FACTOR * spoolBytes) return ok('flash.room', text);
  return not(
    'flash.room',
    'mend',
    text,
    `The spool may take ${mib(spoolBytes)}, and twice that with its journal: free space, or lower \`store.maxBytes\`.`,
  );
}

function wear(machine: Machine): Finding[] {
  const cards = machine.list('/sys/block').filter((name) => /^mmcblk\d+$/.test(name));
  if (cards.length === 0) return [ok('flash.wear', 'no eMMC; its wear is unknown')];
  return cards.map((name) => {
    const used = machine.read(`/sys/block/${name}/device/life_time`)?.split(/\s+/).map(Number) ?? [];
    const worst = Math.max(0, ...used.filter((one) => !Number.isNaN(one)));
    if (worst === 0) return ok('flash.wear', `${name}: does not tell its wear`);
    const text = worst >= DEAD ? `${name}: beyond its life` : `${name}: at most ${worst * 10} % of its life used`;
    if (worst >= DEAD)
      return not('flash.wear', 'mend', text, 'Change the unit: it may lose what it holds at any time.');
    if (worst >= WORN)
      return not(
        'flash.wear',
        'note',
        text,
        'Plan its change, raise `store.groupCommit`, and look at what else writes.',
      );
    return ok('flash.wear', text);
  });
}

function clock({ clock: { nowMs, synchronised, errorMs } }: Machine, { gnss }: Wanted): Finding {
  if (synchronised === true && nowMs >= FIRST_DAY_MS) return ok('clock', `kept right within ${Math.ceil(errorMs)} ms`);
  const found =
    nowMs < FIRST_DAY_MS
      ? 'the clock stands before this program was made'
      : synchronised === null
        ? 'the kernel does not say whether the clock is kept right'
        : 'nobody keeps the clock right';
  if (gnss)
    return not(
      'clock',
      'note',
      found,
      'Time comes from gpsd, once the receiver has a fix; an NTP daemon (chrony) is there before.',
    );
  return not(
    'clock',
    'mend',
    found,
    'Run an NTP daemon (chrony, with NTS where there is one), or name a gpsd: until then UTC is unknown, and rights bound to time are closed.',
  );
}

function entropy(machine: Machine): Finding {
  // From 5.18 on the kernel's generator is seeded once and then says 256 for ever.
  const bits = Number(machine.read('/proc/sys/kernel/random/entropy_avail') ?? Number.NaN);
  if (Number.isNaN(bits)) return not('entropy', 'note', 'the kernel does not say how much it has', 'Mount /proc/sys.');
  if (bits >= LEAST_ENTROPY) return ok('entropy', `${bits} bits`);
  return not(
    'entropy',
    'mend',
    `${bits} bits`,
    'Keys made now may be guessed: load the driver of the hardware generator, or keep a seed over boots (systemd-random-seed).',
  );
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / MIB).toLocaleString('en-US')} MiB`;
}
