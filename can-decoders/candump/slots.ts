import {
  CLASSIC_SLOT_BYTES,
  FD_SLOT_BYTES,
  type FrameBatch,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
  type SlotBytes,
} from '#contracts';

const NS_PER_S = 1e9;
const WORD = 2 ** 32;
/** candump writes microseconds. */
const LOG_ERROR_NS = 1000;
/** No bus is silent for longer while someone logs it; a damaged digit of a time stamp steps much farther. */
const MOST_STEP_NS = 86_400 * NS_PER_S;
const NOWHERE = Number.NEGATIVE_INFINITY;

/** The batch that a log reader fills: one buffer for each slot size, and the mapping of the log's time. */
export class SlotBuffer {
  slotBytes: SlotBytes = CLASSIC_SLOT_BYTES;
  /** Frames that are whole; the slot behind them is scratch. */
  count = 0;
  /** The batch is full, or spans the time that it may. */
  isFull = false;
  readonly #bootId: Uint8Array;
  readonly #batchFrames: number;
  readonly #spanNs: number;
  #classic: Uint8Array | null = null;
  #words: Uint32Array | null = null;
  #fd: Uint8Array | null = null;
  #firstNs = 0;
  #originSeconds = -1;
  #originNs = 0;
  /** Time of the last frame, and of a leap that the next frame may confirm. */
  #lastNs = 0;
  #leapNs = NOWHERE;

  constructor(bootId: Uint8Array, batchFrames: number, spanNs: number) {
    this.#bootId = bootId;
    this.#batchFrames = batchFrames;
    this.#spanNs = spanNs;
  }

  /** Buffer of the present slot size. */
  bytes(): Uint8Array {
    if (this.slotBytes === FD_SLOT_BYTES) {
      this.#fd ??= new Uint8Array(this.#batchFrames * FD_SLOT_BYTES);
      return this.#fd;
    }
    if (this.#classic === null) {
      this.#classic = new Uint8Array(this.#batchFrames * CLASSIC_SLOT_BYTES);
      this.#words = new Uint32Array(this.#classic.buffer);
    }
    return this.#classic;
  }

  /** The classic buffer as words; all platforms of Node that the agent runs on are little-endian. */
  words(): Uint32Array {
    if (this.#words === null) this.bytes();
    return this.#words!;
  }

  /** Whether a frame has set boottime 0. */
  get hasOrigin(): boolean {
    return this.#originSeconds >= 0;
  }

  /** Boottime of a log time, ns: the first one is 0, and so is what lies before it. */
  bootNs(seconds: number, ns: number): number {
    if (this.#originSeconds < 0) {
      this.#originSeconds = seconds;
      this.#originNs = ns;
    }
    return Math.max(0, (seconds - this.#originSeconds) * NS_PER_S + ns - this.#originNs);
  }

  /** Whether a time steps more than a day ahead of the last frame. */
  isLeap(timeNs: number): boolean {
    return timeNs - this.#lastNs > MOST_STEP_NS;
  }

  /**
   * Takes the time of a frame, or refuses it: one that leaps would put all that follows into its past. Where the next
   * frame agrees with it the log has a gap, and goes on behind it.
   */
  takeTime(timeNs: number): boolean {
    if (this.isLeap(timeNs) && Math.abs(timeNs - this.#leapNs) > MOST_STEP_NS) {
      this.#leapNs = timeNs;
      return false;
    }
    this.#lastNs = timeNs;
    this.#leapNs = NOWHERE;
    return true;
  }

  /** Header of the slot behind the last frame; its payload is there already, and now counts. */
  commit(timeNs: number, id: number, length: number, flags: number, channel: number): void {
    const bytes = this.bytes();
    const slot = this.count * this.slotBytes;
    const high = Math.floor(timeNs / WORD);
    writeWord(bytes, slot, timeNs - high * WORD);
    writeWord(bytes, slot + 4, high);
    writeWord(bytes, slot + OFFSET_ID, id);
    bytes[slot + OFFSET_LENGTH] = length;
    bytes[slot + OFFSET_FLAGS] = flags;
    bytes[slot + OFFSET_CHANNEL] = channel;
    this.#counted(timeNs);
  }

  /** The same for a classic data frame, in words. */
  commitClassic(timeNs: number, id: number, length: number, channel: number): void {
    const words = this.words();
    const slot = (this.count * CLASSIC_SLOT_BYTES) >>> 2;
    const high = Math.floor(timeNs / WORD);
    words[slot] = timeNs - high * WORD;
    words[slot + 1] = high;
    words[slot + 2] = id;
    words[slot + 3] = length | (channel << 16);
    this.#counted(timeNs);
  }

  take(): FrameBatch {
    const batch: FrameBatch = {
      bytes: this.bytes(),
      slotBytes: this.slotBytes,
      count: this.count,
      bootId: this.#bootId,
      utcOffsetNs: this.hasOrigin ? BigInt(this.#originSeconds) * BigInt(NS_PER_S) + BigInt(this.#originNs) : null,
      utcErrorNs: LOG_ERROR_NS,
      utcSource: 'log',
    };
    this.count = 0;
    this.isFull = false;
    return batch;
  }

  #counted(timeNs: number): void {
    if (this.count === 0) this.#firstNs = timeNs;
    this.count++;
    this.isFull = this.count === this.#batchFrames || timeNs - this.#firstNs > this.#spanNs;
  }
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}
