import {
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CANFD_FDF,
  CLASSIC_SLOT_BYTES,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  IdMatcher,
} from '#contracts';
import { Interfaces } from '../candump/interfaces.ts';
import { SlotBuffer } from '../candump/slots.ts';
import type { LogOptions, LogReader } from './reader.ts';

const DEFAULT_BATCH_FRAMES = 1024;
const NS_PER_S = 1e9;
const CLASSIC_BYTES = CLASSIC_SLOT_BYTES - HEADER_BYTES;
const FD_BYTES = FD_SLOT_BYTES - HEADER_BYTES;
const NO_BYTES = new Uint8Array(0);

/**
 * What stands in the slot of an error frame where a log says only that there was one: the bus error of `linux/can/error.h`
 * (CAN_ERR_BUSERROR), 8 bytes of zero, as `candump -L` writes it.
 */
const BUS_ERROR = CAN_ERR_FLAG | 0x80 | 0;

/** Where readers put their frames: filters them, and makes batches of one slot size each. */
export class FrameSink {
  /** A batch waits to be taken. */
  ready = false;
  skipped = 0;
  malformed = 0;
  /** The log's time is UTC; to be settled before the first frame. */
  hasUtc = false;
  /** The log's own time at boottime 0, ns; null before the first frame. */
  originNs: bigint | null = null;
  readonly #options: LogOptions;
  readonly #slots: SlotBuffer;
  readonly #interfaces: Interfaces;
  readonly #digits = new Uint8Array(10);
  /** The frame that waits until the batch of the other slot size is taken. */
  readonly #held = new Uint8Array(FD_BYTES);
  #isHeld = false;
  #heldTime = 0;
  #heldId = 0;
  #heldLength = 0;
  #heldFlags = 0;
  #heldChannel = 0;
  #heldUsed = 0;

  constructor(options: LogOptions) {
    this.#options = options;
    this.#slots = new SlotBuffer(
      options.bootId,
      options.batchFrames ?? DEFAULT_BATCH_FRAMES,
      options.spanNs ?? Number.POSITIVE_INFINITY,
    );
    this.#interfaces = new Interfaces(options.channelOf ?? (() => 0), options.wanted ?? (() => new IdMatcher(null)));
  }

  get pending(): number {
    return this.#slots.count;
  }

  /** Channel of the name in the first `length` bytes, −1 where its frames are left out. */
  channel(name: Uint8Array, length: number): number {
    return this.#interfaces.channel(name, length);
  }

  /** Channel of an interface that has a number for a name. */
  numbered(number: number): number {
    let length = 1;
    for (let rest = number; rest > 9 && length < 10; rest = Math.floor(rest / 10)) length++;
    for (let i = length - 1, rest = number; i >= 0; i--, rest = Math.floor(rest / 10))
      this.#digits[i] = 0x30 + (rest % 10);
    return this.#interfaces.channel(this.#digits, length);
  }

  refilter(): void {
    this.#interfaces.refilter();
  }

  refuse(place: number, reason: string): void {
    this.malformed++;
    this.#options.onMalformed?.(place, reason);
  }

  /**
   * One frame. Must not be called while a batch is ready.
   *
   * @param seconds log time, whole seconds; `ns` the rest, may exceed a second
   * @param id     id word with flag bits, as a signed number
   * @param length bytes of the payload, or those a remote frame asks for; at most 8, with FDF in `flags` 64
   * @param used   bytes that are there from `from`; what lacks to `length` is zero
   */
  frame(
    seconds: number,
    ns: number,
    id: number,
    length: number,
    flags: number,
    channel: number,
    bytes: Uint8Array,
    from: number,
    used: number,
  ): void {
    if (this.originNs === null) this.originNs = BigInt(seconds) * BigInt(NS_PER_S) + BigInt(Math.floor(ns));
    const slots = this.#slots;
    const time = slots.bootNs(seconds, Math.floor(ns));
    if (channel < 0 || !this.#interfaces.wants(channel, id)) {
      this.skipped++;
      return;
    }
    const isFd = (flags & CANFD_FDF) !== 0;
    const payload = (id & CAN_RTR_FLAG) !== 0 ? 0 : Math.min(used, length, isFd ? FD_BYTES : CLASSIC_BYTES);
    const slotBytes = isFd ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES;
    if (slotBytes !== slots.slotBytes) {
      if (slots.count > 0) {
        for (let i = 0; i < payload; i++) this.#held[i] = bytes[from + i]!;
        this.#isHeld = true;
        this.#heldTime = time;
        this.#heldId = id;
        this.#heldLength = length;
        this.#heldFlags = flags;
        this.#heldChannel = channel;
        this.#heldUsed = payload;
        this.ready = true;
        return;
      }
      slots.slotBytes = slotBytes;
    }
    this.#put(time, id, length, flags, channel, bytes, from, payload);
  }

  /** An error frame that carries no more than its time and channel. */
  error(seconds: number, ns: number, channel: number): void {
    this.frame(seconds, ns, BUS_ERROR, CLASSIC_BYTES, 0, channel, NO_BYTES, 0, 0);
  }

  end(): void {
    this.ready = this.#slots.count > 0;
  }

  take(): FrameBatch {
    const batch = this.#slots.take();
    this.ready = false;
    if (this.#isHeld) {
      // The other slot size has a buffer of its own, so the batch that goes out stays whole.
      this.#isHeld = false;
      this.#slots.slotBytes = (this.#heldFlags & CANFD_FDF) === 0 ? CLASSIC_SLOT_BYTES : FD_SLOT_BYTES;
      this.#put(
        this.#heldTime,
        this.#heldId,
        this.#heldLength,
        this.#heldFlags,
        this.#heldChannel,
        this.#held,
        0,
        this.#heldUsed,
      );
    }
    if (this.hasUtc) return batch;
    return { ...batch, utcOffsetNs: null, utcErrorNs: Number.POSITIVE_INFINITY, utcSource: 'unknown' };
  }

  #put(
    time: number,
    id: number,
    length: number,
    flags: number,
    channel: number,
    bytes: Uint8Array,
    from: number,
    used: number,
  ): void {
    const slots = this.#slots;
    const target = slots.bytes();
    const payload = slots.count * slots.slotBytes + HEADER_BYTES;
    for (let i = 0; i < used; i++) target[payload + i] = bytes[from + i]!;
    for (let i = HEADER_BYTES + used; i < slots.slotBytes; i++) target[payload - HEADER_BYTES + i] = 0;
    slots.commit(time, id, length, flags, channel);
    this.ready = slots.isFull;
  }
}

/** What every reader has of its sink. */
export abstract class SinkReader implements LogReader {
  protected readonly sink: FrameSink;

  constructor(options: LogOptions) {
    this.sink = new FrameSink(options);
  }

  get ready(): boolean {
    return this.sink.ready;
  }
  get malformed(): number {
    return this.sink.malformed;
  }
  get skipped(): number {
    return this.sink.skipped;
  }
  get pending(): number {
    return this.sink.pending;
  }
  get originNs(): bigint | null {
    return this.sink.originNs;
  }

  refilter(): void {
    this.sink.refilter();
  }
  take(): FrameBatch {
    return this.sink.take();
  }

  abstract feed(chunk: Uint8Array, from?: number): number;
  abstract end(): void;
}
