import { closeSync, createReadStream, openSync, type ReadStream, readSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { TollgateError } from '#contracts';

/** A day of eight busy buses is less; a compressed bomb is more. */
export const DEFAULT_MAX_DECOMPRESSED_BYTES = 16 * 2 ** 30;

const CHUNK_BYTES = 256 * 1024;
const GZIP_MAGIC = [0x1f, 0x8b];

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
  const compressed = startsWithGzip(path);
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

function startsWithGzip(path: string): boolean {
  try {
    const file = openSync(path, 'r');
    try {
      const buffer = new Uint8Array(GZIP_MAGIC.length);
      const count = readSync(file, buffer, 0, GZIP_MAGIC.length, 0);
      return count === GZIP_MAGIC.length && GZIP_MAGIC.every((byte, i) => buffer[i] === byte);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw fileError(path, cause as Error);
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
