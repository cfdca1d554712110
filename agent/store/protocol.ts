import type { ErrorCode } from '#contracts';
import type { Ack, DocumentVersion, OutboxRow, ProofMaterial, RecordQuery } from './contract.ts';
import type { Group } from './group.ts';
import type { WriterSettings } from './writer-settings.ts';

/** What crosses between the agent's thread and the writer's. */
export type Request =
  | { readonly op: 'open'; readonly settings: WriterSettings; readonly gatherMs: number }
  | { readonly op: 'keys'; readonly keys: readonly (readonly [string, Uint8Array | null])[] }
  | { readonly op: 'group'; readonly group: Group }
  | { readonly op: 'checkpoint'; readonly size: number; readonly note: string }
  | { readonly op: 'proofs'; readonly size: number }
  | { readonly op: 'proof'; readonly proofs: readonly QueuedProof[] }
  | { readonly op: 'take'; readonly limit: number; readonly pseudonym: string | undefined }
  | { readonly op: 'pubacked'; readonly ids: readonly number[] }
  | { readonly op: 'ack'; readonly ack: Ack }
  | { readonly op: 'requeue'; readonly olderThanMs: number }
  | { readonly op: 'resend'; readonly pseudonym: string | undefined }
  | { readonly op: 'withdraw'; readonly agreement: string; readonly leaf: Uint8Array | null }
  | { readonly op: 'prune' }
  | { readonly op: 'stats' }
  | { readonly op: 'meter' }
  | { readonly op: 'records'; readonly query: RecordQuery }
  | { readonly op: 'recipient'; readonly stream: Uint8Array }
  | { readonly op: 'close' };

/** A proof on its way into the outbox. */
export interface QueuedProof {
  readonly material: ProofMaterial;
  readonly payload: Uint8Array;
  readonly link: boolean;
}

/** What the agent's thread must know at once; the answer to `open`. */
export interface Opened {
  /** Agreements whose spool keys are needed. */
  readonly agreements: readonly string[];
  readonly budgets: readonly (readonly [key: string, value: number])[];
  readonly documents: readonly DocumentVersion[];
}

/** The answer to `take`. */
export interface Taken {
  readonly rows: readonly OutboxRow[];
  /** Of each row: a withdrawal may have come meanwhile. */
  readonly agreements: readonly string[];
}

export interface Message {
  readonly id: number;
  readonly request: Request;
}

export interface Failure {
  /** null: no error of the store's, but of a program; then with where it arose. */
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly stack?: string | undefined;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: Failure;
  /** A row became ready to send. */
  readonly ready: boolean;
}
