import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isLive, loadConfig } from '#agent/config/load';
import { HealthMonitor } from '#agent/health/health';
import { Parked } from '#agent/health/parked';
import { Watchdog } from '#agent/health/watchdog';
import { type Log, logError, processLog } from '#agent/log';
import { Service } from '#agent/service';
import { serveStatus } from '#agent/status';
import { discardThread, prepareThread } from '#agent/store/thread';
import { openGnss } from '#agent/time/gnss';
import { openUnitClock } from '#agent/time/open';
import type { UnitClock } from '#agent/time/unit-clock';
import { TollgateError } from '#contracts';
import { nativeAddon } from '#firmware-bridge/native';
import { type ServiceManager, serviceManager } from '#firmware-bridge/service-manager';
import type { Command, Io } from '../command.ts';
import { OWNER_ONLY, requireShutCodeGeneration } from '../hardening.ts';
import { sourceFactory } from '../sources.ts';
import { version } from '../version.ts';

/** The socket of the status opens after the first frame, or after this long without one, ms. */
const STATUS_AFTER_MS = 50;
/** By then everything is compiled and connected, ms. */
const START_OVER_MS = 10_000;
/** How often malloc gives back what is free, ms. */
const TRIM_EVERY_MS = 10_000;

export const command: Command = {
  name: 'run',
  summary: 'Runs the agent: sources, plan, outbox, uplink',
  package: 'unit',
  help: `
Usage: tollgate run [--config FILE]

Reads frames from the configured sources, lets out what the agreements permit, and sends it to the broker. Runs until SIGTERM; when every
source is a log, until the logs have ended and the receiver has acknowledged what was sent (at most 30 s).
SIGHUP reads campaigns, agreements and law packs again and swaps them in without a stop; a set with a fault changes nothing. SIGTERM commits, sends what fits into 300 ms and stops; the rest goes at the next start.

Log lines are JSON on stderr. They carry counts and error codes, never a value, a position, a key or a topic.

  --config FILE   configuration (default: tollgate.yaml)

Exit code: 0 stopped in order, 1 a log ended and not everything was acknowledged, 2 it could not start.

Example:
  tollgate check && tollgate run
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', default: 'tollgate.yaml' } },
    });
    requireShutCodeGeneration();
    process.umask(OWNER_ONLY);
    // The store's code loads while the documents are read.
    prepareThread();
    try {
      return await agent(values.config, io);
    } finally {
      await discardThread();
    }
  },
};

async function agent(file: string, io: Io): Promise<number> {
  const config = await loadConfig(file);
  const log = processLog();
  // Logs bring their own time; what is live is stamped and judged by the unit's.
  const time = config.sources.some(isLive) ? await openUnitClock(config.unit.state, log) : null;
  const gnss = time === null || config.gnss === null ? null : openGnss(config.gnss, time.clock, log);
  const manager = managerOf(process.env);
  const service = await Service.open({
    config,
    log,
    version: version(),
    source: sourceFactory(config, log, time?.clock, gnss),
    playing: io.signal,
    ...(time === null
      ? {}
      : { clock: time.clock, utcMs: () => time.clock.utcNowMs(), timeBounds: () => boundsOf(time.clock) }),
  });
  const { unit, uplink, sources } = service;
  const parked = new Parked({ unit, uplink, still: (still) => time?.rest(still), log });
  let watchdog: Watchdog | null = null;
  const health = new HealthMonitor({
    sources,
    clock: time?.clock ?? null,
    steps: () => time?.steps ?? 0,
    gnss: () => gnss?.health() ?? null,
    watchdog: () => ({ withinMs: manager.watchdogMs, withheld: watchdog?.withheld ?? 0 }),
    idle: () => parked.idle,
  });
  const reload = () => {
    service.reload().catch((error: unknown) => {
      if (error instanceof TollgateError) logError(log, 'documents-refused', error);
      else log.warn('documents-refused');
    });
  };
  process.on('SIGHUP', reload);
  const played = service.play(io.signal);
  // Whoever asks for the status can wait for the first frame; a bus that is silent is not waited for.
  const first = sleep(STATUS_AFTER_MS, undefined, { ref: false });
  await Promise.race([unit.firstFrame, played.catch(() => undefined), first]);
  const status = await serveStatus(config.unit.state, { unit, uplink, health }).catch(async (error: unknown) => {
    await service.stop().catch(() => undefined);
    throw error;
  });
  log.info('started', { count: config.sources.length });
  // Half of Node's own pages serve its start only: 22 MiB that come back where they are needed (docs/decisions/0017).
  if (time !== null) setTimeout(() => nativeAddon().forget(), START_OVER_MS).unref();
  // What compilers and bursts of rows leave free between blocks in use: else the heap grows for hours (docs/decisions/0020).
  const trimming = time === null ? undefined : setInterval(() => nativeAddon().trim(), TRIM_EVERY_MS).unref();
  manager.ready();
  watchdog = manager.watchdogMs === null ? null : watch(manager.watchdogMs, manager, unit, log);
  try {
    await played.catch(async (error: unknown) => {
      // A source or the store is damaged: what came before goes its way all the same.
      await service.stop().catch(() => undefined);
      throw error;
    });
    manager.stopping();
    if (io.signal.aborted) {
      await service.stop();
      log.info('stopped');
      return 0;
    }
    log.info('sources-ended');
    const settled = await service.settle(io.signal).finally(() => service.end());
    log.info(settled ? 'drained' : 'not-drained');
    return settled ? 0 : 1;
  } finally {
    clearInterval(trimming);
    watchdog?.close();
    health.close();
    process.off('SIGHUP', reload);
    await status.close();
    gnss?.close();
    await time?.close();
  }
}

/** A first boot has no floor, but the time cannot be before this program was packed. */
function boundsOf(clock: UnitClock): ReturnType<UnitClock['bounds']> {
  const bounds = clock.bounds();
  if (bounds.highestMs !== null) return bounds;
  return { ...bounds, lowestMs: Math.max(bounds.lowestMs, statSync(process.argv[1] ?? process.execPath).mtimeMs) };
}

/** sd_notify(3); a supervisor of another kind that sets the same variables serves as well. */
function managerOf({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): ServiceManager {
  return serviceManager({
    socket: NOTIFY_SOCKET,
    watchdogUsec: WATCHDOG_USEC,
    watchdogPid: WATCHDOG_PID,
    pid: process.pid,
  });
}

function watch(withinMs: number, manager: ServiceManager, unit: Service['unit'], log: Log): Watchdog {
  return new Watchdog({
    withinMs,
    progress: {
      get turnedMs() {
        return unit.turnedMs;
      },
      store: async () => (await unit.store.stats()).fault,
    },
    ping: () => manager.ping(),
    onWithheld: () => {
      log.warn('watchdog-withheld');
      manager.status('the pipeline makes no progress');
    },
  });
}
