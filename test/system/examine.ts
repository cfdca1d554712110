import { join } from 'node:path';
import Database from 'better-sqlite3';
import { loadUnitKeys } from '#agent/keys';
import { readStore } from '#agent/store/index';
import { readLedger } from '#agent/store/read-ledger';
import { STORE_FILE } from '#agent/unit';
import { type Audit, auditLedger, nodeCrypto, parseVerifierKey, rootAt, sha256Tree } from '#ledger';
import { decodeLeaf, LEAF_GAP, LEAF_RECORD, type Leaf, recordLink } from '#wire/leaf';
import type { UnitFolder } from './unit-folder.ts';

/** `stream/seq` of a record, the stream in hex. */
export type RecordName = string;

const nameOf = (stream: Uint8Array, seq: number): RecordName => `${Buffer.from(stream).toString('hex')}/${seq}`;

/** What the files of a unit say after it ended, read without its code for writing them. */
export interface UnitFacts {
  readonly audit: Audit;
  /** Records of the ledger, in the order of their leaves. */
  readonly records: readonly RecordName[];
  readonly leaves: readonly Leaf[];
  /** Records that the meter counted. */
  readonly metered: number;
  /** Messages that wait in the outbox. */
  readonly waiting: number;
  readonly evicted: number;
  /** Root of the first `size` leaves, hex. */
  root(size: number): string;
}

export async function unitFacts(unit: UnitFolder): Promise<UnitFacts> {
  const file = join(unit.state, STORE_FILE);
  const { verifierKey } = await loadUnitKeys(unit.keys);
  const ledger = readLedger(file);
  const source = { ...ledger, keepsAllNodes: true, outside: [] };
  const audit = await auditLedger(source, [parseVerifierKey(verifierKey, nodeCrypto)], nodeCrypto);
  const leaves = Array.from({ length: ledger.size }, (_, i) => decodeLeaf(ledger.leaf(i)!));
  const roots = new Map<number, string>();
  for (let size = 0; size <= ledger.size; size++) {
    const root = rootAt(size, (level, index) => ledger.node(level, index)!, sha256Tree);
    roots.set(size, Buffer.from(root).toString('hex'));
  }
  ledger.close();
  const store = readStore(file);
  const { queued, pubacked, evicted } = store.stats();
  const metered = store.meter().reduce((sum, row) => sum + row.records, 0);
  store.close();
  const links = leaves.filter(({ kind }) => kind === LEAF_RECORD).map(recordLink);
  return {
    audit,
    leaves,
    records: links.map(({ stream, seq }) => nameOf(stream, seq)),
    metered,
    waiting: queued + pubacked,
    evicted,
    root: (size) => roots.get(size) ?? 'beyond the ledger',
  };
}

/** Numbers of leaves by kind. */
export function kindsOf({ leaves }: UnitFacts): Readonly<Record<number, number>> {
  const kinds: Record<number, number> = {};
  for (const { kind } of leaves) kinds[kind] = (kinds[kind] ?? 0) + 1;
  return kinds;
}

/** Records that a gap leaf names. */
export function gapNames({ leaves }: UnitFacts): number {
  return leaves.filter(({ kind }) => kind === LEAF_GAP).length;
}

/** What a receiver's database holds. */
export interface ReceiverFacts {
  /** In the order of streams and numbers; a name that stands twice is a duplicate. */
  readonly records: readonly RecordName[];
  /** Records that no proof covers. */
  readonly unproven: number;
  /** Records that were stored after a later one of their stream. */
  readonly disordered: readonly RecordName[];
}

export function receiverFacts(file: string): ReceiverFacts {
  const db = new Database(file, { readonly: true });
  const rows = db
    .prepare(
      `SELECT s.stream, r.seq, r.seq > s.proven_seq FROM records r JOIN streams s ON s.id = r.stream_id ORDER BY r.rowid`,
    )
    .raw()
    .all() as [Buffer, number, number][];
  db.close();
  return {
    records: rows.map(([stream, seq]) => nameOf(stream, seq)).sort(),
    unproven: rows.filter(([, , open]) => open === 1).length,
    disordered: disordered(rows),
  };
}

function disordered(rows: readonly [Buffer, number, number][]): RecordName[] {
  const highest = new Map<string, number>();
  return rows.flatMap(([stream, seq]) => {
    const key = stream.toString('hex');
    const before = highest.get(key) ?? -1;
    highest.set(key, Math.max(before, seq));
    return seq < before ? [nameOf(stream, seq)] : [];
  });
}
