import { TollgateError } from '#contracts';

/** Bits of a probability as the range coder takes it. */
const PROBABILITY_BITS = 15;
/** Bits of a counter's probability; the ten bits below hold its count. */
const COUNTER_ONE = (1 << 22) - 1;
/** Counters stop slowing down here: rate 1 / (127 + 1.5). */
const COUNT_LIMIT = 127;
/** Weight 1 of the mixer. */
export const WEIGHT_ONE = 1 << 14;
/** Bytes that a decoder may read past the end: they count as zero and the encoder left them out. */
const TAIL_BYTES = 4;

/** RATE[n] = ⌊2^15 / (n + 1.5)⌋: how far a counter that saw n bits moves. */
const RATE = new Int32Array(COUNT_LIMIT + 1);
for (let n = 0; n <= COUNT_LIMIT; n++) RATE[n] = Math.floor(65536 / (2 * n + 3));

/** The logistic function in 33 points of 12 bits, as PAQ uses it (M. Mahoney, 2005): x / 256 − 8 … 8. */
const LOGISTIC = [
  1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348, 3607, 3785, 3901, 3975,
  4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094,
];
/** SQUASH[x + 2048]: probability in 15 bits of the log odds x / 256, straight lines between the points. */
export const SQUASH = new Int32Array(4096);
for (let x = -2048; x < 2048; x++) {
  const step = x + 2048;
  const at = step >> 7;
  const part = step & 127;
  SQUASH[step] = (LOGISTIC[at]! * (128 - part) + LOGISTIC[at + 1]! * part) >> 4;
}
/** STRETCH[p]: log odds of a probability of 12 bits; the smallest x whose SQUASH is not below it. */
export const STRETCH = new Int32Array(4096);
for (let p = 0, x = -2047; p < 4096; p++) {
  while (x < 2047 && SQUASH[x + 2048]! < p * 8) x++;
  STRETCH[p] = x;
}

/** A counter at probability `p` of 22 bits that behaves as if it had seen `count` bits. */
export const counter = (p: number, count: number): number => (p << 10) | count;

/**
 * An adaptive binary range coder that writes or reads with the same calls: in the writing direction a call takes the
 * bit and returns it, in the reading direction it ignores the argument and returns what stands there. One walk over
 * a record thus serves both ends. Integers only: every machine comes to the same bytes.
 */
export class BitCoder {
  decoding = false;
  /** Class of start probabilities of the column in work, −1 for none; training asks for it. */
  priorClass = 0;
  /** Models started so far. */
  columns = 0;
  bytes: Uint8Array = new Uint8Array(0);
  position = 0;
  private end = 0;
  private low = 0;
  private high = 0xffffffff;
  private word = 0;
  /** Counters of the column in work; `bit` takes four indices into them. */
  readonly counters: Int32Array;
  /** Mixer weights of the column in work, four a node. */
  readonly weights: Int32Array;
  /** Counters that live for the whole record; `single` takes an index into them. */
  readonly singles: Int32Array;

  constructor(counters: number, nodes: number, singles: number) {
    this.counters = new Int32Array(counters);
    this.weights = new Int32Array(nodes * 4);
    this.singles = new Int32Array(singles);
  }

  /** Starts writing into `bytes`; more than fits is TG_WIRE_RECORD_TOO_LARGE. */
  startWriting(bytes: Uint8Array): void {
    this.decoding = false;
    this.bytes = bytes;
    this.position = 0;
    this.end = bytes.length;
    this.low = 0;
    this.high = 0xffffffff;
  }

  startReading(bytes: Uint8Array): void {
    this.decoding = true;
    this.bytes = bytes;
    this.position = 0;
    this.end = bytes.length;
    this.low = 0;
    this.high = 0xffffffff;
    this.word = 0;
    for (let i = 0; i < 4; i++) this.word = ((this.word << 8) | this.nextByte()) >>> 0;
  }

  /** A bit under four contexts, whose log odds the mixer of `node` weighs. */
  bit(y: number, node: number, s0: number, s1: number, s2: number, s3: number): number {
    const counters = this.counters;
    const weights = this.weights;
    const w = node << 2;
    const c0 = counters[s0]!;
    const c1 = counters[s1]!;
    const c2 = counters[s2]!;
    const c3 = counters[s3]!;
    const t0 = STRETCH[c0 >>> 20]!;
    const t1 = STRETCH[c1 >>> 20]!;
    const t2 = STRETCH[c2 >>> 20]!;
    const t3 = STRETCH[c3 >>> 20]!;
    const w0 = weights[w]!;
    const w1 = weights[w + 1]!;
    const w2 = weights[w + 2]!;
    const w3 = weights[w + 3]!;
    let dot = (w0 * t0 + w1 * t1 + w2 * t2 + w3 * t3) >> 14;
    if (dot > 2047) dot = 2047;
    else if (dot < -2047) dot = -2047;
    const p = SQUASH[dot + 2048]!;
    const bit = this.code(y, p);
    const error = ((bit << PROBABILITY_BITS) - p) * MIXER_RATE;
    weights[w] = clampWeight(w0 + ((t0 * error) >> MIXER_SHIFT));
    weights[w + 1] = clampWeight(w1 + ((t1 * error) >> MIXER_SHIFT));
    weights[w + 2] = clampWeight(w2 + ((t2 * error) >> MIXER_SHIFT));
    weights[w + 3] = clampWeight(w3 + ((t3 * error) >> MIXER_SHIFT));
    counters[s0] = learn(c0, bit);
    counters[s1] = learn(c1, bit);
    counters[s2] = learn(c2, bit);
    counters[s3] = learn(c3, bit);
    return bit;
  }

