import { OFFSET_LENGTH } from '#contracts';
import type { CodeWriter, ModuleWriter } from '#wasm';
import { NO_MESSAGE } from '../hash.ts';
import type { DecodePlan, MessagePlan } from '../plan.ts';
import { ORDER_BYTES, type TableMap } from './memory.ts';
import { emitRow } from './message.ts';
import { rowLocals } from './rows.ts';
import type { VectorPool } from './simd.ts';
import { advance, emitClear } from './steps.ts';

/**
 * The grouped form: a counting sort of the frames by message (`sieve` has counted), then one tight loop a message. Each
 * frame carries the address of its row, so the rows stand in the order of the frames.
 */
export function emitGrouped(
  module: ModuleWriter,
  rows: number,
  plan: DecodePlan,
  map: TableMap,
  short: number,
  pool: VectorPool,
): void {
  const loops = plan.messages.map((message, index) => {
    const loop = module.declare({ parameters: ['i32', 'i32'], results: [] });
    module.define(loop, (code) => emitLoop(code, message, index, short, pool));
    return loop;
  });
  module.define(rows, (code) => emitSort(code, plan, map, loops));
}

/** `loop(order, end)`: the rows of the frames of one message. */
function emitLoop(code: CodeWriter, message: MessagePlan, index: number, short: number, pool: VectorPool): void {
  const [order, end] = [0, 1];
  const slot = code.local('i32');
  const out = code.local('i32');
  const length = code.local('i32');
  const locals = rowLocals(code, [message], slot, out, pool);
  code.loop();
  code.get(order);
  code.memory('i32.load', 0);
  code.set(slot);
  code.get(order);
  code.memory('i32.load', 4);
  code.set(out);
  code.get(slot);
  code.memory('i32.load8_u', OFFSET_LENGTH);
  code.tee(length);
  code.i32(Math.max(message.need, message.length));
  code.op('i32.lt_u');
  code.if();
  code.get(slot);
  code.get(out);
  code.i32(index);
  code.get(length);
  code.call(short);
  code.else();
  emitRow(code, index, message, locals);
  code.end();
  code.get(order);
  code.i32(ORDER_BYTES);
  code.op('i32.add');
  code.tee(order);
  code.get(end);
  code.op('i32.lt_u');
  code.brIf(0);
  code.end();
}

function emitSort(code: CodeWriter, plan: DecodePlan, map: TableMap, loops: readonly number[]): void {
  const [count, slotBytes, out, input, list] = [0, 1, 2, 3, 4];
  const slot = code.local('i32');
  const entry = code.local('i32');
  const end = code.local('i32');
  const index = code.local('i32');
  const place = code.local('i32');
  const start = code.local('i32');
  // `order` lies behind the list.
  code.get(list);
  code.get(count);
  code.i32(1);
  code.op('i32.shl');
  code.op('i32.add');
  code.tee(end);
  code.i32(15);
  code.op('i32.add');
  code.i32(-16);
  code.op('i32.and');
  code.set(start);
  if (plan.messages.length > 0) emitStarts(code, plan, map, start, place);
  code.get(input);
  code.set(slot);
  code.get(list);
  code.set(entry);
  code.block();
  code.loop();
  code.get(entry);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  code.get(entry);
  code.memory('i32.load16_u', 0);
  code.tee(index);
  code.i32(NO_MESSAGE);
  code.op('i32.ne');
  code.if();
  code.get(index);
  code.i32(2);
  code.op('i32.shl');
  code.tee(index);
  code.memory('i32.load', map.ends);
  code.tee(place);
  code.get(slot);
  code.memory('i32.store', 0);
  code.get(place);
  code.get(out);
  code.memory('i32.store', 4);
  code.get(index);
  code.get(place);
  code.i32(ORDER_BYTES);
  code.op('i32.add');
  code.memory('i32.store', map.ends);
  code.get(out);
  code.get(index);
  code.memory('i32.load', map.sizes);
  code.op('i32.add');
  code.set(out);
  code.end();
  advance(code, slot, slotBytes, entry);
  code.br(0);
  code.end();
  code.end();
  for (const [message, loop] of loops.entries()) {
    code.get(start);
    code.i32(0);
    code.memory('i32.load', map.ends + message * 4);
    code.tee(end);
    code.op('i32.lt_u');
    code.if();
    code.get(start);
    code.get(end);
    code.call(loop);
    code.get(end);
    code.set(start);
    code.end();
  }
  emitClear(code, input, count, slotBytes);
  code.get(out);
}

/** Turns the counts of the messages into the places of their first frames. */
function emitStarts(code: CodeWriter, plan: DecodePlan, map: TableMap, start: number, place: number): void {
  const at = code.local('i32');
  const counted = code.local('i32');
  code.get(start);
  code.set(place);
  code.loop();
  code.get(at);
  code.memory('i32.load', map.ends);
  code.set(counted);
  code.get(at);
  code.get(place);
  code.memory('i32.store', map.ends);
  code.get(place);
  code.get(counted);
  code.i32(Math.log2(ORDER_BYTES));
  code.op('i32.shl');
  code.op('i32.add');
  code.set(place);
  code.get(at);
  code.i32(4);
  code.op('i32.add');
  code.tee(at);
  code.i32(plan.messages.length * 4);
  code.op('i32.lt_u');
  code.brIf(0);
  code.end();
}
