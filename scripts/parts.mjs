// The real parts that suites run against: how to see whether one is there, and Debian's package that brings it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Program → Debian package. */
export const PARTS = {
  mosquitto: 'mosquitto',
  python3: 'python3',
  initdb: 'postgresql',
  gpsd: 'gpsd',
  gpsfake: 'gpsd-clients',
};

const PATHS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** Debian keeps the programs of each version of PostgreSQL here, and not in PATH. */
const POSTGRES = '/usr/lib/postgresql';

/** Full path of a program, or null. */
export function find(program) {
  const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).sort().reverse() : [];
  // These first: PATH may hold a wrapper of one program alone.
  const folders = [...versions.map((version) => join(POSTGRES, version, 'bin')), ...PATHS];
  for (const folder of folders) if (existsSync(join(folder, program))) return join(folder, program);
  return null;
}

/** Installs what is missing through apt, where this is root on Debian; says what it could not bring. */
export function installParts() {
  const missing = Object.keys(PARTS).filter((program) => find(program) === null);
  if (missing.length === 0) return;
  const packages = missing.map((program) => PARTS[program]);
  const root = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (root) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const apt = (...args) => spawnSync('apt-get', args, { stdio: 'ignore', env }).status === 0;
    process.stdout.write(`Installing for the tests: ${packages.join(', ')} …\n`);
    if (apt('update', '-q')) apt('install', '-y', '-q', '--no-install-recommends', ...packages);
  }
  for (const program of missing.filter((one) => find(one) === null)) {
    process.stdout.write(
      `${program} is missing: its suites are skipped. Install it with \`apt-get install ${PARTS[program]}\`.\n`,
    );
  }
}
