import type { MeterRow, RecordInfo, RecordQuery } from './contract.ts';
import type { Connection } from './database.ts';
import { KIND_RECORD } from './tables.ts';

/** Questions that the writer's thread and a reader beside it answer alike. */

const DEFAULT_LIMIT = 1_000;

export function meterRows(db: Connection): MeterRow[] {
  const rows = db
    .prepare(
      `SELECT k.id, k.agreement, k.recipient, k.purpose, k.action, k.hour, m.records, m.samples, m.bytes, m.denied
       FROM meter m JOIN meter_key k ON k.id = m.id ORDER BY k.hour, k.id`,
    )
    .raw()
    .all() as [number, string, string, string, string, number, number, number, number, number][];
  const fields = fieldsOf(db, 'SELECT f.meter, n.name, f.samples FROM meter_field f JOIN name n ON n.id = f.field');
  return rows.map(([id, agreement, recipient, purpose, action, hour, records, samples, bytes, denied]) => {
    const own = Object.fromEntries(fields.get(id) ?? []);
    return { agreement, recipient, purpose, action, hour, records, samples, bytes, denied, fields: own };
  });
}

type Pair = [name: string, samples: number];

function fieldsOf(db: Connection, sql: string): Map<number, Pair[]> {
  const found = new Map<number, Pair[]>();
  for (const [id, name, samples] of db.prepare(sql).raw().all() as [number, string, number][]) {
    const pairs = found.get(id);
    if (pairs === undefined) found.set(id, [[name, samples]]);
    else pairs.push([name, samples]);
  }
  for (const pairs of found.values()) pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  return found;
}

type StreamRow = [number, Uint8Array, string, string, string, string, number, number, number];
type RecordRow = [seq: number, leaf: number, t0: number, utc: number | null, evicted: number];

/** The recipient of a stream of this unit, or null where it has no such stream. */
export function recipientOf(db: Connection, stream: Uint8Array): string | null {
  const found = db.prepare('SELECT recipient FROM stream WHERE stream = ?').pluck().get(stream);
  return typeof found === 'string' ? found : null;
}

/** Committed records that a query is about, newest first. */
export function recordsAbout(db: Connection, query: RecordQuery): RecordInfo[] {
  const limit = query.limit ?? DEFAULT_LIMIT;
  const streams = db
    .prepare(
      `SELECT s.id, s.stream, s.recipient, s.purpose, s.agreement, s.campaign, p.first_leaf, p.last_leaf, p.proven_seq
       FROM stream s JOIN progress p ON p.stream = s.id
       WHERE (@recipient IS NULL OR s.recipient = @recipient) AND (@purpose IS NULL OR s.purpose = @purpose) AND (@agreement IS NULL OR s.agreement = @agreement)
       AND (@campaign IS NULL OR s.campaign = @campaign) AND (@field IS NULL OR EXISTS (SELECT 1 FROM stream_field f
         JOIN name n ON n.id = f.field WHERE f.stream = s.id AND n.name = @field)) ORDER BY p.last_leaf DESC`,
    )
    .raw()
    .all({
      recipient: query.recipient ?? null,
      purpose: query.purpose ?? null,
      agreement: query.agreement ?? null,
      campaign: query.campaign ?? null,
      field: query.field ?? null,
    }) as StreamRow[];
  const records = db
    .prepare(
      `SELECT r.seq, r.leaf, r.t0, r.utc,
         (SELECT count(*) FROM evicted e WHERE e.stream = r.stream AND e.seq = r.seq)
       FROM record r WHERE r.leaf BETWEEN @first AND @last AND r.stream = @id AND (@from IS NULL OR r.utc >= @from)
       AND (@to IS NULL OR r.utc < @to) ORDER BY r.leaf DESC LIMIT @limit`,
    )
    .raw();
  const names = fieldsOf(db, 'SELECT f.stream, n.name, 0 FROM stream_field f JOIN name n ON n.id = f.field');
  const found: RecordInfo[] = [];
  const waiting = db.prepare(`SELECT leaf FROM outbox WHERE stream = ? AND kind = ${KIND_RECORD}`).pluck();
  for (const [id, stream, recipient, purpose, agreement, campaign, first, last, proven] of streams) {
    const fields = (names.get(id) ?? []).map(([name]) => name);
    const rows = records.all({
      first,
      last,
      id,
      from: query.fromMs ?? null,
      to: query.toMs ?? null,
      limit,
    }) as RecordRow[];
    if (rows.length === 0) continue;
    const spooled = new Set(waiting.all(id) as number[]);
    for (const [seq, leafIndex, boottimeMs, utcMs, evicted] of rows) {
      const state = evicted > 0 ? 'evicted' : spooled.has(leafIndex) ? 'spooled' : 'acked';
      const ofStream = { stream: new Uint8Array(stream), recipient, purpose, agreement, campaign, fields };
      found.push({ ...ofStream, seq, leafIndex, boottimeMs, utcMs, state, proven: seq <= proven && evicted === 0 });
    }
  }
  return found.sort((a, b) => b.leafIndex - a.leafIndex).slice(0, limit);
}
