import { CAN_ERR_FLAG, CAN_RTR_FLAG, OFFSET_ID } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { ROW_MESSAGE } from '../layout.ts';
import { emitCloseTouched, emitOpenTouched } from './changes.ts';
import {
  emitCounters,
  emitEndOfRow,
  emitHeader,
  emitIsShort,
  emitOwnCall,
  emitPayload,
  emitQuad,
  emitRecord,
  emitSeal,
  emitTouchRow,
  FIRST_CELL,
  type SimdLocals,
  type SimdParts,
  simdLocals,
} from './lookup.ts';
import { LATER_BYTES, RECORD_BITS, RECORD_ROWS, RECORD_SHAPE, RECORD_SIZE, RECORD_WAY } from './memory.ts';
import { QUAD_BYTES, QUAD_STORE } from './shapes.ts';
import { emitClear, emitEnd } from './steps.ts';

/** Slot and row of a frame in the list of those that are not done after the first pass. */
const LATER_SLOT = 0;
const LATER_ROW = 4;

/** What the function of the `simd` form is written from. */
export interface FrameParts extends SimdParts {
  /** Whether messages have code of their own. */
  readonly hasOwn: boolean;
  /** Quads of a block. */
  readonly block: number;
  /** Most blocks behind the front one that a message has. */
  readonly backBlocks: number;
}

interface Locals extends SimdLocals {
  /** Where the next frame of the list goes. */
  readonly later: Local;
}

/**
 * `decode(count, slotBytes, out, input)` of the `simd` form. The first pass has no branch that depends on a frame: it
 * writes header, the first block of quads of each row, in the order of the frames. What a short row has too
 * much the next row writes over; a frame without message has a row of no bytes. Frames of messages with more quads, short
 * frames and those of messages with code of their own go into a list, and one pass a block over it follows.
 */
export function emitFrames(code: CodeWriter, parts: FrameParts): void {
  const { map } = parts;
  const [count, slotBytes, start, input] = [0, 1, 2, 3];
  const end = code.local('i32');
  const rows = code.local('i32');
  const ignored = code.local('i32');
  /** All flags of all ids. */
  const flags = code.local('i32');
  const locals: Locals = { ...simdLocals(code), later: code.local('i32') };
  const { slot, out, later, record, id } = locals;
  const touched = code.local('i32');
  if (map.changes !== null) emitOpenTouched(code, map.changes, touched);
  emitEnd(code, input, count, slotBytes, end);
  code.get(input);
  code.set(slot);
  code.get(start);
  code.set(out);
  code.i32(map.later);
  code.set(later);
  code.block();
  code.loop();
  code.get(slot);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  emitRecord(code, parts, locals);
  emitHeader(code, map, locals);
  emitTouchRow(code, map, locals, touched);
  emitPayload(code, map, locals);
  for (let quad = 0; quad < parts.block; quad++) {
    code.get(out);
    emitQuad(code, quad * QUAD_BYTES, locals);
    code.memory('v128.store', FIRST_CELL + quad * QUAD_STORE);
  }
  emitAppend(code, locals, () => {
    code.get(record);
    code.memory('i32.load', map.records + RECORD_WAY);
  });
  emitIsShort(code, map, locals);
  code.if();
  emitAppendShort(code, map, locals);
  code.end();
  code.get(rows);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_ROWS);
  code.op('i32.add');
  code.set(rows);
  code.get(flags);
  code.get(id);
  code.op('i32.or');
  code.set(flags);
  emitEndOfRow(code, map, locals);
  code.set(out);
  code.get(slot);
  code.get(slotBytes);
  code.op('i32.add');
  code.set(slot);
  code.br(0);
  code.end();
  code.end();
  // Keys of records have neither flag, so such frames have no message; where none has one, none need be counted.
  code.get(flags);
  code.i32(CAN_RTR_FLAG | CAN_ERR_FLAG);
  code.op('i32.and');
  code.if();
  emitCountIgnored(code, input, end, slotBytes, locals, ignored);
  code.end();
  emitCounters(code, count, rows, ignored);
  if (map.changes !== null) emitCloseTouched(code, map.changes, touched);
  emitSeal(code, out);
  code.get(out);
  code.set(start);
  for (let pass = 0; pass < Math.max(1, parts.backBlocks); pass++) emitPass(code, parts, locals, pass, slotBytes, end);
  emitClear(code, input, count, slotBytes);
  code.get(start);
}

