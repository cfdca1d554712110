/** What `doctor` reads of a machine: a test shows it one that is none. No call throws. */
export interface Machine {
  /** Text of a file, without the line break at its end; null where it cannot be read. */
  read(path: string): string | null;
  /** Names in a folder; none where it cannot be read. */
  list(path: string): readonly string[];
  exists(path: string): boolean;
  /** Whether this process may read and write a device or a folder. */
  writable(path: string): boolean;
  /** Room of the file system that holds a path, bytes. */
  room(path: string): { readonly free: number; readonly total: number } | null;
  /** Longest of a few durable writes in a folder, ms; null where it takes none. */
  syncMs(folder: string): number | null;
  /** What the addon says when it is loaded; null where it loads. */
  addon(): string | null;
  /** Bit rates of a CAN interface, bit/s, 0 for none; null where the kernel does not tell. */
  bitrates(name: string): { readonly arbitration: number; readonly data: number } | null;
  readonly arch: string;
  readonly kernel: string;
  /** null: another C library. */
  readonly glibc: string | null;
  readonly node: string;
  readonly flags: readonly string[];
  readonly clock: {
    /** The host's, ms since 1970. */
    readonly nowMs: number;
    /** An NTP daemon keeps it right; null where the kernel does not say. */
    readonly synchronised: boolean | null;
    readonly errorMs: number;
  };
}

/** `mend`: the agent does not work, or does not keep its word. `note`: it works, and something could be better. */
export type Severity = 'ok' | 'note' | 'mend';

export interface Finding {
  /** Stable name of what was looked at, e.g. `can.interface`. */
  readonly check: string;
  readonly severity: Severity;
  /** What was found. */
  readonly found: string;
  /** What to do; null where nothing is to be done. */
  readonly remedy: string | null;
}

/** What the configuration asks of the machine. */
export interface Wanted {
  readonly state: string;
  readonly interfaces: readonly { readonly name: string; readonly fd: boolean }[];
  /** Bytes of the largest spool. */
  readonly spoolBytes: number;
  readonly gnss: boolean;
}
