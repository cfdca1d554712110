import { ModuleWriter, PAGE_BYTES } from '#wasm';
import { type IdTable, idTable } from '../hash.ts';
import type { DecodePlan } from '../plan.ts';
import { emitGrouped } from './grouped.ts';
import { type MemoryMap, type ModuleOptions, memoryMap, tableMap } from './memory.ts';
import { emitRows, emitShort } from './rows.ts';
import { emitSieve } from './sieve.ts';
import { VectorPool } from './simd.ts';

export interface EmittedModule {
  readonly bytes: Uint8Array;
  readonly map: MemoryMap;
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
