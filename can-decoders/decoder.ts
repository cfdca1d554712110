import { type FrameBatch, type SignalInfo, TollgateError } from '#contracts';
import type { Database } from '#dbc/model';
import { PAGE_BYTES } from '#wasm';
import type { ChangeMap } from './emit/changes.ts';
import { COUNTER_IGNORED, COUNTER_SHORT, COUNTER_UNKNOWN, type DecoderForm } from './emit/memory.ts';
import { type EmittedModule, emitModule } from './emit/module.ts';
import { MOST_MESSAGES } from './hash.ts';
import { createInterpreter } from './interpret.ts';
import { CELL_BYTES, ROW_MESSAGE, type RowLayout } from './layout.ts';
import { decodePlan } from './plan.ts';
import { type WasmMemory, type WasmPlatform, wasmPlatform } from './platform.ts';

/** The rows of one batch; the same object each time, overwritten by the next `decode`. */
export interface Rows {
  /** The rows from index 0, as doubles and as words; made anew only when the memory grows. */
  f64: Float64Array;
  u32: Uint32Array;
  /** End of the rows, bytes from index 0 of the views. */
  bytes: number;
  rows: number;
  /** Frames whose id (with its EFF bit) or channel the plan does not know. */
  unknown: number;
  /** Rows with the short flag. */
  short: number;
  /** Remote and error frames. */
  ignored: number;
}

/** Frames of one channel → rows of exactly the signals that it was made with. */
export interface Decoder {
  readonly layout: RowLayout;
  /** The WebAssembly module that decodes; empty for the interpreter. */
  readonly module: Uint8Array;
  /** Everything that the decoder keeps between calls; for tests that look for what must not be there. */
  readonly memory: ArrayBufferLike;
  /**
   * Decodes a whole batch, in parts where it has more than `maxFrames` frames; the memory grows to the largest batch.
   * Allocates nothing per frame.
   */
  decode(batch: FrameBatch): Rows;
  /** What the last `decode` changed; null where it was not asked for, or where transports or rules write rows over. */
  readonly changes: Changes | null;
}

/** Which words of the newest row of each message differ from those of the row that was the newest before. */
export interface Changes {
  /** How many of `places` are of the last call. */
  count: number;
  /** Places in `newest`; those of presence words and headers are among them. */
  places: Uint32Array;
  /** The newest row of each message without its time, message by message. */
  newest: Uint32Array;
  /** Place of the first cell of each message in `newest`. */
  readonly firstCells: readonly number[];
}

export interface DecoderInput {
  /** Index of the source. */
  readonly channel: number;
  readonly database: Database;
  /** What is decoded; nothing else is in the module or its memory. */
  readonly signals: readonly SignalInfo[];
  /** Frames that are copied into the module at once. */
  readonly maxFrames?: number;
  /**
   * For batches that mix channels: frames of another channel count as unknown. Otherwise the caller routes batches by
   * their source, and the channel byte is not looked at.
   */
  readonly matchChannel?: boolean;
  /** Also tell what changed, for live views. Not in the scalar form, and not where the platform has no WebAssembly. */
  readonly changes?: boolean;
  /** How the module is written; the rows are the same. Default: the faster of `simd` and `grouped`; `scalar` is the strict form. */
  readonly form?: DecoderForm | undefined;
}

/** Slots and rows of a part stay near the first-level cache. */
const DEFAULT_MAX_FRAMES = 512;

/** V8 takes no function of more than 7,654,321 bytes; a module below that has none. */
const MOST_MODULE_BYTES = 7_654_321;

/** What the first pass may write behind the last row: a header and a block of pairs. */
export const SLACK_BYTES = 512;

interface DecoderExports {
  readonly memory: WasmMemory;
  decode(count: number, slotBytes: number, out: number, input: number): number;
  changes?(): number;
}

/**
 * Emits a module for exactly these signals and starts it. A signal that is not listed is neither in the module nor in
 * its memory; multiplexers that decide over listed signals are read but not kept.
 *
 * Where the platform has no WebAssembly (`--jitless`), or the plan is larger than it takes (some 100,000 signals that need
 * code of their own), the interpreter takes its place: same rows, slower.
 *
 * @throws {TollgateError} TG_DECODER_… where a signal is not in the database or cannot be decoded
 */
export function createDecoder(input: DecoderInput): Decoder {
  const platform = wasmPlatform();
  if (platform === undefined) return createInterpreter(input);
  const plan = decodePlan(input.database, input.channel, input.signals);
  if (plan.messages.length > MOST_MESSAGES) {
    throw new TollgateError('TG_DECODER_SIGNAL', `${plan.messages.length} messages are more than a decoder takes`);
  }
  const maxFrames = input.maxFrames ?? DEFAULT_MAX_FRAMES;
  const channel = input.matchChannel === true ? input.channel : null;
  const emitted = emitModule(plan, { maxFrames, channel, form: input.form, changes: input.changes === true });
  return emitted.bytes.length > MOST_MODULE_BYTES
    ? createInterpreter(input)
    : new WasmDecoder(platform, plan.rows, emitted, maxFrames);
}

