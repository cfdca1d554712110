import type { Io } from './command.ts';

/** Nothing is said before this, so that short work stays silent, ms. */
const FIRST_MS = 2_000;
const STEP_MS = 500;
/** Without a terminal a line this often is enough, ms. */
const PLAIN_STEP_MS = 5_000;

/** A line on stderr that says how far long work has come: overwritten on a terminal, now and then a new one elsewhere. */
export class Progress {
  readonly #io: Io;
  readonly #startMs = performance.now();
  #nextMs = this.#startMs + FIRST_MS;
  #shown = false;

  constructor(io: Io) {
    this.#io = io;
  }

  /** @param text made only when the line is due */
  show(text: () => string): void {
    const now = performance.now();
    if (now < this.#nextMs) return;
    this.#nextMs = now + (this.#io.interactive ? STEP_MS : PLAIN_STEP_MS);
    this.#shown = true;
    this.#io.err(this.#io.interactive ? `\r\x1b[2K${text()}` : `${text()}\n`);
  }

  /** Clears the line. */
  done(): void {
    if (this.#shown && this.#io.interactive) this.#io.err('\r\x1b[2K');
  }
}
