import { TollgateError } from '#contracts';
import type { CanDriver } from './driver.ts';
import type { SocketcanModule } from './socketcan.ts';

/** The drivers that a configuration can name. */
export const CAN_DRIVERS = ['native', 'socketcan'] as const;
export type CanDriverName = (typeof CAN_DRIVERS)[number];

/** npm's package, which is no dependency of ours: who wants it installs it. */
const SOCKETCAN = 'socketcan';

/**
 * Imports a driver when it is used.
 *
 * @throws {TollgateError} TG_CAN_DRIVER
 */
export async function canDriver(name: CanDriverName): Promise<CanDriver> {
  if (name === 'native') return (await import('./native.ts')).driver;
  const { socketcanDriver } = await import('./socketcan.ts');
  const module = await import(SOCKETCAN).catch((cause: Error) => {
    throw new TollgateError('TG_CAN_DRIVER', `the package socketcan cannot be loaded: ${cause.message}`, { cause });
  });
  return socketcanDriver((module.default ?? module) as SocketcanModule);
}
