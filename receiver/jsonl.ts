import { type FileHandle, open } from 'node:fs/promises';
import { TollgateError } from '#contracts';
import type { Mark, OpenedRecord, RecordSink } from './contract.ts';
import { type Cell, rowsOf } from './values.ts';

/** A new file is for its owner alone: it holds people's data in the clear. One that is there keeps its mode. */
const PRIVATE = 0o600;

/**
 * Opened records as JSON lines, one a row:
 * `{"pseudonym":…,"stream":…,"seq":0,"utc":"2026-01-01T00:00:00.000Z","time_ms":0,"values":{"Vehicle.Speed":13.5}}`.
 * Windows carry `window_ms` (and `partial` where they had not ended), and their values are objects from result to number. `utc` is null where the unit did not
 * know it; `time_ms` is the unit's boottime. Numbers that JSON has not (NaN, infinities) are strings.
 */
export class JsonLines implements RecordSink {
  readonly #path: string;
  readonly #file: FileHandle;
  #position: number;

  private constructor(path: string, file: FileHandle, position: number) {
    this.#path = path;
    this.#file = file;
    this.#position = position;
  }

  /**
   * @param mark where the store says that the file ends; a longer file was written before a crash and is cut
   * @throws {TollgateError} TG_RECEIVER_OUTPUT
   */
  static async open(path: string, mark: number | null): Promise<JsonLines> {
    try {
      const file = await open(path, 'a', PRIVATE);
      const { size } = await file.stat();
      const position = mark === null ? size : Math.min(mark, size);
      if (position < size) await file.truncate(position);
      return new JsonLines(path, file, position);
    } catch (cause) {
      throw outputError(path, cause);
    }
  }

  async write(records: readonly OpenedRecord[]): Promise<Mark | null> {
    let text = '';
    for (const record of records) text += linesOf(record);
    const bytes = Buffer.from(text);
    try {
      await this.#file.appendFile(bytes);
      await this.#file.datasync();
    } catch (cause) {
      throw outputError(this.#path, cause);
    }
    this.#position += bytes.length;
    return { name: this.#path, position: this.#position };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The lines of one record, each with its newline. */
export function linesOf(record: OpenedRecord): string {
  const stream = Buffer.from(record.stream).toString('base64url');
  let text = '';
  for (const { timeMs, utcMs, windowMs, partial, cells } of rowsOf(record)) {
    const line = {
      pseudonym: record.pseudonym,
      stream,
      seq: record.seq,
      utc: utcMs === null ? null : isoTime(utcMs),
      time_ms: timeMs,
      ...(windowMs === 0 ? {} : { window_ms: windowMs }),
      ...(partial ? { partial } : {}),
      values: valuesOf(cells),
    };
    text += `${JSON.stringify(line)}\n`;
  }
  return text;
}

/** Results that are the signal's one value, not one of several of a window. */
const PLAIN: readonly string[] = ['raw', 'cell', 'pseudonym'];

function valuesOf(cells: readonly Cell[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const { column, value } of cells) {
    if (PLAIN.includes(column.result)) values[column.signal] = json(value);
    else values[column.signal] = { ...(values[column.signal] as object | undefined), [column.result]: json(value) };
  }
  return values;
}

function json(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** A time beyond what a date holds is told as its number. */
function isoTime(utcMs: number): string | number {
  // A stream may tell time to 100 µs: a tenth of a ms is a fourth digit.
  const tenths = Math.round(utcMs * 10);
  const date = new Date(Math.floor(tenths / 10));
  if (Number.isNaN(date.getTime())) return utcMs;
  const rest = tenths - Math.floor(tenths / 10) * 10;
  return rest === 0 ? date.toISOString() : date.toISOString().replace('Z', `${rest}Z`);
}

function outputError(path: string, cause: unknown): TollgateError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TollgateError('TG_RECEIVER_OUTPUT', `cannot write: ${reason}`, { place: { file: path }, cause });
}
