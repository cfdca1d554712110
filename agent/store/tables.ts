/**
 * What is in the file. `leaf`, `node`, `checkpoint` are the ledger (`ledger/` reads them too). Rows that change often
 * are short and apart from those that do not, and all grow at their right edge: a commit touches few pages.
 */
export const SCHEMA_VERSION = 2;

/**
 * Bytes of a page. A commit writes whole pages, and a second of ten campaigns touches about twenty of them for 3 KB
 * of payload: small pages write 40 % of what pages of 4,096 bytes do (bench `store`), at the same speed.
 */
export const PAGE_BYTES = 1024;

export const TABLES = `
CREATE TABLE leaf (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
CREATE TABLE node (pos INTEGER PRIMARY KEY, level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
-- Of the newest checkpoint that a proof to this recipient stands under.
CREATE TABLE published (recipient TEXT PRIMARY KEY, size INTEGER NOT NULL);

CREATE TABLE stream (
  id INTEGER PRIMARY KEY, stream BLOB NOT NULL UNIQUE, pseudonym TEXT NOT NULL, recipient TEXT NOT NULL,
  purpose TEXT NOT NULL, agreement TEXT NOT NULL, campaign TEXT NOT NULL, priority INTEGER NOT NULL,
  topic TEXT NOT NULL, key_check BLOB, ended INTEGER NOT NULL DEFAULT 0);
-- Pseudonyms in the order in which they were taken; an outbox lane names one by its number.
CREATE TABLE line (id INTEGER PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE);
-- next_seq is the nonce: a sequence number is used once.
CREATE TABLE progress (
  stream INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL, chain BLOB, first_leaf INTEGER NOT NULL, last_leaf INTEGER NOT NULL,
  published_seq INTEGER NOT NULL DEFAULT -1, proven_seq INTEGER NOT NULL DEFAULT -1, acked INTEGER NOT NULL DEFAULT 0,
  evicted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE session (stream INTEGER PRIMARY KEY, message BLOB NOT NULL);
CREATE TABLE record (leaf INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, t0 INTEGER NOT NULL, utc INTEGER);

-- kind: 0 session, 1 record, 2 proof. state: 0 queued, 1 pubacked; inflight is a matter of the process.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, kind INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
  leaf INTEGER, size INTEGER NOT NULL, state INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE payload (id INTEGER PRIMARY KEY, payload BLOB NOT NULL);
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
 * Keyed by it the table grows at its edge only, where a key of (level, idx) touches a page a level; a commit of ten
 * leaves then writes 1 or 2 pages of nodes instead of 15.
 *
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
