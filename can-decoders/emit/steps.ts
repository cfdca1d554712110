import { CAN_ERR_FLAG, CAN_RTR_FLAG, FD_SLOT_BYTES, HEADER_BYTES, OFFSET_ID } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { COUNTER_IGNORED, COUNTER_SHORT, COUNTER_UNKNOWN } from './memory.ts';

/** Adds one to a counter of the memory. */
export function increment(code: CodeWriter, counter: number): void {
  code.i32(0);
  code.i32(0);
  code.memory('i32.load', counter);
  code.i32(1);
  code.op('i32.add');
  code.memory('i32.store', counter);
}

/** Sets the counters of a call to 0. */
export function emitResetCounters(code: CodeWriter): void {
  for (const counter of [COUNTER_UNKNOWN, COUNTER_IGNORED, COUNTER_SHORT]) {
    code.i32(0);
    code.i32(0);
    code.memory('i32.store', counter);
  }
}

/** On to the next frame: its slot and its entry in the list. */
export function advance(code: CodeWriter, slot: Local, slotBytes: Local, entry: Local): void {
  code.get(slot);
  code.get(slotBytes);
  code.op('i32.add');
  code.set(slot);
  code.get(entry);
  code.i32(2);
  code.op('i32.add');
  code.set(entry);
}

/** Leaves the address behind the last slot in `end`. */
export function emitEnd(code: CodeWriter, input: Local, count: Local, slotBytes: Local, end: Local): void {
  code.get(input);
  code.get(count);
  code.get(slotBytes);
  code.op('i32.mul');
  code.op('i32.add');
  code.set(end);
}

/** Zeroes the input area. */
export function emitClear(code: CodeWriter, input: Local, count: Local, slotBytes: Local): void {
  code.get(input);
  code.i32(0);
  code.get(count);
  code.get(slotBytes);
  code.op('i32.mul');
  code.memoryFill();
}

/** Counts a frame without message and zeroes its id and payload. */
export function emitDrop(code: CodeWriter, slot: Local, slotBytes: Local): void {
  code.get(slot);
  code.memory('i32.load', OFFSET_ID);
  code.i32(CAN_RTR_FLAG | CAN_ERR_FLAG);
  code.op('i32.and');
  code.if();
  increment(code, COUNTER_IGNORED);
  code.else();
  increment(code, COUNTER_UNKNOWN);
  code.end();
  for (let offset = OFFSET_ID; offset < HEADER_BYTES + 8; offset += 8) {
    code.get(slot);
    code.i64(0);
    code.memory('i64.store', offset);
  }
  code.get(slotBytes);
  code.i32(FD_SLOT_BYTES);
  code.op('i32.eq');
  code.if();
  code.get(slot);
  code.i32(HEADER_BYTES + 8);
  code.op('i32.add');
  code.i32(0);
  code.i32(FD_SLOT_BYTES - HEADER_BYTES - 8);
  code.memoryFill();
  code.end();
}