  /** A bit under one context. */
  single(y: number, slot: number): number {
    const state = this.singles[slot]!;
    let p = state >>> 17;
    if (p < 16) p = 16;
    else if (p > 32752) p = 32752;
    const bit = this.code(y, p);
    this.singles[slot] = learn(state, bit);
    return bit;
  }

  /** As `single`, with a counter of the column in work. */
  alone(y: number, slot: number): number {
    const state = this.counters[slot]!;
    let p = state >>> 17;
    if (p < 16) p = 16;
    else if (p > 32752) p = 32752;
    const bit = this.code(y, p);
    this.counters[slot] = learn(state, bit);
    return bit;
  }

  /** `count` bits as they are, highest first. */
  plain(value: number, count: number): number {
    let out = 0;
    for (let i = count - 1; i >= 0; i--) out = (out << 1) | this.code((value >>> i) & 1, 1 << (PROBABILITY_BITS - 1));
    return out;
  }

  private code(y: number, p: number): number {
    const range = (this.high - this.low) >>> 0;
    const middle = (this.low + (range >>> 15) * p + (((range & 0x7fff) * p) >>> 15)) >>> 0;
    const bit = this.decoding ? (this.word <= middle ? 1 : 0) : y;
    if (bit === 1) this.high = middle;
    else this.low = (middle + 1) >>> 0;
    while (((this.low ^ this.high) & 0xff000000) === 0) this.shift();
    return bit;
  }

  private shift(): void {
    if (this.decoding) this.word = ((this.word << 8) | this.nextByte()) >>> 0;
    else this.put(this.high >>> 24);
    this.low = (this.low << 8) >>> 0;
    this.high = ((this.high << 8) | 0xff) >>> 0;
  }

  private put(byte: number): void {
    if (this.position >= this.end) {
      throw new TollgateError('TG_WIRE_RECORD_TOO_LARGE', `the columns take more than ${this.end} bytes`);
    }
    this.bytes[this.position++] = byte;
  }

  private nextByte(): number {
    const at = this.position++;
    if (at < this.end) return this.bytes[at]!;
    if (at >= this.end + TAIL_BYTES) throw new TollgateError('TG_WIRE_RECORD_MALFORMED', 'the columns end too early');
    return 0;
  }

  /** Ends writing; returns the length: the fewest bytes that, followed by zeros, lie between low and high. */
  finish(): number {
    const tail = this.tail();
    for (let i = 0; i < tail.length; i++) this.put(tail[i]!);
    return this.position;
  }

  /** Ends reading: the bytes must stop exactly where the writer would have stopped. */
  expectEnd(): void {
    const tail = this.tail();
    const from = this.position - TAIL_BYTES;
    let same = from + tail.length === this.end;
    for (let i = 0; same && i < tail.length; i++) same = this.bytes[from + i] === tail[i];
    if (!same) throw new TollgateError('TG_WIRE_RECORD_MALFORMED', 'the columns do not end where their values end');
  }

  private tail(): readonly number[] {
    if (this.low === 0) return [];
    for (let keep = 24; keep > 0; keep -= 8) {
      const value = (this.high & (0xffffffff << keep)) >>> 0;
      if (value >= this.low)
        return [24, 16, 8].filter((shift) => shift >= keep).map((shift) => (value >>> shift) & 0xff);
    }
    return [24, 16, 8, 0].map((shift) => (this.high >>> shift) & 0xff);
  }
}

/** Bytes that no writer of ours makes. */
export function malformed(what: string): never {
  throw new TollgateError('TG_WIRE_RECORD_MALFORMED', what);
}

/** How fast weights follow; short records want it fast. */
const MIXER_RATE = 14;
const MIXER_SHIFT = 18;
/** Keeps the sum of four products within 31 bits. */
const WEIGHT_LIMIT = 7 * WEIGHT_ONE;

const clampWeight = (w: number): number => (w > WEIGHT_LIMIT ? WEIGHT_LIMIT : Math.max(w, -WEIGHT_LIMIT));

/** Moves a counter towards the bit by 1 / (count + 1.5). */
function learn(state: number, bit: number): number {
  let p = state >>> 10;
  const count = state & 0x3ff;
  const rate = RATE[count]!;
  if (bit === 1) p += (((COUNTER_ONE - p) >> 7) * rate) >> 8;
  else p -= ((p >> 7) * rate) >> 8;
  return (p << 10) | (count < COUNT_LIMIT ? count + 1 : count);
}
