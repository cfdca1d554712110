import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { GuestArch, Image } from './image.ts';

/** One line of the guest's console that is a result. */
export type Result = { readonly test: string; readonly ok: boolean } & Readonly<Record<string, unknown>>;

export interface BootOptions {
  readonly phase: string;
  /** Raw disk image, seen as /dev/vda. */
  readonly disk?: string;
  /** A TPM 2.0 of swtpm, where the machine can have one. */
  readonly tpm: boolean;
  /** Called with each result; returns true to cut the power. */
  readonly onResult?: (result: Result) => boolean | undefined;
  readonly timeoutMs: number;
}

const MEMORY_MIB = 1500;
/** Lines of the console that are kept for a failure's message. */
const KEPT_LINES = 60;
const RESULT = '@@ ';

const MACHINE = {
  x64: { program: 'qemu-system-x86_64', args: ['-cpu', 'max'], console: 'ttyS0' },
  arm64: { program: 'qemu-system-aarch64', args: ['-M', 'virt', '-cpu', 'cortex-a53'], console: 'ttyAMA0' },
} as const;

/** Boots, collects results, and ends when the guest powers off or `onResult` pulls the plug. */
export async function boot(arch: GuestArch, image: Image, options: BootOptions): Promise<Result[]> {
  const { program, args, console: serial } = MACHINE[arch];
  const tpm = options.tpm ? await startTpm() : null;
  const qemu = spawn(
    program,
    [
      ...args,
      // The guest's time goes by the instructions it ran: however busy the host is, the guest does not notice.
      ...['-accel', 'tcg,thread=single', '-icount', 'shift=1,sleep=on', '-smp', '1'],
      ...['-m', String(MEMORY_MIB), '-nographic', '-no-reboot'],
      ...['-kernel', image.kernel, '-initrd', image.initramfs],
      ...['-append', `console=${serial} quiet panic=-1 tollgate.phase=${options.phase}`],
      ...['-object', 'can-bus,id=bus0', '-device', 'kvaser_pci,canbus=bus0', '-device', 'kvaser_pci,canbus=bus0'],
      ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0'],
      ...(options.disk === undefined
        ? []
        : ['-drive', `file=${options.disk},format=raw,if=none,id=disk0`, '-device', 'virtio-blk-pci,drive=disk0']),
      ...(tpm === null ? [] : tpm.args),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const results: Result[] = [];
  const lines: string[] = [];
  const timer = setTimeout(() => qemu.kill('SIGKILL'), options.timeoutMs);
  let cut = false;
  const read = (async () => {
    for await (const line of createInterface({ input: qemu.stdout! })) {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const at = line.indexOf(RESULT);
      if (at < 0) continue;
      const result = parsed(line.slice(at + RESULT.length));
      if (result === null) continue;
      results.push(result);
      if (options.onResult?.(result) === true) {
        cut = true;
        qemu.kill('SIGKILL');
      }
    }
  })();
  qemu.stderr!.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  const [code, signal] = await ended(qemu);
  clearTimeout(timer);
  await read;
  tpm?.stop();
  const broken = results.some(({ test }) => test === 'guest program');
  if (broken || (!cut && (signal !== null || code !== 0 || results.length === 0))) {
    throw new Error(`the guest ended with ${signal ?? code}:\n${lines.join('\n')}`);
  }
  return results;
}

async function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode !== null || child.signalCode !== null) return [child.exitCode, child.signalCode];
  return (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
}

function parsed(text: string): Result | null {
  try {
    return JSON.parse(text.trim());
  } catch {
    // A kernel message fell into the line.
    return null;
  }
}

/** A TPM 2.0 of swtpm, whose state is gone with the guest. */
async function startTpm(): Promise<{ args: string[]; stop: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-tpm-'));
  const socket = join(folder, 'socket');
  const pid = join(folder, 'pid');
  const args = ['socket', '--tpm2', '--tpmstate', `dir=${folder}`, '--ctrl', `type=unixio,path=${socket}`];
  const started = spawnSync('swtpm', [...args, '--daemon', '--pid', `file=${pid}`], { encoding: 'utf8' });
  if (started.status !== 0) throw new Error(`swtpm: ${started.error?.message ?? started.stderr}`);
  return {
    args: [
      ...['-chardev', `socket,id=tpm,path=${socket}`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm'],
      ...['-device', 'tpm-tis,tpmdev=tpm0'],
    ],
    stop() {
      // It ends by itself with the machine, unless that was killed.
      if (existsSync(pid)) {
        try {
          process.kill(Number(readFileSync(pid, 'latin1')));
        } catch {
          // Gone already.
        }
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
