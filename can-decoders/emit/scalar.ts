import { HEADER_BYTES } from '#contracts';
import type { CodeWriter, Local, MemoryOp } from '#wasm';
import { type Field, maskOf } from '../field.ts';

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

/**
 * Puts the raw integer of a field on the stack, an i64 extended by its sign. Loads never touch a byte that is not
 * `readable`.
 */
export function emitRaw(code: CodeWriter, field: Field, readable: Readable, scratch: Scratch): void {
  const { shift, bits, signed, first, last } = field;
  const load = directLoad(field);
  if (load !== null) {
    code.get(scratch.slot);
    code.memory(load, HEADER_BYTES + first);
    return;
  }
  if (last - first >= 8) {
    emitNineBytes(code, field, scratch);
    return;
  }
  const { width, unused } = emitBytes(code, field, 'i64', readable, scratch);
  emitExtract(code, 'i64', shift + unused, bits, signed, width * 8);
}

/** Puts the bits of a word of at most four bytes on the stack, an i32, as they lie in it: all others are 0. */
export function emitCut(code: CodeWriter, word: Field, readable: Readable, scratch: Scratch): void {
  const { width, unused } = emitBytes(code, word, 'i32', readable, scratch);
  shift(code, 'i32', 'shr_u', unused);
  if (word.shift === 0 && word.bits === width * 8 - unused) return;
  code.i32(maskOf(word));
  code.op('i32.and');
}

/**
 * Puts the bytes of a field on the stack, its lowest first; with them, where that is one load, neighbours that are readable.
 *
 * @returns bytes on the stack, and how many bits of neighbours lie below the field's own bytes
 */
function emitBytes(
  code: CodeWriter,
  field: Field,
  least: Word,
  readable: Readable,
  scratch: Scratch,
): { readonly width: number; readonly unused: number } {
  const { first, last, bigEndian } = field;
  const window = windowOf(field, readable, least === 'i32' ? 4 : 8);
  if (window === null) {
    emitPieces(code, field, least, scratch);
    return { width: last - first + 1, unused: 0 };
  }
  emitWindow(code, window, bigEndian, least, scratch);
  const end = window.first + window.width - 1;
  return { width: window.width, unused: 8 * (bigEndian ? end - last : first - window.first) };
}

/** The instruction that reads a field whole, where there is one. */
function directLoad({ first, last, shift, bits, bigEndian, signed }: Field): MemoryOp | null {
  const bytes = last - first + 1;
  if (shift !== 0 || bits !== bytes * 8 || (bigEndian && bytes > 1)) return null;
  if (bytes === 1) return signed ? 'i64.load8_s' : 'i64.load8_u';
  if (bytes === 2) return signed ? 'i64.load16_s' : 'i64.load16_u';
  if (bytes === 4) return signed ? 'i64.load32_s' : 'i64.load32_u';
  return bytes === 8 ? 'i64.load' : null;
}

/** The narrowest single load that covers the field and touches readable bytes only; its own bytes always are. */
function windowOf({ first, last }: Field, readable: Readable, most: number): Window | null {
  const span = last - first + 1;
  if (span === 1 || span === 2 || span === 4 || span === 8) return { first, width: span };
  if (readable === null) return null;
  for (let width = span < 4 ? 4 : 8; width <= most; width *= 2) {
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
function emitNineBytes(code: CodeWriter, field: Field, scratch: Scratch): void {
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
