import type { FrameFilter } from './filter.ts';

/**
 * Frames as they cross from a source to the decoder.
 *
 * A slot is a 16-byte header and a payload of 8 (classic) or 64 bytes (FD), little-endian, so that a batch is one
 * buffer that C++, WebAssembly and TypeScript read alike. A batch has one slot size.
 *
 * | offset | size | field                                                            |
 * |-------:|-----:|------------------------------------------------------------------|
 * |      0 |    8 | receive time, CLOCK_BOOTTIME, ns (u64)                           |
 * |      8 |    4 | CAN id with EFF/RTR/ERR bits as in `struct can_frame`, or PDU id |
 * |     12 |    1 | length of the payload, bytes, 0–64                               |
 * |     13 |    1 | FD flags: BRS 1, ESI 2, FDF 4 (`struct canfd_frame.flags`)       |
 * |     14 |    1 | channel, index into the configured sources                       |
 * |     15 |    1 | reserved, 0                                                      |
 * |     16 | 8/64 | payload, zero beyond its length                                  |
 */
export const HEADER_BYTES = 16;
/** Slot of a batch of classic CAN frames, bytes. */
export const CLASSIC_SLOT_BYTES = 24;
/** Slot of a batch of CAN FD frames or PDUs, bytes. */
export const FD_SLOT_BYTES = 80;

export const OFFSET_TIME = 0;
export const OFFSET_ID = 8;
export const OFFSET_LENGTH = 12;
export const OFFSET_FLAGS = 13;
export const OFFSET_CHANNEL = 14;

/** Bits of the id word, as in `linux/can.h`. */
export const CAN_EFF_FLAG = 0x8000_0000;
export const CAN_RTR_FLAG = 0x4000_0000;
export const CAN_ERR_FLAG = 0x2000_0000;
export const CAN_SFF_MASK = 0x7ff;
export const CAN_EFF_MASK = 0x1fff_ffff;

/** Bits of the flags byte, as in `struct canfd_frame.flags`. */
export const CANFD_BRS = 1;
export const CANFD_ESI = 2;
export const CANFD_FDF = 4;

export type SlotBytes = typeof CLASSIC_SLOT_BYTES | typeof FD_SLOT_BYTES;

/** Where a mapping from boottime to UTC comes from. `log` is a log's own time, trusted by configuration only. */
export type UtcSource = 'gnss' | 'ntp' | 'receiver' | 'floor' | 'log' | 'unknown';

/** Several frames of one slot size, in the order in which they were received. */
export interface FrameBatch {
  /** `count` slots from byte 0; the source may use the buffer again when `deliver` (and its promise) has returned. */
  readonly bytes: Uint8Array;
  readonly slotBytes: SlotBytes;
  readonly count: number;
  /** The agent's boot, 8 bytes; boottimes of two boots do not compare. */
  readonly bootId: Uint8Array;
  /** UTC in ns = boottime + this; null where UTC is unknown. */
  readonly utcOffsetNs: bigint | null;
  /** Bound of the error of `utcOffsetNs`, ns; Infinity where unknown. */
  readonly utcErrorNs: number;
  readonly utcSource: UtcSource;
}

/**
 * Where frames come from: a CAN socket, an Ethernet carrier, a log, the simulator.
 * A source hands over batches and never makes an object per frame. When the pipeline is full `deliver` returns a
 * promise: logs and simulations await it, live sources drop and count.
 */
export interface FrameSource {
  /** Shown in status and errors, e.g. `can0` or `drive.log`. */
  readonly name: string;
  /** Starts delivery. Resolves when the source is live, rejects with a `TollgateError` that names the remedy. */
  open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void>;
  /**
   * Another filter, while the source runs: what the new one does not want is not delivered any more from now on, and what it
   * wants and the one before did not is, as soon as the source comes upon it. Before `open` it does nothing. Never throws.
   */
  refilter(filter: FrameFilter): void;
  /** Resolves when the source has delivered its last frame (end of a log); never for a live source before `close`. */
  readonly ended: Promise<void>;
  /** Frames dropped since `open`; `exact` is false where only a lower bound is known (controller overruns). */
  dropped(): { count: number; exact: boolean };
  /** Frames that the filter left out since `open`; 0 where the kernel drops them before they are counted. */
  skipped(): number;
  /** Input that could not be read as a frame since `open` (malformed log lines). */
  malformed(): number;
  close(): Promise<void>;
}
