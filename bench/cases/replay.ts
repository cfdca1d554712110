import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadDatabase } from '#dbc';
import { startBroker } from '#sim/broker';
import { launchArgs, launchEnv } from '../../test/packaging/dist.ts';

// End to end as processes: frames a second of `tollgate replay`, memory of `tollgate run` in traffic, time from the start of the
// process to its first decoded frame, each beside a bare `node -e 0` of the same run.

export const name = 'replay';

const CLI = fileURLToPath(new URL('../../cli/tollgate.mjs', import.meta.url));
const DRIVE = fileURLToPath(new URL('../../../shared/material/drive/', import.meta.url));
/** As the installed command starts: its flags of V8, and its settings of malloc. */
const LAUNCHER = readFileSync(new URL('../../packaging/unit/tollgate', import.meta.url), 'utf8');
const FLAGS = launchArgs(LAUNCHER);
const ENV = { ...process.env, ...launchEnv(LAUNCHER) };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ROUNDS = 5;
const TRAFFIC_MS = 12_000;
const SAMPLE_MS = 250;
const RECIPIENT = 'did:web:lab.example';

/** @param args --log FILE --dbc FILE; without them the drive of the material, else a drive of the simulated car */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({ args, options: { log: { type: 'string' }, dbc: { type: 'string' } } });
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  const built = join(folder, 'tollgate.mjs');
  const broker = await startBroker();
  try {
    build(built);
    const { log, dbc } = input(values, folder);
    writeDocuments(dbc, folder);
    const files = ['--campaign', join(folder, 'campaign.yaml'), '--agreement', join(folder, 'agreement.json')];
    const replays = Array.from({ length: ROUNDS }, () => replay(built, log, dbc, files));
    const bareMs = median(Array.from({ length: ROUNDS }, () => timed([process.execPath, '-e', '0'])));
    enroll(folder);
    const starts: number[] = [];
    for (let i = 0; i < ROUNDS; i++) starts.push(await firstFrameMs(built, folder, log, dbc, broker.url));
    const startMs = median(starts);
    return {
      endToEnd: {
        frames: replays[0]!.frames,
        framesPerSecond: Math.round(median(replays.map((one) => one.frames / one.seconds))),
        records: replays[0]!.records,
        what: 'all signals, every sample, records of 1 s, sealed and committed, no broker',
      },
      start: {
        bareNodeMs: Math.round(bareMs),
        firstDecodedFrameMs: Math.round(startMs),
        ratioToBareNode: round(startMs / bareMs),
      },
      traffic: await traffic(built, folder, log, dbc, broker.url),
    };
  } finally {
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Replayed {
  readonly frames: number;
  readonly seconds: number;
  readonly records: number;
}

function input(values: { log?: string; dbc?: string }, folder: string): { log: string; dbc: string } {
  if (values.log !== undefined && values.dbc !== undefined)
    return { log: resolve(values.log), dbc: resolve(values.dbc) };
  if (existsSync(DRIVE)) return { log: join(DRIVE, 'drive.log'), dbc: join(DRIVE, 'drive.dbc') };
  const log = join(folder, 'drive.log');
  spawnSync(process.execPath, [CLI, 'sim', 'drive', '--seconds', '90', '--seed', '1', '--out', log]);
  return { log, dbc: fileURLToPath(new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url)) };
}

/** The form that `npm pack` ships: stripping types at the start costs half a second and 40 MiB. */
function build(entry: string): void {
  const child = spawnSync('npm', ['run', '--silent', 'prepack'], { cwd: ROOT, encoding: 'utf8' });
  if (child.status !== 0) throw new Error(`the build failed: ${child.stdout}${child.stderr}`);
  const main = JSON.stringify(join(ROOT, 'dist', 'cli', 'main.js'));
  writeFileSync(entry, `import { main } from ${main};\nprocess.exitCode = await main(process.argv.slice(2));\n`);
}

