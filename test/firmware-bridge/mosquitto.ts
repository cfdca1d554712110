import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { part } from '../parts.ts';

export const MOSQUITTO = part('mosquitto');

/** A real broker in a process of its own. */
export interface Mosquitto {
  readonly url: string;
  readonly port: number;
  /** Where its files are. */
  readonly folder: string;
  /** As a power cut: no goodbye to anybody. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export interface MosquittoOptions {
  /** Lines of mosquitto.conf above the listener; `%d` is the folder of its files. */
  readonly lines?: readonly string[];
  /** Lines below the listener. */
  readonly listener?: readonly string[];
  /** Whether a client needs no name; true without it. */
  readonly anonymous?: boolean;
  /** Ports of further listeners. */
  readonly ports?: readonly number[];
  /** Files by name, in the folder. */
  readonly files?: Readonly<Record<string, string>>;
}

export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const { lines = [], listener = [], files = {}, anonymous = true, ports = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-mosquitto-'));
  const port = await freePort();
  // Root starts it and root it stays: the folder is readable to its owner alone.
  const conf = ['user root', ...lines, `listener ${port} 127.0.0.1`, `allow_anonymous ${anonymous}`, ...listener].join(
    '\n',
  );
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  writeFileSync(join(folder, 'mosquitto.conf'), `${conf.replaceAll('%d', folder)}\n`);
  let child: ChildProcess = spawn('true');
  const start = async () => {
    child = spawn(MOSQUITTO!, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
    for (const one of [port, ...ports]) while (child.exitCode === null && !(await answers(one))) await sleep(20);
    if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  await start();
  return {
    url: `mqtt://127.0.0.1:${port}`,
    port,
    folder,
    start,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
