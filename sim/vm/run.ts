import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { guestDocuments } from './documents.ts';
import { buildImage, type GuestArch, type Image } from './image.ts';
import { boot, type Result } from './qemu.ts';

// `npm run vm -- --arch x64|arm64 [--deb FILE] [--socketcan DIR]`: boots the installed package on a Debian kernel with two CAN
// controllers on one bus and, on x64, a TPM; prints one JSON line a test. Exit code 1 where one failed. `--only bus|power-cut` is
// for work on one of them.

const project = fileURLToPath(new URL('../..', import.meta.url));
const BOOT_MS = { x64: 300_000, arm64: 240_000 };
/** The power is cut when so many records are durable. */
const CUT_AT_RECORDS = 3;
const DISK_MIB = 64;

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: 'x64' },
    deb: { type: 'string' },
    only: { type: 'string' },
    socketcan: { type: 'string', default: join(project, '.bench', 'socketcan', 'node_modules', 'socketcan') },
  },
});
if (values.arch !== 'x64' && values.arch !== 'arm64') throw new Error(`no guest of architecture ${values.arch}`);
const arch: GuestArch = values.arch;
let failed = 0;

function show(result: Result): void {
  process.stdout.write(`${JSON.stringify({ arch, ...result })}\n`);
  if (!result.ok) failed++;
}

const folder = mkdtempSync(join(tmpdir(), 'tollgate-vm-'));
try {
  const port = await freePort();
  const documents = guestDocuments(folder, arch === 'x64' ? `mqtt://10.0.2.2:${port}` : null);
  const modules = existsSync(values.socketcan) && arch === process.arch ? join(values.socketcan, '..') : null;
  const image = await buildImage(arch, values.deb ?? packaged(), {
    ...documents.files,
    ...(modules === null ? {} : { 'usr/lib/node_modules': modules }),
  });
  if (values.only !== 'power-cut') {
    const phase = arch === 'x64' ? 'bus' : 'agent';
    const results = await boot(arch, image, { phase, tpm: arch === 'x64', timeoutMs: BOOT_MS[arch] });
    for (const result of results) show(result);
  }
  if (arch === 'x64' && values.only !== 'bus') await powerCut(image, documents.recipient, port);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;

/** First boot: no broker, records are spooled until the power is cut. Second boot: the ledger is true, and all of them arrive. */
async function powerCut(image: Image, recipient: string, port: number): Promise<void> {
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, '');
  for (const [command, ...args] of [
    ['truncate', '-s', `${DISK_MIB}M`, disk],
    ['mkfs.ext4', '-q', '-F', disk],
  ]) {
    const done = spawnSync(command!, args, { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${command}: ${done.error?.message ?? done.stderr}`);
  }
  const spooled = await boot(arch, image, {
    phase: 'spool',
    disk,
    tpm: false,
    timeoutMs: BOOT_MS[arch],
    onResult: (result) => Number(result.records) >= CUT_AT_RECORDS,
  });
  const durable = Number(spooled.at(-1)!.records);
  show({ test: 'records durable when the power was cut', ok: durable >= CUT_AT_RECORDS, records: durable });
  const broker = spawn('mosquitto', ['-p', String(port)], { stdio: 'ignore' });
  const receiver = spawn(
    process.execPath,
    [
      '--disallow-code-generation-from-strings',
      join(project, 'cli', 'tollgate.mjs'),
      'receive',
      '--broker',
      `mqtt://127.0.0.1:${port}`,
      '--keys',
      recipient,
      '--json',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  receiver.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  try {
    for (const result of await boot(arch, image, { phase: 'drain', disk, tpm: false, timeoutMs: BOOT_MS[arch] }))
      show(result);
    receiver.kill('SIGTERM');
    if (receiver.exitCode === null) await once(receiver, 'exit');
    const { opened } = JSON.parse(said.trim().split('\n').at(-1)!);
    show({ test: 'what was durable arrived at a receiver', ok: opened >= durable, durable, received: opened });
  } finally {
    receiver.kill('SIGKILL');
    broker.kill('SIGTERM');
  }
}

/** The unit's package as `npm run dist` makes it, compressed less. */
function packaged(): string {
  const args = [join(project, 'scripts', 'dist.mjs'), '--arch', arch, '--fast', '--out', folder];
  const made = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`dist: ${made.stdout}${made.stderr}`);
  return join(folder, readdirSync(folder).find((name) => /^tollgate_.*\.deb$/.test(name))!);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
