import type { CodeWriter, Local } from '#wasm';
import { ROW_MESSAGE, type RowLayout } from '../layout.ts';

/**
 * What a module keeps to tell which words of a row differ from those of the newest row of its message before.
 *
 * | from      | what                                                                                 |
 * |-----------|--------------------------------------------------------------------------------------|
 * | (before)  | masks for what of a row is left to compare, 8 bytes or more; for each set of lanes   |
 * |           | the swizzle that brings them together                                                |
 * | `rowOf`   | address of the newest row of a message that is not compared yet, else 0 (u32)         |
 * | `touched` | offsets into `rowOf` of the messages that have one (u32)                              |
 * | `images`  | address of the image of each message, and bytes of its row (two u32)                  |
 * | `newest`  | images: rows without their time, each from a multiple of 16 bytes on                  |
 * | `places`  | words that differ: places in `newest`, counted in words (u32)                         |
 */
export interface ChangeMap {
  readonly rowOf: number;
  readonly touched: number;
  readonly images: number;
  readonly newest: number;
  readonly places: number;
  /** Bytes of all images. */
  readonly bytes: number;
  readonly end: number;
  /** Bytes from `newest` to the image of each message. */
  readonly offsets: readonly number[];
}

/** Beside the counters of `memory.ts`: bytes of `touched` that are used, between two calls. */
const COUNTER_TOUCHED = 12;
const VECTOR_BYTES = 16;
const IMAGE_ENTRY = 8;
const LANES = 4;
/** Vectors before `rowOf`. */
const MASKS = 2;
const SETS = 2 ** LANES;
const TABLE_BYTES = (MASKS + SETS) * VECTOR_BYTES;

function tables(): Uint8Array {
  const bytes = new Uint8Array(TABLE_BYTES);
  bytes.fill(0xff, 0, VECTOR_BYTES / 2);
  bytes.fill(0xff, VECTOR_BYTES, MASKS * VECTOR_BYTES);
  for (let set = 0; set < SETS; set++) {
    const lanes = Array.from({ length: LANES }, (_, lane) => lane).filter((lane) => ((set >> lane) & 1) === 1);
    for (const [i, lane] of lanes.entries()) {
      for (let byte = 0; byte < 4; byte++) bytes[(MASKS + set) * VECTOR_BYTES + i * 4 + byte] = lane * 4 + byte;
    }
  }
  return bytes;
}

export function changeMap({ messages }: RowLayout, start: number): ChangeMap {
  const perMessage = (messages.length + 1) * 4;
  const rowOf = start + TABLE_BYTES;
  const touched = rowOf + perMessage;
  const images = touched + perMessage + 4;
  const newest = Math.ceil((images + messages.length * IMAGE_ENTRY) / VECTOR_BYTES) * VECTOR_BYTES;
  const offsets: number[] = [];
  let bytes = 0;
  for (const { rowBytes } of messages) {
    offsets.push(bytes);
    bytes += (Math.floor((rowBytes - ROW_MESSAGE) / VECTOR_BYTES) + 1) * VECTOR_BYTES;
  }
  const places = newest + bytes;
  return { rowOf, touched, images, newest, places, bytes, end: places + bytes + VECTOR_BYTES, offsets };
}

/** What the memory holds from the start, from the address given to `changeMap` on. */
export function changeTables({ messages }: RowLayout, map: ChangeMap): { at: number; bytes: Uint8Array }[] {
  const images = messages.flatMap(({ rowBytes }, i) => [map.newest + map.offsets[i]!, rowBytes]);
  return [
    { at: map.rowOf - TABLE_BYTES, bytes: tables() },
    { at: map.images, bytes: new Uint8Array(Uint32Array.from(images).buffer) },
  ];
}

/** Opens the list of touched messages where the calls before have left it. */
export function emitOpenTouched(code: CodeWriter, map: ChangeMap, touched: Local): void {
  code.i32(0);
  code.memory('i32.load', COUNTER_TOUCHED);
  code.i32(map.touched);
  code.op('i32.add');
  code.set(touched);
}

export function emitCloseTouched(code: CodeWriter, map: ChangeMap, touched: Local): void {
  code.i32(0);
  code.get(touched);
  code.i32(map.touched);
  code.op('i32.sub');
  code.memory('i32.store', COUNTER_TOUCHED);
}

/**
 * Notes the row at `out` as the newest of its message. No branch depends on it.
 *
 * @param offset holds four times the message index
 */
