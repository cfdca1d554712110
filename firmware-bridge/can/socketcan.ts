import { constants } from 'node:os';
import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  HEADER_BYTES,
  IdMatcher,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import { readClocks } from '../boottime.ts';
import { type BusState, type CanDriver, CanOpenError, type CanSocket } from './driver.ts';
import { type FilteredBy, kernelFilters } from './filter.ts';

/** What we use of the npm package `socketcan`, which ships no types of its own. */
export interface SocketcanModule {
  createRawChannelWithOptions(name: string, options: { timestamps: boolean }): SocketcanChannel;
}

interface SocketcanChannel {
  addListener(event: 'onMessage', listener: (message: SocketcanMessage) => void): void;
  addListener(event: 'onStopped', listener: () => void): void;
  setRxFilters(filters: readonly { readonly id: number; readonly mask: number }[]): void;
  start(): void;
  stop(): void;
}

interface SocketcanMessage {
  readonly id: number;
  readonly ext?: boolean;
  readonly rtr?: boolean;
  readonly err?: boolean;
  readonly data: Uint8Array;
}

const FORM = CAN_EFF_FLAG + CAN_RTR_FLAG;

/** CAN_ERR_BUSOFF and CAN_ERR_RESTARTED of `linux/can/error.h`. */
const ERR_BUSOFF = 0x40;
const ERR_RESTARTED = 0x100;

/**
 * The npm package `socketcan` behind the same interface: for platforms where our addon cannot be built. It makes an object
 * and a call a frame, has no CAN FD flags, and counts no loss, so `queueLost` stays 0 and says nothing. Frames are stamped
 * when they are taken.
 */
export function socketcanDriver({ createRawChannelWithOptions }: SocketcanModule): CanDriver {
  return {
    open(options, onBatch): CanSocket {
      const { slotBytes, batchFrames, channel, pairs, coalesceMs } = options;
      const slots = new Uint8Array(batchFrames * slotBytes);
      const view = new DataView(slots.buffer);
      let wanted = new IdMatcher(pairs);
      let filteredBy: FilteredBy = 'nobody';
      const counters = { received: 0, queueLost: 0, overruns: 0, errorFrames: 0, shed: 0, skipped: 0, restarts: 0 };
      let busState: BusState = 'active';
      let count = 0;
      let paused = false;
      let timer: NodeJS.Timeout | null = null;
      const hand = () => {
        timer = null;
        if (paused || count === 0) return;
        paused = true;
        const full = count;
        count = 0;
        onBatch(slots, full, 0);
      };
      const onError = (id: number) => {
        counters.errorFrames++;
        if ((id & ERR_RESTARTED) !== 0) {
          counters.restarts++;
          busState = 'active';
        }
        if ((id & ERR_BUSOFF) !== 0) busState = 'bus-off';
      };
      const onMessage = ({ id, ext, rtr, err, data }: SocketcanMessage) => {
        if (err === true) return onError(id);
        counters.received++;
        const word =
          ((ext === true ? (id & CAN_EFF_MASK) | CAN_EFF_FLAG : id & CAN_SFF_MASK) |
            (rtr === true ? CAN_RTR_FLAG : 0)) >>>
          0;
        if (!wanted.passes(word)) return void counters.skipped++;
        // It cannot hold the kernel back: while a batch is being taken, what comes is counted and gone.
        if (paused || count === batchFrames) return void counters.shed++;
        const at = count++ * slotBytes;
        const length = Math.min(data.length, slotBytes - HEADER_BYTES);
        view.setBigInt64(at, readClocks().bootNs, true);
        view.setUint32(at + OFFSET_ID, word, true);
        view.setUint32(at + OFFSET_LENGTH, length, true);
        slots[at + OFFSET_CHANNEL] = channel;
        slots.fill(0, at + HEADER_BYTES, at + slotBytes);
        slots.set(data.subarray(0, length), at + HEADER_BYTES);
        if (count === batchFrames) hand();
        else timer ??= setTimeout(hand, coalesceMs);
      };
      let raw: SocketcanChannel;
      const filter = (other: Uint32Array | null) => {
        wanted = new IdMatcher(other);
        const own = kernelFilters(other);
        raw.setRxFilters(own === null ? [EVERYTHING] : own.length === 0 ? [NOTHING] : masksOf(own));
        filteredBy = other === null ? 'nobody' : own === null ? 'receiver' : 'kernel';
      };
      try {
        raw = createRawChannelWithOptions(options.interface, { timestamps: false });
        if (pairs !== null) filter(pairs);
        raw.addListener('onMessage', onMessage);
        raw.addListener('onStopped', () => onBatch(slots, 0, constants.errno.ENODEV));
        raw.start();
      } catch (cause) {
        throw new CanOpenError(constants.errno.ENODEV, cause instanceof Error ? cause.message : String(cause));
      }
      return {
        counters: Object.defineProperty(counters, 'busState', { get: () => busState }) as typeof counters & {
          readonly busState: BusState;
        },
        get filteredBy() {
          return filteredBy;
        },
        refilter(other) {
          try {
            filter(other);
          } catch {
            // The channel is gone: what opens it again has the new filter.
          }
        },
        resume() {
          paused = false;
        },
        close() {
          if (timer !== null) clearTimeout(timer);
          raw.stop();
        },
      };
    },
  };
}

/** The package cannot set an empty list: this one is passed by remote frames of one id that the standard reserves. */
const NOTHING = { id: FORM + CAN_EFF_MASK, mask: FORM + CAN_EFF_MASK };
const EVERYTHING = { id: 0, mask: 0 };

function masksOf(pairs: Uint32Array): { id: number; mask: number }[] {
  return Array.from({ length: pairs.length / 2 }, (_, i) => ({ id: pairs[2 * i]!, mask: pairs[2 * i + 1]! }));
}
