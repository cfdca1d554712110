import type { CodeWriter, Local } from '#wasm';

/** Adds one to a counter of the memory. */
export function increment(code: CodeWriter, counter: number): void {
  code.i32(0);
  code.i32(0);
  code.memory('i32.load', counter);
  code.i32(1);
  code.op('i32.add');
  code.memory('i32.store', counter);
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

/** Zeroes the input area. */
export function emitClear(code: CodeWriter, input: Local, count: Local, slotBytes: Local): void {
  code.get(input);
  code.i32(0);
  code.get(count);
  code.get(slotBytes);
  code.op('i32.mul');
  code.memoryFill();
}
