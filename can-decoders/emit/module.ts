import { ModuleWriter, PAGE_BYTES } from '#wasm';
import { type IdTable, idTable, NO_MESSAGE } from '../hash.ts';
import type { DecodePlan } from '../plan.ts';
import { emitFrames } from './frames.ts';
import { CHAIN_NOBODY, CHAIN_OWN, chainOf, emitFix, emitGrouped } from './grouped.ts';
import {
  behindPool,
  LATER_BYTES,
  type MemoryMap,
  type ModuleOptions,
  RECORD_BYTES,
  RECORD_KEY,
  RECORD_NEED,
  RECORD_PRESENCE,
  RECORD_ROWS,
  RECORD_SHAPE,
  RECORD_SIZE,
  RECORD_WAY,
  type SimdMap,
  scalarMap,
  simdMap,
} from './memory.ts';
import { emitOwn } from './own.ts';
import { emitRows, emitShort } from './rows.ts';
import { bestBlock, blockPairs, exactPairs, type Shape, shapeOf, writeShape } from './shapes.ts';
import { emitSieve } from './sieve.ts';
import { VectorPool } from './simd.ts';

export interface EmittedModule {
  readonly bytes: Uint8Array;
  readonly map: MemoryMap;
}

const DECODE = { name: 'decode', parameters: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] } as const;
const SHORT = { parameters: ['i32', 'i32', 'i32', 'i32'], results: [] } as const;

/**
 * A module that decodes exactly the plan's cells: `decode(count, slotBytes, out, input) → end` writes the rows of the
 * frames in the input area from address `out` on, counts, and zeroes the input area. `out` must have room for `count`
 * rows of the largest message and 16 bytes.
 */
export function emitModule(plan: DecodePlan, options: ModuleOptions): EmittedModule {
  const table = idTable(plan.messages.map(({ layout }) => layout.id));
  return options.form === 'scalar' ? emitScalar(plan, options, table) : emitSimd(plan, options, table);
}

/** Loads the bytes of decoded signals only. */
function emitScalar(plan: DecodePlan, { maxFrames, channel }: ModuleOptions, table: IdTable): EmittedModule {
  const map = scalarMap(plan, table, maxFrames);
  const module = new ModuleWriter();
  const sieve = module.declare({ parameters: ['i32', 'i32'], results: [] });
  const rows = module.declare({ parameters: DECODE.parameters, results: ['i32'] });
  const short = module.declare(SHORT);
  const decode = module.declare(DECODE);
  module.define(sieve, (code) => emitSieve(code, table, map, channel));
  module.define(rows, (code) => emitRows(code, plan, map, short));
  module.define(short, (code) => emitShort(code, plan, false, [...plan.messages.keys()]));
  module.define(decode, (code) => {
    for (const parameter of [0, 1]) code.get(parameter);
    code.call(sieve);
    for (const parameter of [0, 1, 2, 3]) code.get(parameter);
    code.call(rows);
  });
  module.data(map.slots, indices(table, NO_MESSAGE));
  module.data(map.keys, words(plan.messages.map(({ layout }) => layout.id)));
  module.data(map.sizes, words(plan.messages.map(({ layout }) => layout.rowBytes)));
  module.pages = Math.ceil(map.rows / PAGE_BYTES);
  return { bytes: module.finish(), map };
}

