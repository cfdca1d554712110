import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The floor moves when it is older than this, ms: once a minute is one small write a minute. */
const STEP_MS = 60_000;

/**
 * The latest UTC that the unit was sure of, kept over boots: time cannot have been earlier. Whatever a clock says below it
 * is wrong, and UTC is then unknown.
 */
export class TimeFloor {
  readonly #file: string;
  #utcMs: number;
  #writing: Promise<void> = Promise.resolve();
  #keptMs: number;
  #held = false;

  private constructor(file: string, utcMs: number) {
    this.#file = file;
    this.#utcMs = utcMs;
    this.#keptMs = utcMs;
  }

  /** A file that is not there, or holds no number, is a first boot: any time may be true. */
  static async read(file: string): Promise<TimeFloor> {
    const text = await readFile(file, 'latin1').catch(() => '0');
    return new TimeFloor(file, /^\d{1,15}\n?$/.test(text) ? Number(text) : 0);
  }

  /** ms since 1970; 0 before the first time that was known. */
  get utcMs(): number {
    return this.#utcMs;
  }

  /** Time is at least this: raises the floor, and keeps it durably now and then. */
  raise(utcMs: number): void {
    if (utcMs < this.#utcMs + STEP_MS) return;
    this.#utcMs = Math.floor(utcMs);
    if (!this.#held) this.#keep();
  }

  /** While it is held it is raised in memory alone: a parked vehicle writes nothing. What was raised is kept before and after. */
  hold(held: boolean): void {
    this.#held = held;
    if (this.#utcMs !== this.#keptMs) this.#keep();
  }

  /** Resolves when what was raised is on the disk. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #keep(): void {
    this.#keptMs = this.#utcMs;
    const text = `${this.#utcMs}\n`;
    this.#writing = this.#writing.then(() => keep(this.#file, text)).catch(() => undefined);
  }
}

/** Old or new, never half: written beside, synced, renamed, and the folder synced. */
async function keep(file: string, text: string): Promise<void> {
  const beside = `${file}.new`;
  const handle = await open(beside, 'w', 0o600);
  await handle.writeFile(text);
  await handle.sync();
  await handle.close();
  await rename(beside, file);
  const folder = await open(dirname(file), 'r');
  await folder.sync();
  await folder.close();
}
