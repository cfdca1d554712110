import { HEADER_BYTES, OFFSET_CHANNEL, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { type IdTable, NO_MESSAGE } from '../hash.ts';
import type { ScalarMap } from './memory.ts';
import { advance, emitDrop, emitResetCounters } from './steps.ts';

/** Leaves the message index of the id in `index`, `NO_MESSAGE` for an id that the plan does not know. */
function emitLookup(code: CodeWriter, table: IdTable, map: ScalarMap, id: Local, index: Local, probe: Local): void {
  code.get(id);
  code.i32(table.multiplier);
  code.op('i32.mul');
  code.i32(table.shift);
  code.op('i32.shr_u');
  if (!table.perfect) {
    code.set(probe);
    code.loop();
    code.get(probe);
  }
  code.i32(1);
  code.op('i32.shl');
  code.memory('i32.load16_u', map.slots);
  code.tee(index);
  code.i32(NO_MESSAGE);
  code.op('i32.ne');
  code.if();
  code.get(index);
  code.i32(2);
  code.op('i32.shl');
  code.memory('i32.load', map.keys);
  code.get(id);
  code.op('i32.ne');
  code.if();
  if (table.perfect) {
    code.i32(NO_MESSAGE);
    code.set(index);
  } else {
    code.get(probe);
    code.i32(1);
    code.op('i32.add');
    code.i32(table.slots.length - 1);
    code.op('i32.and');
    code.set(probe);
    code.br(2);
  }
  code.end();
  code.end();
  if (!table.perfect) code.end();
}

/**
 * `sieve(count, slotBytes, input)` of the scalar form: looks up the id of each frame of the input area, writes the list of
 * message indices and zeroes the slots of all others.
 */
export function emitSieve(code: CodeWriter, table: IdTable, map: ScalarMap, channel: number | null): void {
  const [count, slotBytes, input] = [0, 1, 2];
  const slot = code.local('i32');
  const entry = code.local('i32');
  const end = code.local('i32');
  const id = code.local('i32');
  const index = code.local('i32');
  const probe = code.local('i32');
  const payload = code.local('i32');
  emitResetCounters(code);
  code.get(input);
  code.set(slot);
  code.i32(map.list);
  code.tee(entry);
  code.get(count);
  code.i32(1);
  code.op('i32.shl');
  code.op('i32.add');
  code.set(end);
  code.get(slotBytes);
  code.i32(HEADER_BYTES);
  code.op('i32.sub');
  code.set(payload);
  code.block();
  code.loop();
  code.get(entry);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  code.get(slot);
  code.memory('i32.load', OFFSET_ID);
  code.set(id);
  emitLookup(code, table, map, id, index, probe);
  if (channel !== null) {
    code.get(slot);
    code.memory('i32.load8_u', OFFSET_CHANNEL);
    code.i32(channel);
    code.op('i32.ne');
    code.if();
    code.i32(NO_MESSAGE);
    code.set(index);
    code.end();
  }
  code.get(entry);
  code.get(index);
  code.memory('i32.store16', 0);
  code.get(index);
  code.i32(NO_MESSAGE);
  code.op('i32.eq');
  code.if();
  emitDrop(code, slot, slotBytes);
  code.else();
  // A length byte that claims more than the slot holds must not lead a load into the next slot.
  code.get(slot);
  code.memory('i32.load8_u', OFFSET_LENGTH);
  code.get(payload);
  code.op('i32.gt_u');
  code.if();
  code.get(slot);
  code.get(payload);
  code.memory('i32.store8', OFFSET_LENGTH);
  code.end();
  code.end();
  advance(code, slot, slotBytes, entry);
  code.br(0);
  code.end();
  code.end();
}
