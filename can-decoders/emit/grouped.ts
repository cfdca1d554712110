import { CAN_ERR_FLAG, CAN_RTR_FLAG, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { CELL_BYTES, ROW_FLAG_SHORT, ROW_FLAGS, ROW_MESSAGE, ROW_PRESENCE, rowSize } from '../layout.ts';
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
  FIRST_OF_MANY,
  type SimdLocals,
  type SimdParts,
  simdLocals,
} from './lookup.ts';
import { COUNTER_SHORT, RECORD_BITS, RECORD_LASTS, RECORD_SIZE, RECORD_WAY, type SimdMap } from './memory.ts';
import { ONE_WORD_CELLS, QUAD_BYTES, QUAD_CELLS, QUAD_STORE } from './shapes.ts';
import { emitClear, emitEnd, increment } from './steps.ts';

/**
 * Links in a slot, over the time of its frame when its row has a header: the next slot of the chain and the address of
 * the row.
 */
const LINK_NEXT = 0;
const LINK_ROW = 4;

/** Chains before those of the shapes: frames without message, and messages with code of their own. */
export const CHAIN_NOBODY = 0;
export const CHAIN_OWN = 1;

/** Chain of messages with so many quads of cells. */
export function chainOf(quads: number): number {
  return CHAIN_OWN + quads;
}

export interface GroupParts extends SimdParts {
  /** Numbers of quads that messages have. */
  readonly quads: readonly number[];
  readonly hasOwn: boolean;
  /** Function `fix(out, record, length)`. */
  readonly fix: number;
}

/**
 * `decode(count, slotBytes, out, input)` of the `grouped` form. A first pass without branches looks up each frame, gives
 * it its row and hangs it into the chain of its number of quads; then one loop a chain, whose jumps always go the same
 * way. The frames of a chain come last first: each knows its row, so the rows stand in the order of the frames.
 */
export function emitGrouped(code: CodeWriter, parts: GroupParts): void {
  const { map } = parts;
  const [count, slotBytes, start, input] = [0, 1, 2, 3];
  const end = code.local('i32');
  const rows = code.local('i32');
  const ignored = code.local('i32');
  const locals = simdLocals(code);
  const { slot, out } = locals;
  const touched = code.local('i32');
  if (map.changes !== null) emitOpenTouched(code, map.changes, touched);
  emitEnd(code, input, count, slotBytes, end);
  code.get(input);
  code.set(slot);
  code.get(start);
  code.set(out);
  code.block();
  code.loop();
  code.get(slot);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  emitRecord(code, parts, locals);
  emitHeader(code, map, locals);
  emitTouchRow(code, map, locals, touched);
  emitLink(code, parts, locals);
  emitEndOfRow(code, map, locals);
  code.set(out);
  code.get(slot);
  code.get(slotBytes);
  code.op('i32.add');
  code.set(slot);
  code.br(0);
  code.end();
  code.end();
  if (map.changes !== null) emitCloseTouched(code, map.changes, touched);
  emitSeal(code, out);
  code.get(out);
  code.set(start);
  code.get(count);
  code.set(rows);
  emitChain(code, parts, CHAIN_NOBODY, locals, () => emitUncount(code, slot, rows, ignored));
  emitCounters(code, count, rows, ignored);
  for (const quads of parts.quads) {
    emitChain(code, parts, chainOf(quads), locals, () => {
      const isLarge = quads * QUAD_CELLS > ONE_WORD_CELLS;
      emitPayload(code, map, locals);
      if (isLarge) {
        code.get(out);
        code.get(locals.shape);
        code.memory('i32.load', quads * QUAD_BYTES);
        code.memory('i32.store', ROW_PRESENCE + 4);
      }
      emitEndOfRow(code, map, locals);
      code.i32(QUAD_STORE);
      code.op('i32.sub');
      emitQuad(code, 0, locals);
      code.memory('v128.store', 0);
      for (let quad = 1; quad < quads; quad++) {
        code.get(out);
        emitQuad(code, quad * QUAD_BYTES, locals);
        code.memory('v128.store', (isLarge ? FIRST_OF_MANY : FIRST_CELL) + (quad - 1) * QUAD_STORE);
      }
      emitIsShort(code, map, locals);
      code.if();
      code.get(out);
      code.get(locals.record);
      code.get(slot);
      code.memory('i32.load8_u', OFFSET_LENGTH);
      code.call(parts.fix);
      code.end();
    });
  }
  if (parts.hasOwn) {
    emitChain(code, parts, CHAIN_OWN, locals, () => emitOwnCall(code, parts.own, locals, slotBytes));
  }
  emitClear(code, input, count, slotBytes);
  code.get(start);
}

