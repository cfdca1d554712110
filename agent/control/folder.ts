import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeDurably } from '../keys.ts';

/** A document as it was kept. */
export interface KeptDocument {
  /** Place in the order in which documents came. */
  readonly order: number;
  readonly file: string;
  readonly bytes: Uint8Array;
}

const NAME = /^(\d{8})\.jwt$/;
const DIGITS = 8;
const MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Answers that no broker has taken yet. */
const ANSWERS = 'answers';
/** More unsent answers than people make: the oldest go. */
const MOST_ANSWERS = 64;

/**
 * The bytes of the documents, one file each. A file counts only when the store says so: its version is committed there,
 * in one transaction with its leaf; a file that lies here without it is what a power cut left.
 */
export class DocumentFolder {
  readonly #path: string;
  #next = 1;

  constructor(path: string) {
    this.#path = path;
  }

  /** In the order in which they came. */
  async load(): Promise<KeptDocument[]> {
    await mkdir(join(this.#path, ANSWERS), { recursive: true, mode: FOLDER_MODE });
    const documents = await this.read();
    this.#next = (documents.at(-1)?.order ?? 0) + 1;
    return documents;
  }

  /** The same, and writes nothing: an agent may be running. None where there is no folder. */
  async read(): Promise<KeptDocument[]> {
    const there = await readdir(this.#path).catch(() => []);
    const names = there.filter((name) => NAME.test(name)).sort();
    const kept = names.map(async (name) => {
      const file = join(this.#path, name);
      return { order: Number(NAME.exec(name)![1]), file, bytes: new Uint8Array(await readFile(file)) };
    });
    return await Promise.all(kept);
  }

  /** Durable when it resolves. */
  async add(bytes: Uint8Array): Promise<KeptDocument> {
    const order = this.#next++;
    const file = join(this.#path, `${String(order).padStart(DIGITS, '0')}.jwt`);
    await writeDurably(file, bytes, MODE);
    return { order, file, bytes };
  }

  async remove(files: readonly string[]): Promise<void> {
    for (const file of files) await unlink(file).catch(() => undefined);
    if (files.length > 0) await syncFolder(this.#path);
  }

  /** Keeps an answer until a broker has taken it. */
  async addAnswer(bytes: Uint8Array): Promise<string> {
    const folder = join(this.#path, ANSWERS);
    const names = (await readdir(folder)).sort();
    for (const old of names.slice(0, Math.max(0, names.length - MOST_ANSWERS + 1))) await unlink(join(folder, old));
    const last = Number(names.at(-1)?.slice(0, DIGITS) ?? 0);
    const file = join(folder, `${String(last + 1).padStart(DIGITS, '0')}.cbor`);
    await writeDurably(file, bytes, MODE);
    return file;
  }

  /** Oldest first. */
  async answers(): Promise<{ file: string; bytes: Uint8Array }[]> {
    const folder = join(this.#path, ANSWERS);
    const names = (await readdir(folder)).filter((name) => name.endsWith('.cbor')).sort();
    return await Promise.all(
      names.map(async (name) => ({
        file: join(folder, name),
        bytes: new Uint8Array(await readFile(join(folder, name))),
      })),
    );
  }
}
