import type { FrameBatch, IdMatcher } from '#contracts';

export interface LogOptions {
  /** The agent's boot, 8 bytes. */
  readonly bootId: Uint8Array;
  /**
   * Channel of an interface, asked once for each; null leaves its frames out. Absent: all are channel 0. ASC, BLF and CSV
   * number their channels: the name is the number as it stands there.
   */
  readonly channelOf?: (name: string) => number | null;
  /** What is wanted of a channel, asked once for each, and again after `refilter`. Absent: all of every channel. */
  readonly wanted?: (channel: number) => IdMatcher;
  /** Frames of a full batch. */
  readonly batchFrames?: number;
  /** Time that a batch spans at most, ns; for logs that are played in real time. */
  readonly spanNs?: number;
  /**
   * Input that is no frame: its place (line from 1 of a text, byte offset from 0 of a binary log) and what was expected
   * there. Never holds a part of the input.
   */
  readonly onMalformed?: (place: number, reason: string) => void;
  /** Time zone of the dates in an ASC log, minutes east of UTC. Absent: such a log has no UTC, for it names no zone. */
  readonly zoneMinutes?: number;
}

/**
 * A log → batches, from chunks that may be cut anywhere. Boottime 0 is the first frame of the log. Classic and FD frames
 * go into batches of their own; the order of frames is that of the log. Allocates nothing per frame.
 *
 * ```ts
 * for await (const chunk of chunks) {
 *   for (let at = 0; at < chunk.length; ) {
 *     at = reader.feed(chunk, at);
 *     if (reader.ready) await deliver(reader.take());
 *   }
 * }
 * for (reader.end(); reader.ready; reader.end()) await deliver(reader.take());
 * ```
 */
export interface LogReader {
  /** A batch waits to be taken; `feed` reads nothing before. */
  readonly ready: boolean;
  /** Pieces of input that were no frame. */
  readonly malformed: number;
  /** Frames that no one wants: another interface or id. */
  readonly skipped: number;
  /** Frames of the batch that is being filled; it may be taken before it is ready. */
  readonly pending: number;
  /** The log's own time at boottime 0, ns. Absent or null: the same as UTC. */
  readonly originNs?: bigint | null;
  /** Reads on until the chunk ends or a batch is ready; returns the offset of the first byte that was not read. */
  feed(chunk: Uint8Array, from?: number): number;
  /** What is wanted has changed: from the next frame on `wanted` is asked anew. */
  refilter(): void;
  /** The log has ended; to be called again after each `take`, until no batch is ready. */
  end(): void;
  /** The batch that is ready; its bytes are used again by the next `feed`. */
  take(): FrameBatch;
}
