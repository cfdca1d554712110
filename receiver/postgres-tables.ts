/** Version of these tables, in `tollgate_format`. */
export const FORMAT = 1;

/**
 * A person reads `samples`; the rest serves sequence, proof and acknowledgement. Values of one column of one record are
 * one row of two arrays: a row a sample would cost eight times the space.
 */
export const TABLES = `
CREATE TABLE streams (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, pseudonym text NOT NULL, stream bytea NOT NULL,
  unit text NOT NULL, boot bytea NOT NULL, session bytea NOT NULL,
  next bigint NOT NULL DEFAULT 0, proven_seq bigint NOT NULL DEFAULT -1, proven_chain bytea,
  UNIQUE (pseudonym, stream));
CREATE TABLE pseudonyms (pseudonym text PRIMARY KEY, unit text NOT NULL);
CREATE TABLE records (
  stream_id bigint NOT NULL, seq bigint NOT NULL, t0_ms bigint NOT NULL, utc_ms bigint, samples bigint NOT NULL,
  body_hash bytea NOT NULL, record bytea NOT NULL, salt bytea NOT NULL, PRIMARY KEY (stream_id, seq));
CREATE TABLE evicted (
  stream_id bigint NOT NULL, seq bigint NOT NULL, body_hash bytea NOT NULL, PRIMARY KEY (stream_id, seq));
CREATE TABLE waiting (
  stream_id bigint NOT NULL, seq bigint NOT NULL, hash bytea NOT NULL, proof bytea NOT NULL,
  PRIMARY KEY (stream_id, seq, hash));
CREATE TABLE columns (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream_id bigint NOT NULL, signal text NOT NULL,
  result text NOT NULL, unit text NOT NULL, window_ms bigint NOT NULL, UNIQUE (stream_id, signal, result, window_ms));
CREATE TABLE value (
  column_id bigint NOT NULL, seq bigint NOT NULL, times_ms double precision[] NOT NULL, values double precision[] NOT NULL);
CREATE INDEX value_column ON value (column_id, seq);
CREATE TABLE checkpoints (
  unit text NOT NULL, size bigint NOT NULL, root bytea NOT NULL, note text NOT NULL, PRIMARY KEY (unit, size));
CREATE TABLE units (unit text PRIMARY KEY, size bigint NOT NULL DEFAULT 0, root bytea, distrusted text);
CREATE TABLE boots (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, unit text NOT NULL, boot bytea NOT NULL,
  proven boolean NOT NULL DEFAULT false, UNIQUE (unit, boot));
CREATE TABLE alarms (
  key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), code text NOT NULL, unit text NOT NULL,
  pseudonym text NOT NULL, stream text NOT NULL, seq bigint, message text NOT NULL, evidence jsonb NOT NULL);
CREATE TABLE acks (
  stream_id bigint NOT NULL, state text NOT NULL, upto_seq bigint NOT NULL, missing jsonb NOT NULL,
  signed bytea NOT NULL, PRIMARY KEY (stream_id, state));
CREATE TABLE marks (name text PRIMARY KEY, position bigint NOT NULL);
CREATE VIEW samples AS
  SELECT s.pseudonym, encode(s.stream, 'hex') AS stream, v.seq, r.utc_ms - r.t0_ms + x.time_ms AS utc_ms, x.time_ms,
    c.window_ms, c.signal, c.result, c.unit, x.value
  FROM value v JOIN columns c ON c.id = v.column_id JOIN streams s ON s.id = c.stream_id
    JOIN records r ON r.stream_id = s.id AND r.seq = v.seq
    CROSS JOIN LATERAL unnest(v.times_ms, v.values) AS x (time_ms, value);
CREATE TABLE tollgate_format (version integer NOT NULL);
INSERT INTO tollgate_format VALUES (${FORMAT});
`;

/** Held while tables are made: several processes may start at once. Any number that nobody else uses. */
export const TABLES_LOCK = 0x70_6c_67_74;

/** Records of a batch, before it is known which are new; gone at the end of each transaction. */
export const STAGING = `CREATE TEMP TABLE incoming (
  stream_id bigint, seq bigint, t0_ms bigint, utc_ms bigint, samples bigint, body_hash bytea, record bytea, salt bytea)
  ON COMMIT DELETE ROWS`;

export const POSITIONS = `SELECT s.id, s.next, s.proven_seq, s.proven_chain, coalesce(u.size, 0),
    (SELECT count(*) FROM waiting w WHERE w.stream_id = s.id)
  FROM streams s LEFT JOIN units u ON u.unit = s.unit WHERE s.id = ANY ($1)`;

/** Numbers that follow each other have one difference to their rank. */
export const RUNS = `SELECT stream_id, first, last FROM (
    SELECT stream_id, min(seq) AS first, max(seq) AS last, row_number() OVER (PARTITION BY stream_id ORDER BY min(seq)) AS k
    FROM (
      SELECT stream_id, seq, seq - row_number() OVER (PARTITION BY stream_id ORDER BY seq) AS run FROM (
        SELECT r.stream_id, r.seq FROM streams s JOIN records r ON r.stream_id = s.id AND r.seq >= s.next
          WHERE s.id = ANY ($1)
        UNION SELECT e.stream_id, e.seq FROM streams s JOIN evicted e ON e.stream_id = s.id AND e.seq >= s.next
          WHERE s.id = ANY ($1)) AS numbers) AS ranked
    GROUP BY stream_id, run) AS runs
  WHERE k <= $2 ORDER BY stream_id, first`;

export const LINKS = `SELECT seq, body_hash, t0_ms FROM records WHERE stream_id = $1 AND seq > $2 AND seq <= $3
  UNION ALL SELECT seq, body_hash, NULL FROM evicted e WHERE stream_id = $1 AND seq > $2 AND seq <= $3
    AND NOT EXISTS (SELECT 1 FROM records r WHERE r.stream_id = e.stream_id AND r.seq = e.seq)
  ORDER BY seq LIMIT $4`;

export const UNPROVEN = `SELECT pseudonym, stream FROM streams s
  WHERE EXISTS (SELECT 1 FROM records r WHERE r.stream_id = s.id AND r.seq > s.proven_seq)`;

export const HEAD = `SELECT u.size, u.root, u.distrusted,
    coalesce((SELECT proven FROM boots WHERE unit = $1 AND boot = $2), false),
    coalesce((SELECT id FROM boots WHERE unit = $1 AND boot = $2), 0)
      > coalesce((SELECT max(id) FROM boots WHERE unit = $1 AND proven), 0)
  FROM (SELECT 1) AS one LEFT JOIN units u ON u.unit = $1`;
