import { HEADER_BYTES } from '#contracts';
import type { CodeWriter, Local, MemoryOp } from '#wasm';
import type { Field } from '../field.ts';

/**
 * Bytes of a payload that may be read: those of signals with a right that are there at this point of the module; null
 * where only the bytes of the field itself are known to be there.
 */
export type Readable = Uint8Array | null;

/** Locals that every body of a function shares. */
export interface Scratch {
  /** Address of the slot. */
  readonly slot: Local;
  readonly t32: Local;
  readonly t64: Local;
}

interface Window {
  readonly first: number;
  readonly width: number;
}

type Word = 'i32' | 'i64';

/** Whole names: building them from parts would make a new string for each instruction. */
const OPS = {
  i32: { and: 'i32.and', or: 'i32.or', shl: 'i32.shl', shr_s: 'i32.shr_s', shr_u: 'i32.shr_u' },
  i64: { and: 'i64.and', or: 'i64.or', shl: 'i64.shl', shr_s: 'i64.shr_s', shr_u: 'i64.shr_u' },
} as const;
const LOADS = {
  i32: [
    ['i32.load8_u', 'i32.load8_s'],
    ['i32.load16_u', 'i32.load16_s'],
  ],
  i64: [
    ['i64.load8_u', 'i64.load8_s'],
    ['i64.load16_u', 'i64.load16_s'],
  ],
} as const;

/**
 * Puts the raw integer of a field on the stack, extended by its sign. Loads never touch a byte that is not `readable`.
 *
 * @returns i64 where the field spans more than four bytes or `widen` is set, else i32
 */
export function emitRaw(code: CodeWriter, field: Field, readable: Readable, scratch: Scratch, widen = false): Word {
  const { shift, bits, signed } = field;
  const direct = directLoad(field, widen);
  if (direct !== null) {
    code.get(scratch.slot);
    code.memory(direct.load, HEADER_BYTES + field.first);
    return direct.word;
  }
  const span = field.last - field.first + 1;
  if (span > 8) return emitNineBytes(code, field, scratch);
  const window = windowOf(field, readable);
  const { first, width } = window ?? { first: field.first, width: span };
  const word: Word = width > 4 || widen ? 'i64' : 'i32';
  if (window === null) emitPieces(code, field, word, scratch);
  else emitWindow(code, window, field.bigEndian, word, scratch);
  const below = shift + 8 * (field.bigEndian ? first + width - 1 - field.last : field.first - first);
  emitExtract(code, word, below, bits, signed, width * 8);
  return word;
}

/** Fields that one load instruction reads whole. */
function directLoad(field: Field, widen: boolean): { load: MemoryOp; word: Word } | null {
  const { first, last, shift, bits, bigEndian, signed } = field;
  const bytes = last - first + 1;
  if (shift !== 0 || bits !== bytes * 8 || (bigEndian && bytes > 1)) return null;
  const word: Word = widen ? 'i64' : 'i32';
  if (bytes <= 2) return { load: LOADS[word][bytes === 1 ? 0 : 1][signed ? 1 : 0], word };
  if (bytes === 4 && !widen) return { load: 'i32.load', word };
  if (bytes === 8) return { load: 'i64.load', word: 'i64' };
  return null;
}

/** The narrowest single load that covers the field and touches readable bytes only; its own bytes always are. */
function windowOf({ first, last }: Field, readable: Readable): Window | null {
  const span = last - first + 1;
  if (span === 1 || span === 2 || span === 4 || span === 8) return { first, width: span };
  if (readable === null) return null;
  for (let width = span < 4 ? 4 : 8; width <= 8; width *= 2) {
    for (let start = first; start >= 0 && start + width > last; start--) {
      if (allReadable(readable, start, start + width)) return { first: start, width };
    }
  }
  return null;
}

function allReadable(readable: Uint8Array, start: number, end: number): boolean {
  for (let byte = start; byte < end; byte++) if (readable[byte] !== 1) return false;
  return true;
}

function emitWindow(
  code: CodeWriter,
  { first, width }: Window,
  bigEndian: boolean,
  word: Word,
  scratch: Scratch,
): void {
  const { slot, t32, t64 } = scratch;
  if (width <= 4 || !bigEndian) {
    code.get(slot);
    if (width === 8) code.memory('i64.load', HEADER_BYTES + first);
    else if (width === 4) code.memory(word === 'i64' && !bigEndian ? 'i64.load32_u' : 'i32.load', HEADER_BYTES + first);
    else if (width === 2)
      code.memory(word === 'i64' && !bigEndian ? 'i64.load16_u' : 'i32.load16_u', HEADER_BYTES + first);
    else code.memory(word === 'i64' && !bigEndian ? 'i64.load8_u' : 'i32.load8_u', HEADER_BYTES + first);
    if (!bigEndian) return;
    if (width === 4) emitSwap32(code, t32);
    if (width === 2) emitSwap16(code, t32);
    if (word === 'i64') code.op('i64.extend_i32_u');
    return;
  }
  emitBig32(code, first, slot, t32);
  code.i64(32);
  code.op('i64.shl');
  code.set(t64);
  emitBig32(code, first + 4, slot, t32);
  code.get(t64);
  code.op('i64.or');
}

