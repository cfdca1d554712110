/**
 * The durable half of the unit: outbox, ledger leaves and nodes, meter, nonces, in one SQLite file that a worker
 * thread alone writes. What goes into one group commit is one transaction.
 */

/** A stream that begins; its session message goes before its records. */
export interface StreamEntry {
  /** 8 bytes. */
  readonly stream: Uint8Array;
  readonly pseudonym: string;
  readonly recipient: string;
  readonly purpose: string;
  readonly agreement: string;
  readonly campaign: string;
  readonly priority: number;
  /** Topic of the records; the session goes to `topic + '/s'`, proofs to `topic + '/p'`. */
  readonly topic: string;
  /** COSE_Sign1 session message. */
  readonly session: Uint8Array;
}

/** What a record adds to the meter, per (agreement, recipient, purpose, action, hour). */
export interface MeterDelta {
  readonly agreement: string;
  readonly recipient: string;
  readonly purpose: string;
  /** ODRL action, `distribute`. */
  readonly action: string;
  /** Hours since the epoch of UTC, or of boottime where UTC is unknown (negative − 1). */
  readonly hour: number;
  readonly records: number;
  readonly samples: number;
  readonly bytes: number;
  /** Samples a field (signal name). */
  readonly fields: Readonly<Record<string, number>>;
  /** Samples denied by the gate. */
  readonly denied: number;
}

export interface RecordEntry {
  readonly stream: Uint8Array;
  /** 0 first, no gaps. */
  readonly seq: number;
  /** COSE_Encrypt0 envelope. */
  readonly payload: Uint8Array;
  /** Deterministic CBOR of the record's leaf, and its body hash. */
  readonly leaf: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly meter: MeterDelta;
}

export type RowKind = 'session' | 'record' | 'proof';
/** queued → inflight → pubacked → acked (deleted). */
export type RowState = 'queued' | 'inflight' | 'pubacked';

export interface OutboxRow {
  readonly id: number;
  readonly kind: RowKind;
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  /** −1 for sessions and proofs. */
  readonly seq: number;
  readonly priority: number;
  readonly topic: string;
  readonly retain: boolean;
  readonly payload: Uint8Array;
}

export interface Head {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** What one proof publication needs: the newest committed record of a stream under a checkpoint. */
export interface ProofMaterial {
  readonly stream: Uint8Array;
  readonly pseudonym: string;
  readonly topic: string;
  readonly priority: number;
  readonly seq: number;
  readonly leafIndex: number;
  /** Lowest first. */
  readonly path: readonly Uint8Array[];
  /** Records of this stream evicted since its last proof. */
  readonly evicted: readonly { readonly seq: number; readonly bodyHash: Uint8Array }[];
}

export interface Ack {
  readonly stream: Uint8Array;
  readonly uptoSeq: number;
  readonly missing: readonly number[];
  readonly state: 'opened' | 'proven';
  /** The signed acknowledgement itself, kept as the receipt. */
  readonly signed: Uint8Array;
}

export interface StoreStats {
  readonly queued: number;
  readonly inflight: number;
  readonly pubacked: number;
  readonly acked: number;
  readonly evicted: number;
  readonly bytes: number;
  readonly commits: number;
  readonly head: Head;
  readonly checkpointSize: number;
}

/** Named moments of the protocol; tests kill the agent at them, `status` counts them. */
export type ProtocolState =
  | 'sealed'
  | 'transaction-begun'
  | 'rows-written'
  | 'transaction-committed'
  | 'committed'
  | 'checkpoint-signed'
  | 'checkpoint-stored'
  | 'published'
  | 'puback-received'
  | 'puback-stored'
  | 'ack-received'
  | 'ack-stored'
  | 'proof-stored'
  | 'session-stored';

export interface Store {
  /** Begins a stream; its session message is queued with it. Durable with the next commit. */
  begin(entry: StreamEntry): void;
  /** Adds a record to the open group. Returns a promise only when too much is waiting: await it before the next. */
  append(entry: RecordEntry): void | Promise<void>;
  /** Adds a leaf that is no record (boot, decision, gap, time jump, ack …). */
  leaf(leaf: Uint8Array): void;
  /** Commits the open group now; resolves when it is durable. */
  commit(): Promise<void>;
  /** The tree as committed. */
  head(): Promise<Head>;
  /** Stores the signed note of `size` leaves. */
  checkpoint(size: number, note: string): Promise<void>;
  /** One entry a stream whose newest committed record has no published proof under the checkpoint of `size`. */
  proofs(size: number): Promise<readonly ProofMaterial[]>;
  /** Queues a proof message and notes that it covers `seq`. */
  proof(material: ProofMaterial, payload: Uint8Array): Promise<void>;
  /** Queued rows in sending order (a session before its records, priority, then age), at most `limit`; marks them inflight. */
  take(limit: number): Promise<readonly OutboxRow[]>;
  /** PUBACK came. */
  pubacked(ids: readonly number[]): Promise<void>;
  /** A receiver answered: opened rows are deleted, proven marks the stream; the ack is kept. */
  ack(ack: Ack): Promise<void>;
  /** Puts inflight rows back (connection lost), and pubacked ones that no ack took within `olderThanMs`. */
  requeue(olderThanMs: number): Promise<number>;
  /** Resolves when a row becomes ready to send after this call; never rejects. */
  ready(): Promise<void>;
  stats(): Promise<StoreStats>;
  /** Commits and closes. */
  close(): Promise<void>;
}
