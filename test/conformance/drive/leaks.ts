// Looks for a denied column in any bytes: as words, as differences, as text. Sixteen bits alone are found in every ciphertext, so
// eight consecutive samples are one needle.

const RUN = 8;
/** A run of fewer different values (a steering wheel at rest) is found by chance in any file of zeros. */
const LEAST_VARIETY = 4;
const LARGEST_STRIDE = 12;
/** Digits of a run of numbers that chance does not make. */
const LEAST_DIGITS = 20;

interface Needle {
  readonly how: string;
  readonly bytes: Uint8Array;
}

/** Finds runs of a denied column. Build it once, search many places. */
export class LeakSearch {
  readonly #needles = new Map<number, Needle[]>();
  readonly #texts: { how: string; values: readonly number[] }[] = [];
  /** Runs with enough variety to be needles. */
  readonly runs: number;

  /**
   * @param raw samples of the denied column as raw integers, in order
   * @param physical the same as physical values
   * @param bytesPerSample width of the words to look for
   */
  constructor(raw: readonly number[], physical: readonly number[], bytesPerSample: 1 | 2 | 4) {
    let runs = 0;
    for (let i = 0; i + RUN <= raw.length; i++) {
      const run = raw.slice(i, i + RUN);
      if (new Set(run).size < LEAST_VARIETY) continue;
      runs++;
      for (const big of [false, true]) {
        const order = big ? 'big-endian' : 'little-endian';
        this.#add(`${order} words`, words(run, bytesPerSample, big));
        this.#add(`${order} doubles`, doubles(physical.slice(i, i + RUN), big));
      }
      const steps = run.slice(1).map((value, k) => value - run[k]!);
      if (new Set(steps).size >= LEAST_VARIETY) {
        for (const big of [false, true]) this.#add('differences as words', words(steps, bytesPerSample, big));
        this.#add('differences as zigzag varints', Uint8Array.from(steps.flatMap((step) => varint(zigzag(step)))));
      }
      // Every eighth start covers the column; text runs are long.
      if (runs % RUN === 1) {
        this.#addText('raw values as decimal text', run);
        this.#addText('physical values as decimal text', physical.slice(i, i + RUN));
      }
    }
    this.runs = runs;
  }

  /** Every way in which the column shows in `bytes`; empty where it does not. */
  search(bytes: Uint8Array): string[] {
    const found = new Set<string>();
    for (let at = 0; at + 4 <= bytes.length; at++) {
      const key = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      for (const needle of this.#needles.get(key) ?? []) {
        if (needle.bytes.every((byte, i) => bytes[at + i] === byte)) found.add(needle.how);
      }
    }
    this.#searchText(bytes, found);
    return [...found];
  }

  #add(how: string, bytes: Uint8Array): void {
    if (bytes.length < RUN - 1) return;
    const key = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24);
    const list = this.#needles.get(key) ?? [];
    if (list.length === 0) this.#needles.set(key, list);
    list.push({ how, bytes });
  }

  /** Eight small digits stand in any binary file by chance. */
  #addText(how: string, values: readonly number[]): void {
    if (values.join('').length >= LEAST_DIGITS) this.#texts.push({ how, values });
  }

  /** Numbers of a text at a constant distance: every line of a JSON log has the value at the same place. */
  #searchText(bytes: Uint8Array, found: Set<string>): void {
    const numbers = [
      ...Buffer.from(bytes)
        .toString('latin1')
        .matchAll(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi),
    ].map((match) => Number(match[0]));
    const places = new Map<number, number[]>();
    for (const [i, value] of numbers.entries()) {
      const list = places.get(value);
      if (list === undefined) places.set(value, [i]);
      else list.push(i);
    }
    for (const { how, values } of this.#texts) {
      if (found.has(how)) continue;
      for (const start of places.get(values[0]!) ?? []) {
        for (let stride = 1; stride <= LARGEST_STRIDE; stride++) {
          if (values.every((value, k) => numbers[start + k * stride] === value)) found.add(how);
        }
      }
    }
  }
}

function words(values: readonly number[], width: 1 | 2 | 4, big: boolean): Uint8Array {
  const bytes = new Uint8Array(values.length * width);
  for (const [i, value] of values.entries()) {
    for (let k = 0; k < width; k++) bytes[i * width + (big ? width - 1 - k : k)] = (value >> (8 * k)) & 0xff;
  }
  return bytes;
}

function doubles(values: readonly number[], big: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  for (const [i, value] of values.entries()) view.setFloat64(i * 8, value, !big);
  return new Uint8Array(view.buffer);
}

const zigzag = (value: number) => (value < 0 ? -2 * value - 1 : 2 * value);

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
