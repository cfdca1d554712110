import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TollgateError } from '#contracts';

/** What `native/*.cc` export; used through `can/native.ts`, `service-manager.ts` and `boottime.ts` alone. */
export interface NativeAddon {
  /** Opens a bound, filtered CAN socket; throws an `Error` with `errno`. */
  open(options: NativeOpen, onBatch: (count: number, errno: number) => void): NativeHandle;
  resume(handle: NativeHandle): void;
  /**
   * Other filters and another table (`NativeOpen`).
   *
   * @returns 0, or the error number with which the kernel refused its part; the table counts all the same
   */
  refilter(handle: NativeHandle, filters: Uint32Array | null, pairs: Uint32Array | null): number;
  close(handle: NativeHandle): void;
  /** One datagram to a Unix socket; a leading `@` names an abstract one. */
  datagram(path: string, text: string): void;
  /**
   * Writes the bit rates of a CAN interface, bit/s: of the arbitration and of the data phase, 0 where it has none. Throws an
   * `Error` with `errno`.
   */
  bitrates(name: string, out: Float64Array): void;
  /** Lets go of the pages of the program's file that its start touched. */
  forget(): void;
  /** Gives back to the kernel what malloc keeps free. */
  trim(): void;
  /** Writes CLOCK_BOOTTIME and CLOCK_REALTIME, ns. */
  clocks(out: BigInt64Array): void;
  /** Writes 1 or 0 (an NTP daemon keeps the kernel's clock right), and the largest error, ns. */
  timekeeping(out: Float64Array): void;
}

/** Opaque. */
export type NativeHandle = { readonly __receiver: never };

export interface NativeOpen {
  readonly interface: string;
  /** Room for whole slots; the kernel writes into it between `onBatch` and the next `resume` of the batch after. */
  readonly slots: Uint8Array;
  readonly slotBytes: number;
  readonly channel: number;
  readonly receiveBuffer: number;
  /** Counters, kept up to date without a call. */
  readonly stats: Float64Array;
  /** For the kernel: pairs of id and mask (struct can_filter); null takes every frame. */
  readonly filters: Uint32Array | null;
  /** The same for the receiver's own table, of any number. */
  readonly pairs: Uint32Array | null;
  /** Frames of one id taken in a second; 0 without a bound. */
  readonly perSecond: number;
  readonly coalesceMs: number;
}

let loaded: NativeAddon | undefined;

/**
 * The addon of this machine's architecture: beside the bundle, beside the executable, or as `npm run addons` built it.
 *
 * @throws {TollgateError} TG_BRIDGE_NO_ADDON
 */
export function nativeAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const name = `tollgate-${process.arch}.node`;
  const here = dirname(fileURLToPath(import.meta.url));
  const folders = [
    join(here, '..', 'native'),
    join(here, '..', 'build', 'native'),
    join(here, '..', '..', 'build', 'native'),
  ];
  const file = [dirname(process.execPath), ...folders].map((folder) => join(folder, name)).find(existsSync);
  if (file === undefined) {
    throw new TollgateError('TG_BRIDGE_NO_ADDON', `${name} is not here`, { place: { file: join(folders[1]!, name) } });
  }
  loaded = createRequire(import.meta.url)(file) as NativeAddon;
  return loaded;
}