/** Loads a payload whole and stores what the masks let through. */
function emitSimd(plan: DecodePlan, options: ModuleOptions, table: IdTable): EmittedModule {
  const { maxFrames, channel, form } = options;
  const shapes = plan.messages.map(shapeOf);
  const block = bestBlock(shapes);
  const isGrouped = form === 'grouped';
  const pairs = plan.messages.map(({ layout }) =>
    isGrouped ? exactPairs(layout.cells) : blockPairs(layout.cells, block),
  );
  const nothing = isGrouped ? [] : blockPairs(0, block);
  const most = shapes.reduce((sum, shape, i) => Math.max(sum, shape === null ? 0 : pairs[i]!.length), 0);
  const map = simdMap(table, shapes, pairs, nothing, isGrouped ? chainOf(most) + 1 : 0, options);
  const pool = new VectorPool(map.pool);
  const module = new ModuleWriter();
  const decode = module.declare(DECODE);
  const own = module.declare(SHORT);
  const short = module.declare(SHORT);
  // The grouped form takes out of a row what a short frame lacks; only messages with code of their own need more.
  const shorts = [...plan.messages.keys()].filter((index) => !isGrouped || shapes[index] === null);
  const fix = isGrouped ? module.declare({ parameters: ['i32', 'i32', 'i32'], results: [] }) : -1;
  const parts = { table, map, channel, own, hasOwn: shapes.includes(null) };
  const counts = new Set(shapes.flatMap((shape, i) => (shape === null ? [] : [pairs[i]!.length])));
  module.define(decode, (code) =>
    isGrouped
      ? emitGrouped(code, { ...parts, pairs: [...counts], fix })
      : emitFrames(code, { ...parts, block, backBlocks: Math.max(0, ...counts) / block - 1 }),
  );
  if (isGrouped) module.define(fix, (code) => emitFix(code, map));
  module.define(own, (code) => emitOwn(code, plan, shapes, short, pool));
  module.define(short, (code) => emitShort(code, plan, true, shorts));
  const behind = behindPool(map, maxFrames, pool.bytes.length);
  module.data(map.slots, indices(table, plan.messages.length));
  module.data(
    map.records,
    records(
      plan,
      map,
      (index) => {
        const shape = shapes[index];
        if (isGrouped) {
          if (shape === undefined) return map.chains + CHAIN_NOBODY * 4;
          return map.chains + (shape === null ? CHAIN_OWN : chainOf(pairs[index]!.length)) * 4;
        }
        if (shape === undefined) return 0;
        return shape === null || pairs[index]!.length > block ? LATER_BYTES : 0;
      },
      shapes,
      isGrouped,
    ),
  );
  if (isGrouped) module.data(map.lasts[0] ?? 0, Uint8Array.from(shapes.flatMap((shape) => shape?.lasts ?? [])));
  module.data(map.noShape, shapeTable(map, shapes, pairs, nothing));
  module.data(map.pool, pool.bytes);
  module.pages = Math.ceil(behind.rows / PAGE_BYTES);
  return { bytes: module.finish(), map: behind };
}

function words(values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Message index by slot of the id table. */
function indices({ slots }: IdTable, none: number): Uint8Array {
  return new Uint8Array(slots.map((index) => (index === NO_MESSAGE ? none : index)).buffer);
}

function shapeTable(
  map: SimdMap,
  shapes: readonly (Shape | null)[],
  pairs: readonly (readonly number[])[],
  nothing: readonly number[],
): Uint8Array {
  const bytes = new Uint8Array(map.chains - map.noShape);
  writeShape(null, nothing, bytes);
  for (const [index, shape] of shapes.entries()) {
    if (shape !== null) writeShape(shape, pairs[index]!, bytes.subarray(map.shapes[index]! - map.noShape));
  }
  return bytes;
}

/** @param way what stands at `RECORD_WAY`, by message index */
function records(
  { messages }: DecodePlan,
  map: SimdMap,
  way: (index: number) => number,
  shapes: readonly (Shape | null)[],
  isGrouped: boolean,
): Uint8Array {
  const view = new DataView(new ArrayBuffer(map.nobody + RECORD_BYTES));
  for (const [index, { layout, need, length }] of messages.entries()) {
    const at = index * RECORD_BYTES;
    view.setUint32(at + RECORD_KEY, layout.id, true);
    view.setUint32(at + RECORD_SIZE, layout.rowBytes, true);
    view.setUint32(at + RECORD_WAY, way(index), true);
    view.setUint32(at + RECORD_ROWS, isGrouped ? map.lasts[index]! : 1, true);
    view.setBigUint64(at + RECORD_PRESENCE, shapes[index] === null ? 0n : (1n << BigInt(layout.cells)) - 1n, true);
    view.setUint32(at + RECORD_SHAPE, map.shapes[index]!, true);
    view.setUint32(at + RECORD_NEED, Math.max(need, length), true);
  }
  view.setUint32(map.nobody + RECORD_WAY, way(messages.length), true);
  view.setUint32(map.nobody + RECORD_SHAPE, map.noShape, true);
  return new Uint8Array(view.buffer);
}
