import { HEADER_BYTES, OFFSET_LENGTH } from '#contracts';
import type { CodeWriter } from '#wasm';
import type { DecodePlan } from '../plan.ts';
import { emitRow } from './message.ts';
import { rowLocals } from './rows.ts';
import type { Shape } from './shapes.ts';
import type { VectorPool } from './simd.ts';

/**
 * `own(slot, out, index, slotBytes)` of the SIMD forms: one row of a frame that is short, or whose message has no shape
 * (`shapeOf` says which): code of its own under one jump.
 */
export function emitOwn(
  code: CodeWriter,
  plan: DecodePlan,
  shapes: readonly (Shape | null)[],
  short: number,
  pool: VectorPool,
): void {
  const [slot, out, index, slotBytes] = [0, 1, 2, 3];
  const length = code.local('i32');
  const own = plan.messages.flatMap((message, i) => (shapes[i] === null ? [{ message, i }] : []));
  const locals = rowLocals(
    code,
    own.map(({ message }) => message),
    slot,
    out,
    pool,
  );
  // A length byte that claims more than the slot holds must not lead a load into the next slot.
  code.get(slot);
  code.memory('i32.load8_u', OFFSET_LENGTH);
  code.tee(length);
  code.get(slotBytes);
  code.i32(HEADER_BYTES);
  code.op('i32.sub');
  code.op('i32.gt_u');
  code.if();
  code.get(slotBytes);
  code.i32(HEADER_BYTES);
  code.op('i32.sub');
  code.set(length);
  code.end();
  // The outer block is left when a row is written; leaving one of the others falls into the call for short frames.
  code.block();
  code.block();
  for (const _ of own) code.block();
  code.get(index);
  const labels = new Map(own.map(({ i }, label) => [i, label]));
  code.brTable(
    shapes.map((_, i) => labels.get(i) ?? own.length),
    own.length,
  );
  for (const [label, { message, i }] of own.entries()) {
    code.end();
    const toShort = own.length - 1 - label;
    code.get(length);
    code.i32(Math.max(message.need, message.length));
    code.op('i32.lt_u');
    code.brIf(toShort);
    emitRow(code, i, message, { ...locals, hasHeader: true });
    code.br(toShort + 1);
  }
  code.end();
  code.get(slot);
  code.get(out);
  code.get(index);
  code.get(length);
  code.call(short);
  code.end();
}