/** Counts remote and error frames. */
function emitCountIgnored(
  code: CodeWriter,
  input: Local,
  end: Local,
  slotBytes: Local,
  { slot }: Locals,
  ignored: Local,
): void {
  code.get(input);
  code.set(slot);
  code.loop();
  code.get(ignored);
  code.get(slot);
  code.memory('i32.load', OFFSET_ID);
  code.i32(CAN_RTR_FLAG | CAN_ERR_FLAG);
  code.op('i32.and');
  code.i32(0);
  code.op('i32.ne');
  code.op('i32.add');
  code.set(ignored);
  code.get(slot);
  code.get(slotBytes);
  code.op('i32.add');
  code.tee(slot);
  code.get(end);
  code.op('i32.lt_u');
  code.brIf(0);
  code.end();
}

/** Keeps a short frame in the list, where its message alone would not. */
function emitAppendShort(code: CodeWriter, map: SimdParts['map'], { later, record }: Locals): void {
  code.get(later);
  code.i32(LATER_BYTES);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_WAY);
  code.op('i32.sub');
  code.op('i32.add');
  code.set(later);
}

/** One pass over the list: the block of quads that ends `pass` blocks before the end of the row. */
function emitPass(
  code: CodeWriter,
  parts: FrameParts,
  locals: Locals,
  pass: number,
  slotBytes: Local,
  end: Local,
): void {
  const { map, block } = parts;
  const { slot, out, record, later } = locals;
  const entry = code.local('i32');
  code.get(later);
  code.set(end);
  // What is left for the next pass goes to the front of the same list, never beyond what has been read.
  code.i32(map.later);
  code.tee(entry);
  code.set(later);
  code.block();
  code.loop();
  code.get(entry);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  code.get(entry);
  code.memory('i32.load', LATER_SLOT);
  code.set(slot);
  code.get(entry);
  code.memory('i32.load', LATER_ROW);
  code.set(out);
  code.get(entry);
  code.i32(LATER_BYTES);
  code.op('i32.add');
  code.set(entry);
  code.get(out);
  code.memory('i32.load16_u', ROW_MESSAGE);
  code.i32(RECORD_BITS);
  code.op('i32.shl');
  code.set(record);
  code.block();
  if (pass === 0) {
    emitIsShort(code, map, locals);
    if (parts.hasOwn) {
      code.get(record);
      code.memory('i32.load', map.records + RECORD_SHAPE);
      code.i32(map.noShape);
      code.op('i32.eq');
      code.op('i32.or');
    }
    code.if();
    emitOwnCall(code, parts.own, locals, slotBytes);
    code.br(1);
    code.end();
  }
  if (parts.backBlocks > 0) {
    emitPayload(code, map, locals);
    emitEndOfRow(code, map, locals);
    const back = (pass + 1) * block * QUAD_STORE;
    code.i32(back);
    code.op('i32.sub');
    const from = locals.probe;
    code.set(from);
    for (let quad = 0; quad < block; quad++) {
      code.get(from);
      emitQuad(code, ((pass + 1) * block + quad) * QUAD_BYTES, locals);
      code.memory('v128.store', quad * QUAD_STORE);
    }
    if (pass + 1 < parts.backBlocks) {
      emitAppend(code, locals, () => {
        code.get(record);
        code.memory('i32.load', map.records + RECORD_SIZE);
        code.i32(FIRST_CELL + (pass + 2) * block * QUAD_STORE);
        code.op('i32.gt_u');
        code.i32(Math.log2(LATER_BYTES));
        code.op('i32.shl');
      });
    }
  }
  code.end();
  code.br(0);
  code.end();
  code.end();
}

/** Puts the frame at the end of the list, and goes on there where `step` puts `LATER_BYTES` on the stack, not 0. */
function emitAppend(code: CodeWriter, { slot, out, later }: Locals, step: () => void): void {
  code.get(later);
  code.get(slot);
  code.memory('i32.store', LATER_SLOT);
  code.get(later);
  code.get(out);
  code.memory('i32.store', LATER_ROW);
  code.get(later);
  step();
  code.op('i32.add');
  code.set(later);
}
