import { randomBytes } from 'node:crypto';
import type { Config, SourceConfig } from '#agent/config/load';
import type { Log } from '#agent/log';
import type { SourceFactory } from '#agent/service';
import type { FixFeed } from '#agent/sources/gnss';
import { type Clock, type FrameSource, TollgateError } from '#contracts';

/**
 * Sources by type, each loaded only when a configuration names it; the simulator is not in the unit package.
 *
 * @param clock of the unit, where a source is live
 * @param gnss reports of the receiver of satellites
 */
export function sourceFactory(
  config: Config,
  log: Log,
  clock: Clock | null = null,
  gnss: FixFeed | null = null,
): SourceFactory {
  const bootId = new Uint8Array(randomBytes(8));
  let merged: Promise<FrameSource[]> | null = null;
  return async (source, channel): Promise<FrameSource> => {
    if (source.type === 'candump') {
      if (config.sources.length === 1) return await logOf(source, channel, bootId, log);
      merged ??= mergedLogs(config, bootId, log);
      return (await merged)[channel]!;
    }
    if (source.type === 'can') return await liveOf(source, channel, bootId, clock!, log);
    if (source.type === 'gnss') {
      const { gnssSource } = await import('#agent/sources/gnss');
      const maxAgeNs = BigInt(config.gnss!.maxAgeMs) * 1_000_000n;
      return gnssSource({ name: source.name, channel, bootId, clock: clock!, feed: gnss!, maxAgeNs });
    }
    const simulator = await import('#sim/vehicle').catch((cause: unknown) => {
      throw new TollgateError('TG_SOURCE_UNAVAILABLE', `source ${source.name}: this package has no simulator`, {
        place: { file: config.file },
        cause,
      });
    });
    return await simulator.vehicleSource({
      name: source.name,
      channel,
      dbc: source.dbc,
      realtime: source.realtime,
      bootId,
    });
  };
}

async function liveOf(
  source: SourceConfig,
  channel: number,
  bootId: Uint8Array,
  clock: Clock,
  log: Log,
): Promise<FrameSource> {
  const [{ canSource }, { canDriver }] = await Promise.all([
    import('#firmware-bridge/can/source'),
    import('#firmware-bridge/can/drivers'),
  ]);
  const { name, interface: link = name, fd = false, driver = 'native', idBudget } = source;
  return canSource({
    name,
    interface: link,
    channel,
    fd,
    bootId,
    clock,
    driver: await canDriver(driver),
    ...(idBudget === undefined ? {} : { idBudget }),
    onHealth: (health) => log.info(`bus-${health}`, { source: name }),
  });
}

async function logOf(source: SourceConfig, channel: number, bootId: Uint8Array, log: Log): Promise<FrameSource> {
  const { logSource } = await import('#agent/sources/log');
  return logSource({
    name: source.name,
    path: source.path!,
    ...(source.interface === undefined ? { channel } : { channels: { [source.interface]: channel } }),
    realtime: source.realtime,
    bootId,
    onMalformed: (line) => log.warn('malformed-line', { source: source.name, line }),
  });
}

/** All logs of the configuration in the order of their times. */
async function mergedLogs({ sources }: Config, bootId: Uint8Array, log: Log): Promise<FrameSource[]> {
  const { mergedSources } = await import('#agent/sources/merge');
  // The merge keeps the pace: a log of its own would start with its own first frame.
  const logs = sources.map((source, channel) => logOf({ ...source, realtime: false }, channel, bootId, log));
  return mergedSources(await Promise.all(logs), { realtime: sources.some(({ realtime }) => realtime) });
}
