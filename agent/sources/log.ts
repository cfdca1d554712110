import { basename } from 'node:path';
import { type FrameBatch, type FrameFilter, type FrameSource, IdMatcher, keepWanted, TollgateError } from '#contracts';
import { type LogFormat, type LogOptions, type LogReader, logFormat, MOST_HEAD_BYTES } from '#decoders';
import { timeOfLast } from '../clock.ts';
import { openLog } from './log-file.ts';

/** In real time no frame waits longer than this for its batch. */
const REALTIME_SPAN_NS = 20e6;
const NS_PER_MS = 1e6;
const LF = 0x0a;

/** A log whose format is known, from its first byte on. */
export interface OpenedLog {
  readonly format: LogFormat;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Tells the format of a log by its first bytes, where they do not tell by its name, else candump. Waits for one whole line
 * or 4 KiB, no longer, so that the lines of a live bus are shown as they come.
 */
export async function recognise(chunks: AsyncIterable<Uint8Array>, name = ''): Promise<OpenedLog> {
  const iterator = chunks[Symbol.asyncIterator]();
  let head = new Uint8Array(0);
  while (head.length < MOST_HEAD_BYTES && !head.some((byte, i) => byte === LF && i > 3)) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    head = Uint8Array.from(Buffer.concat([head, value]));
  }
  return {
    format: logFormat(head, basename(name)),
    chunks: (async function* () {
      try {
        if (head.length > 0) yield head;
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
      } finally {
        await iterator.return?.();
      }
    })(),
  };
}

/**
 * A log of any format, plain or gzip.
 *
 * @throws {TollgateError} as `openLog`
 */
export async function openAnyLog(
  path: string,
  options: { maxDecompressedBytes?: number | undefined; signal: AbortSignal },
): Promise<OpenedLog> {
  return await recognise(await openLog(path, options), path);
}

export interface LogSourceOptions extends Pick<LogOptions, 'batchFrames' | 'onMalformed' | 'zoneMinutes' | 'bootId'> {
  /** Shown in status and errors. */
  readonly name: string;
  readonly path: string;
  /** Index of the source, written into every frame. Default 0. */
  readonly channel?: number;
  /** Channels by interface name or number, for logs of several buses; frames of others are left out. */
  readonly channels?: Readonly<Record<string, number>>;
  /** Plays the frames at their own times; else as fast as they are taken. */
  readonly realtime?: boolean;
  /** What a gzip log may unpack to, bytes. */
  readonly maxDecompressedBytes?: number;
}

/**
 * A log of any format as a source. `open` rejects where the file cannot be read; damage further on rejects `ended`, and
 * what was read before stays delivered. Input that is no frame is counted and reported, never fatal.
 *
 * As fast as frames are taken, what nobody wants is dropped where it is read. In real time a log is read whole and filtered when
 * its frames are due: else a plan that wants nothing would run through to the end, and one that wants more, a moment later,
 * would come too late.
 */
export function logSource(options: LogSourceOptions): FrameSource {
  return new LogSource(options);
}

class LogSource implements FrameSource {
  readonly name: string;
  readonly ended: Promise<void>;
  readonly #options: LogSourceOptions;
  readonly #abort = new AbortController();
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void };
  readonly #matcherOf = (channel: number) => this.#matcher(channel);
  #reader: LogReader | null = null;
  #filter: FrameFilter = { ids: [] };
  /** By channel, each made when its first frame comes. */
  #matchers: IdMatcher[] = [];
  #skipped = 0;

  constructor(options: LogSourceOptions) {
    this.name = options.name;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settle = { resolve, reject };
    // Who does not await `ended` still learns of the damage from `open` or `malformed`; it must not end the process.
    promise.catch(() => undefined);
  }

  async open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void> {
    this.refilter(filter);
    const { path, maxDecompressedBytes } = this.#options;
    const { format, chunks } = await openAnyLog(path, { maxDecompressedBytes, signal: this.#abort.signal });
    const reader = format.make(this.#readerOptions());
    this.#reader = reader;
    this.#run(chunks, reader, deliver).then(this.#settle.resolve, this.#settle.reject);
  }

  refilter(filter: FrameFilter): void {
    this.#filter = filter;
    this.#matchers = [];
    this.#reader?.refilter();
  }

  dropped(): { count: number; exact: boolean } {
    return { count: 0, exact: true };
  }

  skipped(): number {
    return this.#skipped + (this.#reader?.skipped ?? 0);
  }

  malformed(): number {
    return this.#reader?.malformed ?? 0;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    if (this.#reader === null) this.#settle.resolve();
    await this.ended.catch(() => undefined);
  }

  #readerOptions(): LogOptions {
    const { bootId, channel, channels, batchFrames, realtime, onMalformed, zoneMinutes } = this.#options;
    return {
      bootId,
      channelOf: (name) =>
        channels === undefined ? (channel ?? 0) : Object.hasOwn(channels, name) ? channels[name]! : null,
      ...(realtime === true ? {} : { wanted: this.#matcherOf }),
      ...(batchFrames === undefined ? {} : { batchFrames }),
      ...(realtime === true ? { spanNs: REALTIME_SPAN_NS } : {}),
      ...(onMalformed === undefined ? {} : { onMalformed }),
      ...(zoneMinutes === undefined ? {} : { zoneMinutes }),
    };
  }

  #matcher(of: number): IdMatcher {
    const { channel, channels } = this.#options;
    // Without a channel of its own the source keeps what any channel wants: the decoder drops the rest.
    const isAny = channel === undefined && channels === undefined;
    this.#matchers[of] ??= isAny ? IdMatcher.ofAny(this.#filter) : IdMatcher.of(this.#filter, of);
    return this.#matchers[of];
  }

  async #run(
    chunks: AsyncIterable<Uint8Array>,
    reader: LogReader,
    deliver: (batch: FrameBatch) => void | Promise<void>,
  ): Promise<void> {
    const { signal } = this.#abort;
    const startMs = performance.now();
    const hand = async () => {
      const batch = reader.take();
      if (this.#options.realtime !== true) {
        if (!signal.aborted) await deliver(batch);
        return;
      }
      await sleepUntil(startMs + timeOfLast(batch) / NS_PER_MS, signal);
      const count = keepWanted(batch.bytes, batch.slotBytes, batch.count, this.#matcherOf);
      this.#skipped += batch.count - count;
      if (count > 0 && !signal.aborted) await deliver({ ...batch, count });
    };
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length && !signal.aborted; ) {
          at = reader.feed(chunk, at);
          if (reader.ready) await hand();
        }
        if (signal.aborted) return;
      }
      for (reader.end(); reader.ready && !signal.aborted; reader.end()) await hand();
    } catch (error) {
      // What was whole before the damage is delivered before the damage is reported.
      if (error instanceof Error && error.name === 'AbortError') return;
      for (reader.end(); reader.ready && error instanceof TollgateError; reader.end()) await hand();
      throw error;
    }
  }
}

function sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const wait = atMs - performance.now();
  if (wait <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, wait);
    signal.addEventListener('abort', done);
  });
}
