import { constants } from 'node:os';
import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import { readClocks } from '../boottime.ts';
import { type BusState, type CanDriver, CanOpenError, type CanSocket } from './driver.ts';
import { MOST_KERNEL_FILTERS } from './filter.ts';

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
      const { slotBytes, batchFrames, channel, ids, coalesceMs } = options;
      const slots = new Uint8Array(batchFrames * slotBytes);
      const view = new DataView(slots.buffer);
      const wanted = ids === null ? null : new Set(ids);
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
        if (wanted !== null && !wanted.has(word)) return void counters.skipped++;
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
      try {
        raw = createRawChannelWithOptions(options.interface, { timestamps: false });
        if (ids !== null && ids.length > 0 && ids.length <= MOST_KERNEL_FILTERS) raw.setRxFilters(masksOf(ids));
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

function masksOf(ids: readonly number[]): { id: number; mask: number }[] {
  const whole = (id: number) => ((id & CAN_EFF_FLAG) !== 0 ? CAN_EFF_MASK : CAN_SFF_MASK) | CAN_EFF_FLAG | CAN_RTR_FLAG;
  return ids.map((id) => ({ id, mask: whole(id) >>> 0 }));
}