class WasmDecoder implements Decoder {
  readonly layout: RowLayout;
  readonly module: Uint8Array;
  readonly #exports: DecoderExports;
  readonly #maxFrames: number;
  readonly #inputStart: number;
  /** Bytes of the largest row. */
  readonly #mostRowBytes: number;
  readonly #rowsStart: number;
  readonly #rows: Rows;
  readonly changes: Changes | null;
  readonly #changeMap: ChangeMap | null;
  #input: Uint8Array;
  #counters: Uint32Array;

  constructor(platform: WasmPlatform, layout: RowLayout, { bytes, map }: EmittedModule, maxFrames: number) {
    this.layout = layout;
    this.module = bytes;
    const instance = new platform.Instance(new platform.Module(bytes));
    this.#exports = instance.exports as DecoderExports;
    this.#maxFrames = maxFrames;
    this.#inputStart = map.input;
    this.#mostRowBytes = Math.max(0, ...layout.messages.map(({ rowBytes }) => rowBytes));
    this.#rowsStart = map.rows;
    const { buffer } = this.#exports.memory;
    this.#input = new Uint8Array(buffer, map.input, map.rows - map.input);
    this.#counters = new Uint32Array(buffer, 0, 4);
    this.#changeMap = map.changes;
    this.changes =
      map.changes === null
        ? null
        : {
            count: 0,
            places: new Uint32Array(buffer, map.changes.places, map.changes.bytes / 4),
            newest: new Uint32Array(buffer, map.changes.newest, map.changes.bytes / 4),
            firstCells: layout.messages.map(
              ({ firstCell }, i) => (map.changes!.offsets[i]! + firstCell - ROW_MESSAGE) / CELL_BYTES,
            ),
          };
    this.#rows = {
      f64: new Float64Array(buffer, map.rows),
      u32: new Uint32Array(buffer, map.rows),
      bytes: 0,
      rows: 0,
      unknown: 0,
      short: 0,
      ignored: 0,
    };
  }

  get memory(): ArrayBufferLike {
    return this.#exports.memory.buffer;
  }

  decode(batch: FrameBatch): Rows {
    const { bytes, slotBytes, count } = batch;
    const rows = this.#rows;
    rows.bytes = 0;
    rows.rows = 0;
    rows.unknown = 0;
    rows.short = 0;
    rows.ignored = 0;
    // One view a part, none a frame; none at all for a batch that is its whole buffer and finds room as it is.
    const fits = count * slotBytes <= this.#input.length;
    if (fits) this.#input.set(bytes.length === count * slotBytes ? bytes : bytes.subarray(0, count * slotBytes));
    for (let from = 0; from < count; from += this.#maxFrames) {
      const part = Math.min(this.#maxFrames, count - from);
      if (!fits) this.#input.set(bytes.subarray(from * slotBytes, (from + part) * slotBytes));
      const input = this.#inputStart + (fits ? from * slotBytes : 0);
      this.#ensure(rows.bytes + part * this.#mostRowBytes + SLACK_BYTES);
      rows.bytes = this.#exports.decode(part, slotBytes, this.#rowsStart + rows.bytes, input) - this.#rowsStart;
      const unknown = this.#counters[COUNTER_UNKNOWN / 4]!;
      const ignored = this.#counters[COUNTER_IGNORED / 4]!;
      rows.unknown += unknown;
      rows.ignored += ignored;
      rows.short += this.#counters[COUNTER_SHORT / 4]!;
      rows.rows += part - unknown - ignored;
    }
    if (this.changes !== null) this.changes.count = this.#exports.changes!();
    return rows;
  }

  #ensure(rowBytes: number): void {
    const { memory } = this.#exports;
    const missing = this.#rowsStart + rowBytes - memory.buffer.byteLength;
    if (missing <= 0) return;
    memory.grow(Math.ceil(missing / PAGE_BYTES));
    const { buffer } = memory;
    this.#input = new Uint8Array(buffer, this.#inputStart, this.#rowsStart - this.#inputStart);
    this.#counters = new Uint32Array(buffer, 0, 4);
    this.#rows.f64 = new Float64Array(buffer, this.#rowsStart);
    this.#rows.u32 = new Uint32Array(buffer, this.#rowsStart);
    if (this.changes === null || this.#changeMap === null) return;
    const { places, newest, bytes } = this.#changeMap;
    this.changes.places = new Uint32Array(buffer, places, bytes / 4);
    this.changes.newest = new Uint32Array(buffer, newest, bytes / 4);
  }
}
