import {
  CANFD_FDF,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
  OFFSET_TIME,
} from '#contracts';

/** Payload of a slot, bytes. */
const LARGEST_PAYLOAD = FD_SLOT_BYTES - HEADER_BYTES;
const WORD = 2 ** 32;
const DEFAULT_CAPACITY = 256;

export interface MessageBatchOptions {
  /** The agent's boot, as in the batches that the messages came from. */
  readonly bootId: Uint8Array;
  readonly channel?: number;
  /** Slots. Default: 256. */
  readonly capacity?: number;
}

/**
 * Messages of a transport as frames of 64 bytes, so that decoders take them like frames. What a message has beyond 64
 * bytes is left out and counted; a decoder marks the row as short where its database says that there is more.
 */
export class MessageBatch {
  /** Messages cut to 64 bytes since the start. */
  cut = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #channel: number;
  readonly #bootId: Uint8Array;
  readonly #capacity: number;
  #count = 0;

  constructor({ bootId, channel = 0, capacity = DEFAULT_CAPACITY }: MessageBatchOptions) {
    this.#bytes = new Uint8Array(capacity * FD_SLOT_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
    this.#bootId = bootId;
    this.#channel = channel;
    this.#capacity = capacity;
  }

  /** Messages since the last `take`. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds a message.
   *
   * @param id id word of its message in the database, with the EFF bit
   * @param timeNs boottime
   * @returns false where the batch is full: take it, then put again
   */
  put(id: number, timeNs: number, bytes: Uint8Array, start: number, length: number): boolean {
    if (this.#count === this.#capacity) return false;
    const slot = this.#count * FD_SLOT_BYTES;
    this.#count++;
    const kept = Math.min(length, LARGEST_PAYLOAD);
    if (kept < length) this.cut++;
    this.#view.setUint32(slot + OFFSET_TIME, timeNs % WORD, true);
    this.#view.setUint32(slot + OFFSET_TIME + 4, Math.floor(timeNs / WORD), true);
    this.#view.setUint32(slot + OFFSET_ID, id, true);
    this.#bytes[slot + OFFSET_LENGTH] = kept;
    this.#bytes[slot + OFFSET_FLAGS] = CANFD_FDF;
    this.#bytes[slot + OFFSET_CHANNEL] = this.#channel;
    const payload = slot + HEADER_BYTES;
    for (let i = 0; i < kept; i++) this.#bytes[payload + i] = bytes[start + i]!;
    this.#bytes.fill(0, payload + kept, slot + FD_SLOT_BYTES);
    return true;
  }

  /** The messages so far; their bytes are good until the next `put`. */
  take(): FrameBatch {
    const count = this.#count;
    this.#count = 0;
    return {
      bytes: this.#bytes.subarray(0, count * FD_SLOT_BYTES),
      slotBytes: FD_SLOT_BYTES,
      count,
      bootId: this.#bootId,
      utcOffsetNs: null,
      utcErrorNs: Number.POSITIVE_INFINITY,
      utcSource: 'unknown',
    };
  }
}
