import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import type { Health } from './health/health.ts';
import type { MeterRow } from './store/contract.ts';
import type { UnitStatus } from './unit.ts';
import type { UplinkStatus } from './uplink.ts';

/** A socket beside the store that answers each connection with the status as JSON: nothing is written to flash for it. */
const SOCKET = 'status.sock';
const SOCKET_MODE = 0o600;
const ANSWER_MS = 2_000;

/** Counts and codes only, as everything that is shown. */
export interface ServiceStatus {
  readonly version: 1;
  readonly unit: Pick<UnitStatus, 'path' | 'transports'> & {
    readonly store: Omit<UnitStatus['store'], 'head'> & {
      readonly head: { readonly size: number; readonly root: string };
    };
    readonly denied: readonly { readonly rule: string; readonly count: number }[];
  };
  readonly uplink: UplinkStatus | null;
  /** Exact counters of what was committed. */
  readonly meter: readonly MeterRow[];
  readonly memory: { readonly rss: number };
  /** null where nobody watches: a replay, a demonstration. */
  readonly health: Health | null;
}

interface Observed {
  readonly unit: { status(): Promise<UnitStatus>; readonly store: { meter(): Promise<readonly MeterRow[]> } };
  readonly uplink: { status(): UplinkStatus } | null;
  readonly health?: { read(): Health };
}

/** What status shows of a service. */
export async function serviceStatus({ unit, uplink, health }: Observed): Promise<ServiceStatus> {
  const { path, transports, store, denied } = await unit.status();
  return {
    version: 1,
    unit: {
      path,
      transports,
      store: { ...store, head: { size: store.head.size, root: Buffer.from(store.head.root).toString('base64') } },
      denied: [...denied].map(([rule, count]) => ({ rule, count })),
    },
    uplink: uplink?.status() ?? null,
    meter: await unit.store.meter(),
    memory: { rss: process.memoryUsage.rss() },
    health: health?.read() ?? null,
  };
}

/** Serves the status until closed. */
export async function serveStatus(state: string, observed: Observed): Promise<{ close(): Promise<void> }> {
  const path = join(state, SOCKET);
  await rm(path, { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    serviceStatus(observed).then(
      (status) => socket.end(JSON.stringify(status)),
      () => socket.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, SOCKET_MODE);
  server.unref();
  return {
    async close() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await rm(path, { force: true });
    },
  };
}

/** The status of the agent that runs on this state folder, or null where none answers. */
export async function askStatus(state: string): Promise<ServiceStatus | null> {
  return await new Promise((resolve) => {
    const socket = createConnection(join(state, SOCKET));
    let text = '';
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    socket.on('error', () => resolve(null));
    socket.on('close', () => {
      try {
        // The agent of the same version wrote it; anything else has no such shape and reads as "none answers".
        const status = JSON.parse(text) as ServiceStatus;
        resolve(status.version === 1 ? status : null);
      } catch {
        resolve(null);
      }
    });
  });
}