/** Hangs the frame into its chain. */
function emitLink(code: CodeWriter, { map }: GroupParts, { slot, out, record, probe: chain }: SimdLocals): void {
  code.get(slot);
  code.get(out);
  code.memory('i32.store', LINK_ROW);
  code.get(slot);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_WAY);
  code.tee(chain);
  code.memory('i32.load', 0);
  code.memory('i32.store', LINK_NEXT);
  code.get(chain);
  code.get(slot);
  code.memory('i32.store', 0);
}

/** Takes a frame without message out of the rows; a remote or error frame is one that is ignored. */
function emitUncount(code: CodeWriter, slot: Local, rows: Local, ignored: Local): void {
  code.get(rows);
  code.i32(1);
  code.op('i32.sub');
  code.set(rows);
  code.get(ignored);
  code.get(slot);
  code.memory('i32.load', OFFSET_ID);
  code.i32(CAN_RTR_FLAG | CAN_ERR_FLAG);
  code.op('i32.and');
  code.i32(0);
  code.op('i32.ne');
  code.op('i32.add');
  code.set(ignored);
}

/** Does `each` for the frames of a chain, with `slot`, `out` and `record` set, and leaves the chain empty. */
function emitChain(
  code: CodeWriter,
  { map }: GroupParts,
  chain: number,
  { slot, out, record }: SimdLocals,
  each: () => void,
): void {
  const head = map.chains + chain * 4;
  code.i32(0);
  code.memory('i32.load', head);
  code.tee(slot);
  code.if();
  code.i32(0);
  code.i32(0);
  code.memory('i32.store', head);
  code.loop();
  code.get(slot);
  code.memory('i32.load', LINK_ROW);
  code.set(out);
  code.get(out);
  code.memory('i32.load16_u', ROW_MESSAGE);
  code.i32(RECORD_BITS);
  code.op('i32.shl');
  code.set(record);
  each();
  code.get(slot);
  code.memory('i32.load', LINK_NEXT);
  code.tee(slot);
  code.brIf(0);
  code.end();
  code.end();
}

/** `fix(out, record, length)`: takes the cells out of a row for which its frame is too short, and marks it. */
export function emitFix(code: CodeWriter, map: SimdMap): void {
  const [out, record, length] = [0, 1, 2];
  const at = code.local('i32');
  const end = code.local('i32');
  const last = code.local('i32');
  const bit = code.local('i64');
  code.get(out);
  code.i32(FIRST_OF_MANY);
  code.i32(FIRST_CELL);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_SIZE);
  code.i32(rowSize(ONE_WORD_CELLS).rowBytes);
  code.op('i32.gt_u');
  code.op('select');
  code.op('i32.add');
  code.set(at);
  code.get(out);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_SIZE);
  code.op('i32.add');
  code.set(end);
  code.get(record);
  code.memory('i32.load', map.records + RECORD_LASTS);
  code.set(last);
  code.i64(1);
  code.set(bit);
  code.loop();
  code.get(last);
  code.memory('i32.load8_s', 0);
  code.get(length);
  code.op('i32.ge_s');
  code.if();
  code.get(at);
  code.i32(0);
  code.memory('i32.store', 0);
  code.get(out);
  code.get(out);
  code.memory('i64.load', ROW_PRESENCE);
  code.get(bit);
  code.op('i64.xor');
  code.memory('i64.store', ROW_PRESENCE);
  code.end();
  code.get(last);
  code.i32(1);
  code.op('i32.add');
  code.set(last);
  code.get(bit);
  code.i64(1);
  code.op('i64.shl');
  code.set(bit);
  code.get(at);
  code.i32(CELL_BYTES);
  code.op('i32.add');
  code.tee(at);
  code.get(end);
  code.op('i32.lt_u');
  code.brIf(0);
  code.end();
  code.get(out);
  code.i32(ROW_FLAG_SHORT);
  code.memory('i32.store16', ROW_FLAGS);
  increment(code, COUNTER_SHORT);
}
