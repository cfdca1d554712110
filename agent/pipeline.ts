import type { FrameBatch } from '#contracts';
import { physical, ROW_HEADER_BYTES, type Rows } from '#decoders';
import type { Gate } from '#policies';
import { type FrameClock, timeOfLast, utcMs } from './clock.ts';
import { type PathCounts, pathCounts } from './counts.ts';
import { isPresent, type Lane } from './lanes.ts';
import type { Route } from './routes.ts';
import type { OutStream } from './stream.ts';

export interface PipelineParts {
  readonly lanes: readonly Lane[];
  readonly gate: Gate;
  readonly streams: readonly OutStream[];
  readonly clock: FrameClock;
  /** Times and values of the context, as `Path` keeps them for the next plan. */
  readonly heard: Float64Array;
  /** Number of the ignition among the context signals; −1: none. */
  readonly ignition: number;
  readonly onIgnitionOff: (timeNs: number) => void;
  /** UTC offsets before and after, ms; null where unknown. */
  readonly onTimeJump: (beforeMs: number | null, afterMs: number | null) => void;
}

/**
 * The whole path of a frame, in order: bus → decode → gate → operate → record → seal → commit. What follows, the uplink,
 * takes from the store at its own pace. Nothing here allocates per frame.
 */
export class Pipeline {
  readonly counts: PathCounts = pathCounts();
  #parts: PipelineParts;
  #lastNs = 0;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Another plan, between two batches. */
  swap(parts: PipelineParts): void {
    this.#parts = parts;
  }

  /** Boottime of the newest row, ns. */
  get lastNs(): number {
    return this.#lastNs;
  }

  /** One batch of one source. The promise of a full store is the source's back-pressure. */
  async frames(batch: FrameBatch, channel: number): Promise<void> {
    const { lanes, streams, clock } = this.#parts;
    const lane = lanes[channel]!;
    const lastNs = timeOfLast(batch);
    const before = clock.utc();
    if (clock.observe(batch, lastNs)) this.#timeJump(utcMs(0n, before), utcMs(0n, clock.utc()));

    const rows = lane.decoder.decode(batch); //                  bus → decode
    this.#count(batch, rows);
    this.#walk(rows, lane); //                                   gate → operate → record
    for (const stream of streams) await stream.flush(); //       seal → commit
  }

  /** Time passes without frames: windows and records end all the same. */
  async idle(timeNs: number): Promise<void> {
    this.#lastNs = Math.max(this.#lastNs, timeNs);
    this.#parts.gate.tick(this.#lastNs, this.#parts.clock.utc());
    for (const stream of this.#parts.streams) {
      stream.due(this.#lastNs);
      await stream.flush();
    }
  }

  /** The last frame was: what is open goes, windows that had not ended are marked. */
  async finish(): Promise<void> {
    for (const stream of this.#parts.streams) {
      stream.finish(this.#lastNs);
      await stream.flush();
    }
  }

  #walk(rows: Rows, { decoder, context, routes }: Lane): void {
    const { f64, u32, bytes } = rows;
    const { messages } = decoder.layout;
    const { gate, streams, clock, heard, ignition } = this.#parts;
    const utc = clock.utc();
    for (let at = 0; at < bytes; ) {
      const message = u32[at >>> 2]!;
      const timeNs = f64[(at >>> 3) + 1]!;
      const { cells, rowBytes } = messages[message]!;
      const presence = (at + ROW_HEADER_BYTES) >>> 2;
      const first = (at + rowBytes - cells * 8) >>> 3;
      this.#lastNs = timeNs;
      gate.tick(timeNs, utc);
      for (const stream of streams) stream.due(timeNs);
      for (const { index, cell, signal } of context[message]!) {
        if (!isPresent(u32, presence, cell)) continue;
        const value = physical(signal, f64[first + cell]!, f64[first + cell + 1]!);
        if (index === ignition && value === 0 && heard[2 * index + 1]! > 0) this.#parts.onIgnitionOff(timeNs);
        heard[2 * index] = timeNs;
        heard[2 * index + 1] = value;
        gate.context(index, timeNs, value);
      }
      for (const route of routes[message]!) this.#operate(route, gate, timeNs, f64, first, u32, presence);
      at += rowBytes;
    }
  }

  #operate(
    route: Route,
    gate: Gate,
    timeNs: number,
    f64: Float64Array,
    first: number,
    u32: Uint32Array,
    presence: number,
  ): void {
    const { stream, cells, signals, values, admitted } = route;
    if (this.#parts.streams[stream]!.over) return; //            withdrawn a moment ago
    let passed = 0;
    for (let i = 0; i < cells.length; i++) {
      const pass = isPresent(u32, presence, cells[i]!) && gate.admits(stream, signals[i]!);
      values[i] = pass ? f64[first + cells[i]!]! : 0;
      admitted[i] = pass ? 1 : 0;
      if (pass) passed++;
    }
    this.counts.admitted += passed;
    this.#parts.streams[stream]!.allowed += passed;
    if (passed > 0) route.operation.push(timeNs, values, admitted, route.out);
  }

  #count(batch: FrameBatch, rows: Rows): void {
    this.counts.frames += batch.count;
    this.counts.unknown += rows.unknown;
    this.counts.short += rows.short;
    this.counts.ignored += rows.ignored;
    this.counts.rows += rows.rows;
  }

  #timeJump(beforeMs: number | null, afterMs: number | null): void {
    this.counts.timeJumps++;
    for (const stream of this.#parts.streams) stream.renew();
    this.#parts.onTimeJump(beforeMs, afterMs);
  }
}
