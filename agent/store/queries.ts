import { readLeaf } from '#ledger';
import type { MeterRow, RecordInfo, RecordQuery } from './contract.ts';
import type { Connection } from './database.ts';
import type { MeterTable } from './meter-table.ts';
import type { State } from './state.ts';

/** Questions that the writer's thread and a reader beside it answer alike, from the tables and from what no fold has written. */

const DEFAULT_LIMIT = 1_000;

type MeterKey = [id: number, agreement: string, recipient: string, purpose: string, action: string, hour: number];
type Counters = { records: number; samples: number; bytes: number; denied: number; fields: Map<number, number> };

export function meterRows(db: Connection, meter: MeterTable): MeterRow[] {
  const all = <T>(sql: string) => db.prepare(sql).raw().all() as T[];
  const counters = new Map<number, Counters>();
  const of = (id: number): Counters => {
    let found = counters.get(id);
    if (found === undefined) {
      found = { records: 0, samples: 0, bytes: 0, denied: 0, fields: new Map() };
      counters.set(id, found);
    }
    return found;
  };
  for (const [id, records, samples, bytes, denied] of all<number[]>('SELECT * FROM meter')) {
    Object.assign(of(id!), { records, samples, bytes, denied });
  }
  for (const [id, field, samples] of all<number[]>('SELECT * FROM meter_field')) of(id!).fields.set(field!, samples!);
  for (const [id, { records, samples, bytes, denied, fields }] of meter.pending()) {
    const sum = of(id);
    sum.records += records;
    sum.samples += samples;
    sum.bytes += bytes;
    sum.denied += denied;
    for (const [field, count] of fields) sum.fields.set(field, (sum.fields.get(field) ?? 0) + count);
  }
  const names = new Map(all<[number, string]>('SELECT id, name FROM name'));
  const keys = all<MeterKey>('SELECT id, agreement, recipient, purpose, action, hour FROM meter_key ORDER BY hour, id');
  return keys
    .filter(([id]) => counters.has(id))
    .map(([id, agreement, recipient, purpose, action, hour]) => {
      const { fields, ...counts } = counters.get(id)!;
      const pairs = [...fields].map(([field, samples]) => [names.get(field) ?? '', samples] as const);
      pairs.sort(([a], [b]) => (a < b ? -1 : 1));
      return { agreement, recipient, purpose, action, hour, ...counts, fields: Object.fromEntries(pairs) };
    });
}

/** The recipient of a stream of this unit, or null where it has no such stream. */
export function recipientOf(db: Connection, stream: Uint8Array): string | null {
  const found = db.prepare('SELECT recipient FROM stream WHERE stream = ?').pluck().get(stream);
  return typeof found === 'string' ? found : null;
}

type StreamRow = [number, Uint8Array, string, string, string, string];

interface Candidate extends Pick<RecordInfo, 'stream' | 'recipient' | 'purpose' | 'agreement' | 'campaign' | 'fields'> {
  readonly id: number;
  readonly first: number;
  readonly last: number;
  readonly provenSeq: number;
  readonly waiting: ReadonlySet<number>;
}

/** Committed records that a query is about, newest first; those whose leaves were pruned are no more. */
export function recordsAbout(db: Connection, state: State, query: RecordQuery): RecordInfo[] {
  const limit = query.limit ?? DEFAULT_LIMIT;
  const streams = candidates(db, state, query);
  const isEvicted = db.prepare('SELECT 1 FROM evicted WHERE stream = ? AND seq = ?').pluck();
  const found: RecordInfo[] = [];
  // Only leaves between the first and the last of a stream that is asked for are looked at.
  const open = [...streams.values()].sort((a, b) => b.last - a.last);
  let lowest = Number.POSITIVE_INFINITY;
  let next = 0;
  for (let index = open[0]?.last ?? -1; index >= state.ledger.pruned && found.length < limit; index--) {
    while (next < open.length && open[next]!.last >= index) lowest = Math.min(lowest, open[next++]!.first);
    if (index < lowest) {
      if (next === open.length) break;
      index = open[next]!.last + 1;
      continue;
    }
    const { record, boottimeMs, utcMs } = readLeaf(state.ledger.leaf(index));
    const stream = record === null ? undefined : streams.get(hex(record.stream));
    if (stream === undefined || !within(utcMs, query)) continue;
    const { id, first, last, provenSeq, waiting, ...ofStream } = stream;
    const { seq } = record!;
    const evicted = isEvicted.get(id, seq) !== undefined;
    const fate = evicted ? 'evicted' : waiting.has(seq) ? 'spooled' : 'acked';
    const proven = seq <= provenSeq && !evicted;
    found.push({ ...ofStream, seq, leafIndex: index, boottimeMs, utcMs, state: fate, proven });
  }
  return found;
}

function candidates(db: Connection, state: State, query: RecordQuery): Map<string, Candidate> {
  const rows = db
    .prepare(
      `SELECT s.id, s.stream, s.recipient, s.purpose, s.agreement, s.campaign FROM stream s
       WHERE (@recipient IS NULL OR s.recipient = @recipient) AND (@purpose IS NULL OR s.purpose = @purpose) AND (@agreement IS NULL OR s.agreement = @agreement)
       AND (@campaign IS NULL OR s.campaign = @campaign) AND (@field IS NULL OR EXISTS (SELECT 1 FROM stream_field f
         JOIN name n ON n.id = f.field WHERE f.stream = s.id AND n.name = @field))`,
    )
    .raw()
    .all({
      recipient: query.recipient ?? null,
      purpose: query.purpose ?? null,
      agreement: query.agreement ?? null,
      campaign: query.campaign ?? null,
      field: query.field ?? null,
    }) as StreamRow[];
  const progress = db.prepare('SELECT first_leaf, last_leaf, proven_seq FROM progress WHERE stream = ?').raw();
  const fields = db
    .prepare('SELECT n.name FROM stream_field f JOIN name n ON n.id = f.field WHERE f.stream = ? ORDER BY n.name')
    .pluck();
  const found = new Map<string, Candidate>();
  for (const [id, bytes, recipient, purpose, agreement, campaign] of rows) {
    const known = state.streams.known(id);
    const stored = progress.get(id) as [number, number, number];
    const [first, last, provenSeq] = known === undefined ? stored : [known.firstLeaf, known.lastLeaf, known.provenSeq];
    if (last < first || last < state.ledger.pruned) continue;
    const waiting = known === undefined ? new Set<number>() : state.outbox.waiting(known);
    const stream = new Uint8Array(bytes);
    const names = fields.all(id) as string[];
    const info = { stream, recipient, purpose, agreement, campaign, fields: names };
    found.set(hex(stream), { ...info, id, first, last, provenSeq, waiting });
  }
  return found;
}

function within(utcMs: number | null, { fromMs, toMs }: RecordQuery): boolean {
  if (fromMs === undefined && toMs === undefined) return true;
  return utcMs !== null && utcMs >= (fromMs ?? Number.NEGATIVE_INFINITY) && utcMs < (toMs ?? Number.POSITIVE_INFINITY);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
