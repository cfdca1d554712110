import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The floor moves when it is older than this, ms: once a minute is one small write a minute. */
const STEP_MS = 60_000;
/** Before this version of the agent was written; time cannot be earlier. */
export const EARLIEST_MS = Date.UTC(2026, 0, 1);
/** Later than any unit of this version lives: whoever says so is wrong. */
export const LATEST_MS = Date.UTC(2056, 0, 1);

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

  /** A file that is not there, or holds no plausible number, is a first boot: any time from `EARLIEST_MS` on may be true. */
  static async read(file: string): Promise<TimeFloor> {
    const text = await readFile(file, 'latin1').catch(() => '0');
    const kept = /^\d{1,15}\n?$/.test(text) ? Number(text) : 0;
    return new TimeFloor(file, kept >= EARLIEST_MS && kept <= LATEST_MS ? kept : EARLIEST_MS);
  }

  /** ms since 1970; `EARLIEST_MS` before the first time that was known. */
  get utcMs(): number {
    return this.#utcMs;
  }

  /** Time is at least this: raises the floor, never beyond `LATEST_MS`, and keeps it durably now and then. */
  raise(utcMs: number): void {
    if (utcMs < this.#utcMs + STEP_MS || utcMs > LATEST_MS) return;
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
