import { spawnSync } from 'node:child_process';
import { run, start } from './bus.ts';
import { attempt, report, sleep, until } from './report.ts';

const NODE = '/usr/lib/tollgate/node';
const AGENT = ['--disallow-code-generation-from-strings', '/usr/lib/tollgate/tollgate.js'];
const CONFIG = '/etc/tollgate/power-cut.yaml';
/** State and keys lie on the disk that outlives the machine. */
const KEYS = '/data/keys';
const STATE = '/data/state';

function agent(...args: string[]) {
  return spawnSync(NODE, [...AGENT, ...args], { encoding: 'utf8' });
}

async function mount(): Promise<void> {
  await run('/bin/busybox', 'mount', '-t', 'ext4', '/dev/vda', '/data');
}

/** Spools without a broker until the host cuts the power; says again and again how much is durable. */
export async function spool(): Promise<void> {
  await mount();
  await run('/bin/busybox', 'cp', '-r', '/etc/tollgate/keys/unit', KEYS);
  start(NODE, ...AGENT, 'run', '--config', CONFIG);
  await sleep(3_000);
  start('/bin/busybox', 'sh', '-c', 'while canplayer -I /guest/drive.log can0=vcan0; do :; done');
  for (;;) {
    await sleep(1_000);
    const { stdout } = agent('status', '--json', '--config', CONFIG);
    const checked = agent('verify', STATE, '--keys', KEYS, '--json').stdout;
    if (stdout === '' || checked === '') continue;
    const { records, leaves, ok } = JSON.parse(checked);
    report('spooled', ok, { records, leaves });
  }
}

/** After the cut: the ledger is true, and what waits goes to the broker of the host. */
export async function drain(): Promise<void> {
  await mount();
  await attempt('the ledger after the power cut', async () => {
    const { ok, records, leaves, findings } = JSON.parse(agent('verify', STATE, '--keys', KEYS, '--json').stdout);
    return { ok, records, leaves, findings };
  });
  await attempt('the outbox drains', async () => {
    const running = start(NODE, ...AGENT, 'run', '--config', CONFIG);
    let left = -1;
    const empty = () => {
      const { stdout } = agent('status', '--json', '--config', CONFIG);
      const status = stdout === '' ? null : JSON.parse(stdout);
      if (status === null) return false;
      const { store } = status.unit;
      left = store.queued + store.inflight + store.pubacked;
      return left === 0;
    };
    const drained = await until(empty, 60_000);
    running.kill('SIGTERM');
    await until(() => running.exitCode !== null, 5_000);
    return { ok: drained, left };
  });
}
