import { readFileSync } from 'node:fs';
import { appendFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import {
  decodeMeter,
  decodeMetered,
  encodeMetered,
  METER_START,
  type Metered,
  type MeterRecord,
  meterHash,
  meterIn,
} from '#wire';
import type { MeterTerms } from './terms.ts';

/** The meter records of a unit, one after the other, each with its length before it (docs/formats.md). */
export const METER_FILE = 'meter.cbor';
/** What counters stand for: one JSON object a line. */
const TERMS_FILE = 'meter-terms.jsonl';
const LENGTH_BYTES = 4;
const MOST_BYTES = 2 ** 24;

/** A kept meter record, taken apart. */
export interface BookEntry extends Metered {
  readonly encoded: Uint8Array;
  readonly record: MeterRecord;
}

/**
 * Entries of a book; what a power cut left of the last one is passed over.
 *
 * @throws {TollgateError} TG_METER_DAMAGED where an entry is none
 */
export function readBook(
  bytes: Uint8Array,
  file: string,
): { readonly entries: readonly BookEntry[]; readonly length: number } {
  const entries: BookEntry[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + LENGTH_BYTES <= bytes.length) {
    const length = view.getUint32(at);
    if (length > MOST_BYTES) throw damaged(file, entries.length);
    if (at + LENGTH_BYTES + length > bytes.length) break;
    try {
      const metered = decodeMetered(bytes.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
      const encoded = meterIn(metered.signed);
      entries.push({ ...metered, encoded, record: decodeMeter(encoded) });
    } catch (cause) {
      if (cause instanceof TollgateError) throw damaged(file, entries.length, cause);
      throw cause;
    }
    at += LENGTH_BYTES + length;
  }
  return { entries, length: at };
}

function damaged(file: string, entry: number, cause?: unknown): TollgateError {
  return new TollgateError('TG_METER_DAMAGED', `meter record ${entry} cannot be read`, { place: { file }, cause });
}

/** The entries of a state folder; none where nothing was sealed yet. */
export async function bookOf(state: string): Promise<readonly BookEntry[]> {
  const file = join(state, METER_FILE);
  return readBook(await bytesOf(file), file).entries;
}

/** Appends to the book and to what its counters stand for. */
export class MeterBook {
  readonly #state: string;
  readonly #terms = new Map<string, MeterTerms>();
  /** Sums of what is sealed, by key of the meter. */
  readonly sealed: BookEntry[] = [];
  #opened = false;

  constructor(state: string) {
    this.#state = state;
  }

  async open(): Promise<void> {
    if (this.#opened) return;
    const file = join(this.#state, METER_FILE);
    const bytes = await bytesOf(file);
    const { entries, length } = readBook(bytes, file);
    // Half an entry: it was never sealed, its counters are still in the store.
    if (length < bytes.length) {
      const handle = await open(file, 'r+');
      await handle.truncate(length);
      await handle.close();
    }
    this.sealed.push(...entries);
    const lines = Buffer.from(await bytesOf(join(this.#state, TERMS_FILE)))
      .toString('utf8')
      .split('\n');
    for (const line of lines.slice(0, -1)) {
      const terms: MeterTerms = JSON.parse(line);
      this.#terms.set(terms.id, terms);
    }
    this.#opened = true;
  }

  get previous(): Uint8Array {
    const last = this.sealed.at(-1);
    return last === undefined ? METER_START : meterHash(last.encoded);
  }

  get terms(): readonly MeterTerms[] {
    return [...this.#terms.values()];
  }

  /** Durable before the first record that is counted under these terms. */
  async know(all: readonly MeterTerms[]): Promise<void> {
    const fresh = all.filter(({ id }) => !this.#terms.has(id));
    if (fresh.length === 0) return;
    await synced(join(this.#state, TERMS_FILE), Buffer.from(fresh.map((one) => `${JSON.stringify(one)}\n`).join('')));
    for (const one of fresh) this.#terms.set(one.id, one);
  }

  /** In one write. */
  async append(fresh: readonly BookEntry[]): Promise<void> {
    if (fresh.length === 0) return;
    const parts = fresh.flatMap(({ salt, signed }) => {
      const bytes = encodeMetered({ salt, signed });
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    });
    await synced(join(this.#state, METER_FILE), Buffer.concat(parts));
    this.sealed.push(...fresh);
  }
}

async function synced(file: string, bytes: Uint8Array): Promise<void> {
  await appendFile(file, bytes, { mode: 0o600, flush: true });
}

async function bytesOf(file: string): Promise<Uint8Array> {
  try {
    return readFileSync(file);
  } catch (error) {
    const cause = error as NodeJS.ErrnoException;
    if (cause.code === 'ENOENT') return new Uint8Array(0);
    throw new TollgateError('TG_DOCUMENT_FILE', `cannot be read: ${cause.message}`, { place: { file }, cause });
  }
}
