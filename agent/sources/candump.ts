import { createReadStream, type ReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { type FrameBatch, type FrameFilter, type FrameSource, OFFSET_TIME, TollgateError } from '#contracts';
import { CandumpParser } from '#decoders';

export interface CandumpSourceOptions {
  /** Shown in status and errors. */
  readonly name: string;
  /** A log as `candump -L` writes it, plain or gzip (told by its first bytes, not by its name). */
  readonly path: string;
  /** Index of the source, written into every frame. Default 0. */
  readonly channel?: number;
  /** Channels by interface name, for logs of several buses; frames of other interfaces are left out. */
  readonly channels?: Readonly<Record<string, number>>;
  /** The agent's boot, 8 bytes. */
  readonly bootId: Uint8Array;
  /** Plays the frames at their own times; else as fast as they are taken. */
  readonly realtime?: boolean;
  readonly batchFrames?: number;
  /** What a gzip log may unpack to, bytes. */
  readonly maxDecompressedBytes?: number;
  /** A line that is no frame: its number from 1, and what was expected. */
  readonly onMalformed?: (line: number, reason: string) => void;
}

/** A day of eight busy buses is less; a compressed bomb is more. */
export const DEFAULT_MAX_DECOMPRESSED_BYTES = 16 * 2 ** 30;

/** In real time no frame waits longer than this for its batch. */
const REALTIME_SPAN_NS = 20e6;
const NS_PER_MS = 1e6;
const CHUNK_BYTES = 256 * 1024;
const GZIP_MAGIC = [0x1f, 0x8b];

/**
 * A candump log as a source. `open` rejects where the file cannot be read; damage further on rejects `ended`, and what
 * was read before stays delivered. Lines that are no frames are counted and reported, never fatal.
 */
export function candumpSource(options: CandumpSourceOptions): FrameSource {
  return new CandumpSource(options);
}

class CandumpSource implements FrameSource {
  readonly name: string;
  readonly ended: Promise<void>;
  readonly #options: CandumpSourceOptions;
  readonly #abort = new AbortController();
  #settle: { resolve: () => void; reject: (error: unknown) => void };
  #parser: CandumpParser | null = null;
  #opened = false;

  constructor(options: CandumpSourceOptions) {
    this.name = options.name;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settle = { resolve, reject };
    // Who does not await `ended` still learns of the damage from `open` or `malformed`; it must not end the process.
    promise.catch(() => undefined);
  }

  async open(deliver: (batch: FrameBatch) => void | Promise<void>, filter: FrameFilter): Promise<void> {
    const { path, maxDecompressedBytes } = this.#options;
    const chunks = await openLog(path, { maxDecompressedBytes, signal: this.#abort.signal });
    this.#opened = true;
    this.#parser = this.#makeParser(filter);
    this.#run(chunks, this.#parser, deliver).then(this.#settle.resolve, this.#settle.reject);
  }

  dropped(): { count: number; exact: boolean } {
    return { count: 0, exact: true };
  }

  skipped(): number {
    return this.#parser?.skipped ?? 0;
  }

  malformed(): number {
    return this.#parser?.malformed ?? 0;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    if (!this.#opened) this.#settle.resolve();
    await this.ended.catch(() => undefined);
  }

  #makeParser(filter: FrameFilter): CandumpParser {
    const { bootId, channel, channels, batchFrames, realtime, onMalformed } = this.#options;
    const wanted = (of: number) => {
      if (channel !== undefined || channels !== undefined) return filter.ids[of] ?? null;
      // Without a channel of its own the source keeps what any channel wants: the decoder drops the rest.
      return filter.ids.some((ids) => ids === null) ? null : filter.ids.flatMap((ids) => ids ?? []);
    };
    return new CandumpParser({
      bootId,
      channelOf: (name) =>
        channels === undefined ? (channel ?? 0) : Object.hasOwn(channels, name) ? channels[name]! : null,
      wanted,
      ...(batchFrames === undefined ? {} : { batchFrames }),
      ...(realtime === true ? { spanNs: REALTIME_SPAN_NS } : {}),
      ...(onMalformed === undefined ? {} : { onMalformed }),
    });
  }

  async #run(
    chunks: AsyncIterable<Uint8Array>,
    parser: CandumpParser,
    deliver: (batch: FrameBatch) => void | Promise<void>,
  ): Promise<void> {
    const { signal } = this.#abort;
    const startMs = performance.now();
    const hand = async () => {
      const batch = parser.take();
      if (this.#options.realtime === true) await sleepUntil(startMs + timeOfLast(batch) / NS_PER_MS, signal);
      if (!signal.aborted) await deliver(batch);
    };
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length && !signal.aborted; ) {
          at = parser.feed(chunk, at);
          if (parser.ready) await hand();
        }
        if (signal.aborted) return;
      }
      for (parser.end(); parser.ready && !signal.aborted; parser.end()) await hand();
    } catch (error) {
      // What was whole before the damage is delivered before the damage is reported.
      if (isAbort(error)) return;
      for (parser.end(); parser.ready && error instanceof TollgateError; parser.end()) await hand();
      throw error;
    }
  }
}

/**
 * The text of a log in pieces, unpacked where its first bytes say gzip.
 *
 * @param maxDecompressedBytes cap on what a gzip log may unpack to
 * @throws {TollgateError} TG_LOG_FILE at once where the file cannot be opened; TG_LOG_GZIP, TG_LOG_TOO_LARGE on the way
 */
export async function openLog(
  path: string,
  {
    maxDecompressedBytes = DEFAULT_MAX_DECOMPRESSED_BYTES,
    signal,
  }: { maxDecompressedBytes?: number | undefined; signal: AbortSignal },
): Promise<AsyncIterable<Uint8Array>> {
  const compressed = await startsWithGzip(path).catch((cause: Error) => {
    throw fileError(path, cause);
  });
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES, signal });
  return compressed ? unpacked(file, path, maxDecompressedBytes) : plain(file, path);
}

async function* unpacked(file: ReadStream, path: string, maxBytes: number): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  file.on('error', (error) => gunzip.destroy(error));
  let total = 0;
  try {
    for await (const chunk of file.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      total += chunk.length;
      if (total > maxBytes) {
        throw new TollgateError('TG_LOG_TOO_LARGE', `unpacks to more than ${maxBytes} bytes`, {
          place: { file: path },
        });
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof TollgateError || isAbort(error)) throw error;
    if (!isZlib(error)) throw fileError(path, error as Error);
    throw new TollgateError('TG_LOG_GZIP', (error as Error).message, { place: { file: path }, cause: error });
  } finally {
    gunzip.destroy();
    file.destroy();
  }
}

async function* plain(file: AsyncIterable<Uint8Array>, path: string): AsyncIterable<Uint8Array> {
  try {
    yield* file;
  } catch (error) {
    throw isAbort(error) ? error : fileError(path, error as Error);
  }
}

async function startsWithGzip(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await file.read(new Uint8Array(GZIP_MAGIC.length), 0, GZIP_MAGIC.length, 0);
    return bytesRead === GZIP_MAGIC.length && GZIP_MAGIC.every((byte, i) => buffer[i] === byte);
  } finally {
    await file.close();
  }
}

function fileError(path: string, cause: Error): TollgateError {
  return new TollgateError('TG_LOG_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function isZlib(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}

/** Receive time of the last frame of a batch, ns. */
function timeOfLast({ bytes, slotBytes, count }: FrameBatch): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + (count - 1) * slotBytes + OFFSET_TIME, 8);
  return view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
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
