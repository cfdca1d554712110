import { type NativeHandle, nativeAddon } from '../native.ts';
import { type BusState, type CanCounters, type CanDriver, CanOpenError, type CanSocket } from './driver.ts';
import { type FilteredBy, kernelFilters } from './filter.ts';

/** Counters in the order of `enum Stat` in native/can.cc. */
const STATS = [
  'received',
  'queueLost',
  'overruns',
  'errorFrames',
  'shed',
  'skipped',
  'busState',
  'restarts',
  'batches',
  'reads',
];
const BUS_STATES: readonly BusState[] = ['active', 'warning', 'passive', 'bus-off'];

/** Our own receiver: recvmmsg straight into the slots of a batch. */
export const driver: CanDriver = {
  open(options, onBatch): CanSocket {
    const addon = nativeAddon();
    const { slotBytes, batchFrames, pairs } = options;
    const slots = new Uint8Array(batchFrames * slotBytes);
    const stats = new Float64Array(STATS.length);
    let handle: NativeHandle | null;
    try {
      handle = addon.open({ ...options, slots, stats, filters: kernelFilters(pairs) }, (count, errno) =>
        onBatch(slots, count, errno),
      );
    } catch (error) {
      if (error instanceof Error && 'errno' in error) throw new CanOpenError(Number(error.errno), error.message);
      throw error;
    }
    let filteredBy = whoFilters(pairs);
    return {
      counters: new Counters(stats),
      get filteredBy() {
        return filteredBy;
      },
      refilter(other) {
        if (handle === null) return;
        const errno = addon.refilter(handle, kernelFilters(other), other);
        filteredBy = errno === 0 || other === null ? whoFilters(other) : 'receiver';
      },
      resume() {
        if (handle !== null) addon.resume(handle);
      },
      close() {
        if (handle !== null) addon.close(handle);
        handle = null;
      },
    };
  },
};

function whoFilters(pairs: Uint32Array | null): FilteredBy {
  if (pairs === null) return 'nobody';
  return kernelFilters(pairs) === null ? 'receiver' : 'kernel';
}

/** A view of what the addon counts. */
class Counters implements CanCounters {
  readonly #stats: Float64Array;

  constructor(stats: Float64Array) {
    this.#stats = stats;
  }

  get received(): number {
    return this.#stats[0]!;
  }
  get queueLost(): number {
    return this.#stats[1]!;
  }
  get overruns(): number {
    return this.#stats[2]!;
  }
  get errorFrames(): number {
    return this.#stats[3]!;
  }
  get shed(): number {
    return this.#stats[4]!;
  }
  get skipped(): number {
    return this.#stats[5]!;
  }
  get busState(): BusState {
    return BUS_STATES[this.#stats[6]!]!;
  }
  get restarts(): number {
    return this.#stats[7]!;
  }
  /** Calls of JavaScript, and of the kernel: what a frame costs is divided by their size. */
  get batches(): number {
    return this.#stats[8]!;
  }
  get reads(): number {
    return this.#stats[9]!;
  }
}
