import type { ProtocolState } from './contract.ts';
import type { WriterOptions } from './database.ts';

export interface FaultAt {
  readonly state: ProtocolState;
  /** 1 the first time the state is reached. */
  readonly occurrence: number;
}

export interface WriterSettings extends WriterOptions {
  readonly maxBytes: number;
  /** Hard cap of the bytes of one recipient's records. */
  readonly maxRecipientBytes: number;
  readonly bootId: Uint8Array;
  /** Leaves older than this under a checkpoint may go, ms. */
  readonly keepLeavesMs: number;
  /** Test hook: the process kills itself when it reaches a state. */
  readonly faultAt?: FaultAt | undefined;
}
