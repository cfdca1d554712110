import type { SignalInfo } from '#contracts';
import type { CellLayout } from './layout.ts';

const WORD = 2 ** 32;
const WORD_BITS = 32;

/** What makes one number of the cells of a signal. */
const Part = {
  /** The raw integer of one cell. */
  Unsigned: 0,
  Signed: 1,
  /** The raw integer of several cells, at most 53 bits. */
  Long: 2,
  /** Words of a raw integer of more bits: above 32 bits (signed where the signal is), and the lowest 32. */
  High: 3,
  Low: 4,
  Float32: 5,
  Float64: 6,
} as const;

const bits = new DataView(new ArrayBuffer(8));

/**
 * Reads one number out of rows: a raw integer, a float, or one of the two words of a `wide` signal. A mapping's `values`
 * are applied. Nothing is allocated.
 */
export class CellReader {
  readonly cell: number;
  readonly #part: number;
  /** Shifts that leave the field of one cell: up to its highest bit, then down. */
  readonly #left: number;
  readonly #right: number;
  readonly #field: CellLayout['field'];
  readonly #cells: number;
  readonly #values: SignalInfo['values'];

  private constructor({ signal, cell, cells, field }: CellLayout, part: number) {
    this.cell = cell;
    this.#part = part;
    this.#left = WORD_BITS - field.shift - field.bits;
    this.#right = WORD_BITS - field.bits;
    this.#field = field;
    this.#cells = cells;
    this.#values = signal.values;
  }

  /** The numbers of a signal: one, or of a `wide` one its high and its low word. */
  static of(layout: CellLayout): CellReader[] {
    const { kind, signed } = layout.field;
    if (kind === 'wide') return [new CellReader(layout, Part.High), new CellReader(layout, Part.Low)];
    if (kind === 'float32') return [new CellReader(layout, Part.Float32)];
    if (kind === 'float64') return [new CellReader(layout, Part.Float64)];
    if (layout.cells > 1) return [new CellReader(layout, Part.Long)];
    return [new CellReader(layout, signed ? Part.Signed : Part.Unsigned)];
  }

  /**
   * @param u32 the rows
   * @param first place of the row's first cell in `u32`
   * @returns NaN where the mapping has no value for the raw one
   */
  read(u32: Uint32Array, first: number): number {
    const raw = this.raw(u32, first);
    return this.#values === undefined ? raw : (this.#values.get(raw) ?? Number.NaN);
  }

  /** As `read`, without the mapping. */
  raw(u32: Uint32Array, first: number): number {
    const word = u32[first + this.cell]!;
    if (this.#part === Part.Unsigned) return (word << this.#left) >>> this.#right;
    if (this.#part === Part.Signed) return (word << this.#left) >> this.#right;
    return this.#several(u32, first + this.cell);
  }

  #several(u32: Uint32Array, at: number): number {
    const { shift, bits: width, signed } = this.#field;
    const low = word(u32, at, 0, this.#cells, shift);
    const above = word(u32, at, 1, this.#cells, shift);
    if (this.#part === Part.Low) return low;
    if (this.#part === Part.Float32) {
      bits.setUint32(0, low);
      return bits.getFloat32(0);
    }
    if (this.#part === Part.Float64) {
      bits.setUint32(0, above);
      bits.setUint32(4, low);
      return bits.getFloat64(0);
    }
    if (width <= WORD_BITS) return signed ? (low << (WORD_BITS - width)) >> (WORD_BITS - width) : low;
    const left = 2 * WORD_BITS - width;
    const high = signed ? (above << left) >> left : above;
    return this.#part === Part.High ? high : high * WORD + low;
  }
}

/** Bits 32 · `index`… of a field that starts at bit `shift` of its cells. */
function word(u32: Uint32Array, at: number, index: number, cells: number, shift: number): number {
  const low = index < cells ? u32[at + index]! : 0;
  if (shift === 0) return low;
  const high = index + 1 < cells ? u32[at + index + 1]! : 0;
  return ((low >>> shift) | (high << (WORD_BITS - shift))) >>> 0;
}
