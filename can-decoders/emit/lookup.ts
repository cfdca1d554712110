import { HEADER_BYTES, OFFSET_CHANNEL, OFFSET_ID, OFFSET_LENGTH, OFFSET_TIME } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import type { IdTable } from '../hash.ts';
import { CELLS_PER_PRESENCE, ROW_MESSAGE, ROW_TIME, rowSize } from '../layout.ts';
import { emitTouch } from './changes.ts';
import {
  COUNTER_IGNORED,
  COUNTER_SHORT,
  COUNTER_UNKNOWN,
  RECORD_BITS,
  RECORD_HEAD,
  RECORD_KEY,
  RECORD_NEED,
  RECORD_SHAPE,
  RECORD_SIZE,
  type SimdMap,
} from './memory.ts';

/** First cell of a row with one presence word, and with two. */
export const FIRST_CELL = rowSize(1).firstCell;
export const FIRST_OF_MANY = rowSize(CELLS_PER_PRESENCE + 1).firstCell;

/** What the functions of the SIMD forms are written from. */
export interface SimdParts {
  readonly table: IdTable;
  readonly map: SimdMap;
  /** Channel whose frames are decoded; null takes those of every channel. */
  readonly channel: number | null;
  /** Function `own(slot, out, index, slotBytes)` for frames that no shape decodes. */
  readonly own: number;
}

/** Locals of the functions of the SIMD forms. */
export interface SimdLocals {
  readonly slot: Local;
  /** Address of the row. */
  readonly out: Local;
  /** Offset of the message's record from the first one. */
  readonly record: Local;
  readonly shape: Local;
  readonly piece: Local;
  readonly id: Local;
  readonly probe: Local;
}

export function simdLocals(code: CodeWriter): SimdLocals {
  return {
    slot: code.local('i32'),
    out: code.local('i32'),
    record: code.local('i32'),
    shape: code.local('i32'),
    piece: code.local('v128'),
    id: code.local('i32'),
    probe: code.local('i32'),
  };
}

/**
 * Leaves the offset of the record of the frame at `slot` in `record`; that of the last record, which is nobody's, for an
 * id (or a channel) that the plan does not know. No branch depends on the id where the table is perfect.
 */
export function emitRecord(code: CodeWriter, { table, map, channel }: SimdParts, locals: SimdLocals): void {
  const { slot, record, id, probe } = locals;
  code.get(slot);
  code.memory('i32.load', OFFSET_ID);
  code.tee(id);
  code.i32(table.multiplier);
  code.op('i32.mul');
  code.i32(table.shift);
  code.op('i32.shr_u');
  if (table.perfect) {
    entry();
  } else {
    code.set(probe);
    code.block();
    code.loop();
    code.get(probe);
    entry();
    code.get(record);
    code.i32(map.nobody);
    code.op('i32.eq');
    code.brIf(1);
    code.get(record);
    code.memory('i32.load', map.records + RECORD_KEY);
    code.get(id);
    code.op('i32.eq');
    code.brIf(1);
    code.get(probe);
    code.i32(1);
    code.op('i32.add');
    code.i32(table.slots.length - 1);
    code.op('i32.and');
    code.set(probe);
    code.br(0);
    code.end();
    code.end();
  }
  orNobody(() => {
    code.get(record);
    code.memory('i32.load', map.records + RECORD_KEY);
    code.get(id);
    code.op('i32.eq');
  });
  if (channel !== null) {
    orNobody(() => {
      code.get(slot);
      code.memory('i32.load8_u', OFFSET_CHANNEL);
      code.i32(channel);
      code.op('i32.eq');
    });
  }

  /** From the slot of the table on the stack. */
  function entry(): void {
    code.i32(1);
    code.op('i32.shl');
    code.memory('i32.load16_u', map.slots);
    code.i32(RECORD_BITS);
    code.op('i32.shl');
    code.set(record);
  }

  function orNobody(condition: () => void): void {
    code.get(record);
    code.i32(map.nobody);
    condition();
    code.op('select');
    code.set(record);
  }
}

/** Writes time, message and the first word of the presence bitmap. */
export function emitHeader(code: CodeWriter, map: SimdMap, { slot, out, record }: SimdLocals): void {
  code.get(out);
  code.get(record);
  code.memory('i64.load', map.records + RECORD_HEAD);
  code.memory('i64.store', ROW_MESSAGE);
  code.get(out);
  code.get(slot);
  code.memory('i64.load', OFFSET_TIME);
  code.op('f64.convert_i64_s');
  code.memory('f64.store', ROW_TIME);
}

/** Message index of a record. */
export function emitIndex(code: CodeWriter, record: Local): void {
  code.get(record);
  code.i32(RECORD_BITS);
  code.op('i32.shr_u');
}

/** Puts 1 on the stack where the frame has fewer bytes than its message, else 0. */
export function emitIsShort(code: CodeWriter, map: SimdMap, { slot, record }: SimdLocals): void {
  code.get(slot);
  code.memory('i32.load8_u', OFFSET_LENGTH);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_NEED);
  code.op('i32.lt_u');
}

/** Notes the row where changes are told; `touched` is opened before the first frame and closed behind the last one. */
export function emitTouchRow(code: CodeWriter, { changes }: SimdMap, locals: SimdLocals, touched: Local): void {
  if (changes === null) return;
  const { record, probe, out } = locals;
  code.get(record);
  code.i32(RECORD_BITS - 2);
  code.op('i32.shr_u');
  code.set(probe);
  emitTouch(code, changes, probe, out, touched);
}

/** Puts the address behind the row on the stack. */
export function emitEndOfRow(code: CodeWriter, map: SimdMap, { out, record }: SimdLocals): void {
  code.get(out);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_SIZE);
  code.op('i32.add');
}

/** Loads the payload and the address of the shape. */
export function emitPayload(code: CodeWriter, map: SimdMap, { slot, record, shape, piece }: SimdLocals): void {
  code.get(slot);
  code.memory('v128.load64_zero', HEADER_BYTES);
  code.set(piece);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_SHAPE);
  code.set(shape);
}

/** Puts the four cells of the quad at this offset of the shape on the stack. */
export function emitQuad(code: CodeWriter, at: number, { shape, piece }: SimdLocals): void {
  code.get(piece);
  code.get(shape);
  code.memory('v128.load', at);
  // Indices are below 16 or have their highest bit: both swizzles answer alike, and this one is one instruction.
  code.op('i8x16.relaxed_swizzle');
  code.get(shape);
  code.memory('v128.load', at + 16);
  code.op('v128.and');
}

export function emitCounters(code: CodeWriter, count: Local, rows: Local, ignored: Local): void {
  code.i32(0);
  code.get(count);
  code.get(rows);
  code.op('i32.sub');
  code.get(ignored);
  code.op('i32.sub');
  code.memory('i32.store', COUNTER_UNKNOWN);
  code.i32(0);
  code.get(ignored);
  code.memory('i32.store', COUNTER_IGNORED);
  code.i32(0);
  code.i32(0);
  code.memory('i32.store', COUNTER_SHORT);
}

/** A last frame without message leaves a header where a next row would start. */
export function emitSeal(code: CodeWriter, out: Local): void {
  for (const offset of [0, 8]) {
    code.get(out);
    code.i64(0);
    code.memory('i64.store', offset);
  }
}

export function emitOwnCall(code: CodeWriter, own: number, { slot, out, record }: SimdLocals, slotBytes: Local): void {
  code.get(slot);
  code.get(out);
  emitIndex(code, record);
  code.get(slotBytes);
  code.call(own);
}
