import { ModuleWriter, PAGE_BYTES } from '#wasm';
import { type IdTable, idTable, NO_MESSAGE } from '../hash.ts';
import { CELLS_PER_PRESENCE } from '../layout.ts';
import type { DecodePlan } from '../plan.ts';
import { changeTables, emitChanges } from './changes.ts';
import { emitFrames } from './frames.ts';
import { CHAIN_NOBODY, CHAIN_OWN, chainOf, emitFix, emitGrouped } from './grouped.ts';
import {
  behindPool,
  LATER_BYTES,
  type MemoryMap,
  type ModuleOptions,
  RECORD_BYTES,
  RECORD_HEAD,
  RECORD_KEY,
  RECORD_NEED,
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
import {
  bestBlock,
  blockQuads,
  exactQuads,
  ONE_WORD_CELLS,
  type Shape,
  shapeOf,
  TWO_WORD_CELLS,
  writeShape,
} from './shapes.ts';
import { emitSieve } from './sieve.ts';
import { VectorPool } from './simd.ts';

export interface EmittedModule {
  readonly bytes: Uint8Array;
  readonly map: MemoryMap;
}

const DECODE = { name: 'decode', parameters: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] } as const;
/** Quads of a block up to which messages are so much alike that sorting them costs more than it gains (measured). */
const MOST_ALIKE = 3;
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
  const sieve = module.declare({ parameters: ['i32', 'i32', 'i32'], results: [] });
  const rows = module.declare({ parameters: DECODE.parameters, results: ['i32'] });
  const short = module.declare(SHORT);
  const decode = module.declare(DECODE);
  module.define(sieve, (code) => emitSieve(code, table, map, channel));
  module.define(rows, (code) => emitRows(code, plan, map, short));
  module.define(short, (code) => emitShort(code, plan, false, [...plan.messages.keys()]));
  module.define(decode, (code) => {
    for (const parameter of [0, 1, 3]) code.get(parameter);
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
  const inOneWord = plan.messages.map((message) => shapeOf(message, ONE_WORD_CELLS));
  const block = bestBlock(inOneWord);
  const isGrouped = form === 'grouped' || (form === undefined && block > MOST_ALIKE);
  // Frame by frame all rows have their first cell at the same place.
  const shapes = isGrouped ? plan.messages.map((message) => shapeOf(message, TWO_WORD_CELLS)) : inOneWord;
  const nothing = isGrouped ? [] : blockQuads(0, block);
  const quads = shapes.map((shape) => {
    if (shape === null) return nothing;
    return isGrouped ? exactQuads(shape.cells) : blockQuads(shape.cells, block);
  });
  const most = shapes.reduce((sum, shape, i) => Math.max(sum, shape === null ? 0 : quads[i]!.length), 0);
  const map = simdMap(
    table,
    shapes,
    quads,
    nothing,
    isGrouped ? chainOf(most) + 1 : 0,
    maxFrames,
    options.changes === true ? plan.rows : null,
  );
  const pool = new VectorPool(map.pool);
  const module = new ModuleWriter();
  const decode = module.declare(DECODE);
  const own = module.declare(SHORT);
  const short = module.declare(SHORT);
  // The grouped form takes out of a row what a short frame lacks; only messages with code of their own need more.
  const shorts = [...plan.messages.keys()].filter((index) => !isGrouped || shapes[index] === null);
  const fix = isGrouped ? module.declare({ parameters: ['i32', 'i32', 'i32'], results: [] }) : -1;
  const parts = { table, map, channel, own, hasOwn: shapes.includes(null) };
  const counts = new Set(shapes.flatMap((shape, i) => (shape === null ? [] : [quads[i]!.length])));
  module.define(decode, (code) =>
    isGrouped
      ? emitGrouped(code, { ...parts, quads: [...counts], fix })
      : emitFrames(code, { ...parts, block, backBlocks: Math.max(0, ...counts) / block - 1 }),
  );
  const { changes } = map;
  if (changes !== null) {
    const compare = module.declare({ name: 'changes', parameters: [], results: ['i32'] });
    module.define(compare, (code) => emitChanges(code, changes, plan.messages.length));
    for (const { at, bytes } of changeTables(plan.rows, changes)) module.data(at, bytes);
  }
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
          return map.chains + (shape === null ? CHAIN_OWN : chainOf(quads[index]!.length)) * 4;
        }
        if (shape === undefined) return 0;
        return shape === null || quads[index]!.length > block ? LATER_BYTES : 0;
      },
      shapes,
      isGrouped,
    ),
  );
  if (isGrouped) module.data(map.lasts[0] ?? 0, lastBytes(shapes));
  module.data(map.noShape, shapeTable(map, shapes, quads, nothing));
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
  quads: readonly (readonly number[])[],
  nothing: readonly number[],
): Uint8Array {
  const bytes = new Uint8Array(map.chains - map.noShape);
  writeShape(null, nothing, bytes);
  for (const [index, shape] of shapes.entries()) {
    if (shape !== null) writeShape(shape, quads[index]!, bytes.subarray(map.shapes[index]! - map.noShape));
  }
  return bytes;
}

/** Last byte of the payload that each cell needs; 0xff, read as −1, for cells at the end of a row that stay empty. */
function lastBytes(shapes: readonly (Shape | null)[]): Uint8Array {
  return Uint8Array.from(
    shapes.flatMap((shape) => Array.from({ length: shape?.cells ?? 0 }, (_, cell) => shape!.lasts[cell] ?? 0xff)),
  );
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
    view.setUint32(at + RECORD_HEAD, index, true);
    const present = shapes[index] === null ? 0 : 2 ** Math.min(layout.cells, CELLS_PER_PRESENCE) - 1;
    view.setUint32(at + RECORD_HEAD + 4, present, true);
    view.setUint32(at + RECORD_SHAPE, map.shapes[index]!, true);
    view.setUint32(at + RECORD_NEED, Math.max(need, length), true);
  }
  view.setUint32(map.nobody + RECORD_WAY, way(messages.length), true);
  view.setUint32(map.nobody + RECORD_SHAPE, map.noShape, true);
  return new Uint8Array(view.buffer);
}
