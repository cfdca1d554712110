import type { ErrorCode } from '#contracts';

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
  /** Records older than this leave the spool unsent, ms of UTC; none without it. */
  readonly ttlMs?: number;
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

/**
 * What a record takes from a budget of its agreement (ODRL `count`, a cap of bytes): the counter goes up in the
 * transaction that commits the record. One array serves every record of a stream; nothing is kept of it.
 */
export interface Budget {
  /** Names agreement, rule and period; the store knows no periods. */
  readonly key: string;
  readonly add: number;
  /** The record is refused when the counter would exceed this. */
  readonly limit: number;
}

/** `refused`: a budget has no room; nothing changed, the sequence number is still free. A promise: see `append`. */
export type Appended = 'queued' | 'refused' | Promise<'queued'>;

/** The newest accepted version of a document; lower ones are refused from then on, also after a restart. */
export interface DocumentVersion {
  readonly issuer: string;
  /** Uid of the document, with its kind where uids of two kinds may meet. */
  readonly document: string;
  readonly version: number;
  /** 32 bytes: SHA-256 of the document. */
  readonly hash: Uint8Array;
}

/** `stale`: a higher version was accepted before, or another document under the same version. Nothing changed then. */
export type Accepted = 'accepted' | 'known' | 'stale';

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
  readonly recipient: string;
  /** Leaves under the checkpoint that this is for. */
  readonly size: number;
  /** From the checkpoint last published to the recipient to this one; null where there was none, or this one. */
  readonly consistency: { readonly fromSize: number; readonly nodes: readonly Uint8Array[] } | null;
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

/** Named moments of the protocol; tests kill the agent at them. */
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
  /**
   * Adds a record to the open group. Returns a promise only when too much is waiting: await it before the next.
   *
   * @param budgets all of them have room for the record, or it is refused and none goes up
   */
  append(entry: RecordEntry, budgets?: readonly Budget[]): Appended;
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
  /**
   * Queues a proof message and notes that it covers `seq`, and that its checkpoint was published to the recipient. Proofs
   * that are queued without waiting for each other share one sync.
   *
   * @param link whether it carries `consistency`: no later proof takes its place then
   */
  proof(material: ProofMaterial, payload: Uint8Array, link?: boolean): Promise<void>;
  /**
   * Queued rows in sending order, at most `limit`; marks them inflight. Sessions first, then by priority; within one
   * priority records by age and then proofs; a stream's records are in order.
   *
   * @param pseudonym rows of this one only; without it the newest pseudonym and the oldest that has rows
   */
  take(limit: number, pseudonym?: string): Promise<readonly OutboxRow[]>;
  /** PUBACK came. Takes effect at once; a power cut within seconds takes it back, and the row is sent again. */
  pubacked(ids: readonly number[]): Promise<void>;
  /** A receiver answered: opened rows are deleted, proven marks the stream; the newest ack is kept. Durable as a PUBACK is. */
  ack(ack: Ack): Promise<void>;
  /** Puts inflight rows back (connection lost), and pubacked ones that no ack took within `olderThanMs`. */
  requeue(olderThanMs: number): Promise<number>;
  /** Resolves when a row becomes ready to send after this call; never rejects. */
  ready(): Promise<void>;
  stats(): Promise<StoreStats>;
  /** Commits and closes. */
  close(): Promise<void>;
}

/** `StoreStats` of the store on disk. */
export interface DurableStats extends StoreStats {
  /** Bytes of the database and its WAL. */
  readonly fileBytes: number;
  /** Why appended entries do not become durable now (full disk, anchor that gives no key); null when all is well. */
  readonly fault: ErrorCode | null;
}

/** One hour's counters, the sum of its deltas. */
export type MeterRow = MeterDelta;

/** Which records `recordsAbout` returns; what is left out does not restrict. */
export interface RecordQuery {
  /** A signal name that the stream carried at some time. */
  readonly field?: string;
  readonly recipient?: string;
  readonly purpose?: string;
  readonly agreement?: string;
  readonly campaign?: string;
  /** Records whose first sample lies in [fromMs, toMs) of UTC. Records without UTC are left out where one is given. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** At most this many, newest first; 1,000 without it. */
  readonly limit?: number;
}

/** One record that was committed, whatever became of it. */
export interface RecordInfo {
  readonly stream: Uint8Array;
  readonly recipient: string;
  readonly purpose: string;
  readonly agreement: string;
  readonly campaign: string;
  /** Signal names that the stream carried, sorted. */
  readonly fields: readonly string[];
  readonly seq: number;
  readonly leafIndex: number;
  /** Boottime of the first sample, ms. */
  readonly boottimeMs: number;
  readonly utcMs: number | null;
  /** `evicted`: left the spool unsent. */
  readonly state: 'spooled' | 'acked' | 'evicted';
  /** A receiver said that the proof which covers this record was right. */
  readonly proven: boolean;
}

/** The store on disk: what the agent adds to the contract between its parts. */
export interface DurableStore extends Store {
  /**
   * Whether a record with these budgets would be queued now. To be asked before sealing: a refused record was sealed in
   * vain. It stays true until the next `append`.
   */
  admits(budgets: readonly Budget[]): boolean;
  /** What a counter stands at, with what waits for its commit; 0 for one that never was. */
  budget(key: string): number;
  /** A period is over: its counter goes with the next commit. */
  forgetBudget(key: string): void;
  /** The newest version that was accepted of a document, or null. */
  version(issuer: string, document: string): DocumentVersion | null;
  /**
   * Accepts a document, with its leaf, in one forced commit; the same one again is `known` and changes nothing. A full
   * disk rejects, and the version before stays.
   */
  accept(version: DocumentVersion, leaf: Uint8Array | null): Promise<Accepted>;
  stats(): Promise<DurableStats>;
  /** Queues the sessions of streams with records on the way once more: a new connection may find a broker without them. */
  resendSessions(pseudonym?: string): Promise<number>;
  /**
   * An agreement is withdrawn: forgets its spool key and drops its rows, with `leaf` and a gap leaf a stream in one forced
   * commit. From the call on no row of it is handed out; streams that were begun under it never send again. The caller
   * then destroys the sealed key. Returns the number of records dropped.
   *
   * @throws {TollgateError} TG_STORE_FULL: the rows are gone from this process, and from the disk when the store is asked again
   */
  withdraw(agreement: string, leaf?: Uint8Array): Promise<number>;
  /** Lets go of old leaves and ended streams now; else it happens every ten minutes. Returns the number of leaves that went. */
  prune(): Promise<number>;
  meter(): Promise<readonly MeterRow[]>;
  recordsAbout(query: RecordQuery): Promise<readonly RecordInfo[]>;
  /** DID of the recipient of a stream; null where the unit never had that stream. */
  recipientOf(stream: Uint8Array): Promise<string | null>;
}
