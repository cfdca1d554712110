/** What a command sees of the process, so that tests run it without one. */
export interface Io {
  readonly stdin: AsyncIterable<Uint8Array>;
  out(text: string): void;
  err(text: string): void;
  /** A person watches: progress lines and colours are welcome. */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}

/** One file a command in `cli/commands/`, imported only when it is called. */
export interface Command {
  /** `dbc lint`: words separated by one space. */
  readonly name: string;
  /** One line for `tollgate --help`. */
  readonly summary: string;
  /** The unit package holds no simulator and no receiver. */
  readonly package: 'unit' | 'tools';
  /** Usage, options and an example, as `--help` prints them. */
  readonly help: string;
  /** @returns exit code: 0 done, 1 the answer is no (findings, verification failed), 2 bad usage or input */
  run(args: readonly string[], io: Io): Promise<number>;
}
