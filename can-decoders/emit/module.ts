import {
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  FD_SLOT_BYTES,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import { type CodeWriter, type Local, ModuleWriter, PAGE_BYTES } from '#wasm';
import { type IdTable, idTable, NO_MESSAGE } from '../hash.ts';
import { ROW_FLAG_SHORT } from '../layout.ts';
import { type DecodePlan, type MessagePlan, presenceBytes } from '../plan.ts';
import { emitGrouped } from './grouped.ts';
import { cascade, emitRow, type RowLocals } from './message.ts';
import { VectorPool } from './simd.ts';

/**
 * Where things lie in the memory of a decoder.
 *
 * | from      | what                                                                        |
 * |-----------|-----------------------------------------------------------------------------|
 * | 0         | counters of the last call (u32): unknown, ignored, short                    |
 * | `slots`   | id table: message index by slot (u16)                                       |
 * | `keys`    | id word by message index (u32)                                              |
 * | `sizes`   | bytes of a row by message index (u32)                                       |
 * | `ends`    | grouped form: frames of each message, then the end of its part of `order`   |
 * | `pool`    | SIMD forms: swizzles, masks and factors                                     |
 * | `list`    | message index of each frame of the part being decoded (u16)                 |
 * | `order`   | grouped form: slot and row address of each frame, grouped by message (u32)  |
 * | `input`   | slots of the part being decoded; zero before and after                      |
 * | `rows`    | what comes out; the only region that grows                                  |
 */
export interface MemoryMap extends TableMap {
  readonly list: number;
  readonly order: number;
  readonly input: number;
  readonly rows: number;
}

/** The part that is known before code is written. */
export interface TableMap {
  readonly slots: number;
  readonly keys: number;
  readonly sizes: number;
  readonly ends: number;
  readonly pool: number;
}

/**
 * - `scalar`: loads no byte of a payload but those of signals that are decoded: the strict form.
 * - `simd`: loads the payload whole and stores only what its masks let through; faster.
 * - `grouped`: the same, and the frames of a part are taken message by message; fastest for batches of many frames. The
 *   rows are in the order of the frames all the same.
 */
export type DecoderForm = 'scalar' | 'simd' | 'grouped';

export const COUNTER_UNKNOWN = 0;
export const COUNTER_IGNORED = 4;
export const COUNTER_SHORT = 8;
/** Beyond every offset into a slot, so that an inspection of the module tells loads of frames from loads of tables. */
const FIRST_TABLE = 128;
const ALIGNMENT = 16;
/** Slot and row address of one frame in `order`. */
export const ORDER_BYTES = 8;

export interface EmittedModule {
  readonly bytes: Uint8Array;
  readonly map: MemoryMap;
}

export interface ModuleOptions {
  /** Slots of the input area, frames. */
  readonly maxFrames: number;
  /** Channel whose frames are decoded; null takes those of every channel. */
  readonly channel: number | null;
  readonly form: DecoderForm;
}

/**
 * A module that decodes exactly the plan's cells:
 *
 * - `sieve(count, slotBytes) → bytes`: looks up the id of each frame of the input area, writes the list of message
 *   indices, zeroes the slots of all others, and says how many bytes of rows there will be;
 * - `rows(count, slotBytes, out, input, list) → end`: writes the rows from address `out` and zeroes the input area.
 */
export function emitModule(plan: DecodePlan, options: ModuleOptions): EmittedModule {
  const table = idTable(plan.messages.map(({ layout }) => layout.id));
  const tables = tableMap(plan, table);
  const pool = options.form === 'scalar' ? null : new VectorPool(tables.pool);
  const module = new ModuleWriter();
  const sieve = module.declare({ name: 'sieve', parameters: ['i32', 'i32'], results: ['i32'] });
  const rows = module.declare({ name: 'rows', parameters: ['i32', 'i32', 'i32', 'i32', 'i32'], results: ['i32'] });
  const short = module.declare({ parameters: ['i32', 'i32', 'i32', 'i32'], results: [] });
  module.define(short, (code) => emitShort(code, plan));
  if (options.form === 'grouped') emitGrouped(module, rows, plan, tables, short, pool!);
  else module.define(rows, (code) => emitRows(code, plan, tables, short, pool));
  // The pool is whole now, so what lies behind it has its place.
  const map = memoryMap(tables, options, pool?.bytes.length ?? 0);
  module.define(sieve, (code) => emitSieve(code, table, map, options, plan.messages.length));
  writeTables(module, plan, table, map);
  if (pool !== null) module.data(map.pool, pool.bytes);
  module.pages = Math.ceil(map.rows / PAGE_BYTES);
  return { bytes: module.finish(), map };
}

function after(start: number, bytes: number): number {
  return Math.ceil((start + bytes) / ALIGNMENT) * ALIGNMENT;
}

function tableMap(plan: DecodePlan, table: IdTable): TableMap {
  const perMessage = plan.messages.length * 4;
  const slots = FIRST_TABLE;
  const keys = after(slots, table.slots.byteLength);
  const sizes = after(keys, perMessage);
  const ends = after(sizes, perMessage);
  return { slots, keys, sizes, ends, pool: after(ends, perMessage) };
}

function memoryMap(tables: TableMap, { maxFrames, form }: ModuleOptions, poolBytes: number): MemoryMap {
  const list = after(tables.pool, poolBytes);
  const order = after(list, maxFrames * 2);
  const input = after(order, form === 'grouped' ? maxFrames * ORDER_BYTES : 0);
  return { ...tables, list, order, input, rows: after(input, maxFrames * FD_SLOT_BYTES) };
}

function writeTables(module: ModuleWriter, plan: DecodePlan, table: IdTable, map: MemoryMap): void {
  const slots = new DataView(new ArrayBuffer(table.slots.byteLength));
  for (const [slot, index] of table.slots.entries()) slots.setUint16(slot * 2, index, true);
  const keys = new DataView(new ArrayBuffer(plan.messages.length * 4));
  const sizes = new DataView(new ArrayBuffer(plan.messages.length * 4));
  for (const [index, { layout }] of plan.messages.entries()) {
    keys.setUint32(index * 4, layout.id, true);
    sizes.setUint32(index * 4, layout.rowBytes, true);
  }
  module.data(map.slots, new Uint8Array(slots.buffer));
  module.data(map.keys, new Uint8Array(keys.buffer));
  module.data(map.sizes, new Uint8Array(sizes.buffer));
}

function increment(code: CodeWriter, counter: number): void {
  code.i32(0);
  code.i32(0);
  code.memory('i32.load', counter);
  code.i32(1);
  code.op('i32.add');
  code.memory('i32.store', counter);
}

/** Leaves the message index of the id in `index`, `NO_MESSAGE` for an id that the plan does not know. */
function emitLookup(code: CodeWriter, table: IdTable, map: MemoryMap, id: Local, index: Local, probe: Local): void {
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

function emitSieve(
  code: CodeWriter,
  table: IdTable,
  map: MemoryMap,
  { channel, form }: ModuleOptions,
  messages: number,
): void {
  const [count, slotBytes] = [0, 1];
  const slot = code.local('i32');
  const entry = code.local('i32');
  const end = code.local('i32');
  const id = code.local('i32');
  const index = code.local('i32');
  const probe = code.local('i32');
  const total = code.local('i32');
  const payload = code.local('i32');
  for (const counter of [COUNTER_UNKNOWN, COUNTER_IGNORED, COUNTER_SHORT]) {
    code.i32(0);
    code.i32(0);
    code.memory('i32.store', counter);
  }
  if (form === 'grouped') {
    code.i32(map.ends);
    code.i32(0);
    code.i32(messages * 4);
    code.memoryFill();
  }
  code.i32(map.input);
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
  emitDrop(code, id, slot, slotBytes);
  code.else();
  code.get(index);
  code.i32(2);
  code.op('i32.shl');
  code.memory('i32.load', map.sizes);
  code.get(total);
  code.op('i32.add');
  code.set(total);
  if (form === 'grouped') {
    code.get(index);
    code.i32(2);
    code.op('i32.shl');
    code.tee(probe);
    code.get(probe);
    code.memory('i32.load', map.ends);
    code.i32(1);
    code.op('i32.add');
    code.memory('i32.store', map.ends);
  }
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
  code.get(total);
}

/** Counts a frame without message and zeroes its slot. */
function emitDrop(code: CodeWriter, id: Local, slot: Local, slotBytes: Local): void {
  code.get(id);
  code.i32(CAN_RTR_FLAG | CAN_ERR_FLAG);
  code.op('i32.and');
  code.if();
  increment(code, COUNTER_IGNORED);
  code.else();
  increment(code, COUNTER_UNKNOWN);
  code.end();
  for (let offset = 0; offset < HEADER_BYTES + 8; offset += 8) {
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

/** Locals for the rows of these messages. */
export function rowLocals(
  code: CodeWriter,
  messages: readonly MessagePlan[],
  slot: Local,
  out: Local,
  pool: VectorPool | null,
): RowLocals {
  const words = Math.max(0, ...messages.map(({ layout }) => presenceBytes(layout.cells) / 8));
  const depth = Math.max(0, ...messages.map(({ root }) => cascade(root)));
  return {
    slot,
    out,
    t32: code.local('i32'),
    t64: code.local('i64'),
    presence: Array.from({ length: words }, () => code.local('i64')),
    selectors: Array.from({ length: depth }, () => code.local('i64')),
    simd: pool === null ? undefined : { pool, piece: code.local('v128'), lanes: code.local('v128') },
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

function emitRows(code: CodeWriter, plan: DecodePlan, map: TableMap, short: number, pool: VectorPool | null): void {
  const [count, slotBytes, out, input, list] = [0, 1, 2, 3, 4];
  const slot = code.local('i32');
  const entry = code.local('i32');
  const end = code.local('i32');
  const length = code.local('i32');
  const index = code.local('i32');
  const { messages } = plan;
  const locals = rowLocals(code, messages, slot, out, pool);
  code.get(input);
  code.set(slot);
  code.get(list);
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

/** Zeroes the input area. */
export function emitClear(code: CodeWriter, input: Local, count: Local, slotBytes: Local): void {
  code.get(input);
  code.i32(0);
  code.get(count);
  code.get(slotBytes);
  code.op('i32.mul');
  code.memoryFill();
}

/** `short(slot, out, index, length)`: one row of a frame that may lack bytes; only what fits is read. */
function emitShort(code: CodeWriter, plan: DecodePlan): void {
  const [slot, out, index, length] = [0, 1, 2, 3];
  const flag = code.local('i32');
  const locals: RowLocals = { ...rowLocals(code, plan.messages, slot, out, null), short: { length, flag } };
  const { messages } = plan;
  code.block();
  emitDispatch(code, messages.length, messages.length, () => code.get(index));
  for (const [i, message] of messages.entries()) {
    code.end();
    code.get(length);
    code.i32(message.length);
    code.op('i32.lt_u');
    code.set(flag);
    emitRow(code, i, message, locals);
    code.br(messages.length - 1 - i);
  }
  code.end();
  code.get(flag);
  code.i32(ROW_FLAG_SHORT);
  code.op('i32.eq');
  code.if();
  increment(code, COUNTER_SHORT);
  code.end();
}
