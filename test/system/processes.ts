import { type ChildProcess, spawn } from 'node:child_process';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../cli/tollgate.mjs', import.meta.url));
/** Agents run with this flag; the test runner does not. */
const SHUT = '--disallow-code-generation-from-strings';

/** A child process and everything it printed. */
export interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  /** Resolves when stdout or stderr has shown `pattern`; rejects when the process ends before, or after `ms`. */
  shows(pattern: RegExp, ms?: number): Promise<void>;
}

export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  const watchers = new Set<() => void>();
  const grown = () => {
    for (const watcher of watchers) watcher();
  };
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString('latin1');
    grown();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString('latin1');
    grown();
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code));
  });
  const shows = (pattern: RegExp, ms = 20_000) =>
    new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => {
        watchers.delete(look);
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const tail = () => `stdout: ${out.slice(-2000)}\nstderr: ${err.slice(-2000)}`;
      const look = () => {
        if (pattern.test(out) || pattern.test(err)) settle();
      };
      const timer = setTimeout(() => settle(new Error(`no ${pattern} within ${ms} ms\n${tail()}`)), ms);
      watchers.add(look);
      exited.then((code) => settle(new Error(`ended with ${code} before ${pattern}\n${tail()}`)), settle);
      look();
    });
  return { child, exited, stdout: () => out, stderr: () => err, shows };
}

/** The command line as a process of its own, code generation shut off. */
export function tollgate(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  return start(process.execPath, [SHUT, CLI, ...args], env);
}

/** A free TCP port on loopback. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** A TCP relay on loopback that keeps what passed, cuts connections, or refuses them. */
export class Relay {
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #seen: Buffer[] = [];
  #refusing = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#relay(client));
  }

  static async to(port: number): Promise<Relay> {
    const relay = new Relay(port);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** All bytes of both directions, in the order in which they came. */
  seen(): Buffer {
    return Buffer.concat(this.#seen);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  refuse(refusing: boolean): void {
    this.#refusing = refusing;
    if (refusing) this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #relay(client: Socket): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const broker = createConnection(this.#target, '127.0.0.1');
    for (const [from, to] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (chunk: Buffer) => {
        this.#seen.push(chunk);
        to.write(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
