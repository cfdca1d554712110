import { loadConfig } from '#agent/config/load';
import type { Log, LogFields } from '#agent/log';
import { logSource } from '#agent/sources/log';
import { Service, type ServiceOptions } from '../../agent/service.ts';

/** An agent in this process, on a configuration of a unit folder. */
export async function openService(file: string, more: Partial<ServiceOptions> = {}): Promise<Service> {
  return await Service.open({
    config: await loadConfig(file),
    log: { info: () => undefined, warn: () => undefined },
    version: '0.0.0',
    publishMs: 200,
    source: async ({ name, path, realtime }, channel) =>
      logSource({ name, path: path!, channel, realtime, bootId: new Uint8Array(8) }),
    ...more,
  });
}

export interface KeptLog extends Log {
  readonly lines: { readonly event: string; readonly fields: LogFields }[];
}

/** A log that keeps what it is told. */
export function keptLog(): KeptLog {
  const lines: KeptLog['lines'] = [];
  const keep = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  return { lines, info: keep, warn: keep };
}

export const never = (): AbortSignal => new AbortController().signal;