/** Bytes `first`…`first + 3` as a Motorola number, i64. */
function emitBig32(code: CodeWriter, first: number, slot: Local, t32: Local): void {
  code.get(slot);
  code.memory('i32.load', HEADER_BYTES + first);
  emitSwap32(code, t32);
  code.op('i64.extend_i32_u');
}

/** 2 to 8 bytes in exact pieces that may overlap: equal bits or-ed stay what they are. */
function emitPieces(code: CodeWriter, { first, last, bigEndian }: Field, word: Word, scratch: Scratch): void {
  const span = last - first + 1;
  const half = span > 4 ? 4 : 2;
  const over = (span - half) * 8;
  if (span === 1 || span === 2 || span === 4 || span === 8) {
    emitWindow(code, { first, width: span }, bigEndian, word, scratch);
    return;
  }
  const one = (start: number) => emitWindow(code, { first: start, width: half }, bigEndian, word, scratch);
  one(bigEndian ? last - half + 1 : first);
  one(bigEndian ? first : last - half + 1);
  shiftLeft(code, word, over);
  code.op(OPS[word].or);
}

/** A field over nine bytes: at most 64 bits, so what the left shift loses is not part of it. */
function emitNineBytes(code: CodeWriter, field: Field, scratch: Scratch): Word {
  const { first, last, shift, bits, bigEndian, signed } = field;
  emitWindow(code, { first, width: 8 }, bigEndian, 'i64', scratch);
  code.i64(bigEndian ? 8 - shift : shift);
  code.op(bigEndian ? 'i64.shl' : 'i64.shr_u');
  code.get(scratch.slot);
  code.memory('i64.load8_u', HEADER_BYTES + last);
  code.i64(bigEndian ? shift : 64 - shift);
  code.op(bigEndian ? 'i64.shr_u' : 'i64.shl');
  code.op('i64.or');
  emitExtract(code, 'i64', 0, bits, signed, 64, true);
  return 'i64';
}

/** Cuts `bits` bits from bit `below` of the word on the stack, of which `used` bits may be set. */
function emitExtract(
  code: CodeWriter,
  word: Word,
  below: number,
  bits: number,
  signed: boolean,
  used: number,
  dirty = false,
): void {
  const size = word === 'i32' ? 32 : 64;
  if (signed) {
    shiftLeft(code, word, size - below - bits);
    shift(code, word, 'shr_s', size - bits);
    return;
  }
  shift(code, word, 'shr_u', below);
  if (below + bits === used && !(dirty && bits < size)) return;
  if (word === 'i32') code.i32(bits === 32 ? -1 : 2 ** bits - 1);
  else code.i64(bits < 32 ? 2 ** bits - 1 : (1n << BigInt(bits)) - 1n);
  code.op(OPS[word].and);
}

function shiftLeft(code: CodeWriter, word: Word, by: number): void {
  shift(code, word, 'shl', by);
}

function shift(code: CodeWriter, word: Word, kind: 'shl' | 'shr_s' | 'shr_u', by: number): void {
  if (by === 0) return;
  if (word === 'i32') code.i32(by);
  else code.i64(by);
  code.op(OPS[word][kind]);
}

/** Byte swap of the 16 bits on the stack. */
function emitSwap16(code: CodeWriter, t32: Local): void {
  code.tee(t32);
  code.i32(8);
  code.op('i32.shr_u');
  code.get(t32);
  code.i32(0xff);
  code.op('i32.and');
  code.i32(8);
  code.op('i32.shl');
  code.op('i32.or');
}

/** Byte swap of the 32 bits on the stack: WebAssembly has no such instruction, two rotations and masks do. */
function emitSwap32(code: CodeWriter, t32: Local): void {
  code.tee(t32);
  code.i32(8);
  code.op('i32.rotl');
  code.i32(0x00ff_00ff);
  code.op('i32.and');
  code.get(t32);
  code.i32(8);
  code.op('i32.rotr');
  code.i32(0xff00_ff00);
  code.op('i32.and');
  code.op('i32.or');
}

/** Raw word on the stack → the f64 of its cell (not for `wide`). */
export function emitToCell(code: CodeWriter, field: Field, word: Word): void {
  if (field.kind === 'float32') {
    if (word === 'i64') code.op('i32.wrap_i64');
    code.op('f32.reinterpret_i32');
    code.op('f64.promote_f32');
  } else if (field.kind === 'float64') {
    code.op('f64.reinterpret_i64');
  } else if (word === 'i64') {
    // At most 53 bits: never negative where the signal is unsigned, and cheaper than the unsigned conversion.
    code.op('f64.convert_i64_s');
  } else {
    code.op(field.signed ? 'f64.convert_i32_s' : 'f64.convert_i32_u');
  }
}
