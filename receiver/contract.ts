import type { Schema, Table } from '#wire';

/** What names a stream in a store. */
export interface StreamId {
  readonly pseudonym: string;
  /** 8 bytes. */
  readonly stream: Uint8Array;
}

/** A stream as the receiver knows it: the session that opened it. */
export interface StoredStream extends StreamId {
  readonly tenant: string;
  /** Name of the ledger key that signed the session. */
  readonly unit: string;
  /** 8 bytes: the start of the agent in which the stream began. */
  readonly bootId: Uint8Array;
  /** The session message, COSE_Sign1: opened again after a restart. */
  readonly session: Uint8Array;
}

/** A record that was opened, as it is stored. */
export interface OpenedRecord extends StreamId {
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

/** A proof that waits for records, or for its unit to be trusted again. */
export interface WaitingProof extends StreamId {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** All of 0 … next − 1 of a stream are stored or known as evicted: a memo, so that nobody counts from 0 again. */
export interface Reached extends StreamId {
  readonly next: number;
}

/** A record that the unit evicted before it could be sent: known by its body hash alone. */
export interface EvictedRecord {
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

/** What is known of a unit's ledger, seen from one of its starts. */
export interface UnitHead {
  /** The largest tree that was accepted; 0 and no root before the first. */
  readonly size: number;
  readonly root: Uint8Array;
  /** Why nothing of this unit is proven until an operator says so; null for a unit in good standing. */
  readonly distrusted: string | null;
  /** A proof of the start that was asked for was accepted before. */
  readonly bootProven: boolean;
  /** Its first session came after those of every start of which a proof was accepted. */
  readonly bootNewest: boolean;
}

/** A step from opened to proven: all of it is stored, or, where another process was faster, nothing. */
export interface ProofStep extends StreamId {
  /** Newest proven record before the step: where it is another one by now, nothing is stored. */
  readonly from: number;
  readonly seq: number;
  /** Chain value at `seq`. */
  readonly chain: Uint8Array;
  readonly evicted: readonly EvictedRecord[];
  readonly checkpoint: KnownCheckpoint;
  /** Size of the unit's head when the step was judged: where it is another one by now, nothing is stored. */
  readonly headSize: number;
  readonly bootId: Uint8Array;
}

/** An acknowledgement that went out, as evidence. */
export interface StoredAck extends StreamId {
  readonly uptoSeq: number;
  readonly missing: readonly number[];
  readonly state: 'opened' | 'proven';
  readonly signed: Uint8Array;
}

/** Something that an operator must look at; holds no signal value. One with the same key is stored once. */
export interface StoredAlarm {
  readonly key: string;
  readonly code: string;
  readonly unit: string;
  readonly pseudonym: string;
  /** base64url. */
  readonly stream: string;
  readonly seq: number | null;
  readonly message: string;
  /** Signed notes that prove it, if any. */
  readonly evidence: readonly string[];
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
  readonly reached: readonly Reached[];
  readonly waiting: readonly WaitingProof[];
  /** Proofs that wait no more. */
  readonly dropped: readonly WaitingProof[];
  readonly acks: readonly StoredAck[];
}

export const NO_BATCH: Batch = { streams: [], records: [], reached: [], waiting: [], dropped: [], acks: [] };

/** What became of a batch. */
export interface Stored {
  /** Records that were not there before, in the order of the batch. */
  readonly fresh: readonly OpenedRecord[];
  /**
   * Streams whose name another process stored first with another session, or whose pseudonym is another unit's: nothing
   * of them was stored.
   */
  readonly contradicted: readonly StoredStream[];
}

/** What is stored of a stream, as an acknowledgement needs it. */
export interface Position {
  /** All of 0 … next − 1 are there. */
  readonly next: number;
  /** Runs [first, last] of numbers that are there from `next` on, ascending; the first `MOST_RUNS` of them. */
  readonly runs: readonly (readonly [number, number])[];
  /** Newest proven record and the chain value there; −1 and no bytes before the first proof. */
  readonly provenSeq: number;
  readonly provenChain: Uint8Array;
  /** Proofs that wait. */
  readonly waiting: number;
  /** Size of the unit's largest accepted checkpoint. */
  readonly headSize: number;
}

/** What is stored of a stream. */
export interface StreamState extends StoredStream {
  readonly position: Position;
}

/** What a proof needs of one record. */
export interface ChainLink {
  readonly seq: number;
  readonly bodyHash: Uint8Array;
  /** Null for an evicted record. */
  readonly t0Ms: number | null;
}

/** Runs that a position names at most: more holes than one acknowledgement can carry. */
export const MOST_RUNS = 1_002;

/** Waiting proofs of one unit that are looked at together. */
export const MOST_OF_UNIT = 256;

/**
 * Where receivers keep what they opened. Any number of processes may share one store and know nothing of each other:
 * whatever is decided, is decided from what is stored, in one transaction. `put` and `prove` are durable when they
 * resolve: only then is an acknowledgement published.
 *
 * All methods throw TG_RECEIVER_STORE.
 */
export interface ReceiverStore {
  /**
   * Stores each record at most once, whatever comes twice and from whichever process.
   *
   * @param deliver writes the fresh records elsewhere, inside the transaction; its marks are part of it
   */
  put(batch: Batch, deliver?: (fresh: readonly OpenedRecord[]) => Promise<readonly Mark[]>): Promise<Stored>;
  /** @returns false where stream or unit are not as the step expects them: judge again */
  prove(step: ProofStep): Promise<boolean>;
  /** The stream, or null where no session of it came. */
  stream(pseudonym: string, stream: Uint8Array): Promise<StreamState | null>;
  /** Positions of streams that are stored, in their order. */
  positions(streams: readonly StreamId[]): Promise<readonly Position[]>;
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
  /** Proofs of a stream that wait, nearest first. */
  waiting(stream: StreamId): Promise<readonly WaitingProof[]>;
  /** Proofs of a unit that wait, at most `MOST_OF_UNIT`. */
  waitingOf(unit: string): Promise<readonly WaitingProof[]>;
  /** The newest checkpoint of a unit, or the one of `size`; null where it is not known. */
  checkpoint(unit: string, size?: number): Promise<KnownCheckpoint | null>;
  head(unit: string, bootId: Uint8Array): Promise<UnitHead>;
  /** Nothing of the unit is proven from now on. */
  distrust(unit: string, reason: string): Promise<void>;
  /**
   * An operator examined the unit: its next checkpoint begins anew. What was signed before stays, under `unit#n`.
   *
   * @returns false where nothing is known of such a unit
   */
  readmit(unit: string): Promise<boolean>;
  /** @returns whether it is new: one of several processes tells it */
  alarm(alarm: StoredAlarm): Promise<boolean>;
  /** Newest first. */
  alarms(limit: number): Promise<readonly (StoredAlarm & { readonly atMs: number })[]>;
  /** Position of an output, or null where it is new. */
  mark(name: string): Promise<number | null>;
  /** Streams with records that no proof covers. */
  unproven(): Promise<readonly StreamId[]>;
  close(): Promise<void>;
}

/** Where opened records go beside the store: a file of JSON lines, a queue, a screen. */
export interface RecordSink {
  /** Durable when it resolves; the transaction of the same records holds the mark, so that each is there once. */
  write(records: readonly OpenedRecord[]): Promise<Mark | null>;
  close(): Promise<void>;
}
