import { HEADER_BYTES } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { type Field, maskOf } from '../field.ts';
import type { PlanCell } from '../plan.ts';

const VECTOR_BYTES = 16;
const LANES = 4;
const PAYLOAD_BYTES = 64;
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

/** One, two or four neighbouring cells that are taken out of one piece of payload at once. */
export interface Vector {
  /** First byte of the piece. */
  readonly window: number;
  readonly cell: number;
  readonly words: readonly Field[];
}

const SIZES = [4, 2, 1] as const;

/**
 * @param isClassic every frame of the message has at most 8 bytes
 * @returns the cells that a frame can hold
 */
export function vectorsOf(cells: readonly PlanCell[], isClassic: boolean): Vector[] {
  const all = cells
    .flatMap(({ words, layout }) => words.map((word, i) => ({ cell: layout.cell + i, word })))
    .sort((a, b) => a.cell - b.cell);
  const vectors: Vector[] = [];
  for (let i = 0; i < all.length; ) {
    const found = SIZES.map((size) => vectorOf(all.slice(i, i + size), size, isClassic)).find((one) => one !== null);
    if (found) vectors.push(found);
    i += found?.words.length ?? 1;
  }
  return vectors;
}

function vectorOf(run: readonly { cell: number; word: Field }[], size: number, isClassic: boolean): Vector | null {
  const { cell } = run[0]!;
  if (run.length < size || run.at(-1)!.cell !== cell + size - 1) return null;
  const words = run.map(({ word }) => word);
  const window = isClassic ? 0 : windowOf(words);
  return window === null ? null : { window, cell, words };
}

/** Sixteen bytes of an FD slot that hold all these words; null where there are none, as for a word beyond every frame. */
function windowOf(words: readonly Field[]): number | null {
  const first = Math.min(...words.map((word) => word.first), PAYLOAD_BYTES - VECTOR_BYTES);
  return words.every(({ last }) => last < first + VECTOR_BYTES) ? first : null;
}

export interface VectorLocals {
  readonly slot: Local;
  readonly out: Local;
  /** The piece of payload. */
  readonly piece: Local;
}

/** Loads the piece of payload that the next vectors work on. */
export function emitPiece(code: CodeWriter, window: number, isClassic: boolean, { slot, piece }: VectorLocals): void {
  code.get(slot);
  code.memory(isClassic ? 'v128.load64_zero' : 'v128.load', HEADER_BYTES + window);
  code.set(piece);
}

/**
 * Some cells at once: a swizzle brings the bytes of each into its lane, lowest first (which turns Motorola order for free),
 * and a mask cuts its bits out where they lie.
 *
 * @param address of the first cell, from the row
 */
export function emitVector(
  code: CodeWriter,
  { window, words }: Vector,
  pool: VectorPool,
  { out, piece }: VectorLocals,
  address: number,
): void {
  code.get(out);
  code.get(piece);
  load(code, pool, laneBytes(words, window));
  // Indices are below 16 or have their highest bit: both swizzles answer alike, and this one is one instruction.
  code.op('i8x16.relaxed_swizzle');
  load(code, pool, masks(words));
  code.op('v128.and');
  if (words.length === LANES) code.memory('v128.store', address);
  else code.memoryLane(words.length === 2 ? 'v128.store64_lane' : 'v128.store32_lane', address, 0);
}

function load(code: CodeWriter, pool: VectorPool, bytes: Uint8Array): void {
  code.i32(0);
  code.memory('v128.load', pool.address(bytes));
}

function laneBytes(words: readonly Field[], window: number): Uint8Array {
  const indices = new Uint8Array(VECTOR_BYTES).fill(NOTHING);
  for (const [lane, { first, last, bigEndian }] of words.entries()) {
    for (let byte = 0; byte <= last - first; byte++) {
      indices[lane * LANES + byte] = (bigEndian ? last - byte : first + byte) - window;
    }
  }
  return indices;
}

function masks(words: readonly Field[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(VECTOR_BYTES));
  for (const [lane, word] of words.entries()) view.setUint32(lane * 4, maskOf(word), true);
  return new Uint8Array(view.buffer);
}
