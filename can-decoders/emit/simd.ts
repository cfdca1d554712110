import { HEADER_BYTES } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import type { Field } from '../field.ts';
import type { PlanCell } from '../plan.ts';

const VECTOR_BYTES = 16;
const LANES = 4;
const PAYLOAD_BYTES = 64;
const CLASSIC_BYTES = 8;
/** An index that swizzle answers with 0. */
const NOTHING = 0x80;

/** Vectors that the emitted code loads from memory: cheaper than constants in the code, and equal ones are stored once. */
export class VectorPool {
  readonly #start: number;
  readonly #vectors: Uint8Array[] = [];
  readonly #known = new Map<string, number>();

  /** @param start address of the pool, known before its size is */
  constructor(start: number) {
    this.#start = start;
  }

  /** Address of a vector with these bytes. */
  address(bytes: Uint8Array): number {
    const key = String.fromCharCode(...bytes);
    let index = this.#known.get(key);
    if (index === undefined) {
      index = this.#vectors.push(bytes) - 1;
      this.#known.set(key, index);
    }
    return this.#start + index * VECTOR_BYTES;
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#vectors.length * VECTOR_BYTES);
    for (const [i, vector] of this.#vectors.entries()) all.set(vector, i * VECTOR_BYTES);
    return all;
  }
}

/** Up to four cells that are taken out of one piece of payload at once; each two of them have neighbouring cells. */
export interface Vector {
  /** First byte of the piece. */
  readonly window: number;
  readonly pairs: readonly (readonly [PlanCell, PlanCell])[];
}

export interface Vectors {
  readonly vectors: readonly Vector[];
  /** What is left for the scalar form. */
  readonly rest: readonly PlanCell[];
}

/**
 * Sorts cells into vectors. A lane has 32 bits and is converted as a signed number, so wide and float signals, those over
 * five bytes and unsigned ones that reach bit 31 stay scalar.
 *
 * @param need length that every frame of the message has at least, bytes
 */
export function vectorsOf(cells: readonly PlanCell[], need: number): Vectors {
  const isClassic = need <= CLASSIC_BYTES;
  const rest: PlanCell[] = [];
  const pairs: (readonly [PlanCell, PlanCell])[] = [];
  const sorted = [...cells].sort((a, b) => a.layout.cell - b.layout.cell);
  for (let i = 0; i < sorted.length; ) {
    const [a, b] = [sorted[i]!, sorted[i + 1]];
    const isPair = b !== undefined && b.layout.cell === a.layout.cell + 1 && fitsLane(a.field) && fitsLane(b.field);
    if (isPair && (isClassic || windowOf([a, b]) !== null)) {
      pairs.push([a, b]);
      i += 2;
    } else {
      rest.push(a);
      i++;
    }
  }
  const vectors: Vector[] = [];
  for (let i = 0; i < pairs.length; ) {
    const [one, two] = [pairs[i]!, pairs[i + 1]];
    const both = two === undefined ? null : isClassic ? 0 : windowOf([...one, ...two]);
    if (two !== undefined && both !== null) {
      vectors.push({ window: both, pairs: [one, two] });
      i += 2;
    } else {
      vectors.push({ window: isClassic ? 0 : windowOf(one)!, pairs: [one] });
      i++;
    }
  }
  return { vectors, rest };
}

function fitsLane({ first, last, shift, bits, kind, signed }: Field): boolean {
  return kind === 'int' && last - first < LANES && (signed || shift + bits < 32);
}

/** Sixteen bytes of an FD slot that hold all these fields; null where there are none. */
function windowOf(cells: readonly PlanCell[]): number | null {
  const first = Math.min(...cells.map(({ field }) => field.first), PAYLOAD_BYTES - VECTOR_BYTES);
  return cells.every(({ field }) => field.last < first + VECTOR_BYTES) ? first : null;
}

export interface VectorLocals {
  readonly slot: Local;
  readonly out: Local;
  /** The piece of payload, and what is made of it. */
  readonly piece: Local;
  readonly lanes: Local;
}

/** Loads the piece of payload that the next vectors work on. */
export function emitPiece(code: CodeWriter, window: number, isClassic: boolean, { slot, piece }: VectorLocals): void {
  code.get(slot);
  code.memory(isClassic ? 'v128.load64_zero' : 'v128.load', HEADER_BYTES + window);
  code.set(piece);
}

/**
 * Four fields at once: a swizzle brings the bytes of each into its lane, lowest first (which turns Motorola order for
 * free), a mask cuts the field out where it lies, and a product with a power of two, exact in a double, shifts it down.
 *
 * @param cellAddress offset of a cell from the row
 */
export function emitVector(
  code: CodeWriter,
  vector: Vector,
  pool: VectorPool,
  locals: VectorLocals,
  cellAddress: (cell: PlanCell) => number,
): void {
  const fields = vector.pairs.flatMap((pair) => pair.map(({ field }) => field));
  code.get(locals.piece);
  load(code, pool, laneBytes(fields, vector.window));
  code.op('i8x16.swizzle');
  load(code, pool, words(fields.map(({ shift, bits }) => (bits === 32 ? -1 : (2 ** bits - 1) << shift))));
  code.op('v128.and');
  const signs = fields.map(({ signed, shift, bits }) => (signed && shift + bits < 32 ? 1 << (shift + bits - 1) : 0));
  if (signs.some((sign) => sign !== 0)) {
    load(code, pool, words(signs));
    code.op('v128.xor');
    load(code, pool, words(signs));
    code.op('i32x4.sub');
  }
  code.set(locals.lanes);
  for (const [half, pair] of vector.pairs.entries()) {
    code.get(locals.out);
    code.get(locals.lanes);
    if (half === 1) {
      code.get(locals.lanes);
      code.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
    }
    code.op('f64x2.convert_low_i32x4_s');
    const shifts = pair.map(({ field }) => field.shift);
    if (shifts.some((shift) => shift !== 0)) {
      load(code, pool, doubles(shifts.map((shift) => 2 ** -shift)));
      code.op('f64x2.mul');
    }
    code.memory('v128.store', cellAddress(pair[0]));
  }
}

function load(code: CodeWriter, pool: VectorPool, bytes: Uint8Array): void {
  code.i32(0);
  code.memory('v128.load', pool.address(bytes));
}

function laneBytes(fields: readonly Field[], window: number): Uint8Array {
  const indices = new Uint8Array(VECTOR_BYTES).fill(NOTHING);
  for (const [lane, { first, last, bigEndian }] of fields.entries()) {
    for (let byte = 0; byte <= last - first; byte++) {
      indices[lane * LANES + byte] = (bigEndian ? last - byte : first + byte) - window;
    }
  }
  return indices;
}

function words(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(VECTOR_BYTES));
  for (const [lane, value] of values.entries()) view.setInt32(lane * 4, value, true);
  return new Uint8Array(view.buffer);
}

function doubles(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(VECTOR_BYTES));
  for (const [lane, value] of values.entries()) view.setFloat64(lane * 8, value, true);
  return new Uint8Array(view.buffer);
}
