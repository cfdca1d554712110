import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { part } from '../parts.ts';

const INITDB = part('initdb');
/** Folder of PostgreSQL's programs, or null: then its tests are skipped. */
export const POSTGRES = INITDB === null ? null : dirname(INITDB);

/** A server of its own in a temporary folder, on a unix socket, durable as in production. */
export interface Postgres {
  /** A database with no tables in it; each call is another. */
  fresh(): string;
  /** Ends all connections, as a restart of the server does. */
  kick(): void;
  stop(): Promise<void>;
}

/** The server refuses to run as root: root hands it to whoever owns nothing. */
const NOBODY = 65_534;
const LIMIT_MS = 30_000;

export async function startPostgres(): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-pg-'));
  const root = process.getuid?.() === 0;
  if (root) chownSync(folder, NOBODY, NOBODY);
  const as = root ? { uid: NOBODY, gid: NOBODY } : {};
  const program = (name: string) => join(POSTGRES!, name);
  const data = join(folder, 'data');
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const made = spawnSync(program('initdb'), ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    ...as,
    env,
    cwd: folder,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const settings = ['-k', folder, '-c', 'listen_addresses=', '-c', 'max_connections=50', '-c', 'shared_buffers=64MB'];
  const server: ChildProcess = spawn(program('postgres'), ['-D', data, ...settings], {
    ...as,
    env,
    cwd: folder,
    stdio: 'ignore',
  });
  const ready = () => spawnSync(program('pg_isready'), ['-h', folder, '-q'], { env }).status === 0;
  for (const begun = performance.now(); !ready(); await sleep(50)) {
    if (server.exitCode === null && performance.now() - begun < LIMIT_MS) continue;
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`postgres did not start: it ended with ${server.exitCode}`);
  }
  const url = (options: string) => `postgres://test@/postgres?host=${encodeURIComponent(folder)}${options}`;
  const psql = (text: string) => {
    const done = spawnSync(program('psql'), ['-h', folder, '-U', 'test', '-q', '-d', 'postgres', '-c', text], { env });
    if (done.status !== 0) throw new Error(done.stderr.toString());
  };
  return {
    fresh: () => {
      const schema = `s${randomBytes(6).toString('hex')}`;
      psql(`CREATE SCHEMA ${schema}`);
      return url(`&options=${encodeURIComponent(`-c search_path=${schema}`)}`);
    },
    kick: () => {
      psql(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()',
      );
    },
    stop: async () => {
      const gone = new Promise((resolve) => server.once('exit', resolve));
      // SIGINT: fast shutdown, clients are told.
      if (server.exitCode === null) {
        server.kill('SIGINT');
        await gone;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
