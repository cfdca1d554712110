import { OFFSET_LENGTH } from '#contracts';
import type { CodeWriter, Local } from '#wasm';
import { presenceWords, ROW_FLAG_SHORT } from '../layout.ts';
import type { DecodePlan, MessagePlan } from '../plan.ts';
import { COUNTER_SHORT, type ScalarMap } from './memory.ts';
import { cascade, emitRow, type RowLocals } from './message.ts';
import type { VectorPool } from './simd.ts';
import { advance, emitClear, increment } from './steps.ts';

/** Locals for the rows of these messages. */
export function rowLocals(
  code: CodeWriter,
  messages: readonly MessagePlan[],
  slot: Local,
  out: Local,
  pool: VectorPool | null,
): RowLocals {
  const words = Math.max(0, ...messages.map(({ layout }) => presenceWords(layout.cells)));
  const depth = Math.max(0, ...messages.map(({ root }) => cascade(root)));
  return {
    slot,
    out,
    t32: code.local('i32'),
    t64: code.local('i64'),
    presence: Array.from({ length: words }, () => code.local('i32')),
    selectors: Array.from({ length: depth }, () => code.local('i64')),
    simd: pool === null ? undefined : { pool, piece: code.local('v128') },
  };
}

/** Opens one block a message and jumps to the end of that of `index`; `otherwise` is the label for any other number. */
function emitDispatch(code: CodeWriter, messages: number, otherwise: number, index: () => void): void {
  for (let i = 0; i < messages; i++) code.block();
  index();
  code.brTable(
    Array.from({ length: messages }, (_, i) => i),
    otherwise,
  );
}

/** `rows(count, slotBytes, out, input)` of the scalar form: all bodies in one function, frame by frame. */
export function emitRows(code: CodeWriter, plan: DecodePlan, map: ScalarMap, short: number): void {
  const [count, slotBytes, out, input] = [0, 1, 2, 3];
  const slot = code.local('i32');
  const entry = code.local('i32');
  const end = code.local('i32');
  const length = code.local('i32');
  const index = code.local('i32');
  const { messages } = plan;
  const locals = rowLocals(code, messages, slot, out, null);
  code.get(input);
  code.set(slot);
  code.i32(map.list);
  code.tee(entry);
  code.get(count);
  code.i32(1);
  code.op('i32.shl');
  code.op('i32.add');
  code.set(end);
  code.block();
  code.loop();
  code.get(entry);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  code.get(slot);
  code.memory('i32.load8_u', OFFSET_LENGTH);
  code.set(length);
  // Two blocks around the bodies: leaving the inner one falls into the call for short frames, the outer one passes it.
  code.block();
  code.block();
  emitDispatch(code, messages.length, messages.length + 1, () => {
    code.get(entry);
    code.memory('i32.load16_u', 0);
    code.tee(index);
  });
  for (const [i, message] of messages.entries()) {
    code.end();
    const toShort = messages.length - 1 - i;
    code.get(length);
    code.i32(Math.max(message.need, message.length));
    code.op('i32.lt_u');
    code.brIf(toShort);
    emitRow(code, i, message, locals);
    code.get(out);
    code.i32(message.layout.rowBytes);
    code.op('i32.add');
    code.set(out);
    code.br(toShort + 1);
  }
  code.end();
  code.get(slot);
  code.get(out);
  code.get(index);
  code.get(length);
  code.call(short);
  code.get(out);
  code.get(index);
  code.i32(2);
  code.op('i32.shl');
  code.memory('i32.load', map.sizes);
  code.op('i32.add');
  code.set(out);
  code.end();
  advance(code, slot, slotBytes, entry);
  code.br(0);
  code.end();
  code.end();
  emitClear(code, input, count, slotBytes);
  code.get(out);
}

/**
 * `short(slot, out, index, length)`: one row of a frame that may lack bytes; only what fits is read.
 *
 * @param hasHeader whether the row has its header already
 * @param indices the messages that it is for
 */
export function emitShort(code: CodeWriter, plan: DecodePlan, hasHeader: boolean, indices: readonly number[]): void {
  const [slot, out, index, length] = [0, 1, 2, 3];
  const flag = code.local('i32');
  const messages = indices.map((i) => plan.messages[i]!);
  const locals: RowLocals = { ...rowLocals(code, messages, slot, out, null), hasHeader, short: { length, flag } };
  const labels = new Map(indices.map((i, label) => [i, label]));
  code.block();
  for (const _ of indices) code.block();
  code.get(index);
  code.brTable(
    plan.messages.map((_, i) => labels.get(i) ?? indices.length),
    indices.length,
  );
  for (const [label, message] of messages.entries()) {
    code.end();
    code.get(length);
    code.i32(message.length);
    code.op('i32.lt_u');
    code.set(flag);
    emitRow(code, indices[label]!, message, locals);
    code.br(messages.length - 1 - label);
  }
  code.end();
  code.get(flag);
  code.i32(ROW_FLAG_SHORT);
  code.op('i32.eq');
  code.if();
  increment(code, COUNTER_SHORT);
  code.end();
}