/** Everything leaves, so that every stage works. */
function writeDocuments(dbc: string, folder: string): void {
  const { database } = loadDatabase(readFileSync(dbc), { file: dbc });
  const names = database.messages.flatMap(({ name: message, signals }) =>
    signals.map((signal) => `dbc:${message}.${signal.name}`),
  );
  const lines = names.map((signal) => `  - { signal: "${signal}", operation: raw }`);
  writeFileSync(
    join(folder, 'campaign.yaml'),
    `campaign: bench\nversion: 1\nrecipient: ${RECIPIENT}\npurpose: auto:Research\nsignals:\n${lines.join('\n')}\nrecord: { every: 1s }\n`,
  );
  writeFileSync(
    join(folder, 'agreement.json'),
    JSON.stringify({
      '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
      '@type': 'Agreement',
      uid: 'urn:uuid:00000000-0000-4000-8000-00000000b001',
      profile: 'https://tollgate.example/ns/auto-odrl/1',
      conflict: 'prohibit',
      'auto:version': 1,
      assigner: 'did:key:zOwner',
      assignee: RECIPIENT,
      permission: [{ uid: '#all', target: names, action: 'distribute' }],
    }),
  );
}

function replay(built: string, log: string, dbc: string, files: readonly string[]): Replayed {
  const args = [...FLAGS, built, 'replay', log, '--dbc', dbc, ...files, '--json'];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', env: ENV });
  const result: { frames: number; skipped: number; seconds: number; records: number } = JSON.parse(child.stdout);
  return { frames: result.frames + result.skipped, seconds: result.seconds, records: result.records };
}

function timed([command, ...args]: string[]): number {
  const startMs = performance.now();
  spawnSync(command!, args);
  return performance.now() - startMs;
}

function enroll(folder: string): void {
  const args = [
    'enroll',
    '--local',
    join(folder, 'keys'),
    '--recipient',
    RECIPIENT,
    '--trust',
    join(folder, 'agreement.json'),
  ];
  const child = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
  if (child.status !== 0) throw new Error(`enroll failed: ${child.stderr}`);
}

function agent(built: string, folder: string, log: string, dbc: string, broker: string): ChildProcess {
  const source = { name: 'can0', type: 'candump', path: log, dbc, realtime: true };
  const state = mkdtempSync(join(folder, 'state-'));
  const config = {
    version: 1,
    unit: { state, keys: join(folder, 'keys', 'unit') },
    sources: [source],
    context: { ignition: 'assume-on' },
    documents: { campaigns: [join(folder, 'campaign.yaml')], agreements: [join(folder, 'agreement.json')] },
    uplink: { url: broker, protocol: 4, tenant: 'bench' },
  };
  const file = join(folder, 'tollgate.yaml');
  writeFileSync(file, JSON.stringify(config));
  return spawn(process.execPath, [...FLAGS, built, 'run', '--config', file], {
    env: ENV,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Start of the process to its first decoded frame, by the agent's own clock and ours around it. */
async function firstFrameMs(built: string, folder: string, log: string, dbc: string, broker: string): Promise<number> {
  const startMs = performance.now();
  const child = agent(built, folder, log, dbc, broker);
  await new Promise<void>((done, fail) => {
    child.stderr!.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('first-frame')) done();
    });
    child.on('close', () => fail(new Error('the agent ended before its first frame')));
  });
  const ms = performance.now() - startMs;
  child.removeAllListeners('close');
  child.kill('SIGTERM');
  await new Promise((done) => child.on('close', done));
  return ms;
}

/** Memory while the log plays in real time, everything leaves and a broker takes it. */
async function traffic(built: string, folder: string, log: string, dbc: string, broker: string): Promise<object> {
  const child = agent(built, folder, log, dbc, broker);
  child.stderr!.resume();
  const rss: number[] = [];
  const dirty: number[] = [];
  const endMs = performance.now() + TRAFFIC_MS;
  while (performance.now() < endMs) {
    await new Promise((done) => setTimeout(done, SAMPLE_MS));
    const rollup = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
    const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? Number.NaN);
    rss.push(kib('Rss') / 1024);
    dirty.push(kib('Private_Dirty') / 1024);
  }
  child.kill('SIGTERM');
  await new Promise((done) => child.on('close', done));
  return {
    seconds: TRAFFIC_MS / 1000,
    rssMiB: { median: round(median(rss)), max: round(Math.max(...rss)) },
    privateDirtyMiB: { median: round(median(dirty)), max: round(Math.max(...dirty)) },
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const round = (value: number) => Math.round(value * 10) / 10;
