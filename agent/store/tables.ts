/**
 * What is in the file. A group commit is one row of `hot`, written in place; a *fold* moves what the rows of `hot` say
 * into the other tables, many groups at once (docs/decisions/0007). What is in `hot` beyond `state.folded` is read by
 * `State`, never by SQL alone.
 */
export const SCHEMA_VERSION = 3;

/**
 * Bytes of a page. A commit writes whole pages to the WAL; what a group changes of its row in `hot` is about five of
 * them at the reference load. Larger ones write more a commit, smaller ones make long rows slow (bench `store`).
 */
export const PAGE_BYTES = 512;

export const TABLES = `
-- folded: number of the last group whose content is in the tables. next_row: of the outbox. pruned: leaves below are gone. acked, evicted: of
-- streams whose rows are gone with them.
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), folded INTEGER NOT NULL, next_row INTEGER NOT NULL, pruned INTEGER NOT NULL,
  acked INTEGER NOT NULL, evicted INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0, 1, 0, 0, 0);
-- Rows of one size, overwritten in turn: no page is allocated or freed by a commit.
CREATE TABLE hot (slot INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- Leaves of a fold, packed (leaf-blocks.ts). tile: hashes of 256 leaves. node: complete nodes from level 8 up.
CREATE TABLE leaf_block (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, leaves BLOB NOT NULL);
CREATE TABLE tile (idx INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
CREATE TABLE node (pos INTEGER PRIMARY KEY, level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
-- Of the newest checkpoint that a proof to this recipient stands under.
CREATE TABLE published (recipient TEXT PRIMARY KEY, size INTEGER NOT NULL);

CREATE TABLE stream (
  id INTEGER PRIMARY KEY, stream BLOB NOT NULL UNIQUE, pseudonym TEXT NOT NULL, recipient TEXT NOT NULL,
  purpose TEXT NOT NULL, agreement TEXT NOT NULL, campaign TEXT NOT NULL, priority INTEGER NOT NULL,
  topic TEXT NOT NULL, ttl INTEGER, key_check BLOB, ended INTEGER NOT NULL DEFAULT 0);
-- Pseudonyms in the order in which they were taken; an outbox lane names one by its number.
CREATE TABLE line (id INTEGER PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE);
-- next_seq is the nonce: a sequence number is used once.
CREATE TABLE progress (
  stream INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL, first_leaf INTEGER NOT NULL, last_leaf INTEGER NOT NULL,
  published_seq INTEGER NOT NULL DEFAULT -1, proven_seq INTEGER NOT NULL DEFAULT -1, acked INTEGER NOT NULL DEFAULT 0,
  evicted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE session (stream INTEGER PRIMARY KEY, message BLOB NOT NULL);

-- Rows of the outbox in runs (segment.ts). state: one byte a row, written apart because it changes.
CREATE TABLE segment (first INTEGER PRIMARY KEY, rows BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE segment_state (first INTEGER PRIMARY KEY, state BLOB NOT NULL);
-- proof: null until a proof named it, then the row of that proof.
CREATE TABLE evicted (
  stream INTEGER NOT NULL, seq INTEGER NOT NULL, body_hash BLOB NOT NULL, proof INTEGER, told INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (stream, seq)) WITHOUT ROWID;
CREATE INDEX evicted_by_proof ON evicted (proof) WHERE proof IS NOT NULL;
CREATE TABLE ack (stream INTEGER PRIMARY KEY, upto INTEGER NOT NULL, state INTEGER NOT NULL, signed BLOB NOT NULL);

-- Counters of budgets; what a period is, their key says.
CREATE TABLE budget (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE document (
  issuer TEXT NOT NULL, document TEXT NOT NULL, version INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (issuer, document)
) WITHOUT ROWID;

CREATE TABLE name (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE stream_field (stream INTEGER NOT NULL, field INTEGER NOT NULL, PRIMARY KEY (stream, field)) WITHOUT ROWID;
CREATE TABLE meter_key (
  id INTEGER PRIMARY KEY, agreement TEXT NOT NULL, recipient TEXT NOT NULL, purpose TEXT NOT NULL, action TEXT NOT NULL,
  hour INTEGER NOT NULL, UNIQUE (hour, agreement, recipient, purpose, action));
CREATE TABLE meter (
  id INTEGER PRIMARY KEY, records INTEGER NOT NULL, samples INTEGER NOT NULL, bytes INTEGER NOT NULL, denied INTEGER NOT NULL);
CREATE TABLE meter_field (meter INTEGER NOT NULL, field INTEGER NOT NULL, samples INTEGER NOT NULL, PRIMARY KEY (meter, field)) WITHOUT ROWID;
`;

/**
 * Place of a complete node in the order in which nodes come to be: after its children, before all that is to the right.
 * The node is the `level`-th that its last leaf completes; n leaves have 2n − (ones of n in binary) complete nodes.
 */
export function nodePosition(level: number, index: number): number {
  const last = (index + 1) * 2 ** level - 1;
  return 2 * last - ones(last) + level;
}

function ones(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

export const KIND_SESSION = 0;
export const KIND_RECORD = 1;
export const KIND_PROOF = 2;
export const STATE_QUEUED = 0;
export const STATE_PUBACKED = 1;
/** Acknowledged, evicted or dropped: no row any more. */
export const STATE_GONE = 2;
