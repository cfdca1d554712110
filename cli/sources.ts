import { randomBytes } from 'node:crypto';
import type { Config } from '#agent/config/load';
import type { Log } from '#agent/log';
import type { SourceFactory } from '#agent/service';
import { type FrameSource, TollgateError } from '#contracts';

/** Sources by type, each loaded only when a configuration names it; the simulator is not in the unit package. */
export function sourceFactory(config: Config, log: Log): SourceFactory {
  const bootId = new Uint8Array(randomBytes(8));
  return async (source, channel): Promise<FrameSource> => {
    if (source.type === 'candump') {
      const { logSource } = await import('#agent/sources/log');
      return logSource({
        name: source.name,
        path: source.path!,
        channel,
        realtime: source.realtime,
        bootId,
        onMalformed: (line) => log.warn('malformed-line', { source: source.name, line }),
      });
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
