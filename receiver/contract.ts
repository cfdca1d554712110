import type { Schema, Table } from '#wire';

/** A stream as the receiver knows it: the session that opened it, and how far it got. */
export interface StoredStream {
  readonly tenant: string;
  readonly pseudonym: string;
  /** 8 bytes. */
  readonly stream: Uint8Array;
  /** Name of the ledger key that signed the session. */
  readonly unit: string;
  /** The session message, COSE_Sign1: opened again after a restart. */
  readonly session: Uint8Array;
}

/** A record that was opened, as it is stored. */
export interface OpenedRecord {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  readonly seq: number;
  /** Boottime of the unit at the record's start, ms. */
  readonly t0Ms: number;
  /** UTC of the same, ms; null where the unit did not know it. */
  readonly utcMs: number | null;
  readonly samples: number;
  /** SHA-256(salt ‖ record), 32 bytes: what the ledger holds of it. */
  readonly bodyHash: Uint8Array;
  /** Deterministic CBOR of the record, and its salt: with a receipt they prove the record to a third party. */
  readonly record: Uint8Array;
  readonly salt: Uint8Array;
  readonly schema: Schema;
  readonly tables: readonly Table[];
}

/** How far a stream got, as of the transaction that stores it. */
export interface StreamProgress {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  /** All of 0 … next − 1 are stored or known as evicted. */
  readonly next: number;
  /** Newest proven record and the chain value there; −1 and SHA-256(stream) before the first proof. */
  readonly provenSeq: number;
  readonly provenChain: Uint8Array;
  /** Proofs that wait for records, packed; null where none does. */
  readonly waitingProof: Uint8Array | null;
}

/** A record that the unit evicted before it could be sent: known by its body hash alone. */
export interface EvictedRecord {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  readonly seq: number;
  readonly bodyHash: Uint8Array;
}

/** A tree head that a unit signed. */
export interface KnownCheckpoint {
  readonly unit: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
}

/** An acknowledgement that goes out when the transaction is durable. */
export interface StoredAck {
  readonly pseudonym: string;
  readonly stream: Uint8Array;
  readonly uptoSeq: number;
  readonly missing: readonly number[];
  readonly state: 'opened' | 'proven';
  readonly signed: Uint8Array;
}

/** How far an output beside the store was written: what lies beyond is a batch that never was. */
export interface Mark {
  readonly name: string;
  readonly position: number;
}

/** What one durable transaction holds. */
export interface Batch {
  readonly streams: readonly StoredStream[];
  readonly records: readonly OpenedRecord[];
  readonly evicted: readonly EvictedRecord[];
  readonly progress: readonly StreamProgress[];
  readonly checkpoints: readonly KnownCheckpoint[];
  readonly acks: readonly StoredAck[];
  readonly marks: readonly Mark[];
}

/** What is stored of a stream. */
export interface StreamState extends StoredStream, StreamProgress {
  /** Stored or evicted numbers beyond `next`, ascending. */
  readonly beyond: readonly number[];
}

/** What a proof needs of one record. */
export interface ChainLink {
  readonly seq: number;
  readonly bodyHash: Uint8Array;
  /** Null for an evicted record. */
  readonly t0Ms: number | null;
}

/**
 * Where a receiver keeps what it opened. `put` is durable when it resolves and holds a record at most once, whatever
 * comes twice: only then is an acknowledgement published.
 */
export interface ReceiverStore {
  put(batch: Batch): Promise<void>;
  /** The stream, or null where no session of it came. */
  stream(pseudonym: string, stream: Uint8Array): Promise<StreamState | null>;
  /** The unit that a pseudonym belongs to, or null where it is new. */
  unitOf(pseudonym: string): Promise<string | null>;
  /** Links of a stream with `after` < seq ≤ `upto`, ascending, at most `limit`. */
  links(
    pseudonym: string,
    stream: Uint8Array,
    after: number,
    upto: number,
    limit: number,
  ): Promise<readonly ChainLink[]>;
  /** The newest checkpoint of a unit, or the one of `size`; null where it is not known. */
  checkpoint(unit: string, size?: number): Promise<KnownCheckpoint | null>;
  /** Position of an output, or null where it is new. */
  mark(name: string): Promise<number | null>;
  /** Streams with records that no proof covers. */
  unproven(): Promise<readonly { readonly pseudonym: string; readonly stream: Uint8Array }[]>;
  close(): Promise<void>;
}

/** Where opened records go beside the store: a file of JSON lines, a queue, a screen. */
export interface RecordSink {
  /** Durable when it resolves; the transaction of the same records holds the mark, so that each is there once. */
  write(records: readonly OpenedRecord[]): Promise<Mark | null>;
  close(): Promise<void>;
}
