import type { FrameBatch } from '#contracts';
import { isPresent, messageOf, physical, ROW_TIME, type Rows } from '#decoders';
import type { Gate } from '#policies';
import { type FrameClock, timeOfLast, utcMs } from './clock.ts';
import { type PathCounts, pathCounts } from './counts.ts';
import type { Decoded, Lane, Step } from './lanes.ts';
import { admit, type Passage, sortPassages } from './passages.ts';
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

  /** The first half of the path of one batch: bus → decode. Its rows stand until the next batch of the channel is decoded. */
  decode(batch: FrameBatch, channel: number): Decoded {
    const { lanes, clock } = this.#parts;
    const lane = lanes[channel]!;
    const lastNs = timeOfLast(batch);
    const before = clock.utc();
    const jumped = clock.observe(batch, lastNs) ? before : null;
    const rows = lane.decoder.decode(batch);
    this.counts.frames += batch.count;
    this.counts.unknown += rows.unknown;
    this.counts.short += rows.short;
    this.counts.ignored += rows.ignored;
    this.counts.rows += rows.rows;
    return { rows, lane, lastNs, jumped };
  }

  /** The second half. The promise of a full store is the source's back-pressure. */
  async pass({ rows, lane, lastNs, jumped }: Decoded): Promise<void> {
    if (jumped !== null) this.#timeJump(utcMs(0n, jumped), utcMs(0n, this.#parts.clock.utc()));
    this.#walk(rows, lane, lastNs); //                           gate → operate → record
    for (const stream of this.#parts.streams) await stream.flush(); // seal → commit
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

  /** The gate is asked at edges of time or age, and behind context; where it is `still`, lists stand (passages.ts). */
  #walk({ f64, u32, bytes }: Rows, { steps }: Lane, lastNs: number): void {
    const { gate, streams, clock } = this.#parts;
    const utc = clock.utc();
    let { generation } = gate;
    let fromNs = Number.POSITIVE_INFINITY; //                    no edge in [fromNs, toNs]
    let toNs = Number.NEGATIVE_INFINITY;
    for (let at = 0; at < bytes; ) {
      const step = steps[messageOf(u32, at)]!;
      const timeNs = f64[(at + ROW_TIME) >>> 3]!;
      this.#lastNs = timeNs;
      if (!(timeNs >= fromNs && timeNs <= toNs)) {
        gate.tick(timeNs, utc);
        fromNs = timeNs;
        toNs = gate.still(timeNs, lastNs, utc) ? lastNs : timeNs;
        generation = gate.generation;
      }
      for (let i = 0; i < streams.length; i++) streams[i]!.due(timeNs);
      if (step.context.length > 0) {
        this.#hear(step, u32, at);
        fromNs = Number.POSITIVE_INFINITY; //                    ages have changed: to be asked again
        generation = gate.generation;
      }
      if (step.generation !== generation) {
        sortPassages(step.passages, gate);
        step.generation = generation;
      }
      for (let i = 0; i < step.passages.length; i++)
        this.#operate(step.passages[i]!, u32, at, (at + step.firstCell) >>> 2);
      at += step.rowBytes;
    }
  }

  #hear({ context, firstCell }: Step, u32: Uint32Array, at: number): void {
    const { gate, heard, ignition } = this.#parts;
    const timeNs = this.#lastNs;
    const first = (at + firstCell) >>> 2;
    for (const { index, cells, signal } of context) {
      if (!isPresent(u32, at, cells[0]!.cell)) continue;
      const value = physical(signal, cells[0]!.read(u32, first), cells[1]?.read(u32, first));
      if (index === ignition && value === 0 && heard[2 * index + 1]! > 0) this.#parts.onIgnitionOff(timeNs);
      heard[2 * index] = timeNs;
      heard[2 * index + 1] = value;
      gate.context(index, timeNs, value);
    }
  }

  #operate(passage: Passage, u32: Uint32Array, at: number, first: number): void {
    const { stream, values, admitted, operation, out } = passage.route;
    const to = this.#parts.streams[stream]!;
    if (to.over) return; // withdrawn a moment ago
    const passed = admit(passage, this.#parts.gate, u32, at, first);
    this.counts.admitted += passed;
    to.allowed += passed;
    if (passed > 0) operation.push(this.#lastNs, values, admitted, out);
  }

  #timeJump(beforeMs: number | null, afterMs: number | null): void {
    this.counts.timeJumps++;
    for (const stream of this.#parts.streams) stream.renew();
    this.#parts.onTimeJump(beforeMs, afterMs);
  }
}