export function emitTouch(code: CodeWriter, map: ChangeMap, offset: Local, out: Local, touched: Local): void {
  code.get(touched);
  code.get(offset);
  code.memory('i32.store', 0);
  code.get(touched);
  code.get(offset);
  code.memory('i32.load', map.rowOf);
  code.op('i32.eqz');
  code.i32(2);
  code.op('i32.shl');
  code.op('i32.add');
  code.set(touched);
  code.get(offset);
  code.get(out);
  code.memory('i32.store', map.rowOf);
}

/** `changes() → count`: compares the touched messages with their images, and keeps them as the images. */
export function emitChanges(code: CodeWriter, map: ChangeMap, messages: number): void {
  const local = () => code.local('i32');
  const [entry, end, offset, row, rowEnd] = [local(), local(), local(), local(), local()];
  const [image, place, out, bits] = [local(), local(), local(), local()];
  const vector = code.local('v128');
  const table = map.rowOf - TABLE_BYTES;
  /** One vector, and on to the next; no branch depends on what differs. */
  const compare = (): void => {
    code.get(row);
    code.memory('v128.load', 0);
    code.tee(vector);
    code.get(image);
    code.memory('v128.load', 0);
    code.op('i32x4.ne');
    code.get(rowEnd);
    code.get(row);
    code.op('i32.sub');
    code.i32(VECTOR_BYTES / 2);
    code.op('i32.gt_u');
    code.i32(4);
    code.op('i32.shl');
    code.memory('v128.load', table);
    code.op('v128.and');
    code.op('i32x4.bitmask');
    code.set(bits);
    code.get(image);
    code.get(vector);
    code.memory('v128.store', 0);
    code.get(out);
    code.get(place);
    code.op('i32x4.splat');
    code.v128(new Uint8Array(Uint32Array.of(0, 1, 2, 3).buffer));
    code.op('i32x4.add');
    code.get(bits);
    code.i32(4);
    code.op('i32.shl');
    code.memory('v128.load', table + MASKS * VECTOR_BYTES);
    code.op('i8x16.relaxed_swizzle');
    code.memory('v128.store', 0);
    code.get(out);
    code.get(bits);
    code.op('i32.popcnt');
    code.i32(2);
    code.op('i32.shl');
    code.op('i32.add');
    code.set(out);
    for (const [moving, step] of [
      [row, VECTOR_BYTES],
      [image, VECTOR_BYTES],
      [place, LANES],
    ] as const) {
      code.get(moving);
      code.i32(step);
      code.op('i32.add');
      code.set(moving);
    }
  };
  emitOpenTouched(code, map, end);
  code.i32(map.touched);
  code.set(entry);
  code.i32(map.places);
  code.set(out);
  code.block();
  code.loop();
  code.get(entry);
  code.get(end);
  code.op('i32.ge_u');
  code.brIf(1);
  code.get(entry);
  code.memory('i32.load', 0);
  code.tee(offset);
  code.memory('i32.load', map.rowOf);
  code.i32(ROW_MESSAGE);
  code.op('i32.add');
  code.set(row);
  code.get(offset);
  code.i32(0);
  code.memory('i32.store', map.rowOf);
  code.get(entry);
  code.i32(4);
  code.op('i32.add');
  code.set(entry);
  // Frames without message have touched what is behind the last one.
  code.get(offset);
  code.i32(messages * 4);
  code.op('i32.eq');
  code.brIf(0);
  code.get(offset);
  code.i32(1);
  code.op('i32.shl');
  code.tee(offset);
  code.memory('i32.load', map.images);
  code.tee(image);
  code.i32(map.newest);
  code.op('i32.sub');
  code.i32(2);
  code.op('i32.shr_u');
  code.set(place);
  code.get(row);
  code.get(offset);
  code.memory('i32.load', map.images + 4);
  code.i32(ROW_MESSAGE);
  code.op('i32.sub');
  code.op('i32.add');
  code.set(rowEnd);
  // A row has at least 24 bytes behind its time: two vectors, which most have.
  compare();
  compare();
  code.block();
  code.loop();
  code.get(row);
  code.get(rowEnd);
  code.op('i32.ge_u');
  code.brIf(1);
  compare();
  code.br(0);
  code.end();
  code.end();
  code.br(0);
  code.end();
  code.end();
  code.i32(0);
  code.i32(0);
  code.memory('i32.store', COUNTER_TOUCHED);
  code.get(out);
  code.i32(map.places);
  code.op('i32.sub');
  code.i32(2);
  code.op('i32.shr_u');
}
